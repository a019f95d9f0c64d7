//! Waiting in tasks on the real kernel, each test over tokio's reactor and over async-io's.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Mutex;
use std::task::Poll;
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use user_ringbuf_kit::raw::RawRing;
use user_ringbuf_kit::{needs_bpf, patience, soon};
use user_ringbuf_linux::{
    AsyncError, AsyncIoProducer, AsyncIoShared, AsyncProducer, AsyncSet, AsyncShared, BlockingError, DrainOptions,
    DrainProgram, EpollWaiter, Map, Mapping, Producer, Reactor, ReactorError, Recheck, ReserveError, RingId, Shared,
    TokioShared, WakeFd, WakeupFlags,
};

macro_rules! over_each_reactor {
    ($($(#[$doc:meta])* fn $name:ident<$runtime:ident>() $body:block)*) => {
        $($(#[$doc])* fn $name<$runtime: Runtime>() $body)*
        mod over_tokio {
            $(#[test] fn $name() { super::guarded(super::$name::<super::Tokio>) })*
        }
        mod over_async_io {
            $(#[test] fn $name() { super::guarded(super::$name::<super::AsyncIo>) })*
        }
    };
}

mod line;
mod set;
mod waiting;

const WAKING: DrainOptions = DrainOptions::new();
const SILENT: DrainOptions = DrainOptions::new().wakeup(WakeupFlags::NEVER);

/// A ring's size in bytes: a page, or several, wherever Linux runs.
const RING: u64 = 65536;
/// Leaves half of it free.
const HALF: usize = 32768 - 8;
/// Takes more than half of it.
const WANTED: usize = 48_000;

const MS: Duration = Duration::from_millis(1);

trait Runtime {
    type Reactor: Reactor + Send + Sync;
    fn block_on<F: Future>(future: F) -> F::Output;
}

struct Tokio;
struct AsyncIo;

impl Runtime for Tokio {
    type Reactor = tokio::io::unix::AsyncFd<WakeFd>;

    fn block_on<F: Future>(future: F) -> F::Output {
        use std::sync::LazyLock;
        use tokio::runtime::Builder;
        static RUNTIME: LazyLock<tokio::runtime::Runtime> =
            LazyLock::new(|| Builder::new_multi_thread().worker_threads(1).enable_io().build().unwrap());
        RUNTIME.block_on(future)
    }
}

impl Runtime for AsyncIo {
    type Reactor = async_io::Async<WakeFd>;

    fn block_on<F: Future>(future: F) -> F::Output {
        async_io::block_on(future)
    }
}

/// When a test that may take long was last seen to go on.
static GOES_ON: Mutex<Option<Instant>> = Mutex::new(None);

fn goes_on() {
    *GOES_ON.lock().unwrap() = Some(Instant::now());
}

/// Runs a test where it may run, and ends it if it hangs.
fn guarded(test: fn()) {
    needs_bpf!();
    let thread = std::thread::spawn(test);
    let began = Instant::now();
    while !thread.is_finished() {
        let last = GOES_ON.lock().unwrap().map_or(began, |last| last.max(began));
        assert!(last.elapsed() < patience(), "a task still waits");
        sleep(MS);
    }
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

type Ring<R> = AsyncShared<Mapping, <R as Runtime>::Reactor>;

/// An empty ring, a producer, and a program that drains it.
fn sync_ring() -> (Map, Shared<Mapping>, DrainProgram) {
    let map = Map::create("tasks", RING).unwrap();
    let program = DrainProgram::load(&map, 0).unwrap();
    let shared = Shared::attach(Mapping::new(&map).unwrap()).unwrap();
    (map, shared, program)
}

/// An empty ring.
fn empty<R: Runtime>(recheck: Recheck) -> (Map, Ring<R>, DrainProgram) {
    let (map, shared, program) = sync_ring();
    let ring = R::block_on(async { AsyncShared::with_recheck(shared, &map, recheck) }).unwrap();
    (map, ring, program)
}

/// A ring that is half full, so that the map polls as writable, and has no room for [`WANTED`] bytes.
fn half_full<R: Runtime>(recheck: Recheck) -> (Map, Ring<R>, DrainProgram) {
    let ring = empty::<R>(recheck);
    ring.1.shared().push(&[0; HALF]).unwrap();
    ring
}

/// What the task brings: it has to wait until `then` was done, and no longer.
fn waits_until<R: Runtime, T: Send>(then: impl FnOnce(), task: impl Future<Output = T> + Send) -> T {
    scope(|scope| {
        let thread = scope.spawn(|| R::block_on(task));
        sleep(20 * MS);
        assert!(!thread.is_finished(), "it did not wait");
        then();
        thread.join().unwrap()
    })
}

fn drain(program: &mut DrainProgram, options: DrainOptions) -> u32 {
    program.run(&options).unwrap().returned().unwrap()
}

/// Polls once, with the running task's waker.
async fn poll_once<F: Future + ?Sized>(future: &mut Pin<&mut F>) -> Option<F::Output> {
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// The future, and how often it was polled.
async fn count_polls<F: Future>(future: F) -> (F::Output, u32) {
    let mut future = pin!(future);
    let mut polls = 0;
    let done = poll_fn(|cx| {
        polls += 1;
        future.as_mut().poll(cx)
    })
    .await;
    (done, polls)
}
