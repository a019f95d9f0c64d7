//! The two libraries behind one set of calls, and what an actor does when it is told to.

use std::ffi::{c_int, c_void};
use std::io;
use std::ptr;

use anyhow::{Result, bail};
use user_ringbuf_linux::{HEADER_LEN, Position, RingSize};

/// Rings of one episode: what the calls do to the one must be what they do to the other.
pub(crate) const RINGS: usize = 2;
/// Handles that each actor has open on each ring, for each library.
pub(crate) const SLOTS: usize = 3;
const LIBRARIES: usize = 2;

/// Whose functions are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

    unsafe fn open(self, map_fd: c_int, options: *const c_void) -> *mut c_void {
        // SAFETY: the options are NULL or as long as they say, by the caller's promise; any descriptor may be asked for.
        unsafe {
            match self {
                Self::Theirs => libbpf_sys::user_ring_buffer__new(map_fd, options.cast()).cast(),
                Self::Ours => user_ringbuf::uringbuf_new(map_fd, options.cast()).cast(),
            }
        }
    }

    unsafe fn reserve(self, handle: *mut c_void, size: u32) -> *mut c_void {
        // SAFETY: the handle is this library's, by the caller's promise; calls on a ring take turns.
        unsafe {
            match self {
                Self::Theirs => libbpf_sys::user_ring_buffer__reserve(handle.cast(), size),
                Self::Ours => user_ringbuf::uringbuf_reserve(handle.cast(), size),
            }
        }
    }

    unsafe fn reserve_blocking(self, handle: *mut c_void, size: u32, timeout: c_int) -> *mut c_void {
        // SAFETY: as in `reserve`.
        unsafe {
            match self {
                Self::Theirs => libbpf_sys::user_ring_buffer__reserve_blocking(handle.cast(), size, timeout),
                Self::Ours => user_ringbuf::uringbuf_reserve_blocking(handle.cast(), size, timeout),
            }
        }
    }

    unsafe fn commit(self, handle: *mut c_void, sample: *mut c_void, discard: bool) {
        // SAFETY: as in `reserve`, and the sample lies in this handle's mapping.
        unsafe {
            match (self, discard) {
                (Self::Theirs, false) => libbpf_sys::user_ring_buffer__submit(handle.cast(), sample),
                (Self::Theirs, true) => libbpf_sys::user_ring_buffer__discard(handle.cast(), sample),
                (Self::Ours, false) => drop(user_ringbuf::uringbuf_submit(handle.cast(), sample)),
                (Self::Ours, true) => drop(user_ringbuf::uringbuf_discard(handle.cast(), sample)),
            }
        }
    }

    unsafe fn free(self, handle: *mut c_void) {
        // SAFETY: the handle is this library's, and not used any more, by the caller's promise.
        unsafe {
            match self {
                Self::Theirs => libbpf_sys::user_ring_buffer__free(handle.cast()),
                Self::Ours => user_ringbuf::uringbuf_free(handle.cast()),
            }
        }
    }
}

/// What is to be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    /// Opens a handle on this descriptor, with options of `sz` bytes, of which the last is `tail`; or without.
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
    Discard {
        header: u32,
    },
}

/// On what it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) ring: usize,
    pub(crate) library: Library,
    pub(crate) slot: usize,
}

/// What came of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    /// How far behind the beginning of the data area the pointer points that was returned, or -1 for NULL. 0 for what
    /// returns none, or a handle.
    pub(crate) offset: i64,
    /// 0 where nothing failed.
    pub(crate) errno: i32,
}

#[derive(Clone, Copy, Debug)]
struct Handle {
    pointer: *mut c_void,
    /// Where its data area begins: learnt from the first sample that it returned.
    data: Option<usize>,
}

/// The handles of one process.
#[derive(Debug)]
pub(crate) struct Handles {
    size: RingSize,
    handles: [[[Handle; SLOTS]; LIBRARIES]; RINGS],
}

impl Handles {
    pub(crate) fn open(size: RingSize, maps: [c_int; RINGS]) -> Result<Self> {
        let none = Handle { pointer: ptr::null_mut(), data: None };
        let mut handles = [[[none; SLOTS]; LIBRARIES]; RINGS];
        for (ring, of_ring) in handles.iter_mut().enumerate() {
            for (library, slots) in [Library::Theirs, Library::Ours].into_iter().zip(of_ring) {
                for handle in slots {
                    // SAFETY: no options.
                    handle.pointer = unsafe { library.open(maps[ring], ptr::null()) };
                    if handle.pointer.is_null() {
                        bail!("{library:?} opened no handle: {}", io::Error::last_os_error());
                    }
                }
            }
        }
        Ok(Self { size, handles })
    }

    fn at(&mut self, place: Place) -> &mut Handle {
        &mut self.handles[place.ring][place.library as usize][place.slot]
    }

    /// Whether samples can be committed through this handle.
    pub(crate) fn knows_its_data(&mut self, place: Place) -> bool {
        self.at(place).data.is_some()
    }

    /// Does it. `producer` is where the ring's producer position stands, which says where a sample must be.
    pub(crate) fn call(&mut self, place: Place, call: Call, producer: u64) -> Reply {
        let size = self.size;
        let library = place.library;
        let handle = self.at(place);
        set_errno(0);
        // SAFETY: handles are their libraries' own, and the caller takes turns on each ring.
        let sample = unsafe {
            match call {
                Call::Open { fd, options } => {
                    let mut bytes = [0_u64; 512];
                    let given = options.map_or(ptr::null(), |(sz, tail)| {
                        bytes[0] = u64::from(sz);
                        let last = bytes.as_mut_ptr().cast::<u8>().add(sz.max(9) as usize - 1);
                        if sz > 8 {
                            last.write(tail);
                        }
                        bytes.as_ptr().cast()
                    });
                    let opened = library.open(fd, given);
                    if opened.is_null() {
                        return Reply { offset: -1, errno: errno() };
                    }
                    library.free(std::mem::replace(handle, Handle { pointer: opened, data: None }).pointer);
                    return Reply { offset: 0, errno: 0 };
                }
                Call::Submit { header } | Call::Discard { header } => {
                    let offset = Position::new(u64::from(header)).advance(u64::from(HEADER_LEN)).offset(size) as usize;
                    let sample = ptr::with_exposed_provenance_mut(handle.data.unwrap_or(0) + offset);
                    library.commit(handle.pointer, sample, matches!(call, Call::Discard { .. }));
                    return Reply { offset: 0, errno: errno() };
                }
                Call::Reserve { size } => library.reserve(handle.pointer, size),
                Call::ReserveBlocking { size, timeout } => library.reserve_blocking(handle.pointer, size, timeout),
            }
        };
        if sample.is_null() {
            return Reply { offset: -1, errno: errno() };
        }
        let expected = Position::new(producer).advance(u64::from(HEADER_LEN)).offset(size) as usize;
        let address = sample.expose_provenance();
        let data = *handle.data.get_or_insert(address.wrapping_sub(expected));
        // What libbpf leaves in errno where nothing failed is nothing that anybody may rely on.
        Reply { offset: i64::try_from(address.wrapping_sub(data)).unwrap_or(i64::MAX), errno: 0 }
    }
}

impl Drop for Handles {
    fn drop(&mut self) {
        for of_ring in self.handles {
            for (library, slots) in [Library::Theirs, Library::Ours].into_iter().zip(of_ring) {
                for handle in slots {
                    // SAFETY: opened by this library, and not used any more.
                    unsafe { library.free(handle.pointer) };
                }
            }
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
