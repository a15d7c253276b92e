use super::*;
use crate::resource::{Inputs, TriggerEntry, TriggerKind, parse_trigger};

fn parsed(metadata: &[(&str, &str)]) -> Result<Trigger, Vec<String>> {
    let entry = TriggerEntry {
        index: 0,
        kind: TriggerKind::EventBridge,
        name: None,
        metadata: metadata
            .iter()
            .map(|&(key, value)| (key.to_owned(), value.to_owned()))
            .collect(),
        authentication: None,
    };
    let owner = ObjectId::new("production", "renderer");
    parse_trigger(&entry, &Inputs::default(), &owner)
        .map_err(|faults| faults.iter().map(ToString::to_string).collect())
}

#[test]
fn pending_jobs_of_an_event_job_of_the_same_namespace_are_counted_one_by_one() {
    let trigger = parsed(&[("eventJob", "invoices.monthly")]).unwrap();
    assert_eq!(trigger.metric_name, "s0-eventbridge-invoices-monthly");
    assert_eq!((trigger.target, trigger.activation), (1.0, 0.0));
    assert_eq!(trigger.warnings, []);
    let expected = Counted {
        event_job: ObjectId::new("production", "invoices.monthly"),
        value: EventJobMeasure::Pending,
    };
    assert_eq!(trigger.source, SourceSpec::EventBridge(expected));
}

#[test]
fn a_rate_has_a_window() {
    for (written, window) in [(None, WINDOW), (Some("5m"), LONGEST_WINDOW)] {
        let mut metadata = vec![
            ("eventJob", "invoices"),
            ("value", "rate"),
            ("targetValue", "0.5"),
            ("activationTargetValue", "0.1"),
        ];
        metadata.extend(written.map(|written| ("window", written)));
        let trigger = parsed(&metadata).unwrap();
        assert_eq!((trigger.target, trigger.activation), (0.5, 0.1));
        let SourceSpec::EventBridge(counted) = trigger.source else {
            panic!("not an EventJob");
        };
        assert_eq!(counted.value, EventJobMeasure::Rate { window });
    }
}

#[test]
fn what_is_wrong_is_said_with_what_would_be_right() {
    for (metadata, expected) in [
        (vec![], "eventJob is missing; give eventJob in metadata"),
        (
            vec![("eventJob", "Invoices")],
            "expected the name of an EventJob in the same namespace, found \"Invoices\"",
        ),
        (
            vec![("eventJob", "other/invoices")],
            "expected the name of an EventJob in the same namespace, found \"other/invoices\"",
        ),
        (
            vec![("eventJob", "a"), ("value", "waiting")],
            "expected pending or rate, found \"waiting\"",
        ),
        (
            vec![("eventJob", "a"), ("targetValue", "-1")],
            "expected a number such as 5 or 0.5, not negative, found \"-1\"",
        ),
        (
            vec![("eventJob", "a"), ("value", "rate"), ("window", "10m")],
            "expected a duration from 1s to 5m, such as 60s, found \"10m\"",
        ),
        (
            vec![("eventJob", "a"), ("value", "rate"), ("window", "60")],
            "expected a duration from 1s to 5m, such as 60s, found \"60\"",
        ),
    ] {
        let faults = parsed(&metadata).unwrap_err();
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].ends_with(expected), "{}", faults[0]);
    }
}

#[test]
fn keys_without_a_meaning_are_warnings() {
    let trigger = parsed(&[
        ("eventJob", "invoices"),
        ("window", "60s"),
        ("tragetValue", "3"),
    ])
    .unwrap();
    let warned: Vec<String> = trigger.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warned,
        [
            "spec.triggers[0].metadata.window: has a meaning for value: rate only",
            "spec.triggers[0].metadata.tragetValue: eventbridge does not use this parameter; it is ignored; did you mean targetValue?",
        ]
    );
}
