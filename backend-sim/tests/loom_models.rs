//! Every model passes with the orderings of the protocol, in every interleaving.
#![cfg(all(feature = "loom", feature = "proof"))]

use user_ringbuf_sim::Orderings;
use user_ringbuf_sim::proof::loom::models::{self, Depth, Model};

/// One test per model, so that they run side by side and fail by name.
macro_rules! models_pass {
    ($($test:ident: $model:literal,)*) => {
        $(#[test]
        fn $test() {
            let model = Model::by_name($model).expect("a model of this name");
            let interleavings = model.check(Orderings::of_the_protocol(), Depth::Full);
            println!("{}: {interleavings} interleavings", model.name());
            assert!(interleavings > 1, "a model in which nothing can happen in another order shows nothing");
        })*

        #[test]
        fn every_model_has_a_test_here() {
            let tested = [$($model),*];
            for model in models::ALL {
                assert!(tested.contains(&model.name()), "{} has none", model.name());
            }
            assert_eq!(tested.len(), models::ALL.len());
        }
    };
}

models_pass! {
    submitted_samples_come_out_whole_once_and_in_order: "submit",
    a_full_ring_takes_the_next_sample_when_the_kernel_is_done_with_the_last: "full-ring",
    discarded_and_given_up_bytes_are_never_seen: "discard",
    a_producer_killed_at_any_step_leaves_whole_samples_and_a_sound_ring: "crash",
    a_batch_is_seen_whole_or_not_at_all: "batch",
    two_drainers_share_the_samples_and_one_of_them_may_hear_busy: "two-drainers",
    a_producer_attaches_while_the_kernel_drains: "attach",
    positions_pass_the_end_of_their_64_bits: "position-wrap",
    detached_samples_submitted_out_of_order_come_out_in_order: "detached",
    a_dropped_detached_sample_is_skipped: "detached-discard",
    samples_of_a_lane_are_seen_one_by_one_and_the_rest_is_skipped: "lane",
    two_producers_lose_nothing: "shared",
    three_producers_lose_nothing: "shared-three",
    two_producers_share_the_room_that_either_of_them_found: "shared-full",
    a_lane_works_beside_another_producer: "shared-lane",
    lanes_that_threads_take_by_themselves_lose_nothing: "auto-lanes",
    a_thread_resumes_behind_another_producer_beside_one_that_pushes: "shared-resume",
    two_handles_under_one_lock_lose_nothing: "raw",
    samples_are_submitted_and_discarded_by_another_thread: "raw-elsewhere",
    a_batch_behind_a_busy_record_is_seen_whole: "raw-push",
    a_walk_beside_a_lane_finds_headers_only: "observe-lane",
    a_walk_beside_a_drainer_finds_no_record_that_never_was: "observe-drain",
    no_wake_is_lost_by_who_waits_for_room: "wait-for-room",
    no_wake_is_lost_by_who_takes_a_turn: "wait-in-turn",
    no_wake_is_lost_by_who_waits_until_samples_are_consumed: "wait-consumed",
    consumption_is_noticed_on_a_ring_that_is_refilled_at_once: "wait-refilled",
    asking_what_is_consumed_raises_no_alarm_beside_other_producers: "wait-beside-others",
    busy_records_of_the_dead_are_repaired_beside_a_drainer: "repair-busy",
    damaged_stretches_are_repaired_beside_a_drainer: "repair-damage",
    a_producer_position_beyond_the_ring_is_repaired_beside_a_drainer: "repair-position",
}
