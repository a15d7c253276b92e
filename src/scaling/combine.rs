//! Several triggers, one demand: KEDA's `multipleScalersCalculation`, with its quirks.
//!
//! Source: KEDA, `pkg/scaling/scaledjob/metrics.go`. What the demand means for
//! Jobs that already run is `strategy`'s business.

use super::encode;
use super::{Calculation, Measure};

/// What one trigger brings into the combination.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share {
    /// Units of work waiting, as KEDA reads its own encoding back.
    pub queue_length: f64,
    /// Jobs it asks for, not rounded, held to the maximum.
    pub max_value: f64,
    /// Only active triggers count.
    pub active: bool,
}

impl Share {
    /// A trigger's share, with the budget above the minimum as limit (`None`: no limit).
    pub fn of(measure: &Measure, max_replicas: Option<u32>) -> Self {
        let queue_length = encode::read_back(measure.reading.waiting());
        let target = encode::target(measure.target);
        // Not `queue_length * (1 / target)`, and no tolerance: KEDA's ratio can lie just above
        // an integer, and its ceiling is then one Job more. The vectors pin that.
        let max_value = if target == 0.0 {
            0.0
        } else {
            held(queue_length / target, max_replicas)
        };
        Self {
            queue_length,
            max_value,
            active: measure.is_active(),
        }
    }

    /// The same, held to another budget above the minimum, which is no larger than its own.
    #[must_use]
    pub fn held(self, max_replicas: Option<u32>) -> Self {
        Self {
            max_value: held(self.max_value, max_replicas),
            ..self
        }
    }
}

/// What all triggers of an object ask for together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Demand {
    /// Whether the object is active; a minimum above 0 makes it so.
    pub active: bool,
    /// Units of work, not rounded.
    pub queue_length: f64,
    /// Jobs, not rounded, at most the maximum.
    pub max_value: f64,
    /// The trigger that decided, by position, where one did (`Max`, `Min`).
    pub chosen: Option<usize>,
}

impl Demand {
    /// KEDA's `scaleTo`: units of work, rounded up.
    pub fn scale_to(&self) -> i64 {
        ceiling(self.queue_length)
    }

    /// KEDA's `maxScale`: Jobs, rounded up, once and only here.
    pub fn max_scale(&self) -> i64 {
        ceiling(self.max_value)
    }
}

/// Combines the shares of all triggers that could be read, in the object's order.
///
/// Quirks of KEDA that are kept: `Max` takes the first of equals and is not
/// activated by a trigger whose number is 0; `Min` takes 0 for "nothing yet", so
/// that `[0, 5]` gives 5 and `[5, 0]` gives 0.
pub fn combine(
    calculation: Calculation,
    shares: &[Share],
    min_replicas: u32,
    max_replicas: Option<u32>,
) -> Demand {
    let mut demand = match calculation {
        Calculation::Max => select(shares, |share, best| share.queue_length > best),
        Calculation::Min => select(shares, |share, best| {
            best == 0.0 || share.queue_length < best
        }),
        Calculation::Sum => total(shares, |_| 1.0),
        Calculation::Avg => total(shares, |active| active),
    };
    demand.active |= min_replicas > 0;
    demand.max_value = held(demand.max_value, max_replicas);
    demand
}

/// The active share that `better` prefers to the best number so far, which starts at 0.
fn select(shares: &[Share], better: impl Fn(&Share, f64) -> bool) -> Demand {
    let mut demand = Demand {
        active: false,
        queue_length: 0.0,
        max_value: 0.0,
        chosen: None,
    };
    for (position, share) in shares.iter().enumerate() {
        if share.active && better(share, demand.queue_length) {
            demand = Demand {
                active: true,
                queue_length: share.queue_length,
                max_value: share.max_value,
                chosen: Some(position),
            };
        }
    }
    demand
}

/// The sum of the active shares, divided by what `divisor` makes of their number.
fn total(shares: &[Share], divisor: impl Fn(f64) -> f64) -> Demand {
    let (mut queue_length, mut max_value, mut active) = (0.0, 0.0, 0.0);
    for share in shares.iter().filter(|share| share.active) {
        queue_length += share.queue_length;
        max_value += share.max_value;
        active += 1.0;
    }
    let divisor = if active == 0.0 { 1.0 } else { divisor(active) };
    Demand {
        active: active > 0.0,
        queue_length: queue_length / divisor,
        max_value: max_value / divisor,
        chosen: None,
    }
}

fn held(value: f64, max_replicas: Option<u32>) -> f64 {
    max_replicas.map_or(value, |max| value.min(f64::from(max)))
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "saturates, and nothing that large is ever launched"
)]
fn ceiling(value: f64) -> i64 {
    value.ceil() as i64
}
