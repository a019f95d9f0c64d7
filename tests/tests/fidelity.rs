//! The comparison of the fake kernel with the real one, compared itself: it finds what is planted, and meets every rule.

use user_ringbuf_kit::needs_bpf;
use user_ringbuf_sim::proof::Fault;
use user_ringbuf_tests::fidelity::compare::Pair;
use user_ringbuf_tests::fidelity::image::Ground;
use user_ringbuf_tests::fidelity::outcome::Outcome;
use user_ringbuf_tests::fidelity::sim::SimRing;
use user_ringbuf_tests::fidelity::trial::{Plan, Trial, TrialReport, against_the_kernel, log_bytes};

/// The fake kernel against itself: on any machine, without rights.
fn against_itself(plan: &Plan) -> TrialReport {
    on_pages_of(u32::try_from(rustix::param::page_size()).unwrap(), plan)
}

fn on_pages_of(page: u32, plan: &Plan) -> TrialReport {
    let ring = |ground: Ground, fault| SimRing::new(ground.size(page), log_bytes(ground), fault).unwrap();
    let mut build = |ground| Ok(Pair::new(ring(ground, None), ring(ground, plan.plant)));
    Trial::new(page, &mut build).run(plan).unwrap()
}

fn plan(images: u64, plant: Option<Fault>) -> Plan {
    Plan { images, seed: 1, only: None, plant }
}

#[test]
fn every_planted_fault_is_found_and_shrunk_to_a_case_that_repeats() {
    for fault in Fault::ALL {
        let report = against_itself(&plan(5000, Some(*fault)));
        let found = report.found.unwrap_or_else(|| panic!("{fault} was not found"));
        assert_eq!(report.differences, 1);
        assert!(found.case.lines().count() < 10, "{fault}: {}", found.case);
        assert!(found.repeat.ends_with(&format!("--seed 1 --image {} --plant {fault}", found.image)));
        let again = against_itself(&Plan { only: Some(found.image), ..plan(1, Some(*fault)) });
        let again = again.found.unwrap_or_else(|| panic!("{fault} was not found again"));
        assert_eq!((again.image, again.case), (found.image, found.case), "{fault}");
    }
}

#[test]
fn every_rule_is_met_by_one_image_in_a_hundred_on_every_page_size_unless_there_is_a_reason() {
    for page in [4096, 16384, 65536] {
        let report = on_pages_of(page, &plan(10_000, None));
        assert_eq!((report.images, report.differences), (10_000, 0));
        assert_eq!(report.untested, Vec::<&str>::new(), "pages of {page} bytes");
        for outcome in Outcome::ALL {
            let count = report.outcomes[outcome.name()];
            assert!(outcome.rare().is_some() || count >= 100, "{page}: {} was met {count} times", outcome.name());
        }
        // The rare ones are met too, if one waits for them.
        assert!(report.outcomes[Outcome::Cap.name()] > 0);
    }
}

#[test]
fn the_fake_kernel_answers_as_the_real_one() {
    needs_bpf!();
    let report = against_the_kernel(&plan(3000, None)).unwrap();
    assert!(report.found.is_none(), "{report:#?}");
}
