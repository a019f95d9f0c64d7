use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::time::Duration;

use user_ringbuf_linux::{RingId, Wake};
use user_ringbuf_sim::{FakeKernel, HeapMemory, KernelMemory};

use super::*;
use crate::framing::Framing;

/// A consumer that drains one sample whenever the sender waits.
struct Drainer<'r> {
    kernel: FakeKernel<&'r HeapMemory>,
    drained: &'r RefCell<Vec<Vec<u8>>>,
}

impl Wait for Drainer<'_> {
    type Error = Infallible;

    fn ring(&self) -> Option<RingId> {
        Some(self.kernel.memory().kernel_ring_id())
    }

    fn now(&self) -> Duration {
        Duration::ZERO
    }

    fn wait(&mut self, _: u32, _: Option<Duration>) -> Result<Wake, Infallible> {
        let drained = self.kernel.drain(0, |sample| {
            self.drained.borrow_mut().push(sample.to_vec());
            std::ops::ControlFlow::Break(())
        });
        assert_eq!(drained.returned, Ok(1), "waited on a ring in which nothing can be drained");
        Ok(Wake::Look)
    }
}

/// A host that keeps what it is told. It stops the sending after `patience` looks while that waits for room.
#[derive(Debug, Default)]
struct Notes {
    notes: RefCell<Vec<String>>,
    pauses: bool,
    patience: Cell<Option<u32>>,
}

impl Host for &Notes {
    fn note(&mut self, text: &str) {
        self.notes.borrow_mut().push(text.to_owned());
    }

    fn pauses(&mut self) -> bool {
        self.pauses
    }

    fn wait_for_input(&mut self) -> Result<(), Stopped> {
        Ok(())
    }

    fn go_on(&mut self) -> Result<(), Stopped> {
        match self.patience.get() {
            Some(0) => Err(Stopped::Signal("SIGTERM")),
            left => {
                self.patience.set(left.map(|left| left - 1));
                Ok(())
            }
        }
    }
}

/// A ring, and what was drained from it.
struct Ring {
    memory: HeapMemory,
    drained: RefCell<Vec<Vec<u8>>>,
}

impl Ring {
    fn new(size: u64) -> Self {
        Self { memory: HeapMemory::new(size).unwrap(), drained: RefCell::default() }
    }

    fn drainer(&self) -> Drainer<'_> {
        Drainer { kernel: FakeKernel::new(&self.memory), drained: &self.drained }
    }

    fn drain(&self) {
        let (drained, samples) = FakeKernel::new(&self.memory).collect(0);
        assert!(drained.returned.is_ok(), "{drained:?}");
        self.drained.borrow_mut().extend(samples);
    }
}

/// Input that a function brings: it is told the number of reads before.
struct Reads<F>(usize, F);

impl<F: FnMut(usize) -> io::Result<&'static [u8]>> Read for Reads<F> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let piece = (self.1)(self.0)?;
        self.0 += 1;
        into[..piece.len()].copy_from_slice(piece);
        Ok(piece.len())
    }
}

/// What came of sending: the error's words, the samples and bytes that were sent, and those dropped and too large.
type Sent = (Result<(), String>, [u64; 4]);

fn send_on<W: Wait<Error = Infallible>>(
    ring: &Ring,
    waiter: W,
    host: &Notes,
    (framing, on_full, timeout): (Framing, OnFull, Option<Duration>),
    from: impl Read,
) -> Sent {
    let producer = Producer::attach(&ring.memory).unwrap();
    let max = producer.max_sample_len();
    let mut sender = Sender {
        producer,
        waiter,
        on_full,
        timeout,
        parser: Parser::new(framing, max),
        tally: Tally::new(framing, max),
        host: &mut { host },
        told: None,
        ring: "--id 7".to_owned(),
    };
    let result = sender.send_all(from, |_| {}).map_err(|error| error.to_string());
    let tally = sender.tally;
    (result, [tally.samples, tally.bytes, tally.dropped(), tally.too_large()])
}

/// Sends into a ring of 64 bytes, then drains what is left: also the samples, and what was noted.
fn send(framing: Framing, on_full: OnFull, from: &[u8]) -> (Sent, Vec<Vec<u8>>, Vec<String>) {
    let (ring, host) = (Ring::new(64), Notes::default());
    let sent = send_on(&ring, ring.drainer(), &host, (framing, on_full, None), from);
    ring.drain();
    (sent, ring.drained.take(), host.notes.take())
}

fn lines(count: usize) -> (Vec<u8>, Vec<Vec<u8>>) {
    let samples: Vec<Vec<u8>> = (0..count).map(|index| index.to_string().into_bytes()).collect();
    (samples.join(&b'\n'), samples)
}

