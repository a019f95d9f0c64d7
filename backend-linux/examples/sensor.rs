//! A program as a user would write it: a sensor that publishes readings of 40 bytes through a pinned ring.
//!
//! The [`Sensor`] owns its producer and moves into a thread. Where the ring is full it waits for room. When the pin leads to
//! another ring, as after the BPF program's loader was started anew, it goes over to that one. It ends when another thread
//! says so, also while it waits. The rest of this file plays the loader and the BPF program, and checks that every reading
//! arrives.
//!
//! ```sh
//! cargo build --release -p user-ringbuf-linux --example sensor
//! sudo target/release/examples/sensor                          # on a bpffs of its own
//! sudo target/release/examples/sensor --pin /sys/fs/bpf/ring   # at this path, where nothing is yet
//! ```

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use user_ringbuf_linux::{
    BlockingError, Canceller, DrainOptions, DrainProgram, EpollWaiter, Map, Mapping, Producer, Recheck,
};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What is published.
struct Reading {
    number: u64,
    /// Nanoseconds since the sensor began.
    at: u64,
    temperature: f64,
    pressure: f64,
    humidity: f64,
}

impl Reading {
    const LEN: usize = 40;

    fn take(number: u64, began: Instant) -> Self {
        let at = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        Self { number, at, temperature: 293.15, pressure: 101_325.0, humidity: 0.5 }
    }

    fn to_bytes(&self) -> [u8; Self::LEN] {
        let words =
            [self.number, self.at, self.temperature.to_bits(), self.pressure.to_bits(), self.humidity.to_bits()];
        let mut bytes = [0; Self::LEN];
        for (to, word) in bytes.chunks_exact_mut(8).zip(words) {
            to.copy_from_slice(&word.to_ne_bytes());
        }
        bytes
    }
}

/// How long a full ring is taken for one that is drained, until the sensor looks where the pin leads.
const PATIENCE: Duration = Duration::from_millis(20);

/// Publishes readings into the ring that is pinned at a path, whichever that is.
struct Sensor {
    pin: PathBuf,
    stop: Canceller,
    map: Map,
    waiter: EpollWaiter,
    producer: Producer<Mapping>,
}

impl Sensor {
    /// Opens the ring. `stop` ends the sensor from another thread.
    fn open(pin: &Path, stop: &Canceller) -> Result<Self, Failure> {
        let map = Map::from_pin(pin)?;
        let waiter = EpollWaiter::cancelled_by(&map, Recheck::default(), stop.try_clone()?)?;
        let producer = Producer::attach(Mapping::new(&map)?)?;
        println!("the sensor publishes into ring {}", map.id());
        Ok(Self { pin: pin.to_owned(), stop: stop.try_clone()?, map, waiter, producer })
    }

    /// Publishes readings until it is stopped. Returns how many.
    fn run(mut self) -> Result<u64, Failure> {
        let began = Instant::now();
        let mut number = 0;
        while self.publish(&Reading::take(number, began))? {
            number += 1;
        }
        Ok(number)
    }

    /// Publishes a reading as soon as there is room. Returns `false` if the sensor was stopped meanwhile.
    fn publish(&mut self, reading: &Reading) -> Result<bool, Failure> {
        loop {
            match self.producer.push_blocking(&reading.to_bytes(), &mut self.waiter, Some(PATIENCE)) {
                Ok(_) => return Ok(true),
                Err(BlockingError::Cancelled) => return Ok(false),
                // Nothing drains the ring: perhaps it is no longer the one that matters.
                Err(BlockingError::TimedOut { .. }) => self.follow_the_pin()?,
                Err(why) => return Err(why.into()),
            }
        }
    }

    /// Opens the ring to which the pin leads, if that is another one. What the old ring holds stays there.
    fn follow_the_pin(&mut self) -> Result<(), Failure> {
        // A loader that unpins before it pins leaves nothing there for a moment. Then it is time to look again later.
        if !self.map.is_pinned_at(&self.pin)? && self.pin.exists() {
            *self = Self::open(&self.pin, &self.stop)?;
        }
        Ok(())
    }
}

