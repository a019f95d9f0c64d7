//! The ordering table: each ordering weakened in turn, and which model notices.
//!
//! A role whose weakening nothing catches is not needed, and should be relaxed in the core; or it is not tested, and a
//! model is missing. The controls show that the models fail for no other reason: they pass unweakened, and with any one
//! role made stronger.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::thread;

use user_ringbuf_core::Role;

use super::finding::{Ending, Finding};
use super::models::{self, Depth, Model};
use crate::Orderings;

/// What is different from the protocol's orderings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing.
    Unchanged,
    /// This role is relaxed.
    Weakened(Role),
    /// This role is sequentially consistent.
    Strengthened(Role),
}

impl Change {
    /// The orderings with this change.
    pub const fn orderings(self) -> Orderings {
        match self {
            Self::Unchanged => Orderings::of_the_protocol(),
            Self::Weakened(role) => Orderings::weakened(role),
            Self::Strengthened(role) => Orderings::strengthened(role),
        }
    }
}

/// What came of one change.
#[derive(Clone, Debug)]
pub struct Row {
    /// The change.
    pub change: Change,
    /// Which model failed, and how; `None` if every model passed.
    pub found: Option<(&'static Model, Finding)>,
    /// Interleavings seen by all models that passed together.
    pub interleavings: u64,
}

impl Row {
    /// Whether a weakening was caught, or every model passed with any other change.
    pub fn is_as_it_must_be(&self) -> bool {
        self.found.is_some() == matches!(self.change, Change::Weakened(_))
    }
}

/// What is tried with these roles: each that needs an ordering weakened, and as controls nothing changed and each role
/// strengthened. The longest come first, so that workers end at about the same time.
pub(super) fn changes(roles: &[Role]) -> Vec<Change> {
    let weakened = roles.iter().filter(|role| role.is_ordered()).map(|role| Change::Weakened(*role));
    let strengthened = roles.iter().map(|role| Change::Strengthened(*role));
    [Change::Unchanged].into_iter().chain(weakened).chain(strengthened).collect()
}

/// Weakens and strengthens each of `roles`. `run` runs one model, in a process of its own
/// ([`run_alone`](super::run_alone)), and is called from up to `workers` threads at once.
///
/// The models run to their full [`Depth`] with the protocol's own orderings, and with a weakened one that no quick run
/// has caught; quickly with a strengthened one.
///
/// # Errors
/// The first error of `run`.
pub fn check<E: Send>(
    roles: &[Role],
    workers: usize,
    run: impl Fn(&'static Model, Change, Depth) -> Result<Ending, E> + Sync,
) -> Result<Vec<Row>, E> {
    let until_caught = |change| {
        let depths: &[Depth] = match change {
            Change::Unchanged => &[Depth::Full],
            Change::Strengthened(_) => &[Depth::Quick],
            Change::Weakened(_) => &[Depth::Quick, Depth::Full],
        };
        let mut row = Row { change, found: None, interleavings: 0 };
        for (&depth, &model) in depths.iter().flat_map(|depth| models::ALL.iter().map(move |model| (depth, model))) {
            match run(model, change, depth)? {
                Ending::Passed { interleavings } => row.interleavings += interleavings,
                Ending::Caught(finding) => {
                    row.found = Some((model, finding));
                    break;
                }
            }
        }
        Ok(row)
    };
    in_parallel(changes(roles), workers, until_caught).into_iter().collect()
}

/// Does all jobs on a few threads; the results are in the order of the jobs.
fn in_parallel<J: Send, R: Send>(jobs: Vec<J>, workers: usize, work: impl Fn(J) -> R + Sync) -> Vec<R> {
    let (jobs, done) = (Mutex::new(jobs.into_iter().enumerate()), Mutex::new(BTreeMap::new()));
    thread::scope(|scope| {
        for _ in 0..workers.max(1) {
            scope.spawn(|| {
                loop {
                    let job = jobs.lock().expect("no panic").next();
                    let Some((number, job)) = job else { return };
                    let result = work(job);
                    done.lock().expect("no panic").insert(number, result);
                }
            });
        }
    });
    done.into_inner().expect("no panic").into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weakening_that_nothing_notices_and_a_control_that_fails_are_not_as_they_must_be() {
        let role = Role::PublishProducer;
        let caught = Ending::Caught(Finding { how: "lost sample".into(), detail: "1 of 2 came out".into() });
        for (ending, wrong) in [
            (Ending::Passed { interleavings: 3 }, vec![Change::Weakened(role)]),
            (caught, vec![Change::Unchanged, Change::Strengthened(role)]),
        ] {
            let rows = check::<()>(&[role], 2, |_, _, _| Ok(ending.clone())).unwrap();
            let found = rows.iter().filter(|row| !row.is_as_it_must_be()).map(|row| row.change);
            assert!(found.eq(wrong), "{rows:?}");
        }
        assert_eq!(check(&[role], 1, |_, _, _| Err("no process")).unwrap_err(), "no process");
    }
}
