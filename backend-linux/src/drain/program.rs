//! The drain program: what it does, instruction by instruction.
//!
//! ```c
//! int run(struct context *context) {                 // BPF_PROG_TYPE_SYSCALL, sleepable
//!     log->used = log->logged = log->unlogged = 0;
//!     struct order order = { .left = context->stop_after, .. };
//!     context->returned = bpf_user_ringbuf_drain(&ring, each, &order, context->flags);
//!     return 0;
//! }
//!
//! static int each(struct bpf_dynptr *sample, struct order *order) {
//!     if (fits(sample)) { append length and bytes; log->logged++; }
//!     else { log->unlogged++; close the log; }
//!     return --order->left == 0;
//! }
//! ```
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
//! Kernel counterparts: `bpf_user_ringbuf_drain` in `kernel/bpf/ringbuf.c`, `bpf_dynptr_data` and `bpf_dynptr_read` in
//! `kernel/bpf/helpers.c`. Only helpers that Linux 6.1 has are used, and none that asks for a GPL licence.

use super::btf;
use super::insn::{
    Assembler, Cond, DYNPTR_DATA, DYNPTR_READ, KTIME_GET_NS, LOOP, Label, R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10,
    USER_RINGBUF_DRAIN,
};

/// The log's value: a header of 64 bytes, the capacity, and one chunk that is never filled.
pub(super) mod log {
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

/// Offsets within the log's header, as instructions have them; the public ones are those of [`log`].
const USED: i16 = 0;
const LOGGED: i16 = 8;
const UNLOGGED: i16 = 16;
const LENGTH: i16 = 24;
const TAIL: i16 = 32;
const TARGET: i16 = 40;
const SOURCE: i16 = 48;
const DATA: i16 = 64;

const CHUNK_BITS: u32 = 12;
const CHUNK: i32 = 1 << CHUNK_BITS;

/// A sample has at most 2^24 - 1 bytes, the limit of a dynptr.
const LENGTH_BITS: u32 = 24;

/// What user space and the program tell each other, in each run.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(super) struct Context {
    /// In: the flags of the drain.
    pub(super) flags: u64,
    /// In: stop after so many samples; 0 is never.
    pub(super) stop_after: u64,
    /// In, test program only: let so many nanoseconds pass in each callback.
    pub(super) delay: u64,
    /// In, test program only: not 0 to drain again in each callback.
    pub(super) nest: u64,
    /// Out: what the drain returned.
    pub(super) returned: i64,
    /// Out, test program only: what the last drain within the drain returned.
    pub(super) nested: i64,
}

/// Offsets within [`Context`].
const FLAGS: i16 = 0;
const STOP_AFTER: i16 = 8;
const DELAY: i16 = 16;
const NEST: i16 = 24;
const RETURNED: i16 = 32;
const NESTED: i16 = 40;

/// What the program tells the callback, on the program's stack: left, delay, nest, nested.
const ORDER: i16 = -32;
const ORDER_LEFT: i16 = 0;
const ORDER_DELAY: i16 = 8;
const ORDER_NEST: i16 = 16;
const ORDER_NESTED: i16 = 24;

/// Which program to write.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    /// The ring's descriptor.
    pub(super) ring: i32,
    /// The log's descriptor and capacity; none to drain without a log.
    pub(super) log: Option<(i32, u32)>,
    /// Whether the callback can be slow and drain again.
    pub(super) troublesome: bool,
}

/// `struct bpf_func_info`: where a function starts, and its type.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(super) struct FuncInfo {
    insn_off: u32,
    type_id: u32,
}

/// A written program.
pub(super) struct Program {
    pub(super) asm: Assembler,
    functions: [FuncInfo; 4],
    function_count: usize,
}

impl Program {
    /// The functions in the order of their instructions, as the kernel wants them.
    pub(super) fn functions(&self) -> &[FuncInfo] {
        self.functions.get(..self.function_count).unwrap_or_default()
    }

    /// Starts a function here.
    fn function(&mut self, type_id: u32) {
        if let Some(place) = self.functions.get_mut(self.function_count) {
            *place = FuncInfo { insn_off: self.asm.here(), type_id };
            self.function_count = self.function_count.saturating_add(1);
        }
    }
}

/// Writes the program.
pub(super) fn write(shape: Shape) -> Program {
    let mut program = Program { asm: Assembler::new(), functions: [FuncInfo::default(); 4], function_count: 0 };
    let [each, again, tick] = [(); 3].map(|()| program.asm.label());

    program.function(btf::RUN);
    run(&mut program.asm, shape, each);

    program.function(btf::EACH);
    program.asm.place(each);
    program.asm.copy(R6, R1);
    program.asm.copy(R7, R2);
    if shape.troublesome {
        trouble(&mut program.asm, shape.ring, again, tick);
    }
    if let Some((fd, capacity)) = shape.log {
        program.asm.load_map_value(R8, fd);
        append(&mut program.asm, i32::try_from(capacity).unwrap_or(0));
    }
    stop_at_last(&mut program.asm);

    if shape.troublesome {
        program.function(btf::AGAIN);
        program.asm.place(again);
        program.asm.set(R0, 0);
        program.asm.exit();

        program.function(btf::TICK);
        program.asm.place(tick);
        wait_for_deadline(&mut program.asm);
    }
    program
}

