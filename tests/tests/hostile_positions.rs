//! Positions change at random under a working producer: what the fuzz target shows, in a run that is always the same.

use fastrand::Rng;
use user_ringbuf_sim::proof::targets::hostile_positions::{HostileCounts, run};

#[test]
fn no_change_of_positions_lures_a_producer_out_of_free_space() {
    let mut rng = Rng::with_seed(99);
    let mut sum = HostileCounts::default();
    for _ in 0..8000 {
        let bytes: Vec<u8> = std::iter::repeat_with(|| rng.u8(..)).take(1000).collect();
        sum += run(&bytes);
    }
    println!("{sum:?}");
    assert!(sum.strikes > 100_000 && sum.stores > 100_000 && sum.reserved > 10_000, "{sum:?}");
    assert!(sum.corrupted > 1000 && sum.foreign > 1000 && sum.refused > 1000, "{sum:?}");
}
