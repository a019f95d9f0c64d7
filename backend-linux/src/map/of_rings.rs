//! Maps of maps whose inner maps are user ring buffers: a ring per connection, per CPU or per tenant, which a BPF program
//! finds by its key and drains.
//!
//! Kernel counterpart: `kernel/bpf/map_in_map.c`. `bpf_map_meta_equal` compares an inner map with the template by type,
//! key size, value size and flags: rings of any size may be inserted, whatever the template's.

use core::fmt;

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::path::Arg;

use super::info::{Info, number};
use super::{Capability, Map, MapError, kernel_name, pin, with_c_str};
use crate::bpf::attr::{MapCreate, MapElem};
use crate::bpf::{BpfCommand, BpfError, address, bpf, bpf_fd};
use crate::fd::borrow;

/// `BPF_MAP_TYPE_ARRAY_OF_MAPS`.
const ARRAY_OF_MAPS: u32 = 12;
/// `BPF_MAP_TYPE_HASH_OF_MAPS`.
const HASH_OF_MAPS: u32 = 13;

/// `BPF_ANY`, `BPF_NOEXIST` and `BPF_EXIST`.
const ANY: u64 = 0;
const NO_EXIST: u64 = 1;
const EXIST: u64 = 2;

/// An array or a hash of user ring buffers.
///
/// Keys are bytes in the machine's own order, as the BPF program has them: an array's are `u32` indices
/// (`index.to_ne_bytes()`). A BPF program gets the inner ring by `bpf_map_lookup_elem`, and passes it to
/// `bpf_user_ringbuf_drain`.
///
/// ```no_run
/// use user_ringbuf_linux::{Map, MapOfRings, Mapping, Producer};
///
/// let ring = Map::create("connection_7", 64 * 1024)?;
/// let connections = MapOfRings::create_hash("connections", 4, 1024, &ring)?;
/// connections.insert(&7_u32.to_ne_bytes(), &ring)?;
/// Producer::attach(Mapping::new(&ring)?)?.push(b"sample")?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Rights
/// Creating needs `CAP_BPF`; inserting and removing need a descriptor that was opened for writing, and no capability;
/// [`get`](Self::get) needs `CAP_SYS_ADMIN`, since the kernel names an inner map by its id only.
///
/// # Minimum kernel version
/// Linux 6.1.
#[derive(Debug)]
#[doc(alias = "BPF_MAP_TYPE_ARRAY_OF_MAPS")]
#[doc(alias = "BPF_MAP_TYPE_HASH_OF_MAPS")]
pub struct MapOfRings {
    fd: OwnedFd,
    id: u32,
    is_array: bool,
    key_size: u32,
    max_entries: u32,
}

/// Why a map of rings can't be made, opened or used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MapOfRingsError {
    /// The map is neither an array nor a hash of maps.
    WrongType {
        /// Number of its type.
        found: u32,
    },
    /// A key of another size than the map's.
    KeySize {
        /// Size of the key, in bytes.
        len: usize,
        /// Size of the map's keys, in bytes.
        key_size: u32,
    },
    /// An index beyond the end of the array.
    IndexTooLarge {
        /// The index.
        index: u32,
        /// Length of the array.
        len: u32,
    },
    /// There is no ring at this key.
    KeyMissing,
    /// There is a ring at this key already.
    KeyTaken,
    /// The hash is full.
    Full {
        /// Most rings that it takes.
        max: u32,
    },
    /// The inner maps of this map are not user ring buffers, so no ring can be inserted.
    OtherInnerMaps,
    /// A size that the kernel refuses: no entries, or a key of 0 bytes or too many.
    Sizes {
        /// Size of a key asked for, in bytes.
        key_size: u32,
        /// Number of entries asked for.
        max_entries: u32,
    },
    /// What can go wrong with any map.
    Map(MapError),
}

