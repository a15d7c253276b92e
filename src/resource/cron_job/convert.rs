//! A CronJob as an EventJob, with every difference in words.

use serde_json::{Map, Value, json};

use super::{CronJob, CronJobPolicy};
use crate::resource::requests::{ANSWERS_ANNOTATION, REQUESTS_ANNOTATION};
use crate::resource::scaled_job::SLIPWAY_API_VERSION;
use crate::schedule::{Fold, Gap};

/// Annotations that tools write for themselves, with the object they wrote them on in mind.
const TOOLS: [&str; 5] = [
    "kubectl.kubernetes.io/",
    "argocd.argoproj.io/",
    "meta.helm.sh/",
    REQUESTS_ANNOTATION,
    ANSWERS_ANNOTATION,
];

/// What came out.
#[derive(Debug, Clone, PartialEq)]
pub struct Converted {
    /// The EventJob.
    pub event_job: Value,
    /// What is not as it was, each in a sentence without its full stop.
    pub differences: Vec<String>,
}

/// Turns a CronJob into the EventJob that runs the same Jobs; `written` is the document it was read from.
pub fn convert(cron_job: &CronJob, written: &Value) -> Converted {
    let mut differences = Vec::new();
    let mut spec = Map::new();
    let cron = source(cron_job, written, &mut differences);
    spec.insert("source".to_owned(), json!({ "cron": cron }));
    policy(cron_job, &mut spec, &mut differences);
    if cron_job.suspend {
        spec.insert("suspend".to_owned(), json!(true));
    }
    // Written out: with a TTL in the template, an EventJob has no limits that nobody wrote.
    let history = cron_job.history;
    spec.insert(
        "successfulJobsHistoryLimit".to_owned(),
        json!(history.successful),
    );
    spec.insert("failedJobsHistoryLimit".to_owned(), json!(history.failed));
    spec.insert(
        "jobTemplate".to_owned(),
        template(cron_job, &mut differences),
    );
    differences.push(format!(
        "Jobs are named {}- and ten letters that the due time decides, not {}-UNIXMINUTES",
        cron_job.id.name, cron_job.id.name
    ));
    differences.push("containers have SLIPWAY_SCHEDULED_TIME, the due time".to_owned());
    differences.push(
        "the CronJob goes on by itself: suspend or delete it before this is applied, or each due time has two Jobs"
            .to_owned(),
    );
    let event_job = json!({
        "apiVersion": SLIPWAY_API_VERSION,
        "kind": "EventJob",
        "metadata": metadata(&written["metadata"]),
        "spec": spec,
    });
    Converted {
        event_job,
        differences,
    }
}

fn metadata(written: &Value) -> Value {
    let mut metadata = Map::new();
    for key in ["name", "namespace", "labels"] {
        if !written[key].is_null() {
            metadata.insert(key.to_owned(), written[key].clone());
        }
    }
    let annotations = written["annotations"].as_object().into_iter().flatten();
    let annotations =
        annotations.filter(|(key, _)| !TOOLS.iter().any(|tool| key.starts_with(tool)));
    let annotations: Map<_, _> = annotations
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    if !annotations.is_empty() {
        metadata.insert("annotations".to_owned(), annotations.into());
    }
    metadata.into()
}

fn source(cron_job: &CronJob, written: &Value, differences: &mut Vec<String>) -> Value {
    let mut cron = Map::new();
    let schedule = &cron_job.schedule;
    for expression in &schedule.expressions {
        let text = if expression.every().is_some() && expression.refusal().is_some() {
            differences.push(format!(
                "schedule: {expression} is @every 1m, which is as often as CronJob runs it: the names of its Jobs have minutes"
            ));
            "@every 1m"
        } else {
            expression.text()
        };
        cron.insert("schedule".to_owned(), json!(text));
        if expression.every().is_some() {
            differences.push(
                "schedule: @every counts from startAt, else from the creation of the EventJob, and an edit or a restart moves nothing"
                    .to_owned(),
            );
        } else {
            jumps(
                expression.gap(),
                expression.fold(),
                schedule.time_zone.iana_name(),
                differences,
            );
        }
    }
    let zone = &written["spec"]["timeZone"];
    if zone.is_null() {
        differences.push(
            "timeZone: is not written, and is UTC; CronJob takes that of kube-controller-manager, which is UTC in most clusters"
                .to_owned(),
        );
    } else {
        cron.insert("timeZone".to_owned(), zone.clone());
    }
    match cron_job.starting_deadline.map(|deadline| deadline.as_secs()) {
        Some(0) => differences.push(
            "startingDeadlineSeconds: 0 is left out: with it the CronJob never ran, and this EventJob does"
                .to_owned(),
        ),
        Some(seconds) => {
            cron.insert("startingDeadlineSeconds".to_owned(), json!(seconds));
        }
        None => {}
    }
    differences.push(
        "catchUp: Last: after an outage the newest missed due time always gets its Job, and the others are told; CronJob loses it where its due times are not evenly spaced"
            .to_owned(),
    );
    cron.into()
}

/// A due time that the clock jumps over, or shows twice.
fn jumps(gap: Gap, fold: Fold, zone: Option<&str>, differences: &mut Vec<String>) {
    if matches!(zone, Some("UTC" | "Etc/UTC")) {
        return;
    }
    if gap == Gap::Next {
        differences.push(
            "gap: Next: a due time that the clock jumps over is due right after; CronJob skips that day (gap: Skip)"
                .to_owned(),
        );
    }
    if fold == Fold::First {
        differences.push(
            "fold: First: a due time that the clock shows twice is due once; CronJob runs it twice (fold: Both)"
                .to_owned(),
        );
    }
}

fn policy(cron_job: &CronJob, spec: &mut Map<String, Value>, differences: &mut Vec<String>) {
    let (word, difference) = match cron_job.concurrency_policy {
        CronJobPolicy::Allow => return,
        CronJobPolicy::Forbid => (
            "Forbid",
            "concurrencyPolicy: Forbid: a due time at which a Job runs is skipped, and told; CronJob starts the newest of them late, when that Job has ended (Queue is nearest to that)",
        ),
        CronJobPolicy::Replace => (
            "Replace",
            "concurrencyPolicy: Replace: the new Job is made before the running one is stopped; CronJob deletes first",
        ),
    };
    spec.insert("concurrencyPolicy".to_owned(), json!(word));
    differences.push(difference.to_owned());
}

/// `jobTemplate`, without what means nothing in the metadata of a template.
fn template(cron_job: &CronJob, differences: &mut Vec<String>) -> Value {
    let mut template = cron_job.job_template.value();
    let Some(metadata) = template.get_mut("metadata").and_then(Value::as_object_mut) else {
        return template;
    };
    let written: Vec<String> = metadata.keys().cloned().collect();
    for key in written {
        let is_empty = metadata[&key].is_null();
        if ["labels", "annotations"].contains(&key.as_str()) && !is_empty {
            continue;
        }
        metadata.remove(&key);
        // CronJob looks at none of it either.
        if !is_empty && key != "creationTimestamp" {
            differences.push(format!(
                "jobTemplate.metadata.{key}: is left out; CronJob does not look at it"
            ));
        }
    }
    if metadata.is_empty()
        && let Some(template) = template.as_object_mut()
    {
        template.remove("metadata");
    }
    template
}
