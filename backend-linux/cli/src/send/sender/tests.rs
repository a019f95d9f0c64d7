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

struct Sent {
    result: Result<(), SendError>,
    samples: Vec<Vec<u8>>,
    counts: [u64; 4],
    notes: Vec<String>,
}

/// Sends into a ring of `ring` bytes, then drains what is left.
fn send(ring: u64, framing: Framing, on_full: OnFull, from: impl Read) -> Sent {
    let memory = HeapMemory::new(ring).unwrap();
    let drained = RefCell::new(Vec::new());
    send_into(&memory, &drained, framing, on_full, from)
}

fn send_into(
    memory: &HeapMemory,
    drained: &RefCell<Vec<Vec<u8>>>,
    framing: Framing,
    on_full: OnFull,
    from: impl Read,
) -> Sent {
    let producer = Producer::attach(memory).unwrap();
    let max = producer.max_sample_len();
    let host = Notes::default();
    let mut sender = Sender {
        producer,
        waiter: Drainer { kernel: FakeKernel::new(memory), drained },
        on_full,
        timeout: None,
        parser: Parser::new(framing, max),
        tally: Tally::new(framing, max),
        host: &mut &host,
        told: None,
        ring: "--id 7".to_owned(),
    };
    let result = sender.send_all(from, |_| {});
    let tally = sender.tally;
    let counts = [tally.samples, tally.bytes, tally.dropped(), tally.too_large()];
    drained.borrow_mut().extend(FakeKernel::new(memory).collect(0).1);
    Sent { result, samples: drained.take(), counts, notes: host.notes.take() }
}

fn lines(count: usize) -> (Vec<u8>, Vec<Vec<u8>>) {
    let samples: Vec<Vec<u8>> = (0..count).map(|index| index.to_string().into_bytes()).collect();
    (samples.join(&b'\n'), samples)
}

#[test]
fn everything_arrives_in_order_through_a_ring_that_holds_four_lines() {
    let (input, want) = lines(1000);
    let sent = send(64, Framing::Lines, OnFull::Wait, &input[..]);
    assert!(sent.result.is_ok());
    assert_eq!(sent.samples, want);
    let bytes: usize = want.iter().map(Vec::len).sum();
    assert_eq!(sent.counts, [1000, u64::try_from(bytes).unwrap(), 0, 0]);
    assert!(sent.notes.is_empty());
}

#[test]
fn frames_as_large_as_the_ring_wait_for_all_of_it() {
    let sample = [7_u8; 56];
    let frame = [&56_u32.to_le_bytes()[..], &sample].concat();
    let sent = send(64, Framing::U32, OnFull::Wait, &frame.repeat(3)[..]);
    assert!(sent.result.is_ok());
    assert_eq!(sent.samples, [sample; 3]);
}

#[test]
fn dropped_lines_are_counted_and_named_and_the_ring_keeps_the_first() {
    let (input, want) = lines(10);
    let sent = send(64, Framing::Lines, OnFull::Drop, &input[..]);
    assert!(sent.result.is_ok());
    assert_eq!(sent.samples, want[..4]);
    assert_eq!(sent.counts, [4, 4, 6, 0]);
    assert_eq!(sent.notes, ["lines 5 to 10 dropped: the ring is full"]);
}

#[test]
fn a_shorter_line_still_goes_in_where_a_longer_one_was_dropped() {
    let sent = send(64, Framing::Lines, OnFull::Drop, &b"1\n2\n3\n0123456789\n5\n6\n"[..]);
    assert_eq!(sent.samples, [b"1", b"2", b"3", b"5"]);
    assert_eq!(sent.notes, ["line 4 dropped: the ring is full", "line 6 dropped: the ring is full"]);
}

#[test]
fn failing_stops_at_the_first_that_does_not_fit_and_keeps_those_before() {
    let (input, want) = lines(10);
    let sent = send(64, Framing::Lines, OnFull::Fail, &input[..]);
    let error = sent.result.unwrap_err().to_string();
    assert_eq!(error, "line 5 (1 bytes) does not fit: the ring is full: the record needs 16 bytes, 0 are free");
    assert_eq!(sent.samples, want[..4]);
    assert_eq!(sent.counts, [4, 4, 0, 0]);
}

