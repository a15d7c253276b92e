//! The same as JSON: `/api/v1/…`. A promise, so its fields are named here and nowhere else.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::page::job::{JobLine, NewestJobs};
use crate::page::overview::PageMemory;
use crate::page::plot::{Plots, SAMPLE_SECONDS, Series};
use crate::page::rows::PageRow;
use crate::page::timeline::{JobStory, steps};

/// `/api/v1/objects`.
pub fn objects(rows: &[PageRow], memory: &PageMemory, now: Timestamp) -> Value {
    json!({
        "time": time(Some(now)),
        "instance": memory.instance,
        "since": time(Some(memory.since)),
        "leads": memory.leads,
        "troubles": memory.troubles,
        "leftOut": memory.left_out,
        "objects": rows.iter().map(object).collect::<Vec<_>>(),
    })
}

/// One of its objects.
pub fn object(row: &PageRow) -> Value {
    let object = &row.object;
    json!({
        "kind": object.key.kind.word(),
        "namespace": *object.key.id.namespace,
        "name": *object.key.id.name,
        "state": object.state.word(),
        "reason": object.reason,
        "message": object.words,
        "source": object.source,
        "backlog": object.backlog,
        "running": row.running(),
        "waiting": row.waiting(),
        "failedLately": row.failed(),
        "maxReplicaCount": object.cap,
        "lastLaunchTime": time(object.last_launch),
        "lastDecisionTime": time(object.decided_at),
        "next": object.next.iter().map(|next| time(Some(*next))).collect::<Vec<_>>(),
    })
}

/// `/api/v1/objects/{kind}/{namespace}/{name}`.
pub fn one(row: &PageRow, jobs: Option<&NewestJobs>) -> Value {
    let mut value = object(row);
    let written = row.object.written.value();
    value["metadata"] = written["metadata"].clone();
    value["spec"] = written["spec"].clone();
    value["status"] = written["status"].clone();
    value["plots"] = plots(&row.plots);
    value["jobs"] = match jobs {
        Some(jobs) => jobs.lines.iter().map(job).collect(),
        None => Value::Null,
    };
    value
}

fn job(line: &JobLine) -> Value {
    json!({
        "name": line.name,
        "state": line.state.word(),
        "reason": line.reason,
        "creationTime": time(line.created_at),
        "endTime": time(line.ended_at),
    })
}

/// `/api/v1/jobs/{namespace}/{name}`: the steps of its way.
pub fn story(story: &JobStory) -> Value {
    let steps = steps(story).into_iter().map(|step| {
        json!({
            "time": time(step.at),
            "step": step.what,
            "detail": step.detail,
            "waitedFor": step.waited_for,
        })
    });
    let metadata = &story.job["metadata"];
    json!({
        "namespace": metadata["namespace"],
        "name": metadata["name"],
        "steps": steps.collect::<Vec<_>>(),
    })
}

fn plots(plots: &Plots) -> Value {
    let series = |series: &Series| series.values().collect::<Vec<_>>();
    json!({
        "seconds": SAMPLE_SECONDS,
        "backlog": series(&plots.backlog),
        "running": series(&plots.running),
        "waiting": series(&plots.waiting),
        "launched": series(&plots.launched),
        "failed": series(&plots.failed),
    })
}

fn time(at: Option<Timestamp>) -> Value {
    at.map_or(Value::Null, |at| format!("{at:.0}").into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::overview::tests::some_memory;
    use crate::page::rows::tests::some_row;

    #[test]
    fn objects_have_the_fields_that_are_promised() {
        let rows = [some_row("a", "False")];
        let value = objects(
            &rows,
            &some_memory(),
            "2026-11-30T09:00:01Z".parse().unwrap(),
        );
        assert_eq!(value["time"], "2026-11-30T09:00:01Z");
        assert_eq!(value["leads"], true);
        assert_eq!(
            value["objects"][0],
            json!({
                "kind": "ScaledJob", "namespace": "shop", "name": "a", "state": "wrong", "reason": "R",
                "message": "<b>m</b>", "source": "kafka", "backlog": 5.0, "running": null, "waiting": null,
                "failedLately": 0, "maxReplicaCount": 9, "lastLaunchTime": null, "lastDecisionTime": null, "next": [],
            })
        );
        let one = one(&rows[0], None);
        assert_eq!(
            (&one["jobs"], &one["plots"]["seconds"]),
            (&Value::Null, &json!(10))
        );
        assert_eq!(one["status"]["backlog"], 5);
    }
}
