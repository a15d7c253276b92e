//! How many Jobs to start, from what is waiting and what is running.
//!
//! This room owns KEDA's arithmetic for a ScaledJob (`encode`, `combine`,
//! `strategy`: pinned by recorded answers) and the guard that holds whatever the
//! strategy says: unfinished Jobs never exceed the maximum. It is pure: no I/O,
//! no clock, no lock. Reading sources and counting Jobs are left to others.

use combine::{Demand, Share};
use strategy::{Situation, StrategyScale};

/// Units of work waiting in one source, at one instant.
///
/// There is no reading for "unknown": a source that cannot tell returns an
/// error, and an error is never zero.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    /// What scaling divides by the target. Finite, 0 and up.
    waiting: f64,
    /// What is compared with the activation threshold. Finite, 0 and up.
    activation: f64,
}

impl Reading {
    /// A reading whose backlog also decides activation. NaN, infinities and
    /// negative numbers become 0, as KEDA's encoding makes them.
    pub fn new(waiting: f64) -> Self {
        Self::with_activation(waiting, waiting)
    }

    /// A reading whose activation number differs from its backlog (Kafka's lag
    /// is capped for scaling, not for activation).
    pub fn with_activation(waiting: f64, activation: f64) -> Self {
        let finite = |value: f64| {
            if value.is_finite() {
                value.max(0.0)
            } else {
                0.0
            }
        };
        Self {
            waiting: finite(waiting),
            activation: finite(activation),
        }
    }

    /// Units of work waiting, 0 and up.
    pub fn waiting(self) -> f64 {
        self.waiting
    }

    /// The number to compare with the activation threshold, 0 and up.
    pub fn activation(self) -> f64 {
        self.activation
    }
}

/// One trigger's part in a decision: what it read, and what that means to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Measure {
    /// What the reason calls it: the metric name with its index, `s0-aws-sqs-orders`.
    pub label: String,
    /// What the source said.
    pub reading: Reading,
    /// Units of work one Job takes (`queueLength`, `lagThreshold`, …). 0 disables scaling, as in KEDA.
    pub target: f64,
    /// The trigger is active only above this number; infinite or negative where the source decides by itself.
    pub activation: f64,
}

impl Measure {
    /// Whether this trigger has work: its activation number is above the threshold.
    pub fn is_active(&self) -> bool {
        self.reading.activation() > self.activation
    }
}

/// Jobs of one ScaledJob, at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct JobCounts {
    /// Jobs with neither a Complete nor a Failed condition; reserved names whose outcome is not known yet count too.
    pub unfinished: u32,
    /// Unfinished Jobs with no running Pod (`pendingPodConditions` may ask for more). Never above `unfinished`.
    pub pending: u32,
}

/// How an object turns readings and counts into Jobs.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// `scalingStrategy`, with its own numbers.
    pub strategy: Strategy,
    /// `multipleScalersCalculation`.
    pub calculation: Calculation,
    /// `minReplicaCount` and `maxReplicaCount`.
    pub bounds: Bounds,
}

/// `scalingStrategy.strategy`, as KEDA selects it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Strategy {
    /// Running Jobs are subtracted from the demand.
    Default,
    /// A part of the running Jobs and a fixed number are subtracted.
    Custom {
        /// `customScalingQueueLengthDeduction`; may be negative.
        deduction: i64,
        /// `customScalingRunningJobPercentage`, as Go parses a float.
        running_percentage: f64,
    },
    /// Only pending Jobs are subtracted: for sources that do not count what is being worked on.
    Accurate,
    /// As many as the cap has room for.
    Eager,
}

impl Strategy {
    /// Whether the strategy looks at pending Jobs, which cost a read of their Pods.
    pub fn counts_pending(self) -> bool {
        matches!(self, Self::Accurate | Self::Eager)
    }
}

/// `multipleScalersCalculation`: how several triggers become one demand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Calculation {
    /// The trigger with the most waiting.
    Max,
    /// The trigger with the least waiting.
    Min,
    /// The mean.
    Avg,
    /// The sum.
    Sum,
}

/// The bounds as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bounds {
    /// `minReplicaCount`.
    pub min: Option<u32>,
    /// `maxReplicaCount`.
    pub max: Option<u32>,
}

impl Bounds {
    /// `maxReplicaCount` where none is written. Source: KEDA, `scaledjob_types.go`.
    pub const DEFAULT_MAX: u32 = 100;

    /// The minimum in force, in Jobs: a minimum above a written maximum is that maximum.
    pub fn min_replicas(self) -> u32 {
        let min = self.min.unwrap_or(0);
        self.max.map_or(min, |max| min.min(max))
    }

    /// KEDA's budget above the minimum, in Jobs. Two of its quirks are kept:
    /// without a written maximum the minimum is not subtracted, and with a
    /// minimum above the maximum neither.
    pub fn max_replicas(self) -> u32 {
        match self.max {
            None => Self::DEFAULT_MAX,
            Some(max) if self.min.is_some_and(|min| min > max) => max,
            Some(max) => max - self.min_replicas(),
        }
    }

    /// What unfinished Jobs never exceed, in Jobs, the minimum included. This is
    /// our promise; KEDA's own sum of minimum and budget can pass it.
    pub fn cap(self) -> u32 {
        self.max.unwrap_or(Self::DEFAULT_MAX)
    }

    /// How many more Jobs the cap has room for.
    pub fn room(self, unfinished: u32) -> u32 {
        self.cap().saturating_sub(unfinished)
    }
}

/// What to do now, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// Whether the object is active (KEDA's `isActive`).
    pub active: bool,
    /// Jobs that KEDA's arithmetic starts.
    pub keda: u32,
    /// Jobs to start now: KEDA's number, held by the cap.
    pub launch: u32,
    /// Jobs that the maximum alone kept back: what the same arithmetic would start without one, less `launch`.
    pub held_back: u32,
    /// The reason, in words and numbers.
    pub reason: String,
}