#[test]
fn lines_too_large_for_the_ring_are_skipped_by_name_and_the_rest_is_sent() {
    let long = "x".repeat(57);
    let input = format!("a\n{long}\nb\n{long}{long}");
    let sent = send(64, Framing::Lines, OnFull::Wait, input.as_bytes());
    assert!(sent.result.is_ok());
    assert_eq!(sent.samples, [b"a", b"b"]);
    assert_eq!(sent.counts, [2, 2, 0, 2]);
    assert_eq!(
        sent.notes,
        [
            "line 2 skipped: 57 bytes, the limit of this ring is 56",
            "line 4 skipped: 114 bytes, the limit of this ring is 56"
        ]
    );
}

#[test]
fn a_cut_frame_is_an_error_and_those_before_it_are_sent() {
    let sent = send(64, Framing::U32, OnFull::Wait, &b"\x01\0\0\0a\x09\0\0\0bcd"[..]);
    let error = sent.result.unwrap_err().to_string();
    assert_eq!(error, "frame 2 (at byte 5) is cut off: its length is 9 bytes, and the input has 3 of them");
    assert_eq!(sent.samples, [b"a"]);
    assert_eq!(sent.counts, [1, 1, 0, 0]);
}

/// Gives one piece a read, and before each checks what the kernel can see of those before.
struct Interactive<'r> {
    memory: &'r HeapMemory,
    drained: &'r RefCell<Vec<Vec<u8>>>,
    pieces: Vec<(&'static [u8], usize)>,
    visible: usize,
}

impl Read for Interactive<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let (_, samples) = FakeKernel::new(self.memory).collect(0);
        self.drained.borrow_mut().extend(samples);
        assert_eq!(self.drained.borrow().len(), self.visible, "samples visible when the input pauses");
        if self.pieces.is_empty() {
            return Err(io::Error::other("the reader broke"));
        }
        let (piece, visible) = self.pieces.remove(0);
        self.visible = visible;
        into[..piece.len()].copy_from_slice(piece);
        Ok(piece.len())
    }
}

#[test]
fn what_is_complete_is_visible_before_the_next_read_and_a_read_error_is_named() {
    let memory = HeapMemory::new(4096).unwrap();
    let drained = RefCell::new(Vec::new());
    let pieces = vec![(&b"a\nb\nc"[..], 2), (b"d\n", 3), (b"e", 3), (b"\n\n", 5)];
    let from = Interactive { memory: &memory, drained: &drained, pieces, visible: 0 };
    let sent = send_into(&memory, &drained, Framing::Lines, OnFull::Wait, from);
    assert_eq!(sent.result.unwrap_err().to_string(), "cannot read standard input: the reader broke");
    assert_eq!(sent.samples, [&b"a"[..], b"b", b"cd", b"e", b""]);
}

/// Moves the producer position behind the sender's back at the second read.
struct Foreign<'r>(&'r HeapMemory, u32);

impl Read for Foreign<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.1 += 1;
        match self.1 {
            1 => {
                into[..4].copy_from_slice(b"1\n2\n");
                Ok(4)
            }
            2 => {
                self.0.set_producer(48);
                into[..8].copy_from_slice(b"3\n4\n5\n6\n");
                Ok(8)
            }
            _ => Ok(0),
        }
    }
}

#[test]
fn another_producer_stops_the_sending_and_only_what_was_published_counts() {
    let memory = HeapMemory::new(64).unwrap();
    let drained = RefCell::new(Vec::new());
    let sent = send_into(&memory, &drained, Framing::Lines, OnFull::Wait, Foreign(&memory, 0));
    let error = sent.result.unwrap_err().to_string();
    assert!(
        error.starts_with("cannot publish line 3: another producer moved the producer position from 32 to 48"),
        "{error}"
    );
    assert_eq!(sent.counts, [2, 2, 0, 0]);
}

/// What a read brings.
struct Piece {
    /// The ring is drained before.
    drained: bool,
    bytes: &'static [u8],
    /// How many runs of dropped lines were named before.
    named: usize,
}

