//! Sizes on the command line.

use user_ringbuf_linux::rounded_size;

/// Reads a size: bytes, or a number with one of the units K, M and G, which are powers of 1024. `KB` and `KiB` mean K.
pub(crate) fn parse(text: &str) -> Result<u64, String> {
    let end = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let shift = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        _ => return Err(EXPECTED.to_owned()),
    };
    if digits.is_empty() {
        return Err(EXPECTED.to_owned());
    }
    let number = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(1 << shift));
    number.ok_or_else(|| format!("the limit is {} bytes", u64::MAX))
}

const EXPECTED: &str = "expected a whole number of bytes, or one with a unit: K, KB or KiB (1024 bytes), M, MB or MiB \
                        (1024 K), G, GB or GiB (1024 M)";

/// Reads the size of a ring, as [`parse`] does, and refuses one that no ring can have.
pub(crate) fn parse_ring(text: &str) -> Result<u64, String> {
    let size = parse(text)?;
    rounded_size(size).map(|_| size).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_bytes_or_carry_a_unit() {
        assert_eq!(parse("0"), Ok(0));
        assert_eq!(parse("4096"), Ok(4096));
        for unit in ["K", "k", "KB", "kB", "KiB", "kib"] {
            assert_eq!(parse(&format!("256{unit}")), Ok(256 << 10), "{unit}");
        }
        assert_eq!((parse("3m"), parse("1MB"), parse("1MiB")), (Ok(3 << 20), Ok(1 << 20), Ok(1 << 20)));
        assert_eq!((parse("2G"), parse("1GB"), parse("1GiB")), (Ok(2 << 30), Ok(1 << 30), Ok(1 << 30)));
        assert_eq!((parse("7B"), parse("18446744073709551615")), (Ok(7), Ok(u64::MAX)));
    }

    #[test]
    fn anything_else_is_refused_with_the_units_or_the_limit() {
        for text in ["", "K", "-1", "1.5M", "10 K", "1Ki", "1KBs", "0x10", "4096\u{e9}"] {
            assert!(parse(text).is_err_and(|why| why.contains("KiB")), "{text}");
        }
        for text in ["18446744073709551616", "17179869184G"] {
            assert!(parse(text).is_err_and(|why| why.contains("18446744073709551615")), "{text}");
        }
    }

    #[test]
    fn a_rings_size_has_limits_of_its_own() {
        assert_eq!((parse_ring("1"), parse_ring("2G")), (Ok(1), Ok(2 << 30)));
        assert!(parse_ring("0").is_err_and(|why| why.contains("size 0")));
        assert!(parse_ring("3G").is_err_and(|why| why.contains("2147483648")));
    }
}
