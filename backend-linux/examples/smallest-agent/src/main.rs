//! A whole producer without std and without an allocator: a static program of some 30 KiB that holds nothing but a
//! descriptor. It gets the ring's over the Unix socket that is its standard input, attaches, publishes readings, and sleeps
//! while the ring is full.
//!
//! ```sh
//! rustup target add x86_64-unknown-linux-musl
//! cargo build --release --target x86_64-unknown-linux-musl
//! ```
//!
//! It needs no right and opens no file. `hand_over`, another example of `user-ringbuf-linux`, makes a ring, starts a program with a
//! socket as standard input, hands the descriptor over and drains what the program publishes:
//!
//! ```sh
//! sudo hand_over target/x86_64-unknown-linux-musl/release/smallest-agent 1000000
//! ```
//!
//! Exit status: 0 after the number of readings that the argument asks for (without one it goes on until it is killed), 2
//! for a wrong argument, 3 if no descriptor came, 4 if it is not a ring or can't be mapped, 5 if the ring can't be
//! produced into, or no longer.
#![no_std]
#![no_main]

use core::ffi::{CStr, c_char, c_int};
use core::mem::MaybeUninit;
use core::panic::PanicInfo;

use rustix::io::IoSliceMut;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use user_ringbuf_linux::{BorrowedFd, EpollWaiter, Map, Mapping, OwnedFd, Producer};
use zerocopy::{Immutable, IntoBytes};

// std would ask for the C library otherwise.
#[link(name = "c")]
unsafe extern "C" {}

/// What is published: `struct reading { __u64 number; __u64 value; };`
#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct Reading {
    number: u64,
    value: u64,
}

impl Reading {
    /// Stands for a measurement.
    fn take(number: u64) -> Self {
        Self { number, value: number.wrapping_mul(number) }
    }
}

/// What the exit status says.
#[repr(i32)]
enum Failure {
    Usage = 2,
    NoDescriptor = 3,
    NoRing = 4,
    Producing = 5,
}

fn run(readings: u64) -> Result<(), Failure> {
    let map = Map::from_fd(receive_descriptor()?).map_err(|_| Failure::NoRing)?;
    let mapping = Mapping::new(&map).map_err(|_| Failure::NoRing)?;
    let mut waiter = EpollWaiter::new(&map).map_err(|_| Failure::NoRing)?;
    let mut producer = Producer::attach(&mapping).map_err(|_| Failure::Producing)?;
    for number in 0..readings {
        // No system call while there is room; `epoll_pwait2` while there is none.
        producer.push_blocking(Reading::take(number).as_bytes(), &mut waiter, None).map_err(|_| Failure::Producing)?;
    }
    Ok(())
}

/// Takes a descriptor from the socket that is standard input: one message with one byte.
fn receive_descriptor() -> Result<OwnedFd, Failure> {
    // SAFETY: standard input is open as long as this process runs: nothing here closes it. If it was never open, the call
    // below fails.
    let socket = unsafe { BorrowedFd::borrow_raw(libc::STDIN_FILENO) };
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    recvmsg(socket, &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::CMSG_CLOEXEC)
        .map_err(|_| Failure::NoDescriptor)?;
    let descriptor = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    descriptor.ok_or(Failure::NoDescriptor)
}

/// How many readings the command line asks for.
fn readings(arguments: &[*const c_char]) -> Result<u64, Failure> {
    match arguments {
        [_] => Ok(u64::MAX),
        [_, count] => {
            // SAFETY: the C library hands over strings, which live as long as the process.
            let count = unsafe { CStr::from_ptr(*count) };
            count.to_str().ok().and_then(|count| count.parse().ok()).ok_or(Failure::Usage)
        }
        _ => Err(Failure::Usage),
    }
}

/// What the C library calls.
#[unsafe(no_mangle)]
extern "C" fn main(argc: c_int, argv: *const *const c_char) -> c_int {
    // SAFETY: the C library passes `argc` pointers.
    let arguments = unsafe { core::slice::from_raw_parts(argv, argc.unsigned_abs() as usize) };
    match readings(arguments).and_then(run) {
        Ok(()) => 0,
        Err(failure) => failure as c_int,
    }
}

/// The library links no panic, and a panic here would end the agent.
#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    // SAFETY: ends the process.
    unsafe { libc::abort() }
}
