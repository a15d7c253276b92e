use std::num::NonZeroU32;

use super::*;
use crate::launch::Outcome;
use crate::launch::fixtures::delivered;

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
            '.' => job.ended = Some((Outcome::Complete, job.created_at)),
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

/// What is to be done about these Jobs, in words: `claim w1`, `count`, `release w1 drop w2`.
fn step(concurrency: &Concurrency, words: &str, is_counted: bool) -> String {
    let words: Vec<&str> = words.split_whitespace().collect();
    let jobs: Vec<DeliveredJob> = words.iter().map(|word| job(word)).collect();
    match next("me", concurrency, &jobs, is_counted) {
        Step::Claim(indexes) => {
            let names: Vec<&str> = indexes.into_iter().map(|index| words[index]).collect();
            format!("claim {}", names.join(" "))
        }
        Step::Count => "count".to_owned(),
        Step::Act(acts) => {
            let text = |act| match act {
                Act::Release(index) => format!("release {}", words[index]),
                Act::Discard(index) => format!("drop {}", words[index]),
            };
            acts.into_iter().map(text).collect::<Vec<_>>().join(" ")
        }
    }
}

/// Rows of a limit, Jobs, and what is done about them once they are counted.
fn check(policy: GatedPolicy, rows: &[(u32, &str, &str)]) {
    for (limit, words, expected) in rows {
        let done = step(&gated(policy, *limit), words, true);
        assert_eq!(done, *expected, "{policy:?}, {limit} of {words}");
        // Nothing is done uncounted.
        let uncounted = step(&gated(policy, *limit), words, false);
        let void = if expected.is_empty() || expected.starts_with("claim") {
            expected
        } else {
            "count"
        };
        assert_eq!(uncounted, void, "{policy:?}, {limit} of {words}, uncounted");
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
        // No room in a: its gates are left alone.
        (1, "r1/a w2*/a w3/b", "release w3/b"),
        (1, "r1/a w2*/a w3?/b w4/b", "claim w3?/b"),
        (1, "w1*/a w3/b", "claim w1*/a"),
    ];
    check(GatedPolicy::Queue, &rows);
}

#[test]
fn every_waiting_gate_of_a_key_is_claimed_before_anything_is_done_in_it() {
    let rows = [
        (1, "w1?", "claim w1?"),
        (1, "w1 w2*", "claim w2*"),
        (2, "w2? w1*", "claim w1* w2?"),
        (1, "r1 w2?", ""),
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
        (1, "w2 w1", "release w1 drop w2"),
        (2, "r1 w4 w3 w2", "release w2 drop w3 drop w4"),
        (1, "d1 w2", "drop w2"),
        (1, "r1 w2?", "claim w2?"),
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
        (1, "r1 w2*", "claim w2*"),
        (1, "r1/a w2/b", "release w2/b"),
    ];
    check(GatedPolicy::Replace, &rows);
}

#[test]
fn where_nothing_is_limited_any_more_all_that_waits_is_released() {
    let words = "r1 w4/a w2? w3* d5! n6 w7+ w8-";
    for is_counted in [false, true] {
        let done = step(&Concurrency::Allow, words, is_counted);
        assert_eq!(done, "release w2? release w3* release w4/a");
    }
}

#[test]
fn what_we_do_not_know_the_answer_to_is_not_claimed() {
    let queue = gated(GatedPolicy::Queue, 1);
    let mut jobs = [job("w1"), job("w2")];
    let mut in_doubt = InDoubt::default();
    in_doubt.sending(&jobs[0]);
    in_doubt.unclaim(&mut jobs);
    assert_eq!(next("me", &queue, &jobs, true), Step::Claim(vec![0]));

    // Claimed anew, it has another version; or it was released, and is another Job to count.
    jobs[0] = job("w1");
    jobs[0].version = "2".to_owned();
    in_doubt.unclaim(&mut jobs);
    assert_eq!(
        next("me", &queue, &jobs, true),
        Step::Act(vec![Act::Release(0)])
    );

    // A list that is behind shows the version in doubt.
    jobs[0].version = "1".to_owned();
    in_doubt.unclaim(&mut jobs);
    assert_eq!(next("me", &queue, &jobs, true), Step::Claim(vec![0]));
    in_doubt.answered(&jobs[0]);
    assert_eq!(in_doubt, InDoubt::default());
}

#[test]
fn a_job_that_is_gone_is_not_in_doubt() {
    let mut in_doubt = InDoubt::default();
    in_doubt.sending(&job("w1"));
    in_doubt.unclaim(&mut [job("w2")]);
    assert_eq!(in_doubt, InDoubt::default());
}
