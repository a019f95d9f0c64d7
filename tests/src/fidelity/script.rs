//! Runs a program on one side, and keeps every drain.

use anyhow::anyhow;
use user_ringbuf_sim::proof::{Bench, DrainResult, Program, Tampering, Totals, run, stale_ring};
use user_ringbuf_sim::{KernelError, RingImage};

use super::image::Call;
use super::side::{Answer, Side};

/// What a program did on one side.
#[derive(Debug)]
pub(super) struct Recording {
    /// Its drains, in order.
    pub(super) drains: Vec<Answer>,
    /// The verdict of the reference model.
    pub(super) result: Result<Totals, String>,
    /// The ring afterwards.
    pub(super) after: RingImage,
}

/// Runs `program` on `side`, whose positions are at its start. `expected` are the other side's drains.
pub(super) fn record<S: Side>(
    program: &Program,
    side: &mut S,
    expected: Option<&[Answer]>,
) -> anyhow::Result<Recording> {
    side.write(0, stale_ring(program.size, 0).data());
    let memory = side.memory();
    let mut recorder = Recorder { side, drains: Vec::new(), expected, failure: None };
    // SAFETY: a trial has the ring to itself, and no producer before its program's.
    let result = unsafe { run(program, &*memory, &mut recorder) };
    let Recorder { drains, failure, .. } = recorder;
    match failure {
        Some(failure) => Err(failure),
        None => Ok(Recording { drains, result, after: side.snapshot() }),
    }
}

struct Recorder<'s, S> {
    side: &'s mut S,
    drains: Vec<Answer>,
    expected: Option<&'s [Answer]>,
    failure: Option<anyhow::Error>,
}

impl<S: Side> Recorder<'_, S> {
    fn try_drain(&mut self, call: &Call) -> anyhow::Result<(Result<u32, KernelError>, Answer)> {
        let expected = self.expected.and_then(|expected| expected.get(self.drains.len()));
        let answer = self.side.drain(call, expected.is_some_and(|expected| expected.woke))?;
        let returned = match answer.returned {
            -7 => Err(KernelError::TooBig),
            -16 => Err(KernelError::Busy),
            -22 => Err(KernelError::Invalid),
            code => Ok(u32::try_from(code).map_err(|_| anyhow!("the drain returned {code}"))?),
        };
        Ok((returned, answer))
    }
}

impl<S: Side> Bench for Recorder<'_, S> {
    fn drain(&mut self, flags: u64, stop_after: Option<u32>) -> DrainResult {
        let call = Call { flags, stop_after: stop_after.map_or(0, |samples| samples.max(1)), nested: false };
        let (returned, answer) = self.try_drain(&call).unwrap_or_else(|error| {
            self.failure.get_or_insert(error);
            (Err(KernelError::Busy), Answer::default())
        });
        let result = DrainResult { returned, samples: answer.samples.clone(), woke: answer.woke };
        self.drains.push(answer);
        result
    }

    fn snapshot(&self) -> RingImage {
        self.side.snapshot()
    }

    fn positions(&self) -> (u64, u64) {
        (self.side.consumer(), self.side.producer())
    }

    unsafe fn damage(&mut self, damage: Tampering) -> bool {
        match damage {
            Tampering::Producer(by) => self.side.set_producer(self.side.producer().wrapping_add_signed(by)),
            Tampering::Header { offset, word } => {
                let at = self.side.consumer().wrapping_add(offset.into()) & !7;
                self.side.write(at, &word.to_ne_bytes());
            }
            // A real consumer position can't be written.
            _ => return false,
        }
        true
    }
}
