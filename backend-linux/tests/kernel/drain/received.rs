//! What the program hands back is what was written: each sample, in order, with its length and bytes.

use super::*;

#[test]
fn samples_arrive_in_order_with_their_exact_length_and_bytes() {
    needs_bpf!();
    let (mut ring, mut program) = setup(1 << 20, 1 << 20);
    let sent: Vec<_> = [3, 0, 1, 7, 8, 9, 8, 8, 0, 0, 4096, 4097, 40, 40, 4095, 65536].map(pattern).into();
    for sample in &sent {
        ring.send(sample);
    }
    let drained = program.run(&QUIET).unwrap();
    assert_eq!(drained.returned(), Ok(16));
    assert_eq!(drained.raw_returned(), 16);
    assert_eq!(drained.unlogged(), 0);
    assert_eq!(drained.nested(), None);
    assert!(drained.samples().eq(sent.iter().map(Vec::as_slice)));
    assert!(drained.samples().all(|sample| sample.as_ptr().addr() % 8 == 0));
    assert_eq!(ring.consumer_pos(), ring.producer_pos());
}

#[test]
fn every_length_up_to_a_page_and_each_near_a_power_of_two_arrives_intact() {
    needs_bpf!();
    let (mut ring, mut program) = setup(1 << 25, (1 << 25) + 64);
    let edges = (12..=24).flat_map(|bits| {
        let edge = 1_usize << bits;
        [edge - 1, edge, edge + 1, edge + edge / 2 + 5]
    });
    let lengths: Vec<_> = (0..=4200).chain(edges.filter(|len| *len <= LONGEST)).collect();
    for pair in lengths.chunks(2) {
        let sent: Vec<_> = pair.iter().map(|len| pattern(*len)).collect();
        let mut sent = &sent[..];
        while !sent.is_empty() {
            let fitting = sent.iter().take_while(|sample| {
                let fits = sample.len() + 16 <= ring.free();
                if fits {
                    ring.send(sample);
                }
                fits
            });
            let (now, later) = sent.split_at(fitting.count());
            comes(&mut program, now);
            sent = later;
        }
    }
}

#[test]
fn the_longest_sample_fits_a_log_made_for_it() {
    needs_bpf!();
    let (mut ring, mut program) = setup(1 << 25, DrainProgram::log_bytes(1, LONGEST));
    let sample = pattern(LONGEST);
    ring.send(&sample);
    comes(&mut program, [sample]);
}

#[test]
fn an_empty_ring_yields_nothing_and_forgets_the_last_run() {
    needs_bpf!();
    let (mut ring, mut program) = setup(4096, 4096);
    ring.send(b"once");
    comes(&mut program, [b"once"]);
    comes(&mut program, [b""; 0]);
}

#[test]
fn one_drain_takes_at_most_131072_records_and_logs_them_all() {
    needs_bpf!();
    let count = usize::try_from(BATCH).unwrap();
    let (mut ring, mut program) = setup(1 << 22, DrainProgram::log_bytes(count, 8));
    for number in 0..BATCH + 5 {
        ring.write(0, &number.to_ne_bytes());
    }
    ring.publish();
    comes(&mut program, (0..BATCH).map(u32::to_ne_bytes));
    comes(&mut program, (BATCH..BATCH + 5).map(u32::to_ne_bytes));
}

#[test]
fn what_does_not_fit_the_log_is_consumed_and_counted_and_nothing_is_logged_behind_it() {
    needs_bpf!();
    // Room for three samples of 8 bytes.
    let (mut ring, mut program) = setup(1 << 20, DrainProgram::log_bytes(3, 8));
    assert_eq!(program.log_capacity(), 48);
    for _ in 0..3 {
        ring.send(b"12345678");
    }
    comes(&mut program, [b"12345678"; 3]);
    ring.send(b"a");
    ring.send(&pattern(30));
    ring.send(b"b");
    ring.send(&pattern(100_000));
    let drained = program.run(&QUIET).unwrap();
    assert_eq!(drained.returned(), Ok(4));
    assert_eq!(drained.unlogged(), 3);
    assert!(drained.samples().eq([b"a"]));
    assert_eq!(ring.consumer_pos(), ring.producer_pos());
    // The next run starts anew.
    ring.send(b"c");
    comes(&mut program, [b"c"]);
}

#[test]
fn a_large_sample_that_does_not_fit_leaves_no_trace_in_the_log() {
    needs_bpf!();
    for log_bytes in [4096, 5000, 8192, 65_536, 100_000] {
        let (mut ring, mut program) = setup(1 << 20, log_bytes);
        let fits = pattern(log_bytes.next_multiple_of(8) - 8);
        ring.send(&fits);
        comes(&mut program, [&fits]);
        ring.send(b"x");
        ring.send(&fits);
        let drained = program.run(&QUIET).unwrap();
        assert!(drained.samples().eq([b"x"]));
        assert_eq!(drained.unlogged(), 1);
    }
}

#[test]
fn without_a_log_the_ring_is_emptied_all_the_same() {
    needs_bpf!();
    let (mut ring, mut program) = setup(4096, 0);
    ring.send(b"one");
    ring.send(b"two");
    let drained = program.run(&DrainOptions::new()).unwrap();
    assert_eq!(drained.returned(), Ok(2));
    assert_eq!((drained.samples().len(), drained.unlogged()), (0, 0));
    assert_eq!(ring.consumer_pos(), ring.producer_pos());
}
