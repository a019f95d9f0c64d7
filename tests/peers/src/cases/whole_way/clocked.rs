//! A drain program whose callback looks at the clock, loaded by libbpf.
//!
//! ```c
//! int run(struct context *context) {
//!     __u64 called = 0;
//!     context->returned = bpf_user_ringbuf_drain(&ring, each, &called, context->flags);
//!     context->called = called;
//!     return 0;
//! }
//! static long each(struct bpf_dynptr *sample, __u64 *called) {
//!     *called = bpf_ktime_get_ns();
//!     return 0;
//! }
//! ```

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use anyhow::{Context, Result, ensure};
use libbpf_sys::{bpf_insn, bpf_prog_load_opts, bpf_test_run_opts};
use user_ringbuf_linux::{Map, WakeupFlags};

/// What user space and the program tell each other.
#[derive(Debug, Default)]
#[repr(C)]
struct Told {
    flags: u64,
    returned: i64,
    /// `CLOCK_MONOTONIC` in the callback, in nanoseconds.
    called: u64,
}

/// The loaded program.
#[derive(Debug)]
pub(super) struct Clocked(OwnedFd);

/// `struct bpf_func_info`: where a function begins, and its type.
#[repr(C)]
struct Function {
    at: u32,
    type_id: u32,
}

/// The callback's first instruction.
const EACH: usize = 15;

impl Clocked {
    pub(super) fn load(ring: &Map) -> Result<Self> {
        let btf = Types::new()?;
        let functions =
            [Function { at: 0, type_id: btf.run }, Function { at: u32::try_from(EACH)?, type_id: btf.each }];
        let insns = program(ring.as_fd().as_raw_fd());
        let mut opts = bpf_prog_load_opts {
            sz: size_of::<bpf_prog_load_opts>() as _,
            prog_flags: libbpf_sys::BPF_F_SLEEPABLE,
            prog_btf_fd: u32::try_from(btf.fd)?,
            func_info: functions.as_ptr().cast(),
            func_info_cnt: u32::try_from(functions.len())?,
            func_info_rec_size: u32::try_from(size_of::<Function>())?,
            ..Default::default()
        };
        // SAFETY: everything that the arguments point to lives, with the lengths given.
        let fd = unsafe {
            libbpf_sys::bpf_prog_load(
                libbpf_sys::BPF_PROG_TYPE_SYSCALL,
                c"clocked".as_ptr(),
                c"GPL".as_ptr(),
                insns.as_ptr(),
                insns.len() as _,
                &raw mut opts,
            )
        };
        ensure!(fd >= 0, "load the program that looks at the clock: {}", io::Error::from_raw_os_error(-fd));
        // SAFETY: libbpf has just opened it for us.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Drains one sample, and returns when the callback had it, on the monotonic clock in nanoseconds.
    pub(super) fn drain(&mut self, flags: WakeupFlags) -> Result<u64> {
        let mut told = Told { flags: flags.0, ..Default::default() };
        let mut opts = bpf_test_run_opts {
            sz: size_of::<bpf_test_run_opts>() as _,
            ctx_in: (&raw mut told).cast(),
            ctx_size_in: u32::try_from(size_of::<Told>())?,
            ..Default::default()
        };
        // SAFETY: the kernel reads and writes `told`, which has the length given.
        let error = unsafe { libbpf_sys::bpf_prog_test_run_opts(self.0.as_raw_fd(), &raw mut opts) };
        ensure!(error == 0, "run the program that looks at the clock: {}", io::Error::from_raw_os_error(-error));
        ensure!(told.returned == 1, "one sample was submitted, and the drain returned {}", told.returned);
        Ok(told.called)
    }
}

/// The type information that a callback needs, in the kernel.
struct Types {
    btf: *mut libbpf_sys::btf,
    fd: i32,
    run: u32,
    each: u32,
}

impl Types {
    fn new() -> Result<Self> {
        const SIGNED: i32 = 1;
        // SAFETY: no argument.
        let btf = unsafe { libbpf_sys::btf__new_empty() };
        ensure!(!btf.is_null(), "btf__new_empty: {}", io::Error::last_os_error());
        let mut types = Self { btf, fd: -1, run: 0, each: 0 };
        // SAFETY: the BTF lives as long as `types`, and the name is a C string.
        let [long, pointer] = unsafe {
            let long = libbpf_sys::btf__add_int(btf, c"long".as_ptr(), 8, SIGNED);
            [long, libbpf_sys::btf__add_ptr(btf, 0)]
        };
        types.run = types.function(c"run", long, libbpf_sys::BTF_FUNC_GLOBAL, &[(c"context", pointer)])?;
        let parameters = [(c"sample", pointer), (c"called", pointer)];
        types.each = types.function(c"each", long, libbpf_sys::BTF_FUNC_STATIC, &parameters)?;
        // SAFETY: as above.
        let error = unsafe { libbpf_sys::btf__load_into_kernel(btf) };
        ensure!(error == 0, "btf__load_into_kernel: {}", io::Error::from_raw_os_error(-error));
        // SAFETY: as above; libbpf closes the descriptor with the BTF.
        types.fd = unsafe { libbpf_sys::btf__fd(btf) };
        Ok(types)
    }

