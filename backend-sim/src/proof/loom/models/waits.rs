//! Waiting for the kernel: no wake is lost between a failed attempt and the wait that follows it.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use ::loom::sync::{Condvar, Mutex};
use ::loom::thread;
use user_ringbuf_core::{RingId, RingMemory, Wait, Wake};

use super::{Model, kernel, verify};
use crate::FakeKernel;
use crate::loom::LoomMemory;

/// One edge-triggered epoll instance: it remembers that a drain has woken, and forgets it when a wait fetches it. Whoever
/// fetches it is told only if a byte is free by then, as by epoll, which polls the map again.
struct Edge {
    memory: Arc<LoomMemory>,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    registered: bool,
    woken: bool,
}

impl Edge {
    fn new(memory: &Arc<LoomMemory>) -> Arc<Self> {
        Arc::new(Self {
            memory: Arc::clone(memory),
            state: Mutex::new(State { registered: true, woken: false }),
            changed: Condvar::new(),
        })
    }

    fn wake(&self) {
        let mut state = self.state.lock().expect("no panic");
        state.woken |= state.registered;
        drop(state);
        self.changed.notify_one();
    }
}

/// Waits for the edge alone where no time is given: a re-check by time would hide a lost wake. A time is up whenever it
/// likes to be.
struct EdgeWaiter(Arc<Edge>);

impl Wait for EdgeWaiter {
    type Error = Infallible;

    fn ring(&self) -> Option<RingId> {
        Some(self.0.memory.ring_id())
    }

    fn now(&self) -> Duration {
        Duration::ZERO
    }

    /// Ends the registration, which forgets the edge, and registers anew, which polls the map.
    fn take_turn(&mut self) -> Result<(), Infallible> {
        *self.0.state.lock().expect("no panic") = State { registered: false, woken: false };
        self.0.state.lock().expect("no panic").registered = true;
        if self.0.memory.is_writable() {
            self.0.wake();
        }
        Ok(())
    }

    fn wait(&mut self, _round: u32, until: Option<Duration>) -> Result<Wake, Infallible> {
        if until.is_some() {
            thread::yield_now();
            return Ok(Wake::Look);
        }
        let mut state = self.0.state.lock().expect("no panic");
        while !core::mem::take(&mut state.woken) || !self.0.memory.is_writable() {
            state = self.0.changed.wait(state).expect("no panic");
        }
        Ok(Wake::Look)
    }
}

/// Drains with wake-ups until `count` samples are there.
fn drain_and_wake(memory: &Arc<LoomMemory>, edge: &Edge, count: usize) -> Vec<Vec<u8>> {
    let kernel = FakeKernel::new(memory);
    let mut taken = Vec::new();
    loop {
        let (drained, samples) = kernel.collect(0);
        kernel::check(drained.returned).expect("one drainer only");
        taken.extend(samples);
        if drained.woke {
            edge.wake();
        }
        if taken.len() >= count {
            return taken;
        }
        thread::yield_now();
    }
}

/// A producer that waits for room without a time limit wakes up, whenever the drain comes.
///
/// The ring is full, and only a wake ends the wait: a lost one is a deadlock. The second sample overwrites the first.
pub(super) const ROOM: Model = Model::new("wait-for-room", |setup| {
    const SENT: [&[u8]; 3] = [b"in place", b"waited", b"again..."];
    let (memory, mut producer) = setup.with_producer(16, 16);
    let edge = Edge::new(&memory);
    producer.push(SENT[0]).expect("an empty ring");
    let writer = {
        let mut waiter = EdgeWaiter(Arc::clone(&edge));
        thread::spawn(move || {
            for sample in &SENT[1..] {
                let mut place = producer.reserve_blocking(sample.len(), &mut waiter, None).expect("room comes");
                place.write(0, sample).expect("it fits");
                place.submit();
            }
        })
    };
    let taken = drain_and_wake(&memory, &edge, SENT.len());
    verify::same(&taken, &SENT);
    writer.join().expect("no panic");
});

