//! Traps in a trigger's parameters.

use std::time::Duration;

use serde_json::Value;
use url::Url;

use crate::resource::fields::join;
use crate::resource::{Fault, ScaledJob, TriggerEntry, TriggerKind};
use crate::scaling::Strategy;

/// Below this, polls of SQS see its noise. Unit: seconds. SQS counts settle within about a minute
/// (`GetQueueAttributes`, SQS API reference); KEDA's users see Jobs for messages that are gone.
const NOISY_POLL: Duration = Duration::from_secs(5);

/// The parameters that say how much one Job takes.
struct Names {
    target: &'static str,
    activation: &'static str,
    default_target: f64,
}

pub(super) fn warnings(
    scaled_job: &ScaledJob,
    trigger: &TriggerEntry,
    written: &Value,
    found: &mut Vec<Fault>,
) {
    let path = format!("spec.triggers[{}]", trigger.index);
    if written[trigger.index]["useCachedMetrics"] == Value::Bool(true) {
        found.push(Fault::at(
            format!("{path}.useCachedMetrics"),
            "has no effect on a ScaledJob, here and with KEDA: a source is read once for all who ask in any case",
        ));
    }
    if !written[trigger.index]["metricType"].is_null() {
        found.push(Fault::at(
            format!("{path}.metricType"),
            "has no effect on a ScaledJob, here and with KEDA: there is no autoscaler that would read it",
        ));
    }
    let look = TriggerTraps {
        scaled_job,
        trigger,
        path: format!("{path}.metadata"),
    };
    match trigger.kind {
        TriggerKind::AwsSqsQueue => look.sqs(found),
        TriggerKind::Kafka | TriggerKind::ApacheKafka => look.kafka(found),
        TriggerKind::EventBridge => look.event_bridge(found),
        TriggerKind::External | TriggerKind::ExternalPush => look.external(found),
    }
}

struct TriggerTraps<'a> {
    scaled_job: &'a ScaledJob,
    trigger: &'a TriggerEntry,
    path: String,
}

