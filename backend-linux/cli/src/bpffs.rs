//! Where a bpffs is, for those who looked in the wrong place or have none.

use user_ringbuf_linux::MapError;

/// The error of a path that stands in the text already, with where a bpffs is mounted or how to mount one.
pub(crate) fn in_words(error: MapError) -> String {
    let hint = hint(&error);
    match error {
        MapError::PathMissing { .. } => format!("no such path{hint}"),
        error => format!("{:#}{hint}", anyhow::Error::new(error)),
    }
}

/// Where a bpffs is mounted, or how to mount one. Empty for an error that has nothing to do with that.
fn hint(error: &MapError) -> String {
    if !matches!(error, MapError::NotOnBpffs | MapError::PathMissing { .. }) {
        return String::new();
    }
    // Where the mounts can't be read, nothing can be said of them.
    std::fs::read_to_string("/proc/self/mounts").map(|mounts| hint_from(error, &mounts)).unwrap_or_default()
}

fn hint_from(error: &MapError, mounts: &str) -> String {
    match (error, bpffs_among(mounts)) {
        (MapError::NotOnBpffs, Some(mounted)) => format!("; one is mounted at {mounted}"),
        (MapError::PathMissing { .. }, Some(mounted)) => format!("; a bpffs is mounted at {mounted}"),
        (MapError::PathMissing { .. }, None) => {
            "; no bpffs is mounted (mount one: mount -t bpf bpf /sys/fs/bpf)".to_owned()
        }
        // That a path is not on a bpffs comes with how to mount one.
        _ => String::new(),
    }
}

/// Finds the mount point of a bpffs among lines `device path type options 0 0`.
fn bpffs_among(mounts: &str) -> Option<&str> {
    mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let path = fields.next()?;
        (fields.next()? == "bpf").then_some(path)
    })
}

#[cfg(test)]
mod tests {
    use user_ringbuf_linux::Map;

    use super::*;

    const MOUNTED: &str = "proc /proc proc rw 0 0\nbpf /x/bpf tmpfs rw 0 0\nnone /sys/fs/bpf bpf rw,mode=700 0 0\n";
    const NOT_MOUNTED: &str = "proc /proc proc rw 0 0\n\nbroken\n";

    #[test]
    fn a_bpffs_is_found_among_other_mounts() {
        assert_eq!(bpffs_among(MOUNTED), Some("/sys/fs/bpf"));
        assert_eq!(bpffs_among(NOT_MOUNTED), None);
    }

    #[test]
    fn who_looks_in_the_wrong_place_hears_where_a_bpffs_is_or_how_to_mount_one() {
        let missing = Map::from_pin("/no such directory/ring").unwrap_err();
        assert!(in_words(missing).starts_with("no such path"), "{missing}");
        for error in [missing, MapError::NotOnBpffs] {
            let mounted = hint_from(&error, MOUNTED);
            assert!(mounted.ends_with("is mounted at /sys/fs/bpf"), "{mounted}");
            let advice = format!("{error}{}", hint_from(&error, NOT_MOUNTED));
            assert_eq!(advice.matches("mount -t bpf bpf /sys/fs/bpf").count(), 1, "{advice}");
        }
        assert_eq!(hint_from(&MapError::PathForbidden, MOUNTED), "");
        assert_eq!(hint(&MapError::PathForbidden), "");
    }
}
