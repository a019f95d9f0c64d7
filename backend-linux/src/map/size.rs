//! The sizes that a user ring buffer may have.
//!
//! Kernel counterpart: `ringbuf_map_alloc` in `kernel/bpf/ringbuf.c`, which takes a power of two that is a multiple
//! of the page size; the field that carries it has 32 bits.

use user_ringbuf_core::RingSize;

use super::MapError;

/// The largest size of a user ring buffer in bytes: 2 GiB (2^31).
pub const MAX_SIZE: u32 = RingSize::MAX;

/// Rounds `size` (bytes) up to what the kernel takes: a power-of-two multiple of the page size.
///
/// libbpf's loader rounds a declared `max_entries` in the same way. The page size is that of the running system.
///
/// # Errors
///
/// [`MapError::SizeZero`] for 0 and [`MapError::SizeTooLarge`] for more than [`MAX_SIZE`].
///
/// ```
/// use user_ringbuf_linux::rounded_size;
///
/// let page = rounded_size(1)?;
/// assert_eq!(rounded_size(u64::from(page) + 1)?, 2 * page);
/// # Ok::<(), user_ringbuf_linux::MapError>(())
/// ```
pub fn rounded_size(size: u64) -> Result<u32, MapError> {
    round(size, rustix::param::page_size())
}

/// Takes `size` if it is one that the kernel takes as it stands, else says which is next.
pub(super) fn exact_size(size: u64) -> Result<u32, MapError> {
    let next = rounded_size(size)?;
    if u64::from(next) == size { Ok(next) } else { Err(MapError::SizeNotRounded { size, next }) }
}

fn round(size: u64, page: usize) -> Result<u32, MapError> {
    if size == 0 {
        return Err(MapError::SizeZero);
    }
    let too_large = MapError::SizeTooLarge { size, max: MAX_SIZE };
    let size = u32::try_from(size).map_err(|_| too_large)?;
    let page = u32::try_from(page).map_err(|_| too_large)?;
    // Pages are powers of two, so the larger of two powers of two is a multiple of the page.
    size.max(page).checked_next_power_of_two().ok_or(too_large)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_rounded_up_to_the_next_power_of_two_of_pages() {
        for page in [4096_u32, 16384, 65536] {
            let round = |size: u64| round(size, usize::try_from(page).unwrap());
            assert_eq!(round(1), Ok(page));
            assert_eq!(round(u64::from(page)), Ok(page));
            assert_eq!(round(u64::from(page) + 1), Ok(2 * page));
            assert_eq!(round(3 * u64::from(page)), Ok(4 * page));
            assert_eq!(round((1 << 30) + 1), Ok(MAX_SIZE));
            assert_eq!(round(1 << 31), Ok(MAX_SIZE));
        }
    }

    #[test]
    fn zero_and_more_than_two_gib_are_refused() {
        assert_eq!(round(0, 4096), Err(MapError::SizeZero));
        for size in [(1 << 31) + 1, 1 << 32, (1 << 32) + 4096, u64::MAX] {
            assert_eq!(round(size, 4096), Err(MapError::SizeTooLarge { size, max: MAX_SIZE }));
        }
    }

    #[test]
    fn an_unrounded_size_names_the_next_valid_one() {
        let page = rounded_size(1).unwrap();
        let size = u64::from(page) + 1;
        assert_eq!(exact_size(size), Err(MapError::SizeNotRounded { size, next: 2 * page }));
        assert_eq!(exact_size(u64::from(page)), Ok(page));
    }
}
