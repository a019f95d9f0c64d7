//! The committed corpora of the fuzz targets, each input through the body of its target.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use user_ringbuf_sim::proof::targets::{hostile_positions, operations, repair, ring_image};
use user_ringbuf_tests::framing;

/// Inputs of an archive that were replayed, and the names of those that could not be.
#[derive(Debug, Default, PartialEq)]
struct Replay {
    replayed: usize,
    skipped: Vec<String>,
}

fn replay(archive: impl Read, run: impl Fn(&[u8]) -> Result<(), String>) -> Replay {
    let mut result = Replay::default();
    for input in tar::Archive::new(archive).entries().unwrap() {
        let mut input = input.unwrap();
        let name = input.path().unwrap().display().to_string();
        // Shown where the next line panics.
        println!("{name}");
        let mut bytes = vec![];
        input.read_to_end(&mut bytes).unwrap();
        match run(&bytes) {
            Ok(()) => result.replayed += 1,
            Err(why) => {
                println!("skipped: {name} is not an input: {why}");
                result.skipped.push(name);
            }
        }
    }
    result
}

fn replay_committed(target: &str, run: impl Fn(&[u8]) -> Result<(), String>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../fuzz/corpus/{target}.tar"));
    let archive = File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let result = replay(archive, run);
    // Far fewer than there are, far more than an archive that was forgotten holds.
    assert!(result.replayed >= 50, "{} inputs in {}", result.replayed, path.display());
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
    replay_committed("hostile_positions", any_bytes(|bytes| _ = hostile_positions::run(bytes)));
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
fn an_input_that_is_not_a_program_is_skipped_with_its_name() {
    let mut archive = tar::Builder::new(vec![]);
    for (name, bytes) in [("empty", &[][..]), ("good", &[3, 1])] {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        archive.append_data(&mut header, name, bytes).unwrap();
    }
    let result = replay(&archive.into_inner().unwrap()[..], program);
    assert_eq!(result, Replay { replayed: 1, skipped: vec!["empty".into()] });
}
