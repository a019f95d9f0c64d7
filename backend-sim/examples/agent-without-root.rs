//! An agent's own code, tested against consumers that misbehave: without root, without a kernel map, without sleeping.
//!
//! The agent below is generic over the ring's memory and over the way of waiting. In production both come from
//! `user-ringbuf-linux` (its mapped ring and its `EpollWaiter`); here they come from the simulation.
//!
//! ```sh
//! cargo run -p user-ringbuf-sim --example agent-without-root
//! cargo test -p user-ringbuf-sim --example agent-without-root
//! ```

use std::time::Duration;

use user_ringbuf_sim::{AttachError, BlockingError, Producer, RingMemory, Wait};
use user_ringbuf_sim::{HeapMemory, Script, ScriptedConsumer};

/// What the agent reports: a number of its own, so that the consumer can see gaps, and a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Reading {
    number: u32,
    value: u32,
}

impl Reading {
    fn to_bytes(self) -> [u8; 8] {
        let ([a, b, c, d], [e, f, g, h]) = (self.number.to_ne_bytes(), self.value.to_ne_bytes());
        [a, b, c, d, e, f, g, h]
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (number, value) = bytes.split_first_chunk()?;
        Some(Self { number: u32::from_ne_bytes(*number), value: u32::from_ne_bytes(value.try_into().ok()?) })
    }
}

/// The agent: it reports readings, waits a little for a slow consumer, and drops readings rather than stop.
struct Agent<M: RingMemory, W> {
    producer: Producer<M>,
    waiter: W,
    patience: Duration,
    next: u32,
    dropped: u32,
}

impl<M: RingMemory, W: Wait> Agent<M, W> {
    fn start(memory: M, waiter: W, patience: Duration) -> Result<Self, AttachError> {
        Ok(Self { producer: Producer::attach(memory)?, waiter, patience, next: 0, dropped: 0 })
    }

    /// Reports one reading, or drops it if the consumer does not make room in time.
    fn report(&mut self, value: u32) -> Result<(), BlockingError<W::Error>> {
        let reading = Reading { number: self.next, value };
        self.next += 1;
        match self.producer.reserve_blocking(8, &mut self.waiter, Some(self.patience)) {
            Ok(mut sample) => {
                // A sample of eight bytes takes eight bytes.
                let _ = sample.write(0, &reading.to_bytes());
                sample.submit();
                // A consumer that is back has the agent's patience again.
                self.patience = self.patience.max(PATIENCE);
                Ok(())
            }
            Err(BlockingError::TimedOut { .. }) => {
                self.dropped += 1;
                // Whoever has not drained for that long won't just now: no use in waiting as long for each reading.
                self.patience = Duration::ZERO;
                Ok(())
            }
            Err(why) => Err(why),
        }
    }
}

const PATIENCE: Duration = Duration::from_millis(20);

/// A kilobyte holds 64 readings.
const RING: u64 = 1024;

/// What became of some readings.
#[derive(Debug)]
struct Outcome {
    arrived: Vec<Reading>,
    dropped: u32,
    looks: u64,
    took: Duration,
}

/// Lets an agent report `count` readings, one a millisecond, to a consumer that follows `script`. With `recheck` the
/// agent looks at the ring by itself too, every millisecond.
fn report_to(script: Script, count: u32, recheck: bool) -> Result<Outcome, Box<dyn std::error::Error>> {
    let memory = HeapMemory::new(RING)?;
    let consumer = ScriptedConsumer::new(&memory, script);
    let mut waiter = consumer.waiter();
    if recheck {
        waiter = waiter.with_recheck(Duration::from_millis(1), Duration::from_millis(1));
    }
    let mut agent = Agent::start(&memory, waiter, PATIENCE)?;
    for value in 0..count {
        consumer.run_for(Duration::from_millis(1));
        agent.report(value * value)?;
    }
    let (dropped, looks) = (agent.dropped, agent.waiter.looks());
    let took = consumer.clock().now();
    // Whatever is still in the ring; a drain that is under way first gets the time to end.
    consumer.run_for(Duration::from_millis(200));
    consumer.drain_now(0).returned?;
    let arrived = consumer.samples().iter().filter_map(|sample| Reading::from_bytes(sample)).collect();
    Ok(Outcome { arrived, dropped, looks, took })
}

fn well_behaved() -> Script {
    Script::every(Duration::from_millis(10))
}

/// Drains as it should for 100 ms, then not until half a second later.
fn stalling() -> Script {
    let ms = Duration::from_millis;
    (60..70).fold(well_behaved().until(ms(100)), |script, nth| script.and_at(ms(nth * 10)))
}

