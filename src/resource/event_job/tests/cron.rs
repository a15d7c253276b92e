//! Schedules: what is read, what is refused, and what a due time is as an event.

use serde_json::{Value, json};

use super::{parse, texts, with};
use crate::resource::event_job::EventSource;
use crate::resource::event_job::cron::Cron;
use crate::resource::{Fault, HistoryLimits, traps};
use crate::schedule::{CatchUp, Gap};

fn least() -> Value {
    json!({
        "apiVersion": "slipway.dev/v1alpha1", "kind": "EventJob",
        "metadata": {"name": "report", "namespace": "production", "creationTimestamp": "2026-05-01T09:00:00Z"},
        "spec": {
            "source": {"cron": {"schedule": "0 2 * * *"}},
            "jobTemplate": {"spec": {"template": {"spec": {
                "restartPolicy": "Never", "containers": [{"name": "a", "image": "a"}],
            }}}},
        },
    })
}

fn cron(object: &Value) -> Cron {
    match parse(object).unwrap().source {
        EventSource::Cron(cron) => *cron,
        EventSource::Webhook(_) => panic!("no schedule"),
    }
}

#[test]
fn what_is_not_written_is_as_in_a_cron_job() {
    let event_job = parse(&least()).unwrap();
    let limits = HistoryLimits {
        successful: 3,
        failed: 1,
    };
    assert_eq!(event_job.history, Some(limits));
    assert!(event_job.webhook().is_none() && event_job.auth().is_empty());
    let cron = cron(&least());
    assert_eq!(cron.catch_up, CatchUp::Last);
    assert_eq!(cron.starting_deadline, None);
    assert_eq!(cron.schedule.time_zone.iana_name(), Some("UTC"));
    assert_eq!(cron.schedule.created.to_string(), "2026-05-01T09:00:00Z");
    assert_eq!(cron.schedule.splay.as_secs(), 0);
}

#[test]
fn a_due_time_is_an_event_in_the_zone_of_its_schedule() {
    let kolkata = with(least(), "/spec/source/cron/timeZone", json!("Asia/Kolkata"));
    let kolkata = with(kolkata, "/spec/source/cron/splay", json!("1h"));
    let cron = cron(&kolkata);
    let due = cron.schedule.first_after(cron.schedule.created).unwrap();
    assert_eq!(
        cron.event(due),
        json!({
            "scheduledTime": "2026-05-02T02:00:00+05:30",
            "scheduledTimeUTC": "2026-05-01T20:30:00Z",
            "scheduledDate": "2026-05-02",
        })
    );
    // Its own shift, and the same each time.
    let start = cron.schedule.start_of(due);
    assert!(start > due && (start - due).get_seconds() < 3_600);
    assert_eq!(
        self::cron(&least()).event(due)["scheduledTime"],
        "2026-05-01T20:30:00Z"
    );
}

#[test]
fn an_edit_of_when_it_is_due_has_another_fingerprint_and_no_other_edit_has() {
    let before = cron(&least()).fingerprint();
    assert_eq!(before, "e3e18b6331f42a5f");
    for (field, value) in [
        ("schedule", json!("1 2 * * *")),
        ("timeZone", json!("Asia/Kolkata")),
        ("gap", json!("Skip")),
        ("fold", json!("First")),
        ("exclude", json!({"dates": ["2026-12-25"]})),
        ("startAt", json!("2026-01-01T00:00:00Z")),
    ] {
        let edited = with(least(), &format!("/spec/source/cron/{field}"), value);
        assert_ne!(cron(&edited).fingerprint(), before, "{field}");
    }
    for (pointer, value) in [
        ("/spec/source/cron/catchUp", json!("All")),
        ("/spec/source/cron/splay", json!("5m")),
        ("/spec/source/cron/startingDeadlineSeconds", json!(5)),
        ("/metadata/name", json!("other")),
    ] {
        assert_eq!(
            cron(&with(least(), pointer, value)).fingerprint(),
            before,
            "{pointer}"
        );
    }
    let skip = with(least(), "/spec/source/cron/gap", json!("Skip"));
    assert_eq!(cron(&skip).schedule.gap, Some(Gap::Skip));
}

