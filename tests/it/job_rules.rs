//! Our Job controller's rules beside the real kube-controller-manager, the kubelet played: the same Jobs,
//! the same exit codes, and after every event the same conditions, counters, indexes, reasons and messages.
//!
//! Containers are told to have ended an hour ago, so that no pause after a failure is left; `pauses` looks at those.

use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use serde_json::{Value, json};
use slipway::launch::END_REASONS;

use crate::support::chance::Chance;
use crate::support::cluster::Cluster;

use self::events::Event;
use self::model::Model;
use self::real::Real;

/// Seeds of generated Jobs; the measured ones come beside them. `SLIPWAY_JOB_SEEDS=300..1300` tries others.
const SEEDS: std::ops::Range<u64> = 0..300;
/// Jobs under way at once: more only wait for the servers.
const AT_ONCE: usize = 60;
/// For the real controller to come to rest after one event, on a busy machine.
const PATIENCE: Duration = Duration::from_mins(3);
/// After the last event: longer than the real controller gathers changes for.
const REST: Duration = Duration::from_secs(3);

/// One Job, and what happens to it.
struct Case {
    name: String,
    spec: Value,
    /// What happens, in order; by chance without it.
    script: Option<Vec<Event>>,
    chance: Chance,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_job_ends_as_under_the_real_controller() {
    let cluster = Cluster::new("job-rules").await;
    let real = Real::start(&cluster);
    let seeds = seeds();
    let mut waiting = cases(seeds.clone()).into_iter();
    let mut under_way = FuturesUnordered::new();
    under_way.extend(waiting.by_ref().take(AT_ONCE).map(|case| run(&real, case)));
    let mut told = Vec::new();
    let mut events = 0;
    let mut differences = Vec::new();
    while let Some(ended) = under_way.next().await {
        match ended {
            Ok((reason, happened)) => {
                told.push(reason);
                events += happened;
            }
            Err(difference) => differences.push(difference),
        }
        under_way.extend(waiting.next().map(|case| run(&real, case)));
    }
    assert!(
        differences.is_empty(),
        "{} of {} differ:\n{}",
        differences.len(),
        differences.len() + told.len(),
        differences.join("\n\n")
    );
    cluster.remove().await;
    check_that_much_was_tried(&told);
    figures(&told, events);
}

#[expect(clippy::print_stdout, reason = "figures are read by people")]
fn figures(told: &[String], events: usize) {
    println!("{} Jobs, {events} events, no difference", told.len());
}

fn seeds() -> std::ops::Range<u64> {
    #[expect(clippy::disallowed_methods, reason = "a test's own setting")]
    let Ok(setting) = std::env::var("SLIPWAY_JOB_SEEDS") else {
        return SEEDS;
    };
    let number = |text: &str| text.parse().expect("SLIPWAY_JOB_SEEDS: 300..1300");
    let (first, end) = setting.split_once("..").unwrap_or((&setting, ""));
    let first = number(first);
    first..if end.is_empty() {
        first + 1
    } else {
        number(end)
    }
}

/// Each reason that a Job can end for, and Jobs that go on.
fn check_that_much_was_tried(told: &[String]) {
    // One that goes on has none; `Other` stands for what this controller does not know.
    let reasons = END_REASONS.into_iter().filter(|reason| *reason != "Other");
    for reason in reasons.chain([""]) {
        let number = told.iter().filter(|end| *end == reason).count();
        assert!(number > 0, "no Job ended for {reason:?}: {told:?}");
    }
}

fn cases(seeds: std::ops::Range<u64>) -> Vec<Case> {
    let mut cases = measured::cases();
    cases.extend(seeds.map(|seed| {
        // Neighbouring seeds begin alike.
        let mut chance = Chance::new(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        chance.below(2);
        Case {
            name: format!("job-{seed}"),
            spec: specs::any(&mut chance),
            script: None,
            chance,
        }
    }));
    cases
}

/// Drives one Job on both sides. Gives the reason that it ended for, `""` if it goes on, and how much happened.
async fn run(real: &Real, mut case: Case) -> Result<(String, usize), String> {
    let mut story = Vec::new();
    let job = json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": case.name, "namespace": real.namespace()},
        "spec": case.spec,
    });
    real.create(&job).await;
    let mut model = Model::new(&job);
    let mut steps = case.script.take().map(Vec::into_iter);
    let most = 4 + case.chance.below(7);
    for step in 0.. {
        if let Err(difference) = agree(real, &mut model, &case.name).await {
            return Err(told(&case, &story, &difference));
        }
        if model.is_finished() {
            break;
        }
        let event = match &mut steps {
            Some(script) => script.next(),
            None if step == most => None,
            None => Some(Event::any(&mut case.chance, &model)),
        };
        let Some(event) = event else { break };
        story.push(format!("{event:?}"));
        if let Err(difference) = event.happen(real, &mut model, &case.name).await {
            return Err(told(&case, &story, &difference));
        }
    }
    // Nothing comes after.
    tokio::time::sleep(REST).await;
    let shown = real.look(&case.name);
    if model.told() != shown.told() {
        story.push("a rest".to_owned());
        let difference = format!("ours: {:#}\nreal: {:#}", model.told(), shown.told());
        return Err(told(&case, &story, &difference));
    }
    Ok((model.reason(), story.len()))
}

fn told(case: &Case, story: &[String], difference: &str) -> String {
    format!(
        "{}: {}\nafter {story:#?}\n{difference}",
        case.name, case.spec
    )
}

/// Waits until both sides say the same, and gives Pods that are new to the model their real names.
async fn agree(real: &Real, model: &mut Model, job: &str) -> Result<(), String> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    model.settle();
    loop {
        let shown = real.look(job);
        if model.name_pods(&shown) && model.told() == shown.told() {
            return Ok(());
        }
        if tokio::time::Instant::now() > deadline {
            return Err(format!(
                "ours: {:#}\nreal: {:#}",
                model.told(),
                shown.told()
            ));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

mod events;
mod measured;
mod model;
mod pauses;
mod real;
mod specs;
