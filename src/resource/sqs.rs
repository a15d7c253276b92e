//! `aws-sqs-queue`: KEDA's parameters, and the queue they name.

use crate::resource::aws::Identity;

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
    pub identity: Identity,
}
