//! A repair that dies itself.

use std::ops::ControlFlow;

use user_ringbuf_sim::{Crash, FakeKernel, KernelMemory, RingImage};
use user_ringbuf_sim::{Header, RingSize, repair};

use super::{Journal, Memory, SIZE, a_new_producer_goes_on, ring};

/// Rings that need a repair: what lies in them, and what of it must arrive in the end.
fn jams() -> Vec<(&'static str, RingImage, Vec<Vec<u8>>)> {
    let size = RingSize::new(SIZE).unwrap();
    let kept = |n: u8| vec![n; 9];
    let with = |start, words: &[Header]| {
        let mut image = RingImage::empty(size, start);
        image.append(Header::submitted(9), &kept(1));
        words.iter().for_each(|header| image.append(*header, &[0xbb; 24]));
        image.append(Header::submitted(9), &kept(2));
        image
    };
    let mut beyond = with(SIZE - 16, &[]);
    beyond.append(Header::submitted(9), &kept(3));
    beyond.write(8, &Header::busy(200).word().to_ne_bytes()).unwrap();
    let mut unaligned = with(64, &[Header::busy(24)]);
    unaligned.producer += 3;
    let mut far_ahead = RingImage::empty(size, 3 * SIZE);
    (0..4).for_each(|n| far_ahead.append(Header::submitted(56), &[n; 56]));
    let all = (0..4).map(|n| vec![n; 56]).collect();
    far_ahead.producer += 40 * SIZE;
    vec![
        ("a busy head", with(8, &[Header::busy(24)]), vec![kept(1), kept(2)]),
        ("busy in two places", with(SIZE - 40, &[Header::busy(24), Header::busy(24)]), vec![kept(1), kept(2)]),
        ("a length beyond the position", beyond, vec![kept(1)]),
        ("an unaligned position", unaligned, vec![kept(1), kept(2)]),
        ("a position beyond the ring", far_ahead, all),
    ]
}

#[test]
fn a_repair_that_dies_after_any_step_is_done_again_and_keeps_what_can_be_reached() {
    let mut pairs = 0;
    for (name, image, kept) in jams() {
        for drains_between in [false, true] {
            let all = Journal::new(Crash::never());
            // SAFETY: there is no producer.
            unsafe { repair(&Memory::new(&ring(&image), &all), |_| ()) }.unwrap();
            for k in 0..=all.crash.steps() {
                let memory = ring(&image);
                let journal = Journal::new(Crash::after(k));
                // SAFETY: as above.
                unsafe { repair(&Memory::new(&memory, &journal), |_| ()) }.unwrap();
                let kernel = FakeKernel::new(&memory);
                // A drain of a ring whose position is far ahead takes old bytes for records: a few are enough.
                let got = |most: usize| {
                    let mut got = vec![];
                    let drained = kernel.drain(0, |sample| {
                        got.push(sample.to_vec());
                        if got.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
                    });
                    (drained.returned, got)
                };
                let mut taken = if drains_between { got(1).1 } else { vec![] };
                // SAFETY: as above.
                unsafe { repair(&&memory, |_| ()) }.unwrap();
                let (returned, rest) = got(usize::MAX);
                assert!(returned.is_ok(), "{name}: {returned:?} after a repair that died at step {k}");
                taken.extend(rest);
                // What lies behind a lost end can't be told from an earlier lap, so there may be more.
                assert_eq!(taken[..kept.len()], kept, "{name}, repair dead at step {k}");
                assert!(taken.len() == kept.len() || name == "a position beyond the ring", "{name}: {taken:?}");
                assert_eq!(memory.kernel_load_consumer(), memory.kernel_load_producer(), "{name}: jammed");
                a_new_producer_goes_on(&memory);
                pairs += 1;
            }
        }
    }
    println!("{pairs} (jam, step) pairs of dying repairs, all clean");
    assert!(pairs > 50, "{pairs}");
}
