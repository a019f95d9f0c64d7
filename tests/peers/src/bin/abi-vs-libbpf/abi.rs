//! The two libraries behind one set of calls, and what an actor does when it is told to.

use std::ffi::{c_int, c_void};
use std::io;
use std::ptr;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use user_ringbuf_linux::{HEADER_LEN, Position, RingSize};
use zerocopy::IntoBytes;

/// Rings of one episode: what the calls do to the one must be what they do to the other.
pub(crate) const RINGS: usize = 2;
/// Handles that each actor has open on each ring, for each library.
pub(crate) const SLOTS: usize = 3;
/// As handles are numbered.
pub(crate) const LIBRARIES: [Library; 2] = [Library::Theirs, Library::Ours];

/// Whose functions are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Library {
    Theirs,
    Ours,
}

impl Library {
    pub(crate) fn other(self) -> Self {
        match self {
            Self::Theirs => Self::Ours,
            Self::Ours => Self::Theirs,
        }
    }
}

/// What is to be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Call {
    /// Opens a handle on this descriptor, with options of so many bytes and this last one behind their size; or without.
    Open {
        fd: c_int,
        options: Option<(u32, u8)>,
    },
    Reserve {
        size: u32,
    },
    ReserveBlocking {
        size: u32,
        timeout: c_int,
    },
    /// Of the record whose header is at this offset.
    Submit {
        header: u32,
    },
    /// The same.
    Discard {
        header: u32,
    },
}

impl Call {
    pub(crate) fn reserves(self) -> bool {
        matches!(self, Self::Reserve { .. } | Self::ReserveBlocking { .. })
    }

    /// The header of the record that it submits or discards.
    pub(crate) fn commits(self) -> Option<u32> {
        match self {
            Self::Submit { header } | Self::Discard { header } => Some(header),
            _ => None,
        }
    }
}

/// On what it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    pub(crate) ring: usize,
    pub(crate) library: Library,
    pub(crate) slot: usize,
}

/// What came of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reply {
    /// How far behind the beginning of the data area the pointer points that was returned, or -1 for NULL. 0 for what
    /// returns none, or a handle.
    pub(crate) offset: i64,
    /// 0 where nothing failed.
    pub(crate) errno: i32,
}

impl Reply {
    /// Nothing failed, and nothing is returned.
    pub(crate) const DONE: Self = Self { offset: 0, errno: 0 };

    /// NULL.
    pub(crate) fn refused(errno: i32) -> Self {
        Self { offset: -1, errno }
    }
}

#[derive(Debug)]
struct Handle {
    library: Library,
    pointer: *mut c_void,
    /// Where its data area begins: learnt from the first sample that it returned.
    data: Option<usize>,
}

impl Handle {
    /// # Safety
    /// The options are NULL or as long as they say. Any descriptor may be asked for.
    unsafe fn open(library: Library, map_fd: c_int, options: *const c_void) -> io::Result<Self> {
        // SAFETY: the caller's promise is passed on.
        let pointer: *mut c_void = unsafe {
            match library {
                Library::Theirs => libbpf_sys::user_ring_buffer__new(map_fd, options.cast()).cast(),
                Library::Ours => user_ringbuf::uringbuf_new(map_fd, options.cast()).cast(),
            }
        };
        if pointer.is_null() { Err(io::Error::last_os_error()) } else { Ok(Self { library, pointer, data: None }) }
    }

