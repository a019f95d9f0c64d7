//! The path that an error names.
//!
//! Errors are `Copy` and need no allocator, so the path is kept inline. Of a path too long for that the end is kept,
//! which says more than the beginning.

use core::ffi::CStr;
use core::fmt::{self, Write};

/// A path in an error: all of it, or the end of one that is longer than [`MAX`](Self::MAX) bytes.
///
/// As text, `...` stands for what was cut off. Control characters are escaped, and what is not UTF-8 is replaced.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PathTail {
    bytes: [u8; Self::MAX],
    kept: u8,
    cut: bool,
}

impl PathTail {
    /// Most bytes that are kept.
    pub const MAX: usize = 96;

    pub(super) fn of(path: &CStr) -> Self {
        let path = path.to_bytes();
        let from = path.len().saturating_sub(Self::MAX);
        let cut = from > 0;
        let end = path.get(from..).unwrap_or_default();
        // A character that was cut in two is cut off: at most three bytes of it are left.
        let partial = if cut { end.iter().take(3).take_while(|byte| **byte & 0xc0 == 0x80).count() } else { 0 };
        let mut tail = Self { bytes: [0; Self::MAX], kept: 0, cut };
        for (to, from) in tail.bytes.iter_mut().zip(end.iter().skip(partial)) {
            *to = *from;
            tail.kept = tail.kept.saturating_add(1);
        }
        tail
    }

    /// The bytes that were kept.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.kept)).unwrap_or_default()
    }

    /// Whether the path is longer, and this is its end.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.cut
    }
}

impl fmt::Display for PathTail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.cut {
            f.write_str("...")?;
        }
        for chunk in self.as_bytes().utf8_chunks() {
            for character in chunk.valid().chars() {
                if character.is_control() {
                    write!(f, "{}", character.escape_default())?;
                } else {
                    f.write_char(character)?;
                }
            }
            if !chunk.invalid().is_empty() {
                f.write_char(char::REPLACEMENT_CHARACTER)?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for PathTail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;
    use std::string::ToString;

    use super::*;

    fn tail(path: &[u8]) -> PathTail {
        PathTail::of(&CString::new(path).unwrap())
    }

    #[test]
    fn a_path_is_kept_and_of_a_long_one_the_end() {
        assert_eq!(tail(b"/sys/fs/bpf/ring").to_string(), "/sys/fs/bpf/ring");
        assert_eq!((tail(b"").to_string().as_str(), tail(b"").is_cut()), ("", false));
        let longest = [b'x'; PathTail::MAX];
        assert_eq!((tail(&longest).as_bytes(), tail(&longest).is_cut()), (&longest[..], false));
        let longer = [&b"/a"[..], &longest].concat();
        assert_eq!((tail(&longer).as_bytes(), tail(&longer).is_cut()), (&longest[..], true));
        assert!(tail(&longer).to_string().starts_with("...xxx"));
    }

    #[test]
    fn no_character_is_cut_in_two_and_none_reaches_a_terminal_as_a_command() {
        // The first byte of the umlaut is the last one that is cut off.
        let path = ["/", "\u{fc}", &"x".repeat(PathTail::MAX - 1)].concat();
        assert_eq!(tail(path.as_bytes()).to_string(), std::format!("...{}", "x".repeat(PathTail::MAX - 1)));
        assert_eq!(tail(b"/a\x1b[2J\xff\n").to_string(), "/a\\u{1b}[2J\u{fffd}\\n");
    }
}
