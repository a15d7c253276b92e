//! The loop: objects, turns, status.

use serde_json::Value;

use crate::resource::{Api, ObjectId};

pub mod status;
pub mod watch;

/// Something changed among the objects.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// A ScaledJob as it is now, whole but for `managedFields`; also when nothing but its status changed, and
    /// again after a break of the watch.
    Applied(Value),
    /// A ScaledJob is gone, or no longer ours to act on.
    Removed {
        /// Namespace and name.
        id: ObjectId,
        /// Which of the two groups it was in: there may be one of the same name in the other.
        api: Api,
    },
    /// Every watch of ScaledJobs has had its first answer: a complete list, or a refusal that is in the log. Comes once.
    Synced,
    /// A TriggerAuthentication of this namespace changed; `None` for a cluster-wide one.
    ReferencesChanged(Option<String>),
}

/// Changes that may wait for the loop. A page of a list fits; a slower loop slows the watches down, and loses nothing.
pub const WAITING_CHANGES: usize = 512;
