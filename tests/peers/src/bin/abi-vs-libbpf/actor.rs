//! Who calls: this process, or one that was forked and has handles of its own.

use std::ffi::c_int;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use anyhow::{Context, Result, bail};
use user_ringbuf_linux::RingSize;

use crate::abi::{Call, Handles, Library, Place, RINGS, Reply};

/// A process that calls what it is told to.
#[derive(Debug)]
pub(crate) struct Child {
    pid: libc::pid_t,
    line: UnixStream,
    /// Handles whose data area it knows, as it tells this process by its replies.
    known: [[bool; 2]; RINGS],
}

type Words = [u64; 8];

fn encode(place: Place, call: Call, producer: u64) -> Words {
    let (kind, size, timeout) = match call {
        // Handles are opened anew by this process only.
        Call::Open { .. } => (9, 0, 0),
        Call::Reserve { size } => (0, size, 0),
        Call::ReserveBlocking { size, timeout } => (1, size, timeout),
        Call::Submit { header } => (2, header, 0),
        Call::Discard { header } => (3, header, 0),
    };
    let library = u64::from(place.library == Library::Ours);
    let timeout = u64::from(timeout.cast_unsigned_bits());
    [kind, u64::from(size), timeout, place.ring as u64, library, place.slot as u64, producer, 0]
}

/// A `cast_unsigned` for compilers that lack it.
trait Bits {
    fn cast_unsigned_bits(self) -> u32;
}

impl Bits for c_int {
    fn cast_unsigned_bits(self) -> u32 {
        u32::from_ne_bytes(self.to_ne_bytes())
    }
}

fn decode(words: Words) -> Option<(Place, Call, u64)> {
    let [kind, size, timeout, ring, library, slot, producer, _] = words;
    let size = u32::try_from(size).ok()?;
    let timeout = c_int::from_ne_bytes(u32::try_from(timeout).ok()?.to_ne_bytes());
    let call = match kind {
        0 => Call::Reserve { size },
        1 => Call::ReserveBlocking { size, timeout },
        2 => Call::Submit { header: size },
        3 => Call::Discard { header: size },
        _ => return None,
    };
    let library = if library == 1 { Library::Ours } else { Library::Theirs };
    let place = Place { ring: usize::try_from(ring).ok()?, library, slot: usize::try_from(slot).ok()? };
    Some((place, call, producer))
}

impl Child {
    /// Forks. The child opens handles of its own and waits for calls.
    pub(crate) fn fork(size: RingSize, maps: [c_int; RINGS]) -> Result<Self> {
        let (line, theirs) = UnixStream::pair()?;
        // SAFETY: this process has one thread, so the child may do anything.
        match unsafe { libc::fork() } {
            -1 => bail!("fork: {}", std::io::Error::last_os_error()),
            0 => {
                drop(line);
                let served = serve(theirs, size, maps);
                // SAFETY: ends the child, whose parent's destructors are not its own.
                unsafe { libc::_exit(i32::from(served.is_err())) }
            }
            pid => Ok(Self { pid, line, known: [[false; 2]; RINGS] }),
        }
    }

    /// The child's only slot.
    pub(crate) fn knows_its_data(&self, place: Place) -> bool {
        self.known[place.ring][place.library as usize]
    }

    pub(crate) fn call(&mut self, place: Place, call: Call, producer: u64) -> Result<Reply> {
        self.line.write_all(encode(place, call, producer).map(u64::to_ne_bytes).as_flattened())?;
        let mut reply = [[0; 8]; 2];
        self.line.read_exact(reply.as_flattened_mut()).context("the other process has ended")?;
        let [offset, errno] = reply.map(i64::from_ne_bytes);
        if matches!(call, Call::Reserve { .. } | Call::ReserveBlocking { .. }) && offset >= 0 {
            self.known[place.ring][place.library as usize] = true;
        }
        Ok(Reply { offset, errno: i32::try_from(errno)? })
    }
}

fn serve(mut line: UnixStream, size: RingSize, maps: [c_int; RINGS]) -> Result<()> {
    let mut handles = Handles::open(size, maps)?;
    loop {
        let mut words = [[0; 8]; 8];
        if line.read_exact(words.as_flattened_mut()).is_err() {
            return Ok(());
        }
        let (place, call, producer) = decode(words.map(u64::from_ne_bytes)).context("no such call")?;
        let reply = handles.call(place, call, producer);
        line.write_all([reply.offset, i64::from(reply.errno)].map(i64::to_ne_bytes).as_flattened())?;
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.line.shutdown(std::net::Shutdown::Both);
        // SAFETY: our child, which ends as its line does.
        unsafe { libc::waitpid(self.pid, std::ptr::null_mut(), 0) };
    }
}
