//! The 8-byte record header: a length word with two flag bits, and a pad word.
//!
//! ```text
//!  byte 0                          4                           8
//!  +------+---------+--------------+---------------------------+----------------+-----------+
//!  | BUSY | DISCARD | length       | pad: written as 0,        | sample:        | padding   |
//!  | 31   | 30      | bits 29..0   | never read by the kernel  | length bytes   | up to 8 n |
//!  +------+---------+--------------+---------------------------+----------------+-----------+
//!  '------------ len, native endian -----------' '- pad -'
//! ```
//!
//! Kernel counterpart: `struct bpf_ringbuf_hdr` as `__bpf_user_ringbuf_peek` reads it.

/// Length of a record header in bytes (`BPF_RINGBUF_HDR_SZ`).
pub const HEADER_LEN: u32 = 8;

/// Bit 31 of the length word (`BPF_RINGBUF_BUSY_BIT`): reserved, not yet submitted. The kernel stops in front of it.
pub const BUSY_BIT: u32 = 1 << 31;

/// Bit 30 of the length word (`BPF_RINGBUF_DISCARD_BIT`): the kernel skips the record, busy or not.
pub const DISCARD_BIT: u32 = 1 << 30;

/// What the kernel does when it reaches a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RecordState {
    /// The kernel hands the sample to the BPF program.
    Submitted,
    /// The kernel stops here; everything behind the record waits.
    Busy,
    /// The kernel skips the record.
    Discarded,
}

/// The length word of a record header, flags included.
///
/// Any 32-bit value is a `Header`: the type says what the bits mean, not whether the kernel accepts them.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Header(u32);

impl Header {
    /// The header of a submitted sample of `len` bytes. Bits 31 and 30 of `len` are dropped.
    #[inline]
    pub const fn submitted(len: u32) -> Self {
        Self(len & !(BUSY_BIT | DISCARD_BIT))
    }

    /// The header of a sample of `len` bytes that is reserved and not yet submitted. Bits 31 and 30 of `len` are
    /// dropped.
    #[inline]
    pub const fn busy(len: u32) -> Self {
        Self(Self::submitted(len).0 | BUSY_BIT)
    }

    /// The header of a record with `len` bytes behind it that the kernel skips. Bits 31 and 30 of `len` are dropped.
    #[inline]
    pub const fn discarded(len: u32) -> Self {
        Self(Self::submitted(len).0 | DISCARD_BIT)
    }

    /// The header with this length word, flags included.
    #[inline]
    pub const fn from_word(word: u32) -> Self {
        Self(word)
    }

    /// The length word, flags included. In memory it stands in native byte order.
    #[inline]
    pub const fn word(self) -> u32 {
        self.0
    }

    /// The length word and a zero pad word as one `u64`: written in native byte order, it gives the eight bytes of the
    /// header.
    #[inline]
    pub const fn with_pad(self) -> u64 {
        let word = self.0.to_ne_bytes();
        u64::from_ne_bytes([word[0], word[1], word[2], word[3], 0, 0, 0, 0])
    }

    /// The sample's length in bytes, flags removed: at most 2^30 - 1.
    #[inline]
    pub const fn len(self) -> u32 {
        self.0 & !(BUSY_BIT | DISCARD_BIT)
    }

    /// Whether the sample is empty, which is legal.
    #[inline]
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// What the kernel does with this record. The discard bit takes precedence over the busy bit, as in
    /// `__bpf_user_ringbuf_peek`.
    #[inline]
    pub const fn state(self) -> RecordState {
        if self.0 & DISCARD_BIT != 0 {
            RecordState::Discarded
        } else if self.0 & BUSY_BIT != 0 {
            RecordState::Busy
        } else {
            RecordState::Submitted
        }
    }
}

impl core::fmt::Debug for Header {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Header({:?}, len {})", self.state(), self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flag_combination_at_every_boundary_length_reads_back() {
        let lengths = (0..=1024).chain((1 << 24) - 8..=(1 << 24) + 8).chain((1 << 30) - 8..1 << 30);
        for len in lengths {
            assert_eq!(Header::submitted(len).word(), len);
            assert_eq!(Header::busy(len).word(), len | 0x8000_0000);
            assert_eq!(Header::discarded(len).word(), len | 0x4000_0000);
            for (flags, state) in [
                (0, RecordState::Submitted),
                (BUSY_BIT, RecordState::Busy),
                (DISCARD_BIT, RecordState::Discarded),
                (BUSY_BIT | DISCARD_BIT, RecordState::Discarded),
            ] {
                let header = Header::from_word(len | flags);
                assert_eq!((header.len(), header.is_empty(), header.state()), (len, len == 0, state));
            }
        }
    }

    #[test]
    fn flag_bits_in_a_length_never_reach_the_header() {
        assert_eq!(Header::submitted(u32::MAX), Header::submitted((1 << 30) - 1));
        assert_eq!(Header::busy(u32::MAX).state(), RecordState::Busy);
        assert_eq!(Header::discarded(u32::MAX).state(), RecordState::Discarded);
    }

    #[test]
    fn the_pad_word_is_zero_and_comes_second() {
        let bytes = Header::busy(0x0012_3456).with_pad().to_ne_bytes();
        assert_eq!(bytes[..4], 0x8012_3456_u32.to_ne_bytes());
        assert_eq!(bytes[4..], [0; 4]);
    }
}
