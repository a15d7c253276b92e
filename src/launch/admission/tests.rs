use std::num::NonZeroU32;

use super::*;
use crate::launch::JobOutcome;
use crate::launch::fixtures::{as_seen, delivered};

/// A Job from a word: `w3` waits and came at second 3, `r` released, `d` dropped, `n` without a gate. Then any of:
/// `*` claimed by another, `?` by nobody, `+` resumed by hand, `!` has no Pods, `.` has ended, `-` is going, `/key`.
fn job(word: &str) -> DeliveredJob {
    let (word, key) = word.split_once('/').unwrap_or((word, ""));
    let came: String = word.chars().filter(char::is_ascii_digit).collect();
    let mut job = delivered(word, came.parse().unwrap());
    job.key = key.to_owned();
    job.claimed_by = Some("me".to_owned());
    job.gate = match word.as_bytes()[0] {
        b'w' => Some(Gate::Waiting),
        b'r' => Some(Gate::Released),
        b'd' => Some(Gate::Dropped),
        _ => None,
    };
    job.is_suspended = matches!(job.gate, Some(Gate::Waiting | Gate::Dropped));
    for mark in word.chars() {
        match mark {
            '*' => job.claimed_by = Some("another".to_owned()),
            '?' => job.claimed_by = None,
            '+' => job.is_suspended = false,
            '!' => job.active_pods = 0,
            '.' => job.ended = Some((JobOutcome::Complete, job.created_at)),
            '-' => job.is_going = true,
            _ => {}
        }
    }
    job
}

fn gated(policy: GatedPolicy, limit: u32) -> Concurrency {
    Concurrency::Gated {
        policy,
        limit: NonZeroU32::new(limit).unwrap(),
        key_from: None,
        max_waiting: 1_000,
    }
}

/// What is to be done about these Jobs, in words: `drop w2 release w1 claim w3?`.
fn changes(concurrency: &Concurrency, words: &str) -> String {
    let words: Vec<&str> = words.split_whitespace().collect();
    let jobs: Vec<Arc<DeliveredJob>> = words.iter().map(|word| Arc::new(job(word))).collect();
    in_words(
        &words,
        next("me", concurrency, &jobs, &OwnChanges::default()),
    )
}

fn in_words(words: &[&str], changes: Vec<(usize, Gate)>) -> String {
    let text = |(index, gate)| match gate {
        Gate::Waiting => format!("claim {}", words[index]),
        Gate::Released => format!("release {}", words[index]),
        Gate::Dropped => format!("drop {}", words[index]),
    };
    changes.into_iter().map(text).collect::<Vec<_>>().join(" ")
}

/// Rows of a limit, Jobs, and what is done about them.
fn check(policy: GatedPolicy, rows: &[(u32, &str, &str)]) {
    for (limit, words, expected) in rows {
        let done = changes(&gated(policy, *limit), words);
        assert_eq!(done, *expected, "{policy:?}, {limit} of {words}");
    }
}

#[test]
fn a_queue_is_first_come_first() {
    let rows = [
        (1, "", ""),
        (1, "w1", "release w1"),
        (1, "w2 w1", "release w1"),
        (2, "w3 w1 w2", "release w1 release w2"),
        (1, "r1 w2", ""),
        (2, "r1 w2 w3", "release w2"),
        (1, "r1. w2", "release w2"),
        // Above a lowered limit: nothing happens.
        (1, "r1 r2 w3", ""),
        // At one moment, the name decides.
        (1, "w1b w1a", "release w1a"),
    ];
    check(GatedPolicy::Queue, &rows);
}

