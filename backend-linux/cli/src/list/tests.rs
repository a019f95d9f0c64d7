//! Listings of rings that were never there.

use super::*;
use crate::producer::{Process, Producing};

fn ring<'a>(id: u32, holders: Option<&'a [Process]>) -> Listed<'a> {
    Listed {
        id,
        name: "ring",
        size: 4096,
        used: Some(320),
        consumer_pos: 4096,
        producer_pos: 4416,
        verdict: "flowing",
        stuck: false,
        words: "flowing".to_owned(),
        unchanged_seconds: None,
        produced_bytes_per_second: None,
        drained_bytes_per_second: None,
        producer: Producing::None,
        holders,
        pins: Vec::new(),
    }
}

fn listing<'a>(rings: Vec<Listed<'a>>) -> Listing<'a> {
    Listing {
        stuck: rings.iter().filter(|ring| ring.stuck).map(|ring| ring.id).collect(),
        rings,
        unreadable: &[],
        vanished: 0,
        holders_unreadable: Some(0),
        watch: false,
        colour: false,
        unsupported: false,
        no_holders: None,
        again: false,
        prometheus: false,
    }
}

fn words(listing: &Listing<'_>) -> String {
    let mut out = Vec::new();
    listing.words(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn process(pid: u32) -> Process {
    Process { pid, name: "agent".to_owned() }
}

#[test]
fn a_kernel_without_rings_is_told_apart_from_one_on_which_there_are_none() {
    assert_eq!(words(&listing(vec![])), "no rings\n");
    let unsupported = Listing { unsupported: true, ..listing(vec![]) };
    assert_eq!(words(&unsupported), "no rings: this kernel has no user ring buffers (Linux 6.1 and newer have)\n");
}

#[test]
fn columns_are_aligned_and_few_holders_are_named() {
    let many: Vec<Process> = (1..=5).map(process).collect();
    let stuck = Listed { stuck: true, verdict: "held", producer: Producing::Gone, ..ring(1234, Some(&many)) };
    let pinned = Listed { pins: vec!["/a".to_owned(), "/b".to_owned()], ..ring(7, Some(&[])) };
    assert_eq!(
        words(&listing(vec![pinned, stuck])),
        "  ID  NAME  SIZE  USED  VERDICT      PRODUCER  HELD OPEN BY                                         PINS\n   \
            7  ring  4096   320  flowing      none      none                                                 /a, /b\n\
         1234  ring  4096   320  held, stuck  gone      agent (pid 1), agent (pid 2), agent (pid 3), 2 more\n\
         2 rings, 1 stuck\n"
    );
}

#[test]
fn a_watched_ring_has_rates_and_says_for_how_long_it_has_not_moved() {
    let start = Instant::now();
    let mut past = Past::default();
    assert_eq!(past.rates(100, 200, start), None);
    assert_eq!(past.rates(300, 1200, start + Duration::from_secs(2)), Some((100.0, 500.0)));
    assert_eq!(past.rates(300, 200, start + Duration::from_secs(3)), Some((0.0, 0.0)), "moved back by a repair");

    let watched = Listed {
        produced_bytes_per_second: Some(500.4),
        drained_bytes_per_second: Some(0.0),
        unchanged_seconds: Some(3.2),
        ..ring(7, None)
    };
    let text = words(&Listing { watch: true, ..listing(vec![watched]) });
    let cells: Vec<&str> = text.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(cells, ["7", "ring", "4096", "320", "flowing", "500", "0", "3", "s", "none", "?"]);
}

#[test]
fn colours_are_used_only_where_they_are_wanted() {
    let plain = words(&listing(vec![ring(7, None)]));
    let coloured = words(&Listing { colour: true, ..listing(vec![ring(7, None)]) });
    assert!(!plain.contains('\x1b') && coloured.contains("\x1b[32mflowing\x1b[0m"), "{coloured:?}");
}

#[test]
fn some_stuck_rings_are_named_and_the_others_are_counted() {
    let stuck = |id| Listed { stuck: true, words: "held by the busy record at 48".to_owned(), ..ring(id, None) };
    assert_eq!(verdict(&listing(vec![ring(1, None)])), Verdict::Good);
    let one = Verdict::Bad("stuck: ring 1 (ring), held by the busy record at 48".to_owned());
    assert_eq!(verdict(&listing(vec![stuck(1)])), one);
    let Verdict::Bad(many) = verdict(&listing((1..=7).map(stuck).collect())) else { unreachable!() };
    assert!(many.starts_with("7 rings are stuck: ring 1 (ring), held") && many.ends_with("; and 2 more"), "{many}");
}

#[test]
fn metrics_are_in_families_and_label_values_are_escaped() {
    let odd = Listed { name: "a\"b", pins: vec!["/x\\n".to_owned()], used: None, ..ring(7, None) };
    let text = words(&Listing { prometheus: true, ..listing(vec![ring(1, Some(&[])), odd]) });
    let samples = |family: &str| -> Vec<&str> {
        text.lines().filter(|line| line.starts_with(&format!("user_ringbuf_{family}{{"))).collect()
    };
    assert_eq!(samples("used_bytes"), [r#"user_ringbuf_used_bytes{id="1",name="ring",pin=""} 320"#]);
    assert_eq!(samples("stuck")[1], r#"user_ringbuf_stuck{id="7",name="a\"b",pin="/x\\n"} 0"#);
    assert_eq!(samples("verdict")[0], r#"user_ringbuf_verdict{id="1",name="ring",pin="",verdict="flowing"} 1"#);
    // Each family has one head, in front of its samples.
    let mut family = "";
    let mut seen = std::collections::HashSet::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            family = rest.split(' ').next().unwrap();
            assert!(seen.insert(family), "{family} twice");
        } else if !line.starts_with("# HELP ") {
            assert_eq!(line.split(['{', ' ']).next(), Some(family));
            assert!(line.rsplit(' ').next().unwrap().parse::<u64>().is_ok(), "{line}");
        }
    }
}