/// Readings that each ring takes.
const READINGS: u64 = 1000;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let done = match (arguments.next(), arguments.next()) {
        (None, _) => Bpffs::mount().and_then(|bpffs| run(&bpffs.path.join("ring"))),
        (Some(flag), Some(pin)) if flag == "--pin" => run(Path::new(&pin)),
        _ => Err("usage: sensor [--pin PATH]".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sensor: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Plays the loader and the BPF program.
fn run(pin: &Path) -> Result<(), Failure> {
    let mut first = Consumer::new()?;
    first.map.pin(pin)?;
    let _unpinned = Unpinned(pin);

    let stop = Canceller::new()?;
    let sensor = Sensor::open(pin, &stop)?;
    let sensor = std::thread::spawn(move || sensor.run().inspect_err(|error| eprintln!("the sensor failed: {error}")));

    let mut next = 0;
    first.receive(&mut next, READINGS, &sensor)?;

    // The loader is started anew: its ring takes the place of the first, in one step.
    let mut second = Consumer::new()?;
    let new = pin.with_file_name("new_ring");
    second.map.pin(&new)?;
    std::fs::rename(&new, pin)?;
    println!("the pin leads to ring {}", second.map.id());

    // Nothing drains the first ring, so it fills, and the sensor looks where the pin leads.
    let mut in_second = second.wait_for_the_first(&sensor)?;
    first.receive(&mut next, in_second, &sensor)?;
    println!("ring {}: {next} readings", first.map.id());
    in_second += 1;
    second.receive(&mut in_second, next + READINGS, &sensor)?;

    // Nothing drains the second ring either now: the sensor waits for room until it is told to end.
    std::thread::sleep(2 * PATIENCE);
    stop.cancel()?;
    let published = sensor.join().map_err(|_| "the sensor panicked")??;
    let mut received = in_second;
    second.drain(&mut received)?;
    println!("ring {}: {} readings", second.map.id(), received - next);
    if received != published {
        return Err(format!("{published} readings were published, and {received} received").into());
    }
    println!("the sensor was stopped: {published} readings of {} bytes, all received, in order", Reading::LEN);
    Ok(())
}

/// A ring, and a BPF program that drains it.
struct Consumer {
    map: Map,
    program: DrainProgram,
}

impl Consumer {
    fn new() -> Result<Self, Failure> {
        let map = Map::create("readings", 4096)?;
        let program = DrainProgram::load(&map, 64 * 1024)?;
        Ok(Self { map, program })
    }

    /// Drains, checks that readings from number `next` on came, and counts them.
    fn drain(&mut self, next: &mut u64) -> Result<(), Failure> {
        let drained = self.program.run(&DrainOptions::new())?;
        drained.returned()?;
        for sample in drained.samples() {
            if sample.len() != Reading::LEN || number(sample) != Some(*next) {
                return Err(format!("reading {next} came as {sample:?}").into());
            }
            *next += 1;
        }
        Ok(())
    }

    /// Drains until all readings before number `end` came, at least.
    fn receive(&mut self, next: &mut u64, end: u64, sensor: &JoinHandle<Result<u64, Failure>>) -> Result<(), Failure> {
        while *next < end {
            running(sensor)?;
            self.drain(next)?;
        }
        Ok(())
    }

    /// Waits for the first reading, and returns its number.
    fn wait_for_the_first(&mut self, sensor: &JoinHandle<Result<u64, Failure>>) -> Result<u64, Failure> {
        loop {
            running(sensor)?;
            let drained = self.program.run(&DrainOptions::new().stop_after(1))?;
            drained.returned()?;
            match drained.samples().next() {
                Some(sample) => return Ok(number(sample).ok_or("a reading without a number")?),
                None => std::thread::sleep(Duration::from_millis(1)),
            }
        }
    }
}

fn number(sample: &[u8]) -> Option<u64> {
    sample.first_chunk().map(|bytes| u64::from_ne_bytes(*bytes))
}

fn running(sensor: &JoinHandle<Result<u64, Failure>>) -> Result<(), Failure> {
    if sensor.is_finished() { Err("the sensor ended by itself".into()) } else { Ok(()) }
}

/// Removes the pin in the end.
struct Unpinned<'a>(&'a Path);

impl Drop for Unpinned<'_> {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(self.0);
    }
}

/// A bpffs in a directory of its own, which goes in the end.
struct Bpffs {
    path: PathBuf,
}

impl Bpffs {
    fn mount() -> Result<Self, Failure> {
        let path = std::env::temp_dir().join(format!("user-ringbuf-sensor-{}", std::process::id()));
        std::fs::create_dir(&path)?;
        let bpffs = Self { path };
        mount("bpf", &bpffs.path, "bpf", MountFlags::empty(), None)?;
        Ok(bpffs)
    }
}

impl Drop for Bpffs {
    fn drop(&mut self) {
        // Fails if it was not mounted.
        let _ = unmount(&self.path, UnmountFlags::DETACH);
        let _ = std::fs::remove_dir(&self.path);
    }
}
