//! The part of the callback that shows how drains go wrong: it lets time pass, and drains again.
//!
//! Kernel counterparts: `bpf_loop` in `kernel/bpf/bpf_iter.c`, and the busy bit in `bpf_user_ringbuf_drain`.

use user_ringbuf_core::kernel::NO_WAKEUP;

use super::order::{ORDER_DELAY, ORDER_NEST, ORDER_NESTED};
use crate::drain::insn::{
    Assembler, Cond, KTIME_GET_NS, LOOP, Label, R0, R1, R2, R3, R4, R6, R7, R9, R10, USER_RINGBUF_DRAIN,
};

/// Lets time pass and drains again, as the order in R7 asks.
pub(super) fn write(asm: &mut Assembler, ring: i32, again: Label, tick: Label) {
    const DEADLINE: i16 = -8;
    /// `BPF_MAX_LOOPS`.
    const LOOPS: i32 = 1 << 23;
    /// As wide as an instruction's operand.
    const SILENT: i32 = 1;
    const { assert!(NO_WAKEUP == 1) };
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
    asm.set(R4, SILENT);
    asm.call(USER_RINGBUF_DRAIN);
    asm.store(R7, ORDER_NESTED, R0);
    asm.place(single);
}

/// A turn of the loop that lets time pass: 1 ends it.
pub(super) fn wait_for_deadline(asm: &mut Assembler) {
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
