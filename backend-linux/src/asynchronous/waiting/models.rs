//! Models of waiting tasks under loom: no wake is lost, whoever looks, leaves or comes at the same time.
//!
//! The watch, its rings and their lines are those of the crate, over a real epoll instance. Loom runs one thread at a time,
//! so a system call is one step. In place of a map stands an eventfd, which causes the same edges. A lost wake leaves a
//! task asleep, which loom reports as a deadlock.

use std::os::fd::OwnedFd;
use std::pin::pin;

use loom::sync::atomic::AtomicUsize;
use loom::sync::{Mutex, Notify};
use loom::thread;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::{read, write};
use user_ringbuf_core::Position;

use super::*;
use crate::asynchronous::rings::Consumer;

/// Keeps the waker until it delivers an event.
struct Events {
    fd: WakeFd,
    waker: Mutex<Option<Waker>>,
}

impl Reactor for Events {
    fn register(fd: WakeFd) -> Result<Self, ReactorError> {
        Ok(Self { fd, waker: Mutex::new(None) })
    }

    fn wake_fd(&self) -> &WakeFd {
        &self.fd
    }

    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        *self.waker.lock().unwrap() = Some(cx.waker().clone());
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        match poll(&mut [PollFd::new(&self.fd, PollFlags::IN)], Some(&now)).unwrap() {
            0 => Poll::Pending,
            _ => Poll::Ready(Ok(())),
        }
    }
}

/// A ring as tasks see it: so many samples have room.
struct World {
    waiting: Waiting<Events>,
    room: AtomicUsize,
    map: OwnedFd,
}

impl World {
    fn new() -> Arc<Self> {
        let watch = Watch::<Events>::new(Recheck::Never).unwrap();
        let map = eventfd(0, EventfdFlags::NONBLOCK).unwrap();
        let ring =
            watch.rings.insert(Some(map.try_clone().unwrap()), Consumer::at(Position::new(0)), watch.reactor.wake_fd());
        let waiting = Waiting { watch, ring: ring.unwrap() };
        Arc::new(Self { waiting, room: AtomicUsize::new(0), map })
    }

    /// Makes room for one sample, and wakes as a drain does.
    fn drain(&self) {
        self.room.fetch_add(1, Ordering::Release);
        // The counter falls from 1 to 0: an edge of EPOLLOUT.
        write(&self.map, &1_u64.to_ne_bytes()).unwrap();
        read(&self.map, &mut [0; 8]).unwrap();
        let waker = self.waiting.watch.reactor.waker.lock().unwrap().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn attempt(&self) -> Result<Option<()>, AsyncError> {
        // It stores even if there is none, since only a store is sure to meet the newest value. In the kernel, epoll's lock
        // sees to that: who has fetched an edge sees what came before it.
        let found = self.room.fetch_update(Ordering::AcqRel, Ordering::Acquire, |room| Some(room.saturating_sub(1)));
        Ok(found.ok().filter(|room| *room > 0).map(drop))
    }

    /// Waits for room for one sample, and takes it.
    async fn reserve(&self) {
        self.waiting.until(Service::InOrder, || self.attempt()).await.unwrap();
    }
}

/// A task's waker, which ends its thread's sleep.
struct Sleep(Notify);

impl Wake for Sleep {
    fn wake(self: Arc<Self>) {
        self.0.notify();
    }
}

/// Polls so often, or until it is ready. Returns whether it is.
fn run(future: impl Future<Output = ()>, polls: usize) -> bool {
    let (mut future, sleep) = (pin!(future), Arc::new(Sleep(Notify::new())));
    let waker = Waker::from(Arc::clone(&sleep));
    for nth in 0..polls {
        if nth > 0 {
            sleep.0.wait();
        }
        if future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
            return true;
        }
    }
    false
}

/// Explores `model`, with so many preemptions at most if there is a number.
fn explore(preemptions: Option<usize>, model: impl Fn(&Arc<World>) + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = preemptions;
    builder.check(move || model(&World::new()));
}

fn spawn(world: &Arc<World>, work: impl FnOnce(&World) + 'static) -> thread::JoinHandle<()> {
    let world = Arc::clone(world);
    thread::spawn(move || work(&world))
}

#[test]
fn a_task_is_woken_whenever_the_drain_comes() {
    explore(None, |world| {
        let drainer = spawn(world, World::drain);
        assert!(run(world.reserve(), usize::MAX));
        drainer.join().unwrap();
    });
}

#[test]
fn two_tasks_are_both_served_by_two_drains() {
    explore(Some(2), |world| {
        let other = spawn(world, |world| assert!(run(world.reserve(), usize::MAX)));
        let drainer = spawn(world, |world| {
            world.drain();
            world.drain();
        });
        assert!(run(world.reserve(), usize::MAX));
        other.join().unwrap();
        drainer.join().unwrap();
    });
}

#[test]
fn a_task_that_leaves_takes_no_wake_along() {
    explore(Some(2), |world| {
        let leaver = spawn(world, |world| {
            if run(world.reserve(), 1) {
                // It had the room that was for the other.
                world.drain();
            }
        });
        let drainer = spawn(world, World::drain);
        assert!(run(world.reserve(), usize::MAX));
        leaver.join().unwrap();
        drainer.join().unwrap();
    });
}

#[test]
fn two_threads_that_are_woken_at_once_leave_no_event_behind() {
    explore(Some(2), |world| {
        let drainers = [(); 2].map(|()| spawn(world, World::drain));
        for _ in &drainers {
            assert!(run(world.reserve(), usize::MAX));
        }
        for drainer in drainers {
            drainer.join().unwrap();
        }
    });
}
