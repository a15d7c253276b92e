//! What can happen to a Job and its Pods, on both sides.

use serde_json::{Value, json};
use slipway::job_rules::{ContainerExit, Phase, PodCondition};

use crate::support::chance::Chance;

use super::model::Model;
use super::real::Real;

/// One thing that happens. Pods are counted among those that are active, from the oldest on.
#[derive(Debug, Clone)]
pub(super) enum Event {
    /// A Pod runs and is ready.
    Runs(usize),
    /// Its containers end, with these exit codes.
    Exits(usize, Vec<i32>),
    /// Its last init container ends with this exit code, and it never ran.
    InitFails(usize, i32),
    /// It is disrupted.
    Disrupted(usize),
    /// Its own `activeDeadlineSeconds` has passed.
    PodDeadline(usize),
    /// A container was restarted in place; the flag: an init container.
    Restarts(usize, u32, bool),
    /// A Pod that was told to end is gone.
    Gone(usize),
    /// Something of the spec changes.
    Change(Value),
    /// The Job's deadline passes.
    JobDeadline,
}

impl Event {
    /// Something that can happen now.
    pub(super) fn any(chance: &mut Chance, model: &Model) -> Self {
        let rules = &model.rules;
        let terminating = u64::try_from(model.terminating().len()).unwrap();
        if terminating > 0 && chance.below(3) > 0 {
            return Self::Gone(usize::try_from(chance.below(terminating)).unwrap());
        }
        let active = u64::try_from(model.active().len()).unwrap();
        if rules.suspend {
            return Self::Change(json!({"suspend": false}));
        }
        match chance.below(20) {
            0 | 1 => return Self::Change(json!({"suspend": true})),
            2 if rules.active_deadline.is_some() || chance.below(3) == 0 => {
                return Self::JobDeadline;
            }
            3 => {
                let parallelism = chance.below(4);
                return Self::Change(json!({"parallelism": parallelism}));
            }
            4 if rules.indexed
                && rules.success_rules.is_empty()
                && rules.max_failed_indexes.is_none() =>
            {
                let width = 1 + chance.below(4);
                return Self::Change(json!({"completions": width, "parallelism": width}));
            }
            _ => {}
        }
        if active == 0 {
            return Self::Change(json!({"parallelism": 1 + chance.below(3)}));
        }
        let pod = usize::try_from(chance.below(active)).unwrap();
        let is_ready = model.pods[nth_active(model, pod)].is_ready;
        let template = &model.spec["template"]["spec"];
        let count = |key: &str| template[key].as_array().map_or(0, Vec::len);
        let restarts = rules.restarts_in_place || count("initContainers") > 1;
        match chance.below(16) {
            0 | 1 => Self::Runs(pod),
            2 => Self::Disrupted(pod),
            3 if count("initContainers") > 0 && !is_ready => Self::InitFails(pod, code(chance, 1)),
            4 => Self::PodDeadline(pod),
            5..=7 if restarts => {
                let is_init = count("initContainers") > 1 && chance.below(2) == 0;
                Self::Restarts(pod, 1 + u32::try_from(chance.below(2)).unwrap(), is_init)
            }
            _ => {
                let codes = (0..count("containers")).map(|_| code(chance, 0));
                Self::Exits(pod, codes.collect())
            }
        }
    }

