use super::*;
use crate::resource::Round;

const MINUTE: Duration = LATEST_CREATE;

fn record(number: u64, jobs: u32) -> RoundRecord {
    RoundRecord::open(Round { number, jobs }, "me")
}

fn named(names: &[&str]) -> Vec<(String, String)> {
    let with_hash = |name: &&str| ((*name).to_owned(), format!("hash of {name}"));
    names.iter().map(with_hash).collect()
}

fn with_round(now: Instant, names: &[&str]) -> Expectations {
    let mut expectations = Expectations::default();
    expectations.opened(record(1, 3), named(names), now);
    expectations
}

fn names(expectations: &Expectations) -> Vec<&str> {
    expectations
        .names()
        .map(|(name, _)| name.as_str())
        .collect()
}

fn unfinished(names: &[&str]) -> ListedJobs {
    ListedJobs {
        unfinished: named(names).into_iter().collect(),
        ..ListedJobs::default()
    }
}

/// A list that nothing of is shown by the watch.
fn settle(expectations: &mut Expectations, listed: &ListedJobs, asked_at: Instant) {
    expectations.settle(listed, |_| false, asked_at, MINUTE);
}

fn launched(expectations: &mut Expectations, name: &str, answered: Answered) {
    expectations.launching(name);
    expectations.answered(name, answered);
}

#[test]
fn a_round_is_written_only_over_one_that_was_counted() {
    let theirs = |number| RoundRecord::open(Round { number, jobs: 2 }, "they");
    for (written, counted, opening_is) in [
        (None, 0, RoundOpening::Write),
        (Some(theirs(4)), 4, RoundOpening::Write),
        (Some(theirs(2)), 4, RoundOpening::Write),
        (Some(theirs(4)), 3, RoundOpening::Conflict),
        (Some(theirs(5)), 5, RoundOpening::Conflict),
        (Some(record(5, 2)), 4, RoundOpening::Written),
        (Some(record(5, 1)), 4, RoundOpening::Conflict),
    ] {
        assert_eq!(
            opening(written.as_ref(), &record(5, 2), counted),
            opening_is,
            "{written:?}"
        );
    }
}

#[test]
fn only_an_open_round_of_somebody_else_is_waited_for() {
    let mut theirs = record(4, 2);
    assert!(expects_names(&theirs, "other"));
    assert!(!expects_names(&theirs, "me"), "its creates were never sent");
    theirs.open = false;
    assert!(!expects_names(&theirs, "other"));
}

#[test]
fn a_name_counts_until_its_job_is_seen() {
    let mut expectations = with_round(Instant::now(), &["a", "b"]);
    assert_eq!(names(&expectations), ["a", "b"]);
    expectations.seen("a");
    assert_eq!(names(&expectations), ["b"]);
}

#[test]
fn absence_counts_only_a_minute_after_the_last_create_of_the_round() {
    let start = Instant::now();
    let mut expectations = with_round(start, &["a", "b"]);
    expectations.sending("a", start);
    // b goes out half a minute later, and a may still be under way on the same trouble.
    expectations.sending("b", start + MINUTE / 2);

    let early = start + MINUTE;
    assert_eq!(expectations.list(early, MINUTE), ListNeed::None);
    settle(&mut expectations, &ListedJobs::default(), early);
    assert_eq!(names(&expectations), ["a", "b"]);

    let late = start + MINUTE / 2 + MINUTE;
    assert_eq!(expectations.list(late, MINUTE), ListNeed::Useful);
    settle(&mut expectations, &ListedJobs::default(), late);
    assert!(names(&expectations).is_empty());
}

#[test]
fn a_list_asked_for_before_the_minute_and_answered_after_it_settles_nothing() {
    let start = Instant::now();
    let mut expectations = with_round(start, &["a"]);
    let asked_at = start + Duration::from_millis(59_999);
    settle(&mut expectations, &ListedJobs::default(), asked_at);
    assert_eq!(names(&expectations), ["a"]);
}

#[test]
fn an_unfinished_job_in_the_list_stays_counted_until_the_watch_shows_it() {
    let start = Instant::now();
    let mut expectations = with_round(start, &["a", "b"]);
    settle(&mut expectations, &unfinished(&["a"]), start + MINUTE);
    assert_eq!(names(&expectations), ["a"]);
}

#[test]
fn jobs_of_rounds_that_went_by_unseen_count_once_a_list_shows_them() {
    let start = Instant::now();
    let mut expectations = Expectations::default();
    expectations.learnt(record(3, 1), named(&["c"]), start);
    let listed = unfinished(&["a", "b"]);
    expectations.settle(&listed, |name| name == "b", start, MINUTE);
    assert_eq!(
        names(&expectations),
        ["a", "c"],
        "the watch shows b by itself"
    );
}

#[test]
fn a_job_that_a_list_shows_finished_is_not_expected_any_more() {
    let start = Instant::now();
    let mut expectations = with_round(start, &["a", "b"]);
    let listed = ListedJobs {
        finished: BTreeSet::from(["a".to_owned()]),
        ..ListedJobs::default()
    };
    settle(&mut expectations, &listed, start);
    assert_eq!(names(&expectations), ["b"]);
}

