//! How many Jobs to start, from what is waiting and what is running.
//!
//! This room owns KEDA's arithmetic for a ScaledJob (`strategy`, `combine`) and
//! the guard that holds whatever the strategy says: unfinished Jobs never exceed
//! the maximum. It is pure: no I/O, no clock, no lock. Reading sources and
//! counting Jobs are left to others.

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
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measure {
    /// What the source said.
    pub reading: Reading,
    /// Units of work one Job takes (`queueLength`, `lagThreshold`, …). 0 disables scaling, as in KEDA.
    pub target: f64,
    /// The trigger is active only above this number.
    pub activation: f64,
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

/// What to do now, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// Whether the object is active (KEDA's `isActive`).
    pub active: bool,
    /// Jobs that KEDA's arithmetic starts.
    pub keda: u32,
    /// Jobs to start now: KEDA's number, held by the cap.
    pub launch: u32,
    /// Jobs that the cap alone kept back: what the same arithmetic would start without a maximum, less `launch`.
    pub held_back: u32,
    /// The reason, in words and numbers.
    pub reason: String,
}

pub mod combine;
pub mod encode;
pub mod strategy;