    /// Lets it happen on both sides.
    pub(super) async fn happen(
        &self,
        real: &Real,
        model: &mut Model,
        job: &str,
    ) -> Result<(), String> {
        let (status, place) = match self {
            Self::Change(patch) => {
                let narrower = patch["parallelism"].as_u64();
                if narrower.is_some_and(|width| width < u64::from(model.rules.parallelism)) {
                    all_run(real, model, job).await?;
                }
                real.change(job, patch).await;
                model.change(patch);
                return Ok(());
            }
            Self::JobDeadline => {
                let patch = json!({"activeDeadlineSeconds": 1});
                real.change(job, &patch).await;
                model.change(&patch);
                model.wait();
                return Ok(());
            }
            Self::Gone(nth) => {
                let terminating = model.terminating();
                let place = terminating[nth % terminating.len()];
                real.end(&model.pods[place].name).await;
                model.vanish(place);
                return Ok(());
            }
            Self::Runs(nth) => {
                let place = nth_active(model, *nth);
                (runs(model, place), place)
            }
            Self::Exits(nth, codes) => {
                let place = nth_active(model, *nth);
                (exits(model, place, codes), place)
            }
            Self::InitFails(nth, code) => {
                let place = nth_active(model, *nth);
                (init_fails(model, place, *code), place)
            }
            Self::Disrupted(nth) => {
                let place = nth_active(model, *nth);
                let mut status = exits(model, place, &[137, 137]);
                status["phase"] = json!("Failed");
                status["conditions"] = json!([{"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}]);
                let pod = &mut model.pods[place];
                pod.conditions.push(PodCondition {
                    kind: "DisruptionTarget".to_owned(),
                    status: "True".to_owned(),
                });
                (status, place)
            }
            Self::PodDeadline(nth) => {
                let place = nth_active(model, *nth);
                let mut status = exits(model, place, &[137, 0]);
                status["reason"] = json!("DeadlineExceeded");
                (status, place)
            }
            Self::Restarts(nth, times, is_init) => {
                let place = nth_active(model, *nth);
                let mut status = runs(model, place);
                let key = if *is_init {
                    "initContainerStatuses"
                } else {
                    "containerStatuses"
                };
                let before = model.pods[place].restarts;
                model.pods[place].restarts = before + times;
                // All of them are told as those of one container: the rules look at the sum.
                for other in ["initContainerStatuses", "containerStatuses"] {
                    if let Some(one) = status[other].as_array_mut().and_then(|all| all.last_mut()) {
                        one["restartCount"] = json!(if other == key { before + times } else { 0 });
                    }
                }
                (status, place)
            }
        };
        real.tell(&model.pods[place].name, &status).await
    }
}

/// Every Pod runs and is ready, since when is in their order: so there is one that was ready last.
async fn all_run(real: &Real, model: &mut Model, job: &str) -> Result<(), String> {
    for place in model.active() {
        let status = runs(model, place);
        real.tell(&model.pods[place].name, &status).await?;
    }
    super::agree(real, model, job).await
}

fn nth_active(model: &Model, nth: usize) -> usize {
    let active = model.active();
    active[nth % active.len()]
}

/// An exit code; often 0 when that is not below `least`.
fn code(chance: &mut Chance, least: i32) -> i32 {
    const CODES: [i32; 5] = [1, 2, 9, 42, 143];
    if least == 0 && chance.below(2) == 0 {
        return 0;
    }
    CODES[usize::try_from(chance.below(5)).unwrap()]
}

fn containers(model: &Model, key: &str) -> Vec<String> {
    let containers = model.spec["template"]["spec"][key].as_array();
    let name = |one: &Value| one["name"].as_str().unwrap().to_owned();
    containers.into_iter().flatten().map(name).collect()
}

fn is_sidecar(model: &Model, container: &str) -> bool {
    let init = model.spec["template"]["spec"]["initContainers"].as_array();
    init.into_iter()
        .flatten()
        .any(|one| one["name"] == container && one["restartPolicy"] == "Always")
}

fn container_status(name: &str, restarts: u32, state: &Value) -> Value {
    json!({
        "name": name, "image": "none", "imageID": "", "ready": !state["running"].is_null(),
        "restartCount": restarts, "state": state,
    })
}

fn terminated(code: i32, at: &str) -> Value {
    json!({"terminated": {"exitCode": code, "reason": if code == 0 { "Completed" } else { "Error" }, "finishedAt": at}})
}

/// An instant so many seconds before now, by the wall clock.
#[expect(clippy::disallowed_methods, reason = "the servers' clock")]
fn ago(seconds: i64) -> String {
    let now = jiff::Timestamp::now();
    let now = jiff::Timestamp::from_second(now.as_second() + seconds).unwrap();
    now.to_string()
}

/// The status of a Pod that runs. The oldest has been ready for longest.
fn runs(model: &mut Model, place: usize) -> Value {
    let pod = &mut model.pods[place];
    pod.phase = Phase::Running;
    pod.is_ready = true;
    let restarts = pod.restarts;
    let order = i64::try_from(place).unwrap();
    let since = ago(order - 7200);
    let running = json!({"running": {"startedAt": since}});
    let of = |model: &Model, key: &str| -> Vec<Value> {
        let names = containers(model, key);
        let last = names.len().saturating_sub(1);
        let status = |(position, name): (usize, &String)| {
            let restarts = if key == "containerStatuses" && position == last {
                restarts
            } else {
                0
            };
            let state = if key == "initContainers" && !is_sidecar(model, name) {
                terminated(0, &since)
            } else {
                running.clone()
            };
            container_status(name, restarts, &state)
        };
        names.iter().enumerate().map(status).collect()
    };
    json!({
        "phase": "Running",
        "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": since}],
        "containerStatuses": of(model, "containers"),
        "initContainerStatuses": of(model, "initContainers"),
    })
}

/// The status of a Pod whose containers have ended; a sidecar as SIGTERM ends one.
fn exits(model: &mut Model, place: usize, codes: &[i32]) -> Value {
    let end = model.next_end();
    let (at, finished_at) = (ago(end), model.at(end));
    let mut statuses = [Vec::new(), Vec::new()];
    let mut exits = Vec::new();
    for (which, key) in ["containers", "initContainers"].into_iter().enumerate() {
        let is_init = which == 1;
        for (position, container) in containers(model, key).into_iter().enumerate() {
            let code = match (is_init, is_sidecar(model, &container)) {
                (true, true) => 143,
                (true, false) => 0,
                (false, _) => codes.get(position).copied().unwrap_or(0),
            };
            statuses[which].push(container_status(&container, 0, &terminated(code, &at)));
            exits.push(ContainerExit {
                container,
                is_init,
                code,
            });
        }
    }
    let has_failed = exits.iter().any(|exit| !exit.is_init && exit.code != 0);
    let pod = &mut model.pods[place];
    pod.phase = if has_failed {
        Phase::Failed
    } else {
        Phase::Succeeded
    };
    pod.is_ready = false;
    pod.finished_at = Some(finished_at);
    pod.exits = exits;
    let [containers, init] = statuses;
    json!({
        "phase": if has_failed { "Failed" } else { "Succeeded" },
        "conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": at}],
        "containerStatuses": containers,
        "initContainerStatuses": init,
    })
}

/// The status of a Pod whose last init container that is no sidecar failed.
fn init_fails(model: &mut Model, place: usize, code: i32) -> Value {
    let mut status = exits(model, place, &[]);
    let names = containers(model, "initContainers");
    let failing = names.iter().rposition(|name| !is_sidecar(model, name));
    let Some(failing) = failing else {
        return status;
    };
    let at = status["conditions"][0]["lastTransitionTime"].clone();
    status["phase"] = json!("Failed");
    status["initContainerStatuses"][failing]["state"] = terminated(code, at.as_str().unwrap());
    for container in status["containerStatuses"].as_array_mut().unwrap() {
        container["state"] = json!({"waiting": {"reason": "PodInitializing"}});
    }
    let pod = &mut model.pods[place];
    pod.phase = Phase::Failed;
    pod.exits.retain(|exit| exit.is_init);
    pod.exits[failing].code = code;
    status
}
