//! A handle: what `user_ring_buffer__new` returns, and what C does with a sample's address.
//!
//! Invariant: a sample's address is that of its bytes in the *first* copy of the data area, as libbpf gives it: a record
//! whose header is the area's last eight bytes has its sample at the area's beginning.

use core::cell::UnsafeCell;
use core::ffi::{c_int, c_void};
use core::mem::ManuallyDrop;
use core::ptr::{self, NonNull};
use core::slice;
use core::time::Duration;

use rustix::fd::{AsRawFd, BorrowedFd};
use user_ringbuf_linux::{Claim, ContiguousMemory, HEADER_LEN, Map, Mapping, MappingRef, Position, Raw, RingPositions};

use crate::errno::Errno;
use crate::waiter::Queue;

/// `struct uringbuf` and `struct user_ring_buffer`: opaque to C.
#[derive(Debug)]
pub struct Ring {
    mapping: Mapping,
    queue: Queue,
    /// Only used under the callers' reservation lock.
    claim: UnsafeCell<Option<Claim>>,
}

/// `struct uringbuf_opts` and `struct user_ring_buffer_opts`.
#[derive(Debug)]
#[repr(C)]
pub struct Options {
    /// Size of the caller's structure, which may be newer than this one.
    pub sz: usize,
}

/// Whether all bytes of the caller's structure beyond ours are zero.
///
/// # Safety
/// `options` is NULL or points to `sz` readable bytes, the first of which are `sz`.
unsafe fn are_known(options: *const Options) -> bool {
    // SAFETY: by the caller's promise. C aligns its structures, and `read_unaligned` costs nothing here.
    let Some(sz) = NonNull::new(options.cast_mut()).map(|options| unsafe { options.read_unaligned() }.sz) else {
        return true;
    };
    // Larger than any object: libbpf, whose count is signed, checks nothing in this case.
    if isize::try_from(sz).is_err() {
        return true;
    }
    let Some(beyond) = sz.checked_sub(size_of::<Options>()) else {
        return false;
    };
    // SAFETY: the structure has `sz` bytes by the caller's promise.
    let tail = unsafe { slice::from_raw_parts(options.add(1).cast::<u8>(), beyond) };
    tail.iter().all(|byte| *byte == 0)
}

/// Memory from `malloc` for one handle; freed unless a handle was put into it.
struct Place(NonNull<Ring>);

impl Place {
    fn new() -> Result<Self, Errno> {
        // SAFETY: `malloc` takes any size and returns memory aligned for any C type; a handle needs no more alignment.
        let place = unsafe { libc::malloc(size_of::<Ring>()) };
        NonNull::new(place.cast()).map(Self).ok_or(Errno(libc::ENOMEM))
    }

    fn fill(self, ring: Ring) -> *mut Ring {
        let place = ManuallyDrop::new(self).0;
        // SAFETY: the memory has room for one handle, and nothing else uses it.
        unsafe { place.write(ring) };
        place.as_ptr()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // SAFETY: it came from `malloc` and holds no handle.
        unsafe { libc::free(self.0.as_ptr().cast()) };
    }
}

const _: () = assert!(align_of::<Ring>() <= 2 * size_of::<usize>(), "malloc aligns no further");

/// Runs `look` on a map that the caller has open.
pub(crate) fn with_map<T>(map_fd: c_int, look: impl FnOnce(&Map) -> Result<T, Errno>) -> Result<T, Errno> {
    if map_fd < 0 {
        return Err(Errno(libc::EBADFD));
    }
    // SAFETY: it isn't -1. The kernel says whether it is open; closing it meanwhile in another thread breaks C's contract.
    let fd = unsafe { BorrowedFd::borrow_raw(map_fd) };
    Map::with_borrowed(fd, look)?
}

/// Opens a handle, in libbpf's order of calls.
///
/// # Safety
/// As for [`are_known`]; and the caller keeps the header's rules for sharing a ring.
pub(crate) unsafe fn open(map_fd: c_int, options: *const Options) -> Result<*mut Ring, Errno> {
    // SAFETY: the caller's promise is passed on.
    if !unsafe { are_known(options) } {
        return Err(Errno(libc::EINVAL));
    }
    let place = Place::new()?;
    let queue = Queue::new()?;
    let mapping = with_map(map_fd, |map| {
        // SAFETY: it is only used through `Raw`, which hands out no slices, and whose contract the C caller keeps.
        let mapping = unsafe { Mapping::unclaimed(map) }?;
        queue.watch(map.as_raw_fd())?;
        Ok(mapping)
    })?;
    Ok(place.fill(Ring { mapping, queue, claim: UnsafeCell::new(None) }))
}

/// # Safety
/// NULL, or a handle that isn't used afterwards.
pub(crate) unsafe fn free(ring: *mut Ring) {
    if let Some(ring) = NonNull::new(ring) {
        let before = Errno::last();
        // SAFETY: `open` put the handle there, in memory from `malloc`.
        unsafe {
            ptr::drop_in_place(ring.as_ptr());
            libc::free(ring.as_ptr().cast());
        }
        before.set();
    }
}

/// # Safety
/// NULL or a handle.
#[inline(always)]
pub(crate) unsafe fn get<'r>(ring: *const Ring) -> Result<&'r Ring, Errno> {
    // SAFETY: by the caller's promise.
    unsafe { ring.as_ref() }.ok_or(Errno(libc::EINVAL))
}

