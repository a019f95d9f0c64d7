//! The fake kernel against the real one: ring images and producers' programs drawn from a seed, every outcome compared.

use std::process::ExitCode;

use clap::Parser;
use clap::builder::PossibleValuesParser;
use user_ringbuf_sim::proof::Fault;
use user_ringbuf_tests::fidelity::trial::{Plan, TrialReport, against_the_kernel};
use user_ringbuf_tests::outcome::exit_code;

#[derive(Parser)]
#[command(
    name = "kernel-vs-sim",
    about = "Put ring images through the real kernel and the fake one, and compare every outcome",
    after_help = "Exit code: 0 if there is no difference, 1 if there is one or a rule was met too rarely, 2 without the rights to make maps"
)]
struct Args {
    /// How many images to draw
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(1..))]
    images: u64,
    /// The seed they are drawn from [default: random, printed on standard error]
    #[arg(long)]
    seed: Option<u64>,
    /// Run this image only
    #[arg(long, value_name = "NUMBER")]
    image: Option<u64>,
    /// Switch on a fault of the fake kernel, which must then be found; `list` names them
    #[arg(long, value_name = "NAME", hide_possible_values = true, value_parser = names())]
    plant: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Of the faults, and of what lists them.
fn names() -> PossibleValuesParser {
    PossibleValuesParser::new(Fault::ALL.iter().map(|fault| fault.name()).chain(["list"]))
}

fn main() -> ExitCode {
    let args = Args::parse();
    if args.plant.as_deref() == Some("list") {
        Fault::ALL.iter().for_each(|fault| println!("{fault}"));
        return ExitCode::SUCCESS;
    }
    let plant = Fault::ALL.iter().copied().find(|fault| args.plant.as_deref() == Some(fault.name()));
    exit_code(run(&args, plant))
}

fn run(args: &Args, plant: Option<Fault>) -> anyhow::Result<bool> {
    let seed = args.seed.unwrap_or_else(|| fastrand::u64(..));
    // First of all, so that a run that fails can be repeated.
    eprintln!("seed {seed}");
    let report = against_the_kernel(&Plan { images: args.images, seed, only: args.image, plant })?;
    if args.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        tell(&report);
    }
    Ok(report.differences == 0 && report.untested.is_empty())
}

fn tell(report: &TrialReport) {
    println!("{} images, {} a second, {} differences", report.images, report.images_per_second, report.differences);
    for (outcome, count) in &report.outcomes {
        let why = report.rare.get(outcome).map_or_else(String::new, |why| format!("  (rare: {why})"));
        println!("{count:>12} {outcome}{why}");
    }
    for outcome in &report.untested {
        println!("met too rarely to be tested: {outcome}");
    }
    if let Some(found) = &report.found {
        println!("\nimage {} differs; shrunk:\n{}", found.image, found.case);
        println!("{}\n\nrepeat it: {}", found.difference, found.repeat);
    }
}
