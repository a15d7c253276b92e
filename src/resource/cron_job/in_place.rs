//! A CronJob that was handed over in place: Slipway runs its schedule, and it stays a CronJob.
//!
//! `suspend: true` makes kube-controller-manager let go, and the annotation `slipway.dev/managed: "true"` asks Slipway to
//! take over. Either alone means nothing. Gaps and folds of the clock stay CronJob's own.

use serde_json::{Value, json};

use super::{CronJobPolicy, convert, parse};
use crate::resource::event_job::{self, EventJob};
use crate::resource::scaled_job::{MANAGED_ANNOTATION, PAUSED_ANNOTATION};
use crate::resource::{Fault, requests};

/// What of a CronJob its Jobs keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CronJobInPlace {
    /// `concurrencyPolicy: Forbid`. Nothing is gated: Jobs that wait for a turn would wait for ever when it is given back.
    pub forbids: bool,
}

/// Whether a CronJob is handed over.
pub fn is_handed_over(value: &Value) -> bool {
    says_true(value, MANAGED_ANNOTATION) && value["spec"]["suspend"] == true
}

fn says_true(value: &Value, annotation: &str) -> bool {
    value["metadata"]["annotations"][annotation] == "true"
}

/// A CronJob that is handed over, as the EventJob that runs its schedule.
///
/// # Errors
///
/// What keeps it from being run in place.
pub fn in_place(value: &Value) -> Result<EventJob, Vec<Fault>> {
    let cron_job = parse(value)?;
    let mut faults = Vec::new();
    if cron_job.concurrency_policy == CronJobPolicy::Replace {
        let why = "is Replace, for which Jobs have to wait for their turn, and would wait for ever when it is given back: \
                   use the EventJob that `slipway convert` prints";
        faults.push(Fault::at("spec.concurrencyPolicy", why));
    }
    if cron_job
        .starting_deadline
        .is_some_and(|deadline| deadline.is_zero())
    {
        let why = "is 0, and with that a CronJob never runs";
        faults.push(Fault::at("spec.startingDeadlineSeconds", why));
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let mut converted = convert(&cron_job, value).event_job;
    for kept in ["uid", "generation", "creationTimestamp"] {
        converted["metadata"][kept] = value["metadata"][kept].clone();
    }
    let spec = &mut converted["spec"];
    spec["suspend"] = says_true(value, PAUSED_ANNOTATION).into();
    spec["concurrencyPolicy"] = "Allow".into();
    let cron = &mut spec["source"]["cron"];
    cron["gap"] = json!("Skip");
    cron["fold"] = json!("Both");
    let mut event_job = event_job::parse(&converted)?;
    event_job.requests = requests::of(value);
    event_job.cron_job = Some(CronJobInPlace {
        forbids: cron_job.concurrency_policy == CronJobPolicy::Forbid,
    });
    Ok(event_job)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::event_job::Concurrency;
    use crate::schedule::{Fold, Gap};

    fn cron_job(changes: &[(&str, Value)]) -> Value {
        let mut value = json!({
            "apiVersion": "batch/v1", "kind": "CronJob",
            "metadata": {
                "name": "nightly", "namespace": "production", "uid": "u", "generation": 7,
                "creationTimestamp": "2026-01-01T00:00:00Z",
                "annotations": {"slipway.dev/managed": "true"},
            },
            "spec": {
                "schedule": "30 2 * * *", "timeZone": "Europe/Berlin", "suspend": true,
                "concurrencyPolicy": "Allow", "successfulJobsHistoryLimit": 3, "failedJobsHistoryLimit": 1,
                "jobTemplate": {"metadata": {"creationTimestamp": null}, "spec": {"template": {"spec": {
                    "restartPolicy": "Never", "containers": [{"name": "a", "image": "a"}],
                }}}},
            },
            "status": {"lastScheduleTime": "2026-01-02T01:30:00Z"},
        });
        for (pointer, change) in changes {
            *value.pointer_mut(pointer).unwrap() = change.clone();
        }
        value
    }

    #[test]
    fn only_both_together_hand_it_over() {
        assert!(is_handed_over(&cron_job(&[])));
        let resumed = cron_job(&[("/spec/suspend", json!(false))]);
        let asked = "/metadata/annotations/slipway.dev~1managed";
        let not_asked = cron_job(&[(asked, json!("yes"))]);
        assert!(!is_handed_over(&resumed) && !is_handed_over(&not_asked));
    }

    #[test]
    fn it_runs_with_the_ways_of_a_cron_job_and_is_not_suspended() {
        let event_job = in_place(&cron_job(&[])).unwrap();
        assert_eq!(event_job.cron_job, Some(CronJobInPlace { forbids: false }));
        assert!(!event_job.suspend);
        assert_eq!((&*event_job.uid, event_job.generation), ("u", 7));
        let schedule = &event_job.cron().unwrap().schedule;
        assert_eq!(
            (schedule.gap, schedule.fold),
            (Some(Gap::Skip), Some(Fold::Both))
        );
        assert_eq!(schedule.created.to_string(), "2026-01-01T00:00:00Z");
        let forbids = cron_job(&[("/spec/concurrencyPolicy", json!("Forbid"))]);
        let forbids = in_place(&forbids).unwrap();
        assert_eq!(forbids.cron_job, Some(CronJobInPlace { forbids: true }));
        assert_eq!(forbids.concurrency, Concurrency::Allow);
        let asked = "/metadata/annotations";
        let paused = json!({"slipway.dev/managed": "true", "slipway.dev/paused": "true"});
        assert!(in_place(&cron_job(&[(asked, paused)])).unwrap().suspend);
    }

    #[test]
    fn what_cannot_be_run_in_place_says_why() {
        let replaces = cron_job(&[("/spec/concurrencyPolicy", json!("Replace"))]);
        let faults = in_place(&replaces).unwrap_err();
        assert_eq!(faults[0].field, "spec.concurrencyPolicy");
        let mut never = cron_job(&[]);
        never["spec"]["startingDeadlineSeconds"] = json!(0);
        let faults = in_place(&never).unwrap_err();
        assert!(faults[0].message.contains("never runs"), "{faults:?}");
    }
}
