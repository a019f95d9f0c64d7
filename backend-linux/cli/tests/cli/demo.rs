//! `demo`: every sample accounted for, on the kernel and on the simulation.

use serde_json::json;
use user_ringbuf_kit::needs_admin;

use crate::support::{Run, has, run, run_without_rights};

fn intact(run: &Run, backend: &str, samples: u64) {
    assert_eq!(run.status, 0, "{run:?}");
    let json = run.json();
    has(&json, json!({"backend": backend, "samples": samples, "drained": samples}));
    has(&json, json!({"lost": 0, "out_of_order": 0, "corrupt": 0}));
    assert!(json["kernel"].is_string());
    for key in ["seconds", "samples_per_second", "producer_share", "kernel_share"] {
        assert!(json[key].as_f64().is_some_and(|number| number >= 0.0), "{key}: {run:?}");
    }
    let shares = json["producer_share"].as_f64().unwrap() + json["kernel_share"].as_f64().unwrap();
    assert!(shares <= 1.0, "{run:?}");
}

const SHAPES: [(&[&str], u64); 6] = [
    (&["--samples", "100000"], 100_000),
    (&["--samples", "300000", "--size", "0", "--ring", "4M"], 300_000),
    (&["--samples", "2000", "--size", "4000", "--ring", "4096"], 2000),
    (&["--samples", "2000", "--size", "4088", "--ring", "4096"], 2000),
    (&["--samples", "6", "--size", "16777215", "--ring", "33554432"], 6),
    (&["--samples", "0"], 0),
];

#[test]
fn every_sample_reaches_the_kernel_intact() {
    needs_admin!();
    for (args, samples) in SHAPES {
        intact(&run(&[&["demo", "--backend", "linux", "--json"], args].concat()), "linux", samples);
    }
}

#[test]
fn every_sample_reaches_the_simulated_kernel_without_rights() {
    for (args, samples) in SHAPES {
        intact(&run_without_rights(&[&["demo", "--backend", "sim", "--json"], args].concat()), "sim", samples);
    }
}

#[test]
fn auto_says_which_backend_it_took_and_why() {
    needs_admin!();
    let linux = run(&["demo", "--samples", "1000", "--json"]);
    intact(&linux, "linux", 1000);
    assert!(linux.stderr.contains("linux"), "{linux:?}");
    let sim = run_without_rights(&["demo", "--samples", "1000", "--json"]);
    intact(&sim, "sim", 1000);
    assert!(sim.stderr.contains("sim") && sim.stderr.contains("CAP_BPF"), "{sim:?}");
}

#[test]
fn the_real_kernel_without_rights_is_an_error_that_names_the_way_round() {
    needs_admin!();
    run_without_rights(&["demo", "--backend", "linux"]).failed(1, &["CAP_BPF", "--backend sim"]);
}

#[test]
fn sizes_that_can_not_work_are_refused_before_anything_runs() {
    for (args, words) in [
        (&["--size", "65529", "--ring", "65536"][..], ["65529", "65528"]),
        (&["--size", "16777216", "--ring", "1G"], ["16777216", "16777215"]),
        (&["--size", "18446744073709551615"], ["18446744073709551615", "262136"]),
        (&["--ring", "0"], ["size 0", "--ring"]),
        (&["--ring", "4G"], ["4294967296", "2147483648"]),
    ] {
        for backend in ["auto", "linux", "sim"] {
            let run = run(&[&["demo", "--json", "--backend", backend], args].concat());
            let error = run.failed(2, &words);
            assert!(!error.contains("backend"), "nothing may have run: {error}");
            assert_eq!(run.stdout, "");
        }
    }
}

#[test]
fn in_words_the_report_says_the_same() {
    let run = run(&["demo", "--samples", "1234", "--backend", "sim"]).quiet();
    for words in ["1234 samples of 40 bytes", "drained       1234", "lost          0", "simulated"] {
        assert!(run.stdout.contains(words), "{words}: {run:?}");
    }
}
