//! The ordering table: each ordering weakened in turn, and which model notices.
//!
//! A role whose weakening nothing catches is not needed, and should be relaxed in the core; or it is not tested, and a
//! model is missing. The controls show that the models fail for no other reason: they pass unweakened, and with any one
//! role made stronger.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
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

/// One role, relaxed.
#[derive(Clone, Debug)]
pub struct Weakening {
    /// The role.
    pub role: Role,
    /// Which model noticed, and what; `None` if every model passed.
    pub caught: Option<(&'static Model, Finding)>,
}

/// Orderings with which every model must pass.
#[derive(Clone, Debug)]
pub struct Control {
    /// The role that was made sequentially consistent, or `None` for the protocol's own orderings.
    pub strengthened: Option<Role>,
    /// Which model failed, and how; `None` if every model passed.
    pub failed: Option<(&'static Model, Finding)>,
    /// Interleavings seen by all models together.
    pub interleavings: u64,
}

/// What came of weakening and strengthening roles.
#[derive(Clone, Debug)]
pub struct Table {
    /// One row for each of the roles that need an ordering.
    pub rows: Vec<Weakening>,
    /// The protocol's own orderings, and each role strengthened.
    pub controls: Vec<Control>,
}

impl Table {
    /// Rows whose weakening a model noticed.
    pub fn caught(&self) -> usize {
        self.rows.iter().filter(|row| row.caught.is_some()).count()
    }

    /// Controls in which every model passed.
    pub fn controls_passed(&self) -> usize {
        self.controls.iter().filter(|control| control.failed.is_none()).count()
    }

    /// Whether every weakening was caught and every control passed.
    pub fn is_clean(&self) -> bool {
        self.caught() == self.rows.len() && self.controls_passed() == self.controls.len()
    }
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
) -> Result<Table, E> {
    let until_caught = |change| {
        let depths: &[Depth] = match change {
            Change::Unchanged => &[Depth::Full],
            Change::Strengthened(_) => &[Depth::Quick],
            Change::Weakened(_) => &[Depth::Quick, Depth::Full],
        };
        let mut seen = 0;
        for &depth in depths {
            for &model in models::ALL {
                match run(model, change, depth)? {
                    Ending::Passed { interleavings } => seen += interleavings,
                    Ending::Caught(finding) => return Ok((Some((model, finding)), seen)),
                }
            }
        }
        Ok((None, seen))
    };
    let weakened = roles.iter().filter(|role| role.is_ordered()).map(|&role| Change::Weakened(role));
    let strengthened = roles.iter().map(|&role| Change::Strengthened(role));
    // The longest first, so that the workers end at about the same time.
    let changes: Vec<Change> = [Change::Unchanged].into_iter().chain(weakened).chain(strengthened).collect();

    let results = in_parallel(&changes, workers, |change| until_caught(*change));
    let mut table = Table { rows: Vec::new(), controls: Vec::new() };
    for (change, result) in changes.into_iter().zip(results) {
        let (found, interleavings) = result?;
        let control = |strengthened| Control { strengthened, failed: found.clone(), interleavings };
        match change {
            Change::Weakened(role) => table.rows.push(Weakening { role, caught: found }),
            Change::Unchanged => table.controls.push(control(None)),
            Change::Strengthened(role) => table.controls.push(control(Some(role))),
        }
    }
    Ok(table)
}

/// Does all jobs on a few threads; the results are in the order of the jobs.
fn in_parallel<J: Sync, R: Send>(jobs: &[J], workers: usize, work: impl Fn(&J) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..workers.max(1) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(job) = jobs.get(index) else { return };
                    let result = work(job);
                    done.lock().unwrap_or_else(PoisonError::into_inner).push((index, result));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding() -> Finding {
        Finding { how: "lost sample".into(), detail: "1 of 2 came out".into() }
    }

    #[test]
    fn a_weakening_that_no_model_notices_survives() {
        let table = check::<()>(Role::ALL, 2, |_, _, _| Ok(Ending::Passed { interleavings: 3 })).unwrap();
        let ordered = Role::ALL.iter().filter(|role| role.is_ordered()).count();
        assert_eq!((table.rows.len(), table.caught(), table.is_clean()), (ordered, 0, false));
        assert_eq!((table.controls.len(), table.controls_passed()), (Role::ALL.len() + 1, Role::ALL.len() + 1));
        let all = 3 * u64::try_from(models::ALL.len()).unwrap();
        assert!(table.controls.iter().all(|control| control.interleavings == all));
    }

    #[test]
    fn a_model_that_fails_unweakened_fails_the_controls() {
        let last = models::ALL[models::ALL.len() - 1];
        let table = check::<()>(Role::ALL, 2, |model, _, _| {
            Ok(match model.name() == last.name() {
                true => Ending::Caught(finding()),
                false => Ending::Passed { interleavings: 1 },
            })
        })
        .unwrap();
        assert_eq!((table.caught(), table.controls_passed()), (table.rows.len(), 0));
        assert!(!table.is_clean());
        assert!(table.rows.iter().all(|row| row.caught.as_ref().is_some_and(|(model, _)| model.name() == last.name())));
    }

    #[test]
    fn one_role_alone_makes_one_row_and_two_controls_and_errors_come_through() {
        let role = Role::PublishProducer;
        let table = check::<()>(&[role], 1, |_, change, _| {
            Ok(match change == Change::Weakened(role) {
                true => Ending::Caught(finding()),
                false => Ending::Passed { interleavings: 1 },
            })
        })
        .unwrap();
        assert_eq!((table.rows.len(), table.controls.len(), table.is_clean()), (1, 2, true));
        assert_eq!(check(&[role], 1, |_, _, _| Err("no process")).unwrap_err(), "no process");
    }
}
