//! The `user-ringbuf` command: probe, demo, create, list, send, drain, inspect and repair for BPF user ring buffers.
//!
//! One module per subcommand. The library exists for the command, its tests and its fuzzers: [`run`] is the command,
//! [`framing`] cuts standard input into samples. Its interface may change with any version.

mod bpffs;
mod bytes;
mod create;
mod demo;
mod drain;
pub mod framing;
mod generate;
mod inspect;
mod list;
mod look;
mod mended;
mod pin_state;
mod probe;
mod producer;
mod repair;
mod report;
mod row;
mod send;
mod signals;
mod target;
mod text;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};

use report::Output;

/// Publish samples into BPF programs through user ring buffers (BPF_MAP_TYPE_USER_RINGBUF).
#[derive(Debug, Parser)]
#[command(name = "user-ringbuf", version, max_term_width = 100)]
#[command(
    after_help = "Exit status: 0 on success; 1 if something went wrong, as standard error says, or if a ring is stuck \
                        (inspect, list); 2 for wrong usage."
)]
struct Cli<C: Subcommand> {
    /// Print JSON on standard output instead of text.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: C,
}

#[derive(Debug, Subcommand)]
enum Command {
    Probe(probe::Probe),
    Demo(demo::Demo),
    Create(create::Create),
    List(list::List),
    Send(send::Send),
    Drain(drain::Drain),
    Inspect(inspect::Inspect),
    Repair(repair::Repair),
}

/// All subcommands, also the one that is not for users.
#[derive(Debug, Subcommand)]
enum AnyCommand {
    #[command(flatten)]
    Command(Command),
    #[command(hide = true)]
    Generate(generate::Generate),
}

impl Cli<AnyCommand> {
    /// Refuses what clap can't tell to be wrong.
    fn checked(self) -> Result<Self, clap::Error> {
        let wrong = |kind, why: String| Err(Self::command().error(kind, why));
        let AnyCommand::Command(command) = &self.command else { return Ok(self) };
        match command {
            Command::Repair(repair) if repair.lacks_consent() => {
                wrong(ErrorKind::MissingRequiredArgument, repair::CONSENT.to_owned())
            }
            Command::Demo(demo) => match demo.wrong_sizes() {
                Some(why) => wrong(ErrorKind::ValueValidation, why),
                None => Ok(self),
            },
            Command::List(list) if self.json && list.is_prometheus() => {
                wrong(ErrorKind::ArgumentConflict, "--json can't be used with --prometheus".to_owned())
            }
            _ => Ok(self),
        }
    }
}

/// Runs the command with these arguments, the program's name first, and returns its exit status.
pub fn run(args: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> ExitCode {
    let cli = match Cli::<AnyCommand>::try_parse_from(args).and_then(Cli::checked) {
        Ok(cli) => cli,
        Err(error) => {
            // clap treats help and version as errors with status 0. If they can't be printed, nothing can.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let output = Output::new(cli.json);
    let command = match cli.command {
        AnyCommand::Command(command) => command,
        AnyCommand::Generate(generate) => return output.finish(generate.run(Cli::<Command>::command())),
    };
    let outcome = match command {
        Command::Probe(probe) => probe.run(&output),
        Command::Demo(demo) => demo.run(&output),
        Command::Create(create) => create.run(&output),
        Command::List(list) => list.run(&output),
        Command::Send(send) => send.run(&output),
        Command::Drain(drain) => drain.run(&output),
        Command::Inspect(inspect) => inspect.run(&output),
        Command::Repair(repair) => repair.run(&output),
    };
    output.finish(outcome)
}
