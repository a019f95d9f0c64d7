//! What went in against what came out, and a name for each way in which they may differ.

use crate::loom::{STALE_BYTE, STALE_LEN};

/// Panics unless the samples `taken` are exactly those that were `sent`, byte for byte and in order.
#[track_caller]
pub(super) fn same<S: AsRef<[u8]>>(taken: &[Vec<u8>], sent: &[S]) {
    prefix(taken, sent);
    assert!(taken.len() == sent.len(), "lost sample: {} of {} came out", taken.len(), sent.len());
}

/// Panics unless the samples `taken` are the first of those that were `sent`.
#[track_caller]
pub(super) fn prefix<S: AsRef<[u8]>>(taken: &[Vec<u8>], sent: &[S]) {
    for (index, got) in taken.iter().enumerate() {
        let Some(want) = sent.get(index) else {
            let (got, count) = (got.escape_ascii(), sent.len());
            panic!("invented sample: \"{got}\" came out after all {count} that were sent");
        };
        let want = want.as_ref();
        if got != want {
            let harm = difference(got, want);
            panic!("{harm}: sample {index} came out as \"{}\", not \"{}\"", got.escape_ascii(), want.escape_ascii());
        }
    }
}

fn difference(got: &[u8], want: &[u8]) -> &'static str {
    if got.len() == want.len() {
        "torn sample"
    } else if got.len() == STALE_LEN as usize && got.iter().all(|byte| *byte == STALE_BYTE) {
        "stale header"
    } else {
        "lost sample"
    }
}

/// As [`same`], for samples that may come in any order.
#[track_caller]
pub(super) fn same_in_any_order(taken: &[Vec<u8>], sent: &[&[u8]]) {
    let mut expected: Vec<&[u8]> = sent.to_vec();
    // Those that did come out, in the order in which they did, and then what did not.
    expected.sort_by_key(|want| taken.iter().position(|got| got == want).unwrap_or(usize::MAX));
    same(taken, &expected);
}
