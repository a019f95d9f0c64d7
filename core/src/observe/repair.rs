//! Freeing a ring whose producer is gone.
//!
//! One pass from head to tail. Busy records become discarded ones. A record that the kernel refuses becomes discarded
//! filler of the same extent; where a length reaches beyond the producer position, everything up to there does. A
//! producer position that can't be is put right. Submitted records that can be reached stay.
//!
//! **Order of the stores**, with a kernel that may drain all the while. Each obstacle stops the kernel: at a busy
//! record it waits, at a damaged one it answers an error, and moves on in neither case. So it is never beyond the
//! obstacle that is being mended, and what lies behind is nobody's. There the headers of further fillers are written
//! first; then the one store that releases the obstacle, its own length word, lets the kernel go on to headers that
//! are all written. Every extent stays or is divided exactly, so the kernel never comes out between two records.
//! A producer position that is not a multiple of 8 keeps the kernel out altogether: it is mended last. One that is too
//! far ahead does not: it is mended first, so that no more of the ring's old bytes are taken for records.
//!
//! Kernel counterpart: `__bpf_user_ringbuf_peek`, which reads what is stored here.

use crate::format::header::{Header, RecordState};
use crate::format::layout::{MAX_EXTENT, filler_len};
use crate::format::position::{Corruption, Position};
use crate::observe::records::{Damage, Record, read_record};
use crate::seam::claim::WrittenHere;
use crate::seam::memory::{RingMemory, RingView};
use crate::seam::role::Role;

/// One thing that a repair did, or would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Repair {
    /// A busy record is a discarded one now; its extent stays.
    Discarded {
        /// The record as it was.
        record: Record,
    },
    /// A stretch that the kernel refused is discarded filler now.
    Filled {
        /// What was wrong, and where.
        damage: Damage,
        /// How many discarded records take its place.
        fillers: u32,
    },
    /// The producer position was put right.
    ProducerMoved {
        /// What it was.
        from: Position,
        /// What it is.
        to: Position,
    },
}

/// A store of the repair.
enum Store {
    /// A header where the kernel does not look yet.
    Unseen(Position, Header),
    /// The length word in front of which the kernel stands.
    Release(Position, Header),
    /// The producer position.
    Producer(Position),
}

/// Frees a ring whose producer is gone, and shows each thing done to `report`. A kernel may drain meanwhile.
///
/// Where the producer position was too far ahead, the true end of the records is lost: what of the ring's older bytes
/// looks like records is kept, since nothing tells it from what was not consumed yet. A drain that had begun before may
/// have read the old position, and go on beyond the new one after the repair has returned: the consumer then lies beyond
/// the producer, attaching says so ([`Corruption::OutOfRange`]), and a second repair puts it right.
///
/// # Errors
/// [`Corruption`] if the consumer position is not a multiple of 8, or keeps running away: no kernel stores such, and none
/// of it can be mended from here. Nothing was changed in the first case.
///
/// # Safety
/// No producer of this ring is alive, in this process or another: no [`Producer`](crate::Producer),
/// [`Shared`](crate::Shared), [`DetachedSample`](crate::DetachedSample) or [`Lane`](crate::Lane), nor anything of another
/// library. The repair writes into their records and would hand half-written samples' room to others.
pub unsafe fn repair<M: RingMemory>(memory: &M, report: impl FnMut(Repair)) -> Result<(), Corruption> {
    let store = |store: Store| match store {
        Store::Unseen(at, header) => {
            // SAFETY: `at` is a multiple of 8 inside a record whose producer is gone, by the caller's promise, and
            // the kernel does not get there before the `Release` that follows.
            unsafe { memory.write_header(at.offset(memory.size()), header) };
        }
        Store::Release(at, header) => {
            // Pairs with the kernel's acquire load of the header: fillers behind it are written by now.
            // SAFETY: as above, and nobody else stores there.
            unsafe { memory.commit_header(at.offset(memory.size()), header) };
        }
        // Pairs with the kernel's acquire load of producer_pos: all headers up to there are as they must be, or stop
        // the kernel.
        // SAFETY: the ring has no producer, by the caller's promise.
        Store::Producer(to) => unsafe { memory.publish_producer(to) },
    };
    // SAFETY: the ring has no producer, by the caller's promise; the repair reads a header before it writes it.
    mend(&unsafe { WrittenHere::new(memory) }, store, report)
}

/// Says what [`repair`] would do now, and does nothing.
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
        // A drain that was under way with the old position may still pass the new one: then nothing is left.
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
        // At most the ring's size, a u32, as `possible_end` made it.
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

/// The producer position that is nearest to `found` and can be: never beyond what the ring holds, and never beyond
/// `found`, whose bytes may not be written.
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

/// Makes discarded records of `bytes` from `at` on, a multiple of 8, the first one last.
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
