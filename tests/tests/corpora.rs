//! The committed corpora of the fuzz targets, each input through the body of its target.

use std::fs;
use std::path::{Path, PathBuf};

use user_ringbuf_fuzz::{framing, hostile_positions, operations, repair, ring_image};

/// Inputs of a folder that were replayed, and the names of those that could not be.
#[derive(Debug, Default, PartialEq)]
struct Replay {
    replayed: usize,
    skipped: Vec<String>,
}

fn replay(folder: &Path, run: impl Fn(&[u8]) -> Result<(), String>) -> Replay {
    let files = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    let mut result = Replay::default();
    for file in files {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // Shown where the next line panics.
        println!("{name}");
        match run(&fs::read(&file).unwrap()) {
            Ok(()) => result.replayed += 1,
            Err(why) => {
                println!("skipped: {name} is no input: {why}");
                result.skipped.push(name);
            }
        }
    }
    result
}

fn replay_committed(target: &str, run: impl Fn(&[u8]) -> Result<(), String>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let result = replay(&folder, run);
    // Far fewer than there are, far more than a folder that was forgotten holds.
    assert!(result.replayed >= 50, "{} inputs in {}", result.replayed, folder.display());
}

fn any_bytes(run: impl Fn(&[u8])) -> impl Fn(&[u8]) -> Result<(), String> {
    move |bytes| {
        run(bytes);
        Ok(())
    }
}

fn program(bytes: &[u8]) -> Result<(), String> {
    operations::run(bytes).map_err(|error| error.to_string())
}

#[test]
fn operations_agree_with_the_model() {
    replay_committed("operations", program);
}

#[test]
fn ring_images_are_drained_as_the_second_reading_says() {
    replay_committed("ring_image", any_bytes(ring_image::run));
}

#[test]
fn no_position_leads_a_producer_beyond_free_space() {
    replay_committed("hostile_positions", any_bytes(hostile_positions::run));
}

#[test]
fn repaired_rings_drain_to_empty() {
    replay_committed("repair", any_bytes(repair::run));
}

#[test]
fn input_in_pieces_is_cut_as_the_whole_is() {
    replay_committed("framing", any_bytes(framing::run));
}

#[test]
fn an_input_that_is_no_program_is_skipped_with_its_name() {
    let folder = std::env::temp_dir().join(format!("user-ringbuf-corpus-{}", std::process::id()));
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("empty"), []).unwrap();
    fs::write(folder.join("good"), "\u{3}\u{1}").unwrap();
    let result = replay(&folder, program);
    fs::remove_dir_all(&folder).unwrap();
    assert_eq!(result, Replay { replayed: 1, skipped: vec!["empty".into()] });
}
