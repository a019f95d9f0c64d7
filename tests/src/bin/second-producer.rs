//! A long-lived producer of ours takes turns on one ring with others: `send`, another process of ours, and a process that
//! makes libbpf's stores. Nothing may be lost, torn or jammed.
//!
//! In the first half of the turns ours holds the claim on the ring, and producers that ask for it are refused. In the
//! second half the ring has no claim, and ours must notice every turn of another.

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};

use anyhow::{Context, bail, ensure};
use clap::{Parser, ValueEnum};
use serde::Serialize;
use user_ringbuf_kit::bpffs::Bpffs;
use user_ringbuf_kit::raw::RawRing;
use user_ringbuf_kit::stamp::Stamp;
use user_ringbuf_linux::{AttachError, Map, Mapping, MappingError, Position, Producer, ReserveError};
use user_ringbuf_tests::kernel::{Drainer, ring};
use user_ringbuf_tests::outcome::{exit_code, print};
use user_ringbuf_tests::tally::Tally;

#[derive(Parser)]
#[command(about = "Let other producers come between those of a long-lived one, and check every sample")]
struct Args {
    /// Turns of the other producers
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(6..))]
    turns: u64,
    /// Replace ours by a producer that never looks at the position and takes no claim: it jams the ring
    #[arg(long)]
    before: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Be one of the other producers: for each number read, publish the sample of that number into this pinned ring
    #[arg(long, hide = true, requires = "pin")]
    partner: Option<Partner>,
    #[arg(long, hide = true)]
    pin: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Partner {
    Libbpf,
    Ours,
    Send,
}

/// In this order they take turns. Their numbers as producers begin at 1; 0 is the long-lived one.
const PARTNERS: [Partner; 3] = [Partner::Libbpf, Partner::Ours, Partner::Send];

#[derive(Default, Serialize)]
struct Report {
    turns: u64,
    jams: u64,
    lost: u64,
    torn: u64,
    /// Turns of others that the long-lived producer noticed.
    noticed: u64,
    /// Turns that others could not take, since the ring was claimed.
    refused: u64,
}

fn main() -> ExitCode {
    let args = Args::parse();
    exit_code(match (args.partner, &args.pin) {
        (Some(partner), Some(pin)) => be(partner, pin).map(|()| true),
        _ => take_turns(&args),
    })
}

/// Bytes of sample number `sequence` of a producer.
fn sample(producer: u32, sequence: u64) -> Vec<u8> {
    let stamp = Stamp { producer, sequence };
    stamp.sample(stamp.len(LONGEST))
}

const LONGEST: usize = 200;

/// Publishes as libbpf does: reads the position, writes the record, and moves the position on.
fn publish_as_libbpf(raw: &RawRing, from: u64, sample: &[u8]) -> u64 {
    let end = raw.write_record(from, 0, sample);
    raw.set_producer_pos(end);
    end
}

/// One of the other producers: reads a number per line, and answers each with `sent` or `refused`.
fn be(partner: Partner, pin: &Path) -> anyhow::Result<()> {
    let map = Map::from_pin(pin)?;
    let raw = RawRing::new(&map);
    let number = 1 + u32::try_from(PARTNERS.iter().position(|one| *one == partner).unwrap_or(0))?;
    for line in std::io::stdin().lines() {
        let sample = sample(number, line?.parse()?);
        let sent = match partner {
            Partner::Libbpf => {
                publish_as_libbpf(&raw, raw.producer_pos(), &sample);
                true
            }
            Partner::Ours => match Mapping::new(&map) {
                Ok(mapping) => Producer::attach(mapping)?.push(&sample).map(|_| true)?,
                Err(MappingError::Claimed { holder: Some(_), .. }) => false,
                Err(error) => bail!(error),
            },
            Partner::Send => send(pin, &sample)?,
        };
        println!("{}", if sent { "sent" } else { "refused" });
    }
    Ok(())
}

/// Runs `send` with one sample.
fn send(pin: &Path, sample: &[u8]) -> anyhow::Result<bool> {
    let command = std::env::current_exe()?.with_file_name("command");
    let mut send = Command::new(&command)
        .args(["send", "--framing", "u32", "--pin"])
        .arg(pin)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("{}: is it built?", command.display()))?;
    let mut input = send.stdin.take().context("it has a standard input")?;
    let frame = [&u32::try_from(sample.len())?.to_ne_bytes()[..], sample].concat();
    // Where it refuses the ring it does not read.
    let _ = input.write_all(&frame);
    drop(input);
    let output = send.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    match output.status.code() {
        Some(0) => Ok(true),
        Some(1) if said.contains("claimed by") => Ok(false),
        _ => bail!("send ended with {}: {said}", output.status),
    }
}

/// A process that takes turns when told to.
struct Other {
    process: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    sent: u64,
}

