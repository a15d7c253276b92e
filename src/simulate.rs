//! What the strategies would make of a supposed backlog: polls, starts and ends on a clock that is only counted.
//!
//! Decisions are those of `scaling`, turn by turn as `cycle` takes them: a reading decides, and a Job that ends tops up
//! what the cap had kept back. Jobs that start together are one batch, so a day costs what its polls cost. Pure, and the
//! same for the same input.

use std::collections::VecDeque;

use crate::scaling::{self, DecisionResult, JobCounts, Measure, Policy, Reading, Strategy};

pub use self::arrivals::Arrivals;
pub use self::waits::WaitSummary;

mod arrivals;
mod waits;

/// Jobs that one turn starts at most. Source: `cycle`.
const MOST_OF_A_TURN: u32 = 10_000;

/// A ScaledJob with one trigger at which work arrives.
#[derive(Debug, Clone, PartialEq)]
pub struct Supposition {
    /// The object's own; its strategy is replaced in turn.
    pub policy: Policy,
    /// Units of work per Job that the trigger asks for: `queueLength`, `lagThreshold`, ….
    pub target: f64,
    /// The trigger is active above this number.
    pub activation: f64,
    /// From poll to poll. Unit: seconds, above 0.
    pub polling_seconds: f64,
    /// How long the simulated time is. Unit: seconds.
    pub seconds: f64,
    /// What is supposed of Jobs and of the source.
    pub world: SupposedWorld,
}

/// What is supposed of Jobs and of the source.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SupposedWorld {
    /// How long a Job works on what it took. Unit: seconds.
    pub job_seconds: f64,
    /// From the creation of a Job until it takes work: it is pending until then. Unit: seconds.
    pub start_seconds: f64,
    /// Units of work that one Job takes at most.
    pub units_per_job: u32,
    /// The source still counts work that a Job has taken and not finished.
    pub counts_taken: bool,
}

/// What one strategy comes to.
#[derive(Debug, Clone, PartialEq)]
pub struct SimulatedRun {
    /// Which.
    pub strategy: Strategy,
    /// Jobs that were started.
    pub started: u64,
    /// Those of them that found nothing to take.
    pub wasted: u64,
    /// The most unfinished Jobs at once.
    pub peak: u32,
    /// Unfinished Jobs on average over the time.
    pub mean: f64,
    /// How long units of work waited until a Job took them.
    pub waits: WaitSummary,
    /// Units of work that arrived.
    pub arrived: u64,
    /// Units of work that nobody had taken in the end.
    pub left: u64,
    /// Unfinished Jobs, each time that changed: seconds, Jobs.
    pub jobs: Vec<(f64, f64)>,
    /// Units of work that waited, at each poll: seconds, units.
    pub waiting: Vec<(f64, f64)>,
}

/// Runs a strategy over arrivals.
pub fn run(supposition: &Supposition, strategy: Strategy, arrivals: &Arrivals) -> SimulatedRun {
    let policy = Policy {
        strategy,
        ..supposition.policy.clone()
    };
    Running::new(supposition, policy, arrivals).run()
}

/// Jobs that began together.
#[derive(Debug, Clone, Copy)]
struct Batch {
    /// When they take work, or when they end.
    at: f64,
    jobs: u32,
    units: u64,
}

struct Running<'a> {
    supposition: &'a Supposition,
    policy: Policy,
    arrivals: &'a Arrivals,
    measure: Measure,
    /// Not started yet, in the order in which they will.
    pending: VecDeque<Batch>,
    /// At work, in the order in which they end.
    working: VecDeque<Batch>,
    pending_jobs: u32,
    working_jobs: u32,
    /// Units that a Job has taken, and those of them that are being worked on.
    taken: u64,
    at_work: u64,
    held_back: u32,
    /// Since when the number of Jobs is what it is, and Jobs times seconds up to then.
    changed: f64,
    job_seconds: f64,
    waits: waits::Waits,
    result: SimulatedRun,
}

impl<'a> Running<'a> {
    fn new(supposition: &'a Supposition, policy: Policy, arrivals: &'a Arrivals) -> Self {
        Self {
            measure: Measure {
                label: String::new(),
                reading: Reading::new(0.0),
                target: supposition.target,
                activation: supposition.activation,
            },
            supposition,
            arrivals,
            pending: VecDeque::new(),
            working: VecDeque::new(),
            pending_jobs: 0,
            working_jobs: 0,
            taken: 0,
            at_work: 0,
            held_back: 0,
            changed: 0.0,
            job_seconds: 0.0,
            waits: waits::Waits::default(),
            result: SimulatedRun {
                strategy: policy.strategy,
                started: 0,
                wasted: 0,
                peak: 0,
                mean: 0.0,
                waits: WaitSummary::default(),
                arrived: 0,
                left: 0,
                jobs: Vec::new(),
                waiting: Vec::new(),
            },
            policy,
        }
    }

