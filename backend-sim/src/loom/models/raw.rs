//! libbpf's contract against a drainer: handles that share a ring under one lock, and commit outside it.

use std::sync::Arc;

use ::loom::sync::Mutex;
use ::loom::thread;
use user_ringbuf_core::{Raw, RingMemory, RingView};

use super::exclusive::drain_all;
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

    /// Reserves, yielding to the drainer while the ring is full. Returns the header's offset.
    fn reserve(&self, len: usize) -> u32 {
        loop {
            let locked = self.lock.lock().expect("no panic");
            // SAFETY: under the lock.
            let reserved = unsafe { self.raw.reserve(len) };
            drop(locked);
            match reserved {
                Ok(start) => return start.offset(self.raw.memory().size()),
                Err(why) => assert!(why.is_full(), "refused sample: {why}"),
            }
            thread::yield_now();
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
}

/// Full of an earlier lap's samples, drained already. Two records fit, so the third takes the place of the first.
pub(super) const HANDLES: Model = Model {
    name: "raw",
    about: "two handles that reserve under a lock and submit outside it lose nothing",
    preemptions: None,
    cases: 1,
    body: |setup| {
        const SENT: [&[u8]; 3] = [b"of one..", b"other", b"again"];
        let memory = setup.ring(32, 16);
        let lock = Arc::new(Mutex::new(()));
        let writers = [&SENT[..1], &SENT[1..]].map(|samples| {
            let handle = Handle::new(&memory, &lock);
            thread::spawn(move || {
                for sample in samples {
                    let offset = handle.reserve(sample.len());
                    handle.write(offset, sample);
                    handle.submit(offset);
                }
            })
        });
        let taken = drain_all(&memory, SENT.len());
        verify::same_in_any_order(&taken, &SENT);
        for writer in writers {
            writer.join().expect("no panic");
        }
    },
};

/// The last of three reservations waits for the room of the first two, one of which another thread discards.
pub(super) const ELSEWHERE: Model = Model {
    name: "raw-elsewhere",
    about: "a thread submits and discards what another one reserved, beside its next reservation",
    preemptions: None,
    cases: 1,
    body: |setup| {
        const SENT: [&[u8]; 2] = [b"there", b"here...."];
        let memory = setup.ring(32, 24);
        let handle = Handle::new(&memory, &Arc::new(Mutex::new(())));
        let (sample, dropped) = (handle.reserve(8), handle.reserve(6));
        let elsewhere = handle.clone();
        let submitter = thread::spawn(move || {
            elsewhere.write(dropped, b"??????");
            // SAFETY: reserved above, and discarded once.
            assert!(unsafe { elsewhere.raw.discard(dropped) }, "stale header: the record is not busy");
            elsewhere.write(sample, SENT[0]);
            // SAFETY: reserved above, and submitted once.
            let submitted = unsafe { elsewhere.raw.submit_len(sample, SENT[0].len()) };
            assert_eq!(submitted, Ok(true), "stale header: the record is not busy");
        });
        let writer = thread::spawn(move || {
            let offset = handle.reserve(SENT[1].len());
            handle.write(offset, SENT[1]);
            handle.submit(offset);
        });
        let taken = drain_all(&memory, SENT.len());
        verify::same(&taken, &SENT);
        submitter.join().expect("no panic");
        writer.join().expect("no panic");
        let mut more = Vec::new();
        kernel::drain(&memory, &mut more);
        verify::same::<&[u8]>(&more, &[]);
    },
};

/// What is pushed is published late, beside another handle's busy record.
pub(super) const PUSH: Model = Model {
    name: "raw-push",
    about: "a batch pushed behind another handle's busy record is seen whole, once that is submitted",
    preemptions: None,
    cases: 1,
    body: |setup| {
        const SENT: [&[u8]; 3] = [b"in front", b"one", b"two"];
        let memory = setup.ring(64, 48);
        let lock = Arc::new(Mutex::new(()));
        let (one, other) = (Handle::new(&memory, &lock), Handle::new(&memory, &lock));
        let offset = one.reserve(SENT[0].len());
        let front = thread::spawn(move || {
            one.write(offset, SENT[0]);
            one.submit(offset);
        });
        let behind = thread::spawn(move || {
            let locked = other.lock.lock().expect("no panic");
            // SAFETY: under the lock.
            unsafe { other.raw.push_all(SENT[1..].iter().copied()) }.expect("there is room");
            drop(locked);
        });
        let taken = drain_all(&memory, SENT.len());
        verify::same(&taken, &SENT);
        front.join().expect("no panic");
        behind.join().expect("no panic");
    },
};
