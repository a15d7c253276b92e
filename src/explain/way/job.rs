//! What a Job and its Pods add to a way: its turn, its Pods, its end, its later attempts.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Way, attempt_of, time};
use crate::explain::causes::full;
use crate::explain::event_job::waiting_for_turn;
use crate::explain::{Cause, ObjectEvidence};
use crate::launch::attempt::{RERUN_ANNOTATION, RerunRequest};
use crate::launch::delivered::{
    GATE_ANNOTATION, RECEIVED_ANNOTATION, REMOVED_ANNOTATION, SCHEDULED_ANNOTATION,
};
use crate::launch::{KEDA_SCALED_JOB_LABEL, SCALED_JOB_LABEL};
use crate::resource::ROUND_ANNOTATION;

/// What the time of a Pod that runs is for.
const WORK: &str = "for its work";
/// The time before the last start of a Pod whose containers were started again.
const RESTARTING: &str = "for its image, its earlier runs and the pauses between them";

/// How far the Pods of a Job have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PodsReached {
    /// None has started, or the newest has not.
    Nothing,
    /// One that has started has not ended.
    Start,
    /// All that started have ended.
    End,
}

impl Way {
    /// The Job, and its later attempts. How the last of them stands in words, and what is in its way; `None` when there is
    /// no Job.
    pub(super) fn jobs(
        &mut self,
        jobs: &[&Value],
        name: &str,
        evidence: &ObjectEvidence,
    ) -> Option<(String, Option<Cause>)> {
        let Some((first, later)) = jobs.split_first() else {
            return self.on_page(name, evidence);
        };
        let mut end = self.job(first, evidence);
        let without_pods = ObjectEvidence {
            pods: Vec::new(),
            ..evidence.clone()
        };
        for job in later {
            let (text, cause) = self.job(job, &without_pods);
            end = (format!("attempt {}, {text}", attempt_of(job)), cause);
        }
        Some(end)
    }

    /// The Job's way as a status page shows it.
    fn on_page(
        &mut self,
        name: &str,
        evidence: &ObjectEvidence,
    ) -> Option<(String, Option<Cause>)> {
        let namespace = &evidence.subject.id.namespace;
        let is_known = !self.steps.is_empty();
        let mut stands = (format!("job {name} is there"), None);
        if evidence.page_steps.is_empty() {
            return None;
        }
        for step in &evidence.page_steps {
            let waited = match &*step.waited_for {
                "" => String::new(),
                waited_for => format!("for {waited_for}"),
            };
            let text = match &*step.detail {
                "" => step.what.clone(),
                detail => format!("{}: {detail}", step.what),
            };
            let Some(at) = step.at else {
                stands.0 = format!("job {name} is there; what comes next: {text}");
                continue;
            };
            // A page has whole seconds.
            let at = match self.reached {
                Some(before) if before.as_second() == at.as_second() => at.max(before),
                _ => at,
            };
            match &*step.what {
                "due" | "event received" if is_known => {}
                "Job created" => self.created(at, format!("job {name} was created")),
                _ => self.step(at, text, &waited),
            }
            match &*step.what {
                "Job complete" => stands = (format!("job {name} succeeded"), None),
                "Job failed" => {
                    let job = json!({"metadata": {"name": name, "namespace": **namespace}});
                    let (reason, message) = step
                        .detail
                        .split_once(' ')
                        .unwrap_or((&step.detail, "it failed"));
                    let cause = failed(&job, reason, message, evidence);
                    stands = (format!("job {name} failed"), Some(cause));
                }
                _ => {}
            }
        }
        Some(stands)
    }

