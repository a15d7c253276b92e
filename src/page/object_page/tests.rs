use jiff::Timestamp;
use serde_json::json;

use super::*;
use crate::page::job::PageJob;
use crate::page::overview::tests::some_memory;
use std::sync::Arc;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn an_object_says_what_it_waits_for_and_what_was_decided() {
    let object = json!({
        "apiVersion": "slipway.dev/v1alpha1", "kind": "EventJob",
        "metadata": {"name": "invoices", "namespace": "shop"},
        "spec": {"source": {"cron": {"schedule": "0 3 * * *"}}, "concurrencyPolicy": "Queue"},
        "status": {
            "conditions": [{"type": "Ready", "status": "True", "reason": "Ready", "message": "<i>", "lastTransitionTime": "2026-11-30T09:00:00Z"}],
            "waiting": 4, "nextScheduleTime": "2026-12-01T03:00:00Z",
            "schedule": {"next": ["2026-12-01T03:00:00Z"], "missed": [{"time": "2026-11-30T03:00:00Z", "count": 3, "reason": "MissSchedule", "message": "an outage"}]},
        },
    });
    let row = PageRow {
        object: Arc::new(PageObject::of(&object).unwrap()),
        tally: None,
        plots: Arc::default(),
    };
    let mut jobs = NewestJobs::default();
    jobs.add(&PageJob {
        name: "invoices-x",
        state: PageJobState::Failed,
        reason: "BackoffLimitExceeded",
        created_at: Some(at("2026-11-30T09:00:00Z")),
        ended_at: Some(at("2026-11-30T09:01:01Z")),
    });
    let decisions = [DecisionLine {
        at: at("2026-11-30T09:00:00Z"),
        object: row.object.key.clone(),
        words: "it was created".to_owned(),
        job: Some("invoices-x".to_owned()),
        event: Some("a/b c".to_owned()),
    }];
    let memory = some_memory();
    let mut view = ObjectView {
        row: &row,
        jobs: Some(&jobs),
        decisions: &decisions,
        memory: &memory,
        may_write: false,
    };
    let html = body(&regions(&view), &view).into_string();
    for words in [
        "A turn for 4 Jobs: policy Queue lets 1 run at once for each key.",
        "href=\"/find?q=a%2Fb%20c\"",
        "href=\"/jobs/shop/invoices-x\"",
        "1 min 1 s",
        "MissSchedule</span> an outage (3 due times)",
        "&lt;i&gt;",
        "slipway trigger eventjob/invoices -n shop",
    ] {
        assert!(html.contains(words), "{words}: {html}");
    }
    assert!(!html.contains("data-action"), "{html}");
    view.may_write = true;
    let html = body(&regions(&view), &view).into_string();
    assert!(
        html.contains("&quot;action&quot;:&quot;trigger&quot;"),
        "{html}"
    );
}
