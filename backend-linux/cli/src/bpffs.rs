//! Bpffs mounts: where they are, which rings are pinned there, and what to tell those who looked elsewhere.
//!
//! Only mounts that this process sees count: another mount namespace may have others.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use user_ringbuf_linux::{Map, MapError};

use crate::text::printable;

/// Most pins to name in a hint.
const NAMED: usize = 3;

/// A file system that is mounted.
#[derive(Debug, PartialEq, Eq)]
struct Mount {
    at: PathBuf,
    is_bpffs: bool,
}

/// All rings that are pinned on a bpffs, by their ids.
pub(crate) fn pinned_rings() -> BTreeMap<u32, Vec<PathBuf>> {
    let mut pins: BTreeMap<u32, Vec<PathBuf>> = BTreeMap::new();
    let bpffs: BTreeSet<PathBuf> = mounts().into_iter().filter(|mount| mount.is_bpffs).map(|mount| mount.at).collect();
    for at in &bpffs {
        // A bpffs that is mounted below another one is walked by itself.
        for_each_file(at, &|directory| directory != at && bpffs.contains(directory), &mut |path| {
            if let Ok(map) = Map::from_pin(&path) {
                pins.entry(map.id()).or_default().push(path);
            }
        });
    }
    pins
}

/// Calls `each` with every regular file below `directory`. What can't be read is left out.
fn for_each_file(directory: &Path, skip: &dyn Fn(&Path) -> bool, each: &mut dyn FnMut(PathBuf)) {
    if skip(directory) {
        return;
    }
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => for_each_file(&entry.path(), skip, each),
            Ok(kind) if kind.is_file() => each(entry.path()),
            _ => {}
        }
    }
}

/// Why `path` could not be opened or pinned, with where to look instead. The path is in the caller's text already.
pub(crate) fn in_words(path: &Path, error: MapError) -> String {
    let hint = hint(path, &error, &mounts());
    match error {
        MapError::PathMissing { .. } => format!("no such path{hint}"),
        error => format!("{:#}{hint}", anyhow::Error::new(error)),
    }
}

/// Where a bpffs is, or what is pinned on the one that `path` is on. Empty for any other error.
fn hint(path: &Path, error: &MapError, mounts: &[Mount]) -> String {
    let mounted = mounts.iter().find(|mount| mount.is_bpffs).map(|mount| printable(&mount.at));
    match (error, mounted) {
        (MapError::NotOnBpffs, Some(mounted)) => format!("; a bpffs is mounted at {mounted}"),
        (MapError::PathMissing { .. }, mounted) => match (mount_of(path, mounts), mounted) {
            (Some(mount), _) if mount.is_bpffs => on_bpffs(&mount.at),
            (_, Some(mounted)) => format!(", nor would it be on a bpffs; one is mounted at {mounted}"),
            (_, None) => "; no bpffs is mounted (mount one: mount -t bpf bpf /sys/fs/bpf)".to_owned(),
        },
        // The error itself says how to mount one.
        _ => String::new(),
    }
}

/// Which rings a bpffs has.
fn on_bpffs(at: &Path) -> String {
    let mut pins = Vec::new();
    for_each_file(at, &|_| false, &mut |path| pins.extend(Map::from_pin(&path).is_ok().then_some(path)));
    pins.sort();
    let names: Vec<String> = pins.iter().take(NAMED).map(|pin| printable(pin)).collect();
    let at = printable(at);
    match pins.len() - names.len() {
        _ if pins.is_empty() => format!("; no ring is pinned on the bpffs at {at}"),
        0 => format!("; the rings on the bpffs at {at} are {}", names.join(", ")),
        more => format!("; the rings on the bpffs at {at} are {} and {more} more", names.join(", ")),
    }
}

/// The mount that `path` is on: the one at the longest beginning of its nearest directory that exists.
fn mount_of<'m>(path: &Path, mounts: &'m [Mount]) -> Option<&'m Mount> {
    let path = std::path::absolute(path).ok()?;
    let directory = path.ancestors().find_map(|ancestor| ancestor.canonicalize().ok())?;
    // The last one mounted at a place hides those before.
    mounts.iter().filter(|mount| directory.starts_with(&mount.at)).max_by_key(|mount| mount.at.components().count())
}

