//! Who calls: this process, or one that was forked and has handles of its own.

use std::ffi::c_int;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;

use anyhow::{Context, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use user_ringbuf_kit::fork::{Forked, fork};
use user_ringbuf_linux::RingSize;

use crate::abi::{Call, Handles, LIBRARIES, Place, RINGS, Reply};

/// A process that calls what it is told to, until it is dropped.
#[derive(Debug)]
pub(crate) struct Child {
    line: Line,
    /// Handles whose data area it knows, as it tells this process by its replies.
    known: [[bool; LIBRARIES.len()]; RINGS],
    _process: Forked,
}

impl Child {
    /// Forks. The child opens handles of its own and waits for calls.
    pub(crate) fn fork(size: RingSize, maps: [c_int; RINGS]) -> Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        let process =
            fork(|| serve(Line(BufReader::new(theirs)), size, maps).expect("calls until the process is killed"));
        Ok(Self { line: Line(BufReader::new(ours)), known: Default::default(), _process: process })
    }

    /// The child's only slot.
    pub(crate) fn knows_its_data(&self, place: Place) -> bool {
        self.known[place.ring][place.library as usize]
    }

    pub(crate) fn call(&mut self, place: Place, call: Call, producer: u64) -> Result<Reply> {
        self.line.say(&(place, call, producer))?;
        let reply: Reply = self.line.hear().context("the other process has ended")?;
        self.known[place.ring][place.library as usize] |= call.reserves() && reply.offset >= 0;
        Ok(reply)
    }
}

fn serve(mut line: Line, size: RingSize, maps: [c_int; RINGS]) -> Result<()> {
    let mut handles = Handles::open(size, maps)?;
    loop {
        let (place, call, producer) = line.hear()?;
        line.say(&handles.call(place, call, producer))?;
    }
}

/// Lines of JSON to and from the other process.
#[derive(Debug)]
struct Line(BufReader<UnixStream>);

impl Line {
    fn say(&mut self, what: &impl Serialize) -> Result<()> {
        let mut line = serde_json::to_vec(what)?;
        line.push(b'\n');
        Ok(self.0.get_mut().write_all(&line)?)
    }

    fn hear<T: DeserializeOwned>(&mut self) -> Result<T> {
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        Ok(serde_json::from_str(&line)?)
    }
}
