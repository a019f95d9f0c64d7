//! Who is woken for whom: tasks that are polled by hand, and a reactor that is.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Wake, Waker};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::*;

/// Counts how often it was woken.
#[derive(Default)]
struct Count(AtomicU32);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Count {
    fn take(&self) -> u32 {
        self.0.swap(0, Ordering::Relaxed)
    }
}

type Task<'r> = Pin<Box<dyn Future<Output = Result<(), AsyncError>> + Send + 'r>>;

fn poll_with(task: &mut Task<'_>, waker: &Arc<Count>) -> bool {
    let waker = Waker::from(Arc::clone(waker));
    match task.as_mut().poll(&mut Context::from_waker(&waker)) {
        Poll::Ready(done) => {
            done.unwrap();
            true
        }
        Poll::Pending => false,
    }
}

/// What another runtime would implement, and what happens while it is asked.
struct ByHand {
    fd: WakeFd,
    waker: Mutex<Option<Waker>>,
    meanwhile: Arc<Meanwhile>,
}

type Meanwhile = Mutex<Option<Box<dyn FnOnce() + Send>>>;

thread_local! {
    /// Of the reactors that this thread makes.
    static MEANWHILE: RefCell<Arc<Meanwhile>> = RefCell::default();
}

impl Reactor for ByHand {
    fn register(fd: WakeFd) -> Result<Self, ReactorError> {
        Ok(Self { fd, waker: Mutex::default(), meanwhile: MEANWHILE.with_borrow(Arc::clone) })
    }

    fn wake_fd(&self) -> &WakeFd {
        &self.fd
    }

    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        let meanwhile = self.meanwhile.lock().unwrap().take();
        if let Some(meanwhile) = meanwhile {
            meanwhile();
        }
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        if poll(&mut [PollFd::new(&self.fd, PollFlags::IN)], Some(&now))? == 1 {
            return Poll::Ready(Ok(()));
        }
        *self.waker.lock().unwrap() = Some(cx.waker().clone());
        Poll::Pending
    }
}

#[test]
fn who_fetches_an_edge_wakes_the_one_who_became_the_first_meanwhile() {
    guarded(|| {
        let (map, shared, mut program) = sync_ring();
        shared.push(&[0; HALF]).unwrap();
        let beyond = shared.push(&[0; 8]).unwrap();
        let ring = Arc::new(AsyncShared::<_, ByHand>::with_recheck(shared, &map, Recheck::Never).unwrap());

        let (woken, watcher) = (Arc::<Count>::default(), Arc::<Count>::default());
        let wants: Task = Box::pin({
            let ring = Arc::clone(&ring);
            async move { ring.push(&[0; WANTED]).await.map(drop) }
        });
        let wants = Arc::new(Mutex::new(wants));
        // While the watcher asks the reactor, another one joins the line before it, tries in vain, and then a drain comes.
        let joins: Box<dyn FnOnce() + Send> = Box::new({
            let (wants, woken) = (Arc::clone(&wants), Arc::clone(&woken));
            move || {
                assert!(!poll_with(&mut wants.lock().unwrap(), &woken), "there is no room");
                woken.take();
                drain(&mut program, WAKING.stop_after(1));
            }
        });
        *MEANWHILE.with_borrow(Arc::clone).lock().unwrap() = Some(joins);
        let mut waits: Task = Box::pin(ring.wait_consumed(beyond));
        assert!(!poll_with(&mut waits, &watcher), "it was not consumed");
        assert!(woken.take() > 0, "there is room, and the first of the line sleeps");
        assert!(poll_with(&mut wants.lock().unwrap(), &woken));
        drop(waits);
        *wants.lock().unwrap() = Box::pin(async { Ok(()) });
    });
}

