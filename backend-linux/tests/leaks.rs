//! What waiting opens, it closes. In a process of its own: other tests open descriptors at the same time.

use std::time::Duration;

use user_ringbuf_kit::rights::may_bpf;
use user_ringbuf_kit::usage::{mapped_maps, open_descriptors};
use user_ringbuf_linux::{EpollWaiter, Map, Mapping, Producer};

/// Waits in a task that gives up, and closes everything.
#[cfg(feature = "async-io")]
fn wait_in_a_task() {
    use std::future::{Future, poll_fn};
    use std::task::Poll;
    let map = Map::create("leaks", 4096).unwrap();
    let shared = user_ringbuf_linux::Shared::attach(Mapping::new(&map).unwrap()).unwrap();
    shared.push(&[0; 4088]).unwrap();
    let ring = user_ringbuf_linux::AsyncIoShared::new(shared, &map).unwrap();
    let mut reserving = Box::pin(ring.reserve(8));
    async_io::block_on(poll_fn(|cx| {
        assert!(reserving.as_mut().poll(cx).is_pending());
        Poll::Ready(())
    }));
}

/// One test, so that nothing runs beside it.
#[test]
fn descriptors_and_mappings_are_given_back_also_after_failures() {
    if !may_bpf() {
        return;
    }
    // What the process claims through is opened once and stays, and so are the reactor's own descriptors.
    drop(Mapping::new(&Map::create("leaks", 4096).unwrap()).unwrap());
    #[cfg(feature = "async-io")]
    wait_in_a_task();
    let before = (open_descriptors(), mapped_maps().len());
    for _ in 0..10 {
        let map = Map::create("leaks", 4096).unwrap();
        let mut producer = Producer::attach(Mapping::new(&map).unwrap()).unwrap();
        producer.push(&[0; 4088]).unwrap();
        assert!(mapped_maps().len() > before.1, "the count sees a mapping");
        let mut waiter = EpollWaiter::new(&map).unwrap();
        let canceller = waiter.canceller().unwrap().try_clone().unwrap();
        producer.reserve_blocking(8, &mut waiter, Some(Duration::from_millis(1))).unwrap_err();
        canceller.cancel().unwrap();
        producer.reserve_blocking(8, &mut waiter, None).unwrap_err();
        #[cfg(feature = "async-io")]
        wait_in_a_task();
    }
    assert_eq!((open_descriptors(), mapped_maps().len()), before);
}
