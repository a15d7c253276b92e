use super::*;

const MINUTE: Duration = Duration::from_mins(1);

fn job(name: &str) -> ObjectId {
    ObjectId::new("production", name)
}

fn with_round(now: Instant, names: &[&str]) -> Outstanding {
    let mut outstanding = Outstanding::new(MINUTE);
    let names = names
        .iter()
        .map(|name| ((*name).to_owned(), format!("hash of {name}")));
    outstanding.reserve("uid", "production", 1, names, Standing::Unsent, now);
    outstanding
}

fn open(outstanding: &Outstanding) -> Vec<&str> {
    outstanding
        .of("uid")
        .map(|(name, _)| name.as_str())
        .collect()
}

fn none() -> BTreeSet<String> {
    BTreeSet::new()
}

#[test]
fn a_name_counts_until_its_job_is_seen() {
    let now = Instant::now();
    let mut outstanding = with_round(now, &["a", "b"]);
    outstanding.sent(&job("a"), now);
    assert_eq!(open(&outstanding), ["a", "b"]);
    outstanding.seen(&job("a"));
    assert_eq!(open(&outstanding), ["b"]);
}

#[test]
fn a_job_of_the_same_name_elsewhere_settles_nothing() {
    let mut outstanding = with_round(Instant::now(), &["a"]);
    outstanding.seen(&ObjectId::new("staging", "a"));
    assert_eq!(open(&outstanding), ["a"]);
}

#[test]
fn absence_counts_only_a_minute_after_the_last_create_of_the_round() {
    let start = Instant::now();
    let mut outstanding = with_round(start, &["a", "b"]);
    outstanding.sent(&job("a"), start);
    // b goes out half a minute later, and a may still be under way on the same trouble.
    outstanding.sent(&job("b"), start + MINUTE / 2);

    let early = start + MINUTE;
    assert_eq!(outstanding.list("uid", early), List::Needless);
    outstanding.settle("uid", "production", &none(), early);
    assert_eq!(open(&outstanding), ["a", "b"]);

    let late = start + MINUTE / 2 + MINUTE;
    assert_eq!(outstanding.list("uid", late), List::Useful);
    outstanding.settle("uid", "production", &none(), late);
    assert!(open(&outstanding).is_empty());
}

#[test]
fn a_list_asked_for_before_the_minute_and_answered_after_it_settles_nothing() {
    let start = Instant::now();
    let mut outstanding = with_round(start, &["a"]);
    outstanding.settle(
        "uid",
        "production",
        &none(),
        start + Duration::from_millis(59_999),
    );
    assert_eq!(open(&outstanding), ["a"]);
}

#[test]
fn an_unfinished_job_in_the_list_stays_counted_until_the_watch_shows_it() {
    let start = Instant::now();
    let mut outstanding = with_round(start, &["a", "b"]);
    let unfinished = BTreeSet::from(["a".to_owned()]);
    outstanding.settle("uid", "production", &unfinished, start + MINUTE);
    assert_eq!(open(&outstanding), ["a"]);
}

#[test]
fn lists_keep_their_distance() {
    let start = Instant::now();
    let mut outstanding = with_round(start, &["a"]);
    let unfinished = BTreeSet::from(["a".to_owned()]);
    outstanding.settle("uid", "production", &unfinished, start + MINUTE);
    let soon = start + MINUTE + BETWEEN_LISTS / 2;
    assert_eq!(outstanding.list("uid", soon), List::Needless);
    let later = start + MINUTE + BETWEEN_LISTS;
    assert_eq!(outstanding.list("uid", later), List::Useful);
}

#[test]
fn a_refused_create_frees_its_name_at_once() {
    let now = Instant::now();
    let mut outstanding = with_round(now, &["a"]);
    outstanding.begun(&job("a"));
    outstanding.sent(&job("a"), now);
    outstanding.refused(&job("a"));
    assert!(open(&outstanding).is_empty());
}

#[test]
fn a_refusal_after_an_unanswered_create_frees_nothing() {
    let now = Instant::now();
    let mut outstanding = with_round(now, &["a"]);
    outstanding.begun(&job("a"));
    outstanding.sent(&job("a"), now);
    outstanding.begun(&job("a"));
    outstanding.refused(&job("a"));
    assert_eq!(open(&outstanding), ["a"]);
}

#[test]
fn a_round_of_somebody_else_needs_a_list_until_there_was_one() {
    let now = Instant::now();
    let mut outstanding = Outstanding::new(MINUTE);
    assert!(outstanding.is_news("uid", 3));
    outstanding.reserve("uid", "production", 3, [], Standing::Unsent, now);
    assert_eq!(outstanding.list("uid", now), List::Needed);
    assert!(!outstanding.is_news("uid", 3));
    assert_eq!(outstanding.list("uid", now), List::Needed);
    outstanding.settle("uid", "production", &none(), now);
    assert_eq!(outstanding.list("uid", now), List::Needless);
}

#[test]
fn a_status_older_than_our_own_round_is_no_news() {
    let mut outstanding = with_round(Instant::now(), &["a"]);
    assert!(!outstanding.is_news("uid", 0));
    assert!(!outstanding.is_news("uid", 1));
    assert!(outstanding.is_news("uid", 2));
}

#[test]
fn an_object_that_is_gone_leaves_nothing_behind() {
    let now = Instant::now();
    let mut outstanding = with_round(now, &["a", "b"]);
    outstanding.forget("uid", now);
    assert_eq!(outstanding.of("uid").count(), 2, "it may come back");
    outstanding.forget("another", now + MINUTE);
    assert!(outstanding.objects.is_empty() && outstanding.owners.is_empty());
}

#[test]
fn an_object_that_comes_back_still_has_its_open_names() {
    let now = Instant::now();
    let mut outstanding = with_round(now, &["a"]);
    outstanding.forget("uid", now);
    assert!(!outstanding.is_news("uid", 1));
    outstanding.forget("another", now + MINUTE);
    assert_eq!(outstanding.of("uid").count(), 1);
}

#[test]
fn a_name_is_unclear_until_its_job_is_known_to_be_there_or_not_to_come() {
    let now = Instant::now();
    let mut outstanding = with_round(now, &["a", "b", "c"]);
    assert_eq!(outstanding.round("uid"), 1);
    assert_eq!(outstanding.unclear("uid"), 0, "nothing was sent");
    for name in ["a", "b", "c"] {
        outstanding.begun(&job(name));
    }
    assert_eq!(outstanding.unclear("uid"), 3);
    // Its create was answered, but the watch has not shown it: it counts, and is clear.
    outstanding.made(&job("a"));
    assert_eq!(
        (outstanding.unclear("uid"), open(&outstanding).len()),
        (2, 3)
    );
    outstanding.seen(&job("b"));
    assert_eq!(outstanding.unclear("uid"), 1);
    outstanding.settle("uid", "production", &BTreeSet::new(), now + MINUTE);
    assert_eq!(outstanding.unclear("uid"), 0);
}
