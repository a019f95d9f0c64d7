//! What the kernel knows about a map: its type, size, id and name.
//!
//! Two ways lead there: `BPF_OBJ_GET_INFO_BY_FD`, and, where a filter forbids `bpf(2)`, the fd's own page in
//! `/proc/self/fdinfo`. Invariant: what is returned describes a user ring buffer, of a size that the kernel can have
//! made; nothing declared by a loader is believed.
//! Kernel counterparts: `bpf_obj_get_info_by_fd` and `bpf_map_show_fdinfo` in `kernel/bpf/syscall.c`.

use core::ffi::CStr;

use rustix::fd::{AsRawFd, BorrowedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::{MapError, types};
use crate::bpf::attr::{InfoByFd, MapElem, MapInfo};
use crate::bpf::{BpfCommand, BpfError, address, bpf, length};
use crate::fd::borrow;

/// What a [`Map`](super::Map) remembers about itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Info {
    pub(super) id: u32,
    pub(super) size: u32,
    pub(super) name: [u8; 16],
}

impl Info {
    /// Asks the kernel, by `bpf(2)` if that may be called, otherwise by fdinfo.
    pub(super) fn of(fd: BorrowedFd<'_>) -> Result<Self, MapError> {
        match Self::by_bpf(fd) {
            Ok(info) => Self::checked(fd, info),
            Err(error) if error.is_forbidden() => Self::by_fdinfo(fd).map_err(|fallback| match fallback {
                MapError::InfoForbidden { fdinfo, .. } => MapError::InfoForbidden { bpf: Some(error), fdinfo },
                other => other,
            }),
            Err(error) => Err(not_described(error)),
        }
    }

    /// What the kernel says of a map of any type.
    pub(super) fn of_any(fd: BorrowedFd<'_>) -> Result<MapInfo, MapError> {
        let info = Self::by_bpf(fd).map_err(not_described)?;
        if is_map(fd) { Ok(info) } else { Err(MapError::NotAMap) }
    }

    fn by_bpf(fd: BorrowedFd<'_>) -> Result<MapInfo, BpfError> {
        let mut info = MapInfo::default();
        let mut attr =
            InfoByFd { bpf_fd: number(fd), info_len: length(size_of::<MapInfo>()), info: address(&raw mut info) };
        // SAFETY: `info` is writable for `info_len` bytes, and any bytes make a `MapInfo`.
        unsafe { bpf(BpfCommand::ObjGetInfoByFd, &mut attr) }?;
        Ok(info)
    }

    fn checked(fd: BorrowedFd<'_>, info: MapInfo) -> Result<Self, MapError> {
        // The same command describes programs and links, by other structures whose first word is a type, too;
        // 31 is also BPF_PROG_TYPE_SYSCALL. A ring's key and value sizes are 0, where a program's tag (a hash) lies.
        let ring = info.map_type == types::USER_RINGBUF && info.key_size == 0 && info.value_size == 0;
        if !ring {
            return Err(if is_map(fd) { MapError::WrongType { found: info.map_type } } else { MapError::NotAMap });
        }
        Self { id: info.id, size: info.max_entries, name: info.name }.with_valid_size()
    }

    /// Reads `/proc/self/fdinfo/FD`. The map's name does not stand there; it stays empty.
    pub(super) fn by_fdinfo(fd: BorrowedFd<'_>) -> Result<Self, MapError> {
        let mut buffer = [0; 1024];
        let text = read_fdinfo(fd, &mut buffer).map_err(|errno| match errno {
            // The directory is there and the file is not: the descriptor is closed.
            Errno::NOENT if rustix::fs::access(c"/proc/self/fdinfo", rustix::fs::Access::EXISTS).is_ok() => {
                MapError::ClosedFd
            }
            errno => MapError::InfoForbidden { bpf: None, fdinfo: errno },
        })?;
        parse_fdinfo(text)?.with_valid_size()
    }

    /// A size that no kernel gives a ring means that this is not one; mapping relies on that.
    fn with_valid_size(self) -> Result<Self, MapError> {
        match super::size::exact_size(u64::from(self.size)) {
            Ok(_) => Ok(self),
            Err(_) => Err(MapError::NotAMap),
        }
    }
}

fn not_described(error: BpfError) -> MapError {
    match error.errno {
        // For a closed descriptor this command says EBADFD; others say EBADF.
        Errno::BADF | Errno::BADFD => MapError::ClosedFd,
        Errno::INVAL => MapError::NotAMap,
        _ => MapError::other(error, super::Capability::Bpf),
    }
}

/// The descriptor's number as `bpf(2)` takes it.
pub(crate) fn number(fd: BorrowedFd<'_>) -> u32 {
    // A borrowed descriptor is never negative (it is never -1).
    u32::try_from(fd.as_raw_fd()).unwrap_or(u32::MAX)
}

/// Whether a BPF object's descriptor is a map's. Both commands say EINVAL for anything else, and for a map they stumble
/// over the missing key or value before they do anything. Each says EINVAL for some type of map too (the lookup for an
/// arena, the next key for a queue), but no type says so to both.
fn is_map(fd: BorrowedFd<'_>) -> bool {
    [BpfCommand::MapLookupElem, BpfCommand::MapGetNextKey].into_iter().any(|command| {
        let mut attr = MapElem { map_fd: number(fd), ..Default::default() };
        // SAFETY: all addresses are null, which the kernel refuses to follow.
        !matches!(unsafe { bpf(command, &mut attr) }, Err(BpfError { errno: Errno::INVAL, .. }))
    })
}

