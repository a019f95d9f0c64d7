//! The models pass with the orderings of the protocol.
#![cfg(feature = "loom")]

use user_ringbuf_sim::loom::{Orderings, models};

#[test]
fn all() {
    for model in models::ALL {
        let begin = std::time::Instant::now();
        let runs = model.check(Orderings::of_the_protocol());
        println!("{} {runs} {:?}", model.name(), begin.elapsed());
    }
}
