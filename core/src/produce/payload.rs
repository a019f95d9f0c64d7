//! The bytes of a sample in the ring while its owner fills them.
//!
//! Invariant: the record that begins at `start`, with its whole extent, belongs to the value, so nothing else writes
//! there until it is gone. Producers of this process write their samples through here. Kernel counterpart: none; the
//! kernel does not look at the bytes before the record is submitted.
//!
//! **One byte, two addresses.** A sample that passes the end of the data area continues in the second mapping of its
//! beginning. If it is dropped or shortened, the next record's header or sample is written to the same bytes through
//! the first mapping, by plain stores. The processor keeps two stores to one byte in order whatever their virtual
//! addresses, since coherence goes by the physical address. The compiler knows only the virtual addresses, and might
//! swap the stores. So there is a compiler fence wherever bytes that were given up are used again. If the kernel freed
//! the bytes, no fence is needed: the room comes from the acquire load of a position that the kernel stores after it
//! has seen the release that gave the bytes up.

use core::fmt;
use core::ops::{Deref, DerefMut};
use core::slice;
use core::sync::atomic::{Ordering, compiler_fence};

use crate::format::header::Header;
use crate::format::layout::SampleLen;
use crate::format::position::Position;
use crate::seam::memory::{ContiguousMemory, RingMemory};

/// The bytes of a reserved sample: write them in any order, at any offset.
///
/// Over plain memory ([`ContiguousMemory`]: the kernel's ring, the ordinary simulated one) it dereferences to `[u8]`.
/// The first byte lies at a multiple of 8 in memory, so a struct whose alignment is at most 8 can be written in place.
/// Bytes that are not written hold whatever an earlier sample left there.
///
/// `Payload` is unsized, so it can't be moved out of its sample or swapped:
/// ```compile_fail,E0277
/// # fn show<M: user_ringbuf_core::RingMemory>(
/// #     one: &mut user_ringbuf_core::DetachedSample<M>, other: &mut user_ringbuf_core::DetachedSample<M>) {
/// std::mem::swap(&mut **one, &mut **other);
/// # }
/// ```
#[derive(Debug)]
pub struct Payload<M: RingMemory, Unsized: ?Sized = [()]> {
    memory: M,
    start: Position,
    /// Offset of the header in the data area: that of `start`.
    offset: u32,
    len: SampleLen,
    _unsized: Unsized,
}

/// A length or a range of bytes that does not lie within the sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BeyondSample {
    /// First byte asked for, counted from the beginning of the sample; 0 if a length was asked for.
    pub at: usize,
    /// Bytes asked for.
    pub len: usize,
    /// Bytes that the sample has.
    pub reserved: u32,
}

impl fmt::Display for BeyondSample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes at {} do not lie within the {} bytes reserved", self.len, self.at, self.reserved)
    }
}

impl core::error::Error for BeyondSample {}

/// Keeps the compiler from moving writes to bytes that were given up behind the next writes to the same bytes, which
/// may use another address: see the module's documentation. It compiles to no instruction.
#[inline(always)]
pub(crate) fn taken_up_again() {
    compiler_fence(Ordering::AcqRel);
}

/// A [`Payload`] as its sample holds it: sized, so that the sample can move it.
pub(crate) type OwnPayload<M> = Payload<M, [(); 0]>;

impl<M: RingMemory> OwnPayload<M> {
    /// The payload of a record that begins at `start`.
    ///
    /// # Safety
    /// `start` is a multiple of 8, and the `len.extent()` bytes from there belong to the caller: free space that
    /// nothing else takes, or part of a record that the caller reserved. `len` was checked against this memory's size.
    #[inline(always)]
    pub(crate) unsafe fn new(memory: M, start: Position, len: SampleLen) -> Self {
        taken_up_again();
        let offset = start.offset(memory.size());
        Self { memory, start, offset, len, _unsized: [] }
    }
}

impl<M: RingMemory, Unsized: ?Sized> Payload<M, Unsized> {
    /// Length of the sample, in bytes.
    #[inline]
    pub fn len(&self) -> usize {
        self.len.bytes() as usize
    }

