//! A consumer in the kernel, for self-tests and for those who have none: a BPF program that drains a ring on demand.
//!
//! Instructions and type information are written down in this crate; no compiler and no libbpf take part.
//! [`DrainProgram::load`] has the kernel verify a program of type `BPF_PROG_TYPE_SYSCALL` for one map, and
//! [`DrainProgram::run`] runs it once, by one system call: it calls `bpf_user_ringbuf_drain`, copies each sample that
//! it is handed into a log, and hands back what the kernel returned together with the samples.
//!
//! Invariant: the log is the beginning of what was drained, in order, each sample of its exact length with all its
//! bytes; what no longer fitted is counted. Kernel counterparts: `bpf_user_ringbuf_drain` in `kernel/bpf/ringbuf.c`,
//! `bpf_prog_test_run_syscall` in `net/bpf/test_run.c`.

mod btf;
mod error;
mod insn;
mod load;
mod log;
mod program;

use core::time::Duration;

use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use user_ringbuf_core::kernel::{FORCE_WAKEUP, NO_WAKEUP};

use crate::bpf::attr::TestRun;
use crate::bpf::{BpfCommand, address, bpf, length};
use crate::fd::borrow;
use crate::map::Map;
use crate::map::info::number;
use log::Log;
use program::{Context, Shape};

pub use error::DrainError;
pub use log::{MAX_LOG, Samples};

/// A loaded program that drains one map: it calls `bpf_user_ringbuf_drain` each time that `BPF_PROG_TEST_RUN` runs it
/// (the kernel's `bpf_prog_test_run_syscall`).
///
/// Several programs may drain the same map from several threads: the kernel lets one drain at a time and answers
/// `EBUSY` to the others. Each has a log of its own. [`Drained::samples`] are slices of it, which each run rewrites: so
/// this handle alone may run the program, and gives up its descriptor only together with the log (`OwnedFd::from`).
/// Another process that may open any program by its id (`CAP_SYS_ADMIN`) must leave this one alone.
///
/// ```compile_fail,E0277
/// # use std::os::fd::AsFd;
/// # fn show(program: &user_ringbuf_linux::DrainProgram) {
/// let fd = AsFd::as_fd(program);
/// # }
/// ```
///
/// # Rights and minimum kernel version
///
/// Loading needs `CAP_BPF`; running needs nothing. Linux 6.1, with its BPF JIT switched on: the interpreter has no
/// callbacks.
///
/// # A self-test
///
/// ```no_run
/// use user_ringbuf_linux::{DrainOptions, DrainProgram, Map};
///
/// let map = Map::create("selftest", 4096)?;
/// let mut program = DrainProgram::load(&map, 64 * 1024)?;
/// // ... submit samples ...
/// let drained = program.run(&DrainOptions::new())?;
/// println!("the kernel handed over {:?} samples", drained.returned());
/// for sample in drained.samples() {
///     println!("{sample:?}");
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # A kick
///
/// With a log of 0 bytes the program drains and forgets: it empties the ring, wakes who waits for room, and costs
/// some 20 ns a sample.
#[derive(Debug)]
pub struct DrainProgram {
    program: OwnedFd,
    log: Option<Log>,
    troublesome: bool,
}

impl DrainProgram {
    /// Loads a program that drains `map` and logs up to `log_bytes` bytes a run, or nothing with 0.
    ///
    /// [`log_bytes`](Self::log_bytes) says how many are needed. The kernel holds the log in memory, all of it.
    ///
    /// # Errors
    ///
    /// [`DrainError::LogTooLarge`] above [`MAX_LOG`], [`DrainError::NotPermitted`] without `CAP_BPF`,
    /// [`DrainError::NoJit`] where the kernel does not compile BPF programs, `DrainError::Rejected` with the verifier's words (with `std`), and [`DrainError::Bpf`].
    pub fn load(map: &Map, log_bytes: usize) -> Result<Self, DrainError> {
        Self::load_shape(map, log_bytes, false)
    }