/// Takes a millisecond and a half for each sample: longer than the agent takes to make one.
fn slow() -> Script {
    Script::every(Duration::from_millis(5)).per_sample(Duration::from_micros(1500))
}

/// Drains seldom, and with `BPF_RB_NO_WAKEUP`.
fn wakeup_less() -> Script {
    Script::every(Duration::from_millis(70)).no_wakeup()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("{:<32} {:>8} {:>8} {:>7} {:>10}", "consumer", "arrived", "dropped", "looks", "took");
    for (name, script, recheck) in [
        ("well behaved", well_behaved(), false),
        ("stalling", stalling(), false),
        ("slow", slow(), false),
        ("wakeup-less", wakeup_less(), false),
        ("wakeup-less, agent re-checks", wakeup_less(), true),
    ] {
        let Outcome { arrived, dropped, looks, took } = report_to(script, 700, recheck)?;
        println!("{name:<32} {:>8} {dropped:>8} {looks:>7} {took:>10.1?}", arrived.len());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use user_ringbuf_sim::{Crash, FakeKernel, Mortal};

    fn numbers(outcome: &Outcome) -> Vec<u32> {
        outcome.arrived.iter().map(|reading| reading.number).collect()
    }

    #[test]
    fn a_consumer_that_keeps_up_gets_everything_and_the_agent_never_waits() {
        let outcome = report_to(well_behaved(), 700, false).unwrap();
        assert_eq!(numbers(&outcome), (0..700).collect::<Vec<_>>());
        assert!(outcome.arrived.iter().all(|reading| reading.value == reading.number * reading.number));
        assert_eq!((outcome.dropped, outcome.looks), (0, 0));
    }

    #[test]
    fn a_stalling_consumer_costs_readings_but_never_stops_the_agent() {
        let outcome = report_to(stalling(), 700, false).unwrap();
        assert!(outcome.dropped > 300, "{outcome:?}");
        assert_eq!(outcome.arrived.len() + outcome.dropped as usize, 700, "each arrived or was counted");
        assert!(numbers(&outcome).is_sorted(), "in order, with a gap");
        assert_eq!(numbers(&outcome).last(), Some(&699), "it recovers once the consumer is back");
        // It waited for its patience once, not once a reading.
        assert!(outcome.took < Duration::from_millis(700) + 2 * PATIENCE, "{:?}", outcome.took);
    }

    #[test]
    fn a_slow_consumer_slows_the_agent_down_and_loses_nothing() {
        let outcome = report_to(slow(), 700, false).unwrap();
        assert_eq!(numbers(&outcome), (0..700).collect::<Vec<_>>());
        assert_eq!(outcome.dropped, 0);
        assert!(outcome.took > Duration::from_millis(900), "the consumer's pace: {:?}", outcome.took);
    }

    #[test]
    fn a_wakeup_less_consumer_needs_an_agent_that_looks_by_itself() {
        let without = report_to(wakeup_less(), 700, false).unwrap();
        let with = report_to(wakeup_less(), 700, true).unwrap();
        assert_eq!((without.dropped, with.dropped), (0, 0));
        // Both see the room: the one when its time is up, the other when it is there.
        assert!(without.took > with.took, "{:?} and {:?}", without.took, with.took);
        assert!(with.looks < 100, "and it does not spin: {}", with.looks);
    }

    #[test]
    fn an_agent_that_dies_at_any_step_leaves_whole_readings() {
        let mut steps = 0;
        loop {
            let memory = HeapMemory::new(RING).unwrap();
            let consumer = ScriptedConsumer::new(&memory, Script::never());
            let crash = Crash::after(steps);
            if let Ok(mut agent) = Agent::start(Mortal::new(&memory, &crash), consumer.waiter(), PATIENCE) {
                let reported = (0..3).try_for_each(|value| agent.report(value));
                // The dead one's own position is not where it believes.
                assert!(reported.is_ok() || crash.has_died(), "{reported:?}");
            }
            let (drained, samples) = FakeKernel::new(&memory).collect(0);
            assert_eq!(drained.returned, Ok(u32::try_from(samples.len()).unwrap()));
            for (sample, number) in samples.iter().zip(0..) {
                assert_eq!(Reading::from_bytes(sample), Some(Reading { number, value: number }));
            }
            if !crash.has_died() {
                assert_eq!(samples.len(), 3);
                break;
            }
            steps += 1;
        }
        assert!(steps > 10);
    }
}
