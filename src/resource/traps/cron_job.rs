//! Traps in a CronJob: what kube-controller-manager does with it, and its author may not think of.
//!
//! Source: kube-controller-manager 1.36.3, measured.

use std::time::Duration;

use crate::resource::Fault;
use crate::resource::cron_job::{CronJob, CronJobPolicy};
use crate::schedule::Error;

/// Warnings about a CronJob as Kubernetes runs it.
pub fn of_cron_job(cron_job: &CronJob) -> Vec<Fault> {
    let mut found = Vec::new();
    let mut warn = |field: &str, message: String| found.push(Fault::at(field, message));
    for expression in &cron_job.schedule.expressions {
        for trap in expression.traps() {
            warn("spec.schedule", trap);
        }
        if let Some(Error::EveryBelowMinute { .. }) = expression.refusal() {
            warn(
                "spec.schedule",
                format!(
                    "runs once a minute at most, whatever {expression} says: the names of Jobs have minutes"
                ),
            );
        }
    }
    if cron_job.starting_deadline == Some(Duration::ZERO) {
        warn(
            "spec.startingDeadlineSeconds",
            "is 0, and with 0 nothing ever runs, without an Event: every start is later than that"
                .to_owned(),
        );
    }
    if cron_job.concurrency_policy == CronJobPolicy::Forbid {
        warn(
            "spec.concurrencyPolicy",
            "is Forbid: the newest due time at which a Job still runs starts late, when that Job has ended; startingDeadlineSeconds says how late it may".to_owned(),
        );
    }
    found
}

/// What is worth knowing and no mistake: outages after which CronJob starts nothing.
pub fn notes_of_cron_job(cron_job: &CronJob) -> Vec<Fault> {
    if !cron_job.schedule.is_uneven() {
        return Vec::new();
    }
    vec![Fault::at(
        "spec.schedule",
        "is not evenly spaced: after an outage kube-controller-manager may start none of the missed ones; an EventJob makes the newest",
    )]
}
