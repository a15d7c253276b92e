//! With all rules every promise holds; without any one of them, one is broken.

use std::time::Duration;

use super::super::breaks;
use super::super::explore::explore_nearest;
use super::{ABOVE_CAP, NAME_TWICE, RoundOpening, RoundsWorld, Rules};

/// There are too many states for a test to see all. Each counterexample below is found among far fewer.
const NEAREST: usize = 25_000;

fn rounds_hold(name: &str, rules: Rules) {
    let found = explore_nearest(NEAREST, &rules, RoundsWorld::new(&rules));
    found.print(name);
    assert_eq!(found.broken, None, "{name}");
}

fn rounds_break(name: &str, promise: &str, rules: Rules) {
    breaks(name, &rules, RoundsWorld::new(&rules), promise);
}

#[test]
fn unfinished_jobs_never_exceed_the_cap_whatever_happens() {
    rounds_hold("rounds: a cap of one, two processes", Rules::default());
}

#[test]
fn a_round_of_two_jobs_is_held_to_the_cap_too() {
    let rules = Rules {
        cap: 2,
        ..Rules::default()
    };
    rounds_hold("rounds: a cap of two, two processes", rules);
}

#[test]
fn without_the_name_before_the_create_the_cap_is_passed() {
    let rules = Rules {
        keeps_name: false,
        ..Rules::default()
    };
    rounds_break(
        "a create is sent again under another name",
        ABOVE_CAP,
        rules,
    );
    let rules = Rules {
        counts_names: false,
        ..Rules::default()
    };
    rounds_break("a name counts once its Job is seen", ABOVE_CAP, rules);
}

#[test]
fn without_the_round_before_the_names_a_name_gets_a_second_job() {
    let rules = Rules {
        writes_first: false,
        faults: 2,
        ..Rules::default()
    };
    rounds_break("creates without a record", NAME_TWICE, rules);
}

#[test]
fn without_the_check_after_the_wait_a_name_gets_a_second_job() {
    let rules = Rules {
        checks_again: false,
        faults: 1,
        ..Rules::default()
    };
    rounds_break(
        "the lead is looked at before the wait only",
        NAME_TWICE,
        rules,
    );
}

#[test]
fn without_a_round_open_until_it_is_answered_the_cap_is_passed() {
    let rules = Rules {
        is_open_until_answered: false,
        faults: 2,
        ..Rules::default()
    };
    rounds_break("a round is written as closed", ABOVE_CAP, rules);
}

#[test]
fn without_the_minute_for_late_creates_the_cap_is_passed() {
    let rules = Rules {
        grace: Duration::ZERO,
        faults: 2,
        ..Rules::default()
    };
    rounds_break(
        "a name that a list lacks is given up at once",
        ABOVE_CAP,
        rules,
    );
}

#[test]
fn without_the_term_in_which_a_turn_counted_the_cap_is_passed() {
    let rules = Rules {
        sends_in_its_term: false,
        faults: 2,
        ..Rules::default()
    };
    rounds_break("frozen while another led", ABOVE_CAP, rules);
}

#[test]
fn without_the_minute_that_a_finished_job_is_kept_a_name_gets_a_second_job() {
    let rules = Rules {
        keeps_young: false,
        ..Rules::default()
    };
    rounds_break("removed within the minute", NAME_TWICE, rules);
}

#[test]
fn without_a_look_at_the_record_before_it_is_written_a_name_gets_a_second_job() {
    let rules = Rules {
        opening: |_, _, _| RoundOpening::Write,
        faults: 2,
        ..Rules::default()
    };
    rounds_break("a record is written over any other", NAME_TWICE, rules);
}
