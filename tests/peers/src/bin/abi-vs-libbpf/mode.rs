//! How the two libraries meet in an episode.

/// How the two libraries meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Each has a ring of its own.
    Apart,
    /// Both work on both rings, in turn.
    Interleaved,
    /// Both work on both rings, from two processes in turn.
    TwoProcesses,
}
