use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("in range")
}

fn request<'a>(reason: Reason, cause: &'a str, message: &'a str) -> RefusedRequest<'a> {
    RefusedRequest {
        reason,
        cause,
        field: "x-api-key",
        message,
    }
}

#[test]
fn refusals_of_one_cause_are_told_once_in_ten_minutes_with_their_count() {
    let mut line = Line::default();
    let told = |line: &mut Line, second: i64| -> Vec<String> {
        let notes = line.take_news(at(second)).into_iter();
        notes.map(|note| note.text).collect()
    };
    let unknown = |message| request(Reason::Unauthorized, "Wrong", message);
    assert!(line.refused(&unknown("is missing"), at(0)));
    line.refused(&unknown("is there"), at(1));
    assert_eq!(
        told(&mut line, 2),
        ["Unauthorized, 2 times since this was last told: x-api-key: is there"]
    );
    let last = line.last_refusal.clone().unwrap();
    assert_eq!((last.time, last.count), (at(1), 2));
    // A stranger's next one wakes nobody.
    assert!(!line.refused(&unknown("a"), at(3)));
    // Another cause is told at once.
    assert!(line.refused(&request(Reason::Unauthorized, "Clock", "c"), at(4)));
    assert!(line.refused(&request(Reason::BadRequest, "$.id", "d"), at(4)));
    assert_eq!(told(&mut line, 5).len(), 2);
    assert!(line.refused(&unknown("b"), at(603)));
    assert_eq!(
        told(&mut line, 603),
        ["Unauthorized, 2 times since this was last told: x-api-key: b"]
    );
}

#[test]
fn causes_that_senders_name_are_told_apart_up_to_a_bound() {
    let mut line = Line::default();
    for number in 0..1_000 {
        let cause = format!("header x-{number}");
        line.refused(&request(Reason::BadRequest, &cause, "m"), at(0));
    }
    let notes = line.take_news(at(1));
    assert_eq!(notes.len(), MOST_CAUSES + 1);
    assert!(notes.iter().any(|note| note.text.contains("984 times")));
}
