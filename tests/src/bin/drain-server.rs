//! Drains a ring for a program that can't load BPF programs itself, such as the C library's tests. Requests come on
//! standard input, replies go to standard output, in native byte order.
//!
//! A request is two words: the drain's flags, and the number of samples after which to stop, or 0. The reply is what the
//! drain returned, how many samples are in its log, and each of these, its length first.

use std::io::{ErrorKind, Read, Write, stdin, stdout};
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use user_ringbuf_linux::{DrainOptions, DrainProgram, Map, WakeupFlags};
use user_ringbuf_tests::outcome::exit_code;

#[derive(Parser)]
#[command(about = "Drain a user ring buffer whenever the standard input asks for it")]
struct Args {
    /// The map's descriptor, which this process inherits
    #[arg(long, default_value_t = 3)]
    fd: RawFd,
    /// Bytes of samples that a reply may hold
    #[arg(long, default_value_t = 1 << 20)]
    log: usize,
}

fn main() -> ExitCode {
    exit_code(run(&Args::parse()).map(|()| true))
}

fn run(args: &Args) -> anyhow::Result<()> {
    // SAFETY: by its caller's word the descriptor is this process's, and nothing else here knows it.
    let map = Map::from_fd(unsafe { OwnedFd::from_raw_fd(args.fd) }).context("the map")?;
    let mut program = DrainProgram::load(&map, args.log).context("the program that drains")?;
    let (mut questions, mut answers) = (stdin().lock(), stdout().lock());
    loop {
        let mut question = [[0; 4]; 2];
        match questions.read_exact(question.as_flattened_mut()) {
            Err(why) if why.kind() == ErrorKind::UnexpectedEof => return Ok(()),
            read => read.context("the question")?,
        }
        let [flags, stop_after] = question.map(u32::from_ne_bytes);
        let mut options = DrainOptions::new().wakeup(WakeupFlags(flags.into()));
        if stop_after > 0 {
            options = options.stop_after(stop_after);
        }
        let drained = program.run(&options).context("the drain")?;
        let returned = i32::try_from(drained.raw_returned()).context("what the drain returned")?;
        let count = u32::try_from(drained.samples().count())?;
        let mut answer = [returned.to_ne_bytes(), count.to_ne_bytes()].concat();
        for sample in drained.samples() {
            answer.extend(u32::try_from(sample.len())?.to_ne_bytes());
            answer.extend(sample);
        }
        answers.write_all(&answer).and_then(|()| answers.flush()).context("the answer")?;
    }
}
