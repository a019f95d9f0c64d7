//! Any sequence of operations on any ring size agrees with the reference model, bytes and positions.

use crate::SimMemory;
use crate::proof::{Program, run_on, run_on_heap};

/// What one input does: on the heap, and where the size allows it on mirrored memory too.
///
/// # Errors
/// If it is not a program; nothing was done then.
///
/// # Panics
/// Where the ring does not do as the model says.
pub fn run(bytes: &[u8]) -> Result<(), &'static str> {
    let program = Program::decode(bytes).ok_or("the head of a program is cut off")?;
    let check = |result: Result<_, _>| {
        if let Err(mismatch) = result {
            panic!("{mismatch}\n{program}");
        }
    };
    check(run_on_heap(&program));
    if let Ok(mut memory) = SimMemory::new(program.size.bytes_u64()) {
        check(run_on(&program, &mut memory));
    }
    Ok(())
}
