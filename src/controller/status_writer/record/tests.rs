use serde_json::json;

use super::*;

fn status(ready: bool, backlog: u32) -> Value {
    json!({
        "conditions": [{"type": "Ready", "status": ready.to_string(), "reason": "r", "message": "m"}],
        "backlog": backlog,
        "lastDecision": {"time": format!("at {backlog}"), "launch": 0, "launched": 0},
    })
}

/// An object on a server, and a process that writes its status.
struct Object {
    now: Instant,
    /// What the server has.
    status: Value,
    /// What the process's watch has shown.
    seen: Value,
    record: StatusRecord,
}

impl Object {
    fn new(status: Value) -> Self {
        Self {
            now: Instant::now(),
            record: StatusRecord::default(),
            seen: status.clone(),
            status,
        }
    }

    fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }

    fn see(&mut self) {
        self.seen = self.status.clone();
    }

    /// Whether it was written.
    fn write(&mut self, wanted: &Value) -> bool {
        self.record.want(wanted, &self.seen);
        let NextWrite::Now(patch) = self.record.next(&self.seen, self.now) else {
            return false;
        };
        apply(&mut self.status, &patch);
        self.record.written(&self.status, wanted, self.now);
        true
    }
}

#[test]
fn numbers_that_move_are_written_once_in_ten_seconds_and_all_else_at_once() {
    let has = status(true, 1);
    let changed = |pointer: &str, value: Value| {
        let mut status = has.clone();
        *status.pointer_mut(pointer).expect("a field") = value;
        status
    };
    let mut launched = has.clone();
    launched["lastLaunchTime"] = json!("now");
    let mut refused = has.clone();
    refused["lastDecision"]["launch"] = json!(3);
    let (never, now) = (None, Some(Duration::ZERO));
    let soon = Some(Duration::from_secs(6));
    let rows = [
        ("nothing", has.clone(), never),
        (
            "a time",
            changed("/lastDecision/time", json!("later")),
            never,
        ),
        ("a backlog", changed("/backlog", json!(2)), soon),
        (
            "a text",
            changed("/conditions/0/message", json!("2 Jobs")),
            soon,
        ),
        (
            "a condition",
            changed("/conditions/0/status", json!("False")),
            now,
        ),
        (
            "a reason",
            changed("/conditions/0/reason", json!("Quota")),
            now,
        ),
        ("a launch", launched, now),
        ("a launch that failed", refused, now),
    ];
    for (what, wanted, expected) in rows {
        let since = Some(Duration::from_secs(4));
        assert_eq!(wait(&has, &wanted, since), expected, "{what}");
    }
    let moved = status(true, 2);
    assert_eq!(
        wait(&has, &moved, None),
        now,
        "the first write waits for nothing"
    );
    let since = Some(Duration::from_secs(11));
    assert_eq!(
        wait(&has, &moved, since),
        now,
        "the last write was long ago"
    );
}

#[test]
fn what_was_held_back_is_written_when_its_time_has_come() {
    let mut object = Object::new(Value::Null);
    assert!(object.write(&status(true, 1)));
    object.see();
    for (backlog, written) in [(2, false), (3, false), (3, true), (3, false)] {
        object.pass(4);
        assert_eq!(object.write(&status(true, backlog)), written, "{backlog}");
        object.see();
    }
    assert_eq!(object.status, status(true, 3));
}

/// A leads, freezes; B writes; A leads again.
#[test]
fn a_status_is_true_again_at_the_first_report_after_another_leader_wrote_it() {
    let (ready, not_ready) = (status(true, 0), status(false, 0));
    for forgotten in [true, false] {
        let mut object = Object::new(Value::Null);
        assert!(object.write(&ready));
        object.see();
        assert!(!object.write(&ready));
        object.status = not_ready.clone();
        object.see();
        if forgotten {
            object.record = StatusRecord::default();
        }
        assert!(object.write(&ready));
        assert_eq!(object.status, ready);
    }
}

#[test]
fn a_late_write_of_another_leader_does_not_stay() {
    let (ready, not_ready) = (status(true, 0), status(false, 0));
    let mut object = Object::new(Value::Null);
    assert!(object.write(&ready));
    // Before the watch has shown ours.
    object.status = not_ready;
    object.see();
    object.pass(LONGEST_LAG.as_secs());
    assert!(object.write(&ready));
    assert_eq!(object.status, ready);
}

#[test]
fn a_watch_that_is_behind_takes_nothing_back_and_costs_no_write() {
    let mut object = Object::new(status(true, 0));
    assert!(object.write(&status(false, 1)));
    assert!(
        !object.write(&status(false, 1)),
        "the watch shows the old one"
    );
    assert!(object.write(&status(true, 1)));
    assert_eq!(object.status, status(true, 1));
}

#[test]
fn what_the_server_does_not_keep_is_not_sent_again_and_again() {
    let mut object = Object::new(Value::Null);
    let mut wanted = status(true, 1);
    wanted["url"] = json!("/events");
    for (backlog, written) in [(1, true), (1, false), (2, true), (2, false)] {
        wanted["backlog"] = json!(backlog);
        let is_written = object.write(&wanted);
        assert_eq!(is_written, written, "{backlog}");
        if is_written {
            object
                .status
                .as_object_mut()
                .expect("an object")
                .remove("url");
            object.record.written(&object.status, &wanted, object.now);
        }
        object.see();
        object.pass(11);
    }
}

#[test]
fn a_write_that_failed_is_tried_again_ever_later_and_told_once() {
    let mut record = StatusRecord::default();
    let pauses: Vec<(u64, bool)> = (0..7)
        .map(|_| record.failed())
        .map(|(pause, is_first)| (pause.as_secs(), is_first))
        .collect();
    let expected = [10, 20, 40, 80, 160, 300, 300];
    let expected = expected.map(|pause| (pause, pause == 10));
    assert_eq!(pauses, expected);
}