impl fmt::Display for MapOfRingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongType { found } => match super::map_type_name(*found) {
                Some(name) => write!(f, "a map of type {name} ({found}), not an array or a hash of maps (12, 13)"),
                None => write!(f, "a map of the unknown type {found}, not an array or a hash of maps (12, 13)"),
            },
            Self::KeySize { len, key_size } => write!(f, "a key of {len} bytes: the map's keys have {key_size}"),
            Self::IndexTooLarge { index, len } => write!(f, "index {index}: the array has {len} entries"),
            Self::KeyMissing => f.write_str("there is no ring at this key"),
            Self::KeyTaken => f.write_str("there is a ring at this key already"),
            Self::Full { max } => write!(f, "the hash is full: the limit is {max} rings"),
            Self::OtherInnerMaps => f.write_str("the inner maps of this map are not user ring buffers"),
            Self::Sizes { key_size, max_entries } => {
                write!(f, "the kernel refuses keys of {key_size} bytes and {max_entries} entries")
            }
            Self::Map(why) => why.fmt(f),
        }
    }
}

impl core::error::Error for MapOfRingsError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Map(why) => why.source(),
            _ => None,
        }
    }
}

impl From<MapError> for MapOfRingsError {
    fn from(why: MapError) -> Self {
        Self::Map(why)
    }
}

impl MapOfRings {
    /// Makes an array of `len` entries, all of them empty. `template` is any user ring buffer; the array does not keep it.
    ///
    /// # Errors
    /// [`Sizes`](MapOfRingsError::Sizes), or [`Map`](MapOfRingsError::Map): a wrong name, no right, no memory.
    pub fn create_array(name: &str, len: u32, template: &Map) -> Result<Self, MapOfRingsError> {
        Self::create(name, ARRAY_OF_MAPS, 4, len, template)
    }

    /// Makes an empty hash for up to `max` rings, with keys of `key_size` bytes. `template` is any user ring buffer; the hash
    /// does not keep it.
    ///
    /// # Errors
    /// As [`create_array`](Self::create_array).
    pub fn create_hash(name: &str, key_size: u32, max: u32, template: &Map) -> Result<Self, MapOfRingsError> {
        Self::create(name, HASH_OF_MAPS, key_size, max, template)
    }

    fn create(
        name: &str,
        map_type: u32,
        key_size: u32,
        max_entries: u32,
        template: &Map,
    ) -> Result<Self, MapOfRingsError> {
        let mut attr = MapCreate {
            map_type,
            key_size,
            value_size: 4,
            max_entries,
            inner_map_fd: number(template.as_fd()),
            map_name: kernel_name(name)?,
            ..Default::default()
        };
        // SAFETY: no address is passed, and the command makes a descriptor.
        let fd = unsafe { bpf_fd(BpfCommand::MapCreate, &mut attr) }.map_err(|error| match error.errno {
            Errno::INVAL | Errno::TOOBIG => MapOfRingsError::Sizes { key_size, max_entries },
            _ => MapError::other(error, Capability::Bpf).into(),
        })?;
        Self::from_fd(fd)
    }

    /// Takes over the descriptor of a map of maps, such as one that a loader made.
    ///
    /// # Errors
    /// [`WrongType`](MapOfRingsError::WrongType), or [`Map`](MapOfRingsError::Map): a closed descriptor, or one of something
    /// else. That its inner maps are rings shows when one is inserted: the kernel does not tell.
    pub fn from_fd(fd: OwnedFd) -> Result<Self, MapOfRingsError> {
        let info = Info::of_any(borrow(&fd))?;
        if !matches!(info.map_type, ARRAY_OF_MAPS | HASH_OF_MAPS) {
            return Err(MapOfRingsError::WrongType { found: info.map_type });
        }
        let is_array = info.map_type == ARRAY_OF_MAPS;
        Ok(Self { fd, id: info.id, is_array, key_size: info.key_size, max_entries: info.max_entries })
    }

