//! The drain program.

use std::time::Duration;

use user_ringbuf_linux::{DrainOptions, DrainProgram, MAX_LOG, WakeupFlags};

use user_ringbuf_kit::interpreter::without_jit;

use crate::answer::Answer;
use crate::nobody;
use crate::row::{Row, as_nobody, on_ring};

pub(crate) fn rows() -> Vec<Row> {
    let load = "DrainProgram::{load, load_troublesome}";
    let run = "DrainProgram::run";
    vec![
        on_ring(
            load,
            "a log of 256 MiB + 1, of `usize::MAX`",
            "DrainError::LogTooLarge",
            "limit is 268435456",
            |tried| {
                let map = &tried.ring.map;
                let logs = [MAX_LOG + 1, usize::MAX, DrainProgram::log_bytes(usize::MAX, usize::MAX)];
                let loads = logs.map(|log| [DrainProgram::load(map, log), DrainProgram::load_troublesome(map, log)]);
                loads.into_iter().flatten().map(Answer::of).collect()
            },
        ),
        as_nobody(load, "anything, without rights", "DrainError::NotPermitted", "needs CAP_BPF", || {
            let map = nobody::map().unwrap();
            vec![
                Answer::of(DrainProgram::load(&map, 0)),
                Answer::of(DrainProgram::load(&map, 4096)),
                Answer::of(DrainProgram::load_troublesome(&map, 4096)),
            ]
        }),
        on_ring(
            load,
            "anything, where the BPF JIT is off",
            "DrainError::NoJit",
            "needs the kernel's BPF JIT",
            |tried| {
                let map = &tried.ring.map;
                let loads = without_jit(|| [DrainProgram::load(map, 0), DrainProgram::load_troublesome(map, 4096)]);
                loads.map(Answer::of).into()
            },
        ),
        on_ring(
            run,
            "a delay or a nested drain of a plain program",
            "DrainError::NotTroublesome",
            "load_troublesome",
            {
                |tried| {
                    let mut program = DrainProgram::load(&tried.ring.map, 0).unwrap();
                    let delayed = DrainOptions::new().delay(Duration::from_nanos(1));
                    let delayed = Answer::of(program.run(&delayed));
                    vec![delayed, Answer::of(program.run(&DrainOptions::new().nested(true)))]
                }
            },
        ),
        on_ring(
            run,
            "a delay longer than `MAX_DELAY`, the longest `Duration`",
            "DrainError::DelayTooLong",
            "the limit is 20ms",
            |tried| {
                let mut program = DrainProgram::load_troublesome(&tried.ring.map, 0).unwrap();
                let delays = [DrainOptions::MAX_DELAY + Duration::from_nanos(1), Duration::MAX];
                delays.map(|delay| Answer::of(program.run(&DrainOptions::new().delay(delay)))).into()
            },
        ),
        on_ring("Drained::returned", "unknown wakeup flags: 4, 2^31, 2^64 - 1", "Errno", "Invalid argument", |tried| {
            let mut program = DrainProgram::load(&tried.ring.map, 0).unwrap();
            let flags = [4, 1 << 31, u64::MAX].map(|flags| DrainOptions::new().wakeup(WakeupFlags(flags)));
            flags.map(|options| Answer::of(program.run(&options).unwrap().returned())).into()
        }),
    ]
}
