//! The part of the callback that appends a sample to the log.
//!
//! How long a sample is: helpers up to Linux 6.4 do not say, but `bpf_dynptr_data` of no bytes at an offset succeeds
//! exactly up to the length. The last sample's length is tried first, then the length is built up bit by bit from
//! the top, starting at the first power of sixteen that is too much.
//!
//! What the verifier must see: every offset into the log is compared with a constant before use, and the log is
//! longer than its capacity by one chunk, so that a copy of variable length stays inside. Values that differ from
//! path to path (length, offset) are stored in the log and loaded again: a loaded value is unknown, so that the paths
//! look alike and are walked once, not once for each combination of bits.
//!
//! Kernel counterparts: `bpf_dynptr_data` and `bpf_dynptr_read` in `kernel/bpf/helpers.c`.

use crate::drain::insn::{Assembler, Cond, DYNPTR_DATA, DYNPTR_READ, Label, R0, R1, R2, R3, R4, R5, R6, R8, R9};

/// The log's value: a header of 64 bytes, the capacity, and one chunk that is never filled.
pub(in crate::drain) mod layout {
    /// The length of the header in bytes.
    pub(crate) const HEADER: usize = 64;
    /// Where the header has the bytes used.
    pub(crate) const USED: usize = 0;
    /// Where the header has the count of logged samples.
    pub(crate) const LOGGED: usize = 8;
    /// Where the header has the count of samples that did not fit.
    pub(crate) const UNLOGGED: usize = 16;
    /// The most bytes that one copy of variable length takes.
    pub(crate) const CHUNK: usize = 4096;
    /// What stands before each sample: its length, 64 bits.
    pub(crate) const PREFIX: usize = 8;
}

/// Offsets within the log's header, as instructions have them; the public ones are those of [`layout`].
pub(super) const USED: i16 = 0;
pub(super) const LOGGED: i16 = 8;
pub(super) const UNLOGGED: i16 = 16;
const LENGTH: i16 = 24;
const TAIL: i16 = 32;
const TARGET: i16 = 40;
const SOURCE: i16 = 48;
const DATA: i16 = 64;

const CHUNK_BITS: u32 = 12;
const CHUNK: i32 = 1 << CHUNK_BITS;

/// A sample has at most 2^24 - 1 bytes, the limit of a dynptr.
const LENGTH_BITS: u32 = 24;

/// Appends the sample in R6 to the log in R8, whose first `capacity` bytes may be filled.
pub(super) fn write(asm: &mut Assembler, capacity: i32) {
    let [full, copied, large, out] = [(); 4].map(|()| asm.label());
    measure(asm);

    // From here on the verifier knows nothing of the length but what we compare.
    forget(asm);
    asm.jump_if(R9, Cond::Greater, capacity, full);
    asm.load(R2, R8, USED);
    asm.jump_if(R2, Cond::Greater, capacity - 8, full);

    // R1: what would be used with this sample, its prefix, and padding to 8 bytes.
    asm.copy(R1, R9);
    asm.add_value(R1, 15);
    asm.and_value(R1, -8);
    asm.add(R1, R2);
    asm.jump_if(R1, Cond::Greater, capacity, full);
    asm.store(R8, USED, R1);

    // The prefix, then the bytes behind it.
    asm.copy(R1, R8);
    asm.add(R1, R2);
    asm.store(R1, DATA, R9);
    asm.jump_if(R9, Cond::Equal, 0, copied);
    asm.jump_if(R9, Cond::Greater, CHUNK, large);
    asm.add_value(R1, i32::from(DATA) + 8);
    asm.copy(R2, R9);
    asm.copy(R3, R6);
    asm.set(R4, 0);
    asm.set(R5, 0);
    asm.call(DYNPTR_READ);
    asm.jump(copied);

    asm.place(large);
    copy_large(asm, capacity, full);

    asm.place(copied);
    count(asm, LOGGED);
    asm.jump(out);

    // Nothing may follow a sample that is missing: the log is the beginning of what was drained.
    asm.place(full);
    asm.store_value(R8, USED, capacity);
    count(asm, UNLOGGED);
    asm.place(out);
}

fn count(asm: &mut Assembler, counter: i16) {
    asm.load(R1, R8, counter);
    asm.add_value(R1, 1);
    asm.store(R8, counter, R1);
}

