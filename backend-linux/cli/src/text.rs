//! Bytes that others chose, such as names of files, as text that is safe to print.

use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The path as text: control characters, backslashes and what is not UTF-8 are escaped as in `\n`, `\\` and `\xff`.
pub(crate) fn printable(path: &Path) -> String {
    let mut text = String::new();
    for chunk in path.as_os_str().as_bytes().utf8_chunks() {
        for character in chunk.valid().chars() {
            if character.is_control() || character == '\\' {
                text.extend(character.escape_default());
            } else {
                text.push(character);
            }
        }
        for byte in chunk.invalid() {
            // Writing to a string does not fail.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// The path as one word of a shell's command line: quoted where it must be, in bash's way where it can't be printed.
pub(crate) fn shell_word(path: &Path) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/_.,:@%+=-".contains(byte);
    let bytes = path.as_os_str().as_bytes();
    match path.to_str() {
        Some(text) if !bytes.is_empty() && bytes.iter().all(plain) => text.to_owned(),
        Some(text) if !text.chars().any(char::is_control) => format!("'{}'", text.replace('\'', r"'\''")),
        _ => format!("$'{}'", bytes.escape_ascii()),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    fn path(bytes: &[u8]) -> &Path {
        Path::new(OsStr::from_bytes(bytes))
    }

    #[test]
    fn what_can_not_be_printed_is_escaped() {
        assert_eq!(printable(path(b"/sys/fs/bpf/ring")), "/sys/fs/bpf/ring");
        assert_eq!(printable(path("/b\u{e9}\u{9b}".as_bytes())), "/b\u{e9}\\u{9b}");
        assert_eq!(printable(path(b"/a\x1b[2J\n\\\xff")), "/a\\u{1b}[2J\\n\\\\\\xff");
    }

    #[test]
    fn a_word_for_the_shell_is_quoted_only_where_it_must_be() {
        assert_eq!(shell_word(path(b"/sys/fs/bpf/ring_1")), "/sys/fs/bpf/ring_1");
        assert_eq!(shell_word(path(b"/my ring's")), r"'/my ring'\''s'");
        assert_eq!(shell_word(path(b"/a\x1b\xff'")), r"$'/a\x1b\xff\''");
        assert_eq!(shell_word(path(b"")), "''");
    }
}
