//! How long a test waits for what must happen, in one place: emulated processors need more than real ones.

use std::time::Duration;

/// 20 seconds, or as many as `USER_RINGBUF_PATIENCE` says. A test that waits so long fails: something is broken.
///
/// # Panics
/// If the variable is set, and not to a number of seconds.
pub fn patience() -> Duration {
    let seconds = std::env::var("USER_RINGBUF_PATIENCE").map_or(20, |value| value.parse().expect("seconds"));
    Duration::from_secs(seconds)
}
