//! The table, a file a kind of entry point.

mod drain;
mod maps;
mod positions;
mod reservations;
mod samples;
mod waiting;

use crate::answer::Answer;
use crate::tried_ring::TriedRing;
use crate::{Attempt, Row};

/// Every row, in the order of the papers.
pub(crate) fn all() -> Vec<Row> {
    [maps::rows(), reservations::rows(), samples::rows(), positions::rows(), waiting::rows(), drain::rows()]
        .into_iter()
        .flatten()
        .collect()
}

/// Rings of a page, the smallest there is.
const SMALL: &[u64] = &[1];

/// A row by itself.
fn plain(
    entry: &'static str,
    value: &'static str,
    error: &'static str,
    says: &'static str,
    attempt: impl Fn() -> Vec<Answer> + 'static,
) -> Row {
    Row { entry, value, error, says, attempt: Attempt::Plain(Box::new(attempt)) }
}

/// A row on a ring of a page.
fn on_ring(
    entry: &'static str,
    value: &'static str,
    error: &'static str,
    says: &'static str,
    attempt: impl Fn(&TriedRing) -> Vec<Answer> + 'static,
) -> Row {
    Row { entry, value, error, says, attempt: Attempt::OnRing(SMALL, Box::new(attempt)) }
}

/// A row for user nobody.
fn as_nobody(
    entry: &'static str,
    value: &'static str,
    error: &'static str,
    says: &'static str,
    attempt: fn() -> Vec<Answer>,
) -> Row {
    Row { entry, value, error, says, attempt: Attempt::AsNobody(attempt) }
}