    /// As [`load`](Self::load), with a callback that can also be slow ([`DrainOptions::delay`]) and drain again within
    /// the drain ([`DrainOptions::nested`]), to try how one's own code fares with such a consumer.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    pub fn load_troublesome(map: &Map, log_bytes: usize) -> Result<Self, DrainError> {
        Self::load_shape(map, log_bytes, true)
    }

    fn load_shape(map: &Map, log_bytes: usize, troublesome: bool) -> Result<Self, DrainError> {
        let log = if log_bytes == 0 { None } else { Some(Log::new(log_bytes)?) };
        let program = load_program(map.as_fd(), log.as_ref(), troublesome)?;
        Ok(Self { program, log, troublesome })
    }

    /// How many bytes of log hold `samples` samples of at most `longest` bytes each.
    ///
    /// A sample takes 8 bytes more than its length, rounded up to 8. One run drains at most 131,072 samples; while a
    /// producer is at work, it may well drain more than the ring holds at a time.
    #[must_use]
    pub const fn log_bytes(samples: usize, longest: usize) -> usize {
        let Some(record) = longest.checked_next_multiple_of(8) else {
            return usize::MAX;
        };
        record.saturating_add(program::layout::PREFIX).saturating_mul(samples)
    }

    /// The capacity of the log in bytes.
    #[must_use]
    pub fn log_capacity(&self) -> usize {
        self.log.as_ref().map_or(0, Log::capacity)
    }

    /// Drains once, by a single system call, and hands back what came.
    ///
    /// That the *kernel* refuses to drain is not an error here but part of the result: [`Drained::returned`].
    ///
    /// # Errors
    ///
    /// [`DrainError::Bpf`] if the program could not be run, [`DrainError::NotTroublesome`] and
    /// [`DrainError::DelayTooLong`] for options that it does not have.
    pub fn run(&mut self, options: &DrainOptions) -> Result<Drained<'_>, DrainError> {
        let mut context = options.context(self.troublesome, self.log_capacity())?;
        let mut attr = TestRun {
            prog_fd: number(borrow(&self.program)),
            ctx_size_in: length(size_of::<Context>()),
            ctx_in: address(&raw mut context),
            ..Default::default()
        };
        // SAFETY: `context` is readable and writable for `ctx_size_in` bytes, and any bytes make a `Context`.
        unsafe { bpf(BpfCommand::ProgTestRun, &mut attr) }?;
        Ok(Drained {
            log: self.log.as_ref(),
            returned: context.returned,
            nested: options.nest.then_some(context.nested),
        })
    }
}

/// Has the kernel verify and load the program that drains `ring`.
fn load_program(ring: BorrowedFd<'_>, log: Option<&Log>, troublesome: bool) -> Result<OwnedFd, DrainError> {
    let shape = Shape { ring: ring.as_raw_fd(), log: log.map(Log::for_program), troublesome };
    load::load(&program::write(shape))
}

/// Whether the kernel loads a program that drains `ring`. Nothing of it stays.
pub(crate) fn try_load(ring: BorrowedFd<'_>) -> Result<(), DrainError> {
    load_program(ring, None, false).map(drop)
}

impl From<DrainProgram> for OwnedFd {
    /// The loaded program, to run, pin or hand on by other means. The log that its runs write can't be read any more.
    fn from(program: DrainProgram) -> Self {
        program.program
    }
}

/// The flags of a drain that say whether it wakes those who wait for room in the ring.
///
/// Any other number is passed on too; the kernel answers `EINVAL` to flags that it does not know.
///
/// # Minimum kernel version
/// Linux 6.1, as `bpf_user_ringbuf_drain`, which reads them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "it is the number that the kernel takes, whatever that means to it")]
pub struct WakeupFlags(pub u64);

impl WakeupFlags {
    /// Wake if the drain consumed any record.
    pub const IF_CONSUMED: Self = Self(0);
    /// Never wake: `BPF_RB_NO_WAKEUP`.
    #[doc(alias = "BPF_RB_NO_WAKEUP")]
    pub const NEVER: Self = Self(NO_WAKEUP);
    /// Wake also if the drain consumed nothing: `BPF_RB_FORCE_WAKEUP`.
    #[doc(alias = "BPF_RB_FORCE_WAKEUP")]
    pub const ALWAYS: Self = Self(FORCE_WAKEUP);
}

/// How to drain.
#[derive(Clone, Copy, Debug, Default)]
#[must_use]
pub struct DrainOptions {
    wakeup: WakeupFlags,
    stop_after: u32,
    longest: Option<usize>,
    delay: Duration,
    nest: bool,
}

impl DrainOptions {
    /// The longest [`delay`](Self::delay): 20 ms. The callback looks at the clock at most 2^23 times, which a fast
    /// machine does in some 40 ms.
    pub const MAX_DELAY: Duration = Duration::from_millis(20);

    /// Drain all there is, and wake those who wait if anything was consumed.
    pub const fn new() -> Self {
        Self { wakeup: WakeupFlags::IF_CONSUMED, stop_after: 0, longest: None, delay: Duration::ZERO, nest: false }
    }