    /// Whether the sample is empty, which is legal.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len.bytes() == 0
    }

    /// Position at which the record begins.
    #[inline]
    pub fn start(&self) -> Position {
        self.start
    }

    /// Writes `bytes` into the sample, `at` bytes from its beginning.
    ///
    /// # Errors
    /// [`BeyondSample`] if the bytes don't all lie within the sample. Nothing is written then.
    #[inline]
    pub fn write(&mut self, at: usize, bytes: &[u8]) -> Result<(), BeyondSample> {
        let at = self.within(at, bytes.len())?;
        // SAFETY: the record is ours (`new`), and `within` has checked the stretch against its length.
        unsafe { self.memory.write_payload(self.offset(), at, bytes) };
        Ok(())
    }

    /// Sets `len` bytes to `byte`, beginning `at` bytes from the beginning of the sample.
    ///
    /// # Errors
    /// [`BeyondSample`] if the bytes don't all lie within the sample. Nothing is written then.
    #[inline]
    pub fn fill_range(&mut self, at: usize, len: usize, byte: u8) -> Result<(), BeyondSample> {
        let at32 = self.within(at, len)?;
        #[expect(clippy::cast_possible_truncation, reason = "at most the sample's length, a u32: `within` checked it")]
        let len = len as u32;
        // SAFETY: as in `write`.
        unsafe { self.memory.fill_payload(self.offset(), at32, byte, len) };
        Ok(())
    }

    /// Makes the sample `len` bytes long. The bytes given up need not be written.
    ///
    /// # Errors
    /// [`BeyondSample`] if `len` is longer than the sample, which is then unchanged.
    #[inline]
    pub fn shorten(&mut self, len: usize) -> Result<(), BeyondSample> {
        let beyond = BeyondSample { at: 0, len, reserved: self.len.bytes() };
        self.len = self.len.shortened(len).ok_or(beyond)?;
        Ok(())
    }

    /// Writes `bytes`, which are as long as the sample.
    #[inline]
    pub(crate) fn write_whole(&mut self, bytes: &[u8]) {
        let fits = &bytes[..bytes.len().min(self.len())];
        // SAFETY: the record is ours (`new`), and the stretch was cut to its length.
        unsafe { self.memory.write_payload(self.offset(), 0, fits) };
    }

    /// Writes the header of a record that is about to be published. Returns the position at which the record ends.
    #[inline]
    pub(crate) fn finish(&mut self) -> Position {
        self.write_header(Header::submitted(self.len.bytes()));
        self.start.advance(u64::from(self.len.extent()))
    }

    /// Writes the record's header, which is not visible yet.
    #[inline]
    pub(crate) fn write_header(&mut self, header: Header) {
        // SAFETY: the record is ours (`new`), so its first eight bytes are.
        unsafe { self.memory.write_header(self.offset(), header) };
    }

    /// Writes a header at `at`, which is not visible yet.
    ///
    /// # Safety
    /// `at` is a multiple of 8, and the eight bytes there belong to the caller.
    #[inline]
    pub(crate) unsafe fn write_header_at(&mut self, at: Position, header: Header) {
        // The bytes may be those of a sample that was shortened.
        taken_up_again();
        // SAFETY: the caller's promise is passed on; an offset is below the size.
        unsafe { self.memory.write_header(at.offset(self.memory.size()), header) };
    }

    /// Makes the sample `len` bytes long, shorter or longer.
    ///
    /// # Safety
    /// As for [`new`](Self::new).
    #[inline]
    pub(crate) unsafe fn set_len(&mut self, len: SampleLen) {
        taken_up_again();
        self.len = len;
    }

    /// Moves the payload to the record that begins at `start`.
    ///
    /// # Safety
    /// As for [`new`](Self::new), before anything is written there.
    #[inline]
    pub(crate) unsafe fn move_to(&mut self, start: Position) {
        self.start = start;
        self.offset = start.offset(self.memory.size());
    }

    /// The sample's length as it was checked at reservation, or shortened since.
    #[inline]
    pub(crate) fn sample_len(&self) -> SampleLen {
        self.len
    }

    #[inline]
    pub(crate) fn memory(&self) -> &M {
        &self.memory
    }

    /// Offset of the record's header in the data area.
    #[inline(always)]
    pub(crate) fn offset(&self) -> u32 {
        self.offset
    }

    #[inline]
    fn within(&self, at: usize, len: usize) -> Result<u32, BeyondSample> {
        let reserved = self.len.bytes();
        let beyond = BeyondSample { at, len, reserved };
        let end = at.checked_add(len).ok_or(beyond)?;
        if end > reserved as usize {
            return Err(beyond);
        }
        u32::try_from(at).map_err(|_| beyond)
    }
}

impl<M: ContiguousMemory, Unsized: ?Sized> Deref for Payload<M, Unsized> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        // SAFETY: the record is ours (`new`), so nothing in this process writes these bytes while we are borrowed; the
        // memory vouches for the pointer (`ContiguousMemory`, obligation 1), and mapped bytes are initialised.
        unsafe { slice::from_raw_parts(self.memory.payload(self.offset()), self.len()) }
    }
}

impl<M: ContiguousMemory, Unsized: ?Sized> DerefMut for Payload<M, Unsized> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`; `&mut self` makes the borrow exclusive.
        unsafe { slice::from_raw_parts_mut(self.memory.payload(self.offset()), self.len()) }
    }
}