#[test]
fn everything_arrives_in_order_through_a_ring_that_holds_four_lines() {
    let (input, want) = lines(1000);
    let (sent, samples, notes) = send(Framing::Lines, OnFull::Wait, &input);
    let bytes: usize = want.iter().map(Vec::len).sum();
    assert_eq!(sent, (Ok(()), [1000, u64::try_from(bytes).unwrap(), 0, 0]));
    assert_eq!((samples, notes.len()), (want, 0));
}

#[test]
fn frames_as_large_as_the_ring_wait_for_all_of_it() {
    let sample = [7_u8; 56];
    let frame = [&56_u32.to_le_bytes()[..], &sample].concat();
    let (sent, samples, _) = send(Framing::U32, OnFull::Wait, &frame.repeat(3));
    assert_eq!(sent, (Ok(()), [3, 168, 0, 0]));
    assert_eq!(samples, [sample; 3]);
}

#[test]
fn dropped_lines_are_counted_and_named_and_the_ring_keeps_the_first() {
    let (input, want) = lines(10);
    let (sent, samples, notes) = send(Framing::Lines, OnFull::Drop, &input);
    assert_eq!(sent, (Ok(()), [4, 4, 6, 0]));
    assert_eq!(samples, want[..4]);
    assert_eq!(notes, ["lines 5 to 10 dropped: the ring is full"]);
}

#[test]
fn a_shorter_line_still_goes_in_where_a_longer_one_was_dropped() {
    let (_, samples, notes) = send(Framing::Lines, OnFull::Drop, b"1\n2\n3\n0123456789\n5\n6\n");
    assert_eq!(samples, [b"1", b"2", b"3", b"5"]);
    assert_eq!(notes, ["line 4 dropped: the ring is full", "line 6 dropped: the ring is full"]);
}

#[test]
fn failing_stops_at_the_first_that_does_not_fit_and_keeps_those_before() {
    let (input, want) = lines(10);
    let (sent, samples, _) = send(Framing::Lines, OnFull::Fail, &input);
    let why = "line 5 (1 bytes) does not fit: the ring is full: the record needs 16 bytes, 0 are free";
    assert_eq!(sent, (Err(why.into()), [4, 4, 0, 0]));
    assert_eq!(samples, want[..4]);
}

#[test]
fn lines_too_large_for_the_ring_are_skipped_by_name_and_the_rest_is_sent() {
    let long = "x".repeat(57);
    let input = format!("a\n{long}\nb\n{long}{long}");
    let (sent, samples, notes) = send(Framing::Lines, OnFull::Wait, input.as_bytes());
    assert_eq!(sent, (Ok(()), [2, 2, 0, 2]));
    assert_eq!(samples, [b"a", b"b"]);
    let skipped = |line, len| format!("line {line} skipped: {len} bytes, the limit of this ring is 56");
    assert_eq!(notes, [skipped(2, 57), skipped(4, 114)]);
}

#[test]
fn a_cut_frame_is_an_error_and_those_before_it_are_sent() {
    let (sent, samples, _) = send(Framing::U32, OnFull::Wait, b"\x01\0\0\0a\x09\0\0\0bcd");
    let why = "frame 2 (at byte 5) is cut off: its length is 9 bytes, and the input has 3 of them";
    assert_eq!((sent, samples), ((Err(why.into()), [1, 1, 0, 0]), vec![b"a".to_vec()]));
}

const WAITING_FOR_LINES: (Framing, OnFull, Option<Duration>) = (Framing::Lines, OnFull::Wait, None);

#[test]
fn what_is_complete_is_visible_before_the_next_read_and_a_read_error_is_named() {
    let ring = Ring::new(4096);
    let (pieces, visible) = ([&b"a\nb\nc"[..], b"d\n", b"e", b"\n\n"], [0, 2, 3, 3, 5]);
    let from = Reads(0, |read| {
        ring.drain();
        assert_eq!(ring.drained.borrow().len(), visible[read], "samples visible when the input pauses");
        pieces.get(read).copied().ok_or_else(|| io::Error::other("the reader broke"))
    });
    let (result, _) = send_on(&ring, ring.drainer(), &Notes::default(), WAITING_FOR_LINES, from);
    assert_eq!(result, Err("cannot read standard input: the reader broke".into()));
    assert_eq!(ring.drained.take(), [&b"a"[..], b"b", b"cd", b"e", b""]);
}

