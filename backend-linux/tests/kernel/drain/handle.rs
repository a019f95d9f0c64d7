//! The program's handle: several of them, their options, and what they refuse.

use super::*;

#[test]
fn a_program_goes_on_after_its_map_handle_is_gone() {
    needs_bpf!();
    // It closes the map's handle.
    let (mut ring, mut program) = setup(4096, 4096);
    ring.send(b"still");
    comes(&mut program, [b"still"]);
}

#[test]
fn two_programs_keep_their_logs_apart() {
    needs_bpf!();
    let map = Map::create("two", 4096).unwrap();
    let mut one = DrainProgram::load(&map, 4096).unwrap();
    let mut two = DrainProgram::load(&map, 4096).unwrap();
    let mut ring = RawProducer::new(&map);
    ring.send(b"one");
    let first = one.run(&QUIET).unwrap();
    ring.send(b"two");
    assert!(two.run(&QUIET).unwrap().samples().eq([b"two"]));
    assert!(first.samples().eq([b"one"]));
}

#[test]
fn loading_without_rights_names_the_capability_and_running_needs_none() {
    needs_bpf!();
    let map = Map::create("rights", 4096).unwrap();
    let mut ring = RawProducer::new(&map);
    let mut program = DrainProgram::load(&map, 4096).unwrap();
    without_rights(|| {
        for log_bytes in [0, 4096] {
            let error = DrainProgram::load(&map, log_bytes).unwrap_err();
            assert!(matches!(error, DrainError::NotPermitted { needs: Capability::Bpf, .. }), "{error:?}");
            assert!(error.to_string().contains("CAP_BPF"), "{error}");
        }
        ring.send(b"free");
        comes(&mut program, [b"free"]);
    });
}

#[test]
fn the_verifiers_words_stand_in_the_error() {
    needs_bpf!();
    // A handle under which another map was put in the descriptor's place.
    let impostor = Map::create("replaced", 4096).unwrap();
    let array = objects::map(2, 4, 8, 1);
    // SAFETY: the number is open; `ManuallyDrop` leaves it to `impostor` to close it.
    let mut place = ManuallyDrop::new(unsafe { OwnedFd::from_raw_fd(impostor.as_raw_fd()) });
    rustix::io::dup2(&array, &mut place).unwrap();
    match DrainProgram::load(&impostor, 4096).unwrap_err() {
        error @ DrainError::Rejected { .. } => {
            assert!(error.to_string().contains("bpf_user_ringbuf_drain"), "{error}");
            let DrainError::Rejected { error, log } = error else { unreachable!() };
            assert_eq!(error.command, BpfCommand::ProgLoad);
            assert!(log.lines().count() > 5, "{log}");
        }
        error => panic!("{error:?}"),
    }
    assert_eq!(Map::from_borrowed(&impostor).unwrap_err(), MapError::WrongType { found: 2 });
}

#[test]
fn the_log_is_frozen_against_writes_from_user_space() {
    needs_bpf!();
    let map = Map::create("frozen", 4096).unwrap();
    let capacity = 12_344;
    let program = DrainProgram::load(&map, capacity).unwrap();
    assert_eq!(program.log_capacity(), capacity);
    let value_size = format!("value_size:\t{}\n", 64 + capacity + 4096);
    let logs: Vec<_> = std::fs::read_dir("/proc/self/fdinfo")
        .unwrap()
        .filter_map(|file| std::fs::read_to_string(file.ok()?.path()).ok())
        .filter(|info| info.contains("map_type:\t2\n") && info.contains(&value_size))
        .collect();
    assert_eq!(logs.len(), 1, "{logs:?}");
    assert!(logs[0].contains("frozen:\t1\n"), "{}", logs[0]);
}

#[test]
fn the_programs_descriptor_outlives_its_log() {
    needs_bpf!();
    let map = Map::create("taken", 4096).unwrap();
    let program = OwnedFd::from(DrainProgram::load(&map, 4096).unwrap());
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", program.as_raw_fd())).unwrap();
    assert!(info.contains("prog_type:\t31\n"), "{info}");
}
