//! Every public entry point with every kind of wrong value: a typed error that says what was wrong and what is allowed.
//!
//! One table drives the test: [`rows::all`]. `TABLE.md` shows it, and a test keeps the two the same;
//! `USER_RINGBUF_BLESS=1` writes the page anew. Where a row works on a ring, the ring must still work afterwards: what was
//! in it arrives, and the next sample goes in.

mod answer;
mod page;
mod row;
mod rows;
mod tried_ring;

use row::Attempt;
use tried_ring::TriedRing;
use user_ringbuf_kit::needs_admin;

#[test]
fn every_wrong_value_at_every_entry_point_is_a_typed_error_that_says_what_is_wrong() {
    needs_admin!();
    let mut faults = Vec::new();
    for row in rows::all() {
        match &row.attempt {
            Attempt::Plain(attempt) => faults.extend(row.faults(&attempt())),
            Attempt::OnRing(sizes, attempt) => {
                for size in *sizes {
                    let mut tried = TriedRing::new(*size);
                    faults.extend(row.faults(&attempt(&tried)));
                    tried.still_works(row.entry, row.value);
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
