//! `eventbridge`: the Jobs of an EventJob as a counted source.

use std::time::Duration;

use crate::resource::metadata::ParameterOrigin::Metadata;
use crate::resource::metadata::text::{self, ExpectedText};
use crate::resource::metadata::{Parameters, metric_name};
use crate::resource::{ObjectId, SourceSpec, Trigger, names};

/// `window` where none is written.
const WINDOW: Duration = Duration::from_mins(1);
/// The longest `window`: half of what `--ledger-grace` is unless written, which every Job outlives, so that none is missed.
pub const LONGEST_WINDOW: Duration = Duration::from_mins(5);
/// Creation times have no more than whole seconds.
const SHORTEST_WINDOW: Duration = Duration::from_secs(1);

/// What is counted of an EventJob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// `eventJob`, in the namespace of the object that asks.
    pub event_job: ObjectId,
    /// `value`.
    pub value: EventJobMeasure,
}

/// `value`: which number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventJobMeasure {
    /// `pending`, the default: Jobs that wait for their turn, or have no running Pod.
    Pending,
    /// `rate`: Jobs launched per second.
    Rate {
        /// `window`: over which time; 1 s to [`LONGEST_WINDOW`].
        window: Duration,
    },
}

/// Reads an `eventbridge` trigger; nothing when a fault was noted.
///
/// Defaults: `value` pending, `targetValue` 1, `activationTargetValue` 0, `window` 60 s.
pub(super) fn parse(parameters: &mut Parameters<'_>, owner: &ObjectId) -> Option<Trigger> {
    let name = parameters.required("eventJob", &[Metadata]);
    let name = name.and_then(|found| parameters.parsed(&found, event_job));
    let value = parameters.read("value", &[Metadata], value);
    let target = parameters.read("targetValue", &[Metadata], amount);
    let activation = parameters.read("activationTargetValue", &[Metadata], amount);
    let window = parameters.read("window", &[Metadata], window);
    let is_rate = value == Some("rate");
    if window.is_some() && !is_rate {
        parameters.warn("window", "has a meaning for value: rate only");
    }
    let value = if is_rate {
        EventJobMeasure::Rate {
            window: window.unwrap_or(WINDOW),
        }
    } else {
        EventJobMeasure::Pending
    };
    let name = name?;
    Some(Trigger {
        metric_name: metric_name(parameters.entry().index, &format!("eventbridge-{name}")),
        target: target.unwrap_or(1.0),
        activation: activation.unwrap_or(0.0),
        source: SourceSpec::EventBridge(Counted {
            event_job: ObjectId::new(&owner.namespace, name),
            value,
        }),
        warnings: Vec::new(),
    })
}

fn event_job(text: &str) -> Result<&str, ExpectedText> {
    if names::is_subdomain(text) {
        Ok(text)
    } else {
        Err(ExpectedText::new(
            "the name of an EventJob in the same namespace",
        ))
    }
}

fn value(text: &str) -> Result<&str, ExpectedText> {
    match text {
        "pending" | "rate" => Ok(text),
        _ => Err(ExpectedText::new("pending or rate")),
    }
}

fn amount(text: &str) -> Result<f64, ExpectedText> {
    text::float(text)
        .ok()
        .filter(|amount| *amount >= 0.0)
        .ok_or_else(|| ExpectedText::new("a number such as 5 or 0.5, not negative"))
}

fn window(text: &str) -> Result<Duration, ExpectedText> {
    text::duration(text)
        .ok()
        .filter(|window| (SHORTEST_WINDOW..=LONGEST_WINDOW).contains(window))
        .ok_or_else(|| ExpectedText::new("a duration from 1s to 5m, such as 60s"))
}

#[cfg(test)]
mod tests;
