//! Sizes on the command line.

/// Reads a size: bytes, or with a suffix K, M or G of 1024, its square or its cube.
pub(crate) fn parse(text: &str) -> Result<u64, String> {
    let (digits, shift) = match text.char_indices().next_back() {
        Some((at, 'K' | 'k')) => (&text[..at], 10),
        Some((at, 'M' | 'm')) => (&text[..at], 20),
        Some((at, 'G' | 'g')) => (&text[..at], 30),
        _ => (text, 0),
    };
    let number: u64 = digits.parse().map_err(|error| format!("{error}; give bytes, or a number with K, M or G"))?;
    number.checked_mul(1 << shift).ok_or_else(|| "more bytes than 64 bits count".to_owned())
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn sizes_are_bytes_or_carry_a_suffix() {
        assert_eq!(parse("0"), Ok(0));
        assert_eq!(parse("4096"), Ok(4096));
        assert_eq!(parse("256K"), Ok(256 * 1024));
        assert_eq!(parse("3m"), Ok(3 << 20));
        assert_eq!(parse("2G"), Ok(2 << 30));
        assert_eq!(parse("18446744073709551615"), Ok(u64::MAX));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "K", "-1", "1.5M", "10 K", "1KB", "0x10", "18446744073709551616", "17179869184G", "4096\u{e9}"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