    fn function(
        &self,
        name: &CStr,
        returns: i32,
        linkage: libbpf_sys::btf_func_linkage,
        parameters: &[(&CStr, i32)],
    ) -> Result<u32> {
        // SAFETY: the BTF lives as long as `self`, and the names are C strings.
        let id = unsafe {
            let proto = libbpf_sys::btf__add_func_proto(self.btf, returns);
            for (name, of) in parameters {
                libbpf_sys::btf__add_func_param(self.btf, name.as_ptr(), *of);
            }
            libbpf_sys::btf__add_func(self.btf, name.as_ptr(), linkage, proto)
        };
        u32::try_from(id).with_context(|| format!("btf__add_func: {}", io::Error::from_raw_os_error(-id)))
    }
}

impl Drop for Types {
    fn drop(&mut self) {
        // SAFETY: made by `btf__new_empty`, and freed once.
        unsafe { libbpf_sys::btf__free(self.btf) };
    }
}

/// `struct bpf_insn`: operation, registers (source and destination, four bits each), offset, value.
fn insn(code: u8, registers: u8, off: i16, imm: i32) -> bpf_insn {
    let mut insn = bpf_insn { code, off, imm, ..Default::default() };
    insn.set_dst_reg(registers & 15);
    insn.set_src_reg(registers >> 4);
    insn
}

fn program(ring: i32) -> [bpf_insn; 20] {
    const COPY: u8 = 0xbf;
    const SET: u8 = 0xb7;
    const ADD: u8 = 0x07;
    const LOAD: u8 = 0x79;
    const STORE: u8 = 0x7b;
    const STORE_VALUE: u8 = 0x7a;
    /// Two places. The source is 1 for a map's descriptor and 4 for a function so many places behind the next one.
    const LOAD_WIDE: u8 = 0x18;
    const CALL: u8 = 0x85;
    const EXIT: u8 = 0x95;
    const DRAIN: i32 = 209;
    const KTIME_GET_NS: i32 = 5;
    [
        insn(COPY, 0x16, 0, 0),
        insn(STORE_VALUE, 0x0a, -8, 0),
        insn(LOAD_WIDE, 0x11, 0, ring),
        insn(0, 0, 0, 0),
        insn(LOAD_WIDE, 0x42, 0, 10),
        insn(0, 0, 0, 0),
        insn(COPY, 0xa3, 0, 0),
        insn(ADD, 0x03, 0, -8),
        insn(LOAD, 0x64, 0, 0),
        insn(CALL, 0, 0, DRAIN),
        insn(STORE, 0x06, 8, 0),
        insn(LOAD, 0xa1, -8, 0),
        insn(STORE, 0x16, 16, 0),
        insn(SET, 0x00, 0, 0),
        insn(EXIT, 0, 0, 0),
        // The callback.
        insn(COPY, 0x26, 0, 0),
        insn(CALL, 0, 0, KTIME_GET_NS),
        insn(STORE, 0x06, 0, 0),
        insn(SET, 0x00, 0, 0),
        insn(EXIT, 0, 0, 0),
    ]
}
