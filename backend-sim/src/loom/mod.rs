//! The ring under [loom], which runs a small concurrent program in every interleaving, and with every value
//! that a load may give on weakly ordered processors.
//!
//! The core is the same code as everywhere, and so is the [fake kernel](crate::FakeKernel): only the memory differs. Loom
//! sees each access to a [`LoomMemory`], also those to the private words, and each byte of headers and samples lies in a
//! tracked cell. A missing ordering shows as a data race, or as a stale header or a torn sample in what comes out.
//!
//! # Your own code
//!
//! Write it generic over the memory, as here, or over `LoomMemory` in tests; use loom's types for everything else that
//! your threads share; and make everything inside the model, because it is run many times. A thread that waits for another
//! must [yield](::loom::thread::yield_now). Keep the ring so small that its space is used again: on a ring that is
//! never full, the hard part goes untested.
//!
//! ```
//! use std::sync::Arc;
//!
//! use loom::sync::Mutex;
//! use loom::thread;
//! use user_ringbuf_sim::kernel::NO_WAKEUP;
//! use user_ringbuf_sim::{Producer, RingMemory, RingSize};
//! use user_ringbuf_sim::loom::LoomMemory;
//! use user_ringbuf_sim::{FakeKernel, Orderings};
//!
//! /// The code to be checked: two threads of it share one counter and one producer.
//! fn count<M: RingMemory>(shared: &Mutex<(u8, Producer<M>)>) {
//!     let mut guard = shared.lock().unwrap();
//!     let (counter, producer) = &mut *guard;
//!     *counter += 1;
//!     // Room for both samples is there only if the kernel drains in between.
//!     let _ = producer.push(&[*counter; 3]);
//! }
//!
//! loom::model(|| {
//!     let memory = LoomMemory::new(RingSize::new(16).unwrap(), Orderings::of_the_protocol());
//!     let memory = Arc::new(memory);
//!     let producer = Producer::attach(Arc::clone(&memory)).unwrap();
//!     let shared = Arc::new(Mutex::new((0, producer)));
//!     let threads = [(); 2].map(|()| {
//!         let shared = Arc::clone(&shared);
//!         thread::spawn(move || count(&shared))
//!     });
//!
//!     let kernel = FakeKernel::new(&memory);
//!     let mut samples = kernel.collect(NO_WAKEUP).1;
//!     for thread in threads {
//!         thread.join().unwrap();
//!     }
//!     samples.extend(kernel.collect(NO_WAKEUP).1);
//!     assert!([vec![vec![1; 3]], vec![vec![1; 3], vec![2; 3]]].contains(&samples), "{samples:?}");
//! });
//! ```
//! `tests/loom_user_code.rs` is a larger one: an agent's own mailbox between its threads, right and wrong.
//!
//! **Outside a model** a `LoomMemory` can't be made, like any type of loom: it panics with loom's own message, "cannot
//! access Loom execution state from outside a Loom model". A memory must not outlive its model either.
//!
//! # What loom can't see
//!
//! - At most five threads, the model's own counted, and some tens of accesses each: beyond that it takes forever. A
//!   bound on preemptions helps (`LOOM_MAX_PREEMPTIONS=3`).
//! - It leaves out schedules that it takes for equal to others, sometimes too many:
//!   [`LoomMemory::without_reduction`] says when, and what to do about it. The project's own models are run both ways.
//! - It takes loads and stores in program order, and only lets a load find an older value than the newest. A store
//!   that overtakes an earlier load does not occur; none of the roles is there to prevent that alone.
//! - Spurious failures of [`exchange_word`](crate::RingMemory::exchange_word) do not occur.

pub(crate) mod access;
#[expect(unsafe_code, reason = "reads and writes the tracked cells")]
mod memory;

pub use memory::{LoomMemory, LoomWord, STALE_BYTE, STALE_LEN};
