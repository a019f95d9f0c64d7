//! Places for our types in a C program's memory: it makes room, of a size that it asks for, and hands out pointers.

use core::ffi::c_int;
use core::mem::MaybeUninit;

use user_ringbuf_linux::{DetachedSample, Lane, Map, Mapping, Producer, Shared};

/// A mapping in memory that never moves.
pub(crate) type Fixed = &'static Mapping;

/// Bytes that each type takes: what `ring_sizes` fills in.
#[derive(Debug)]
#[repr(C)]
pub struct Sizes {
    /// The producer that owns its memory.
    producer: usize,
    /// The producer that borrows it.
    borrowing_producer: usize,
    /// The memory of a ring.
    mapping: usize,
    /// The producer for many threads.
    shared: usize,
    /// A detached sample.
    detached: usize,
    /// A lane.
    lane: usize,
}

/// Says how much room each type takes.
#[unsafe(no_mangle)]
pub extern "C" fn ring_sizes(sizes: &mut Sizes) {
    *sizes = Sizes {
        producer: size_of::<Producer<Mapping>>(),
        borrowing_producer: size_of::<Producer<Fixed>>(),
        mapping: size_of::<Mapping>(),
        shared: size_of::<Shared<Fixed>>(),
        detached: size_of::<DetachedSample<Fixed>>(),
        lane: size_of::<Lane<Fixed>>(),
    };
}

/// Makes a map of `size` bytes and maps it at `place`. 0, or the number of the step that failed.
#[unsafe(no_mangle)]
pub extern "C" fn mapping_open(place: &mut MaybeUninit<Mapping>, size: u64) -> c_int {
    let Ok(map) = Map::create("hot_path", size) else { return 1 };
    let Ok(memory) = Mapping::new(&map) else { return 2 };
    place.write(memory);
    0
}

/// Makes the producer of a new ring of `size` bytes, which owns its memory. 0, or the number of the step that failed.
#[unsafe(no_mangle)]
pub extern "C" fn producer_open(place: &mut MaybeUninit<Producer<Mapping>>, size: u64) -> c_int {
    let mut memory = MaybeUninit::uninit();
    let step = mapping_open(&mut memory, size);
    if step != 0 {
        return step;
    }
    // SAFETY: `mapping_open` has filled it in.
    let Ok(producer) = Producer::attach(unsafe { memory.assume_init() }) else { return 3 };
    place.write(producer);
    0
}

/// Makes a producer on memory that stays where it is. Whether it was free.
#[unsafe(no_mangle)]
pub extern "C" fn borrowing_producer_open(place: &mut MaybeUninit<Producer<Fixed>>, memory: Fixed) -> bool {
    Producer::attach(memory).map(|producer| place.write(producer)).is_ok()
}

/// Makes a shared producer on memory that stays where it is. Whether it was free.
#[unsafe(no_mangle)]
pub extern "C" fn shared_open(place: &mut MaybeUninit<Shared<Fixed>>, memory: Fixed) -> bool {
    Shared::attach(memory).map(|shared| place.write(shared)).is_ok()
}

/// Gives the ring up.
///
/// # Safety
/// `producer_open` has answered 0 for this place, and it is not used after this.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn producer_close(producer: *mut Producer<Mapping>) {
    // SAFETY: the caller's promise.
    unsafe { producer.drop_in_place() };
}
