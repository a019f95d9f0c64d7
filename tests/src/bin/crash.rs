//! Kills producers at random instants, and checks that nothing is torn, nothing submitted is lost, and the ring flows on.

use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use user_ringbuf_tests::crash::parent::Harness;
use user_ringbuf_tests::outcome::{exit_code, print};
use user_ringbuf_tests::send::Api;

#[derive(Parser)]
#[command(about = "Kill producing processes with SIGKILL at random instants, drain, repair, and go on")]
struct Args {
    /// How many processes to kill; the interfaces take turns
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u64).range(1..))]
    kills: u64,
    /// Only this interface
    #[arg(long)]
    api: Option<Api>,
    /// Seed for the instants of death
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    exit_code(kill(&Args::parse()))
}

fn kill(args: &Args) -> anyhow::Result<bool> {
    let mut harness = Harness::new(args.seed)?;
    let apis = args.api.map_or_else(|| Api::value_variants().to_vec(), |api| vec![api]);
    let tried = apis.iter().cycle().zip(0..args.kills).try_for_each(|(api, _)| harness.kill_one(*api));
    // What came before a failure counts too.
    print(&harness.toll, args.json)?;
    tried.map(|()| harness.toll.is_clean())
}