/// What a decision comes to, in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DecisionResult {
    /// Whether the object is active.
    pub active: bool,
    /// Jobs that KEDA's arithmetic starts.
    pub keda: u32,
    /// Jobs to start now: KEDA's number, held by the cap.
    pub launch: u32,
    /// Jobs that the maximum alone kept back.
    pub held_back: u32,
}

impl DecisionResult {
    /// Of a decision.
    pub fn of(decision: &Decision) -> Self {
        Self {
            active: decision.active,
            keda: decision.keda,
            launch: decision.launch,
            held_back: decision.held_back,
        }
    }

    /// Of a top-up: it says nothing about `active` and `keda`.
    pub fn of_top_up(top_up: &TopUp) -> Self {
        Self {
            launch: top_up.launch,
            held_back: top_up.held_back,
            ..Self::default()
        }
    }
}

/// The numbers of [`decide`], without its reason: for those who decide millions of times.
pub fn decide_numbers(policy: &Policy, measures: &[Measure], counts: JobCounts) -> DecisionResult {
    Plans::of(policy, measures, counts).result(policy, counts)
}

/// The same decision with the maximum, and without one.
struct Plans {
    bounded: Plan,
    unbounded: Plan,
}

impl Plans {
    fn of(policy: &Policy, measures: &[Measure], counts: JobCounts) -> Self {
        let shares: Vec<Share> = measures
            .iter()
            .map(|measure| Share::of(measure, None))
            .collect();
        let max_replicas = policy.bounds.max_replicas();
        Self {
            bounded: plan(policy, &shares, counts, Some(max_replicas)),
            unbounded: plan(policy, &shares, counts, None),
        }
    }

    fn result(&self, policy: &Policy, counts: JobCounts) -> DecisionResult {
        let launch = self
            .bounded
            .jobs()
            .min(policy.bounds.room(counts.unfinished));
        DecisionResult {
            active: self.bounded.demand.active,
            keda: self.bounded.jobs(),
            launch,
            held_back: self.unbounded.jobs().saturating_sub(launch),
        }
    }
}

/// Decides how many Jobs to start for what was read and counted.
///
/// `measures` holds the triggers that could be read, in the object's order; KEDA
/// leaves the others out too. With none at all the minimum is still kept up.
///
/// KEDA's own number stands in [`Decision::keda`]. What is launched is held by
/// the cap, whatever the strategy: `unfinished + launch` never exceeds
/// [`Bounds::cap`] unless `unfinished` does already.
pub fn decide(policy: &Policy, measures: &[Measure], counts: JobCounts) -> Decision {
    let plans = Plans::of(policy, measures, counts);
    let result = plans.result(policy, counts);
    let Plans { bounded, unbounded } = &plans;
    Decision {
        active: result.active,
        keda: result.keda,
        launch: result.launch,
        held_back: result.held_back,
        reason: reason::of_decision(policy, measures, counts, bounded, unbounded, result.launch),
    }
}

/// A turn between two readings, because a Job finished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopUp {
    /// Jobs to start now.
    pub launch: u32,
    /// What is left for the next Job that finishes.
    pub held_back: u32,
    /// The reason, in words and numbers.
    pub reason: String,
}

/// Launches what the cap cut from the last decision, now that Jobs have finished.
///
/// `held_back` is that decision's, or the last top-up's. It is never more than
/// was decided for a reading, so a message that is still counted although its
/// Job finished is not worked on twice.
pub fn top_up(bounds: Bounds, held_back: u32, counts: JobCounts) -> TopUp {
    let launch = held_back.min(bounds.room(counts.unfinished));
    TopUp {
        launch,
        held_back: held_back - launch,
        reason: reason::of_top_up(bounds, held_back, counts, launch),
    }
}

/// KEDA's arithmetic, carried out for one maximum.
struct Plan {
    /// What all triggers together ask for.
    demand: Demand,
    /// `None` while the minimum is not reached: the triggers are then not looked at.
    step: Option<StrategyScale>,
    /// What `min(scaleTo, effectiveMaxScale)` comes to, whether active or not.
    jobs: i64,
}

impl Plan {
    /// Jobs that KEDA would create.
    fn jobs(&self) -> u32 {
        if self.demand.active {
            u32::try_from(self.jobs.max(0)).unwrap_or(u32::MAX)
        } else {
            0
        }
    }
}

/// KEDA's decision with `max_replicas` as its budget above the minimum; `None` is no limit.
///
/// Source: KEDA, `getScaledJobMetrics`, `getScalingDecision` and `createJobs`.
fn plan(policy: &Policy, shares: &[Share], counts: JobCounts, max_replicas: Option<u32>) -> Plan {
    let min_replicas = policy.bounds.min_replicas();
    let shares: Vec<Share> = shares
        .iter()
        .map(|share| share.held(max_replicas))
        .collect();
    let demand = combine::combine(policy.calculation, &shares, min_replicas, max_replicas);
    if counts.unfinished < min_replicas {
        return Plan {
            demand,
            step: None,
            jobs: i64::from(min_replicas - counts.unfinished),
        };
    }
    let step = policy.strategy.step(&Situation {
        max_scale: demand.max_scale(),
        scale_to: demand.scale_to(),
        running: counts.unfinished - min_replicas,
        pending: counts.pending,
        max_replicas,
    });
    Plan {
        jobs: step.effective.min(step.scale_to),
        demand,
        step: Some(step),
    }
}

pub mod combine;
pub mod encode;
mod reason;
pub mod strategy;

#[cfg(test)]
mod tests;