#[test]
fn what_may_run_takes_room() {
    let rows = [
        // Resumed by hand, whoever had claimed it.
        (1, "w1+ w2", ""),
        (1, "w1+* w2", ""),
        (2, "w1+ w2 w3", "release w2"),
        // Made when nothing was gated.
        (1, "n1 w2", ""),
        // Released and suspended by hand: it may be resumed by hand.
        (1, "r1! w2", ""),
        // Being deleted: its Pods may run on.
        (1, "r1- w2", ""),
        // Dropped, and its Pods are not gone, or somebody resumed it.
        (1, "d1 w2", ""),
        (1, "d1+! w2", ""),
        (1, "d1! w2", "release w2"),
        (1, "d1. w2", "release w2"),
        // Waits for nothing any more.
        (1, "w1- w2", "release w2"),
        (1, "w1. w2", "release w2"),
        (1, "w1-", ""),
    ];
    check(GatedPolicy::Queue, &rows);
}

#[test]
fn each_key_has_its_own_limit_and_its_own_claims() {
    let rows = [
        (1, "r1/a w2/a w3/b", "release w3/b"),
        (1, "w1/a w2/b w3/a w4/b", "release w1/a release w2/b"),
        (1, "w1*/a w2/b", "claim w1*/a release w2/b"),
        (1, "w1?/a w2*/b w3/b", "claim w1?/a claim w2*/b"),
    ];
    check(GatedPolicy::Queue, &rows);
}

#[test]
fn only_those_whose_turn_comes_soon_are_claimed_however_many_wait() {
    let rows = [
        // As many as the limit, before there is room: a release then needs one write.
        (1, "r1 w2? w3? w4? w5?", "claim w2?"),
        (1, "r1 w2 w3? w4?", ""),
        (2, "r1 r2 w3? w4? w5?", "claim w3? claim w4?"),
        (2, "r1 w2 w3? w4?", "release w2 claim w3?"),
        (1, "w1? w2?", "claim w1?"),
        // One that comes late and is older than those claimed.
        (1, "r0 w1? w2", "claim w1?"),
    ];
    check(GatedPolicy::Queue, &rows);
}

#[test]
fn a_claim_of_another_is_overwritten_before_anything_is_released_and_only_then() {
    let rows = [
        (1, "w1*", "claim w1*"),
        // Wherever it stands: its holder may have seen another order.
        (1, "w1 w2 w3*", "claim w3*"),
        (1, "w1? w2*", "claim w1? claim w2*"),
        // No room: nothing is gained by it, and two leaders would go on for ever.
        (1, "r1 w2*", ""),
        (1, "r1 w2* w3?", ""),
        // Those do not wait.
        (1, "r1*. w3*- w2", "release w2"),
    ];
    check(GatedPolicy::Queue, &rows);
}

#[test]
fn forbid_drops_what_has_no_room() {
    let rows = [
        (1, "w1", "release w1"),
        (1, "r1 w2", "drop w2"),
        // Nothing is dropped before something is shown to run.
        (1, "w2 w1", "release w1"),
        (2, "r1 w4 w3 w2", "release w2"),
        (2, "r1 r2 w4 w3", "drop w3 drop w4"),
        (1, "d1 w2", "drop w2"),
        // A drop needs no claim.
        (1, "r1 w2? w3*", "drop w2? drop w3*"),
        (1, "w2? w3?", "claim w2?"),
        (1, "r1 w2- d3!", ""),
        (1, "r1/a w2/a w3/b", "drop w2/a release w3/b"),
    ];
    check(GatedPolicy::Forbid, &rows);
}

