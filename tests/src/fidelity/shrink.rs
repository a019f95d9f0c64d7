//! Finds a smaller case that shows the same difference, for people to read.

use user_ringbuf_sim::proof::Program;

use super::image::{Call, Case, Image, Start, Tail, Work};

/// Cases that are simpler than this one, the boldest first.
pub(super) fn simpler(case: &Case) -> Vec<Case> {
    let mut simpler = Vec::new();
    if case.start != Start::Offset(0) {
        simpler.push(Case { start: Start::Offset(0), ..case.clone() });
    }
    let with = |work| Case { work, ..case.clone() };
    match &case.work {
        Work::Drain(image, calls) => {
            simpler.extend(calls_of(calls).into_iter().map(|calls| with(Work::Drain(image.clone(), calls))));
            simpler.extend(images_of(image).into_iter().map(|image| with(Work::Drain(image, calls.clone()))));
        }
        Work::Repair(image) => simpler.extend(images_of(image).into_iter().map(|image| with(Work::Repair(image)))),
        Work::Produce(program) => simpler.extend(
            fewer(&program.operations)
                .into_iter()
                .map(|operations| with(Work::Produce(Program { operations, ..program.clone() }))),
        ),
    }
    simpler
}

/// One half or the other, or all but one.
fn fewer<T: Clone>(items: &[T]) -> Vec<Vec<T>> {
    let (front, back) = items.split_at(items.len() / 2);
    let halves = [front, back].map(<[T]>::to_vec).into_iter().filter(|half| half.len() > 1);
    halves.chain((0..items.len()).map(|n| [&items[..n], &items[n + 1..]].concat())).collect()
}

fn calls_of(calls: &[Call]) -> Vec<Vec<Call>> {
    let mut simpler = if calls.len() > 1 { fewer(calls) } else { vec![] };
    for (n, call) in calls.iter().enumerate() {
        for plain in [
            Call { nested: false, ..*call },
            Call { stop_after: 0, ..*call },
            Call { stop_after: call.stop_after.min(1), ..*call },
            Call { flags: 1, ..*call },
            Call { flags: 0, ..*call },
        ] {
            let mut calls = calls.to_vec();
            calls[n] = plain;
            // Of the flags, the one that wakes no waiter is the simplest, and none at all the next.
            if plain != *call && (call.flags != 1 || plain.flags == 1) {
                simpler.push(calls);
            }
        }
    }
    simpler
}

fn images_of(image: &Image) -> Vec<Image> {
    let pieces = &image.pieces;
    let mut simpler: Vec<_> = fewer(pieces).into_iter().map(|pieces| Image { pieces, tail: image.tail }).collect();
    // Shorter ones, and ones of zeros only.
    for (n, piece) in pieces.iter().enumerate() {
        let len = piece.bytes.len();
        for shorter in [8, len / 2, len.saturating_sub(8)] {
            if (1..len).contains(&shorter) {
                let mut image = image.clone();
                image.pieces[n].bytes.truncate(shorter);
                simpler.push(image);
            }
        }
        if len > 8 && piece.bytes[8..].iter().any(|byte| *byte != 0) {
            let mut image = image.clone();
            image.pieces[n].bytes[8..].fill(0);
            simpler.push(image);
        }
    }
    if let Tail::Ahead(ahead) = image.tail {
        let a_little = if ahead < 4096 { 8 } else { ahead / 8 };
        for nearer in [8, ahead / 2, ahead - a_little.min(ahead)].map(|ahead| ahead & !7) {
            if nearer < ahead {
                simpler.push(Image { tail: Tail::Ahead(nearer), ..image.clone() });
            }
        }
    }
    simpler
}
