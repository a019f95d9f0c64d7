//! Shows that every ordering of the protocol is needed: weakens each to relaxed in turn, and lets loom run the models
//! until one of them fails.
//!
//! ```text
//! cargo run --release -p user-ringbuf-sim --features loom --example weakened-orderings
//! ```
//! Ends with status 1 if a weakening goes unnoticed, or if a model fails that should pass. Each model runs in a process
//! of its own, this program again, because loom ends a failed model by a panic that nothing should survive.

use std::error::Error;
use std::process::{Command, ExitCode, Stdio};
use std::{env, io, thread};

use clap::Parser;
use serde_json::{Value, json};
use user_ringbuf_sim::core::Role;
use user_ringbuf_sim::loom::models::{Depth, Model};
use user_ringbuf_sim::loom::table::{self, Change, Control, Row, Table};
use user_ringbuf_sim::loom::{Finding, Outcome, run_and_exit};
use user_ringbuf_sim::role_by_name;

/// Weakens each ordering of the protocol in turn and reports which loom model notices.
#[derive(Parser)]
struct Args {
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,

    /// Weaken this role only (and strengthen it, as a control).
    #[arg(long, value_name = "NAME", value_parser = role)]
    role: Option<Role>,

    /// How many models to run at once.
    #[arg(long, value_name = "N", default_value_t = workers())]
    jobs: usize,

    #[command(flatten)]
    alone: Alone,
}

/// How the program calls itself: one model, with the orderings of the protocol but for one role.
#[derive(clap::Args)]
struct Alone {
    #[arg(long, hide = true, value_parser = model)]
    alone: Option<&'static Model>,
    #[arg(long, hide = true, value_parser = role, requires = "alone", conflicts_with = "strengthen")]
    weaken: Option<Role>,
    #[arg(long, hide = true, value_parser = role, requires = "alone")]
    strengthen: Option<Role>,
    #[arg(long, hide = true, requires = "alone")]
    quick: bool,
}

fn role(name: &str) -> Result<Role, String> {
    role_by_name(name).map_err(|error| error.to_string())
}

fn model(name: &str) -> Result<&'static Model, String> {
    Model::by_name(name).ok_or_else(|| format!("no model is called {name:?}"))
}

fn workers() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

fn main() -> Result<ExitCode, Box<dyn Error + Send + Sync>> {
    let args = Args::parse();
    if let Some(model) = args.alone.alone {
        let change = match (args.alone.weaken, args.alone.strengthen) {
            (Some(role), _) => Change::Weakened(role),
            (None, Some(role)) => Change::Strengthened(role),
            (None, None) => Change::Unchanged,
        };
        let depth = if args.alone.quick { Depth::Quick } else { Depth::Full };
        run_and_exit(model, change.orderings(), depth);
    }
    let roles = args.role.map_or_else(|| Role::ALL.to_vec(), |role| vec![role]);
    let table = table::check(&roles, args.jobs, run_alone)?;
    if args.json {
        println!("{}", to_json(&table));
    } else {
        print_table(&table);
    }
    Ok(if table.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs one model in a process of its own.
fn run_alone(model: &'static Model, change: Change, depth: Depth) -> Result<Outcome, Box<dyn Error + Send + Sync>> {
    let mut command = Command::new(env::current_exe()?);
    command.args(["--alone", model.name()]);
    match change {
        Change::Unchanged => {}
        Change::Weakened(role) => {
            command.args(["--weaken", role.name()]);
        }
        Change::Strengthened(role) => {
            command.args(["--strengthen", role.name()]);
        }
    }
    if depth == Depth::Quick {
        command.arg("--quick");
    }
    let output = command.stdin(Stdio::null()).output()?;
    let stdout = String::from_utf8(output.stdout).map_err(io::Error::other)?;
    Ok(Outcome::from_output(&stdout)?)
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

fn row_to_json(Row { role, caught }: &Row) -> Value {
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
    for Row { role, caught } in &table.rows {
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