#[test]
fn another_producer_stops_the_sending_and_only_what_was_published_counts() {
    let ring = Ring::new(64);
    let from = Reads(0, |read| {
        if read == 1 {
            ring.memory.set_producer(48);
        }
        Ok([&b"1\n2\n"[..], b"3\n4\n5\n6\n", b""][read])
    });
    let (result, counts) = send_on(&ring, ring.drainer(), &Notes::default(), WAITING_FOR_LINES, from);
    let error = result.unwrap_err();
    let why = "cannot publish line 3: another producer moved the producer position from 32 to 48";
    assert!(error.starts_with(why), "{error}");
    assert_eq!(counts, [2, 2, 0, 0]);
}

/// What is named of lines that are dropped in part. Each read brings bytes; so many runs were named before, and before
/// read number `drained` the ring is drained.
fn named(pauses: bool, drained: Option<usize>, reads: &[(&'static [u8], usize)]) -> Vec<String> {
    let (ring, host) = (Ring::new(64), Notes { pauses, ..Notes::default() });
    let from = Reads(0, |read| {
        let (bytes, named) = reads[read];
        assert_eq!(host.notes.borrow().len(), named, "runs named before {:?}", String::from_utf8_lossy(bytes));
        if drained == Some(read) {
            ring.drain();
        }
        Ok(bytes)
    });
    let (result, _) = send_on(&ring, ring.drainer(), &host, (Framing::Lines, OnFull::Drop, None), from);
    assert_eq!(result, Ok(()));
    host.notes.take()
}

#[test]
fn dropped_lines_are_named_once_a_later_batch_gets_through() {
    let notes = named(false, Some(1), &[(b"1\n2\n3\n4\n5\n6\n", 0), (b"7\n", 0), (b"", 1)]);
    assert_eq!(notes, ["lines 5 to 6 dropped: the ring is full"]);
}

#[test]
fn dropped_lines_are_named_before_the_input_pauses() {
    let notes = named(true, None, &[(b"1\n2\n3\n4\n5\n6\n", 0), (b"", 1)]);
    assert_eq!(notes, ["lines 5 to 6 dropped: the ring is full"]);
}

#[test]
fn a_run_of_dropped_lines_that_several_reads_bring_is_named_once() {
    let notes = named(false, None, &[(b"1\n2\n3\n4\n5\n", 0), (b"6\n", 0), (b"7\n", 0), (b"", 0)]);
    assert_eq!(notes, ["lines 5 to 7 dropped: the ring is full"]);
}

/// A clock that each wait moves on to where it should end. Nothing is drained.
struct Patient<'c> {
    clock: &'c Cell<Duration>,
    ring: RingId,
}

impl Wait for Patient<'_> {
    type Error = Infallible;

    fn ring(&self) -> Option<RingId> {
        Some(self.ring)
    }

    fn now(&self) -> Duration {
        self.clock.get()
    }

    fn wait(&mut self, _: u32, until: Option<Duration>) -> Result<Wake, Infallible> {
        self.clock.set(until.expect("no wait without an end"));
        Ok(Wake::Look)
    }
}

/// Sends ten lines into a ring that holds four and that nothing drains.
fn wait_in_vain(timeout: Option<Duration>, patience: Option<u32>) -> (String, Vec<String>, Duration) {
    let (ring, host) = (Ring::new(64), Notes { patience: Cell::new(patience), ..Notes::default() });
    let clock = Cell::default();
    let waiter = Patient { clock: &clock, ring: ring.memory.kernel_ring_id() };
    let how = (Framing::Lines, OnFull::Wait, timeout);
    let (result, counts) = send_on(&ring, waiter, &host, how, &lines(10).0[..]);
    assert_eq!(counts[0], 4, "what went in counts");
    (result.unwrap_err(), host.notes.take(), clock.get())
}

#[test]
fn a_ring_that_nothing_drains_is_named_after_a_second_and_again_after_a_minute() {
    let (error, notes, _) = wait_in_vain(None, Some(130));
    assert_eq!(error, "interrupted by SIGTERM");
    let note = |seconds| {
        format!(
            "line 5 (1 bytes) has been waiting for room for {seconds} s: the ring is full; `user-ringbuf inspect --id 7 --watch` \
             shows whether a program drains it"
        )
    };
    assert_eq!(notes, [note(1), note(61), note(121)]);
}

#[test]
fn a_wait_ends_when_its_time_is_up() {
    let (error, notes, waited) = wait_in_vain(Some(Duration::from_millis(2500)), None);
    assert_eq!(error, "line 5 (1 bytes) found no room within 2.5 s: does a program drain the ring?");
    assert_eq!((notes.len(), waited), (1, Duration::from_millis(2500)));
    let (_, notes, waited) = wait_in_vain(Some(Duration::ZERO), None);
    assert_eq!((notes.len(), waited), (0, Duration::ZERO), "no time at all is one try");
}
