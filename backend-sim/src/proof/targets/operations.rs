//! Any sequence of operations on any ring size agrees with the reference model, bytes and positions.

use crate::SimMemory;
use crate::proof::{DecodeError, Program, run_on, run_on_heap};

/// What one input does: on the heap, and where the size allows it on mirrored memory too.
///
/// # Errors
/// [`DecodeError`] if it is not a program; nothing was done then.
///
/// # Panics
/// Where the ring does not do as the model says.
pub fn run(bytes: &[u8]) -> Result<(), DecodeError> {
    let program = Program::decode(bytes)?;
    let check = |result: Result<_, _>| {
        if let Err(mismatch) = result {
            panic!("{mismatch}\n{program}");
        }
    };
    check(run_on_heap(&program));
    if let Ok(mut memory) = SimMemory::new(program.size.bytes_u64()) {
        check(run_on(&program, &mut memory, None));
    }
    Ok(())
}

/// How many of these bytes are a program and nothing else; none if not even its head is whole. A fuzzer that cuts what it
/// makes up there always makes up programs.
#[must_use]
pub fn whole(bytes: &[u8]) -> Option<usize> {
    match Program::decode_prefix(bytes).ok()?.1 {
        None => Some(bytes.len()),
        Some(DecodeError::Truncated { at } | DecodeError::TooManyOperations { at }) => Some(at),
        Some(DecodeError::UnalignedStart { .. }) => None,
    }
}
