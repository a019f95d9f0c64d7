//! Shows that every ordering of the protocol is needed: weakens each to relaxed in turn, and lets loom run the models
//! until one of them fails.
//!
//! ```text
//! cargo run --release -p user-ringbuf-sim --features loom,proof --example weakened-orderings
//! ```
//! Ends with status 1 if a weakening goes unnoticed, or if a model fails that should pass. Each model runs in a process
//! of its own, this program again, because loom ends a failed model by a panic that nothing should survive.

use std::error::Error;
use std::process::{Command, ExitCode};
use std::{env, io, thread};

use clap::Parser;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde_json::{Value, json};
use user_ringbuf_sim::Role;
use user_ringbuf_sim::proof::loom::models::{Depth, Model};
use user_ringbuf_sim::proof::loom::table::{self, Change, Row};
use user_ringbuf_sim::proof::loom::{Ending, Finding, run_alone, run_if_asked};

/// Weakens each ordering of the protocol in turn and reports which loom model notices.
#[derive(Parser)]
struct Args {
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,

    /// Weaken this role only (and strengthen it, as a control).
    #[arg(long, value_name = "NAME", value_parser = roles())]
    role: Option<Role>,

    /// How many models to run at once.
    #[arg(long, value_name = "N", default_value_t = workers())]
    jobs: usize,
}

/// The roles by name.
fn roles() -> impl TypedValueParser<Value = Role> {
    let names = Role::ALL.iter().map(|role| role.name());
    PossibleValuesParser::new(names).map(|name| Role::from_name(&name).expect("one of the roles"))
}

fn workers() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

fn main() -> Result<ExitCode, Box<dyn Error + Send + Sync>> {
    run_if_asked();
    let args = Args::parse();
    let roles = args.role.map_or_else(|| Role::ALL.to_vec(), |role| vec![role]);
    let rows = table::check(&roles, args.jobs, run)?;
    let clean = rows.iter().all(Row::is_as_it_must_be);
    let (weakened, controls): (Vec<_>, Vec<_>) =
        rows.into_iter().partition(|row| matches!(row.change, Change::Weakened(_)));
    if args.json {
        println!("{}", to_json(&weakened, &controls));
    } else {
        print_table(&weakened, &controls);
    }
    Ok(if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// How many rows are as they must be.
fn good(rows: &[Row]) -> usize {
    rows.iter().filter(|row| row.is_as_it_must_be()).count()
}

/// Runs one model in a process of its own: this program again.
fn run(model: &'static Model, change: Change, depth: Depth) -> io::Result<Ending> {
    run_alone(&mut Command::new(env::current_exe()?), model, change, depth)
}

fn to_json(weakened: &[Row], controls: &[Row]) -> Value {
    json!({
        "orderings": weakened.len(),
        "caught": good(weakened),
        "controls": controls.len(),
        "controls_passed": good(controls),
        "rows": weakened.iter().map(row_to_json).collect::<Vec<_>>(),
        "control_rows": controls.iter().map(row_to_json).collect::<Vec<_>>(),
    })
}

fn row_to_json(row: &Row) -> Value {
    let mut json = match &row.found {
        None => json!({ "model": null, "how": null, "detail": null }),
        Some((model, Finding { how, detail })) => json!({ "model": model.name(), "how": how, "detail": detail }),
    };
    if let Change::Weakened(role) = row.change {
        json["role"] = role.name().into();
        json["ordering"] = format!("{:?}", role.ordering()).into();
        json["pairs_with"] = role.pairs_with().into();
        json["caught"] = row.is_as_it_must_be().into();
    } else {
        json["strengthened"] = strengthened(row).map(Role::name).into();
        json["passed"] = row.is_as_it_must_be().into();
        json["interleavings"] = row.interleavings.into();
    }
    json
}

fn strengthened(row: &Row) -> Option<Role> {
    if let Change::Strengthened(role) = row.change { Some(role) } else { None }
}

fn print_table(weakened: &[Row], controls: &[Row]) {
    println!("Weakened to relaxed:");
    for row in weakened {
        let Change::Weakened(role) = row.change else { continue };
        println!("  {role} ({:?}), pairs with {}", role.ordering(), role.pairs_with());
        match &row.found {
            Some((model, finding)) => println!("      caught by model {}: {finding}", model.name()),
            None => println!("      NOT CAUGHT by any model"),
        }
    }
    println!("Controls, in which every model must pass:");
    for row in controls {
        let what = strengthened(row).map_or_else(|| "as the protocol says".to_owned(), |role| format!("{role} SeqCst"));
        match &row.found {
            None => println!("  {what}: passed in {} interleavings", row.interleavings),
            Some((model, finding)) => println!("  {what}: FAILED in model {}: {finding}", model.name()),
        }
    }
    println!(
        "{} of {} weakened orderings caught, {} of {} controls passed.",
        good(weakened),
        weakened.len(),
        good(controls),
        controls.len()
    );
}
