//! Objects that were never written down: for tests of what comes after parsing.

use slipway::resource::{ObjectId, ScaledJob};

use crate::support::fixtures;

/// An object with every default, no trigger and an empty Job.
pub(crate) fn scaled_job(namespace: &str, name: &str, uid: &str) -> ScaledJob {
    ScaledJob {
        id: ObjectId::new(namespace, name),
        uid: uid.to_owned(),
        generation: 1,
        ..fixtures::scaled_job(name)
    }
}
