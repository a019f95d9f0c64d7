//! An agent that holds nothing but a descriptor: it gets the map's over a Unix socket from a privileged parent, drops to
//! nobody without any capability, and gives up one system call after the other until only those of waiting are left.
//!
//! ```sh
//! cargo build --release -p user-ringbuf-linux --example least-privilege
//! sudo target/release/examples/least-privilege                 # a million samples through a ring of 64 KiB
//! sudo target/release/examples/least-privilege --without-bpf   # bpf(2) answers EPERM to the agent
//! sudo target/release/examples/least-privilege --via-fdinfo    # bpf(2) kills the agent
//! ```
//!
//! Two seccomp filters stand one behind the other. The first leaves what *attaching* needs, which is what [`Map::from_fd`],
//! [`Mapping::new`] and [`EpollWaiter::new`] call; the second leaves what *producing* needs: nothing at all as long as
//! there is room, and what waiting for room calls. Any other system call kills the agent, and the parent tells. This
//! agent waits by epoll, is never cancelled and lets go by ending; one that cancels needs `fcntl`, `write` and `read`
//! too, one that yields `sched_yield`, and one that drops its mapping and waiter `munmap` and `close`.
//!
//! What the agent really calls, before and after the second filter is in place (`seccomp` stands between the two):
//!
//! ```sh
//! sudo strace -f -o trace target/release/examples/least-privilege --samples 20000
//! agent=$(awk '/setresuid/ { print $1; exit }' trace)
//! calls() { grep -oE '^[0-9]+ +[a-z_0-9]+' | awk '{ print $2 }' | sort | uniq -c; }
//! # before: from the first filter to the second
//! grep "^$agent " trace | awk '/SECCOMP_SET/ { n++ } n == 1' | calls
//! # after
//! grep "^$agent " trace | awk '/SECCOMP_SET/ { n++ } n == 2' | calls
//! ```
//!
//! | | `bpf(2)` allowed | refused, fdinfo instead | not called, fdinfo |
//! |---|---|---|---|
//! | before | bpf 1, mmap 3, madvise 3, eventfd2 2, fcntl 6, epoll_create1 1, epoll_ctl 2 | the same, openat 1, read 2, close 1 | the same without bpf |
//! | after, 20,000 samples | epoll_pwait2 19, exit_group 1 | epoll_pwait2 19, exit_group 1 | epoll_pwait2 19, exit_group 1 |
//!
//! The count of `epoll_pwait2` is how often the ring was full. Receiving the descriptor took a `recvmsg` before.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitCode};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};
use rustix::process::{Gid, Uid};
use user_ringbuf_linux::{DrainOptions, DrainProgram, EpollWaiter, Map, Mapping, Producer};

type Failure = Box<dyn std::error::Error>;

/// System calls by number. On 32 bits mapping, locks and the time are newer calls.
mod numbers {
    pub(crate) use libc::*;
    #[cfg(target_pointer_width = "32")]
    pub(crate) use libc::{SYS_clock_gettime64 as SYS_clock_gettime, SYS_fcntl64 as SYS_fcntl, SYS_mmap2 as SYS_mmap};
}