    /// # Safety
    /// The sample lies in this handle's mapping, and calls on its ring take turns.
    unsafe fn commit(&self, sample: *mut c_void, discard: bool) {
        let (theirs, ours) = (self.pointer.cast(), self.pointer.cast());
        // SAFETY: the caller's promise is passed on.
        unsafe {
            match (self.library, discard) {
                (Library::Theirs, false) => libbpf_sys::user_ring_buffer__submit(theirs, sample),
                (Library::Theirs, true) => libbpf_sys::user_ring_buffer__discard(theirs, sample),
                (Library::Ours, false) => drop(user_ringbuf::uringbuf_submit(ours, sample)),
                (Library::Ours, true) => drop(user_ringbuf::uringbuf_discard(ours, sample)),
            }
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: opened by this library, and not used any more.
        unsafe {
            match self.library {
                Library::Theirs => libbpf_sys::user_ring_buffer__free(self.pointer.cast()),
                Library::Ours => user_ringbuf::uringbuf_free(self.pointer.cast()),
            }
        }
    }
}

/// The handles of one process.
#[derive(Debug)]
pub(crate) struct Handles {
    size: RingSize,
    /// By ring, library and slot.
    handles: Vec<Handle>,
}

impl Handles {
    pub(crate) fn open(size: RingSize, maps: [c_int; RINGS]) -> Result<Self> {
        let mut handles = Vec::new();
        for map in maps {
            for library in LIBRARIES {
                for _ in 0..SLOTS {
                    // SAFETY: no options.
                    let handle = unsafe { Handle::open(library, map, ptr::null()) };
                    handles.push(handle.with_context(|| format!("{library:?} opened no handle"))?);
                }
            }
        }
        Ok(Self { size, handles })
    }

    fn at(&mut self, Place { ring, library, slot }: Place) -> &mut Handle {
        &mut self.handles[(ring * LIBRARIES.len() + library as usize) * SLOTS + slot]
    }

    /// Whether samples can be committed through this handle.
    pub(crate) fn knows_its_data(&mut self, place: Place) -> bool {
        self.at(place).data.is_some()
    }

    /// Does it. `producer` is where the ring's producer position stands, which says where a sample must be.
    pub(crate) fn call(&mut self, place: Place, call: Call, producer: u64) -> Reply {
        if let Call::Open { fd, options } = call {
            return self.open_anew(place, fd, options);
        }
        let record = Position::new(call.commits().map_or(producer, u64::from));
        let offset = record.advance(u64::from(HEADER_LEN)).offset(self.size) as usize;
        let handle = self.at(place);
        let (theirs, ours) = (handle.pointer.cast(), handle.pointer.cast());
        let committed = ptr::with_exposed_provenance_mut(handle.data.unwrap_or(0) + offset);
        set_errno(0);
        // SAFETY: handles are their libraries' own, and the caller takes turns on each ring. What is committed lies in the
        // handle's mapping.
        let reserved = unsafe {
            match (place.library, call) {
                (Library::Theirs, Call::Reserve { size }) => libbpf_sys::user_ring_buffer__reserve(theirs, size),
                (Library::Ours, Call::Reserve { size }) => user_ringbuf::uringbuf_reserve(ours, size),
                (Library::Theirs, Call::ReserveBlocking { size, timeout }) => {
                    libbpf_sys::user_ring_buffer__reserve_blocking(theirs, size, timeout)
                }
                (Library::Ours, Call::ReserveBlocking { size, timeout }) => {
                    user_ringbuf::uringbuf_reserve_blocking(ours, size, timeout)
                }
                _ => {
                    handle.commit(committed, matches!(call, Call::Discard { .. }));
                    return Reply { offset: 0, errno: errno() };
                }
            }
        };
        if reserved.is_null() {
            return Reply::refused(errno());
        }
        let address = reserved.expose_provenance();
        let data = *handle.data.get_or_insert(address.wrapping_sub(offset));
        // What libbpf leaves in errno where nothing failed is nothing that anybody may rely on.
        Reply { offset: i64::try_from(address.wrapping_sub(data)).unwrap_or(i64::MAX), errno: 0 }
    }

    fn open_anew(&mut self, place: Place, fd: c_int, options: Option<(u32, u8)>) -> Reply {
        let mut words = [0_u64; 512];
        let given = options.map_or(ptr::null(), |(size, tail)| {
            words.as_mut_bytes()[size.max(1) as usize - 1] = tail;
            words[0] = u64::from(size);
            words.as_ptr().cast()
        });
        set_errno(0);
        // SAFETY: as many bytes as they say.
        match unsafe { Handle::open(place.library, fd, given) } {
            Ok(opened) => {
                *self.at(place) = opened;
                Reply::DONE
            }
            Err(why) => Reply::refused(why.raw_os_error().unwrap_or(0)),
        }
    }
}

fn errno() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

fn set_errno(value: i32) {
    // SAFETY: the C library's errno location is valid for the calling thread at all times.
    unsafe { *libc::__errno_location() = value };
}
