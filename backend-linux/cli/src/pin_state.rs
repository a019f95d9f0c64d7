//! What has become of the path by which a ring was opened.

use std::path::Path;

use serde::Serialize;
use user_ringbuf_linux::{Map, MapError};

use crate::text::printable;

/// Where a ring's pin leads now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub(crate) enum PinState {
    /// To the ring, as when it was opened.
    Here,
    /// Nowhere: it was removed.
    Gone,
    /// To another ring, or to something that is not a ring.
    Replaced {
        /// The other ring's id.
        id: Option<u32>,
    },
}

impl PinState {
    /// Looks at the pin. `None` if that is not permitted, or failed otherwise.
    pub(crate) fn of(map: &Map, path: &Path) -> Option<Self> {
        if map.is_pinned_at(path).ok()? {
            return Some(Self::Here);
        }
        Some(match Map::from_pin(path) {
            // Pinned again meanwhile.
            Ok(found) if found.id() == map.id() => Self::Here,
            Ok(found) => Self::Replaced { id: Some(found.id()) },
            Err(MapError::PathMissing { .. }) => Self::Gone,
            Err(_) => Self::Replaced { id: None },
        })
    }

    /// What is the case, unless the pin is where it was.
    pub(crate) fn words(self, path: &Path, id: u32) -> Option<String> {
        let path = printable(path);
        match self {
            Self::Here => None,
            Self::Gone => {
                Some(format!("the pin {path} was removed: this is still ring {id}, which is no longer pinned there"))
            }
            Self::Replaced { id: Some(other) } => {
                Some(format!("the pin {path} was replaced: it leads to ring {other} now, and this is still ring {id}"))
            }
            Self::Replaced { id: None } => {
                Some(format!("the pin {path} was replaced by something that is not a ring; this is still ring {id}"))
            }
        }
    }
}
