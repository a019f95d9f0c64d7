//! The table, a file a kind of entry point.

mod drain;
mod maps;
mod positions;
mod reservations;
mod samples;
mod waiting;

use crate::row::Row;

/// Every row, in the order of the papers.
pub(crate) fn all() -> Vec<Row> {
    [maps::rows(), reservations::rows(), samples::rows(), positions::rows(), waiting::rows(), drain::rows()]
        .into_iter()
        .flatten()
        .collect()
}
