//! `generate`: the man pages and the shell completions, made from the arguments that the command takes. Hidden: it is for
//! those who package the command.

use std::fs::create_dir_all;
use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Command};
use clap_complete::Shell;

use crate::report::Verdict;

/// Write man pages to DIR/man and shell completions to DIR/completions.
#[derive(Args, Debug)]
pub(crate) struct Generate {
    /// The directory.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

impl Generate {
    pub(crate) fn run(&self, command: Command) -> anyhow::Result<Verdict> {
        let failed = || format!("cannot write below {}", self.directory.display());
        let [man, completions] = ["man", "completions"].map(|name| self.directory.join(name));
        create_dir_all(&man).and_then(|()| create_dir_all(&completions)).with_context(failed)?;
        clap_mangen::generate_to(command.clone(), man).with_context(failed)?;
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let mut command = command.clone();
            clap_complete::generate_to(shell, &mut command, "user-ringbuf", &completions).with_context(failed)?;
        }
        Ok(Verdict::Good)
    }
}
