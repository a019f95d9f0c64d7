//! Many times, summed up in two figures.

use std::time::Duration;

use serde::Serialize;

/// The median and the 99th percentile of a number of times; 0 if there are none.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Percentiles {
    /// Half of the times are shorter.
    pub p50: f64,
    /// All but a hundredth are shorter.
    pub p99: f64,
}

impl Percentiles {
    /// Of these times, in units of `unit`.
    #[must_use]
    pub fn of(times: &[Duration], unit: Duration) -> Self {
        let mut times = times.to_vec();
        times.sort_unstable();
        let at = |percent: usize| {
            let time = times.get(times.len().saturating_sub(1) * percent / 100).copied().unwrap_or_default();
            time.as_secs_f64() / unit.as_secs_f64()
        };
        Self { p50: at(50), p99: at(99) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_and_the_last_hundredth_of_times_in_any_order() {
        let times: Vec<_> = (0..=100).rev().map(Duration::from_millis).collect();
        let Percentiles { p50, p99 } = Percentiles::of(&times, Duration::from_millis(1));
        assert!((p50 - 50.0).abs() < 1e-9 && (p99 - 99.0).abs() < 1e-9, "{p50} {p99}");
        assert!(Percentiles::of(&[], Duration::from_millis(1)).p99.abs() < 1e-9);
    }
}