/// The mounts that this process sees; none where they can't be read.
fn mounts() -> Vec<Mount> {
    std::fs::read("/proc/self/mounts").map(|text| parse(&text)).unwrap_or_default()
}

/// Reads lines `device path type options 0 0`.
fn parse(text: &[u8]) -> Vec<Mount> {
    let mount = |line: &[u8]| {
        let mut fields = line.split(|byte| *byte == b' ').skip(1);
        let at = unescape(fields.next()?);
        Some(Mount { at: OsString::from_vec(at).into(), is_bpffs: fields.next()? == b"bpf" })
    };
    text.split(|byte| *byte == b'\n').filter_map(mount).collect()
}

/// Blanks, newlines and backslashes in a path stand there as a backslash and three octal digits.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = field;
    while let Some((byte, behind)) = rest.split_first() {
        let code = behind.get(..3).filter(|_| *byte == b'\\').and_then(|digits| std::str::from_utf8(digits).ok());
        match code.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(code) => {
                bytes.push(code);
                rest = behind.get(3..).unwrap_or_default();
            }
            None => {
                bytes.push(*byte);
                rest = behind;
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTED: &[u8] = b"proc /proc proc rw 0 0\nbpf /x/bpf tmpfs rw 0 0\nnone /sys/fs/bpf bpf rw,mode=700 0 0\n";
    const NOT_MOUNTED: &[u8] = b"proc /proc proc rw 0 0\n\nbroken\n";

    #[test]
    fn a_bpffs_is_known_by_its_type_and_its_path_is_unescaped() {
        let bpffs = |text: &[u8]| {
            parse(text).into_iter().filter(|mount| mount.is_bpffs).map(|mount| mount.at).collect::<Vec<_>>()
        };
        assert_eq!(bpffs(MOUNTED), [Path::new("/sys/fs/bpf")]);
        assert!(bpffs(NOT_MOUNTED).is_empty());
        assert_eq!(bpffs(b"none /my\\040bpf\\134 bpf rw 0 0\n"), [Path::new("/my bpf\\")]);
        assert_eq!(unescape(b"\\04x\\"), b"\\04x\\");
    }

    #[test]
    fn the_hint_looks_where_the_ring_was_sought() {
        let path = Path::new("/no such directory/ring");
        let missing = Map::from_pin(path).unwrap_err();
        let hint = |error: &MapError, mounts: &[u8]| super::hint(path, error, &parse(mounts));
        assert!(hint(&missing, MOUNTED).ends_with("one is mounted at /sys/fs/bpf"));
        assert!(hint(&MapError::NotOnBpffs, MOUNTED).ends_with("a bpffs is mounted at /sys/fs/bpf"));
        let directory = std::env::temp_dir().canonicalize().unwrap().join(format!("bpffs-{}", std::process::id()));
        std::fs::create_dir(&directory).unwrap();
        let at = directory.to_str().unwrap();
        let below = |mounts: &str| super::hint(&directory.join("no/ring"), &missing, &parse(mounts.as_bytes()));
        let (here, elsewhere) = (format!("x {at} bpf rw 0 0\n"), format!("y {at} ext4 rw 0 0\n"));
        let hints = [below(&here), below(&[&*here, &elsewhere].concat())];
        std::fs::remove_dir(&directory).unwrap();
        assert_eq!(hints[0], format!("; no ring is pinned on the bpffs at {at}"));
        assert!(hints[1].contains("nor would it be on a bpffs"), "what is mounted last hides it: {}", hints[1]);
        for error in [missing, MapError::NotOnBpffs] {
            let advice = format!("{error}{}", hint(&error, NOT_MOUNTED));
            assert_eq!(advice.matches("mount -t bpf bpf /sys/fs/bpf").count(), 1, "{advice}");
        }
        assert_eq!(hint(&MapError::PathForbidden, MOUNTED), "");
    }
}
