//! Where work waits: the port through which its size is read.
//!
//! A [`Source`] answers one question, how much is waiting, and an answer it does
//! not have is an [`Error`], never zero. The adapters (`sqs`, `kafka`, `external`) know one
//! library each; `pool` makes triggers with the same source share one client
//! and one poll.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;

use crate::resource::SourceSpec;
use crate::scaling::Reading;

/// A counted source, as one trigger sees it.
pub trait Source: Send + Sync {
    /// What is waiting: a reading not older than `freshness`, new if there is none that young.
    ///
    /// Those who ask at the same time share one call to the source.
    ///
    /// # Errors
    ///
    /// [`Error`] when the source gave no usable answer in time. The last good
    /// reading is not served in its place.
    fn read(&self, freshness: Duration) -> BoxFuture<'_, Result<Taken, Error>>;

    /// Waits until the source says by itself that there is something new: who asked for it reads again at once,
    /// with no regard to when it read last. A source that only answers when asked never does.
    ///
    /// It listens from the call on, polled or not: what comes between the call and the first poll is told, what came
    /// before the call is not. So call before reading, and call again as soon as it is ready. However much was said
    /// meanwhile is told once. May be dropped at any time.
    fn pushed(&self) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}

/// Makes sources for those who have nothing but a description of one.
pub trait Connect: Send + Sync {
    /// The source that a trigger describes. Nothing is sent before the first read.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for what users may not ask for, or this build cannot do.
    fn connect(&self, spec: &SourceSpec) -> Result<Arc<dyn Source>, Error>;
}

/// A reading and the moment it was taken.
#[derive(Debug, Clone, PartialEq)]
pub struct Taken {
    /// What was waiting.
    pub reading: Reading,
    /// When the source was asked, by the monotonic clock. Equal moments are the same poll.
    pub at: Instant,
    /// What the reading means, where only the source knows; `None` when the trigger says it.
    pub terms: Option<Arc<Terms>>,
    /// What the poll shows that its number does not say, and what to look at. The same words each time.
    pub warning: Option<String>,
}

/// What a source's readings mean, in the source's own words: an external scaler's.
#[derive(Debug, Clone, PartialEq)]
pub struct Terms {
    /// The metric's name, without a trigger's position.
    pub metric_name: String,
    /// Units of work one Job takes; 0 and below start none.
    pub target: f64,
    /// Whether there is work at all, whatever the number: nothing is compared with a threshold.
    pub is_active: bool,
}

/// Why a source could not be read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// No answer, or none in time.
    #[error("{source_name} did not answer: {detail}")]
    Unreachable {
        /// Which source, without credentials: a queue's or a topic's name and where it is.
        source_name: String,
        /// What happened, safe to show.
        detail: String,
    },
    /// The source answered that it is busy.
    #[error("{source_name} is throttling: {detail}")]
    Throttled {
        /// Which source.
        source_name: String,
        /// What happened, safe to show.
        detail: String,
    },
    /// The source refused us.
    #[error("{source_name} refused access: {detail}")]
    Forbidden {
        /// Which source.
        source_name: String,
        /// What happened and which permission is missing, safe to show.
        detail: String,
    },
    /// The queue, topic or group does not exist.
    #[error("{source_name} does not exist: {detail}")]
    NotFound {
        /// Which source.
        source_name: String,
        /// What happened, safe to show.
        detail: String,
    },
    /// An answer that cannot be understood, or is not complete.
    #[error("{source_name} gave an unusable answer: {detail}")]
    BadAnswer {
        /// Which source.
        source_name: String,
        /// What was missing or wrong, safe to show.
        detail: String,
    },
    /// Settings that cannot work, found when connecting.
    #[error("{source_name} cannot be used: {detail}")]
    Invalid {
        /// Which source.
        source_name: String,
        /// What is wrong and what would be right, safe to show.
        detail: String,
    },
}

impl Error {
    /// There are no credentials to go to the source with: somebody `refused` them, or nobody answered.
    fn without_credentials(source_name: String, refused: bool, detail: String) -> Self {
        if refused {
            return Self::Forbidden {
                source_name,
                detail,
            };
        }
        Self::Unreachable {
            source_name,
            detail,
        }
    }

    /// Every answer of [`Error::reason`].
    pub const REASONS: [&str; 6] = [
        "Unreachable",
        "Throttled",
        "Forbidden",
        "NotFound",
        "BadAnswer",
        "Invalid",
    ];

    /// Would the same call succeed later, with nobody acting?
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. } | Self::Throttled { .. } | Self::BadAnswer { .. }
        )
    }

    /// One word from a closed list: metric label and status reason.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "Unreachable",
            Self::Throttled { .. } => "Throttled",
            Self::Forbidden { .. } => "Forbidden",
            Self::NotFound { .. } => "NotFound",
            Self::BadAnswer { .. } => "BadAnswer",
            Self::Invalid { .. } => "Invalid",
        }
    }
}

mod aws;
pub mod eventbridge;
pub mod external;
pub mod kafka;
pub mod metrics;
pub mod pool;
mod shared;
pub mod sqs;
