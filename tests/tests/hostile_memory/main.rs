//! A peer that scribbles: over the producer position, the headers and the data, while the kernel drains whatever stands
//! there and producers of every kind work on.
//!
//! Errors and garbage samples are fine. A panic, a hang, or a byte written outside the mapping is not: threads are
//! joined, a watchdog ends the process, what lies around the mapping can't be written ([`fence`]), and the kernel's part
//! of the producer page has to stay as it was.

mod attack;
mod fence;
mod work;

use attack::under_attack;
use user_ringbuf_kit::rights::may_bpf;

macro_rules! attacked {
    ($($name:ident: $work:path,)*) => {$(
        #[test]
        fn $name() {
            if may_bpf() {
                under_attack(stringify!($name), $work);
            }
        }
    )*};
}

attacked! {
    an_exclusive_producer_survives: work::exclusive,
    batches_survive: work::batches,
    detached_samples_survive: work::detached,
    lanes_survive: work::lanes,
    shared_producers_survive: work::shared,
    waiting_survives: work::waiting,
    whoever_looks_survives: work::looking,
    a_repair_survives: work::repairing,
}