    /// Opens a map of maps that is pinned on a bpffs.
    ///
    /// # Errors
    /// As [`Map::from_pin`] and [`from_fd`](Self::from_fd).
    pub fn from_pin(path: impl Arg) -> Result<Self, MapOfRingsError> {
        Self::from_fd(with_c_str(path, |path| pin::get(path, pin::Open::ReadWrite))?)
    }

    /// Pins the map at `path` on a bpffs.
    ///
    /// # Errors
    /// As [`Map::pin`].
    pub fn pin(&self, path: impl Arg) -> Result<(), MapOfRingsError> {
        Ok(with_c_str(path, |path| pin::pin(borrow(&self.fd), path))?)
    }

    /// Puts `ring` where there is none yet. The map keeps it open.
    ///
    /// # Errors
    /// [`KeyTaken`](MapOfRingsError::KeyTaken), and as [`put`](Self::put).
    pub fn insert(&self, key: &[u8], ring: &Map) -> Result<(), MapOfRingsError> {
        // Arrays know no BPF_NOEXIST: each of their entries exists, if only as an empty one.
        if self.is_array && self.id_at(key).is_ok() {
            return Err(MapOfRingsError::KeyTaken);
        }
        self.update(key, ring, if self.is_array { ANY } else { NO_EXIST })
    }

    /// Puts `ring` in the place of the one that is there. A drain of the old one goes on to its end.
    ///
    /// # Errors
    /// [`KeyMissing`](MapOfRingsError::KeyMissing), and as [`put`](Self::put).
    pub fn replace(&self, key: &[u8], ring: &Map) -> Result<(), MapOfRingsError> {
        if self.is_array {
            self.id_at(key)?;
        }
        self.update(key, ring, if self.is_array { ANY } else { EXIST })
    }

    /// Puts `ring` at the key, whatever is there. In an array, [`insert`](Self::insert) and [`replace`](Self::replace) look
    /// first and then do this; another process may come between.
    ///
    /// # Errors
    /// [`KeySize`](MapOfRingsError::KeySize), [`IndexTooLarge`](MapOfRingsError::IndexTooLarge),
    /// [`Full`](MapOfRingsError::Full), [`OtherInnerMaps`](MapOfRingsError::OtherInnerMaps), or
    /// [`Map`](MapOfRingsError::Map).
    pub fn put(&self, key: &[u8], ring: &Map) -> Result<(), MapOfRingsError> {
        self.update(key, ring, ANY)
    }

    fn update(&self, key: &[u8], ring: &Map, flags: u64) -> Result<(), MapOfRingsError> {
        let value = number(ring.as_fd());
        self.element(BpfCommand::MapUpdateElem, key, address(&raw const value), flags).map_err(|why| match why {
            MapOfRingsError::Map(MapError::Bpf(BpfError { errno: Errno::TOOBIG, .. })) => {
                MapOfRingsError::Full { max: self.max_entries }
            }
            MapOfRingsError::Map(MapError::Bpf(BpfError { errno: Errno::INVAL, .. })) => {
                MapOfRingsError::OtherInnerMaps
            }
            other => other,
        })
    }

    /// Takes the ring away from the key. The ring lives on where it is open or pinned.
    ///
    /// # Errors
    /// [`KeyMissing`](MapOfRingsError::KeyMissing), [`KeySize`](MapOfRingsError::KeySize),
    /// [`IndexTooLarge`](MapOfRingsError::IndexTooLarge), or [`Map`](MapOfRingsError::Map).
    pub fn remove(&self, key: &[u8]) -> Result<(), MapOfRingsError> {
        self.element(BpfCommand::MapDeleteElem, key, 0, 0)
    }

    /// Id of the ring at the key. Needs no capability.
    ///
    /// # Errors
    /// As [`remove`](Self::remove).
    pub fn id_at(&self, key: &[u8]) -> Result<u32, MapOfRingsError> {
        let mut id = 0_u32;
        self.element(BpfCommand::MapLookupElem, key, address(&raw mut id), 0)?;
        Ok(id)
    }