impl TriggerTraps<'_> {
    fn text(&self, key: &str) -> Option<&str> {
        let text = self.trigger.metadata.get(key)?.trim();
        (!text.is_empty()).then_some(text)
    }

    /// A switch that can be read; the parser says so of the others.
    fn switch(&self, key: &str) -> Option<bool> {
        match self.text(key)? {
            "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
            "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
            _ => None,
        }
    }

    fn number(&self, key: &str) -> Option<f64> {
        self.text(key)?.parse().ok()
    }

    fn warn(&self, found: &mut Vec<Fault>, key: &str, message: impl Into<String>) {
        found.push(Fault::at(join(&self.path, key), message));
    }

    fn sqs(&self, found: &mut Vec<Fault>) {
        self.activation(
            found,
            &Names {
                target: "queueLength",
                activation: "activationQueueLength",
                default_target: 5.0,
            },
        );
        self.target(found, "queueLength");
        self.queue(found);
        let interval = self.scaled_job.polling_interval;
        if interval < NOISY_POLL {
            found.push(Fault::at(
                "spec.pollingInterval",
                format!(
                    "is {} s, and SQS counts are estimates that settle within a minute: fast polls start Jobs for messages that are already gone",
                    interval.as_secs()
                ),
            ));
        }
        let strategy = self.scaled_job.policy.strategy;
        let key = "scaleOnInFlight";
        match (self.switch(key), strategy) {
            (None, Strategy::Accurate | Strategy::Eager) if self.text(key).is_none() => self.warn(
                found,
                key,
                "is true unless written: messages that running Jobs hold are counted as waiting, and this strategy does not subtract running Jobs, so the same work is launched again; write \"false\", or \"true\" if that is meant",
            ),
            (Some(false), Strategy::Default) => self.warn(
                found,
                key,
                "is false, and the default strategy subtracts running Jobs from messages they do not hold: new messages wait behind long Jobs; use strategy: accurate",
            ),
            _ => {}
        }
    }

    fn kafka(&self, found: &mut Vec<Fault>) {
        self.activation(
            found,
            &Names {
                target: "lagThreshold",
                activation: "activationLagThreshold",
                default_target: 10.0,
            },
        );
        self.target(found, "lagThreshold");
        if self.text("offsetResetPolicy").is_none()
            && self.switch("scaleToZeroOnInvalidOffset") != Some(true)
        {
            self.warn(
                found,
                "offsetResetPolicy",
                "is latest unless written: a partition without a committed offset counts as 1 record, so an idle topic starts a Job until the group has committed once; write latest if that is meant, or scaleToZeroOnInvalidOffset: \"true\"",
            );
        }
        if self.switch("allowIdleConsumers") == Some(true) {
            self.warn(
                found,
                "allowIdleConsumers",
                "is true: more Jobs than partitions may run, and those of one consumer group beyond them get nothing to do",
            );
        }
    }

    /// What its numbers mean only the scaler knows; that it is told secrets, and how, is written here.
    fn external(&self, found: &mut Vec<Fault>) {
        // A TriggerAuthentication may bring certificates, which switch TLS on.
        if self.switch("enableTLS") == Some(true) || self.trigger.authentication.is_some() {
            return;
        }
        let keys = self.trigger.metadata.keys();
        if let Some(key) = keys.into_iter().find(|key| key.ends_with("FromEnv")) {
            self.warn(
                found,
                key,
                "is sent to the scaler with the variable's value, and without TLS everybody on the way can read it; set enableTLS: \"true\"",
            );
        }
    }

    fn event_bridge(&self, found: &mut Vec<Fault>) {
        self.activation(
            found,
            &Names {
                target: "targetValue",
                activation: "activationTargetValue",
                default_target: 1.0,
            },
        );
        self.target(found, "targetValue");
    }

    /// What one Job takes.
    fn target(&self, found: &mut Vec<Fault>, key: &str) {
        let Some(target) = self.number(key).filter(|target| *target <= 0.0) else {
            return;
        };
        let is = if target < 0.0 { "is below 0" } else { "is 0" };
        let message = format!("{is}, which switches scaling off: no Job starts, whatever waits");
        self.warn(found, key, message);
    }

    /// A queue's URL that says another place than the one that is asked.
    fn queue(&self, found: &mut Vec<Fault>) {
        let url = self.text("queueURL").and_then(|url| Url::parse(url).ok());
        let Some(host) = url.as_ref().and_then(Url::host_str) else {
            return;
        };
        if self.text("awsEndpoint").is_some() {
            return;
        }
        let region = self.text("awsRegion").unwrap_or_default();
        let parts: Vec<&str> = host.split('.').collect();
        match parts[..] {
            ["sqs", named, "amazonaws", ..] if named != region && !region.is_empty() => self.warn(
                found,
                "awsRegion",
                format!("is {region}, and the queue's URL says {named}: {region} is asked, which does not have it"),
            ),
            [.., "amazonaws", "com"] | [.., "amazonaws", "com", "cn"] => {}
            _ => self.warn(
                found,
                "queueURL",
                format!("names the host {host}, and SQS of {region} is asked: without awsEndpoint only the queue's name is taken from it"),
            ),
        }
    }

    /// Backlogs that one Job would take, and that no Job is started for.
    fn activation(&self, found: &mut Vec<Fault>, names: &Names) {
        let target = self.number(names.target).unwrap_or(names.default_target);
        let Some(activation) = self.number(names.activation) else {
            return;
        };
        if target > 0.0 && activation >= target {
            self.warn(
                found,
                names.activation,
                format!(
                    "is {activation} and {} is {target}: up to {activation} units wait without any Job, though one Job takes {target}",
                    names.target
                ),
            );
        }
    }
}
