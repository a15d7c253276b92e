//! Why a sender is refused: told to the EventJob's owner, and never to the sender.

use std::fmt;

use http::HeaderMap;

/// What is wrong with a sender's credentials. Has nothing of what was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SenderFault {
    /// The header or the field of the body.
    pub field: String,
    /// What is wrong there.
    pub cause: FaultCause,
}

/// What can be wrong. A later one has got further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultCause {
    /// Nothing was presented.
    Missing,
    /// Not in the form that it has.
    Malformed,
    /// Made by a hash that is broken: SHA-1.
    BrokenHash,
    /// Not signed: SNS's raw delivery.
    Raw,
    /// Of a topic that is not listed.
    NotListed,
    /// The sender's clock is this far from ours. Unit: seconds, more than 0 when it is behind.
    Clock(i64),
    /// Well-formed, and no credentials that are known here.
    Wrong,
}

impl SenderFault {
    /// A fault of this field.
    pub fn new(field: impl Into<String>, cause: FaultCause) -> Self {
        Self {
            field: field.into(),
            cause,
        }
    }

    /// Nothing of this header can be credentials: it is not there, comes twice, or is no text of a sane size.
    pub(super) fn absent(headers: &HeaderMap, header: &str) -> Self {
        let cause = if headers.contains_key(header) {
            FaultCause::Malformed
        } else {
            FaultCause::Missing
        };
        Self::new(header, cause)
    }

    /// Of two, the one that got further.
    pub(super) fn or(self, other: Self) -> Self {
        if other.cause > self.cause || self.field.is_empty() {
            other
        } else {
            self
        }
    }
}

impl FaultCause {
    /// One word, from a closed list.
    pub fn name(self) -> &'static str {
        match self {
            Self::Missing => "Missing",
            Self::Malformed => "Malformed",
            Self::BrokenHash => "BrokenHash",
            Self::Raw => "Raw",
            Self::NotListed => "NotListed",
            Self::Clock(_) => "Clock",
            Self::Wrong => "Wrong",
        }
    }
}

impl fmt::Display for FaultCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("is missing: it carries the sender's credentials"),
            Self::Malformed => f.write_str("has not the form that the EventJob's auth says"),
            Self::BrokenHash => f.write_str(
                "is made with SHA-1, which is not taken: the sender must sign with SHA-256 (SNS: SignatureVersion 2)",
            ),
            Self::Raw => f.write_str("is there: raw delivery has no signature, turn it off"),
            Self::NotListed => f.write_str("names a topic that topicARNs does not list"),
            Self::Clock(seconds) => {
                let side = if *seconds < 0 { "ahead of" } else { "behind" };
                write!(f, "is {} s {side} our clock", seconds.unsigned_abs())
            }
            Self::Wrong => f.write_str("is there, and holds no credentials of this EventJob"),
        }
    }
}
