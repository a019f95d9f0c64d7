//! Pins: where they lead, and who may see it.

use std::os::unix::fs::PermissionsExt;

use user_ringbuf_kit::bpffs::{Bpffs, Directory};
use user_ringbuf_kit::needs_admin;
use user_ringbuf_kit::objects;
use user_ringbuf_kit::rights::without_rights;
use user_ringbuf_linux::{Map, MapError};

#[test]
fn a_pin_leads_to_a_map_until_it_is_replaced_or_removed() {
    needs_admin!();
    let bpffs = Bpffs::mount();
    let (ours, other) = (Map::create("ours", 1).unwrap(), Map::create("other", 1).unwrap());
    let path = bpffs.path("ring");
    let leads_to_ours = || ours.is_pinned_at(&path).unwrap();
    assert!(!leads_to_ours(), "nothing is there yet");
    ours.pin(&path).unwrap();
    assert!(leads_to_ours());
    assert!(ours.try_clone().unwrap().is_pinned_at(&path).unwrap(), "it is the map that counts, not the handle");
    assert!(!other.is_pinned_at(&path).unwrap());
    // By its replacement, in one step.
    other.pin(bpffs.path("new")).unwrap();
    std::fs::rename(bpffs.path("new"), &path).unwrap();
    assert!(!leads_to_ours());
    assert!(other.is_pinned_at(&path).unwrap());
    // Pins of other maps, and of other objects than maps.
    for object in [objects::map(1, 4, 8, 4), objects::program(31, 16), objects::program(1, 0)] {
        std::fs::remove_file(&path).unwrap();
        objects::pin(&object, &path);
        assert!(!leads_to_ours());
    }
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    assert!(!leads_to_ours(), "a directory");
    // Where there is no bpffs, nothing is pinned.
    let plain = Directory::new();
    std::fs::write(plain.path("ring"), "").unwrap();
    for path in [plain.path("ring"), plain.path("ring/ring"), plain.path("none"), "".into()] {
        assert!(!ours.is_pinned_at(&path).unwrap(), "{}", path.display());
    }
}

#[test]
fn to_see_where_a_pin_leads_needs_read_permission_and_without_it_nothing_is_claimed() {
    needs_admin!();
    let bpffs = Bpffs::mount();
    let (ours, other) = (Map::create("ours", 1).unwrap(), Map::create("other", 1).unwrap());
    let path = bpffs.path("ring");
    ours.pin(&path).unwrap();
    rustix::fs::chown(&path, Some(rustix::fs::Uid::from_raw(65534)), None).unwrap();
    let with_mode = |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    // Root by number, without capabilities: the group gets to read.
    with_mode(0o640);
    without_rights(|| {
        assert_eq!((ours.is_pinned_at(&path), other.is_pinned_at(&path)), (Ok(true), Ok(false)));
        assert_eq!(Map::from_pin(&path).unwrap_err(), MapError::PathForbidden, "to open it takes more");
    });
    with_mode(0o600);
    without_rights(|| assert_eq!(ours.is_pinned_at(&path), Err(MapError::PathForbidden)));
}
