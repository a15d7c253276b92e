//! Stand-in for the names that `launch::job` gives, until the two branches meet.

use sha2::{Digest, Sha256};

use crate::resource::{Round, ScaledJob};

/// Names and occurrences of a round's Jobs, by ordinal.
pub(super) fn reserved_names(scaled_job: &ScaledJob, round: Round) -> Vec<(String, String)> {
    (0..round.jobs)
        .map(|ordinal| {
            let occurrence = hex(&format!("{}/{}/{ordinal}", scaled_job.uid, round.number));
            let prefix: String = scaled_job.id.name.chars().take(46).collect();
            (format!("{prefix}-{}", &occurrence[..10]), occurrence)
        })
        .collect()
}

/// A name as a label value: itself, when it fits.
pub(super) fn label_value(name: &str) -> String {
    if name.len() <= 63 {
        return name.to_owned();
    }
    format!("{}-{}", &name[..52], &hex(name)[..10])
}

fn hex(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest
        .iter()
        .fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}