/// A system call's number and name.
type Call = (libc::c_long, &'static str);

macro_rules! calls {
    ($($name:ident $number:ident),* $(,)?) => { &[$((numbers::$number, stringify!($name))),*] };
}

/// What producing needs: these where the ring is full, nothing where it has room.
const PRODUCING: &[Call] = calls! {
    // `EpollWaiter::wait`. (`Yield` calls `sched_yield` instead, `Spin` nothing.)
    epoll_pwait2 SYS_epoll_pwait2,
    // The time, where the machine has no vDSO.
    clock_gettime SYS_clock_gettime,
    // Coming back from a signal handler, and going on with what the signal interrupted.
    rt_sigreturn SYS_rt_sigreturn,
    restart_syscall SYS_restart_syscall,
    // The end.
    exit_group SYS_exit_group,
};

/// What attaching needs besides.
const ATTACHING: &[Call] = calls! {
    // `Map::from_fd`: BPF_OBJ_GET_INFO_BY_FD, which needs no capability.
    bpf SYS_bpf,
    // `Mapping::new`: the two parts of the ring, which forked children don't get, and the first time a page that tells
    // these.
    mmap SYS_mmap,
    madvise SYS_madvise,
    // `Mapping::new`: the claim's lock, the first time on a new eventfd. `EpollWaiter::new`: an eventfd to cancel by, and a
    // duplicate of the map's descriptor.
    fcntl SYS_fcntl,
    eventfd2 SYS_eventfd2,
    epoll_create1 SYS_epoll_create1,
    epoll_ctl SYS_epoll_ctl,
    // The second filter.
    seccomp SYS_seccomp,
};

/// What takes the place of `bpf` where it is forbidden: reading /proc/self/fdinfo.
const FDINFO: &[Call] = calls! { openat SYS_openat, read SYS_read, close SYS_close };

/// How the agent learns what its descriptor is.
#[derive(Clone, Copy, PartialEq)]
enum Info {
    /// By bpf(2).
    Bpf,
    /// `Map::from_fd` finds bpf(2) forbidden and turns to fdinfo.
    BpfForbidden,
    /// `Map::from_fd_via_fdinfo` leaves bpf(2) alone, which would be the end.
    Fdinfo,
}

const SAMPLE: usize = 56;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let samples = arguments.iter().skip_while(|argument| *argument != "--samples").nth(1);
    let samples = samples.and_then(|count| count.parse().ok()).unwrap_or(1_000_000);
    let info = match () {
        () if has("--without-bpf") => Info::BpfForbidden,
        () if has("--via-fdinfo") => Info::Fdinfo,
        () => Info::Bpf,
    };
    let done = if has("--agent") { agent(info, samples) } else { parent(&arguments, samples) };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("least-privilege: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Makes the ring, hands it down, and drains it.
fn parent(arguments: &[String], samples: u64) -> Result<(), Failure> {
    let map = Map::create("least_privilege", 64 * 1024)?;
    let mut drain = DrainProgram::load(&map, 4 << 20)?;

    let (ours, theirs) = UnixStream::pair()?;
    let mut agent =
        Command::new(std::env::current_exe()?).arg("--agent").args(arguments).stdin(OwnedFd::from(theirs)).spawn()?;
    send_descriptor(&ours, map.as_fd())?;

    // A sample carries its number.
    let mut next = 0_u64;
    let mut status = None;
    loop {
        // With a wakeup for who waits for room, and no more at once than the log holds.
        let drained = drain.run(&DrainOptions::new().stop_after(10_000))?;
        drained.returned()?;
        for sample in drained.samples() {
            let number = sample.first_chunk().map(|bytes| u64::from_ne_bytes(*bytes));
            if number != Some(next) || sample.len() != SAMPLE {
                return Err(format!("sample {next} has {} bytes and the number {number:?}", sample.len()).into());
            }
            next += 1;
        }
        if drained.samples().len() == 0 {
            // Looked at before the last drain, so that nothing comes behind it.
            match status {
                None => status = agent.try_wait()?,
                Some(_) => break,
            }
        }
    }
    match status {
        Some(status) if status.success() && next == samples => {}
        Some(status) if status.signal() == Some(libc::SIGSYS) => {
            return Err(format!("the agent called something forbidden after {next} samples").into());
        }
        status => return Err(format!("the agent ended with {status:?} after {next} of {samples} samples").into()),
    }
    println!("the kernel took {next} samples of {SAMPLE} bytes, in order");
    Ok(())
}

/// Produces, with ever less.
fn agent(info: Info, samples: u64) -> Result<(), Failure> {
    let map = receive_descriptor(&UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?))?;
    become_nobody()?;

    // Filters are written while there still is memory to be had.
    let mut attaching = [PRODUCING, ATTACHING].concat();
    if info != Info::Bpf {
        attaching.retain(|(number, _)| *number != libc::SYS_bpf);
        attaching.extend(FDINFO);
    }
    println!("as nobody, attaching with: {}", names(&attaching));
    println!("as nobody, producing with: {}", names(PRODUCING));
    let refused: &[libc::c_long] = if info == Info::BpfForbidden { &[libc::SYS_bpf] } else { &[] };
    let (mut before, mut after) = (filter(&attaching, refused), filter(PRODUCING, &[]));

    allow_only(&mut before)?;
    let map = if info == Info::Fdinfo { Map::from_fd_via_fdinfo(map)? } else { Map::from_fd(map)? };
    let mapping = Mapping::new(&map)?;
    let mut waiter = EpollWaiter::new(&map)?;
    let mut producer = Producer::attach(&mapping)?;

    allow_only(&mut after)?;
    let mut produce = || -> Option<()> {
        for number in 0..samples {
            let mut sample = producer.reserve_blocking(SAMPLE, &mut waiter, None).ok()?;
            sample.fill(0);
            sample.write(0, &number.to_ne_bytes()).ok()?;
            sample.submit();
        }
        Some(())
    };
    let status = if produce().is_some() { 0 } else { 1 };
    // Not even unmapping or printing is allowed any more.
    // SAFETY: ends the process; nothing that is left undone matters.
    unsafe { libc::_exit(status) }
}

/// Gives up user, groups, capabilities, and the way back to any of them.
fn become_nobody() -> Result<(), Failure> {
    let nobody = 65534;
    rustix::thread::set_thread_groups(&[])?;
    let (group, user) = (Gid::from_raw(nobody), Uid::from_raw(nobody));
    rustix::thread::set_thread_res_gid(group, group, group)?;
    // Leaving user 0 for good empties the permitted and effective capabilities.
    rustix::thread::set_thread_res_uid(user, user, user)?;
    rustix::thread::set_no_new_privs(true)?;
    let left = rustix::thread::capabilities(None)?;
    if !(left.effective | left.permitted).is_empty() || !rustix::process::getuid().eq(&user) {
        return Err("still privileged".into());
    }
    Ok(())
}

fn names(calls: &[Call]) -> String {
    calls.iter().map(|(_, name)| *name).collect::<Vec<_>>().join(", ")
}

/// A seccomp program that lets `allowed` through, answers EPERM to `refused`, and kills the process for all else.
fn filter(allowed: &[Call], refused: &[libc::c_long]) -> Vec<libc::sock_filter> {
    // BPF_LD | BPF_W | BPF_ABS, BPF_JMP | BPF_JEQ | BPF_K, BPF_RET | BPF_K.
    const LOAD: u16 = 0x20;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    // Where `struct seccomp_data` has the call's number and the machine.
    const NUMBER: u32 = 0;
    const MACHINE: u32 = 4;
    #[cfg(target_arch = "x86_64")]
    const THIS_MACHINE: u32 = 0xc000_003e;
    #[cfg(target_arch = "x86")]
    const THIS_MACHINE: u32 = 0x4000_0003;
    #[cfg(target_arch = "aarch64")]
    const THIS_MACHINE: u32 = 0xc000_00b7;
    #[cfg(all(target_arch = "powerpc64", target_endian = "little"))]
    const THIS_MACHINE: u32 = 0xc000_0015;
    #[cfg(target_arch = "s390x")]
    const THIS_MACHINE: u32 = 0x8000_0016;
    let step = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let mut program = vec![
        // Numbers mean something else in another machine's calls.
        step(LOAD, 0, 0, MACHINE),
        step(JUMP_IF_EQUAL, 1, 0, THIS_MACHINE),
        step(RETURN, 0, 0, libc::SECCOMP_RET_KILL_PROCESS),
        step(LOAD, 0, 0, NUMBER),
    ];
    let refuse = libc::SECCOMP_RET_ERRNO | libc::EPERM.unsigned_abs();
    let allowed = allowed.iter().map(|(number, _)| (*number, libc::SECCOMP_RET_ALLOW));
    for (number, answer) in allowed.chain(refused.iter().map(|number| (*number, refuse))) {
        // The numbers are small and positive.
        program.push(step(JUMP_IF_EQUAL, 0, 1, u32::try_from(number).unwrap_or(u32::MAX)));
        program.push(step(RETURN, 0, 0, answer));
    }
    program.push(step(RETURN, 0, 0, libc::SECCOMP_RET_KILL_PROCESS));
    program
}

/// Puts a filter in front of all system calls of this process, for good.
fn allow_only(filter: &mut [libc::sock_filter]) -> io::Result<()> {
    let len = u16::try_from(filter.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let program = libc::sock_fprog { len, filter: filter.as_mut_ptr() };
    // SAFETY: program and filter live across the call.
    let answer = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program) };
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn send_descriptor(socket: &UnixStream, fd: rustix::fd::BorrowedFd<'_>) -> Result<(), Failure> {
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let fds = [fd];
    if !ancillary.push(SendAncillaryMessage::ScmRights(&fds)) {
        return Err("no room for a descriptor".into());
    }
    sendmsg(socket, &[IoSlice::new(b"m")], &mut ancillary, SendFlags::empty())?;
    Ok(())
}

fn receive_descriptor(socket: &UnixStream) -> Result<OwnedFd, Failure> {
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    recvmsg(socket, &mut [IoSliceMut::new(&mut byte)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    let mut messages = ancillary.drain();
    match messages.next() {
        Some(RecvAncillaryMessage::ScmRights(mut fds)) => Ok(fds.next().ok_or("an empty message")?),
        _ => Err("no descriptor came".into()),
    }
}
