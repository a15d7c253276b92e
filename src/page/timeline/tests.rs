use serde_json::json;

use super::*;
use crate::page::overview::tests::some_memory;

fn finished() -> JobStory {
    JobStory {
        job: json!({
            "metadata": {
                "name": "invoice-x", "namespace": "n", "creationTimestamp": "2026-11-30T10:00:01Z",
                "annotations": {"slipway.dev/received-at": "2026-11-30T10:00:00.400Z", "slipway.dev/gate": "released"},
            },
            "status": {
                "startTime": "2026-11-30T10:01:00Z", "completionTime": "2026-11-30T10:03:01Z",
                "conditions": [
                    {"type": "SuccessCriteriaMet", "status": "True"},
                    {"type": "Complete", "status": "True", "reason": "CompletionsReached", "lastTransitionTime": "2026-11-30T10:03:01Z"},
                ],
            },
        }),
        pods: vec![json!({
            "metadata": {"name": "invoice-x-1", "creationTimestamp": "2026-11-30T10:01:00Z"},
            "spec": {"nodeName": "node-1"},
            "status": {
                "phase": "Succeeded",
                "conditions": [{"type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-11-30T10:01:02Z"}],
                "containerStatuses": [{"state": {"terminated": {
                    "startedAt": "2026-11-30T10:01:10Z", "finishedAt": "2026-11-30T10:03:00Z", "exitCode": 0,
                }}}],
            },
        })],
        pods_unknown: None,
    }
}

fn told(story: &JobStory) -> Vec<String> {
    let steps = steps(story);
    let told = steps.iter().map(|step| {
        let at = step
            .at
            .map_or("-".to_owned(), |at| at.strftime("%H:%M:%S").to_string());
        format!("{at} {} [{}]", step.what, step.waited_for)
    });
    told.collect()
}

#[test]
fn an_event_is_followed_to_the_end_of_its_job() {
    assert_eq!(
        told(&finished()),
        [
            "10:00:00 event received []",
            "10:00:01 Job created [Slipway: match, bind, create]",
            "10:01:00 its turn came [its turn, by its EventJob's policy]",
            "10:01:00 Pod invoice-x-1 created [the Job controller]",
            "10:01:02 Pod invoice-x-1 has a node [a node with room]",
            "10:01:10 Pod invoice-x-1 runs [the image, and the start of its containers]",
            "10:03:00 Pod invoice-x-1 succeeded [the work]",
            "10:03:01 Job complete [the Job controller]",
        ]
    );
    let html = html(&finished(), "2026-11-30T11:00:00Z".parse().unwrap()).into_string();
    assert!(
        html.contains("59 s for its turn, by its EventJob&#39;s policy"),
        "{html}"
    );
    assert!(html.contains("1 min 50 s for the work"), "{html}");
    assert!(html.contains("The whole way took 3 min 0 s"), "{html}");
}

#[test]
fn what_is_waited_for_now_is_named() {
    let mut waiting = finished();
    waiting.pods.clear();
    waiting.job["status"] = json!({});
    waiting.job["metadata"]["annotations"]["slipway.dev/gate"] = "waiting".into();
    let steps = told(&waiting);
    assert_eq!(steps.last().unwrap(), "- its turn [its turn]");
    let html = html(&waiting, "2026-11-30T10:02:01Z".parse().unwrap()).into_string();
    assert!(
        html.contains("2 min 0 s so far, waiting for its turn"),
        "{html}"
    );

    let mut unscheduled = finished();
    unscheduled.job["status"]["conditions"] = json!([]);
    unscheduled.pods[0]["status"] = json!({"phase": "Pending", "conditions": [
        {"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available"},
    ]});
    let steps = told(&unscheduled);
    assert_eq!(
        steps.last().unwrap(),
        "- a node for Pod invoice-x-1 [a node with room]"
    );
}

