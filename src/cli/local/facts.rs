//! What happens, for programs: one JSON object for each fact. Pure.

use std::time::Duration;

use serde_json::{Value, json};

use crate::app::local::{ObjectNews, RunSummary};
use crate::launch::JobOutcome;
use crate::local::{Fact, PodEnd};
use crate::resource::ObjectId;

/// `{"fact": "finished", "job": "default/a", "outcome": "Complete", …}`. What a field is called does not change.
pub fn fact(fact: &Fact) -> Value {
    let of = |what: &str, job: &ObjectId, more: Value| {
        let mut object = json!({"fact": what, "job": job.to_string()});
        if let (Some(object), Value::Object(more)) = (object.as_object_mut(), more) {
            object.extend(more);
        }
        object
    };
    match fact {
        Fact::Decided { scaled_job, reason } => {
            json!({"fact": "decided", "scaledJob": scaled_job.to_string(), "reason": reason})
        }
        Fact::Accepted { job } => of("accepted", job, json!({})),
        Fact::PodStarted { job, pod } => of("podStarted", job, json!({"pod": pod})),
        Fact::ContainerRestarts {
            job,
            pod,
            container,
            exit_code,
            restarts,
            pause,
            log,
        } => {
            let more = json!({
                "pod": pod, "container": container, "exitCode": exit_code, "restarts": restarts,
                "pauseSeconds": pause.as_secs_f64(), "log": log.to_string_lossy(),
            });
            of("containerRestarts", job, more)
        }
        Fact::PodEnded { job, pod, end, log } => {
            let (phase, exit_code, reason, message) = match end {
                PodEnd::Succeeded => ("Succeeded", Some(0), None, None),
                PodEnd::Removed => ("Removed", None, None, None),
                PodEnd::Failed {
                    exit_code,
                    reason,
                    message,
                } => ("Failed", *exit_code, Some(reason), Some(message)),
            };
            let more = json!({
                "pod": pod, "phase": phase, "exitCode": exit_code, "reason": reason, "message": message,
                "log": log.to_string_lossy(),
            });
            of("podEnded", job, more)
        }
        Fact::Finished {
            job,
            scaled_job,
            outcome,
            reason,
        } => {
            let outcome = match outcome {
                JobOutcome::Complete => "Complete",
                JobOutcome::Failed => "Failed",
            };
            let scaled_job = scaled_job.as_ref().map(ToString::to_string);
            let more = json!({"outcome": outcome, "reason": reason, "scaledJob": scaled_job});
            of("finished", job, more)
        }
        Fact::Turned { job, gate } => of("turned", job, json!({"gate": gate.name()})),
        Fact::Removed { job } => of("removed", job, json!({})),
    }
}

/// `{"fact": "news", "kind": "eventjob", "id": "default/a", "text": "…"}`.
pub fn news(news: &ObjectNews) -> Value {
    let ObjectNews { kind, id, text } = news;
    json!({"fact": "news", "kind": kind, "id": id.to_string(), "text": text})
}

/// `{"fact": "page", "address": "http://127.0.0.1:9091/"}`: the first line, while there is a status page.
pub fn page(address: &str) -> Value {
    json!({"fact": "page", "address": address})
}

/// `{"fact": "ended", "succeeded": 3, …}`: the last line.
pub fn summary(ended: &RunSummary, took: Duration) -> Value {
    json!({
        "fact": "ended",
        "succeeded": ended.succeeded,
        "failed": ended.failed,
        "unfinished": ended.unfinished,
        "suspended": ended.suspended,
        "faults": ended.faults,
        "signal": ended.signal.map(|signal| signal.as_raw_value()),
        "seconds": took.as_secs_f64(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_finds_every_word_of_a_line_in_a_field_of_its_own() {
        let ended = Fact::PodEnded {
            job: ObjectId::new("default", "a"),
            pod: "a-x".to_owned(),
            end: PodEnd::Failed {
                exit_code: Some(3),
                reason: "Error".to_owned(),
                message: "container main exited with 3".to_owned(),
            },
            log: "state/log".into(),
        };
        let expected = json!({
            "fact": "podEnded", "job": "default/a", "pod": "a-x", "phase": "Failed", "exitCode": 3, "reason": "Error",
            "message": "container main exited with 3", "log": "state/log",
        });
        assert_eq!(fact(&ended), expected);
    }
}