    fn run(mut self) -> SimulatedRun {
        let end = self.supposition.seconds;
        let mut polls = 0_u32;
        loop {
            let poll = f64::from(polls) * self.supposition.polling_seconds;
            let start = self.pending.front().map_or(f64::INFINITY, |batch| batch.at);
            let stop = self.working.front().map_or(f64::INFINITY, |batch| batch.at);
            let now = poll.min(start).min(stop);
            if now > end {
                break;
            }
            // At one instant: Jobs end, others start, then the source is read.
            if stop <= now {
                self.end(now);
            } else if start <= now {
                self.start(now);
            } else {
                self.poll(now);
                polls += 1;
            }
        }
        self.changes(end);
        self.result.arrived = self.arrivals.by(end);
        self.result.left = self.result.arrived.saturating_sub(self.taken);
        self.result.mean = if end > 0.0 {
            self.job_seconds / end
        } else {
            0.0
        };
        self.result.waits = std::mem::take(&mut self.waits).summary();
        self.result
    }

    fn poll(&mut self, now: f64) {
        let waiting = self.arrivals.by(now).saturating_sub(self.taken);
        self.result.waiting.push((now, float(waiting)));
        let counted = if self.supposition.world.counts_taken {
            waiting.saturating_add(self.at_work)
        } else {
            waiting
        };
        self.measure.reading = Reading::new(float(counted));
        let measures = std::slice::from_ref(&self.measure);
        let decision = scaling::decide_numbers(&self.policy, measures, self.counts());
        self.launch(now, decision);
    }

    fn counts(&self) -> JobCounts {
        JobCounts {
            unfinished: self.pending_jobs + self.working_jobs,
            pending: self.pending_jobs,
        }
    }

    fn launch(&mut self, now: f64, decision: DecisionResult) {
        let jobs = decision.launch.min(MOST_OF_A_TURN);
        self.held_back = decision.held_back.saturating_add(decision.launch - jobs);
        if jobs == 0 {
            return;
        }
        self.changes(now);
        self.pending_jobs += jobs;
        self.result.started += u64::from(jobs);
        self.pending.push_back(Batch {
            at: now + self.supposition.world.start_seconds,
            jobs,
            units: 0,
        });
        self.changed_to(now);
    }

    /// Jobs take what is there; those that find nothing end at once.
    fn start(&mut self, now: f64) {
        let Some(batch) = self.pending.pop_front() else {
            return;
        };
        let world = &self.supposition.world;
        let per_job = u64::from(world.units_per_job.max(1));
        let waiting = self.arrivals.by(now).saturating_sub(self.taken);
        let units = waiting.min(u64::from(batch.jobs).saturating_mul(per_job));
        let useful = u32::try_from(units.div_ceil(per_job)).unwrap_or(batch.jobs);
        let wasted = batch.jobs - useful;
        self.changes(now);
        self.pending_jobs -= batch.jobs;
        self.working_jobs += useful;
        if units > 0 {
            let first = self.arrivals.when(self.taken + 1);
            let last = self.arrivals.when(self.taken + units);
            self.waits.add(now - first, now - last, units);
            self.taken += units;
            self.at_work += units;
            self.working.push_back(Batch {
                at: now + world.job_seconds,
                jobs: useful,
                units,
            });
        }
        self.result.wasted += u64::from(wasted);
        self.changed_to(now);
        if wasted > 0 {
            self.top_up(now);
        }
    }

    fn end(&mut self, now: f64) {
        let Some(batch) = self.working.pop_front() else {
            return;
        };
        self.changes(now);
        self.working_jobs -= batch.jobs;
        self.at_work -= batch.units;
        self.changed_to(now);
        self.top_up(now);
    }

    /// A Job ended: what the cap had kept back may be launched.
    fn top_up(&mut self, now: f64) {
        if self.held_back == 0 {
            return;
        }
        let top_up = scaling::top_up(self.policy.bounds, self.held_back, self.counts());
        self.launch(now, DecisionResult::of_top_up(&top_up));
    }

    /// The number of Jobs is about to change.
    fn changes(&mut self, now: f64) {
        let jobs = f64::from(self.pending_jobs + self.working_jobs);
        self.job_seconds += jobs * (now - self.changed);
        self.changed = now;
        self.result.jobs.push((now, jobs));
    }

    fn changed_to(&mut self, now: f64) {
        let jobs = self.pending_jobs + self.working_jobs;
        self.result.peak = self.result.peak.max(jobs);
        self.result.jobs.push((now, f64::from(jobs)));
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "units of work of a simulation are far below 2^53"
)]
fn float(units: u64) -> f64 {
    units as f64
}

#[cfg(test)]
mod tests;
