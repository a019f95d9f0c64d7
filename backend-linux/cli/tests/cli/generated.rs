//! The committed man pages and completions are those of this command.

use std::collections::BTreeMap;
use std::path::Path;

use crate::support::{Directory, command};

/// The files of a directory, by name.
fn files(directory: &Path) -> BTreeMap<String, String> {
    let entries = std::fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let file = |entry: std::fs::DirEntry| {
        let name = entry.file_name().into_string().unwrap();
        (name, std::fs::read_to_string(entry.path()).unwrap())
    };
    entries.map(|entry| file(entry.unwrap())).collect()
}

#[test]
fn man_pages_and_completions_are_current() {
    let made = Directory::new();
    let status = command().arg("generate").arg(made.path("")).status().unwrap();
    assert!(status.success());
    let committed = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (kind, some) in [("man", "user-ringbuf-drain.1"), ("completions", "user-ringbuf.bash")] {
        let (made, committed) = (files(&made.path(kind)), files(&committed.join(kind)));
        assert!(made.contains_key(some), "{:?}", made.keys());
        assert!(made.keys().eq(committed.keys()), "{:?} {:?}", made.keys(), committed.keys());
        for (name, text) in &made {
            assert!(
                committed.get(name) == Some(text),
                "{kind}/{name} is out of date: run `cargo run -p user-ringbuf-cli -- generate backend-linux/cli`"
            );
            assert!(!text.contains("generate"), "{name} shows what is hidden");
        }
    }
}
