//! The names that a round reserves.

use crate::launch::job::name;
use crate::resource::{Round, ScaledJob};

pub(super) use crate::launch::job::name::label_value;

/// Names and occurrences of a round's Jobs, by ordinal.
pub(super) fn reserved_names(scaled_job: &ScaledJob, round: Round) -> Vec<(String, String)> {
    let prefix = name::prefix(&scaled_job.id.name);
    (0..round.jobs)
        .map(|ordinal| {
            let reserved = name::counted(&prefix, &scaled_job.uid, round.number, ordinal);
            (reserved.name, reserved.occurrence)
        })
        .collect()
}
