//! Who produces into a ring, as far as the machine tells: which process claims it, and which ones hold it open.
//!
//! Invariant: what can't be determined is told apart from what is not there.

use std::fmt;

use serde::Serialize;
use user_ringbuf_linux::{Claimant, Holder, Map, MapError, Mapping, MappingError, OpenMaps};

/// How often to ask again when the process that has the claim ends while it is looked for.
const TRIES: u32 = 3;
/// Most processes to name in words.
const NAMED: usize = 5;

/// A process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) name: String,
}

impl From<Holder> for Process {
    fn from(holder: Holder) -> Self {
        Self { pid: holder.pid(), name: holder.name().to_owned() }
    }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name.as_str() {
            "" => write!(f, "process {}", self.pid),
            name => write!(f, "{name} (pid {})", self.pid),
        }
    }
}

/// Who claims a ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// This process, which is alive. `None` if `/proc` does not show it.
    By(Option<Process>),
    /// No process. One that takes no claim, such as a user of libbpf, may produce all the same.
    ByNobody,
    /// It can't be determined.
    Unknown(String),
}

impl Claim {
    pub(crate) fn of(map: &Map) -> Self {
        claimant(map).into()
    }

    /// The same, where the process is looked for among those that a walk over `/proc` has found. Without one it stays
    /// unnamed.
    pub(crate) fn among(open: Option<&OpenMaps>, map: &Map) -> Self {
        match open {
            Some(open) => open.claimant(map).into(),
            None => Self::of(map),
        }
    }
}

impl From<Result<Claimant, MapError>> for Claim {
    fn from(claimant: Result<Claimant, MapError>) -> Self {
        match claimant {
            Ok(Claimant::Nobody) => Self::ByNobody,
            Ok(Claimant::Process(holder)) => Self::By(Some(holder.into())),
            Ok(Claimant::Unseen) => Self::By(None),
            Ok(other) => Self::Unknown(format!("{other:?}")),
            Err(error) => Self::Unknown(error.to_string()),
        }
    }
}

/// Who claims the ring. A process that ended while it was looked for is not one that `/proc` does not show.
fn claimant(map: &Map) -> Result<Claimant, MapError> {
    let mut claimant = map.claimant();
    for _ in 1..TRIES {
        match &claimant {
            Ok(Claimant::Unseen) => {}
            Ok(Claimant::Process(holder)) if may_have_ended(Some(holder)) => {}
            _ => break,
        }
        claimant = map.claimant();
    }
    claimant
}

/// Whether a process that has the claim may have ended while it was looked for: it is not found then, or has no name any
/// more.
fn may_have_ended(holder: Option<&Holder>) -> bool {
    holder.is_none_or(|holder| holder.name().is_empty())
}

/// Whether a ring has a producer, as reports have it.
#[derive(Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub(crate) enum Producing<'a> {
    /// A process claims the ring. Without pid and name if `/proc` does not show it.
    Alive {
        #[serde(flatten)]
        process: Option<&'a Process>,
    },
    /// No process claims the ring, and a producer has left something unfinished or wrong in it.
    Gone,
    /// No process claims the ring.
    None,
    Unknown {
        why: &'a str,
    },
}

impl<'a> Producing<'a> {
    /// `obstacle` tells whether something in the ring is in the kernel's way.
    pub(crate) fn of(obstacle: bool, claim: &'a Claim) -> Self {
        match claim {
            Claim::By(process) => Self::Alive { process: process.as_ref() },
            Claim::ByNobody if obstacle => Self::Gone,
            Claim::ByNobody => Self::None,
            Claim::Unknown(why) => Self::Unknown { why },
        }
    }
}

/// The other processes that hold a ring open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Holders {
    pub(crate) found: Vec<Process>,
    /// How many processes could not be looked at.
    pub(crate) unreadable: usize,
}

impl Holders {
    /// Looks for them. The error says why that can't be done.
    pub(crate) fn of(map: &Map) -> Result<Self, String> {
        let this = this_process()?;
        let holders = map.holders().map_err(|error| error.to_string())?;
        let others = holders.found.into_iter().filter(|holder| Some(holder.pid()) != this);
        Ok(Self { found: others.map(Process::from).collect(), unreadable: holders.unreadable })
    }

    /// Their names and pids, if there are any.
    pub(crate) fn names(&self) -> Option<String> {
        let names: Vec<String> = self.found.iter().take(NAMED).map(ToString::to_string).collect();
        let more = self.found.len() - names.len();
        let names = names.join(", ");
        match (self.found.len(), more) {
            (0, _) => None,
            (_, 0) => Some(names),
            _ => Some(format!("{names} and {more} more")),
        }
    }

    /// `holds` or `hold`, as there are one or several of them.
    pub(crate) fn hold(&self) -> &'static str {
        if self.found.len() == 1 { "holds" } else { "hold" }
    }
}

/// This process's pid as `/proc` has it. The error says why `/proc` says nothing of others either.
pub(crate) fn this_process() -> Result<Option<u32>, String> {
    // A directory that does not show this process shows nothing of others: no /proc is mounted there.
    let this = std::fs::read_link("/proc/self").map_err(|error| format!("reading /proc/self failed: {error}"))?;
    Ok(this.to_str().and_then(|pid| pid.parse().ok()))
}

/// Maps the ring for producing, and claims it.
///
/// If the process that has the claim ends while it is looked for, this tries again.
pub(crate) fn claim(map: &Map) -> Result<Mapping, MappingError> {
    let mut mapping = Mapping::new(map);
    for _ in 1..TRIES {
        match &mapping {
            Err(MappingError::Claimed { holder, .. }) if may_have_ended(holder.as_ref()) => {}
            _ => break,
        }
        mapping = Mapping::new(map);
    }
    mapping
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holders(count: u32) -> Holders {
        let found = (1..=count).map(|pid| Process { pid, name: if pid == 2 { "" } else { "agent" }.to_owned() });
        Holders { found: found.collect(), unreadable: 0 }
    }

    #[test]
    fn some_are_named_and_the_others_are_counted() {
        assert_eq!(holders(0).names(), None);
        assert_eq!((holders(1).names().as_deref(), holders(1).hold()), (Some("agent (pid 1)"), "holds"));
        assert_eq!((holders(2).names().as_deref(), holders(2).hold()), (Some("agent (pid 1), process 2"), "hold"));
        let many = holders(7).names().unwrap();
        assert!(many.ends_with("agent (pid 5) and 2 more") && !many.contains("pid 6"), "{many}");
    }
}
