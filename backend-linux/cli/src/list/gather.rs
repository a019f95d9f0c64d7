//! All rings of the machine at one moment.
//!
//! What is the same for all rings is found once: one walk over `/proc`, one over the bpffs mounts. One ring is open at a
//! time, however many there are. Invariant: a ring that has gone meanwhile is left out and counted, never an error.

use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

use anyhow::Context;
use serde::Serialize;
use user_ringbuf_linux::{Map, MapError, MappingView, OpenMaps, Survey, Verdict};

use crate::bpffs;
use crate::look::{State, is_obstacle, look};
use crate::producer::{Claim, Process, Producing, this_process};

/// A record that is busy now and then is a producer at work: this is how long one must stay busy to count.
const BUSY: Duration = Duration::from_millis(50);

/// A ring and what is known of it.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) id: u32,
    pub(super) name: String,
    pub(super) survey: Survey,
    pub(super) claim: Claim,
    /// The busy record that held it was submitted a moment later, so it is not stuck whatever holds it now.
    moves: bool,
    pub(super) holders: Option<Vec<Process>>,
    pub(super) pins: Vec<PathBuf>,
}

impl Found {
    pub(super) fn state(&self, since: Option<Duration>) -> State {
        State::of(&self.survey, since)
    }

    pub(super) fn is_stuck(&self, since: Option<Duration>) -> bool {
        !self.moves && self.state(since).is_stuck(&self.claim, since)
    }

    pub(super) fn producing(&self) -> Producing<'_> {
        Producing::of(is_obstacle(&self.survey.verdict), &self.claim)
    }
}

/// A ring that could not be looked at.
#[derive(Debug, Serialize)]
pub(super) struct Unreadable {
    pub(super) id: u32,
    pub(super) why: String,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Gathered {
    /// By ascending id.
    pub(super) rings: Vec<Found>,
    pub(super) unreadable: Vec<Unreadable>,
    pub(super) vanished: u64,
    /// How many processes could not be looked at, or why none could.
    pub(super) holders_unreadable: Result<usize, String>,
}

impl Gathered {
    /// Looks at all rings, or at those with this name.
    pub(super) fn now(name: Option<&str>) -> anyhow::Result<Self> {
        let ids = Map::ids().collect::<Result<Vec<u32>, MapError>>().context("cannot list the rings")?;
        let this = this_process();
        let open = this.clone().and_then(|_| OpenMaps::scan().map_err(|error| error.to_string()));
        let mut pins = bpffs::pinned_rings();
        let mut gathered = Self {
            rings: Vec::new(),
            unreadable: Vec::new(),
            vanished: 0,
            holders_unreadable: open.as_ref().map(OpenMaps::unreadable).map_err(Clone::clone),
        };
        for id in ids {
            let map = match Map::from_id(id) {
                Ok(map) => map,
                Err(MapError::WrongType { .. }) => continue,
                Err(MapError::UnknownId { .. }) => {
                    gathered.vanished += 1;
                    continue;
                }
                Err(error) => {
                    gathered.unreadable.push(Unreadable { id, why: format!("{:#}", anyhow::Error::new(error)) });
                    continue;
                }
            };
            if name.is_some_and(|name| name != map.name()) {
                continue;
            }
            match see(&map, open.as_ref().ok()) {
                Ok((survey, claim)) => gathered.rings.push(Found {
                    id,
                    name: map.name().to_owned(),
                    survey,
                    claim,
                    moves: false,
                    holders: open.as_ref().ok().map(|open| {
                        let others = open.holders(id).filter(|holder| this != Ok(Some(holder.pid())));
                        others.map(Process::from).collect()
                    }),
                    pins: pins.remove(&id).unwrap_or_default(),
                }),
                Err(error) => gathered.unreadable.push(Unreadable { id, why: format!("{error:#}") }),
            }
        }
        gathered.look_again(open.as_ref().ok());
        Ok(gathered)
    }

    /// Looks again at rings that a busy record holds and no process claims. Their producer may take no claim, and submit in
    /// the next moment.
    fn look_again(&mut self, open: Option<&OpenMaps>) {
        let held =
            |ring: &Found| matches!(ring.survey.verdict, Verdict::Held { .. }) && !matches!(ring.claim, Claim::By(_));
        if !self.rings.iter().any(held) {
            return;
        }
        sleep(BUSY);
        self.rings.retain_mut(|ring| {
            if !held(ring) {
                return true;
            }
            let before = ring.survey.verdict;
            match Map::from_id(ring.id).map_err(anyhow::Error::new).and_then(|map| see(&map, open)) {
                Ok(seen) => (ring.survey, ring.claim) = seen,
                Err(_) => {
                    self.vanished += 1;
                    return false;
                }
            }
            ring.moves = ring.survey.verdict != before;
            true
        });
    }
}

/// Looks at one ring.
fn see(map: &Map, open: Option<&OpenMaps>) -> anyhow::Result<(Survey, Claim)> {
    let view = MappingView::new(map)?;
    Ok(look(&view, || Survey::of(&view), |survey| survey, || Claim::among(open, map)))
}
