//! What lies around a mapping, made unwritable: a write that leaves the mapping ends the process.

use std::ffi::c_void;
use std::ptr::without_provenance_mut;
use std::sync::Mutex;

use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};
use user_ringbuf_linux::{Map, Mapping};

/// One mapping at a time, so that what is new in the process's list is this one.
static MAPPING: Mutex<()> = Mutex::new(());

/// Guard pages, unmapped on drop.
pub(crate) struct Fence {
    guards: Vec<(usize, usize)>,
}

#[derive(Clone, Copy, PartialEq)]
struct Area {
    start: usize,
    end: usize,
    writable: bool,
}

/// Maps a ring for producing between two fences.
pub(crate) fn mapped(map: &Map) -> (Mapping, Fence) {
    let _alone = MAPPING.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    // Where neighbours can be written, the hole is filled, and the next try lands elsewhere.
    let mut filled = Fence { guards: Vec::new() };
    for _ in 0..100 {
        let before = areas();
        let mapping = Mapping::new(map).unwrap();
        let page = rustix::param::page_size();
        let len = page + 2 * usize::try_from(map.size()).unwrap();
        let ours = |area: &&Area| area.writable && area.end - area.start == len && !before.contains(area);
        // Other threads map such too; then neighbours decide nothing.
        let found = areas().iter().filter(ours).copied().collect::<Vec<_>>();
        let [ours] = found[..] else { continue };
        let sides = [ours.start - page, ours.end];
        let fence =
            Fence { guards: sides.into_iter().filter(|start| guard(*start, page)).map(|at| (at, page)).collect() };
        let now = areas();
        let closed = |start: usize| now.iter().any(|area| (area.start..area.end).contains(&start) && !area.writable);
        if sides.into_iter().all(closed) {
            return (mapping, fence);
        }
        drop((mapping, fence));
        if guard(ours.start, len) {
            filled.guards.push((ours.start, len));
        }
    }
    panic!("no place for a mapping whose neighbours can't be written");
}

/// Maps an inaccessible page there, unless something is mapped.
fn guard(start: usize, len: usize) -> bool {
    let flags = MapFlags::PRIVATE | MapFlags::FIXED_NOREPLACE;
    // SAFETY: the flag says that nothing is replaced.
    match unsafe { mmap_anonymous(without_provenance_mut::<c_void>(start), len, ProtFlags::empty(), flags) } {
        Ok(_) => true,
        Err(Errno::EXIST) => false,
        Err(error) => panic!("no guard page: {error}"),
    }
}

impl Drop for Fence {
    fn drop(&mut self) {
        for (start, len) in &self.guards {
            // SAFETY: `guard` has mapped these pages, and nothing uses them.
            let _ = unsafe { munmap(without_provenance_mut(*start), *len) };
        }
    }
}

/// The lines of `/proc/self/maps`.
fn areas() -> Vec<Area> {
    let text = std::fs::read_to_string("/proc/self/maps").unwrap();
    let area = |line: &str| {
        let (range, rest) = line.split_once(' ')?;
        let (start, end) = range.split_once('-')?;
        let number = |hex| usize::from_str_radix(hex, 16).ok();
        Some(Area { start: number(start)?, end: number(end)?, writable: rest.as_bytes()[1] == b'w' })
    };
    // The last line of some machines is beyond what a usize can hold.
    text.lines().filter_map(area).collect()
}
