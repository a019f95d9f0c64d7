//! The rounds against consumers that do wrong: the demo must notice.

use super::*;

fn outcome(plan: &Plan, wrong: impl FnMut(u64, &[u8], &mut dyn FnMut(&[u8]))) -> anyhow::Result<Outcome> {
    let memory = SimMemory::new(u64::from(plan.ring)).unwrap();
    let mut drain = Wrong { honest: Sim::new(&memory), count: 0, wrong };
    run_rounds(plan, &memory, &mut drain, &Output::new(true))
}

/// Passes each sample and its number, as the honest drain saw it, through `wrong`.
struct Wrong<'m, F> {
    honest: Sim<'m>,
    count: u64,
    wrong: F,
}

impl<F: FnMut(u64, &[u8], &mut dyn FnMut(&[u8]))> Drain for Wrong<'_, F> {
    fn drain(&mut self, mut each: impl FnMut(&[u8])) -> anyhow::Result<Duration> {
        let Self { honest, count, wrong } = self;
        honest.drain(|sample| {
            wrong(*count, sample, &mut each);
            *count += 1;
        })
    }
}

#[test]
fn a_consumer_that_loses_changes_or_reorders_is_found_out() {
    let plan = Plan::new(1000, 40, 4096).unwrap();
    let lost = outcome(&plan, |number, sample, each| {
        if number != 500 {
            each(sample);
        }
    });
    let counts = lost.unwrap().counts;
    assert_eq!((counts.drained, counts.lost, counts.corrupt), (999, 1, 0));

    let changed = outcome(&plan, |number, sample, each| {
        let mut sample = sample.to_vec();
        sample[39] ^= u8::from(number == 500);
        each(&sample);
    });
    let counts = changed.unwrap().counts;
    assert_eq!(counts, Counts { drained: 1000, corrupt: 1, ..Counts::default() });
    let Verdict::Bad(why) = counts.verdict() else { panic!("found good") };
    assert!(why.ends_with(": 0 lost, 0 out of order, 1 corrupt"), "{why}");

    let mut kept = Vec::new();
    let reordered = outcome(&plan, |number, sample, each| match number {
        500 => kept = sample.to_vec(),
        501 => {
            each(sample);
            each(&kept);
        }
        _ => each(sample),
    });
    let counts = reordered.unwrap().counts;
    assert_eq!((counts.drained, counts.lost, counts.corrupt), (1000, 0, 0));
    assert!(counts.out_of_order > 0 && !counts.all_good());
}

/// A consumer that never takes anything.
struct Asleep;

impl Drain for Asleep {
    fn drain(&mut self, _: impl FnMut(&[u8])) -> anyhow::Result<Duration> {
        Ok(Duration::ZERO)
    }
}

#[test]
fn a_consumer_that_takes_nothing_ends_the_demo() {
    let plan = Plan::new(10_000, 40, 65536).unwrap();
    let memory = SimMemory::new(65536).unwrap();
    let error = run_rounds(&plan, &memory, &mut Asleep, &Output::new(true)).err().unwrap();
    assert!(error.to_string().contains("stays full"), "{error}");
}