/// Where something else is written, what, and how what is said begins.
const MISTAKES: &str = r#"
/spec/source/cron/schedule | "0 0 0 2 * *" | spec.source.cron.schedule: has 6 fields, not five (minute, hour, day of month, month, day of week): a sixth field for seconds
/spec/source/cron/schedule | "0 2 * * 7" | spec.source.cron.schedule: day of week: "7" is not one of 0 to 6: Sunday is 0
/spec/source/cron/schedule | "@every 20s" | spec.source.cron.schedule: @every 20s is below a minute
/spec/source/cron/schedule | "TZ=UTC 0 2 * * *" | spec.source.cron.schedule: names a time zone itself: write it in timeZone
/spec/source/cron/schedule | 5 | spec.source.cron.schedule: must be text, not a number
/spec/source/cron | {} | spec.source.cron: must have exactly one of schedule and schedules
/spec/source/cron | {"schedules": []} | spec.source.cron.schedules: must have 1 to 16 entries
/spec/source/cron | {"schedules": ["0 2 * * *", "@reboot"]} | spec.source.cron.schedules[1]: "@reboot" is not known
/spec/source/cron/schedules | ["0 2 * * *"] | spec.source.cron: must have exactly one of schedule and schedules
/spec/source/cron/timeZone | "Asia/Calcuta" | spec.source.cron.timeZone: "Asia/Calcuta" is not a time zone: did you mean Asia/Calcutta?
/spec/source/cron/startingDeadlineSeconds | 0 | spec.source.cron.startingDeadlineSeconds: is 0, and with 0 nothing ever runs
/spec/source/cron/startingDeadlineSeconds | -1 | spec.source.cron.startingDeadlineSeconds: must be a whole number, 1 or more
/spec/source/cron/catchUp | "last" | spec.source.cron.catchUp: must be one of None, Last, All, not "last"; did you mean Last?
/spec/source/cron/splay | "0s" | spec.source.cron.splay: must be a duration such as 10m, from 1s to 24h
/spec/source/cron/splay | "24h" | spec.source.cron.splay: must be below the time between two due times, of which the shortest is 86400 s
/spec/source/cron/exclude | {} | spec.source.cron.exclude: must have dates or schedules
/spec/source/cron/exclude | {"dates": ["2026-13-01"]} | spec.source.cron.exclude.dates[0]: must be a date such as 2026-12-25
/spec/source/cron/exclude | {"schedules": ["@every 1h"]} | spec.source.cron.exclude.schedules[0]: is @every
/spec/source/cron/startAt | "2026-12-01" | spec.source.cron.startAt: must be an instant such as
/spec/source/cron | {"schedule": "@daily", "startAt": "2026-12-01T00:00:00Z", "endAt": "2026-11-01T00:00:00Z"} | spec.source.cron.endAt: must not be before startAt
/spec/source/cron/shedule | 1 | spec.source.cron.shedule: there is no such field; did you mean schedule?
/spec/source/webhook | {"auth": [{"none": {}}]} | spec.source: must have exactly one of webhook and cron
/spec/pattern | {"source": ["x"]} | spec.pattern: has no meaning with source.cron: a due time is no event of a sender
/spec/match | {"headers": {"x-a": ["b"]}} | spec.match: has no meaning with source.cron
/spec/idFrom | [{"path": "$.scheduledTime"}] | spec.idFrom: has no meaning with source.cron
/spec/deduplicateFor | "25h" | spec.deduplicateFor: has no meaning with source.cron
/spec/bind | {"env": [{"name": "A", "path": "$.detail.id"}]} | spec.bind.env[0]: names $.detail.id, and a due time has $.scheduledTime, $.scheduledTimeUTC, $.scheduledDate
/spec/bind | {"env": [{"name": "A", "header": "x-a"}]} | spec.bind.env[0].header: names the header x-a, and a due time has
/spec/bind | {"env": [{"name": "SLIPWAY_SCHEDULED_TIME", "path": "$.scheduledTime"}]} | spec.bind.env[0].name: cannot be bound: SLIPWAY_SCHEDULED_TIME holds the due time
/spec/bind | {"file": {"path": "/a/b"}} | spec.bind.file: has no meaning with source.cron
"#;

#[test]
fn mistakes_are_told_once_at_their_field() {
    assert_eq!(texts(&least()), Vec::<String>::new());
    for row in MISTAKES.lines().filter(|row| !row.is_empty()) {
        let [pointer, value, wanted] = row.splitn(3, " | ").collect::<Vec<_>>()[..] else {
            panic!("{row}");
        };
        let value = serde_json::from_str(value).unwrap();
        let said = texts(&with(least(), pointer, value));
        let [said] = &said[..] else {
            panic!("{row}: {said:?}");
        };
        assert!(said.starts_with(wanted), "{row}: {said}");
    }
}

#[test]
fn what_surprises_in_a_schedule_is_a_warning_at_its_field() {
    let said = |cron: Value| -> Vec<String> {
        let written = with(least(), "/spec/source/cron", cron);
        let event_job = parse(&written).unwrap();
        let warnings = traps::of_event_job(&event_job, &written);
        warnings.iter().map(Fault::to_string).collect()
    };
    assert_eq!(said(json!({"schedule": "0 2 * * *"})), Vec::<String>::new());
    for (cron, wanted) in [
        (
            json!({"schedule": "0 0 */2 * 1"}),
            "spec.source.cron.schedule: is due when the day of month (*/2) or the day of week (1) fits",
        ),
        (
            json!({"schedules": ["0 2 * * *", ", * * * *"]}),
            "spec.source.cron.schedules[1]: is never due",
        ),
        (
            json!({"schedule": "0 2 * * *", "exclude": {"schedules": ["0 0 25 12 *"]}}),
            "spec.source.cron.exclude.schedules[0]: leaves out single minutes",
        ),
        (
            json!({"schedule": "0 2 * * *", "exclude": {"schedules": ["* 2 * * *"]}}),
            "spec.source.cron: is never due: startAt, endAt and exclude leave nothing",
        ),
    ] {
        let said = said(cron);
        assert!(said.iter().any(|text| text.starts_with(wanted)), "{said:?}");
    }
}