over_each_reactor! {
    fn a_future_that_is_kept_unpolled_holds_up_no_one_who_waits_for_consumption<R>() {
        for kept_wants_room in [true, false] {
            let (_map, ring, mut program) = half_full::<R>(Recheck::Never);
            let first = ring.shared().position();
            let second = ring.shared().push(&[0; HALF - 8]).unwrap();
            let mut kept: Task = match kept_wants_room {
                true => Box::pin(async { ring.reserve(WANTED).await.map(drop) }),
                false => Box::pin(ring.wait_consumed(second)),
            };
            assert!(R::block_on(poll_once(&mut kept.as_mut())).is_none());
            let drained = || _ = drain(&mut program, WAKING.stop_after(1));
            waits_until::<R, _>(drained, ring.wait_consumed(first)).unwrap();
        }
    }

    fn without_a_recheck_nothing_tells_of_a_silent_drain<R>() {
        let (_map, ring, mut program) = half_full::<R>(Recheck::Never);
        let woken = Arc::<Count>::default();
        let mut waits: Task = Box::pin(async { ring.reserve(WANTED).await.map(drop) });
        // The registration may leave an event.
        while {
            assert!(!poll_with(&mut waits, &woken), "there is no room");
            sleep(50 * MS);
            woken.take() > 0
        } {}
        drain(&mut program, SILENT);
        sleep(200 * MS);
        assert_eq!(woken.take(), 0, "nothing tells it of the drain");
        ring.shared().push(b"something to drain").unwrap();
        drain(&mut program, WAKING);
        soon("woken", || woken.take() > 0);
        assert!(poll_with(&mut waits, &woken));
    }

    fn those_whose_time_has_not_come_are_left_alone<R>() {
        let (_map, ring, mut program) = empty::<R>(Recheck::Never);
        for _ in 0..10 {
            ring.shared().push(&[0; 8]).unwrap();
        }
        let end = ring.shared().push(&[0; 8]).unwrap();
        let mut tasks: Vec<(Task, Arc<Count>)> =
            (0..500).map(|_| (Box::pin(ring.wait_consumed(end)) as Task, Arc::default())).collect();
        for (task, waker) in &mut tasks {
            assert!(!poll_with(task, waker));
        }
        let mut polls = 0;
        for _ in 0..10 {
            drain(&mut program, WAKING.stop_after(1));
            // Long enough for a second round of those who are woken by the first.
            for _ in 0..3 {
                sleep(3 * MS);
                for (task, waker) in &mut tasks {
                    if waker.take() > 0 {
                        polls += 1;
                        assert!(!poll_with(task, waker), "the last sample is still there");
                    }
                }
            }
        }
        assert!(polls < 500, "10 drains that reached no one made {polls} polls");
        drain(&mut program, WAKING);
        soon("all woken", || {
            tasks.retain_mut(|(task, waker)| waker.take() == 0 || !poll_with(task, waker));
            tasks.is_empty()
        });
    }

    fn many_who_wait_beside_a_busy_drain_all_get_what_they_wait_for<R>() {
        const TASKS: usize = 4;
        const SAMPLES: usize = 3000;
        let (_map, ring, mut program) = empty::<R>(Recheck::Never);
        let ring = &ring;
        scope(|scope| {
            let tasks = [0; TASKS].map(|_| {
                scope.spawn(move || {
                    R::block_on(async {
                        for n in 0..SAMPLES {
                            let end = ring.push(&[0; 24_000]).await?;
                            if n % 5 == 0 {
                                ring.wait_consumed(end).await?;
                            }
                        }
                        Ok::<_, AsyncError>(())
                    })
                })
            });
            // Drains only what is there, so that a task which misses its wake is not helped by the next drain for long.
            let mut drained = 0;
            while drained < TASKS * SAMPLES {
                let samples = usize::try_from(drain(&mut program, WAKING)).unwrap();
                if samples > 0 {
                    goes_on();
                }
                drained += samples;
                std::thread::yield_now();
            }
            for task in tasks {
                task.join().unwrap().unwrap();
            }
        });
    }

    fn a_fresh_ring_is_looked_at_as_early_as_the_recheck_says<R>() {
        let recheck = Recheck::Backoff { first: MS, longest: Duration::from_secs(3600) };
        let (_map, ring, mut program) = half_full::<R>(recheck);
        drop(waits_until::<R, _>(|| _ = drain(&mut program, SILENT), ring.reserve(WANTED)).unwrap());
    }
}