/// A thread that takes its turn before it waits for room wakes up, whenever the drain comes.
///
/// Taking a turn forgets an edge that was there. What the drain has freed shows when the ring is registered anew.
pub(super) const IN_TURN: Model = Model::new("wait-in-turn", |setup| {
    const SENT: [&[u8]; 2] = [b"in place", b"waited.."];
    let (memory, producer) = setup.with_shared(16, 16);
    let edge = Edge::new(&memory);
    producer.push(SENT[0]).expect("an empty ring");
    let writer = {
        let mut waiter = EdgeWaiter(Arc::clone(&edge));
        thread::spawn(move || producer.push_blocking(SENT[1], &mut waiter, None).map(drop).expect("room comes"))
    };
    let taken = drain_and_wake(&memory, &edge, SENT.len());
    verify::same(&taken, &SENT);
    writer.join().expect("no panic");
});

/// A producer that waits until its samples are consumed wakes up, and then has the ring to itself.
///
/// The same for a position: when the wait is over, the samples have been taken, and their place may be written over.
pub(super) const CONSUMED: Model = Model::new("wait-consumed", |setup| {
    const SENT: [&[u8]; 3] = [b"one", b"two.....", b"the whole ring as it is."];
    let (memory, mut producer) = setup.with_producer(32, 8);
    let edge = Edge::new(&memory);
    let writer = {
        let mut waiter = EdgeWaiter(Arc::clone(&edge));
        thread::spawn(move || {
            producer.push(SENT[0]).expect("an empty ring");
            let end = producer.push(SENT[1]).expect("half a ring");
            producer.wait_consumed(end, &mut waiter, None).expect("it is consumed some time");
            assert!(producer.is_consumed(end), "lost wake: nothing was consumed");
            producer.push(SENT[2]).expect("everything is free");
        })
    };
    let taken = drain_and_wake(&memory, &edge, SENT.len());
    verify::same(&taken, &SENT);
    writer.join().expect("no panic");
});

/// A thread that waits until its sample is consumed learns of it, also if the ring is full again at once.
///
/// Another thread may fill the ring again before the edge is fetched, and nothing is drained afterwards: then no edge
/// tells, and only time does.
pub(super) const REFILLED: Model = Model::new("wait-refilled", |setup| {
    const SENT: [&[u8]; 2] = [b"asked of", b"refilled"];
    let (memory, producer) = setup.with_shared(16, 16);
    let edge = Edge::new(&memory);
    let end = producer.push(SENT[0]).expect("an empty ring");
    let asker = {
        let (producer, mut waiter) = (Arc::clone(&producer), EdgeWaiter(Arc::clone(&edge)));
        thread::spawn(move || {
            producer.wait_consumed(end, &mut waiter, None).expect("it is consumed");
            assert!(producer.is_consumed(end), "lost wake: nothing was consumed");
        })
    };
    let refiller = thread::spawn(move || producer.push(SENT[1]).is_ok());
    let mut taken = drain_and_wake(&memory, &edge, 1);
    let sent = 1 + usize::from(refiller.join().expect("no panic"));
    asker.join().expect("no panic");
    kernel::drain(&memory, &mut taken);
    verify::same(&taken, &SENT[..sent]);
});

/// One thread asks whether its sample is consumed while another one reserves in the same ring.
///
/// One thread fills the place that another one looks at: what that one sees of the positions must fit together.
///
/// At most 3 preemptions: without a bound the model takes half a minute, and finds no more. What it is after takes two:
/// the drainer and the other producer get between two loads of the asker.
pub(super) const BESIDE_OTHERS: Model = Model::bounded("wait-beside-others", 3, |setup| {
    const SENT: [&[u8]; 2] = [b"asked of", b"beside.."];
    let (memory, producer) = setup.with_shared(16, 16);
    let end = producer.push(SENT[0]).expect("an empty ring");
    let beside = {
        let producer = Arc::clone(&producer);
        thread::spawn(move || producer.push(SENT[1]).is_ok())
    };
    let edge = Edge::new(&memory);
    let asker = thread::spawn(move || {
        // A timeout of zero looks once and never waits.
        let mut never = EdgeWaiter(edge);
        match producer.wait_consumed(end, &mut never, Some(Duration::ZERO)) {
            Ok(()) | Err(user_ringbuf_core::BlockingError::TimedOut { .. }) => {}
            Err(error) => panic!("false alarm: {error}"),
        }
    });
    let mut taken = Vec::new();
    kernel::drain(&memory, &mut taken);
    let sent = 1 + usize::from(beside.join().expect("no panic"));
    asker.join().expect("no panic");
    kernel::drain(&memory, &mut taken);
    verify::same(&taken, &SENT[..sent]);
});
