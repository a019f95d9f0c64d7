//! A row of the table, and how each kind of row is made.

use user_ringbuf_kit::rights::without_rights;

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

/// A row that does not say yet which error it is, and how it is tried.
pub(crate) fn row(entry: &'static str, value: &'static str) -> Case {
    Case { entry, value, error: "", says: "" }
}

/// A row that is being made.
pub(crate) struct Case {
    entry: &'static str,
    value: &'static str,
    error: &'static str,
    says: &'static str,
}

impl Case {
    /// The error's type and variant, and what its text holds.
    pub(crate) fn is(self, error: &'static str, says: &'static str) -> Self {
        Self { error, says, ..self }
    }

    /// By itself.
    pub(crate) fn plain(self, attempt: impl Fn() -> Vec<Answer> + 'static) -> Row {
        self.tried(Attempt::Plain(Box::new(attempt)))
    }

    /// On a ring of a page, the smallest there is.
    pub(crate) fn on_ring(self, attempt: impl Fn(&TriedRing) -> Vec<Answer> + 'static) -> Row {
        self.on_rings(&[1], attempt)
    }

    /// On a ring of each of these sizes.
    pub(crate) fn on_rings(self, sizes: &'static [u64], attempt: impl Fn(&TriedRing) -> Vec<Answer> + 'static) -> Row {
        self.tried(Attempt::OnRing(sizes, Box::new(attempt)))
    }

    /// Without any capability.
    pub(crate) fn without_rights(self, attempt: impl Fn() -> Vec<Answer> + Sync + 'static) -> Row {
        self.plain(move || without_rights(&attempt))
    }

    fn tried(self, attempt: Attempt) -> Row {
        let Self { entry, value, error, says } = self;
        Row { entry, value, error, says, attempt }
    }
}

/// The answers to attempts that each have to fail.
macro_rules! answers {
    ($($attempt:expr),+ $(,)?) => { vec![$($crate::answer::Answer::of($attempt)),+] };
}
pub(crate) use answers;
