//! Seeded fault schedules: two replicas, 50 events, each delivered twice, and a queue of 50 messages, while processes are
//! killed and stopped, calls to the API server fail, and objects are edited and deleted. DESIGN §4's promises are then
//! checked from outside, without the proxies.
//!
//! CI runs three seeds. `make faults` runs 200; `make faults SEEDS=17` one of them, and `STEPS=0,3` only these steps of it.
//! That is how a failing schedule is made shorter: leave out steps as long as it still fails.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio::task::{JoinError, JoinSet, LocalSet};

mod hands;
mod outside;
mod plan;
mod promises;
mod senders;
mod world;

use plan::Schedule;

/// What CI runs.
const SEEDS: [u64; 3] = [1, 2, 3];
/// Schedules in namespaces of their own at the same time: with more, two cores answer too late for anybody.
const AT_ONCE: usize = 2;
/// The EventJob whose events are counted.
const COUNTED: &str = "counted";
/// The EventJob that is deleted and made again.
const DELETED: &str = "deleted";
/// The ScaledJob on the queue.
const QUEUED: &str = "queued";
/// The most unfinished Jobs of the ScaledJob, whatever its edits say.
const CAP: usize = 5;
/// Events that are counted, and messages of the queue.
const EVENTS: usize = 50;

/// A setting of whoever runs the tests.
fn setting(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "a test's own setting")]
    let value = std::env::var(name).ok();
    value.filter(|value| !value.is_empty())
}

/// `SLIPWAY_FAULT_SEEDS`: `17`, or `1..200` with both ends.
fn seeds(setting: Option<&str>) -> Vec<u64> {
    let Some(setting) = setting else {
        return SEEDS.to_vec();
    };
    let number = |text: &str| text.trim().parse().expect("SLIPWAY_FAULT_SEEDS: a number");
    match setting.split_once("..") {
        Some((first, last)) => (number(first)..=number(last)).collect(),
        None => vec![number(setting)],
    }
}

/// The schedule of a seed, with those of its steps that `SLIPWAY_FAULT_STEPS` names, or with all.
fn schedule(seed: u64, steps: Option<&str>) -> Schedule {
    let mut schedule = Schedule::of(seed);
    if let Some(steps) = steps {
        let number = |text: &str| text.trim().parse().expect("SLIPWAY_FAULT_STEPS: numbers");
        let wanted: Vec<usize> = steps.split(',').map(number).collect();
        schedule.keep(&wanted);
    }
    schedule
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_promise_holds_through_seeded_faults() {
    let seeds = seeds(setting("SLIPWAY_FAULT_SEEDS").as_deref());
    let failed = LocalSet::new().run_until(run(seeds)).await;
    assert!(
        failed.is_empty(),
        "seeds whose schedules failed: {failed:?}"
    );
}

/// Runs the schedules of these seeds, some at once; gives those that failed.
#[expect(clippy::print_stderr, reason = "a failing schedule is shown")]
async fn run(seeds: Vec<u64>) -> Vec<u64> {
    let mut left = seeds.into_iter();
    let steps = setting("SLIPWAY_FAULT_STEPS");
    let mut running = JoinSet::new();
    let mut started = BTreeMap::new();
    let mut failed = Vec::new();
    loop {
        while running.len() < AT_ONCE
            && let Some(seed) = left.next()
        {
            let schedule = schedule(seed, steps.as_deref());
            let task = running.spawn_local(world::run(schedule.clone()));
            started.insert(task.id(), (schedule, Instant::now()));
        }
        let Some(ended) = running.join_next_with_id().await else {
            return failed;
        };
        let id = ended.as_ref().map_or_else(JoinError::id, |(id, ())| *id);
        let (schedule, at) = &started[&id];
        let took = Duration::from_secs(at.elapsed().as_secs());
        match ended {
            Ok(_) => eprintln!("seed {}: every promise kept, {took:?}", schedule.seed),
            Err(error) => {
                failed.push(schedule.seed);
                eprintln!("{schedule}failed after {took:?}: {error}");
            }
        }
    }
}

#[test]
fn a_seed_repeats_its_schedule() {
    for seed in 1..=200 {
        let text = |seed| format!("{:?}", Schedule::of(seed));
        assert_eq!(text(seed), text(seed));
        assert_ne!(text(seed), text(seed + 1));
    }
}

#[test]
fn seeds_are_one_or_a_range_with_both_ends() {
    assert_eq!(seeds(None), SEEDS);
    assert_eq!(seeds(Some("17")), [17]);
    assert_eq!(seeds(Some("3..5")), [3, 4, 5]);
}
