//! Freeing a ring whose producer is gone.
//!
//! One pass from head to tail. Busy records become discarded ones. A record that the kernel refuses becomes discarded
//! filler of the same extent; if its length reaches beyond the producer position, everything up to that position does.
//! An impossible producer position is corrected. Submitted records that can be reached stay.
//!
//! **Order of the stores**, while the kernel may be draining. Each obstacle stops the kernel: at a busy record it
//! waits, at a damaged one it returns an error, and in neither case does it move on. So it is never past the obstacle
//! that is being repaired, and nothing else uses the bytes behind it. The headers of further fillers are written there
//! first. Then one store, of the obstacle's own length word, releases the kernel, which finds only headers that are
//! written. Every extent stays or is divided exactly, so the kernel never ends up between two records. A producer
//! position that is not a multiple of 8 stops every drain, so it is corrected last. One that is too far ahead does not,
//! so it is corrected first: otherwise more of the ring's old bytes would be taken for records.
//!
//! Kernel counterpart: `__bpf_user_ringbuf_peek`, which reads what is stored here.

use crate::format::header::{Header, RecordState};
use crate::format::layout::{MAX_EXTENT, filler_len};
use crate::format::position::{Corruption, Position};
use crate::observe::records::{Damage, Record, read_record};
use crate::seam::claim::WrittenHere;
use crate::seam::memory::{RingMemory, RingView};
use crate::seam::role::Role;

/// One change that a repair made, or would make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Repair {
    /// A busy record became a discarded one of the same extent.
    Discarded {
        /// The record before the repair.
        record: Record,
    },
    /// A record that the kernel refused became discarded filler of the same extent.
    Filled {
        /// What was wrong, and where.
        damage: Damage,
        /// Number of discarded records that take its place.
        fillers: u32,
    },
    /// The producer position was corrected.
    ProducerMoved {
        /// The position before the repair.
        from: Position,
        /// The position after it.
        to: Position,
    },
}

/// A store of the repair.
enum Store {
    /// A header that the kernel can't see yet.
    Unseen(Position, Header),
    /// The length word at which the kernel stops.
    Release(Position, Header),
    /// The producer position.
    Producer(Position),
}

/// Frees a ring whose producer is gone, and passes each change to `report`. The kernel may drain at the same time.
///
/// If the producer position was too far ahead, the true end of the records is lost. Old bytes of the ring that look
/// like records are kept, since they can't be told from records that are not consumed yet. A drain that began before
/// the repair may have read the old position, and may continue beyond the new one after the repair has returned. The
/// consumer is then ahead of the producer: attaching reports it ([`Corruption::OutOfRange`]), and a second repair
/// corrects it.
///
/// # Errors
/// [`Corruption`] if the consumer position is not a multiple of 8, or keeps moving away from the producer position.
/// Neither comes from a kernel, and user space can repair neither, since only the kernel can write `consumer_pos`. In
/// the first case nothing was changed.
///
/// # Safety
/// No producer of this ring is alive, in this process or another: no [`Producer`](crate::Producer),
/// [`Shared`](crate::Shared), [`DetachedSample`](crate::DetachedSample) or [`Lane`](crate::Lane), and no producer of
/// another library. The repair writes into their records, and frees the room of samples that they are still filling.
pub unsafe fn repair<M: RingMemory>(memory: &M, report: impl FnMut(Repair)) -> Result<(), Corruption> {
    let store = |store: Store| match store {
        Store::Unseen(at, header) => {
            // SAFETY: `at` is a multiple of 8 inside a record whose producer is gone, by the caller's promise, and
            // the kernel does not get there before the `Release` that follows.
            unsafe { memory.write_header(at.offset(memory.size()), header) };
        }
        Store::Release(at, header) => {
            // Pairs with the kernel's acquire load of the header: fillers behind it are written by now.
            // SAFETY: as above, and nothing else stores there.
            unsafe { memory.commit_header(at.offset(memory.size()), header) };
        }
        // Pairs with the kernel's acquire load of producer_pos: all headers up to there are valid, or stop the kernel.
        // SAFETY: the ring has no producer, by the caller's promise.
        Store::Producer(to) => unsafe { memory.publish_producer(to) },
    };
    // SAFETY: the ring has no producer, by the caller's promise; the repair reads a header before it writes it.
    mend(&unsafe { WrittenHere::new(memory) }, store, report)
}

/// Reports what [`repair`] would do now, without doing it.
///
/// # Errors
/// As [`repair`].
pub fn plan_repair<V: RingView>(view: &V, report: impl FnMut(Repair)) -> Result<(), Corruption> {
    mend(view, |_| (), report)
}

fn mend<V: RingView>(view: &V, mut store: impl FnMut(Store), mut report: impl FnMut(Repair)) -> Result<(), Corruption> {
    let size = view.size().bytes_u64();
    let from = view.load_producer(Role::ObserveProducer);
    let mut consumer = view.load_consumer();
    if !consumer.is_aligned() {
        return Err(Corruption::UnalignedConsumer { consumer: consumer.get() });
    }
    let mut end = possible_end(from, consumer, size);
    let early = end != from && from.is_aligned();
    if early {
        // A drain that began with the old position may still pass the new one. Then nothing is left in the ring.
        let mut tries = 0;
        loop {
            store(Store::Producer(end));
            consumer = view.load_consumer();
            if end.distance_from(consumer) <= size {
                break;
            }
            tries += 1;
            if tries == 1000 || !consumer.is_aligned() {
                let (consumer, producer) = (consumer.get(), end.get());
                return Err(Corruption::OutOfRange { consumer, producer, size: view.size().bytes() });
            }
            end = consumer;
        }
        report(Repair::ProducerMoved { from, to: end });
    }
    let mut at = consumer;
    while at != end {
        // At most the ring's size, a u32: `possible_end` made sure.
        let left = u32::try_from(end.distance_from(at)).unwrap_or(0);
        let extent = match read_record(view, at, left) {
            Ok(record) => {
                if record.state == RecordState::Busy {
                    store(Store::Release(at, Header::discarded(record.len)));
                    report(Repair::Discarded { record });
                }
                record.extent()
            }
            Err(damage) => {
                let fillers = fill(at, damage.bytes(), &mut store);
                report(Repair::Filled { damage, fillers });
                damage.bytes()
            }
        };
        at = at.advance(u64::from(extent));
    }
    if end != from && !early {
        store(Store::Producer(end));
        report(Repair::ProducerMoved { from, to: end });
    }
    Ok(())
}

/// The possible producer position nearest to `found`: never further ahead than the ring is large, and never beyond
/// `found`, since the bytes behind it may be unwritten.
fn possible_end(found: Position, consumer: Position, size: u64) -> Position {
    let ahead = found.distance_from(consumer);
    if ahead <= size {
        consumer.advance(ahead & !7)
    } else if found.has_reached(consumer) {
        consumer.advance(size)
    } else {
        consumer
    }
}

/// Makes discarded records of `bytes` bytes, a multiple of 8, from `at` on. The first header is stored last.
fn fill(at: Position, bytes: u32, store: &mut impl FnMut(Store)) -> u32 {
    let first = bytes.min(MAX_EXTENT);
    let (mut done, mut fillers) = (first, 1);
    while done < bytes {
        let extent = (bytes - done).min(MAX_EXTENT);
        store(Store::Unseen(at.advance(u64::from(done)), Header::discarded(filler_len(extent))));
        done += extent;
        fillers += 1;
    }
    store(Store::Release(at, Header::discarded(filler_len(first))));
    fillers
}