/// R9 = the length of the sample in R6.
fn measure(asm: &mut Assembler) {
    let [search, found] = [(); 2].map(|()| asm.label());

    // Most often it is the length of the sample before.
    asm.load(R9, R8, LENGTH);
    reaches(asm, 0);
    asm.jump_if(R0, Cond::Equal, 0, search);
    reaches(asm, 1);
    asm.jump_if(R0, Cond::Equal, 0, found);

    asm.place(search);
    asm.set(R9, 0);
    let mut entries = [None; 6];
    for (bits, entry) in [4, 8, 12, 16, 20].into_iter().zip(&mut entries) {
        let label = asm.label();
        *entry = Some((bits, label));
        reaches(asm, 1 << bits);
        asm.jump_if(R0, Cond::Equal, 0, label);
    }
    for bit in (0..LENGTH_BITS).rev() {
        if let Some((_, label)) = entries.iter().flatten().find(|(bits, _)| *bits == bit + 1) {
            asm.place(*label);
        }
        let not_so_long = asm.label();
        reaches(asm, 1 << bit);
        asm.jump_if(R0, Cond::Equal, 0, not_so_long);
        asm.add_value(R9, 1 << bit);
        asm.place(not_so_long);
        forget(asm);
    }
    asm.place(found);
}

/// Makes R9 a value of which the verifier knows nothing: Linux 7.2 does not take two known ones for alike.
fn forget(asm: &mut Assembler) {
    asm.store(R8, LENGTH, R9);
    asm.load(R9, R8, LENGTH);
}

/// R0 = not null if the sample in R6 is at least R9 + `more` bytes long.
fn reaches(asm: &mut Assembler, more: i32) {
    asm.copy(R1, R6);
    asm.copy(R2, R9);
    if more != 0 {
        asm.add_value(R2, more);
    }
    asm.set(R3, 0);
    asm.call(DYNPTR_DATA);
}

/// Copies the R9 bytes of the sample in R6 to the offset R2 + 8 of the log's data: powers of two from the top, each
/// a copy of constant length, and what is left below one chunk.
fn copy_large(asm: &mut Assembler, capacity: i32, full: Label) {
    let done = asm.label();
    asm.add_value(R2, 8);
    asm.store(R8, TARGET, R2);
    asm.store_value(R8, SOURCE, 0);
    asm.and_value(R9, CHUNK - 1);
    asm.store(R8, TAIL, R9);
    for bit in (CHUNK_BITS..LENGTH_BITS).rev() {
        let step = 1 << bit;
        if step > capacity {
            // Such a sample did not fit.
            continue;
        }
        let [set, skip] = [(); 2].map(|()| asm.label());
        asm.load(R1, R8, LENGTH);
        asm.jump_if(R1, Cond::AnyBit, step, set);
        asm.jump(skip);
        asm.place(set);
        asm.load(R1, R8, TARGET);
        asm.jump_if(R1, Cond::Greater, capacity - step, full);
        asm.load(R4, R8, SOURCE);
        asm.copy(R2, R1);
        asm.add_value(R2, step);
        asm.store(R8, TARGET, R2);
        asm.copy(R2, R4);
        asm.add_value(R2, step);
        asm.store(R8, SOURCE, R2);
        asm.add(R1, R8);
        asm.add_value(R1, i32::from(DATA));
        asm.set(R2, step);
        asm.copy(R3, R6);
        asm.set(R5, 0);
        asm.call(DYNPTR_READ);
        asm.place(skip);
    }
    asm.load(R9, R8, TAIL);
    asm.jump_if(R9, Cond::Equal, 0, done);
    asm.jump_if(R9, Cond::Greater, CHUNK, full);
    asm.load(R1, R8, TARGET);
    asm.jump_if(R1, Cond::Greater, capacity, full);
    asm.add(R1, R8);
    asm.add_value(R1, i32::from(DATA));
    asm.copy(R2, R9);
    asm.copy(R3, R6);
    asm.load(R4, R8, SOURCE);
    asm.set(R5, 0);
    asm.call(DYNPTR_READ);
    asm.place(done);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_and_user_space_agree_on_the_log() {
        for (instruction, user) in
            [(USED, layout::USED), (LOGGED, layout::LOGGED), (UNLOGGED, layout::UNLOGGED), (DATA, layout::HEADER)]
        {
            assert_eq!(usize::try_from(instruction).unwrap(), user);
        }
        assert_eq!(usize::try_from(CHUNK).unwrap(), layout::CHUNK);
    }
}
