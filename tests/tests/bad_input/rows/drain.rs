//! The drain program.

use std::time::Duration;

use user_ringbuf_linux::{DrainOptions, DrainProgram, MAX_LOG, WakeupFlags};

use user_ringbuf_kit::interpreter::without_jit;
use user_ringbuf_kit::rights::without_rights;

use crate::answer::Answer;
use crate::row::{Row, answers, row};

pub(crate) fn rows() -> Vec<Row> {
    let load = "DrainProgram::{load, load_troublesome}";
    let run = "DrainProgram::run";
    vec![
        row(load, "a log of 256 MiB + 1, of `usize::MAX`").is("DrainError::LogTooLarge", "limit is 268435456").on_ring(
            |tried| {
                let map = &tried.ring.map;
                let logs = [MAX_LOG + 1, usize::MAX, DrainProgram::log_bytes(usize::MAX, usize::MAX)];
                let loads = logs.map(|log| [DrainProgram::load(map, log), DrainProgram::load_troublesome(map, log)]);
                loads.into_iter().flatten().map(Answer::of).collect()
            },
        ),
        row(load, "anything, without rights").is("DrainError::NotPermitted", "needs CAP_BPF").on_ring(|tried| {
            let map = &tried.ring.map;
            without_rights(|| {
                answers![
                    DrainProgram::load(map, 0),
                    DrainProgram::load(map, 4096),
                    DrainProgram::load_troublesome(map, 4096),
                ]
            })
        }),
        row(load, "anything, where the BPF JIT is off").is("DrainError::NoJit", "needs the kernel's BPF JIT").on_ring(
            |tried| {
                let map = &tried.ring.map;
                let loads = without_jit(|| [DrainProgram::load(map, 0), DrainProgram::load_troublesome(map, 4096)]);
                loads.map(Answer::of).into()
            },
        ),
        row(run, "a delay or a nested drain of a plain program")
            .is("DrainError::NotTroublesome", "load_troublesome")
            .on_ring(|tried| {
                let mut program = DrainProgram::load(&tried.ring.map, 0).unwrap();
                let options = [DrainOptions::new().delay(Duration::from_nanos(1)), DrainOptions::new().nested(true)];
                options.map(|options| Answer::of(program.run(&options))).into()
            }),
        row(run, "a delay longer than `MAX_DELAY`, the longest `Duration`")
            .is("DrainError::DelayTooLong", "the limit is 20ms")
            .on_ring(|tried| {
                let mut program = DrainProgram::load_troublesome(&tried.ring.map, 0).unwrap();
                let delays = [DrainOptions::MAX_DELAY + Duration::from_nanos(1), Duration::MAX];
                delays.map(|delay| Answer::of(program.run(&DrainOptions::new().delay(delay)))).into()
            }),
        row("Drained::returned", "unknown wakeup flags: 4, 2^31, 2^64 - 1").is("Errno", "Invalid argument").on_ring(
            |tried| {
                let mut program = DrainProgram::load(&tried.ring.map, 0).unwrap();
                let flags = [4, 1 << 31, u64::MAX].map(|flags| DrainOptions::new().wakeup(WakeupFlags(flags)));
                flags.map(|options| Answer::of(program.run(&options).unwrap().returned())).into()
            },
        ),
    ]
}
