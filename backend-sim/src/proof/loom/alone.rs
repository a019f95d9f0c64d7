//! A model in a process of its own: a program that calls itself again.
//!
//! Loom ends a model by panicking in the middle of it, and what it leaves behind can't be used again nor always be
//! cleaned up; the end of the process is the one clean end.

use std::process::{self, Command, Stdio};
use std::{env, fmt, io, panic};

use user_ringbuf_core::Role;

use super::finding::{Ending, Finding};
use super::models::{Depth, Model};
use super::table::Change;

/// Tells the process what to run: model, depth, and what is different from the protocol's orderings.
const JOB: &str = "USER_RINGBUF_LOOM_MODEL";

/// Has `command`, a program that calls [`run_if_asked`], run one model.
///
/// # Errors
/// If there is no such process, or it ended without saying how ([`NoEnding`](super::NoEnding)).
pub fn run_alone(command: &mut Command, model: &Model, change: Change, depth: Depth) -> io::Result<Ending> {
    let job = Job { model, change, depth };
    let output = command.env(JOB, job.to_string()).stdin(Stdio::null()).output()?;
    Ending::from_output(&String::from_utf8_lossy(&output.stdout)).map_err(io::Error::other)
}

/// In a process that [`run_alone`] has started: runs the model, tells the outcome, and ends the process. Returns in any
/// other.
///
/// # Panics
/// If it is asked for something that `run_alone` does not ask for.
pub fn run_if_asked() {
    let Ok(asked) = env::var(JOB) else { return };
    let Job { model, change, depth } = Job::parse(&asked).unwrap_or_else(|| panic!("{JOB} asks for {asked:?}"));
    panic::set_hook(Box::new(|panic| {
        let payload = panic.payload();
        let message = payload
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| payload.downcast_ref::<&str>().copied())
            .unwrap_or("panic without a message");
        match Finding::from_panic(message) {
            Some(finding) => finish(&Ending::Caught(finding)),
            None => {
                println!("\n{panic}");
                process::exit(1);
            }
        }
    }));
    finish(&Ending::Passed { interleavings: model.check(change.orderings(), depth) })
}

fn finish(outcome: &Ending) -> ! {
    // In a line of its own: a test harness may have begun one.
    println!("\n{}", outcome.line());
    process::exit(0)
}

struct Job<'m> {
    model: &'m Model,
    change: Change,
    depth: Depth,
}

impl fmt::Display for Job<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let depth = if self.depth == Depth::Quick { "quick" } else { "full" };
        write!(f, "{} {depth}", self.model.name())?;
        match self.change {
            Change::Unchanged => Ok(()),
            Change::Weakened(role) => write!(f, " weakened {role}"),
            Change::Strengthened(role) => write!(f, " strengthened {role}"),
        }
    }
}

impl Job<'static> {
    fn parse(job: &str) -> Option<Self> {
        let words: Vec<&str> = job.split(' ').collect();
        let [model, depth, change @ ..] = &words[..] else { return None };
        let change = match change {
            [] => Change::Unchanged,
            ["weakened", name] => Change::Weakened(Role::from_name(name)?),
            ["strengthened", name] => Change::Strengthened(Role::from_name(name)?),
            _ => return None,
        };
        let depth = match *depth {
            "quick" => Depth::Quick,
            "full" => Depth::Full,
            _ => return None,
        };
        Some(Self { model: Model::by_name(model)?, change, depth })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_what_is_understood() {
        let model = Model::by_name("submit").unwrap();
        for (change, depth) in [
            (Change::Unchanged, Depth::Full),
            (Change::Weakened(Role::PublishProducer), Depth::Quick),
            (Change::Strengthened(Role::LoadConsumer), Depth::Full),
        ] {
            let job = Job::parse(&Job { model, change, depth }.to_string()).unwrap();
            assert_eq!((job.model.name(), job.change, job.depth), ("submit", change, depth));
        }
        for nothing in ["", "submit", "submit slow", "no-model full", "submit full weakened", "submit full weakened x"]
        {
            assert!(Job::parse(nothing).is_none(), "{nothing}");
        }
    }
}
