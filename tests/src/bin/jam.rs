//! Jams a new pinned ring, to try `inspect` and `repair` on.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use user_ringbuf_linux::Map;
use user_ringbuf_tests::jam::Jam;
use user_ringbuf_tests::outcome::exit_code;

/// How long a busy record is held, unless its holder is killed.
const HOLD: Duration = Duration::from_secs(60);

#[derive(Parser)]
#[command(about = "Jam a new user ring buffer in one of the ways in which broken producers do")]
struct Args {
    /// Where the ring is pinned
    #[arg(long, value_name = "PATH")]
    pin: PathBuf,
    /// The jam; a busy record is held for a minute, or until this process is killed
    #[arg(long)]
    how: Jam,
}

fn main() -> ExitCode {
    let args = Args::parse();
    exit_code(run(&args).map(|()| true))
}

fn run(args: &Args) -> anyhow::Result<()> {
    let map = Map::from_pin(&args.pin).with_context(|| args.pin.display().to_string())?;
    let hold = || {
        println!("holding");
        // Who waits for the line will not get it where the pipe is closed, and that is theirs to notice.
        let _ = std::io::stdout().flush();
        std::thread::sleep(HOLD);
    };
    args.how.make(&map, hold)
}