#[test]
fn a_confirmed_job_that_no_list_by_label_shows_is_read_by_name_before_it_is_dropped() {
    let start = Instant::now();
    let mut expectations = with_round(start, &["a", "b", "c"]);
    launched(&mut expectations, "a", Answered::Exists);
    launched(&mut expectations, "b", Answered::Exists);
    launched(&mut expectations, "c", Answered::Unclear);
    let listed = unfinished(&["b"]);
    assert!(expectations.missing(&listed, start, MINUTE).is_empty());
    assert_eq!(expectations.missing(&listed, start + MINUTE, MINUTE), ["a"]);
    // Read by name, it is there.
    settle(&mut expectations, &unfinished(&["a", "b"]), start + MINUTE);
    assert_eq!(names(&expectations), ["a", "b"]);
}

#[test]
fn lists_keep_their_distance() {
    let start = Instant::now();
    let mut expectations = with_round(start, &["a"]);
    settle(&mut expectations, &unfinished(&["a"]), start + MINUTE);
    let soon = start + MINUTE + BETWEEN_LISTS / 2;
    assert_eq!(expectations.list(soon, MINUTE), ListNeed::None);
    let later = start + MINUTE + BETWEEN_LISTS;
    assert_eq!(expectations.list(later, MINUTE), ListNeed::Useful);
}

#[test]
fn a_refused_create_frees_its_name_at_once() {
    let mut expectations = with_round(Instant::now(), &["a"]);
    launched(&mut expectations, "a", Answered::Refused);
    assert!(names(&expectations).is_empty());
}

#[test]
fn a_refusal_after_an_unanswered_create_frees_nothing() {
    let mut expectations = with_round(Instant::now(), &["a", "b"]);
    launched(&mut expectations, "a", Answered::Unclear);
    launched(&mut expectations, "a", Answered::Refused);
    // The first launch was dropped in the middle.
    expectations.launching("b");
    launched(&mut expectations, "b", Answered::Refused);
    assert_eq!(names(&expectations), ["a", "b"]);
}

#[test]
fn a_round_of_somebody_else_needs_a_list_until_there_was_one() {
    let now = Instant::now();
    let mut expectations = Expectations::default();
    let theirs = record(3, 1);
    assert!(expectations.is_news(&theirs));
    expectations.learnt(theirs.clone(), [], now);
    assert!(!expectations.is_news(&theirs));
    assert_eq!(expectations.list(now, MINUTE), ListNeed::Needed);
    assert_eq!(
        expectations.to_close(),
        None,
        "nobody has looked for its Jobs"
    );
    settle(&mut expectations, &ListedJobs::default(), now);
    assert_eq!(expectations.list(now, MINUTE), ListNeed::None);
    assert_eq!(expectations.to_close(), Some(&theirs));
}

#[test]
fn a_record_older_than_our_own_round_is_no_news() {
    let expectations = with_round(Instant::now(), &["a"]);
    assert!(!expectations.is_news(&record(0, 1)));
    assert!(!expectations.is_news(&record(1, 1)));
    assert!(expectations.is_news(&record(2, 1)));
}

#[test]
fn a_name_is_in_doubt_until_its_job_is_known_to_be_there_or_not_to_come() {
    let now = Instant::now();
    let mut expectations = with_round(now, &["a", "b", "c"]);
    assert_eq!(expectations.counted(), 1);
    assert_eq!(expectations.in_doubt(), 0, "nothing was sent");
    for name in ["a", "b", "c"] {
        expectations.launching(name);
    }
    assert_eq!(expectations.in_doubt(), 3);
    // Its create was answered, but the watch has not shown it: it counts, and is clear.
    expectations.answered("a", Answered::Exists);
    assert_eq!(
        (expectations.in_doubt(), names(&expectations).len()),
        (2, 3)
    );
    expectations.seen("b");
    assert_eq!(expectations.in_doubt(), 1);
    settle(&mut expectations, &ListedJobs::default(), now + MINUTE);
    assert_eq!(expectations.in_doubt(), 0);
}

#[test]
fn a_round_is_closed_once_every_create_was_answered_clearly() {
    let now = Instant::now();
    let mut expectations = with_round(now, &["a", "b", "c"]);
    launched(&mut expectations, "a", Answered::Exists);
    launched(&mut expectations, "b", Answered::Refused);
    assert_eq!(expectations.to_close(), None, "c was not sent");
    launched(&mut expectations, "c", Answered::Unclear);
    assert_eq!(expectations.to_close(), None);
    expectations.seen("c");
    assert_eq!(expectations.to_close(), Some(&record(1, 3)));
    expectations.closed();
    assert_eq!(expectations.to_close(), None);
    assert_eq!(names(&expectations), ["a"], "it counts until it is seen");
    expectations.seen("a");
    assert_eq!(expectations.last, None);
    assert_eq!(expectations.counted(), 1);
}

#[test]
fn what_the_server_has_confirmed_counts_through_the_next_round() {
    let now = Instant::now();
    let mut expectations = with_round(now, &["a", "b"]);
    launched(&mut expectations, "a", Answered::Exists);
    launched(&mut expectations, "b", Answered::Exists);
    expectations.closed();
    expectations.opened(record(2, 1), named(&["c"]), now);
    assert_eq!(names(&expectations), ["a", "b", "c"]);
}
