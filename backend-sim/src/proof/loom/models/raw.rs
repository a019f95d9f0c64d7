//! libbpf's contract against a drainer: handles that share a ring under one lock, and commit outside it.

use std::sync::Arc;

use ::loom::sync::Mutex;
use ::loom::thread;
use user_ringbuf_core::{Raw, ReserveError, RingMemory, RingPositions};

use super::{Model, kernel, verify};
use crate::loom::LoomMemory;

/// One handle, and the lock that all handles on the ring take to reserve.
#[derive(Clone)]
struct Handle {
    raw: Arc<Raw<Arc<LoomMemory>>>,
    lock: Arc<Mutex<()>>,
}

impl Handle {
    fn new(memory: &Arc<LoomMemory>, lock: &Arc<Mutex<()>>) -> Self {
        Self { raw: Arc::new(Raw::new(Arc::clone(memory))), lock: Arc::clone(lock) }
    }

    /// Reserves under the lock. Returns the header's offset, or `None` if the ring is full.
    fn reserve(&self, len: usize) -> Option<u32> {
        let locked = self.lock.lock().expect("no panic");
        // SAFETY: under the lock.
        let reserved = unsafe { self.raw.reserve(len) };
        drop(locked);
        match reserved {
            Ok(start) => Some(start.offset(self.raw.memory().size())),
            Err(why) if why.is_full() => None,
            Err(why) => panic!("refused sample: {why}"),
        }
    }

    fn write(&self, offset: u32, bytes: &[u8]) {
        // SAFETY: reserved with room for the bytes.
        unsafe { self.raw.memory().write_payload(offset, 0, bytes) };
    }

    fn submit(&self, offset: u32) {
        // SAFETY: reserved, and submitted once.
        assert!(unsafe { self.raw.submit(offset) }, "stale header: the record is not busy");
    }

    /// Reserves, writes and submits. Returns the sample, or `None` if the ring is full.
    fn send(&self, sample: &'static [u8]) -> Option<&'static [u8]> {
        let offset = self.reserve(sample.len())?;
        self.write(offset, sample);
        self.submit(offset);
        Some(sample)
    }
}

/// Two handles that reserve under a lock and submit outside it lose nothing.
///
/// One record fills the ring. Both handles try once for its place while it is drained.
///
/// At most 3 preemptions: without a bound the model takes longer than five minutes.
pub(super) const HANDLES: Model = Model::bounded("raw", 3, |setup| {
    const SENT: [&[u8]; 2] = [b"of one..", b"other"];
    let memory = setup.ring(16, 16);
    let lock = Arc::new(Mutex::new(()));
    let first = Handle::new(&memory, &lock);
    first.send(b"there").expect("an empty ring");
    let writers = SENT.map(|sample| {
        let handle = Handle::new(&memory, &lock);
        thread::spawn(move || handle.send(sample))
    });
    let (taken, accepted) = kernel::drain_beside(&memory, writers);
    let accepted: Vec<&[u8]> = accepted.into_iter().flatten().collect();
    verify::same(&taken[..1], &[b"there"]);
    verify::same_in_any_order(&taken[1..], &accepted);
});

/// A thread submits and discards what another one reserved, beside its next reservation.
///
/// The third reservation finds room only where the first two have been, one of which another thread discards.
pub(super) const ELSEWHERE: Model = Model::bounded("raw-elsewhere", 3, |setup| {
    const SENT: [&[u8]; 2] = [b"there", b"here...."];
    let memory = setup.ring(32, 24);
    let handle = Handle::new(&memory, &Arc::new(Mutex::new(())));
    let reserve = |len| handle.reserve(len).expect("there is room");
    let (dropped, sample) = (reserve(6), reserve(8));
    let elsewhere = handle.clone();
    let submitter = thread::spawn(move || {
        elsewhere.write(sample, SENT[0]);
        // SAFETY: reserved above, and submitted once.
        let submitted = unsafe { elsewhere.raw.submit_len(sample, SENT[0].len()) };
        assert_eq!(submitted, Ok(true), "stale header: the record is not busy");
        elsewhere.write(dropped, b"??????");
        // SAFETY: reserved above, and discarded once.
        assert!(unsafe { elsewhere.raw.discard(dropped) }, "stale header: the record is not busy");
        Some(SENT[0])
    });
    let writer = thread::spawn(move || handle.send(SENT[1]));
    let (taken, sent) = kernel::drain_beside(&memory, [submitter, writer]);
    let sent: Vec<&[u8]> = sent.into_iter().flatten().collect();
    verify::same(&taken, &sent);
});

/// A batch pushed behind another handle's busy record is seen whole, once that is submitted.
///
/// What is pushed is published late, beside another handle's busy record.
pub(super) const PUSH: Model = Model::bounded("raw-push", 3, |setup| {
    const SENT: [&[u8]; 3] = [b"in front", b"one", b"two"];
    let memory = setup.ring(64, 48);
    let lock = Arc::new(Mutex::new(()));
    let (one, other) = (Handle::new(&memory, &lock), Handle::new(&memory, &lock));
    let offset = one.reserve(SENT[0].len()).expect("an empty ring");
    let front = thread::spawn(move || {
        one.write(offset, SENT[0]);
        one.submit(offset);
    });
    let behind = thread::spawn(move || {
        let locked = other.lock.lock().expect("no panic");
        // SAFETY: under the lock.
        unsafe { other.raw.push_all(SENT[1..].iter().map(|sample| Ok::<_, ReserveError>(*sample))) }
            .expect("there is room");
        drop(locked);
    });
    let mut taken = Vec::new();
    kernel::drain(&memory, &mut taken);
    front.join().expect("no panic");
    behind.join().expect("no panic");
    assert!(taken.len() != 2, "a torn batch");
    kernel::drain(&memory, &mut taken);
    verify::same(&taken, &SENT);
});
