//! The steps of one Pod.

use jiff::Timestamp;
use serde_json::Value;

use super::{JobPathStep, WaitKind};
use crate::page::object::moment;

const NODE: &str = "a node with room";
const START: &str = "the image, and the start of its containers";

/// Adds them.
pub(super) fn steps(pod: &Value, steps: &mut Vec<JobPathStep>) {
    let (metadata, status) = (&pod["metadata"], &pod["status"]);
    let name = metadata["name"].as_str().unwrap_or("a Pod");
    let created = moment(&metadata["creationTimestamp"]);
    let what = format!("Pod {name} created");
    steps.push(JobPathStep::new(
        created,
        what,
        WaitKind::Start,
        "the Job controller",
    ));
    steps.extend(node(name, pod));
    let containers = status["containerStatuses"].as_array();
    let containers = containers.map(Vec::as_slice).unwrap_or_default();
    steps.extend(start(name, containers));
    let phase = status["phase"].as_str().unwrap_or_default();
    if matches!(phase, "Succeeded" | "Failed") {
        steps.push(end(name, phase, status, containers));
    }
}

/// It got a node, or waits for one.
fn node(name: &str, pod: &Value) -> Option<JobPathStep> {
    let mut conditions = pod["status"]["conditions"].as_array()?.iter();
    let scheduled = conditions.find(|condition| condition["type"] == "PodScheduled")?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let step = if scheduled["status"] == "True" {
        let at = moment(&scheduled["lastTransitionTime"]);
        let what = format!("Pod {name} has a node");
        JobPathStep::new(at, what, WaitKind::Start, NODE).saying(text(&pod["spec"]["nodeName"]))
    } else {
        let what = format!("a node for Pod {name}");
        JobPathStep::new(None, what, WaitKind::Start, NODE).saying(text(&scheduled["message"]))
    };
    Some(step)
}

/// Its first container runs, or waits for something.
fn start(name: &str, containers: &[Value]) -> Option<JobPathStep> {
    let began = |state: &str| {
        let times = containers.iter();
        let times = times.filter_map(|container| moment(&container["state"][state]["startedAt"]));
        times.min()
    };
    let what = format!("Pod {name} runs");
    let times = [began("running"), began("terminated")];
    if let Some(at) = times.into_iter().flatten().min() {
        return Some(JobPathStep::new(Some(at), what, WaitKind::Start, START));
    }
    let mut waiting = containers
        .iter()
        .map(|container| &container["state"]["waiting"]);
    let waiting = waiting.find(|waiting| waiting.is_object())?;
    let text = |field: &str| waiting[field].as_str().unwrap_or_default();
    let detail = format!("{} {}", text("reason"), text("message"));
    let step = JobPathStep::new(None, what, WaitKind::Start, START);
    Some(step.saying(detail.trim().to_owned()))
}

/// How it ended: of several containers, the one that failed last.
fn end(name: &str, phase: &str, status: &Value, containers: &[Value]) -> JobPathStep {
    let ends = containers.iter().filter_map(|container| {
        let terminated = &container["state"]["terminated"];
        Some((moment(&terminated["finishedAt"])?, terminated))
    });
    let last: Option<(Timestamp, &Value)> =
        ends.max_by_key(|(at, terminated)| (terminated["exitCode"] != 0, *at));
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let detail = match last
        .and_then(|(_, terminated)| Some((terminated["exitCode"].as_i64()?, terminated)))
    {
        Some((0, _)) | None => word(&status["reason"]),
        Some((code, terminated)) => format!("exit code {code} {}", word(&terminated["reason"])),
    };
    let at = last.map(|(at, _)| at);
    let what = format!("Pod {name} {}", phase.to_lowercase());
    let step = JobPathStep::new(at, what, WaitKind::Work, "the work");
    let step = step.saying(detail.trim_end().to_owned());
    if phase == "Failed" {
        step.failed()
    } else {
        step
    }
}
