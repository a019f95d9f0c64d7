//! A row of the table, and how each kind of row is made.

use crate::answer::Answer;
use crate::tried_ring::TriedRing;

/// A row of the table.
pub(crate) struct Row {
    /// The entry point.
    pub(crate) entry: &'static str,
    /// The wrong value.
    pub(crate) value: &'static str,
    /// The error's type and variant.
    pub(crate) error: &'static str,
    /// What its text holds.
    pub(crate) says: &'static str,
    pub(crate) attempt: Attempt,
}

/// Tries something on a ring.
pub(crate) type TryOn = Box<dyn Fn(&TriedRing) -> Vec<Answer>>;

/// How the wrong value gets there. Every answer has to be the row's error.
pub(crate) enum Attempt {
    /// By itself.
    Plain(Box<dyn Fn() -> Vec<Answer>>),
    /// On a ring, once for each of these sizes; the ring has to work afterwards.
    OnRing(&'static [u64], TryOn),
    /// In a process of user nobody without capabilities.
    AsNobody(fn() -> Vec<Answer>),
}

impl Row {
    /// What is wrong with these answers, line by line.
    pub(crate) fn faults(&self, answers: &[Answer]) -> Vec<String> {
        let Self { entry, value, error, says, .. } = self;
        if answers.is_empty() {
            return vec![format!("{entry} with {value}: nothing was tried")];
        }
        let wrong = answers.iter().filter(|answer| answer.error != *error || !answer.text.contains(says));
        wrong.map(|answer| format!("{entry} with {value}: expected {error} that says {says:?}: {answer:?}")).collect()
    }
}

/// Rings of a page, the smallest there is.
pub(crate) const SMALL: &[u64] = &[1];

/// A row by itself.
pub(crate) fn plain(
    entry: &'static str,
    value: &'static str,
    error: &'static str,
    says: &'static str,
    attempt: impl Fn() -> Vec<Answer> + 'static,
) -> Row {
    Row { entry, value, error, says, attempt: Attempt::Plain(Box::new(attempt)) }
}

/// A row on a ring of a page.
pub(crate) fn on_ring(
    entry: &'static str,
    value: &'static str,
    error: &'static str,
    says: &'static str,
    attempt: impl Fn(&TriedRing) -> Vec<Answer> + 'static,
) -> Row {
    Row { entry, value, error, says, attempt: Attempt::OnRing(SMALL, Box::new(attempt)) }
}

/// A row for user nobody.
pub(crate) fn as_nobody(
    entry: &'static str,
    value: &'static str,
    error: &'static str,
    says: &'static str,
    attempt: fn() -> Vec<Answer>,
) -> Row {
    Row { entry, value, error, says, attempt: Attempt::AsNobody(attempt) }
}