    /// What the Job says of itself. Returns how it stands in words, and what is in its way.
    fn job(&mut self, job: &Value, evidence: &ObjectEvidence) -> (String, Option<Cause>) {
        let metadata = &job["metadata"];
        let name = metadata["name"].as_str().unwrap_or_default();
        let namespace = metadata["namespace"].as_str().unwrap_or_default();
        let annotations = &metadata["annotations"];
        if self.steps.is_empty() {
            for (annotation, what) in [
                (SCHEDULED_ANNOTATION, "it was due"),
                (RECEIVED_ANNOTATION, "the request came"),
            ] {
                if let Some(at) = time(&annotations[annotation]) {
                    self.step(at, what.to_owned(), "");
                }
            }
        }
        let round = annotations[ROUND_ANNOTATION].as_str();
        let mut of_round = round.map_or(String::new(), |round| format!(", in round {round}"));
        let attempt = attempt_of(job);
        if attempt > 1 {
            of_round = format!(", attempt {attempt}");
        }
        if let Some(at) = time(&metadata["creationTimestamp"]) {
            self.created(at, format!("job {name} was created{of_round}"));
        }
        let gate = annotations[GATE_ANNOTATION].as_str();
        let is_suspended = job["spec"]["suspend"] == true;
        if gate == Some("waiting") && is_suspended {
            let cause = waiting_for_turn(evidence, None, 1, None);
            return (format!("job {name} waits for its turn"), Some(cause));
        }
        // What has ended was not kept from running.
        let removed = time(&annotations[REMOVED_ANNOTATION]);
        if gate == Some("dropped") && (removed.is_some() || ended(job).is_some()) {
            return self.removed(job, removed, evidence);
        }
        if gate == Some("dropped") {
            let cause = Cause {
                word: "Dropped",
                cause: format!(
                    "1 Job, {name}, was dropped by concurrencyPolicy: others of its key had their place."
                ),
                next:
                    "Nothing, if that is meant. With concurrencyPolicy Queue it would have waited."
                        .to_owned(),
                command: evidence.tools.jobs(namespace),
            };
            return (format!("job {name} was dropped"), Some(cause));
        }
        if is_suspended {
            let cause = Cause {
                word: "JobSuspended",
                cause: format!("1 Job, {name}, is suspended by its template or by somebody."),
                next: "Whoever suspended it resumes it.".to_owned(),
                command: format!(
                    "kubectl -n {namespace} patch job {name} --type merge -p '{{\"spec\":{{\"suspend\":false}}}}'"
                ),
            };
            return (format!("job {name} is suspended"), Some(cause));
        }
        let started = time(&job["status"]["startTime"]);
        if let (Some(at), Some(_)) = (started, gate) {
            self.step(
                at,
                "its turn came".to_owned(),
                "for its turn (concurrencyPolicy)",
            );
        }
        let reached = self.pods(&evidence.pods);
        self.end(job, reached, evidence)
    }

    /// Somebody removed it: what had become of it until then, and that.
    fn removed(
        &mut self,
        job: &Value,
        removed: Option<Timestamp>,
        evidence: &ObjectEvidence,
    ) -> (String, Option<Cause>) {
        let metadata = &job["metadata"];
        let name = metadata["name"].as_str().unwrap_or_default();
        let namespace = metadata["namespace"].as_str().unwrap_or_default();
        let reached = self.pods(&evidence.pods);
        let (stood, before) = match ended(job) {
            Some(_) => {
                let (text, cause) = self.end(job, reached, evidence);
                (
                    text,
                    cause.map(|cause| format!(" Before that: {}", cause.cause)),
                )
            }
            None => (format!("job {name} was stopped"), None),
        };
        let when = removed.map_or(String::new(), |at| format!(" at {at:.0}"));
        if let Some(at) = removed {
            self.step(at, format!("somebody removed job {name}"), "");
        }
        let cause = Cause {
            word: "JobRemoved",
            cause: format!(
                "1 Job, {name}, was removed by somebody{when}, as `slipway rm` does.{}",
                before.unwrap_or_default()
            ),
            next: "Nothing. It is not made again, and goes when its event would make no other."
                .to_owned(),
            command: evidence.tools.jobs(namespace),
        };
        (format!("{stood}, and was removed by somebody"), Some(cause))
    }

