#![no_std]
#![allow(missing_docs, clippy::missing_safety_doc)]
use core::ffi::c_int;
use core::mem::MaybeUninit;
use user_ringbuf_linux::{Map, Mapping, Producer};

unsafe extern "C" { fn a_panic_is_linked() -> !; }

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! { unsafe { a_panic_is_linked() } }

pub struct Handle { _map: Map, producer: Producer<Mapping> }

#[unsafe(no_mangle)]
pub unsafe extern "C" fn ring_create(place: *mut MaybeUninit<Handle>, size: u64) -> c_int {
    let Ok(map) = Map::create("hot_path", size) else { return -1 };
    let Ok(memory) = Mapping::new(&map) else { return -2 };
    let Ok(producer) = Producer::attach(memory) else { return -3 };
    unsafe { (*place).write(Handle { _map: map, producer }) };
    0
}
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ring_drop(place: *mut Handle) { unsafe { place.drop_in_place() } }

#[unsafe(no_mangle)]
pub extern "C" fn ring_reserve_submit(handle: &mut Handle, len: usize, word: u64) -> bool {
    let Ok(mut sample) = handle.producer.reserve(len) else { return false };
    if sample.write(0, &word.to_ne_bytes()).is_err() { return false }
    sample.submit();
    true
}
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ring_push(handle: &mut Handle, bytes: *const u8, len: usize) -> bool {
    handle.producer.push(unsafe { core::slice::from_raw_parts(bytes, len) }).is_ok()
}
#[unsafe(no_mangle)]
pub extern "C" fn ring_push_40(handle: &mut Handle, bytes: &[u8;40]) -> bool {
    handle.producer.push(bytes).is_ok()
}
