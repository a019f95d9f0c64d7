//! The window onto the input: the bytes that were read and not yet taken, in one stretch.
//!
//! Invariant: `start <= end <= buffer.len()`. The buffer grows only when what must be kept fills it, so it stays
//! below twice what the parser may ask to keep.

use std::io::{self, ErrorKind, Read};

/// Bytes to read at a time, if there is room: this fits a second-level cache beside the ring.
const CHUNK: usize = 128 * 1024;

#[derive(Debug)]
pub(super) struct Input<R> {
    from: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl<R: Read> Input<R> {
    pub(super) fn new(from: R) -> Self {
        Self { from, buffer: vec![0; CHUNK], start: 0, end: 0 }
    }

    /// The bytes that were read and not yet taken.
    pub(super) fn window(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Takes `bytes` bytes off the window's beginning.
    pub(super) fn advance(&mut self, bytes: usize) {
        self.start = self.start.saturating_add(bytes).min(self.end);
    }

    /// Reads once, behind the window. Returns false at the end of the input.
    pub(super) fn fill(&mut self) -> io::Result<bool> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == self.buffer.len() {
            self.buffer.resize(self.buffer.len().saturating_mul(2), 0);
        }
        loop {
            match self.from.read(self.buffer.get_mut(self.end..).unwrap_or_default()) {
                Ok(count) => {
                    self.end = self.end.saturating_add(count).min(self.buffer.len());
                    return Ok(count > 0);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives `0, 1, 2, ..` in pieces of 1000 bytes, each after an interruption.
    struct Counting {
        next: u8,
        interrupted: bool,
    }

    impl Read for Counting {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            self.interrupted = !self.interrupted;
            if self.interrupted {
                return Err(ErrorKind::Interrupted.into());
            }
            let count = into.len().min(1000);
            for byte in &mut into[..count] {
                *byte = self.next;
                self.next = self.next.wrapping_add(1);
            }
            Ok(count)
        }
    }

    #[test]
    fn the_window_is_the_input_in_order_and_the_buffer_grows_only_with_what_is_kept() {
        let mut input = Input::new(Counting { next: 0, interrupted: false });
        let mut want = 0_u8;
        for _ in 0..10_000 {
            assert!(input.fill().unwrap());
            let kept = 7.min(input.window().len());
            let taken = input.window().len() - kept;
            for byte in &input.window()[..taken] {
                assert_eq!(*byte, want);
                want = want.wrapping_add(1);
            }
            input.advance(taken);
        }
        assert_eq!(input.buffer.len(), CHUNK);

        while input.window().len() <= 3 * CHUNK {
            assert!(input.fill().unwrap());
        }
        assert_eq!(input.window()[0], want);
        assert_eq!(input.buffer.len(), 4 * CHUNK);
    }

    #[test]
    fn the_end_is_seen_and_keeps_the_window() {
        let mut input = Input::new(&b"abc"[..]);
        assert!(input.fill().unwrap());
        input.advance(1);
        assert!(!input.fill().unwrap());
        assert_eq!(input.window(), b"bc");
        input.advance(100);
        assert_eq!(input.window(), b"");
    }
}
