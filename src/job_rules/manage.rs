//! Which Pods a Job that goes on is to have: too many are stopped, too few are made, with a pause after failures.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use super::tally::Tally;
use super::{JobRules, NewPod, Phase, PodFacts, Stopped, later, to_usize};

/// Longest pause after a failed Pod: ten minutes (`MaxJobPodFailureBackOff`).
const LONGEST_BACKOFF: Duration = Duration::from_mins(10);

/// What is to be done, and what is then there.
#[derive(Default)]
pub(super) struct Managed {
    pub(super) stop: Vec<(usize, Stopped)>,
    pub(super) start: Vec<NewPod>,
    /// A Pod is missing, and may not start before this.
    pub(super) pause: Option<Timestamp>,
    /// Active Pods after this.
    pub(super) active: usize,
}

pub(super) fn manage(
    rules: &JobRules,
    pods: &[&PodFacts],
    tally: &Tally<'_>,
    now: Timestamp,
    backoff_base: Duration,
) -> Managed {
    let parallelism = to_usize(rules.parallelism);
    let wanted = match rules.completions {
        _ if rules.suspend => 0,
        Some(completions) => {
            parallelism.min(to_usize(completions).saturating_sub(tally.succeeded()))
        }
        // Once one has succeeded, a work queue is being wound up.
        None if tally.succeeded() > 0 => tally.active,
        None => parallelism,
    };
    let stop = surplus(rules, pods, tally.active.saturating_sub(wanted));
    if rules.suspend || !stop.is_empty() {
        return Managed {
            active: tally.active - stop.len(),
            stop,
            ..Managed::default()
        };
    }
    let kept = if rules.replaces_failed_only {
        tally.terminating
    } else {
        0
    };
    let missing = wanted.saturating_sub(kept).saturating_sub(tally.active);
    let (start, pause) = if missing == 0 {
        (Vec::new(), None)
    } else {
        missing_pods(rules, pods, tally, missing, now, backoff_base)
    };
    Managed {
        active: tally.active + start.len(),
        start,
        pause,
        ..Managed::default()
    }
}

/// Pods to be made now, or when some may be.
fn missing_pods(
    rules: &JobRules,
    pods: &[&PodFacts],
    tally: &Tally<'_>,
    missing: usize,
    now: Timestamp,
    base: Duration,
) -> (Vec<NewPod>, Option<Timestamp>) {
    let is_per_index = rules.backoff_limit_per_index.is_some() && rules.indexed;
    if !is_per_index {
        let pause = backoff_until(pods, base).filter(|until| *until > now);
        if pause.is_some() {
            return (Vec::new(), pause);
        }
    }
    if !rules.indexed {
        return (vec![NewPod::default(); missing], None);
    }
    let mut start = Vec::new();
    let mut pauses = Vec::new();
    for index in first_free(rules, pods, tally, missing) {
        let until = tally.replaced(index).filter(|_| is_per_index).map(|pod| {
            let failures = pod.before.counted.saturating_add(pod.before.ignored);
            let pause = pause_after(failures.saturating_add(1), base);
            later(pod.finished_at.unwrap_or(now), pause)
        });
        match until.filter(|until| *until > now) {
            Some(until) => pauses.push(until),
            None => start.push(NewPod {
                index: Some(index),
                before: tally.failures_before(rules, index),
            }),
        }
    }
    (start, pauses.into_iter().min())
}

/// The lowest indexes that are neither done nor failed nor taken.
fn first_free(rules: &JobRules, pods: &[&PodFacts], tally: &Tally<'_>, missing: usize) -> Vec<u32> {
    let holds =
        |pod: &&&PodFacts| pod.is_active() || rules.replaces_failed_only && pod.is_terminating();
    let taken: BTreeSet<u32> = pods
        .iter()
        .filter(holds)
        .filter_map(|pod| pod.index)
        .collect();
    let is_failed = |index: &u32| {
        let failed = tally.failed_indexes.as_ref();
        failed.is_some_and(|failed| failed.contains(index))
    };
    (0..rules.completions.unwrap_or(0))
        .filter(|index| {
            !taken.contains(index) && !tally.completed.contains(index) && !is_failed(index)
        })
        .take(missing)
        .collect()
}

/// Pods to stop: those of indexes that there are no more, then as many as are too many; first those that do not run yet,
/// then those that were made last.
fn surplus(rules: &JobRules, pods: &[&PodFacts], number: usize) -> Vec<(usize, Stopped)> {
    let is_outside = |pod: &PodFacts| {
        pod.index
            .zip(rules.completions)
            .is_some_and(|(index, completions)| rules.indexed && index >= completions)
    };
    let active = pods.iter().enumerate().filter(|(_, pod)| pod.is_active());
    let (outside, mut inside): (Vec<_>, Vec<_>) = active.partition(|(_, pod)| is_outside(pod));
    // Stable: from the newest to the oldest, then by phase.
    inside.reverse();
    inside.sort_by_key(|(_, pod)| (pod.phase == Phase::Running, pod.is_ready));
    let more = number.saturating_sub(outside.len());
    let chosen = outside.into_iter().chain(inside.into_iter().take(more));
    chosen
        .map(|(place, _)| (place, Stopped::Uncounted))
        .collect()
}

/// When the next Pod may start: the base, doubled with each failure since the last success, after the last failure.
fn backoff_until(pods: &[&PodFacts], base: Duration) -> Option<Timestamp> {
    let ends = |has_ended: fn(&PodFacts) -> bool| {
        pods.iter()
            .filter(move |pod| has_ended(pod))
            .filter_map(|pod| pod.finished_at)
    };
    let last_success = ends(PodFacts::has_succeeded).max();
    let failures = ends(PodFacts::has_failed)
        .filter(|end| last_success.is_none_or(|success| *end > success))
        .count();
    let last_failure = ends(PodFacts::has_failed).max()?;
    let failures = u32::try_from(failures).unwrap_or(u32::MAX);
    (failures > 0).then(|| later(last_failure, pause_after(failures, base)))
}

/// The pause after so many failures in a row, at least one.
fn pause_after(failures: u32, base: Duration) -> Duration {
    2_u32
        .checked_pow(failures - 1)
        .and_then(|factor| base.checked_mul(factor))
        .map_or(LONGEST_BACKOFF, |pause| pause.min(LONGEST_BACKOFF))
}
