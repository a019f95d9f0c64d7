//! The ordering of each role's accesses: the protocol's, but for one role that a check has changed.
//!
//! On ordinary memory a weakened role shows by luck only, and not at all on a processor that orders stores anyway; the
//! model checker finds it for certain.

use std::sync::atomic::Ordering;

use user_ringbuf_core::Role;

/// The orderings that a simulated memory uses: those of [`Role::ordering`], with at most one changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Orderings {
    changed: Option<(Role, Ordering)>,
}

impl Orderings {
    /// Every role as the protocol needs it.
    pub const fn of_the_protocol() -> Self {
        Self { changed: None }
    }

    /// As the protocol needs it, but for `role`, which is relaxed.
    pub const fn weakened(role: Role) -> Self {
        Self { changed: Some((role, Ordering::Relaxed)) }
    }

    /// As the protocol needs it, but for `role`, which is sequentially consistent: the strongest there is, for loads,
    /// stores and exchanges alike.
    pub const fn strengthened(role: Role) -> Self {
        Self { changed: Some((role, Ordering::SeqCst)) }
    }

    /// The ordering of accesses for `role`.
    #[inline]
    pub fn of(&self, role: Role) -> Ordering {
        match self.changed {
            Some((changed, ordering)) if changed == role => ordering,
            _ => role.ordering(),
        }
    }

    /// As [`of`](Self::of), for a load, which can't release: also for what a failed exchange found.
    #[inline]
    pub fn of_load(&self, role: Role) -> Ordering {
        match self.of(role) {
            Ordering::Release => Ordering::Relaxed,
            Ordering::AcqRel => Ordering::Acquire,
            ordering => ordering,
        }
    }

    /// As [`of`](Self::of), for a store, which can't acquire.
    #[inline]
    pub fn of_store(&self, role: Role) -> Ordering {
        match self.of(role) {
            Ordering::Acquire => Ordering::Relaxed,
            Ordering::AcqRel => Ordering::Release,
            ordering => ordering,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_role_changes_and_the_others_stay() {
        for &changed in Role::ALL {
            for &role in Role::ALL {
                let same = changed != role;
                assert_eq!(Orderings::weakened(changed).of(role) == role.ordering(), same || !role.is_ordered());
                assert_eq!(Orderings::strengthened(changed).of(role) == role.ordering(), same);
                assert_eq!(Orderings::of_the_protocol().of(role), role.ordering());
            }
        }
    }

    #[test]
    fn no_role_gives_a_load_or_a_store_an_ordering_that_it_can_not_have() {
        use std::sync::atomic::AtomicU64;
        let word = AtomicU64::new(0);
        for &role in Role::ALL {
            for orderings in [Orderings::default(), Orderings::weakened(role), Orderings::strengthened(role)] {
                // Either of these panics if the ordering does not fit.
                word.store(1, orderings.of_store(role));
                word.load(orderings.of_load(role));
            }
        }
    }
}