    /// Whom to wake.
    pub const fn wakeup(mut self, flags: WakeupFlags) -> Self {
        self.wakeup = flags;
        self
    }

    /// Stop after so many samples: the callback says so with the last of them, which is consumed. 0 means never.
    pub const fn stop_after(mut self, samples: u32) -> Self {
        self.stop_after = samples;
        self
    }

    /// Stop as soon as the log might not hold one more sample of `longest` bytes, so that no sample is
    /// [consumed without being logged](Drained::unlogged). What is left in the ring is for the next run.
    ///
    /// The log must hold at least one such sample: [`DrainProgram::log_bytes`] says how much that takes. Without a log this
    /// has no effect.
    pub const fn stop_before_full(mut self, longest: usize) -> Self {
        self.longest = Some(longest);
        self
    }

    /// Spend so much time in the callback for each sample, at most [`MAX_DELAY`](Self::MAX_DELAY). Only for
    /// [`DrainProgram::load_troublesome`].
    pub const fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Drain the same map again from within the callback. Only for [`DrainProgram::load_troublesome`].
    pub const fn nested(mut self, nested: bool) -> Self {
        self.nest = nested;
        self
    }

    /// The log, if there is one, holds `capacity` bytes.
    fn context(&self, troublesome: bool, capacity: usize) -> Result<Context, DrainError> {
        if !troublesome && (self.nest || !self.delay.is_zero()) {
            return Err(DrainError::NotTroublesome);
        }
        if self.delay > Self::MAX_DELAY {
            return Err(DrainError::DelayTooLong { delay: self.delay, max: Self::MAX_DELAY });
        }
        Ok(Context {
            flags: self.wakeup.0,
            stop_after: u64::from(self.stop_after),
            room: self.longest.map_or(u64::MAX, |longest| {
                u64::try_from(capacity.saturating_sub(DrainProgram::log_bytes(1, longest))).unwrap_or(u64::MAX)
            }),
            delay: u64::try_from(self.delay.as_nanos()).unwrap_or(0),
            nest: u64::from(self.nest),
            ..Context::default()
        })
    }
}

/// What one run of a [`DrainProgram`] brought: what `bpf_user_ringbuf_drain` answered, and what it handed over.
///
/// # Minimum kernel version
/// Linux 6.1.
#[derive(Debug)]
pub struct Drained<'a> {
    log: Option<&'a Log>,
    returned: i64,
    nested: Option<i64>,
}

impl<'a> Drained<'a> {
    /// What `bpf_user_ringbuf_drain` returned: the number of samples that it handed over, discarded ones not counted.
    ///
    /// # Errors
    ///
    /// The kernel's refusal: `EBUSY` while another drains the map, `EINVAL` for unknown flags, for a producer position
    /// that is not a multiple of 8 and for a record that reaches beyond it, `E2BIG` for a sample above 2^24 - 1
    /// bytes or a record larger than the ring. What lay before a bad record is consumed all the same, and logged.
    pub fn returned(&self) -> Result<u32, Errno> {
        answer(self.returned)
    }

    /// The same, as the number that the kernel returned.
    #[must_use]
    pub fn raw_returned(&self) -> i64 {
        self.returned
    }

    /// What the last drain within the drain returned; `None` if none was asked for.
    ///
    /// If no callback was called, it reads 0.
    #[must_use]
    pub fn nested(&self) -> Option<Result<u32, Errno>> {
        self.nested.map(answer)
    }

    /// The samples that were received, oldest first, as far as the log held them.
    #[must_use]
    pub fn samples(&self) -> Samples<'a> {
        self.log.map_or_else(Samples::none, |log| log.contents().0)
    }

    /// The number of samples that were consumed but no longer fitted into the log. Once one did not fit, none is logged
    /// any more, so these are the last. Always 0 without a log.
    #[must_use]
    pub fn unlogged(&self) -> u32 {
        self.log.map_or(0, |log| u32::try_from(log.contents().1).unwrap_or(u32::MAX))
    }
}

/// A drain's return value: a count, or a negated error number.
fn answer(raw: i64) -> Result<u32, Errno> {
    if let Ok(count) = u32::try_from(raw) {
        return Ok(count);
    }
    let number = raw.checked_neg().and_then(|number| i32::try_from(number).ok());
    Err(number.filter(|number| *number < 4096).map_or(Errno::RANGE, Errno::from_raw_os_error))
}
