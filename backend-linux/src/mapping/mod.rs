//! The map's memory: the positions and the data area of the real kernel, as the core's seam asks for them.
//!
//! mmap offsets on the map, in pages: 0 is the consumer page (the kernel allows only reading), 1 the producer page;
//! from 2 on the data area follows twice in a row, so that a record which passes the end is contiguous. Kernel
//! counterpart: `ringbuf_map_mmap_user` and `bpf_ringbuf_area_alloc`.

mod by_value;
#[cfg(feature = "std")]
mod consumer_page;
mod error;
mod read_only;
mod region;
mod view;

use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, AtomicU64};

use rustix::fd::AsFd;
use user_ringbuf_core::{RingSize, forward_memory};

pub use crate::claim::Claim;
use crate::claim::{Generation, Refused};
use crate::holders::claimant_of;
use crate::map::Map;
pub use by_value::MappingRef;
#[cfg(feature = "std")]
pub(crate) use consumer_page::ConsumerPage;
pub use error::MappingError;
use region::Region;
pub use view::MappingView;

/// A user ring buffer mapped for producing: the consumer page read-only, the rest read-write.
///
/// After construction nothing here makes a system call or allocates, and no access faults: the kernel has populated all
/// pages. Dropping it unmaps the memory; the map itself lives as long as a handle, a pin or a mapping of it.
///
/// It relies on the layout of the kernel's `ringbuf_map_mmap_user`: the consumer page, which user space can't map
/// writable, the producer page, and the data area twice in a row.
///
/// # One producer
/// On the whole machine a ring has one mapping for producing at a time: the mapping holds the *claim* on its ring. A
/// second one in this process is refused with [`MappingError::AlreadyMapped`], since samples are lent as slices and two
/// producers would write the same bytes. (Threads share one mapping instead, by reference or by `Arc`.) One in another
/// process is refused with [`MappingError::Claimed`], however that process got the map. The claim ends with the mapping
/// or with the process, even if the process is killed. [`unclaimed`](Self::unclaimed) is for processes that share a
/// ring on purpose.
///
/// The claim is an advisory lock on a byte that stands for the map's id. It binds only those who take it:
/// - It does not keep out producers that take no claim, such as libbpf's. They are noticed when the next sample is
///   reserved.
/// - Any process may lock that byte, even one that can't open the map. Mapping is refused while it does.
/// - The lock belongs to a descriptor (an eventfd) that this crate opens at the first claim and keeps open. A process
///   that closes descriptors it did not open (`close_range`) loses its claims.
/// - After a fork the child holds that descriptor too. If the parent ends first, its claims stay until the child
///   executes a program, ends, or maps a ring itself.
///
/// # Fork
/// A forked child inherits neither the memory (`MADV_DONTFORK`) nor the claim, so it can't harm its parent's ring. It
/// may execute a program, end, drop the mapping, and map rings of its own, including this one once the parent has given
/// it up.
///
/// It must not use the parent's producers and samples: an access to the ring faults (SIGSEGV), or hits whatever the
/// child has mapped there since. Dropping a sample that the kernel can see already is such a write: a
/// [`DetachedSample`](crate::DetachedSample), a [`Lane`](crate::Lane), a sample of a [`Shared`](crate::Shared) or of a
/// lane. A child must leave those alone, or forget them (`mem::forget`). Dropping a [`Producer`](crate::Producer), a
/// [`Shared`](crate::Shared), a [`Sample`](crate::Sample) or a [`Batch`](crate::Batch) touches no shared memory.
///
/// A child that shares its parent's descriptors but not its memory (`clone` with `CLONE_FILES` and without `CLONE_VM`)
/// must not map rings: it would close the descriptor that holds its parent's claims.
///
/// # Which producer on it
/// `Producer<&Mapping>` borrows the mapping, for use within a scope. `Producer<Mapping>` owns it, so that a struct can
/// hold it or a thread can take it along. [`reserve_detached`](crate::Producer::reserve_detached) and
/// [`lane`](crate::Producer::lane) need memory that can be cloned: a reference or an `Arc`, but not a `Mapping` itself.
/// What `Producer<Arc<Mapping>>` hands out keeps the mapping alive and can be sent to other threads:
///
/// ```no_run
/// use std::sync::Arc;
/// use user_ringbuf_linux::{Map, Mapping, Producer};
///
/// let map = Map::from_pin("/sys/fs/bpf/to_kernel")?;
/// let mut producer = Producer::attach(Arc::new(Mapping::new(&map)?))?;
/// let mut sample = producer.reserve_detached(40)?;
/// std::thread::spawn(move || {
///     sample.fill(1);
///     sample.submit();
/// });
/// producer.push(b"meanwhile")?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Alignment
/// Every sample begins at a multiple of 8 bytes in memory: the data area begins at a page, and records and their
/// headers are multiples of 8 bytes.
///
/// # Minimum kernel version
/// Linux 6.1, 64-bit. (A 32-bit process on a 64-bit kernel works: positions have 64 bits there too.)
#[derive(Debug)]
#[doc(alias = "user_ring_buffer__new")]
pub struct Mapping {
    /// Start of the data area: the hot path's base.
    data: NonNull<u8>,
    size: RingSize,
    owner: Owner,
    // Each begins with its position. Unmapped by `drop`, unless this is a forked child's copy.
    consumer_page: ManuallyDrop<Region>,
    producer_and_data: ManuallyDrop<Region>,
    /// Given back last: once the memory is unmapped.
    claim: Option<Claim>,
}