    /// Opens the ring at the key.
    ///
    /// # Errors
    /// As [`id_at`](Self::id_at) and [`Map::from_id`]: it needs `CAP_SYS_ADMIN`.
    pub fn get(&self, key: &[u8]) -> Result<Map, MapOfRingsError> {
        Ok(Map::from_id(self.id_at(key)?)?)
    }

    /// One command on the element at `key`; `value` is the address of a `u32`, or zero for a command that takes none.
    fn element(&self, command: BpfCommand, key: &[u8], value: u64, flags: u64) -> Result<(), MapOfRingsError> {
        if u32::try_from(key.len()) != Ok(self.key_size) {
            return Err(MapOfRingsError::KeySize { len: key.len(), key_size: self.key_size });
        }
        if let (true, Ok(index)) = (self.is_array, key.try_into()) {
            let (index, len) = (u32::from_ne_bytes(index), self.max_entries);
            if index >= len {
                return Err(MapOfRingsError::IndexTooLarge { index, len });
            }
        }
        let map_fd = number(borrow(&self.fd));
        let mut attr = MapElem { map_fd, zero: 0, key: address(key.as_ptr()), value, flags };
        // SAFETY: the key has the map's key size, as was checked; the value of a map of maps has 4 bytes, which are the
        // caller's `u32`.
        match unsafe { bpf(command, &mut attr) } {
            Ok(_) => Ok(()),
            Err(error) => Err(match error.errno {
                Errno::NOENT => MapOfRingsError::KeyMissing,
                Errno::EXIST => MapOfRingsError::KeyTaken,
                _ => MapError::other(error, Capability::Bpf).into(),
            }),
        }
    }

    /// The map's id.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Size of a key in bytes: 4 for an array.
    pub fn key_size(&self) -> u32 {
        self.key_size
    }

    /// Length of the array, or most rings that the hash takes.
    pub fn max_entries(&self) -> u32 {
        self.max_entries
    }
}

impl AsFd for MapOfRings {
    fn as_fd(&self) -> BorrowedFd<'_> {
        borrow(&self.fd)
    }
}

#[cfg(test)]
mod tests {
    use core::error::Error;
    use std::string::ToString;

    use super::*;
    use crate::Errno;
    use crate::bpf::BpfError;
    use crate::map::Capability;

    #[test]
    fn the_errors_name_the_value_and_the_limit() {
        let texts = [
            (
                MapOfRingsError::WrongType { found: 1 },
                "a map of type BPF_MAP_TYPE_HASH (1), not an array or a hash of maps (12, 13)",
            ),
            (MapOfRingsError::KeySize { len: 8, key_size: 4 }, "a key of 8 bytes: the map's keys have 4"),
            (MapOfRingsError::IndexTooLarge { index: 4, len: 4 }, "index 4: the array has 4 entries"),
            (MapOfRingsError::Full { max: 2 }, "the hash is full: the limit is 2 rings"),
            (
                MapOfRingsError::Sizes { key_size: 0, max_entries: 9 },
                "the kernel refuses keys of 0 bytes and 9 entries",
            ),
        ];
        for (error, text) in texts {
            assert_eq!(error.to_string(), text);
            assert!(error.source().is_none());
        }
    }

    #[test]
    fn an_error_of_the_map_is_passed_on_with_its_cause() {
        let refused = BpfError { command: BpfCommand::MapCreate, errno: Errno::PERM };
        let inner = MapError::NotPermitted { error: refused, needs: Capability::Bpf };
        let error = MapOfRingsError::from(inner);
        assert_eq!(error.to_string(), inner.to_string());
        assert_eq!(error.source().and_then(|cause| cause.downcast_ref()), Some(&refused));
    }
}
