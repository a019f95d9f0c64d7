//! Programs by the thousand, and the proof that a wrong ring would be noticed.

#![expect(unsafe_code, reason = "runs a program on a bench that lies")]

use fastrand::Rng;
use user_ringbuf_core::RingSize;

use super::*;
use crate::memory::{HeapMemory, RawAccess, RingImage};

pub(super) fn bytes(rng: &mut Rng, count: usize) -> Vec<u8> {
    std::iter::repeat_with(|| rng.u8(..)).take(count).collect()
}

/// A program made of random bytes, as a fuzzer makes them.
fn random_program(rng: &mut Rng, len: usize) -> Program {
    loop {
        if let Ok((program, _)) = Program::decode_prefix(&bytes(rng, len)) {
            return program;
        }
    }
}

fn check(program: &Program) -> Totals {
    run_on_heap(program).unwrap_or_else(|_| {
        let shrunk = program.shrunk(|program| run_on_heap(program).is_err());
        panic!("{}\n{shrunk}", run_on_heap(&shrunk).unwrap_err());
    })
}

#[test]
fn any_legal_program_on_any_ring_goes_as_the_model_says() {
    let mut rng = Rng::with_seed(20_221_211);
    let mut sum = Totals::default();
    for _ in 0..6000 {
        sum += check(&random_program(&mut rng, 120).without_damage());
    }
    println!("{sum:?}");
    assert!(sum.compared >= sum.operations, "every operation is compared: {sum:?}");
    assert!(sum.submitted > 20_000 && sum.drained > 10_000 && sum.refused > 10_000 && sum.repairs > 1000, "{sum:?}");
}

#[test]
fn damage_leads_to_errors_at_most_and_a_repaired_ring_goes_as_the_model_says() {
    let mut rng = Rng::with_seed(7);
    let mut sum = Totals::default();
    for _ in 0..6000 {
        let mut program = random_program(&mut rng, 80);
        // So that every third operation damages, and every tenth repairs.
        for i in (2..program.operations.len()).step_by(3) {
            let damage = match rng.u32(..4) {
                0 => Tampering::Producer([8, -8, 3, 64, 1 << 40, i64::MIN][rng.usize(..6)]),
                1 => Tampering::Consumer([8, -8, 64, 1 << 40][rng.usize(..4)]),
                _ => {
                    Tampering::Header { offset: rng.u32(..100), word: rng.u32(..) & [u32::MAX, 63, 0x8000_003f][i % 3] }
                }
            };
            program.operations[i] = Operation::Tamper(damage);
        }
        for i in (9..program.operations.len()).step_by(10) {
            program.operations[i] = Operation::Repair;
        }
        sum += check(&program);
    }
    println!("{sum:?}");
    assert!(sum.compared > 5000 && sum.repairs > 5000 && sum.drained > 5000, "{sum:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_mirrored_ring_goes_as_the_model_says() {
    let mut rng = Rng::with_seed(3);
    let mut memory = crate::SimMemory::new(65536).unwrap();
    for _ in 0..300 {
        let mut program = random_program(&mut rng, 200).without_damage();
        program.size = RingSize::new(65536).unwrap();
        run_on(&program, &mut memory, None).unwrap_or_else(|why| panic!("{why}\n{program}"));
    }
}

#[test]
fn a_ring_of_another_size_than_the_programs_is_an_error() {
    let program: Program = "ring 64 from 0\npush 1".parse().unwrap();
    let error = run_on(&program, &mut HeapMemory::new(32).unwrap(), None).unwrap_err();
    assert!(error.to_string().contains("an image of 64 bytes for a ring of 32 bytes"), "{error}");
}

/// Which of many random programs notice this fault first.
fn programs_until_noticed(fault: Fault, program: impl Fn(&mut Rng) -> Program) -> Option<usize> {
    let mut rng = Rng::with_seed(11);
    (0..2000).find(|_| {
        let program = program(&mut rng);
        let mut memory = HeapMemory::new(program.size.bytes_u64()).unwrap();
        run_on(&program, &mut memory, Some(fault)).is_err()
    })
}

#[test]
fn faults_that_show_on_legal_rings_are_noticed_within_a_few_programs() {
    // The others need a damaged ring, a ring beyond 16 MiB, or 131,072 records in one.
    let noticed = programs_until_noticed(Fault::Rounding, |rng| random_program(rng, 60).without_damage());
    assert!(noticed.is_some_and(|programs| programs < 100), "{noticed:?}");
}

#[test]
fn a_ring_that_loses_delays_or_changes_a_sample_is_noticed() {
    /// A bench that lies about one thing.
    struct Liar<'m> {
        inner: SimBench<'m, HeapMemory>,
        lie: usize,
    }
    impl Bench for Liar<'_> {
        fn drain(&mut self, flags: u64, stop_after: Option<u32>) -> DrainResult {
            let mut output = self.inner.drain(flags, stop_after);
            match self.lie {
                1 => drop(output.samples.pop()),
                2 => output.samples.iter_mut().for_each(|sample| sample.iter_mut().take(1).for_each(|byte| *byte ^= 1)),
                3 => output.samples.reverse(),
                4 => output.returned = output.returned.map(|samples| samples + 1),
                5 => output.woke = output.woke.map(|woke| !woke),
                6 => output.woke = None,
                _ => {}
            }
            output
        }
        fn snapshot(&self) -> RingImage {
            let mut image = self.inner.snapshot();
            if self.lie == 7 && image.producer != image.consumer {
                let byte = image.read(8, 1).unwrap()[0];
                image.write(8, &[byte ^ 1]).unwrap();
            }
            image
        }
        fn positions(&self) -> (u64, u64) {
            let (consumer, producer) = self.inner.positions();
            (consumer + u64::from(self.lie == 8) * 8, producer + u64::from(self.lie == 9) * 8)
        }
        fn damage(&mut self, damage: Tampering) -> bool {
            self.inner.damage(damage)
        }
    }
    let program: Program = "ring 64 from 0\npush 5\npush 6\ndrain flags=0 stop=none".parse().unwrap();
    for lie in 0..10 {
        let mut memory = HeapMemory::new(64).unwrap();
        memory.restore(&stale_ring(program.size, 0)).unwrap();
        // SAFETY: the memory is this round's own, and it lends no slices.
        let ran = unsafe { run(&program, &memory, &mut Liar { inner: SimBench::new(&memory, None), lie }) };
        // No lie, and not to know whether a drain woke, are in order.
        assert_eq!(ran.is_ok(), [0, 6].contains(&lie), "lie {lie}: {ran:?}");
    }
}

#[test]
fn a_producer_that_dies_within_any_operation_of_a_program_leaves_what_the_model_says() {
    let operations = [
        "push 13",
        "sample 24 write 3 5 len=7",
        "batch 5 8 0 submit",
        "detach 1 16",
        "finish 0 len=3",
        "lane 1 24",
        "lane-sample 2 8 submit",
        "close 2",
    ];
    for producer in ["exclusive", "shared"] {
        for operation in operations {
            for after in 0..30 {
                let program = format!(
                    "ring 256 from 200\nattach {producer}\npush 9\ndetach 0 24\nlane 2 48\n\
                     crash {after}\n{operation}\ndrain flags=0 stop=none\npush 100\ndrain flags=0 stop=none"
                );
                check(&program.parse().unwrap());
            }
        }
    }
}
