//! The models pass with the orderings of the protocol.
#![cfg(feature = "loom")]

use user_ringbuf_sim::Orderings;
use user_ringbuf_sim::loom::models;

#[test]
fn all() {
    for model in models::ALL {
        if std::env::var("ONLY").is_ok_and(|only| !only.split(',').any(|o| o == model.name())) {
            continue;
        }
        let begin = std::time::Instant::now();
        let runs = model.check(Orderings::of_the_protocol());
        println!("{} {runs} {:?}", model.name(), begin.elapsed());
    }
}
