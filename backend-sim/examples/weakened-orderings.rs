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
use user_ringbuf_sim::proof::loom::table::{self, Change, Control, Table, Weakening};
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
    let table = table::check(&roles, args.jobs, run)?;
    if args.json {
        println!("{}", to_json(&table));
    } else {
        print_table(&table);
    }
    Ok(if table.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs one model in a process of its own: this program again.
fn run(model: &'static Model, change: Change, depth: Depth) -> io::Result<Ending> {
    run_alone(&mut Command::new(env::current_exe()?), model, change, depth)
}

fn to_json(table: &Table) -> Value {
    json!({
        "orderings": table.rows.len(),
        "caught": table.caught(),
        "controls": table.controls.len(),
        "controls_passed": table.controls_passed(),
        "rows": table.rows.iter().map(row_to_json).collect::<Vec<_>>(),
        "control_rows": table.controls.iter().map(control_to_json).collect::<Vec<_>>(),
    })
}

fn row_to_json(Weakening { role, caught }: &Weakening) -> Value {
    let mut row = found_to_json(caught.as_ref());
    row["role"] = role.name().into();
    row["ordering"] = format!("{:?}", role.ordering()).into();
    row["pairs_with"] = role.pairs_with().into();
    row["caught"] = caught.is_some().into();
    row
}

fn control_to_json(control: &Control) -> Value {
    let mut row = found_to_json(control.failed.as_ref());
    row["strengthened"] = control.strengthened.map(Role::name).into();
    row["passed"] = control.failed.is_none().into();
    row["interleavings"] = control.interleavings.into();
    row
}

fn found_to_json(found: Option<&(&'static Model, Finding)>) -> Value {
    match found {
        None => json!({ "model": null, "how": null, "detail": null }),
        Some((model, Finding { how, detail })) => json!({ "model": model.name(), "how": how, "detail": detail }),
    }
}

fn print_table(table: &Table) {
    println!("Weakened to relaxed:");
    for Weakening { role, caught } in &table.rows {
        println!("  {role} ({:?}), pairs with {}", role.ordering(), role.pairs_with());
        match caught {
            Some((model, finding)) => println!("      caught by model {}: {finding}", model.name()),
            None => println!("      NOT CAUGHT by any model"),
        }
    }
    println!("Controls, in which every model must pass:");
    for Control { strengthened, failed, interleavings } in &table.controls {
        let what = strengthened.map_or_else(|| "as the protocol says".to_owned(), |role| format!("{role} SeqCst"));
        match failed {
            None => println!("  {what}: passed in {interleavings} interleavings"),
            Some((model, finding)) => println!("  {what}: FAILED in model {}: {finding}", model.name()),
        }
    }
    println!(
        "{} of {} weakened orderings caught, {} of {} controls passed.",
        table.caught(),
        table.rows.len(),
        table.controls_passed(),
        table.controls.len()
    );
}