/// The program proper.
fn run(asm: &mut Assembler, shape: Shape, each: Label) {
    asm.copy(R6, R1);
    if let Some((fd, _)) = shape.log {
        asm.load_map_value(R8, fd);
        for counter in [USED, LOGGED, UNLOGGED] {
            asm.store_value(R8, counter, 0);
        }
    }
    for (from, to) in [(STOP_AFTER, ORDER_LEFT), (DELAY, ORDER_DELAY), (NEST, ORDER_NEST)] {
        asm.load(R1, R6, from);
        asm.store(R10, ORDER + to, R1);
    }
    asm.store_value(R10, ORDER + ORDER_NESTED, 0);
    asm.load_map(R1, shape.ring);
    asm.load_function(R2, each);
    asm.copy(R3, R10);
    asm.add_value(R3, i32::from(ORDER));
    asm.load(R4, R6, FLAGS);
    asm.call(USER_RINGBUF_DRAIN);
    asm.store(R6, RETURNED, R0);
    asm.load(R1, R10, ORDER + ORDER_NESTED);
    asm.store(R6, NESTED, R1);
    asm.set(R0, 0);
    asm.exit();
}

/// The end of the callback: 1 stops the drain.
fn stop_at_last(asm: &mut Assembler) {
    let out = asm.label();
    asm.load(R1, R7, ORDER_LEFT);
    asm.add_value(R1, -1);
    asm.store(R7, ORDER_LEFT, R1);
    asm.set(R0, 0);
    asm.jump_if(R1, Cond::NotEqual, 0, out);
    asm.set(R0, 1);
    asm.place(out);
    asm.exit();
}

/// Appends the sample in R6 to the log in R8, whose first `capacity` bytes may be filled.
fn append(asm: &mut Assembler, capacity: i32) {
    let [full, copied, large, out] = [(); 4].map(|()| asm.label());
    measure(asm);

    // From here on the length is a value loaded from memory: the verifier knows nothing of it but what we compare.
    asm.store(R8, LENGTH, R9);
    asm.load(R9, R8, LENGTH);
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
    }
    asm.place(found);
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

/// The part of the callback that shows how drains go wrong: let time pass, drain again.
fn trouble(asm: &mut Assembler, ring: i32, again: Label, tick: Label) {
    const DEADLINE: i16 = -8;
    /// `BPF_MAX_LOOPS`.
    const LOOPS: i32 = 1 << 23;
    /// `BPF_RB_NO_WAKEUP`.
    const NO_WAKEUP: i32 = 1;
    let [quick, single] = [(); 2].map(|()| asm.label());

    asm.load(R9, R7, ORDER_DELAY);
    asm.jump_if(R9, Cond::Equal, 0, quick);
    asm.call(KTIME_GET_NS);
    asm.add(R0, R9);
    asm.store(R10, DEADLINE, R0);
    asm.set(R1, LOOPS);
    asm.load_function(R2, tick);
    asm.copy(R3, R10);
    asm.add_value(R3, i32::from(DEADLINE));
    asm.set(R4, 0);
    asm.call(LOOP);
    asm.place(quick);

    asm.load(R9, R7, ORDER_NEST);
    asm.jump_if(R9, Cond::Equal, 0, single);
    asm.load_map(R1, ring);
    asm.load_function(R2, again);
    asm.set(R3, 0);
    asm.set(R4, NO_WAKEUP);
    asm.call(USER_RINGBUF_DRAIN);
    asm.store(R7, ORDER_NESTED, R0);
    asm.place(single);
}

/// A turn of the loop that lets time pass: 1 ends it.
fn wait_for_deadline(asm: &mut Assembler) {
    let out = asm.label();
    asm.copy(R6, R2);
    asm.call(KTIME_GET_NS);
    asm.load(R1, R6, 0);
    asm.copy(R2, R0);
    asm.set(R0, 0);
    asm.jump_if_reg(R1, Cond::Greater, R2, out);
    asm.set(R0, 1);
    asm.place(out);
    asm.exit();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shapes() -> impl Iterator<Item = Shape> {
        [None, Some((4, 4096)), Some((4, 1 << 28))]
            .into_iter()
            .flat_map(|log| [false, true].map(|troublesome| Shape { ring: 3, log, troublesome }))
    }

    #[test]
    fn every_shape_of_the_program_fits_the_assembler() {
        for shape in shapes() {
            let program = write(shape);
            assert!(!program.asm.finish().is_empty(), "{shape:?}");
            assert_eq!(program.functions().len(), if shape.troublesome { 4 } else { 2 });
            assert!(program.functions().is_sorted_by_key(|function| function.insn_off));
        }
    }

    #[test]
    fn instructions_and_user_space_agree_on_the_log() {
        for (instruction, user) in
            [(USED, log::USED), (LOGGED, log::LOGGED), (UNLOGGED, log::UNLOGGED), (DATA, log::HEADER)]
        {
            assert_eq!(usize::try_from(instruction).unwrap(), user);
        }
        assert_eq!(usize::try_from(CHUNK).unwrap(), log::CHUNK);
    }

    #[test]
    fn instructions_and_user_space_agree_on_the_context() {
        use core::mem::offset_of;
        for (instruction, user) in [
            (FLAGS, offset_of!(Context, flags)),
            (STOP_AFTER, offset_of!(Context, stop_after)),
            (DELAY, offset_of!(Context, delay)),
            (NEST, offset_of!(Context, nest)),
            (RETURNED, offset_of!(Context, returned)),
            (NESTED, offset_of!(Context, nested)),
        ] {
            assert_eq!(usize::try_from(instruction).unwrap(), user);
        }
    }
}
