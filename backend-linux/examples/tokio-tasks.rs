//! A hundred tokio tasks share a ring of 4096 bytes, which is drained every 10 ms; then nobody drains, and all wait.
//!
//! ```sh
//! cargo run --release -p user-ringbuf-linux --features tokio --example tokio-tasks
//! ```
//!
//! Needs the right to load a BPF program, for the drain.

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use user_ringbuf_linux::{DrainError, DrainOptions, DrainProgram, Map, MapError, Mapping, Shared, TokioShared};

const TASKS: usize = 100;
const BUSY: Duration = Duration::from_secs(3);
const IDLE: Duration = Duration::from_secs(2);
const EVERY: Duration = Duration::from_millis(10);

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    match runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(run())) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            let map = matches!(error.downcast_ref(), Some(MapError::NotPermitted { .. } | MapError::Unsupported));
            let program = matches!(error.downcast_ref(), Some(DrainError::NotPermitted { .. }));
            ExitCode::from(if map || program { 2 } else { 1 })
        }
    }
}

async fn run() -> Result<bool, Box<dyn Error>> {
    let map = Map::create("tokio_tasks", 4096)?;
    let mut consumer = Consumer::new(&map)?;
    let ring = Arc::new(TokioShared::new(Shared::attach(Mapping::new(&map)?)?, &map)?);
    let over = Arc::new(AtomicBool::new(false));
    let tasks: Vec<_> = (0..TASKS).map(|task| tokio::spawn(send(task, Arc::clone(&ring), Arc::clone(&over)))).collect();

    let busy = Load::begin();
    let mut ticks = tokio::time::interval(EVERY);
    while busy.since.elapsed() < BUSY {
        ticks.tick().await;
        consumer.drain()?;
    }
    let busy = busy.share();
    let (least, most) = (consumer.received.iter().min().copied(), consumer.received.iter().max().copied());
    let gap = consumer.longest_gap();

    // Nobody drains: the ring fills up, and every task waits.
    let idle = Load::begin();
    tokio::time::sleep(IDLE).await;
    let idle = idle.share();

    over.store(true, Ordering::Relaxed);
    let mut sent = Vec::new();
    for task in tasks {
        while !task.is_finished() {
            ticks.tick().await;
            consumer.drain()?;
        }
        sent.push(task.await??);
    }
    while consumer.drain()? > 0 {}

    let lost: u64 = sent.iter().zip(&consumer.received).map(|(sent, received)| sent.abs_diff(*received)).sum();
    println!("samples sent:           {}", sent.iter().sum::<u64>());
    println!("lost or out of order:   {}", lost + consumer.wrong);
    println!("a task, least and most: {} and {}", least.unwrap_or(0), most.unwrap_or(0));
    println!("longest gap of a task:  {gap} drains");
    println!("CPU while sending:      {:.2} %", busy * 100.0);
    println!("CPU while all wait:     {:.2} %", idle * 100.0);
    Ok(lost + consumer.wrong == 0 && least.is_some_and(|least| least > 0))
}

/// Sends numbered samples, of another length in each task, until it is over. Says how many.
async fn send(
    task: usize,
    ring: Arc<TokioShared>,
    over: Arc<AtomicBool>,
) -> Result<u64, user_ringbuf_linux::AsyncError> {
    let mut sequence = 0_u64;
    while !over.load(Ordering::Relaxed) {
        let mut sample = ring.reserve(16 + task % 8 * 8).await?;
        sample[..8].copy_from_slice(&task.to_ne_bytes());
        sample[8..16].copy_from_slice(&sequence.to_ne_bytes());
        sample.submit();
        sequence += 1;
    }
    Ok(sequence)
}

/// Drains, and counts each task's samples, which have to come in order.
struct Consumer {
    program: DrainProgram,
    received: Vec<u64>,
    wrong: u64,
    drains: u64,
    /// The drain that brought each task's last sample.
    last: Vec<u64>,
    gap: u64,
}

impl Consumer {
    fn new(map: &Map) -> Result<Self, DrainError> {
        // A drain takes what is in the ring, and what tasks add meanwhile: room for a few rings full.
        let program = DrainProgram::load(map, 1 << 20)?;
        Ok(Self { program, received: vec![0; TASKS], wrong: 0, drains: 0, last: vec![0; TASKS], gap: 0 })
    }

    /// How many drains a task has had to wait for its next sample to come, at most.
    fn longest_gap(&self) -> u64 {
        self.last.iter().map(|last| self.drains - last).max().unwrap_or(0).max(self.gap)
    }

    fn drain(&mut self) -> Result<u32, Box<dyn Error>> {
        let drained = self.program.run(&DrainOptions::new())?;
        self.drains += 1;
        self.wrong += u64::from(drained.unlogged());
        for sample in drained.samples() {
            let mut words = sample.chunks_exact(8).map(|word| word.try_into().map(u64::from_ne_bytes));
            let (Some(Ok(task)), Some(Ok(sequence))) = (words.next(), words.next()) else {
                self.wrong += 1;
                continue;
            };
            let task = usize::try_from(task)?;
            let (Some(received), Some(last)) = (self.received.get_mut(task), self.last.get_mut(task)) else {
                self.wrong += 1;
                continue;
            };
            self.gap = self.gap.max(self.drains - *last);
            *last = self.drains;
            self.wrong += u64::from(*received != sequence);
            *received += 1;
        }
        Ok(drained.returned()?)
    }
}

/// CPU time of the process against time on the clock.
struct Load {
    cpu: Duration,
    since: Instant,
}

impl Load {
    fn begin() -> Self {
        Self { cpu: Self::cpu(), since: Instant::now() }
    }

    fn cpu() -> Duration {
        Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default()
    }

    fn share(&self) -> f64 {
        (Self::cpu() - self.cpu).as_secs_f64() / self.since.elapsed().as_secs_f64()
    }
}
