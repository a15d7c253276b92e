//! The pause after a failed Pod, by the clock: the real controller makes the next one when ours would.

use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};

use crate::support::await_until;
use crate::support::cluster::Cluster;

use super::events::Event::Exits;
use super::model::Model;
use super::real::Real;
use super::{agree, measured};

/// The real controller may be late, on a busy machine.
const LATE: Duration = Duration::from_secs(25);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_pod_is_replaced_after_the_same_pause() {
    let cluster = Cluster::new("job-pauses").await;
    let real = Real::start(&cluster);
    let ignore = json!({"podFailurePolicy": {"rules": [
        {"action": "Ignore", "onExitCodes": {"operator": "In", "values": [9]}}]}});
    let per_index = |more: &Value| {
        let mut spec = measured::indexed(2, more);
        spec["backoffLimitPerIndex"] = json!(3);
        spec
    };
    // Exit codes of the Pods that end, one after the other, and the pause in seconds after each failure.
    let rows: [(&str, Value, &[i32], &[u64]); 4] = [
        ("doubles", json!({}), &[1, 1], &[10, 20]),
        (
            "is-reset-by-a-success",
            json!({"completions": 3}),
            &[1, 0, 1],
            &[10, 10],
        ),
        ("each-index", per_index(&json!({})), &[1, 1], &[10, 20]),
        (
            "grows-with-ignored-failures",
            per_index(&ignore),
            &[9, 1],
            &[10, 20],
        ),
    ];
    let runs = rows.map(|(name, spec, codes, pauses)| run(&real, name, spec, codes, pauses));
    join_all(runs).await;
    cluster.remove().await;
}

async fn run(real: &Real, name: &str, mut spec: Value, codes: &[i32], pauses: &[u64]) {
    measured::with_template(&mut spec);
    let job = json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": real.namespace()},
        "spec": spec,
    });
    real.create(&job).await;
    let mut model = Model::new(&job);
    model.ends_now = true;
    let mut expected = pauses.iter();
    agree(real, &mut model, name).await.unwrap();
    // Of an index the newest Pod ends; it is the last of the list.
    let mut nth = 0;
    for code in codes {
        let place = model.active()[nth];
        let ended = model.pods[place].name.clone();
        model.tick();
        let exits = Exits(nth, vec![*code]);
        exits.happen(real, &mut model, name).await.unwrap();
        agree(real, &mut model, name).await.unwrap();
        if *code != 0 {
            let pause = model.pause();
            assert_eq!(pause.as_secs(), *expected.next().unwrap(), "{name}");
            agree(real, &mut model, name).await.unwrap();
            let newest = model.pods.last().unwrap().name.clone();
            let (made, _) = real.look(name).times(&newest);
            let (_, end) = await_until("the end is shown", LATE, async || {
                let times = real.look(name).times(&ended);
                times.1.is_some().then_some(times)
            })
            .await;
            let waited = made.duration_since(end.unwrap()).unsigned_abs();
            assert!(
                waited >= pause && waited <= pause + LATE,
                "{name}: {waited:?} instead of {pause:?}"
            );
        }
        nth = model.active().len() - 1;
    }
}
