//! Any sequence of operations on any ring size agrees with the reference model, bytes and positions.

use user_ringbuf_sim::{DecodeError, Program, SimMemory, run_on, run_on_heap};

/// What one input does: on the heap, and where the size allows it on mirrored memory too.
///
/// # Errors
/// [`DecodeError`] if it is no program; nothing was done then.
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

/// The program that `bytes` begin with, as bytes that are a program and nothing else; none if they begin with none.
/// So what a fuzzer makes up is always a program.
#[must_use]
pub fn as_program(bytes: &[u8]) -> Option<Vec<u8>> {
    Program::decode_prefix(bytes).ok().map(|(program, _)| program.encode())
}