#[test]
fn a_failure_is_told_with_its_exit_code() {
    let mut failed = finished();
    failed.pods[0]["status"]["phase"] = "Failed".into();
    failed.pods[0]["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] = 3.into();
    failed.job["status"]["conditions"] = json!([
        {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "too often", "lastTransitionTime": "2026-11-30T10:03:01Z"},
    ]);
    let bad: Vec<_> = steps(&failed)
        .into_iter()
        .filter(|step| step.is_bad)
        .collect();
    assert_eq!(bad[0].detail, "exit code 3");
    assert_eq!(bad[1].detail, "BackoffLimitExceeded too often");
}

#[test]
fn a_job_that_somebody_removed_was_dropped_by_no_policy() {
    let removed =
        json!({"slipway.dev/gate": "dropped", "slipway.dev/removed-at": "2026-11-30T10:04:00Z"});
    let mut story = finished();
    story.pods.clear();
    story.job["metadata"]["annotations"] = removed;
    assert_eq!(
        told(&story)[1..],
        [
            "10:01:00 Job started [the Job controller]",
            "10:03:01 Job complete [the Job controller]",
            "10:04:00 removed by somebody []",
        ]
    );
    // It was stopped while it ran.
    story.job["status"] = json!({});
    let steps = steps(&story);
    let said = steps.iter().map(|step| (&*step.what, &*step.detail));
    assert_eq!(
        said.collect::<Vec<_>>()[1..],
        [
            ("removed by somebody", ""),
            ("it will not run", "somebody removed it"),
        ]
    );
    story.job["metadata"]["annotations"] = json!({"slipway.dev/gate": "dropped"});
    let steps = self::steps(&story);
    assert_eq!(
        steps.last().unwrap().detail,
        "its EventJob's policy dropped it"
    );
}

#[test]
fn only_a_failed_job_of_an_event_runs_again() {
    let mut story = finished();
    let label = |story: &mut JobStory| {
        story.job["metadata"]["labels"] = json!({"slipway.dev/eventjob": "invoice"});
    };
    label(&mut story);
    assert_eq!(
        again(&story, &some_memory(), true).as_str(),
        "<div id=\"again\"></div>"
    );
    story.job["status"]["conditions"][1]["type"] = "Failed".into();
    let html = again(&story, &some_memory(), false).into_string();
    assert!(
        html.contains("slipway rerun invoice-x -n n<") && !html.contains("<form"),
        "{html}"
    );
    let state_folder = Some("/tmp/it's".to_owned());
    let local = PageMemory {
        state_folder,
        ..some_memory()
    };
    let html = again(&story, &local, false).into_string();
    assert!(html.contains("-n n --state /tmp/it&#39;s<"), "{html}");
    let html = again(&story, &some_memory(), true).into_string();
    assert!(
        html.contains("&quot;action&quot;:&quot;rerun&quot;"),
        "{html}"
    );
    story.job["metadata"]["labels"] = json!({"slipway.dev/scaledjob": "invoice"});
    assert_eq!(
        again(&story, &some_memory(), true).as_str(),
        "<div id=\"again\"></div>"
    );
}

#[test]
fn a_job_of_a_schedule_begins_with_its_due_time() {
    let mut due = finished();
    let annotations = &mut due.job["metadata"]["annotations"];
    annotations["batch.kubernetes.io/cronjob-scheduled-timestamp"] = "2026-11-30T10:00:00Z".into();
    assert_eq!(told(&due)[0], "10:00:00 due []");
}

#[test]
fn spans_are_read_by_people() {
    let at = |milliseconds| Timestamp::from_millisecond(milliseconds).unwrap();
    for (milliseconds, words) in [
        (0, "less than 1 s"),
        (-5, "less than 1 s"),
        (340, "340 ms"),
        (1500, "1.5 s"),
        (59_000, "59 s"),
        (61_000, "1 min 1 s"),
        (7_260_000, "2 h 1 min"),
        (180_000_000, "2 d 2 h"),
    ] {
        assert_eq!(span(at(1000), at(1000 + milliseconds)), words);
    }
}
