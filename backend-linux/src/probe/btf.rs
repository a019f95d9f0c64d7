//! The kernel's own type information, as evidence of what it was built with.
//!
//! `/sys/kernel/btf/vmlinux` is readable by everybody and holds the names of all enumerators, those of map types and
//! helpers among them. A name that is there was compiled in. Kernel counterpart: the string section of BTF,
//! `include/uapi/linux/btf.h`.

use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};

use crate::fd::borrow;

const MAP_TYPE: &[u8] = b"\0BPF_MAP_TYPE_USER_RINGBUF\0";
const DRAIN_HELPER: &[u8] = b"\0BPF_FUNC_user_ringbuf_drain\0";

/// The kernel's BTF, read on the first question.
pub(super) struct KernelBtf {
    /// Whether it names the map type and the helper.
    found: Option<Option<[bool; 2]>>,
}

impl KernelBtf {
    pub(super) fn unread() -> Self {
        Self { found: None }
    }

    /// Whether the kernel names the map type; `None` if there is nothing to read.
    pub(super) fn has_map_type(&mut self) -> Option<bool> {
        self.read().map(|[map_type, _]| map_type)
    }

    /// Whether the kernel names the drain helper; `None` if there is nothing to read.
    pub(super) fn has_drain_helper(&mut self) -> Option<bool> {
        self.read().map(|[_, drain_helper]| drain_helper)
    }

    fn read(&mut self) -> Option<[bool; 2]> {
        *self.found.get_or_insert_with(|| {
            let flags = OFlags::RDONLY | OFlags::CLOEXEC;
            let file = rustix::fs::open(c"/sys/kernel/btf/vmlinux", flags, Mode::empty()).ok()?;
            find_in_strings(|buffer, at| read_at(&file, buffer, at))
        })
    }
}

fn read_at(file: &OwnedFd, buffer: &mut [u8], at: u64) -> Option<usize> {
    rustix::io::retry_on_intr(|| rustix::io::pread(borrow(file), &mut *buffer, at)).ok()
}

/// Looks for the two names in the strings of the BTF that `read_at` reads from; `None` if it can't be read or is none.
fn find_in_strings(read_at: impl Fn(&mut [u8], u64) -> Option<usize>) -> Option<[bool; 2]> {
    const OVERLAP: usize = DRAIN_HELPER.len() - 1;
    const { assert!(MAP_TYPE.len() <= DRAIN_HELPER.len()) };

    let mut header = [0; 24];
    if read_at(&mut header, 0)? != header.len() || header.first_chunk() != Some(&0xeb9f_u16.to_ne_bytes()) {
        return None;
    }
    let word = |at: usize| {
        let bytes = header.get(at..).and_then(|bytes| bytes.first_chunk())?;
        Some(u64::from(u32::from_ne_bytes(*bytes)))
    };
    // The header's length, and the strings' offset from its end.
    let mut at = word(4)?.checked_add(word(16)?)?;

    let mut found = [false; 2];
    let mut buffer = [0; 8192];
    let mut kept = 0;
    loop {
        let count = read_at(buffer.get_mut(kept..)?, at)?;
        if count == 0 {
            return Some(found);
        }
        at = at.checked_add(u64::try_from(count).ok()?)?;
        let filled = kept.checked_add(count)?;
        let text = buffer.get(..filled)?;
        for (name, found) in [MAP_TYPE, DRAIN_HELPER].into_iter().zip(&mut found) {
            *found = *found || contains(text, name);
        }
        // A name may lie across the edge.
        let keep = filled.min(OVERLAP);
        buffer.copy_within(filled.checked_sub(keep)?..filled, 0);
        kept = keep;
    }
}

/// Whether a name stands in `text`, with the zeros before and behind it.
fn contains(text: &[u8], name: &[u8]) -> bool {
    let mut rest = text;
    while let Some(at) = rest.iter().position(|byte| *byte == 0) {
        rest = rest.get(at..).unwrap_or_default();
        if rest.starts_with(name) {
            return true;
        }
        rest = rest.get(1..).unwrap_or_default();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn blob(strings: &[u8]) -> Vec<u8> {
        let mut blob = 0xeb9f_u16.to_ne_bytes().to_vec();
        blob.extend([1, 0]);
        for word in [24, 0, 16, 16, u32::try_from(strings.len()).unwrap()] {
            blob.extend(word.to_ne_bytes());
        }
        blob.extend([0xff; 16]);
        blob.extend(strings);
        blob
    }

    fn find(blob: &[u8], step: usize) -> Option<[bool; 2]> {
        find_in_strings(|buffer, at| {
            let rest = blob.get(usize::try_from(at).unwrap()..)?;
            let count = rest.len().min(buffer.len()).min(step.max(24));
            buffer[..count].copy_from_slice(&rest[..count]);
            Some(count)
        })
    }

    #[test]
    fn names_are_found_wherever_a_read_ends() {
        for before in [0, 1, 100, 8150, 8192, 20_000] {
            let mut strings = std::vec![b'x'; before];
            strings.extend(MAP_TYPE);
            strings.extend(&DRAIN_HELPER[1..]);
            for step in [24, 25, 31, 4096, 8192] {
                assert_eq!(find(&blob(&strings), step), Some([true, true]), "{before} {step}");
            }
        }
    }

    #[test]
    fn only_whole_names_count() {
        assert_eq!(
            find(&blob(b"\0BPF_MAP_TYPE_USER_RINGBUF2\0xBPF_FUNC_user_ringbuf_drain\0"), 4096),
            Some([false; 2])
        );
        assert_eq!(find(&blob(b"\0BPF_MAP_TYPE_USER_RINGBUF\0"), 4096), Some([true, false]));
        assert_eq!(find(&blob(b"\0"), 4096), Some([false; 2]));
    }

    #[test]
    fn what_is_no_btf_says_nothing() {
        assert_eq!(find(b"", 4096), None);
        assert_eq!(find(b"not type information at all", 4096), None);
    }
}
