//! Samples from the input into the ring.
//!
//! Invariant: everything that a read completed is published before the next read, so that a pipe which pauses keeps
//! nothing back. A batch makes that one store of the producer position per read, not per sample. A sample is counted as
//! sent once it is published, never before. What was not sent is named as soon as a sample gets through again, or the
//! input pauses.

use std::fmt;
use std::io::{self, Read};
use std::time::Duration;

use clap::ValueEnum;
use serde::Serialize;
use user_ringbuf_linux::{BlockingError, Producer, ReserveError, RingMemory, Wait};

use super::host::{Host, Stopped};
use super::input::Input;
use super::tally::Tally;
use crate::framing::{FramingError, Parser, Place, Step};

/// What to do when the ring has no room for a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OnFull {
    /// Wait until a program has drained the ring.
    Wait,
    /// Drop the sample, name it on standard error and go on; the exit status stays 0.
    Drop,
    /// Stop, with exit status 1.
    Fail,
}

/// Why sending stopped before the end of the input.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum SendError {
    #[error("cannot read standard input: {0}")]
    Input(io::Error),
    #[error(transparent)]
    Framing(#[from] FramingError),
    #[error(transparent)]
    Stopped(#[from] Stopped),
    #[error("{unit} {number} ({len} bytes) does not fit: {why}")]
    Full { unit: &'static str, number: u64, len: usize, why: ReserveError },
    #[error("{unit} {number} ({len} bytes) found no room within {:.1} s: does a program drain the ring?", timeout.as_secs_f64())]
    TimedOut { unit: &'static str, number: u64, len: usize, timeout: Duration },
    /// Those from `first` on were given up with it: they were in one batch.
    #[error("cannot publish {unit} {number}: {why}{}", given_up(unit, *first, *number))]
    Ring { unit: &'static str, first: u64, number: u64, why: ReserveError },
    #[error("cannot wait for room: {0}")]
    Wait(String),
}

/// Names the samples that were given up with the last of them.
fn given_up(unit: &str, first: u64, last: u64) -> String {
    if first == last { String::new() } else { format!("; {unit}s {first} to {last} were not published") }
}

/// How long to wait for room before the user is told, and between looks at signals and the pin meanwhile.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long to wait before the user is told again.
const REMIND: Duration = Duration::from_secs(60);

pub(super) struct Sender<'a, M: RingMemory, W, H> {
    pub(super) producer: Producer<M>,
    pub(super) waiter: W,
    pub(super) on_full: OnFull,
    /// How long to wait for room for one sample; `None` waits forever.
    pub(super) timeout: Option<Duration>,
    pub(super) parser: Parser,
    pub(super) tally: Tally,
    pub(super) host: &'a mut H,
    /// When the user was last told that there is no room, by the waiter's clock.
    pub(super) told: Option<Duration>,
    /// The arguments that name the ring to another subcommand.
    pub(super) ring: String,
}

impl<M: RingMemory, W: Wait<Error: fmt::Display>, H: Host> Sender<'_, M, W, H> {
    /// Sends all of `from`. `after_read` is told how many samples were sent so far.
    pub(super) fn send_all(&mut self, from: impl Read, mut after_read: impl FnMut(u64)) -> Result<(), SendError> {
        let mut input = Input::new(from);
        let done = loop {
            if self.tally.is_open() && self.host.pauses() {
                self.tally.close(&mut |text| self.host.note(text));
            }
            if let Err(stopped) = self.host.wait_for_input() {
                break Err(stopped.into());
            }
            let more = match input.fill() {
                Ok(more) => more,
                Err(error) => break Err(SendError::Input(error)),
            };
            match self.send_window(input.window(), !more) {
                Ok(taken) => input.advance(taken),
                Err(error) => break Err(error),
            }
            after_read(self.tally.samples);
            if !more {
                break Ok(());
            }
        };
        self.tally.finish(&mut |text| self.host.note(text));
        done
    }

    /// Sends what is complete in `window`, and returns how many of its bytes were taken.
    fn send_window(&mut self, window: &[u8], ended: bool) -> Result<usize, SendError> {
        let mut taken = 0;
        loop {
            let (batched, stop) = self.send_batch(window.get(taken..).unwrap_or_default(), ended);
            taken += batched;
            match stop {
                Stop::Window => return Ok(taken),
                Stop::Framing(error) => return Err(error.into()),
                Stop::TooLong { place, len } => self.tally.refuse(place, len, &mut |text| self.host.note(text)),
                Stop::NoRoom { place, bytes } => self.send_one(place, bytes)?,
                Stop::Ring { first, last, why } => return Err(self.broken(first, last, why)),
            }
        }
    }

    /// Publishes samples together, up to one that needs a closer look.
    fn send_batch<'w>(&mut self, window: &'w [u8], ended: bool) -> (usize, Stop<'w>) {
        let (mut taken, mut samples, mut sample_bytes) = (0, 0, 0);
        let mut first = None;
        let mut batch = self.producer.batch();
        let stop = loop {
            let (next, step) = match self.parser.next(window.get(taken..).unwrap_or_default(), ended) {
                Ok(next) => next,
                Err(error) => break Stop::Framing(error),
            };
            taken += next;
            match step {
                Step::Sample { place, bytes } => {
                    // A batch ends with what does not go in, so that its numbers follow one another.
                    let first = *first.get_or_insert(place.number);
                    match batch.push(bytes) {
                        Ok(()) => {
                            samples += 1;
                            sample_bytes += bytes.len();
                        }
                        Err(ReserveError::Full { .. } | ReserveError::BatchFull { .. }) => {
                            break Stop::NoRoom { place, bytes };
                        }
                        // Another producer moved the positions: publishing ours would make it worse.
                        Err(why) => return (taken, Stop::Ring { first, last: place.number, why }),
                    }
                }
                Step::TooLong { place, len } => break Stop::TooLong { place, len },
                Step::NeedsInput | Step::End => break Stop::Window,
            }
        };
        if let Some(first) = first.filter(|_| samples > 0) {
            // Nothing of a batch that can't be submitted is in the ring.
            if let Err(why) = batch.submit() {
                return (taken, Stop::Ring { first, last: first + samples - 1, why });
            }
            self.tally.close(&mut |text| self.host.note(text));
            self.tally.sent(samples, u64::try_from(sample_bytes).unwrap_or(u64::MAX));
        }
        (taken, stop)
    }

    /// Sends a sample that found no room in the batch, or does what the user chose for that case.
    #[cold]
    fn send_one(&mut self, place: Place, bytes: &[u8]) -> Result<(), SendError> {
        let sent = match self.on_full {
            OnFull::Wait => self.wait_and_push(place, bytes)?,
            OnFull::Drop | OnFull::Fail => self.producer.push(bytes).map(|_| ()),
        };
        match (sent, self.on_full) {
            (Ok(()), _) => {
                self.tally.close(&mut |text| self.host.note(text));
                self.tally.sent(1, u64::try_from(bytes.len()).unwrap_or(u64::MAX));
                Ok(())
            }
            (Err(ReserveError::Full { .. }), OnFull::Drop) => {
                let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                self.tally.drop_one(place, len, &mut |text| self.host.note(text));
                Ok(())
            }
            (Err(why @ ReserveError::Full { .. }), _) => {
                let unit = self.parser.framing().unit();
                Err(SendError::Full { unit, number: place.number, len: bytes.len(), why })
            }
            (Err(why), _) => Err(self.broken(place.number, place.number, why)),
        }
    }

    /// Waits for room, a while at a time: in between, the user is told, and signals and the pin are looked at.
    fn wait_and_push(&mut self, place: Place, bytes: &[u8]) -> Result<Result<(), ReserveError>, SendError> {
        let began = self.waiter.now();
        loop {
            let waited = self.waiter.now().saturating_sub(began);
            let left = self.timeout.map_or(PATIENCE, |timeout| timeout.saturating_sub(waited).min(PATIENCE));
            match self.producer.reserve_blocking(bytes.len(), &mut self.waiter, Some(left)) {
                Ok(mut sample) => {
                    // The sample is exactly as long as the bytes.
                    let written = sample.write(0, bytes);
                    debug_assert!(written.is_ok());
                    sample.submit();
                    return Ok(Ok(()));
                }
                Err(BlockingError::TimedOut { .. } | BlockingError::Cancelled) => {
                    self.host.go_on()?;
                    self.still_waiting(began, place, bytes.len())?;
                }
                Err(BlockingError::Reserve(why)) => return Ok(Err(why)),
                Err(error) => {
                    return Err(SendError::Wait(format!("{} {}: {error}", self.parser.framing().unit(), place.number)));
                }
            }
        }
    }

    /// Says that a sample waits, or gives up if its time is up.
    fn still_waiting(&mut self, began: Duration, place: Place, len: usize) -> Result<(), SendError> {
        let (now, unit, number) = (self.waiter.now(), self.parser.framing().unit(), place.number);
        let waited = now.saturating_sub(began);
        if let Some(timeout) = self.timeout.filter(|timeout| waited >= *timeout) {
            return Err(SendError::TimedOut { unit, number, len, timeout });
        }
        if waited >= PATIENCE && self.told.is_none_or(|told| now.saturating_sub(told) >= REMIND) {
            self.told = Some(now);
            self.host.note(&format!(
                "{unit} {number} ({len} bytes) has been waiting for room for {:.0} s: the ring is full; `user-ringbuf \
                 inspect {} --watch` shows whether a program drains it",
                waited.as_secs_f64(),
                self.ring
            ));
        }
        Ok(())
    }

    fn broken(&self, first: u64, last: u64, why: ReserveError) -> SendError {
        SendError::Ring { unit: self.parser.framing().unit(), first, number: last, why }
    }
}

/// Why a batch ended.
enum Stop<'w> {
    /// The window is used up.
    Window,
    /// A sample found no room.
    NoRoom { place: Place, bytes: &'w [u8] },
    /// A sample is longer than the ring takes.
    TooLong { place: Place, len: u64 },
    /// The input ended within a frame.
    Framing(FramingError),
    /// The ring is not as it must be. The batch, samples `first` to `last`, was given up.
    Ring { first: u64, last: u64, why: ReserveError },
}

#[cfg(test)]
mod tests;