fn read_fdinfo<'b>(fd: BorrowedFd<'_>, buffer: &'b mut [u8]) -> Result<&'b [u8], Errno> {
    let mut path = *b"/proc/self/fdinfo/\0\0\0\0\0\0\0\0\0\0\0";
    write_decimal(number(fd), path.get_mut(18..28).unwrap_or_default());
    let path = CStr::from_bytes_until_nul(&path).map_err(|_| Errno::INVAL)?;
    let file = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match rustix::io::read(borrow(&file), rest) {
            Ok(0) => break,
            Ok(count) => filled = filled.saturating_add(count),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(buffer.get(..filled).unwrap_or_default())
}

/// Writes `number` in decimal at the start of `buffer`; ten bytes hold any.
pub(crate) fn write_decimal(mut number: u32, buffer: &mut [u8]) {
    let mut digits = [0; 10];
    let mut count: usize = 0;
    for digit in &mut digits {
        // A remainder of 10 is one digit.
        *digit = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
        count += 1;
        if number == 0 {
            break;
        }
    }
    for (to, from) in buffer.iter_mut().zip(digits.iter().take(count).rev()) {
        *to = *from;
    }
}

/// Finds type, size and id among the `key:<tab>value` lines.
fn parse_fdinfo(text: &[u8]) -> Result<Info, MapError> {
    let field = |key: &[u8]| {
        text.split(|byte| *byte == b'\n').find_map(|line| {
            let value = line.strip_prefix(key)?.strip_prefix(b":")?;
            core::str::from_utf8(value).ok()?.trim().parse::<u32>().ok()
        })
    };
    // Only maps have the line; programs and links have `prog_type` and `link_type`.
    let found = field(b"map_type").ok_or(MapError::NotAMap)?;
    if found != types::USER_RINGBUF {
        return Err(MapError::WrongType { found });
    }
    let size = field(b"max_entries").ok_or(MapError::NotAMap)?;
    // The id's line came before this map type did.
    let id = field(b"map_id").ok_or(MapError::NotAMap)?;
    Ok(Info { id, size, name: [0; 16] })
}

#[cfg(test)]
mod tests {
    use rustix::fd::AsFd;

    use super::*;

    const RING: &[u8] = b"pos:\t0\nflags:\t02000002\nmap_type:\t31\nkey_size:\t0\nvalue_size:\t0\n\
        max_entries:\t4096\nmap_flags:\t0x0\nmemlock:\t0\nmap_id:\t77\nfrozen:\t0\n";

    #[test]
    fn fdinfo_yields_type_size_and_id() {
        let info = parse_fdinfo(RING).unwrap();
        assert_eq!((info.id, info.size), (77, 4096));
    }

    #[test]
    fn fdinfo_of_anything_else_is_refused() {
        assert_eq!(parse_fdinfo(b"pos:\t0\nflags:\t02\n").unwrap_err(), MapError::NotAMap);
        assert_eq!(parse_fdinfo(b"").unwrap_err(), MapError::NotAMap);
        assert_eq!(parse_fdinfo(b"prog_type:\t31\nprog_id:\t5\n").unwrap_err(), MapError::NotAMap);
        assert_eq!(parse_fdinfo(b"map_type:\t2\nmap_id:\t5\n").unwrap_err(), MapError::WrongType { found: 2 });
        assert_eq!(parse_fdinfo(b"map_type:\t31\nmap_id:\t5\n").unwrap_err(), MapError::NotAMap);
        assert_eq!(parse_fdinfo(b"map_type:\t99999999999\n").unwrap_err(), MapError::NotAMap);
    }

    #[test]
    fn a_description_of_type_31_that_is_no_rings_is_not_taken_for_one() {
        // What BPF_OBJ_GET_INFO_BY_FD writes for a program of type SYSCALL: a tag where a map has its key and value
        // sizes, and the length of its machine code, here a page, where a map has its size.
        let file = std::fs::File::open("/dev/null").unwrap();
        let page = super::super::rounded_size(1).unwrap();
        let ring = MapInfo { map_type: 31, id: 5, max_entries: page, ..MapInfo::default() };
        assert!(Info::checked(file.as_fd(), ring).is_ok());
        for (key_size, value_size) in [(0xdead_beef, 0), (0, 1)] {
            let program = MapInfo { key_size, value_size, ..ring };
            assert_eq!(Info::checked(file.as_fd(), program).unwrap_err(), MapError::NotAMap);
        }
        let unrounded = MapInfo { max_entries: page + 8, ..ring };
        assert_eq!(Info::checked(file.as_fd(), unrounded).unwrap_err(), MapError::NotAMap);
    }

    #[test]
    fn a_closed_descriptor_is_named_as_such_both_ways() {
        // SAFETY: nothing is open under so high a number; it is only ever refused.
        let closed = unsafe { BorrowedFd::borrow_raw(950) };
        assert_eq!(Info::of(closed).unwrap_err(), MapError::ClosedFd);
        assert_eq!(Info::by_fdinfo(closed).unwrap_err(), MapError::ClosedFd);
    }

    #[test]
    fn numbers_are_written_in_decimal() {
        for (number, text) in [(0, &b"0"[..]), (7, b"7"), (10, b"10"), (u32::MAX, b"4294967295")] {
            let mut buffer = [0; 10];
            write_decimal(number, &mut buffer);
            assert_eq!(&buffer[..text.len()], text);
            assert!(buffer[text.len()..].iter().all(|byte| *byte == 0));
        }
    }
}
