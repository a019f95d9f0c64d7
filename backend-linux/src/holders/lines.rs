//! The lines of a file under `/proc`, without an allocator.

use rustix::fd::BorrowedFd;
use rustix::io::{Errno, read, retry_on_intr};

/// Longer lines are cut here. Those that are looked for have at most some 110 bytes.
const LONGEST: usize = 160;

/// Whether `is` holds of any line.
pub(super) fn any_line(file: BorrowedFd<'_>, is: impl FnMut(&[u8]) -> bool) -> Result<bool, Errno> {
    any_line_of(|buffer| retry_on_intr(|| read(file, &mut *buffer)), is)
}

/// The number in a line that begins with `name`: `map_id:<tab>7`.
pub(super) fn number(line: &[u8], name: &[u8]) -> Option<u32> {
    core::str::from_utf8(line.strip_prefix(name)?).ok()?.trim().parse().ok()
}

fn any_line_of(
    mut read: impl FnMut(&mut [u8]) -> Result<usize, Errno>,
    mut is: impl FnMut(&[u8]) -> bool,
) -> Result<bool, Errno> {
    let (mut buffer, mut line, mut len) = ([0; 1024], [0; LONGEST], 0);
    loop {
        let count = read(&mut buffer)?;
        if count == 0 {
            return Ok(len > 0 && is(line.get(..len).unwrap_or_default()));
        }
        for byte in buffer.iter().take(count) {
            if *byte == b'\n' {
                if is(line.get(..len).unwrap_or_default()) {
                    return Ok(true);
                }
                len = 0;
            } else if let Some(place) = line.get_mut(len) {
                *place = *byte;
                len += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn lines(mut text: &[u8], step: usize) -> Vec<Vec<u8>> {
        let mut seen = Vec::new();
        let read = |buffer: &mut [u8]| {
            let (now, rest) = text.split_at(text.len().min(step).min(buffer.len()));
            text = rest;
            buffer[..now.len()].copy_from_slice(now);
            Ok(now.len())
        };
        let found = any_line_of(read, |line| {
            seen.push(line.to_vec());
            false
        });
        assert_eq!(found, Ok(false));
        seen
    }

    #[test]
    fn lines_come_whole_wherever_a_read_ends() {
        for step in [1, 2, 7, 4096] {
            assert_eq!(lines(b"one\n\nthree\nno newline", step), [&b"one"[..], b"", b"three", b"no newline"]);
            assert_eq!(lines(b"", step), Vec::<Vec<u8>>::new());
            let mut long = std::vec![b'x'; 5000];
            long.extend(b"\nnext\n");
            assert_eq!(lines(&long, step), [&[b'x'; LONGEST][..], b"next"]);
        }
    }

    #[test]
    fn what_can_not_be_read_is_an_error() {
        assert_eq!(any_line_of(|_| Err(Errno::ACCESS), |_| true), Err(Errno::ACCESS));
    }
}