    /// Its Pods, and how far they have come. Several may run at a time: each waits for what is its own.
    fn pods(&mut self, pods: &[Value]) -> PodsReached {
        let mut pods: Vec<&Value> = pods.iter().collect();
        pods.sort_by_key(|pod| created(pod));
        let mut reached = PodsReached::Nothing;
        let mut steps = Vec::new();
        let mut last_end = None;
        for (index, pod) in pods.iter().enumerate() {
            let (before, pause) = match index {
                0 => (self.reached, "for the Job controller to make a Pod"),
                _ => (
                    last_end.filter(|end| created(pod).is_some_and(|at| *end <= at)),
                    "for the Job controller's pause before it makes another Pod",
                ),
            };
            let mut way = Self {
                reached: before,
                ..Self::default()
            };
            let (has_started, end) = way.pod(pod, pause);
            reached = match (reached, has_started, end) {
                (PodsReached::Start, ..) | (_, true, None) => PodsReached::Start,
                (_, true, Some(_)) => PodsReached::End,
                // One that waits for a node, say.
                (_, false, _) => PodsReached::Nothing,
            };
            last_end = last_end.max(end);
            steps.extend(way.steps);
        }
        steps.sort_by_key(|step| step.at);
        self.reached = steps.last().map(|step| step.at).or(self.reached);
        self.steps.extend(steps);
        reached
    }

    /// One Pod. Whether it has started, and when it ended.
    fn pod(&mut self, pod: &Value, pause: &str) -> (bool, Option<Timestamp>) {
        let name = pod["metadata"]["name"].as_str().unwrap_or_default();
        let conditions = pod["status"]["conditions"].as_array();
        let scheduled = conditions
            .into_iter()
            .flatten()
            .find(|one| one["type"] == "PodScheduled" && one["status"] == "True");
        if let Some(at) = created(pod) {
            self.step(at, format!("Pod {name} was created"), pause);
        }
        if let Some(at) = scheduled.and_then(|one| time(&one["lastTransitionTime"])) {
            self.step(at, format!("Pod {name} got a node"), "for a node with room");
        }
        let statuses = pod["status"]["containerStatuses"].as_array();
        let statuses: Vec<&Value> = statuses.into_iter().flatten().collect();
        let started = statuses.iter().find_map(|status| {
            let state = &status["state"];
            time(&state["running"]["startedAt"]).or_else(|| time(&state["terminated"]["startedAt"]))
        });
        let restarts = statuses
            .iter()
            .filter_map(|status| status["restartCount"].as_u64());
        if let Some(at) = started {
            let (restarted, waited) = match restarts.sum::<u64>() {
                0 => (String::new(), "for its image and its containers"),
                1 => (", restarted once".to_owned(), RESTARTING),
                times => (format!(", restarted {times} times"), RESTARTING),
            };
            self.step(at, format!("Pod {name} ran{restarted}"), waited);
        }
        let ends: Option<Vec<Timestamp>> = statuses
            .iter()
            .map(|status| time(&status["state"]["terminated"]["finishedAt"]))
            .collect();
        let ended = ends.and_then(|ends| ends.into_iter().max());
        if let Some(at) = ended {
            self.step(at, format!("Pod {name} ended"), WORK);
        }
        (started.is_some(), ended)
    }