const fn piece(bytes: &'static [u8], named: usize) -> Piece {
    Piece { drained: false, bytes, named }
}

/// Gives one piece a read.
struct Naming<'r> {
    memory: &'r HeapMemory,
    notes: &'r RefCell<Vec<String>>,
    pieces: Vec<Piece>,
}

impl Read for Naming<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let Piece { drained, bytes: piece, named } = self.pieces.remove(0);
        assert_eq!(self.notes.borrow().len(), named, "runs named before {:?}", String::from_utf8_lossy(piece));
        if drained {
            assert!(FakeKernel::new(self.memory).collect(0).0.returned.is_ok());
        }
        into[..piece.len()].copy_from_slice(piece);
        Ok(piece.len())
    }
}

/// What is named of pieces that are dropped in part, when the input pauses between them or does not.
fn named(input_pauses: bool, pieces: Vec<Piece>) -> Vec<String> {
    let memory = HeapMemory::new(64).unwrap();
    let host = Notes { pauses: input_pauses, ..Notes::default() };
    let producer = Producer::attach(&memory).unwrap();
    let max = producer.max_sample_len();
    let mut sender = Sender {
        producer,
        waiter: Drainer { kernel: FakeKernel::new(&memory), drained: &RefCell::default() },
        on_full: OnFull::Drop,
        timeout: None,
        parser: Parser::new(Framing::Lines, max),
        tally: Tally::new(Framing::Lines, max),
        host: &mut &host,
        told: None,
        ring: "--id 7".to_owned(),
    };
    sender.send_all(Naming { memory: &memory, notes: &host.notes, pieces }, |_| {}).unwrap();
    host.notes.take()
}

#[test]
fn dropped_lines_are_named_once_a_later_batch_gets_through() {
    let pieces = vec![piece(b"1\n2\n3\n4\n5\n6\n", 0), Piece { drained: true, bytes: b"7\n", named: 0 }, piece(b"", 1)];
    assert_eq!(named(false, pieces), ["lines 5 to 6 dropped: the ring is full"]);
}

#[test]
fn dropped_lines_are_named_before_the_input_pauses() {
    let pieces = vec![piece(b"1\n2\n3\n4\n5\n6\n", 0), piece(b"", 1)];
    assert_eq!(named(true, pieces), ["lines 5 to 6 dropped: the ring is full"]);
}

#[test]
fn a_run_of_dropped_lines_that_several_reads_bring_is_named_once() {
    let pieces = vec![piece(b"1\n2\n3\n4\n5\n", 0), piece(b"6\n", 0), piece(b"7\n", 0), piece(b"", 0)];
    assert_eq!(named(false, pieces), ["lines 5 to 7 dropped: the ring is full"]);
}

/// A clock that each wait moves on to where it should end. Nothing is drained.
struct Patient(Duration, RingId);

impl Wait for Patient {
    type Error = Infallible;

    fn ring(&self) -> Option<RingId> {
        Some(self.1)
    }

    fn now(&self) -> Duration {
        self.0
    }

    fn wait(&mut self, _: u32, until: Option<Duration>) -> Result<Wake, Infallible> {
        self.0 = until.expect("no wait without an end");
        Ok(Wake::Look)
    }
}

/// Sends ten lines into a ring that holds four and that nothing drains.
fn wait_in_vain(timeout: Option<Duration>, patience: Option<u32>) -> (String, Vec<String>, Duration) {
    let memory = HeapMemory::new(64).unwrap();
    let host = Notes { patience: Cell::new(patience), ..Notes::default() };
    let mut sender = Sender {
        producer: Producer::attach(&memory).unwrap(),
        waiter: Patient(Duration::ZERO, memory.kernel_ring_id()),
        on_full: OnFull::Wait,
        timeout,
        parser: Parser::new(Framing::Lines, 56),
        tally: Tally::new(Framing::Lines, 56),
        host: &mut &host,
        told: None,
        ring: "--id 7".to_owned(),
    };
    let error = sender.send_all(&lines(10).0[..], |_| {}).unwrap_err().to_string();
    assert_eq!(sender.tally.samples, 4, "what went in counts");
    let waited = sender.waiter.0;
    (error, host.notes.take(), waited)
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
