//! The `user-ringbuf` command: see the library for what it does.

use std::process::ExitCode;

fn main() -> ExitCode {
    user_ringbuf_cli::run(std::env::args_os())
}