impl Other {
    fn start(partner: Partner, pin: &Path) -> anyhow::Result<Self> {
        let name = partner.to_possible_value().context("every partner has a name")?;
        let mut process = Command::new(std::env::current_exe()?)
            .args(["--partner", name.get_name(), "--pin"])
            .arg(pin)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let orders = process.stdin.take();
        let answers = BufReader::new(process.stdout.take().context("it has a standard output")?);
        Ok(Self { process, orders, answers, sent: 0 })
    }

    /// Whether it published its next sample; otherwise it was refused.
    fn take_turn(&mut self) -> anyhow::Result<bool> {
        writeln!(self.orders.as_mut().context("it takes orders")?, "{}", self.sent)?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        ensure!(!answer.is_empty(), "another producer ended in the middle of its turn");
        let sent = answer == "sent\n";
        self.sent += u64::from(sent);
        Ok(sent)
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        drop(self.orders.take());
        let _ = self.process.wait();
    }
}

/// Publishes sample number `sequence` of the long-lived producer, each time in another way. Returns the producer, and
/// whether it noticed somebody first.
fn publish(mut producer: Producer<&Mapping>, sequence: u64) -> anyhow::Result<(Producer<&Mapping>, bool)> {
    let sample = sample(0, sequence);
    if sequence % 4 == 3 {
        let shared = producer.into_shared();
        let noticed = once_more(|| shared.push(&sample), || shared.resume().map(drop))?;
        return Ok((shared.into_producer(), noticed));
    }
    let publish = |producer: &mut Producer<_>| -> Result<Position, ReserveError> {
        match sequence % 3 {
            0 => producer.push(&sample),
            1 => {
                let mut batch = producer.batch();
                batch.push(&sample)?;
                batch.submit()
            }
            _ => {
                let mut detached = producer.reserve_detached(sample.len())?;
                detached.copy_from_slice(&sample);
                Ok(detached.submit())
            }
        }
    };
    let kept = RefCell::new(&mut producer);
    let noticed = once_more(|| publish(&mut kept.borrow_mut()), || kept.borrow_mut().resume().map(drop))?;
    Ok((producer, noticed))
}

/// Goes on behind another producer, if there was one. Whether there was.
fn once_more(
    publish: impl Fn() -> Result<Position, ReserveError>,
    resume: impl FnOnce() -> Result<(), AttachError>,
) -> anyhow::Result<bool> {
    match publish() {
        Ok(_) => Ok(false),
        Err(ReserveError::ForeignProducer { .. }) => {
            resume()?;
            publish()?;
            Ok(true)
        }
        Err(error) => bail!(error),
    }
}

fn take_turns(args: &Args) -> anyhow::Result<bool> {
    let map = ring(4096)?;
    let bpffs = Bpffs::mount();
    let pin = bpffs.path("ring");
    map.pin(&pin)?;
    let mut others = PARTNERS.iter().map(|partner| Other::start(*partner, &pin)).collect::<anyhow::Result<Vec<_>>>()?;
    let (mut drainer, mut tally) = (Drainer::new(&map, LONGEST)?, Tally::new(1 + PARTNERS.len()));
    let mut report = Report::default();
    let raw = RawRing::new(&map);
    let mut sent = 0;
    for claimed in [true, false] {
        let mapping = if claimed && !args.before {
            Mapping::new(&map)?
        } else {
            // SAFETY: this process has no other mapping of ours, and no other producer's turn overlaps with ours.
            unsafe { Mapping::unclaimed(&map)? }
        };
        let mut ours = if args.before { None } else { Some(Producer::attach(&mapping)?) };
        // What ours is compared with: it keeps its position to itself and never looks at the ring's.
        let mut blind = raw.producer_pos();
        for turn in 0..args.turns / 2 {
            let turned = (|| {
                let other = &mut others[usize::try_from(turn)? % PARTNERS.len()];
                report.refused += u64::from(!other.take_turn()?);
                // Sometimes what the other sent is drained before ours comes, sometimes both are in the ring.
                if turn / 3 % 2 == 0 {
                    drainer.drain(|sample| tally.note(sample))?;
                }
                match ours.take() {
                    None => blind = publish_as_libbpf(&raw, blind, &sample(0, sent)),
                    Some(producer) => {
                        let (producer, noticed) = publish(producer, sent)?;
                        ours = Some(producer);
                        report.noticed += u64::from(noticed);
                    }
                }
                sent += 1;
                drainer.drain(|sample| tally.note(sample))
            })();
            report.turns += 1;
            if let Err(error) = turned {
                eprintln!("turn {}: {error:#}", report.turns);
                report.jams += 1;
                break;
            }
        }
        if report.jams > 0 {
            break;
        }
    }
    let sent: Vec<u64> = std::iter::once(sent).chain(others.iter().map(|other| other.sent)).collect();
    let counts = tally.counts(&sent);
    (report.lost, report.torn) = (counts.lost, counts.torn);
    print(&report, args.json)?;
    if let Some(wrong) = tally.first_wrong() {
        eprintln!("the first fault: {wrong}");
    }
    Ok(report.jams == 0 && counts.is_clean() && report.noticed > 0 && report.refused > 0)
}
