//! Forked children that do one piece of work, and how they end.
//!
//! A child has one thread only, whatever its parent had. Its work must not depend on the parent's other threads, and must
//! not print.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use crate::patience;
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Its work returned.
    Done,
    /// It panicked; the message is on standard error.
    Panicked,
    /// A signal ended it, such as SIGSEGV.
    Killed(i32),
}

/// A forked child. Dropping it kills it.
#[derive(Debug)]
pub struct Forked {
    pid: Pid,
    reaped: bool,
}

/// Forks. The child does `work` and exits without running any other destructor.
///
/// # Panics
/// If the kernel refuses.
pub fn fork(work: impl FnOnce()) -> Forked {
    // SAFETY: the child has this thread only. It runs `work`, for which the C library's allocator is in order after a
    // fork, and leaves by `_exit`.
    parted(unsafe { libc::fork() }, work)
}

/// Forks a child with a lower pid than this process's, as one gets once the machine has given out the highest. Here
/// `work` must not allocate: the C library does not hear of this fork.
///
/// # Panics
/// If no lower pid is free, or the kernel refuses: it asks for `CAP_CHECKPOINT_RESTORE` or `CAP_SYS_ADMIN`.
pub fn fork_with_a_lower_pid(work: impl FnOnce()) -> Forked {
    /// Of `struct clone_args`, what Linux 5.5 knows.
    #[repr(C)]
    #[derive(Default)]
    struct CloneArgs {
        unused: [u64; 4],
        exit_signal: u64,
        none: [u64; 3],
        set_tid: u64,
        set_tid_size: u64,
    }
    for wanted in (2..std::process::id()).rev() {
        let args = CloneArgs {
            exit_signal: u64::from(libc::SIGCHLD.unsigned_abs()),
            set_tid: (&raw const wanted).addr().try_into().expect("an address has 64 bits at most"),
            set_tid_size: 1,
            ..CloneArgs::default()
        };
        // SAFETY: as `fork`; what the structure points to outlives the call, and the child does not allocate.
        let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of_val(&args)) };
        if pid < 0 && std::io::Error::last_os_error().raw_os_error() == Some(libc::EEXIST) {
            continue;
        }
        return parted(pid.try_into().expect("a pid"), work);
    }
    panic!("no pid below {} is free", std::process::id());
}

/// What parent and child do once there are two.
fn parted(pid: libc::pid_t, work: impl FnOnce()) -> Forked {
    // -1 must not become a pid: to kill it is to kill every process.
    assert!(pid >= 0, "no fork: {}", std::io::Error::last_os_error());
    if pid == 0 {
        let seconds = u32::try_from(patience().as_secs()).expect("less than a century");
        // SAFETY: ends the process by SIGALRM if it takes too long.
        unsafe { libc::alarm(seconds) };
        let status = match catch_unwind(AssertUnwindSafe(work)) {
            Ok(()) => 0,
            Err(panic) => {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic");
                let _ = rustix::io::write(rustix::stdio::stderr(), format!("a child: {text}\n").as_bytes());
                1
            }
        };
        // SAFETY: ends the process; what is left open goes with it.
        unsafe { libc::_exit(status) }
    }
    Forked { pid: Pid::from_raw(pid).expect("fork works"), reaped: false }
}

impl Forked {
    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// If it can't be waited for.
    pub fn wait(mut self) -> Ended {
        self.reap()
    }

    /// Kills it, and waits until it is gone.
    ///
    /// # Panics
    /// If it can't be waited for.
    pub fn kill(mut self) {
        let _ = kill_process(self.pid, Signal::KILL);
        self.reap();
    }

    fn reap(&mut self) -> Ended {
        self.reaped = true;
        let (_, status) = rustix::io::retry_on_intr(|| waitpid(Some(self.pid), WaitOptions::empty()))
            .expect("it is our child")
            .expect("waiting without NOHANG");
        match (status.exit_status(), status.terminating_signal()) {
            (Some(0), _) => Ended::Done,
            (Some(_), _) => Ended::Panicked,
            (None, signal) => Ended::Killed(signal.expect("it was killed if it has not exited")),
        }
    }
}

impl Drop for Forked {
    fn drop(&mut self) {
        if !self.reaped {
            let _ = kill_process(self.pid, Signal::KILL);
            self.reap();
        }
    }
}

/// Forks a child, and returns what `work` returned there.
///
/// # Panics
/// If the child did not return from it.
pub fn ask(work: impl FnOnce() -> String) -> String {
    let (mut ours, mut theirs) = UnixStream::pair().expect("a pair of sockets");
    let child = fork(|| theirs.write_all(work().as_bytes()).expect("the parent listens"));
    drop(theirs);
    let mut brought = String::new();
    ours.read_to_string(&mut brought).expect("text");
    assert_eq!(child.wait(), Ended::Done, "{brought}");
    brought
}

/// A line on which processes send each other numbers, and so wait for each other. Made before the fork.
#[derive(Debug)]
pub struct Line(UnixStream, UnixStream);

impl Line {
    /// A new line.
    ///
    /// # Panics
    /// If no descriptors are left.
    #[expect(clippy::new_without_default, reason = "it opens descriptors")]
    pub fn new() -> Self {
        let (one, other) = UnixStream::pair().expect("a pair of sockets");
        one.set_read_timeout(Some(patience())).expect("a timeout above 0");
        Self(one, other)
    }

    /// Sends a number to the process that hears it first.
    ///
    /// # Panics
    /// If it can't be sent.
    pub fn say(&self, number: u32) {
        (&self.1).write_all(&number.to_ne_bytes()).expect("there is room for a number");
    }

    /// Waits for a number.
    ///
    /// # Panics
    /// If none comes.
    pub fn hear(&self) -> u32 {
        let mut bytes = [0; 4];
        (&self.0).read_exact(&mut bytes).expect("a number comes");
        u32::from_ne_bytes(bytes)
    }
}

/// Forks a child that makes something and keeps it until it is killed. Returns once it has it.
///
/// # Panics
/// If the child does not get that far.
pub fn holding<T>(make: impl FnOnce() -> T) -> Forked {
    let line = Line::new();
    let child = fork(|| {
        let _held = make();
        line.say(0);
        forever();
    });
    line.hear();
    child
}

/// Sleeps until it is killed.
pub fn forever() -> ! {
    loop {
        std::thread::sleep(Duration::from_secs(1));
    }
}
