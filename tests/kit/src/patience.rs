//! How long a test waits for what must happen, in one place: emulated processors need more than real ones.

use std::time::{Duration, Instant};

/// 20 seconds, or as many as `USER_RINGBUF_PATIENCE` says. A test that waits so long fails: something is broken.
///
/// # Panics
/// If the variable is set, and not to a number of seconds.
pub fn patience() -> Duration {
    let seconds = std::env::var("USER_RINGBUF_PATIENCE").map_or(20, |value| value.parse().expect("seconds"));
    Duration::from_secs(seconds)
}

/// Waits until `is` returns true.
///
/// # Panics
/// If it does not within the tests' [`patience`].
pub fn soon(what: &str, mut is: impl FnMut() -> bool) {
    soon_found(what, || is().then_some(()));
}

/// Looks until there is something, and returns it.
///
/// # Panics
/// If there is nothing within the tests' [`patience`].
pub fn soon_found<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < patience(), "not {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}
