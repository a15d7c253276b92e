//! The proof of a Job template, for both kinds of object: as a status keeps it, and when one that stands is asked for again.

use std::time::Duration;

use serde_json::{Value, json};

use super::requeue::spread;

/// What a status says was proved is proved again this long after a start, so that the start is over.
const PROVED_AGAIN_AFTER: Duration = Duration::from_secs(30);
/// The proofs of many are spread over this much more.
const PROVED_AGAIN_WITHIN: Duration = Duration::from_mins(10);

/// Whether a status says that this program has proved this generation.
pub(super) fn is_proved(status: &Value, generation: i64) -> bool {
    status["proof"] == proof(generation)
}

/// Another version of this program may make another Job of the same template.
pub(super) fn proof(generation: i64) -> Value {
    json!({"generation": generation, "version": env!("CARGO_PKG_VERSION")})
}

/// How long after a start a proof that stands is asked for again, of one among so many objects.
pub(super) fn again_after(uid: &str, objects: usize) -> Duration {
    PROVED_AGAIN_AFTER + spread(uid, objects, PROVED_AGAIN_WITHIN)
}