/// What all values and references of a mapping share.
#[derive(Debug)]
struct Owner {
    /// The map's id: unique while the map lives, and a mapping keeps it alive.
    map_id: u32,
    has_producer: AtomicBool,
}

// SAFETY: the mapping is shared memory that is not tied to a thread; all access to words goes through atomics, and the
// core hands out each stretch of payload once.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps a user ring buffer for producing, and claims it. Needs the map's fd and no privilege.
    ///
    /// # The contract with other processes
    /// Samples are lent as `&mut [u8]` straight in the map's memory. That access is exclusive only as long as other
    /// processes with write access to the map leave a record alone from the moment it is reserved until it is submitted
    /// or discarded. They must not write to its header or its sample, nor write a position or another header that lets
    /// the kernel get into the record or past it. In particular, no process may repair the ring, or discard its busy
    /// records, while this producer is alive. Once the kernel has passed a record that is still being filled, its bytes
    /// can be reserved again, two slices refer to the same memory, and the behaviour of this process is undefined.
    ///
    /// So give write access to the map only to processes that are trusted that far. Nothing else that they do is
    /// undefined behaviour: positions and headers are checked, and wrong values are returned as errors.
    ///
    /// Within this process no safe function breaks the contract: the ring is mapped for producing only once,
    /// [`MappingView`] is read-only, and [`repair`](crate::repair()) is unsafe.
    ///
    /// A mapping is not a [`RingView`](crate::RingView), since its producer writes headers as plain memory. To look at
    /// the ring, use a [`MappingView`]:
    /// ```compile_fail,E0277
    /// # fn show(mapping: &user_ringbuf_linux::Mapping) {
    /// let survey = user_ringbuf_linux::Survey::of(mapping);
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`MappingError`]: the ring is claimed by another process, or mapped for producing in this process already; the
    /// descriptor was not opened for reading and writing; the ring is too large for the address space; the kernel has
    /// 32 bits; or a system call failed. Nothing stays mapped or claimed then.
    pub fn new(map: &Map) -> Result<Self, MappingError> {
        let claim = Self::claim(map)?;
        let mut mapping = Self::without_claim(map)?;
        mapping.consumer_page.keep_from_children()?;
        mapping.producer_and_data.keep_from_children()?;
        mapping.claim = Some(claim);
        Ok(mapping)
    }

    /// Maps a user ring buffer for producing without a claim: for processes that share a ring on purpose and take turns
    /// under a lock of their own, as callers of libbpf may. It is never refused because of a claim, and keeps no other
    /// producer out.
    ///
    /// A turn begins when a producer attaches or resumes. It ends when everything that it has reserved is submitted or
    /// discarded. During a turn no other producer reserves, submits or discards.
    ///
    /// Forked children inherit the memory. A child is another process that takes turns, and must leave alone what its
    /// parent has reserved.
    ///
    /// # Errors
    /// As for [`new`](Self::new), except that nothing is claimed.
    ///
    /// # Safety
    /// During a turn, nothing else in this process reserves from the ring or writes to its records, through any mapping
    /// of it. Samples are lent as slices of the shared memory: two producers of one process that don't take turns lend
    /// the same bytes twice. Another process that doesn't take turns can do no more harm to memory safety than any
    /// process with the map can. But it breaks the ring: samples are overwritten, or every drain fails from then on.
    pub unsafe fn unclaimed(map: &Map) -> Result<Self, MappingError> {
        Self::without_claim(map)
    }

    /// Claims a ring without mapping it: for a process that works on it through [`unclaimed`](Self::unclaimed) mappings
    /// and wants to keep other processes out. The claim ends when it is dropped. Forked children don't inherit it.
    ///
    /// # Errors
    /// [`MappingError::Claimed`], [`MappingError::AlreadyMapped`] if this process has the claim already, or the error of a
    /// system call.
    pub fn claim(map: &Map) -> Result<Claim, MappingError> {
        let id = map.id();
        Claim::take(map.as_fd(), id, Generation::current()?).map_err(|refused| match refused {
            Refused::ByThisProcess => MappingError::AlreadyMapped { id },
            Refused::ByAnother => MappingError::Claimed { id, holder: claimant_of(id) },
            Refused::System(failed) => failed.into(),
        })
    }

    fn without_claim(map: &Map) -> Result<Self, MappingError> {
        let layout = region::Layout::of(map)?;
        let consumer_page = Region::map(map, &layout.consumer_page(), region::Access::Read)?;
        let producer_and_data = Region::map(map, &layout.producer_and_data(), region::Access::ReadWrite)?;
        Ok(Self {
            data: producer_and_data.at(layout.page()),
            size: layout.size(),
            owner: Owner { map_id: map.id(), has_producer: AtomicBool::new(false) },
            consumer_page: ManuallyDrop::new(consumer_page),
            producer_and_data: ManuallyDrop::new(producer_and_data),
            claim: None,
        })
    }

    /// This mapping with its addresses by value: see [`MappingRef`].
    ///
    /// ```no_run
    /// use user_ringbuf_linux::{Map, Mapping, Producer};
    ///
    /// # fn dispatches() -> std::vec::IntoIter<[u8; 40]> { vec![].into_iter() }
    /// let mapping = Mapping::new(&Map::from_pin("/sys/fs/bpf/dispatch")?)?;
    /// let mut producer = Producer::attach(mapping.by_value())?;
    /// for dispatch in dispatches() {
    ///     producer.push(&dispatch)?;
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline(always)]
    pub fn by_value(&self) -> MappingRef<'_> {
        MappingRef {
            data: self.data,
            producer_pos: self.producer_and_data.at(0).cast(),
            consumer_pos: self.consumer_page.at(0).cast(),
            size: self.size,
            owner: &self.owner,
            _mapping: PhantomData,
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // A forked child does not have the memory of a claimed mapping, and may have mapped other memory there since.
        if self.claim.as_ref().is_none_or(Claim::is_ours) {
            // SAFETY: neither is used again: the mapping is gone after this.
            unsafe {
                ManuallyDrop::drop(&mut self.consumer_page);
                ManuallyDrop::drop(&mut self.producer_and_data);
            }
        }
    }
}

forward_memory! {
    // SAFETY: by value or by reference it is the same ring, whose [`MappingRef`] keeps every obligation.
    unsafe impl [] RingPositions for Mapping { |this| this.by_value() }
}
forward_memory! {
    // SAFETY: as above.
    unsafe impl [] RingMemory<Word = AtomicU64> for Mapping { |this| this.by_value() }
}
forward_memory! {
    // SAFETY: as above.
    unsafe impl [] ContiguousMemory for Mapping { |this| this.by_value() }
}
