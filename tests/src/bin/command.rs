//! The `user-ringbuf` command, as a program of this crate: its tests run it beside everything else.

use std::process::ExitCode;

fn main() -> ExitCode {
    user_ringbuf_cli::run(std::env::args_os())
}
