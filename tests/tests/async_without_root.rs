//! Tasks that wait over simulated memory: no root, no map, over each runtime's reactor.

use std::future::Future;
use std::pin::pin;
use std::sync::mpsc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use std::sync::Arc;
use user_ringbuf_kit::patience;
use user_ringbuf_linux::{
    AsyncIoProducer, AsyncIoShared, AsyncProducer, AsyncShared, Position, Producer, Reactor, ReactorError, Recheck,
    Shared, TokioProducer, TokioShared,
};
use user_ringbuf_sim::{FakeKernel, HeapMemory};

type Memory = Arc<HeapMemory>;

/// Long enough for a slow machine, and far longer than any pause below.
const EVERY_MS: Recheck = Recheck::Backoff { first: Duration::from_millis(1), longest: Duration::from_millis(1) };

/// Wakes by sending a message.
struct Messenger(mpsc::Sender<()>);

impl Wake for Messenger {
    fn wake(self: Arc<Self>) {
        let _ = self.0.send(());
    }
}

/// Polls `future`, once and then whenever it is woken, and does `meanwhile` after the first poll, which must be pending.
fn wait<T>(future: impl Future<Output = T>, meanwhile: impl FnOnce()) -> T {
    let (sender, woken) = mpsc::channel();
    let waker = Waker::from(Arc::new(Messenger(sender)));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    assert!(future.as_mut().poll(&mut context).is_pending());
    meanwhile();
    loop {
        woken.recv_timeout(patience()).expect("the task is woken");
        if let Poll::Ready(done) = future.as_mut().poll(&mut context) {
            return done;
        }
    }
}

fn full_ring() -> (Memory, Shared<Memory>) {
    let memory = Arc::new(HeapMemory::new(64).unwrap());
    let shared = Shared::attach(Memory::clone(&memory)).unwrap();
    shared.push(&[0; 56]).unwrap();
    (memory, shared)
}

/// Runs `test` where tokio's reactor is at work on another thread.
fn in_tokio(test: impl FnOnce()) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_io().build().unwrap();
    let _entered = runtime.enter();
    test();
}

fn drained(memory: &Memory) -> Vec<Vec<u8>> {
    FakeKernel::new(&**memory).collect(0).1
}

fn a_look_wakes<R: Reactor>(make: impl FnOnce(Shared<Memory>) -> Result<AsyncShared<Memory, R>, ReactorError>) {
    let (memory, shared) = full_ring();
    let ring = make(shared).unwrap();
    let look_after = |samples: &[&[u8]]| {
        assert_eq!(drained(&memory), samples);
        ring.look();
    };
    let end: Position = wait(ring.push(b"next"), || look_after(&[&[0; 56]])).unwrap();
    wait(ring.wait_consumed(end), || look_after(&[b"next"])).unwrap();
}

#[test]
fn a_look_after_a_drain_wakes_who_waits_for_room_and_for_consumption() {
    in_tokio(|| a_look_wakes(|shared| TokioShared::simulated(shared, Recheck::Never)));
    a_look_wakes(|shared| AsyncIoShared::simulated(shared, Recheck::Never));
}

fn a_recheck_finds_room<R: Reactor>(
    make_shared: impl FnOnce(Shared<Memory>) -> Result<AsyncShared<Memory, R>, ReactorError>,
    make_alone: impl FnOnce(Producer<Memory>) -> Result<AsyncProducer<Memory, R>, ReactorError>,
) {
    let (memory, shared) = full_ring();
    let ring = make_shared(shared).unwrap();
    wait(ring.push(b"shared"), || drop(drained(&memory))).unwrap();
    assert_eq!(drained(&memory), [b"shared"]);

    let (memory, shared) = full_ring();
    let mut ring = make_alone(shared.into_producer()).unwrap();
    wait(ring.push(b"alone"), || drop(drained(&memory))).unwrap();
    assert_eq!(drained(&memory), [b"alone"]);
}

#[test]
fn without_a_look_the_recheck_finds_the_room_that_a_drain_made() {
    in_tokio(|| {
        a_recheck_finds_room(
            |shared| TokioShared::simulated(shared, EVERY_MS),
            |producer| TokioProducer::simulated(producer, EVERY_MS),
        );
    });
    a_recheck_finds_room(
        |shared| AsyncIoShared::simulated(shared, EVERY_MS),
        |producer| AsyncIoProducer::simulated(producer, EVERY_MS),
    );
}
