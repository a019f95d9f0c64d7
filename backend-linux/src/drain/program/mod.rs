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
//!     return log->used > order->room || --order->left == 0;
//! }
//! ```
//!
//! Kernel counterpart: `bpf_user_ringbuf_drain` in `kernel/bpf/ringbuf.c`. Only helpers that Linux 6.1 has are used,
//! and none that asks for a GPL licence.

mod append;
mod order;
mod trouble;

use super::btf;
use super::insn::{Assembler, Cond, Label, R0, R1, R2, R3, R4, R6, R7, R8, R10, USER_RINGBUF_DRAIN};

use order::{ORDER, ORDER_DELAY, ORDER_LEFT, ORDER_NEST, ORDER_NESTED, ORDER_ROOM};

pub(super) use append::layout;

/// What user space and the program tell each other, in each run.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(super) struct Context {
    /// In: the flags of the drain.
    pub(super) flags: u64,
    /// In: stop after so many samples; 0 is never.
    pub(super) stop_after: u64,
    /// In: stop once more than so many bytes of the log are used.
    pub(super) room: u64,
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
const ROOM: i16 = 16;
const DELAY: i16 = 24;
const NEST: i16 = 32;
const RETURNED: i16 = 40;
const NESTED: i16 = 48;

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
        trouble::write(&mut program.asm, shape.ring, again, tick);
    }
    if let Some((fd, capacity)) = shape.log {
        program.asm.load_map_value(R8, fd);
        append::write(&mut program.asm, i32::try_from(capacity).unwrap_or(0));
        stop_when_full(&mut program.asm);
    }
    stop_at_last(&mut program.asm);

    if shape.troublesome {
        program.function(btf::AGAIN);
        program.asm.place(again);
        program.asm.set(R0, 0);
        program.asm.exit();

        program.function(btf::TICK);
        program.asm.place(tick);
        trouble::wait_for_deadline(&mut program.asm);
    }
    program
}

/// The program proper.
fn run(asm: &mut Assembler, shape: Shape, each: Label) {
    asm.copy(R6, R1);
    if let Some((fd, _)) = shape.log {
        asm.load_map_value(R8, fd);
        for counter in [append::USED, append::LOGGED, append::UNLOGGED] {
            asm.store_value(R8, counter, 0);
        }
    }
    for (from, to) in [(STOP_AFTER, ORDER_LEFT), (ROOM, ORDER_ROOM), (DELAY, ORDER_DELAY), (NEST, ORDER_NEST)] {
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

/// Stops the drain once the log, in R8, has more bytes in use than the order allows.
fn stop_when_full(asm: &mut Assembler) {
    let [full, go_on] = [(); 2].map(|()| asm.label());
    asm.load(R1, R8, append::USED);
    asm.load(R2, R7, ORDER_ROOM);
    asm.jump_if_reg(R1, Cond::Greater, R2, full);
    asm.jump(go_on);
    asm.place(full);
    asm.set(R0, 1);
    asm.exit();
    asm.place(go_on);
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
    fn instructions_and_user_space_agree_on_the_context() {
        use core::mem::offset_of;
        for (instruction, user) in [
            (FLAGS, offset_of!(Context, flags)),
            (STOP_AFTER, offset_of!(Context, stop_after)),
            (ROOM, offset_of!(Context, room)),
            (DELAY, offset_of!(Context, delay)),
            (NEST, offset_of!(Context, nest)),
            (RETURNED, offset_of!(Context, returned)),
            (NESTED, offset_of!(Context, nested)),
        ] {
            assert_eq!(usize::try_from(instruction).unwrap(), user);
        }
    }
}
