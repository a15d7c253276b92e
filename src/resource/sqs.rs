//! `aws-sqs-queue`: KEDA's parameters, and the queue they name.

mod queue_name;

pub use queue_name::{queue_name, request_path};

use crate::resource::aws::{self, AwsIdentity};
use crate::resource::metadata::ParameterOrigin::{Authentication, Environment, Metadata};
use crate::resource::metadata::{Parameters, metric_name, number, text};
use crate::resource::{SourceSpec, Trigger};

/// One SQS queue as one identity sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Queue {
    /// `queueURL`, sent to SQS as it is.
    pub queue_url: String,
    /// `awsRegion`.
    pub region: String,
    /// `awsEndpoint`, when SQS is not AWS's own.
    pub endpoint: Option<String>,
    /// `scaleOnInFlight`: count messages that a consumer holds.
    pub in_flight: bool,
    /// `scaleOnDelayed`: count messages that are not due yet.
    pub delayed: bool,
    /// Whom to be.
    pub identity: AwsIdentity,
}

/// Reads an `aws-sqs-queue` trigger; nothing when a fault was noted.
///
/// Defaults: `queueLength` 5, `activationQueueLength` 0, `scaleOnInFlight` true, `scaleOnDelayed` false.
/// Source: KEDA's `pkg/scalers/aws_sqs_queue_scaler.go`.
pub(super) fn parse(parameters: &mut Parameters<'_>) -> Option<Trigger> {
    let target = parameters
        .read("queueLength", &[Metadata], text::integer)
        .unwrap_or(5);
    let activation = parameters
        .read("activationQueueLength", &[Metadata], text::integer)
        .unwrap_or(0);
    let in_flight = parameters
        .read("scaleOnInFlight", &[Metadata], text::boolean)
        .unwrap_or(true);
    let delayed = parameters
        .read("scaleOnDelayed", &[Metadata], text::boolean)
        .unwrap_or(false);
    let endpoint = parameters.text("awsEndpoint", &[Metadata]);
    let region = parameters.required("awsRegion", &[Metadata, Authentication]);
    let queue_url = parameters.required("queueURL", &[Metadata, Environment]);
    let name = queue_url
        .as_ref()
        .and_then(|found| parameters.parsed(found, queue_name));
    let identity = aws::identity(parameters);

    Some(Trigger {
        metric_name: metric_name(parameters.entry().index, &format!("aws-sqs-{}", name?)),
        target: number(target),
        activation: number(activation),
        source: SourceSpec::Sqs(Queue {
            queue_url: queue_url?.text.to_owned(),
            region: region?.text.to_owned(),
            endpoint,
            in_flight,
            delayed,
            identity: identity?,
        }),
        warnings: Vec::new(),
    })
}
