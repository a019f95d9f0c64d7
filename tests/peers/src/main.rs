//! user-ringbuf side by side with what anyone would use instead, on the same map of the running kernel.
//!
//! Every row of the table compares two ways of doing the same work, measured in alternating rounds in one process that
//! is pinned to a core; figures are medians of the rounds. Between rounds, outside the timed part, the kernel drains
//! the map, every sample is counted, and now and then its bytes are compared. A goal is a multiple of the *floor*, the
//! stores that any producer must make; one that is missed says so in the table.

mod affinity;
mod cases;
mod machine;
mod options;
mod page;
mod pair;
mod peers;
mod picture;
mod report;
mod ring;
mod rounds;
mod sources;
mod stats;

use anyhow::Result;
use clap::{CommandFactory, FromArgMatches};

use crate::options::Options;
use crate::report::Table;

fn main() -> Result<()> {
    let names: String = cases::ALL.iter().map(|case| format!("{:<16} {}\n", case.name, case.about)).collect();
    let help = Options::command().after_help(format!("Cases:\n{names}"));
    let options = Options::from_arg_matches(&help.get_matches())?;
    if options.list {
        print!("{names}");
        return Ok(());
    }
    affinity::pin(options.core()?)?;
    let mut table = Table::new(machine::Machine::this()?, options.rounds());
    for case in cases::ALL {
        if options.wants(case.name) {
            (case.run)(&options, &mut table)?;
        }
    }
    anyhow::ensure!(!table.rows.is_empty(), "no case has a name that contains one of {:?}", options.case);
    if options.json {
        println!("{}", table.to_json());
    } else {
        print!("{table}");
    }
    if let Some(path) = &options.svg {
        picture::publish::draw(&table, path)?;
    }
    if let Some(path) = &options.page {
        page::write(&table, path)?;
    }
    if let Some(path) = &options.whole_way_svg {
        picture::whole_way::draw(&table, path)?;
    }
    Ok(())
}
