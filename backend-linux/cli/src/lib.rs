//! The `user-ringbuf` command: probe, demo, create, send, inspect and repair for BPF user ring buffers.
//!
//! One module a subcommand. The library exists for the command, its tests and its fuzzers: [`run`] is the command,
//! [`framing`] cuts standard input into samples. Its interface may change with any version.

mod bpffs;
mod bytes;
mod create;
mod demo;
pub mod framing;
mod inspect;
mod mended;
mod probe;
mod producer;
mod repair;
mod report;
mod row;
mod send;
mod target;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};

use report::Output;

/// Publish samples into BPF programs through user ring buffers (BPF_MAP_TYPE_USER_RINGBUF).
#[derive(Debug, Parser)]
#[command(name = "user-ringbuf", version, max_term_width = 100)]
#[command(after_help = "Exit status: 0 if all went well, 1 if not (standard error says why), 2 for wrong usage.")]
struct Cli {
    /// Print one JSON object on standard output instead of words.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Probe(probe::Probe),
    Demo(demo::Demo),
    Create(create::Create),
    Send(send::Send),
    Inspect(inspect::Inspect),
    Repair(repair::Repair),
}

impl Cli {
    /// What clap can't say in its own words.
    fn checked(self) -> Result<Self, clap::Error> {
        match &self.command {
            Command::Repair(repair) => match repair.wrong_usage() {
                Some(why) => Err(Self::command().error(ErrorKind::MissingRequiredArgument, why)),
                None => Ok(self),
            },
            _ => Ok(self),
        }
    }
}

/// Runs the command with these arguments, the program's name first, and answers its exit status.
pub fn run(args: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> ExitCode {
    let cli = match Cli::try_parse_from(args).and_then(Cli::checked) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are errors to clap too, with status 0. If they can't be printed, nothing can.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let output = Output::new(cli.json);
    let outcome = match cli.command {
        Command::Probe(probe) => probe.run(&output),
        Command::Demo(demo) => demo.run(&output),
        Command::Create(create) => create.run(&output),
        Command::Send(send) => send.run(&output),
        Command::Inspect(inspect) => inspect.run(&output),
        Command::Repair(repair) => repair.run(&output),
    };
    output.finish(outcome)
}
