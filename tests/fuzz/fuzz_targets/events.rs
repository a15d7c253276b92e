//! A body at a door, with the pattern and the bindings of its EventJob: what is refused is refused, what is taken always
//! becomes the same Job.
//!
//! Input: a byte that chooses the EventJob, a pattern, a line `---`, a body. Without the line all of it is a body.
#![no_main]

use std::sync::LazyLock;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use slipway::event::{self, Attributes, Event, Opened};
use slipway::launch::delivered::Delivery;
use slipway::pattern::{Matcher, Pattern};
use slipway::resource::event_job::{self, EventJob};

const LEAST_TTL: Duration = Duration::from_mins(10);

/// One for each format, and one whose id is made of what a stranger may write anywhere.
static EVENT_JOBS: LazyLock<Vec<EventJob>> = LazyLock::new(|| {
    let parts = json!([{"header": "x-id"}, {"path": "$.detail.id"}, {"path": "$.list[0]"}]);
    let by_format =
        ["EventBridge", "SNS", "CloudEvents", "JSON"].map(|format| event_job(format, &Value::Null));
    let mut all = by_format.to_vec();
    all.push(event_job("JSON", &parts));
    all
});

fn event_job(format: &str, id_from: &Value) -> EventJob {
    let mut spec = json!({
        "source": {"webhook": {
            "format": format,
            "auth": [{"apiKey": {"secretKeyRefs": [{"name": "hook", "key": "current"}]}}],
        }},
        "bind": {
            "env": [
                {"name": "TEXT", "path": "$.detail.text", "default": "none"},
                {"name": "WHOLE", "path": "$.detail", "default": "none"},
                {"name": "HEADER", "header": "x-text", "default": "none"},
            ],
            "labels": [{"name": "customer", "path": "$.detail.customer", "default": "none"}],
            "annotations": [{"name": "example.com/order", "path": "$.detail.order", "default": "none"}],
            "file": {"path": "/var/run/slipway/event.json"},
        },
        "jobTemplate": {"spec": {"template": {"spec": {
            "restartPolicy": "Never",
            "containers": [{"name": "worker", "image": "example.com/worker:1"}],
        }}}},
    });
    if !id_from.is_null() {
        spec["idFrom"] = id_from.clone();
    }
    let object = json!({
        "apiVersion": "slipway.dev/v1alpha1",
        "kind": "EventJob",
        "metadata": {"namespace": "shop", "name": "resize"},
        "spec": spec,
    });
    event_job::parse(&object).unwrap_or_else(|faults| panic!("{faults:?}"))
}

fuzz_target!(|input: &[u8]| {
    let Some((choice, input)) = input.split_first() else {
        return;
    };
    let event_job = &EVENT_JOBS[usize::from(*choice) % EVENT_JOBS.len()];
    let line = b"\n---\n";
    let cut = input.windows(line.len()).position(|window| window == line);
    let (pattern, body) = cut.map_or((&input[..0], input), |cut| {
        (&input[..cut], &input[cut + line.len()..])
    });
    let pattern = std::str::from_utf8(pattern)
        .ok()
        .and_then(|text| Pattern::parse(text).ok());
    let attributes = Attributes::from_iter([
        (
            "content-type".to_owned(),
            "application/cloudevents+json".to_owned(),
        ),
        ("x-id".to_owned(), "id".to_owned()),
        ("x-text".to_owned(), "$(HOME)".to_owned()),
    ]);
    match event::open(event_job.webhook().unwrap().format, &attributes, body) {
        Ok(Opened::One(event)) => look(event_job, pattern.as_ref(), &event),
        Ok(Opened::Many(events)) => {
            for event in events.iter().flatten() {
                look(event_job, pattern.as_ref(), event);
            }
        }
        Ok(_) | Err(_) => {}
    }
});

fn look(event_job: &EventJob, pattern: Option<&Pattern>, event: &Event) {
    assert!(
        serde_json::from_str::<Value>(&event.text).is_ok(),
        "an event is JSON"
    );
    if let Some(pattern) = pattern {
        let matches = pattern.matches(&event.text);
        assert_eq!(
            matches,
            pattern.refusal(&event.text).is_none(),
            "who refuses says why"
        );
        let many = Matcher::new([((), pattern.clone())]);
        assert_eq!(
            matches,
            !many.matches(&event.text).is_empty(),
            "many are asked as one is"
        );
        let _ = pattern.repeated(&event.text);
    }
    if event.check_names(event_job).is_err() {
        return;
    }
    let Ok(identity) = event.identity(&event_job.id_from) else {
        return;
    };
    let received = jiff::Timestamp::UNIX_EPOCH;
    let make = || Delivery::new(event_job, event, &identity, received, LEAST_TTL);
    match (make(), make()) {
        (Ok(one), Ok(other)) => assert!(one == other, "an event is one Job"),
        (Err(one), Err(other)) => assert_eq!(one, other),
        _ => panic!("an event is taken once and refused once"),
    }
}
