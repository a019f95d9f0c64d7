//! Programs by the thousand, and the proof that a wrong ring would be noticed.

#![expect(unsafe_code, reason = "runs a program on a bench that lies")]

use fastrand::Rng;
use user_ringbuf_core::RingSize;

use super::*;
use crate::kernel::FakeKernel;
use crate::memory::{HeapMemory, RawAccess, RingImage};

/// A program made of random bytes, as a fuzzer makes them.
fn random_program(rng: &mut Rng, len: usize) -> Program {
    let bytes: Vec<u8> = std::iter::repeat_with(|| rng.u8(..)).take(len).collect();
    Program::decode(&bytes).expect("long enough for a head")
}

fn check(program: &Program) -> Totals {
    run_on_heap(program).unwrap_or_else(|_| {
        let shrunk = shrunk(program.clone());
        panic!("{}\n{shrunk}", run_on_heap(&shrunk).unwrap_err());
    })
}

/// The program without those operations that it does not need to fail, from the last one on.
fn shrunk(mut program: Program) -> Program {
    for at in (0..program.operations.len()).rev() {
        let operation = program.operations.remove(at);
        if run_on_heap(&program).is_ok() {
            program.operations.insert(at, operation);
        }
    }
    program
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
        run_on(&program, &mut memory).unwrap_or_else(|why| panic!("{why}\n{program}"));
    }
}

#[test]
fn a_ring_that_loses_delays_or_changes_a_sample_is_noticed() {
    /// A bench that lies about one thing.
    struct Liar<'m> {
        inner: FakeKernel<&'m HeapMemory>,
        lie: usize,
    }
    impl Bench for Liar<'_> {
        fn drain(&mut self, flags: u64, stop_after: Option<u32>) -> DrainResult {
            let mut output = Bench::drain(&mut self.inner, flags, stop_after);
            match self.lie {
                1 => drop(output.samples.pop()),
                2 => output.samples.iter_mut().for_each(|sample| sample.iter_mut().take(1).for_each(|byte| *byte ^= 1)),
                3 => output.samples.reverse(),
                4 => output.returned = output.returned.map(|samples| samples + 1),
                5 => output.woke = !output.woke,
                _ => {}
            }
            output
        }
        fn snapshot(&self) -> RingImage {
            let mut image = self.inner.snapshot();
            if self.lie == 6 && image.producer != image.consumer {
                let byte = image.read(8, 1).unwrap()[0];
                image.write(8, &[byte ^ 1]).unwrap();
            }
            image
        }
        fn positions(&self) -> (u64, u64) {
            let (consumer, producer) = self.inner.positions();
            (consumer + u64::from(self.lie == 7) * 8, producer + u64::from(self.lie == 8) * 8)
        }
        unsafe fn damage(&mut self, damage: Tampering) -> bool {
            // SAFETY: the caller's promise is passed on.
            unsafe { self.inner.damage(damage) }
        }
    }
    let operations =
        [Operation::Push { len: 5 }, Operation::Push { len: 6 }, Operation::Drain { flags: 0, stop_after: None }];
    let program = Program::new(64, 0, operations);
    for lie in 0..9 {
        let mut memory = HeapMemory::new(64).unwrap();
        memory.restore(&stale_ring(program.size, 0)).unwrap();
        let mut liar = Liar { inner: FakeKernel::new(&memory), lie };
        // SAFETY: the memory is this round's own, and it lends no slices.
        let ran = unsafe { run(&program, &memory, &mut liar) };
        assert_eq!(ran.is_ok(), lie == 0, "lie {lie}: {ran:?}");
    }
}
