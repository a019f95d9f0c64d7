//! Wrong usage exits with status 2 and shows what is allowed.

use crate::support::run;

#[test]
fn wrong_usage_exits_2_and_prints_nothing_on_standard_output() {
    for args in [
        &[][..],
        &["fly"],
        &["send"],
        &["send", "--pin", "/x", "--id", "1"],
        &["send", "--id", "one"],
        &["send", "--id", "-1"],
        &["send", "--id", "4294967296"],
        &["send", "--pin", "/x", "--framing", "morse"],
        &["send", "--pin", "/x", "--on-full", "explode"],
        &["create", "--pin", "/x"],
        &["create", "--size", "4096"],
        &["create", "--pin", "/x", "--size", "many"],
        &["create", "--pin", "/x", "--size", "99999999999999999999"],
        &["list", "--every", "3"],
        &["list", "--times", "3"],
        &["list", "--watch", "--prometheus"],
        &["list", "--json", "--prometheus"],
        &["drain"],
        &["drain", "--id", "1", "--no-wakeup", "--force-wakeup"],
        &["drain", "--id", "1", "--every", "3"],
        &["drain", "--id", "1", "--samples", "0"],
        &["drain", "--id", "1", "--name", "x"],
        &["demo", "--samples", "-1"],
        &["demo", "--size", "1.5"],
        &["demo", "--backend", "dreams"],
        &["probe", "--hard"],
        &["probe", "there"],
        &["inspect"],
        &["inspect", "--pin", "/x", "--id", "1"],
        &["inspect", "--id", "-1"],
        &["inspect", "--id", "1", "--records", "-1"],
        &["inspect", "--id", "1", "--records", "1000001"],
        &["inspect", "--id", "1", "--times", "3"],
        &["inspect", "--id", "1", "--every", "3"],
        &["inspect", "--id", "1", "--watch", "--times", "0"],
        &["inspect", "--id", "1", "--watch", "--every", "0"],
        &["inspect", "--id", "1", "--producer-is-gone"],
        &["repair"],
        &["repair", "--dry-run"],
        &["repair", "--producer-is-gone"],
        &["repair", "--id", "1"],
        &["repair", "--id", "1", "--records", "2"],
        &["repair", "--id", "4294967296", "--producer-is-gone"],
        &["repair", "--id", "1", "--producer-is-gone=maybe"],
        // Nothing overrides a claim.
        &["repair", "--id", "1", "--producer-is-gone", "--force"],
        &["send", "--id", "1", "--producer-is-gone"],
        &["send", "--id", "1", "--force"],
    ] {
        let run = run(args);
        run.failed(2, &[]);
        assert_eq!(run.stdout, "", "{args:?}");
    }
}

#[test]
fn a_wrong_value_is_answered_with_what_is_allowed() {
    run(&["send", "--id", "1", "--framing", "morse"]).failed(2, &["lines", "u32"]);
    for (size, limit) in [
        ("1X", "M, MB or MiB"),
        ("1.5M", "M, MB or MiB"),
        ("1TB", "M, MB or MiB"),
        ("0", "size 0"),
        ("2147483649", "2147483648"),
        ("3G", "2147483648"),
    ] {
        run(&["create", "--pin", "/x", "--size", size]).failed(2, &[limit]);
    }
    for (name, limit) in [("sixteen_bytes_xy", "limit is 15"), ("a b", "allowed are letters")] {
        run(&["create", "--pin", "/x", "--size", "4096", "--name", name]).failed(2, &[limit]);
    }
}

#[test]
fn help_and_version_are_no_errors_and_help_describes_the_frames() {
    let help = run(&["send", "--help"]);
    assert_eq!(help.status, 0);
    assert!(help.stdout.contains("little-endian"), "{}", help.stdout);
    assert_eq!(run(&["--help"]).status, 0);
    assert!(run(&["--version"]).stdout.starts_with("user-ringbuf 0."));
}
