//! A small assembler for BPF instructions.
//!
//! Purpose: the few instructions that our programs need, with labels for forward jumps, in an array of fixed length:
//! no allocator is needed. Invariant: a program that does not fit, or jumps to a label that was never placed, comes
//! out empty, which the kernel refuses. Kernel counterpart: `struct bpf_insn` in `include/uapi/linux/bpf.h`.

/// The most instructions of a program.
const CAPACITY: usize = 640;
/// The most jumps to labels.
const JUMPS: usize = 96;

/// A register. R0 is a call's result, R1 to R5 are its arguments, R6 to R9 survive it, R10 is the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reg(u8);

pub(crate) const R0: Reg = Reg(0);
pub(crate) const R1: Reg = Reg(1);
pub(crate) const R2: Reg = Reg(2);
pub(crate) const R3: Reg = Reg(3);
pub(crate) const R4: Reg = Reg(4);
pub(crate) const R5: Reg = Reg(5);
pub(crate) const R6: Reg = Reg(6);
pub(crate) const R7: Reg = Reg(7);
pub(crate) const R8: Reg = Reg(8);
pub(crate) const R9: Reg = Reg(9);
pub(crate) const R10: Reg = Reg(10);

/// The condition of a jump.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cond {
    Equal,
    NotEqual,
    /// Unsigned.
    Greater,
    /// Any bit in common.
    AnyBit,
}

impl Cond {
    const fn code(self) -> u8 {
        match self {
            Self::Equal => 0x10,
            Self::Greater => 0x20,
            Self::AnyBit => 0x40,
            Self::NotEqual => 0x50,
        }
    }
}

/// A helper of the kernel, by its number in `enum bpf_func_id`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Helper(i32);

pub(crate) const KTIME_GET_NS: Helper = Helper(5);
pub(crate) const LOOP: Helper = Helper(181);
pub(crate) const DYNPTR_READ: Helper = Helper(201);
pub(crate) const DYNPTR_DATA: Helper = Helper(203);
pub(crate) const USER_RINGBUF_DRAIN: Helper = Helper(209);

/// A place to jump to, further on in the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Label(u16);

/// `struct bpf_insn`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Insn {
    code: u8,
    registers: u8,
    off: i16,
    imm: i32,
}

impl Insn {
    const fn new(code: u8, dst: Reg, src: u8, off: i16, imm: i32) -> Self {
        // Two bit fields of 4 bits, whose order in the byte is the machine's.
        let registers = if cfg!(target_endian = "little") { dst.0 | src << 4 } else { dst.0 << 4 | src };
        Self { code, registers, off, imm }
    }
}

/// A program being written.
pub(crate) struct Assembler {
    insns: [Insn; CAPACITY],
    len: usize,
    /// Instructions that jump, or refer, to a label that was not placed when they were written.
    open: [Option<(usize, Label)>; JUMPS],
    labels: u16,
    failed: bool,
}

impl Assembler {
    pub(crate) fn new() -> Self {
        Self { insns: [Insn::default(); CAPACITY], len: 0, open: [None; JUMPS], labels: 0, failed: false }
    }

    /// The number of instructions so far, which is the offset of the next.
    pub(crate) fn here(&self) -> u32 {
        u32::try_from(self.len).unwrap_or(u32::MAX)
    }

    /// The finished program; empty if anything went wrong.
    pub(crate) fn finish(&self) -> &[Insn] {
        if self.failed || self.open.iter().any(Option::is_some) {
            return &[];
        }
        self.insns.get(..self.len).unwrap_or_default()
    }

    pub(crate) fn label(&mut self) -> Label {
        self.labels = self.labels.saturating_add(1);
        Label(self.labels)
    }

    /// Lets `label` stand for the next instruction.
    pub(crate) fn place(&mut self, label: Label) {
        for open in &mut self.open {
            let Some((at, _)) = open.take_if(|(_, wanted)| *wanted == label) else {
                continue;
            };
            let Some(insn) = self.insns.get_mut(at) else {
                continue;
            };
            // Offsets count from the instruction after.
            let distance = self.len.saturating_sub(at).saturating_sub(1);
            if insn.code == LOAD_64 {
                // A reference to a function has its distance in the immediate.
                insn.imm = i32::try_from(distance).unwrap_or(i32::MAX);
            } else {
                insn.off = i16::try_from(distance).unwrap_or(i16::MAX);
            }
        }
    }

    fn push(&mut self, insn: Insn) {
        match self.insns.get_mut(self.len) {
            Some(place) => {
                *place = insn;
                self.len = self.len.saturating_add(1);
            }
            None => self.failed = true,
        }
    }

    fn push_open(&mut self, insn: Insn, label: Label) {
        match self.open.iter_mut().find(|open| open.is_none()) {
            Some(open) => *open = Some((self.len, label)),
            None => self.failed = true,
        }
        self.push(insn);
    }

    /// `dst = src`.
    pub(crate) fn copy(&mut self, dst: Reg, src: Reg) {
        self.push(Insn::new(0xbf, dst, src.0, 0, 0));
    }

    /// `dst = value`, sign-extended.
    pub(crate) fn set(&mut self, dst: Reg, value: i32) {
        self.push(Insn::new(0xb7, dst, 0, 0, value));
    }

