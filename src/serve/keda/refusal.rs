//! Why a call has no answer, in the caller's words; the one place that chooses gRPC codes.
//!
//! Nothing secret is in a text: values that came under `…FromEnv` keys and parameters of
//! Secrets are never quoted by the parsers, and what a source said stays in our log.

use tonic::Status;

use crate::lookup;
use crate::resource::Fault;
use crate::source;

/// Longest text of an answer. Unit: bytes. It travels as a header, of which clients take 8 KiB in all, and may be
/// three times as long there.
const LONGEST: usize = 512;

/// Why a call has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RpcRefusal {
    /// What was asked is wrong, and will be until it is changed. `INVALID_ARGUMENT`.
    Invalid(String),
    /// What was asked is not for this caller. `PERMISSION_DENIED`.
    Denied(String),
    /// Nobody knows the number now. `UNAVAILABLE`.
    Unavailable(String),
    /// Too much at once. `RESOURCE_EXHAUSTED`.
    Exhausted(&'static str),
}

impl RpcRefusal {
    /// Everything that is wrong with a trigger's parameters, by key.
    pub(super) fn of_faults(faults: &[Fault]) -> Self {
        let texts: Vec<String> = faults.iter().map(text_of).collect();
        Self::Invalid(texts.join("; "))
    }

    /// What could not be read of what a trigger refers to; the details are for the log.
    pub(super) fn of_lookup(error: &lookup::Error) -> Self {
        match error {
            lookup::Error::Unavailable { object, .. } => {
                Self::Unavailable(format!("{object} cannot be read now"))
            }
            lookup::Error::Forbidden { object, .. } => {
                Self::Denied(format!("Slipway has no right to read {object}"))
            }
            lookup::Error::Missing { .. } | lookup::Error::Invalid { .. } => {
                Self::Invalid(error.to_string())
            }
        }
    }

    /// A source that cannot be connected to as asked. What is wrong with it may quote what was asked: only where all of
    /// that `is_quotable`.
    pub(super) fn of_connect(error: &source::Error, is_quotable: bool) -> Self {
        match error {
            source::Error::Invalid { detail, .. } if is_quotable => Self::Invalid(detail.clone()),
            source::Error::Invalid { .. } => Self::Invalid(
                "the source cannot be used as asked; what is wrong is not shown, as values came under keys that end in FromEnv"
                    .to_owned(),
            ),
            _ => Self::Unavailable(format!("the source cannot be used: {}", error.reason())),
        }
    }

    /// The same, with a text that is short enough to be kept and sent.
    #[must_use]
    pub(super) fn shortened(self) -> Self {
        match self {
            Self::Invalid(text) => Self::Invalid(shortened(text)),
            Self::Denied(text) => Self::Denied(shortened(text)),
            Self::Unavailable(text) => Self::Unavailable(shortened(text)),
            Self::Exhausted(text) => Self::Exhausted(text),
        }
    }

    /// Whether the same call may succeed later, with nobody acting.
    pub(super) fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Exhausted(_))
    }
}

/// A fault as the caller wrote it: there is but one trigger in a request.
fn text_of(fault: &Fault) -> String {
    let field = fault
        .field
        .strip_prefix("spec.triggers[0].")
        .unwrap_or(&fault.field);
    Fault::at(field, fault.message.as_str()).to_string()
}

impl From<RpcRefusal> for Status {
    fn from(refusal: RpcRefusal) -> Self {
        match refusal.shortened() {
            RpcRefusal::Invalid(text) => Self::invalid_argument(text),
            RpcRefusal::Denied(text) => Self::permission_denied(text),
            RpcRefusal::Unavailable(text) => Self::unavailable(text),
            RpcRefusal::Exhausted(text) => Self::resource_exhausted(text),
        }
    }
}

fn shortened(mut text: String) -> String {
    if text.len() > LONGEST {
        text.truncate(text.floor_char_boundary(LONGEST - '…'.len_utf8()));
        text.push('…');
        // The rest would be kept with it.
        text.shrink_to_fit();
    }
    text
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    #[test]
    fn faults_are_named_by_the_key_that_the_caller_wrote() {
        let faults = [
            Fault::at(
                "spec.triggers[0].metadata.queueLength",
                "expected a whole number",
            ),
            Fault::at("spec.triggers[0].authenticationRef", "nobody there"),
        ];
        let status = Status::from(RpcRefusal::of_faults(&faults));
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(
            status.message(),
            "metadata.queueLength: expected a whole number; authenticationRef: nobody there"
        );
    }

    #[test]
    fn a_long_text_is_cut_between_letters() {
        let refusal = RpcRefusal::Denied("ä".repeat(2_000)).shortened();
        let status = Status::from(refusal.clone().shortened());
        assert_eq!(status.message().len(), LONGEST - 1);
        assert_eq!(status.message(), Status::from(refusal).message());
    }

    #[test]
    fn what_may_be_secret_is_not_said_back() {
        let error = source::Error::Invalid {
            source_name: "Kafka".to_owned(),
            detail: "\"s3cret.internal\" may not be called".to_owned(),
        };
        let text = |is_quotable| Status::from(RpcRefusal::of_connect(&error, is_quotable));
        assert!(text(true).message().contains("s3cret"));
        assert!(!text(false).message().contains("s3cret"));
    }
}
