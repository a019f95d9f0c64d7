//! Every public entry point with every kind of wrong value: a typed error that says what was wrong and what is allowed.
//!
//! One table drives the test: [`rows::all`]. It stands in `TESTING.md` too, and a test keeps the two the same;
//! `USER_RINGBUF_BLESS=1` writes it anew. Where a row works on a ring, the ring is looked at afterwards: what was in it
//! arrives, and the next sample goes in.

mod answer;
mod kit;
mod nobody;
mod papers;
mod rows;

use answer::Answer;
use kit::Kit;
use user_ringbuf_kit::rights::may_admin;

/// A row of the table.
struct Row {
    /// The entry point.
    entry: &'static str,
    /// The wrong value.
    value: &'static str,
    /// The error's type and variant.
    error: &'static str,
    /// What its text holds.
    says: &'static str,
    attempt: Attempt,
}

/// Tries something on a ring.
type TryOn = Box<dyn Fn(&Kit) -> Vec<Answer>>;

/// How the wrong value gets there. Every answer has to be the row's error.
enum Attempt {
    /// By itself.
    Plain(Box<dyn Fn() -> Vec<Answer>>),
    /// On a ring, once for each of these sizes; the ring has to work afterwards.
    OnRing(&'static [u64], TryOn),
    /// In a process of user nobody without capabilities.
    AsNobody(fn() -> Vec<Answer>),
}

impl Row {
    /// What is wrong with these answers, line by line.
    fn faults(&self, answers: &[Answer]) -> Vec<String> {
        let Self { entry, value, error, says, .. } = self;
        if answers.is_empty() {
            return vec![format!("{entry} with {value}: nothing was tried")];
        }
        let wrong = answers.iter().filter(|answer| answer.error != *error || !answer.text.contains(says));
        wrong.map(|answer| format!("{entry} with {value}: expected {error} that says {says:?}: {answer:?}")).collect()
    }
}

#[test]
fn every_wrong_value_at_every_entry_point_is_a_typed_error_that_says_what_is_wrong() {
    if !may_admin() {
        return;
    }
    let (mut faults, mut as_nobody) = (Vec::new(), false);
    for row in rows::all() {
        match &row.attempt {
            Attempt::Plain(attempt) => faults.extend(row.faults(&attempt())),
            Attempt::OnRing(sizes, attempt) => {
                for size in *sizes {
                    let mut kit = Kit::new(*size);
                    faults.extend(row.faults(&attempt(&kit)));
                    kit.still_works(row.entry, row.value);
                }
            }
            Attempt::AsNobody(_) => as_nobody = true,
        }
    }
    assert!(as_nobody && faults.is_empty(), "{}", faults.join("\n"));
    nobody::run_its_rows();
}
