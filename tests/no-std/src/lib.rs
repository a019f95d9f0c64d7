//! The core and the Linux backend in a static library that has no std, no allocator, and must have no panic.
//!
//! It is what a C program would embed, and what the check of the hot path looks at: the machine code of these functions
//! is counted, disassembled and run. Its panic handler calls a function that is not defined, so a panic that is linked
//! is an error of the linker.
#![no_std]

mod everything;
mod hot_path;
mod places;

use core::panic::PanicInfo;

unsafe extern "C" {
    /// Defined nowhere.
    fn a_panic_is_linked() -> !;
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    // SAFETY: the function is not defined, so a program in which this is reached does not exist.
    unsafe { a_panic_is_linked() }
}