    fn end(
        &mut self,
        job: &Value,
        reached: PodsReached,
        evidence: &ObjectEvidence,
    ) -> (String, Option<Cause>) {
        let metadata = &job["metadata"];
        let name = metadata["name"].as_str().unwrap_or_default();
        let namespace = metadata["namespace"].as_str().unwrap_or_default();
        let Some(ended) = ended(job) else {
            if reached != PodsReached::Nothing
                || job["status"]["active"].as_u64().unwrap_or_default() > 0
                    && evidence.pods.is_empty()
            {
                return (format!("job {name} runs"), None);
            }
            let (cause, command) = match waiting_container(&evidence.pods) {
                Some(why) => (
                    why,
                    format!(
                        "kubectl -n {namespace} describe pods -l batch.kubernetes.io/job-name={name}"
                    ),
                ),
                None => (
                    format!("Job {name} has 0 running Pods yet."),
                    evidence.tools.jobs(namespace),
                ),
            };
            let cause = Cause {
                word: "PodPending",
                cause,
                next: "Look at the Pod's Events: a node, an image or a volume may be missing."
                    .to_owned(),
                command,
            };
            return (format!("job {name} has no running Pod yet"), Some(cause));
        };
        let at =
            time(&job["status"]["completionTime"]).or_else(|| time(&ended["lastTransitionTime"]));
        let succeeded = ended["type"] == "Complete";
        let text = |field: &str| ended[field].as_str().unwrap_or_default();
        if let Some(at) = at {
            let what = if succeeded {
                format!("job {name} succeeded")
            } else {
                format!("job {name} failed, {}: {}", text("reason"), text("message"))
            };
            let waited = match reached {
                PodsReached::End => "for the Job controller to see its end",
                PodsReached::Nothing | PodsReached::Start => WORK,
            };
            self.step(at, what, waited);
        }
        if succeeded {
            return (format!("job {name} succeeded"), None);
        }
        let cause = failed(job, text("reason"), text("message"), evidence);
        (format!("job {name} failed"), Some(cause))
    }
}

/// It failed. What runs it again depends on what it was made for.
fn failed(job: &Value, reason: &str, message: &str, evidence: &ObjectEvidence) -> Cause {
    let metadata = &job["metadata"];
    let name = metadata["name"].as_str().unwrap_or_default();
    let namespace = metadata["namespace"].as_str().unwrap_or_default();
    let failed = job["status"]["failed"].as_u64().unwrap_or(1);
    let again = metadata["annotations"][RERUN_ANNOTATION].as_str();
    let again = again.and_then(RerunRequest::parse).and_then(|it| it.job);
    let mut cause = Cause {
        word: "JobFailed",
        cause: format!(
            "Job {name} failed, {reason}: {failed} Pods failed. {}",
            full(message)
        ),
        next: String::new(),
        command: evidence.tools.logs(namespace, name),
    };
    let labels = &metadata["labels"];
    let is_counted = [SCALED_JOB_LABEL, KEDA_SCALED_JOB_LABEL]
        .iter()
        .any(|label| labels[*label].is_string());
    cause.next = match again {
        Some(next) => {
            cause.command = evidence.tools.explain(namespace, &format!("job/{next}"));
            format!("Look at its next attempt, job {next}.")
        }
        None if is_counted => {
            "Read what its last Pod wrote. What it left undone is counted again by its source."
                .to_owned()
        }
        None => format!(
            "Read what its last Pod wrote. Its event is not delivered again by itself: `{}` runs it again.",
            evidence.tools.rerun(namespace, name)
        ),
    };
    cause
}

/// The condition that says how a Job has ended; `None` while it has not.
fn ended(job: &Value) -> Option<&Value> {
    let mut conditions = job["status"]["conditions"].as_array()?.iter();
    conditions.find(|one| {
        one["status"] == "True" && (one["type"] == "Complete" || one["type"] == "Failed")
    })
}

/// Why a container of a Pod does not run.
fn waiting_container(pods: &[Value]) -> Option<String> {
    let states = pods
        .iter()
        .filter_map(|pod| pod["status"]["containerStatuses"].as_array())
        .flatten();
    let mut waiting = states.filter_map(|state| state["state"]["waiting"]["reason"].as_str());
    if let Some(reason) = waiting.next() {
        return Some(format!("1 container waits: {reason}."));
    }
    let conditions = pods
        .iter()
        .filter_map(|pod| pod["status"]["conditions"].as_array())
        .flatten();
    let mut unscheduled =
        conditions.filter(|one| one["type"] == "PodScheduled" && one["status"] == "False");
    let message = unscheduled.next()?["message"].as_str()?;
    Some(format!("1 Pod has no node: {message}."))
}

fn created(pod: &Value) -> Option<Timestamp> {
    time(&pod["metadata"]["creationTimestamp"])
}