/// The first byte of the data area.
#[inline(always)]
fn data(memory: &MappingRef<'_>) -> *mut u8 {
    // SAFETY: every ring has room for a record at 0, and the header comes before the sample.
    unsafe { memory.payload(0).sub(HEADER_LEN as usize) }
}

/// The address of the sample whose header is at `start`.
#[inline(always)]
fn sample(memory: &MappingRef<'_>, start: Position) -> *mut c_void {
    let offset = start.advance(u64::from(HEADER_LEN)).offset(memory.size());
    // SAFETY: below the ring's size.
    unsafe { data(memory).add(offset as usize) }.cast()
}

/// Reserves. Returns the sample, or NULL with `errno` set.
///
/// # Safety
/// NULL or a handle; called under the callers' reservation lock.
#[inline(always)]
pub(crate) unsafe fn reserve(ring: *const Ring, size: u32) -> *mut c_void {
    // SAFETY: the caller's promise is passed on.
    unsafe {
        if let Some(ring) = ring.as_ref() {
            let raw = ring.raw();
            if let Some(start) = raw.try_reserve(size as usize) {
                return sample(raw.memory(), start);
            }
        }
        reserve_once_more(ring, size)
    }
}

/// Kept out of line, so that `reserve` needs no stack frame.
///
/// # Safety
/// As for [`reserve`].
#[cold]
#[inline(never)]
unsafe fn reserve_once_more(ring: *const Ring, size: u32) -> *mut c_void {
    // SAFETY: the caller's promise is passed on.
    let reserved = unsafe { get(ring) }.and_then(|ring| {
        let raw = ring.raw();
        // SAFETY: the caller's promise is passed on.
        Ok(sample(raw.memory(), unsafe { raw.reserve(size as usize) }?))
    });
    match reserved {
        Ok(sample) => sample,
        Err(why) => why.null(),
    }
}

/// A timeout as libbpf takes it: -1 for none.
pub(crate) fn timeout(ms: c_int) -> Result<Option<Duration>, Errno> {
    match u64::try_from(ms) {
        Ok(ms) => Ok(Some(Duration::from_millis(ms))),
        Err(_) if ms == -1 => Ok(None),
        Err(_) => Err(Errno(libc::EINVAL)),
    }
}

impl Ring {
    /// Takes the mapping's addresses by value, so that they aren't reloaded after a store into the ring.
    #[inline(always)]
    pub(crate) fn raw(&self) -> Raw<MappingRef<'_>> {
        Raw::new(self.mapping.by_value())
    }

    #[inline(always)]
    pub(crate) fn queue(&self) -> &Queue {
        &self.queue
    }

    /// The offset of the header in front of a sample, if there can be a sample at this address.
    #[inline(always)]
    pub(crate) fn header_of(&self, sample: *const c_void) -> Result<u32, Errno> {
        let memory = self.mapping.by_value();
        let from_start = sample.addr().wrapping_sub(data(&memory).addr());
        // Maps any address into the ring and back. Only an address that can be a sample's comes back unchanged: inside the
        // ring, and a multiple of 8.
        let mask = (memory.size().bytes() - HEADER_LEN) as usize;
        let header = from_start.wrapping_sub(HEADER_LEN as usize) & mask;
        let back = header.wrapping_add(HEADER_LEN as usize) & mask;
        match u32::try_from(header) {
            Ok(header) if back == from_start => Ok(header),
            _ => Err(Errno(libc::EINVAL)),
        }
    }

    /// # Safety
    /// Called under the callers' reservation lock.
    pub(crate) unsafe fn reserve_blocking(&self, size: u32, timeout_ms: c_int) -> Result<*mut c_void, Errno> {
        let timeout = timeout(timeout_ms)?;
        // SAFETY: the caller's promise is passed on.
        match unsafe { self.raw().reserve_blocking(size as usize, &mut self.queue.waiter(), timeout) } {
            Ok(start) => Ok(sample(&self.mapping.by_value(), start)),
            Err(why) => Err(match Errno::from(why) {
                // libbpf passes on the errno of the last attempt.
                Errno(libc::ETIMEDOUT) => Errno(libc::ENOSPC),
                errno => errno,
            }),
        }
    }

    /// # Safety
    /// `sample` was reserved on this ring and not submitted or discarded since; otherwise the ring's contents are at risk.
    #[inline(always)]
    pub(crate) unsafe fn submit(&self, sample: *const c_void) -> Result<(), Errno> {
        let offset = self.header_of(sample)?;
        // SAFETY: `header_of` gives a multiple of 8 below the size; the rest is the caller's promise.
        busy(unsafe { self.raw().submit(offset) })
    }

    /// # Safety
    /// As for [`submit`](Self::submit).
    #[inline(always)]
    pub(crate) unsafe fn discard(&self, sample: *const c_void) -> Result<(), Errno> {
        let offset = self.header_of(sample)?;
        // SAFETY: as in `submit`.
        busy(unsafe { self.raw().discard(offset) })
    }

    /// # Safety
    /// Called under the callers' reservation lock.
    pub(crate) unsafe fn claim(&self, map: &Map) -> Result<(), Errno> {
        let claim = Mapping::claim(map)?;
        // SAFETY: under the lock nothing else uses it.
        unsafe { *self.claim.get() = Some(claim) };
        Ok(())
    }
}

/// No busy record at the address: the sample was submitted before, or never was one.
#[inline(always)]
pub(crate) fn busy(found: bool) -> Result<(), Errno> {
    if found { Ok(()) } else { Err(Errno(libc::EINVAL)) }
}