#[test]
fn replace_keeps_the_last_to_come() {
    let rows = [
        (1, "w1", "release w1"),
        (1, "r1 w2", "drop r1"),
        // It keeps its room until its Pods are gone.
        (1, "d1 w2", ""),
        (1, "d1! w2", "release w2"),
        (1, "r1- w2", ""),
        (1, "r1 w2 w3", "drop w2 drop r1"),
        (2, "w1 w2 w3", "drop w1 release w2 release w3"),
        (2, "r1 w2 w3", "drop r1 release w2"),
        (2, "r1 r2 w3", "drop r1"),
        (2, "r1 d2 w3", ""),
        (3, "r1 w2 w3", "release w2 release w3"),
        // One that came before what runs is late.
        (1, "r2 w1", "drop w1"),
        // Above a lowered limit: nothing goes that makes no room.
        (1, "r1 r2", ""),
        (1, "r1 r2 w3", "drop r1 drop r2"),
        (1, "r2 r3 w1", "drop w1"),
        // Made when nothing was gated: it is waited for.
        (1, "n1 w2", ""),
        (2, "n1 r2 w3", ""),
        // Resumed by hand: it is one of those that run.
        (1, "w1+ w2", "drop w1+"),
        (1, "r1 w2*", "drop r1"),
        (1, "r1 w2?", "drop r1 claim w2?"),
        (1, "w1 w2*", "drop w1 claim w2*"),
        (1, "w1* w2", "drop w1*"),
        (1, "r1/a w2/b", "release w2/b"),
    ];
    check(GatedPolicy::Replace, &rows);
}

/// Claimed all the same: a leader that has not seen the limit go, or has not seen it come, may be about to release them.
#[test]
fn where_nothing_is_limited_any_more_all_that_waits_is_released() {
    let words = "r1 w4/a w2? w3/b d5! n6 w7+ w8- w9*";
    let done = changes(&Concurrency::Allow, words);
    assert_eq!(done, "claim w2? claim w9* release w4/a release w3/b");
}

#[test]
fn a_change_without_an_answer_is_as_good_as_a_claim_of_another() {
    let queue = gated(GatedPolicy::Queue, 1);
    let words = ["w1", "w2"];
    let mut jobs = words.map(|word| Arc::new(job(word)));
    let mut own = OwnChanges::default();
    own.sending(&jobs[0]);
    own.settle(&jobs);
    let step = |jobs: &[Arc<DeliveredJob>], own: &OwnChanges| {
        in_words(&words, next("me", &queue, jobs, own))
    };
    assert_eq!(step(&jobs, &own), "claim w1");

    // The server says that it is not done.
    let mut refused = own.clone();
    refused.refused(&jobs[0]);
    assert_eq!(step(&jobs, &refused), "release w1");

    // Claimed anew, it has another version.
    Arc::make_mut(&mut jobs[0]).version = "2".to_owned();
    own.settle(&jobs);
    assert_eq!(
        (step(&jobs, &own).as_str(), own),
        ("release w1", OwnChanges::default())
    );
}

#[test]
fn a_key_is_left_alone_until_the_change_that_was_made_is_shown() {
    let queue = gated(GatedPolicy::Queue, 1);
    let words = ["w1/a", "w2/a", "w3/b"];
    let mut jobs = words.map(|word| Arc::new(job(word)));
    let mut own = OwnChanges::default();
    own.sending(&jobs[0]);
    own.made(&jobs[0]);
    own.settle(&jobs);
    let step = |jobs: &[Arc<DeliveredJob>], own: &OwnChanges| {
        in_words(&words, next("me", &queue, jobs, own))
    };
    assert_eq!(step(&jobs, &own), "release w3/b");
    let mut released = job("r1/a");
    (released.uid, released.version) = ("uid of w1".to_owned(), "2".to_owned());
    jobs[0] = Arc::new(released);
    own.settle(&jobs);
    assert_eq!(own, OwnChanges::default());
    assert_eq!(step(&jobs, &own), "release w3/b");
}

#[test]
fn a_change_of_a_job_that_is_gone_is_forgotten() {
    let mut own = OwnChanges::default();
    own.sending(&job("w1"));
    own.settle(&as_seen([job("w2")]));
    assert_eq!(own, OwnChanges::default());
}

#[test]
fn a_task_that_begins_claims_anew_what_an_earlier_one_of_its_process_had_claimed() {
    let queue = gated(GatedPolicy::Queue, 1);
    let words = ["w1?", "w2", "w3*"];
    let jobs = as_seen(words.map(job));
    let own = OwnChanges::begin("me", &jobs);
    let changes = in_words(&words, next("me", &queue, &jobs, &own));
    assert_eq!(changes, "claim w1? claim w2 claim w3*");
}