    /// `dst += src`.
    pub(crate) fn add(&mut self, dst: Reg, src: Reg) {
        self.push(Insn::new(0x0f, dst, src.0, 0, 0));
    }

    /// `dst += value`.
    pub(crate) fn add_value(&mut self, dst: Reg, value: i32) {
        self.push(Insn::new(0x07, dst, 0, 0, value));
    }

    /// `dst &= value`, sign-extended.
    pub(crate) fn and_value(&mut self, dst: Reg, value: i32) {
        self.push(Insn::new(0x57, dst, 0, 0, value));
    }

    /// `dst = *(u64 *)(src + off)`.
    pub(crate) fn load(&mut self, dst: Reg, src: Reg, off: i16) {
        self.push(Insn::new(0x79, dst, src.0, off, 0));
    }

    /// `*(u64 *)(dst + off) = src`.
    pub(crate) fn store(&mut self, dst: Reg, off: i16, src: Reg) {
        self.push(Insn::new(0x7b, dst, src.0, off, 0));
    }

    /// `*(u64 *)(dst + off) = value`, sign-extended.
    pub(crate) fn store_value(&mut self, dst: Reg, off: i16, value: i32) {
        self.push(Insn::new(0x7a, dst, 0, off, value));
    }

    /// `dst = ` the map behind a descriptor.
    pub(crate) fn load_map(&mut self, dst: Reg, fd: i32) {
        self.load_64(dst, PSEUDO_MAP_FD, fd);
    }

    /// `dst = ` the address of the first value of the map behind a descriptor.
    pub(crate) fn load_map_value(&mut self, dst: Reg, fd: i32) {
        self.load_64(dst, PSEUDO_MAP_VALUE, fd);
    }

    fn load_64(&mut self, dst: Reg, kind: u8, imm: i32) {
        self.push(Insn::new(LOAD_64, dst, kind, 0, imm));
        self.push(Insn::default());
    }

    /// `dst = ` the function that starts at `label`.
    pub(crate) fn load_function(&mut self, dst: Reg, label: Label) {
        self.push_open(Insn::new(LOAD_64, dst, PSEUDO_FUNC, 0, 0), label);
        self.push(Insn::default());
    }

    /// Calls a helper of the kernel.
    pub(crate) fn call(&mut self, helper: Helper) {
        self.push(Insn::new(0x85, R0, 0, 0, helper.0));
    }

    pub(crate) fn jump(&mut self, to: Label) {
        self.push_open(Insn::new(0x05, R0, 0, 0, 0), to);
    }

    /// Jumps if `reg` compares so with `value`, sign-extended.
    pub(crate) fn jump_if(&mut self, reg: Reg, cond: Cond, value: i32, to: Label) {
        self.push_open(Insn::new(0x05 | cond.code(), reg, 0, 0, value), to);
    }

    /// Jumps if `reg` compares so with `other`.
    pub(crate) fn jump_if_reg(&mut self, reg: Reg, cond: Cond, other: Reg, to: Label) {
        self.push_open(Insn::new(0x0d | cond.code(), reg, other.0, 0, 0), to);
    }

    /// Returns R0.
    pub(crate) fn exit(&mut self) {
        self.push(Insn::new(0x95, R0, 0, 0, 0));
    }
}

/// A load of 64 bits, which takes two instructions; the source register says what the immediate means.
const LOAD_64: u8 = 0x18;
const PSEUDO_MAP_FD: u8 = 1;
const PSEUDO_MAP_VALUE: u8 = 2;
const PSEUDO_FUNC: u8 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jumps_reach_the_instruction_that_follows_their_label() {
        let mut asm = Assembler::new();
        let end = asm.label();
        asm.jump_if(R1, Cond::Equal, 7, end);
        asm.set(R0, 1);
        asm.jump(end);
        asm.set(R0, 2);
        asm.place(end);
        asm.exit();
        let offsets: std::vec::Vec<_> = asm.finish().iter().map(|insn| insn.off).collect();
        assert_eq!(offsets, [3, 0, 1, 0, 0]);
    }

    #[test]
    fn a_function_is_referred_to_by_its_distance() {
        let mut asm = Assembler::new();
        let function = asm.label();
        asm.load_function(R2, function);
        asm.exit();
        asm.place(function);
        asm.exit();
        assert_eq!(asm.finish()[0], Insn::new(0x18, R2, 4, 0, 2));
        assert_eq!(asm.finish().len(), 4);
    }

    #[test]
    fn a_missing_label_and_a_program_too_long_leave_nothing() {
        let mut asm = Assembler::new();
        let nowhere = asm.label();
        asm.jump(nowhere);
        asm.exit();
        assert!(asm.finish().is_empty());

        let mut asm = Assembler::new();
        for _ in 0..CAPACITY {
            asm.exit();
        }
        assert_eq!(asm.finish().len(), CAPACITY);
        asm.exit();
        assert!(asm.finish().is_empty());
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn instructions_are_encoded_as_the_kernel_reads_them() {
        let mut asm = Assembler::new();
        asm.load(R3, R10, -8);
        asm.add_value(R9, -2);
        let insns = asm.finish();
        assert_eq!(insns[0], Insn { code: 0x79, registers: 0xa3, off: -8, imm: 0 });
        assert_eq!(insns[1], Insn { code: 0x07, registers: 0x09, off: 0, imm: -2 });
    }
}
