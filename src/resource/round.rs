//! Rounds, and the record of the last one that an object carries.
//!
//! The record stands in `status.round`. On an object managed in place it is the
//! text of the annotation [`ROUND_ANNOTATION`], because KEDA's CRD drops status
//! fields that it does not know. A record that cannot be read is never "no round":
//! it would hide Jobs from the count.

use serde_json::{Value, json};

use crate::resource::Api;

/// Annotation with a round: its number on a Job; the record on an object managed in place.
pub const ROUND_ANNOTATION: &str = "slipway.dev/round";

/// One batch of launches from one decision, as written down before its first Job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Round {
    /// Counts up by one with each round of an object, from 1.
    pub number: u64,
    /// Jobs the round may create; ordinals run from 0 to this less one. At most [`Round::LARGEST`].
    pub jobs: u32,
}

impl Round {
    /// Jobs in one round; a larger decision takes several. Each name of an open round is computed and kept
    /// until its Job is seen, so this bounds what one record can cost, at 2 ms and 300 kB. It is some two
    /// seconds of creates.
    pub const LARGEST: u32 = 1_000;
    /// The most that a record may name. Rounds of format 0 had no largest size, and a program of that time leaves a
    /// newer version as it stands when it writes.
    const LARGEST_READ: u32 = 10_000;
}

/// The last round of an object, as it is written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoundRecord {
    /// Number and size.
    pub round: Round,
    /// Which process opened it; empty when the record does not say.
    pub holder: String,
    /// Whether creates of it may be unanswered. True from before its first Job.
    pub open: bool,
}

impl RoundRecord {
    /// The format that this program writes.
    ///
    /// 0, or none: `number`, `jobs`, `holder`; always open. 1: `closed` is the number of the round that is closed.
    /// A round with any other number is open. So a `closed` that an older program leaves as it stands says nothing
    /// about the round that it writes. That program reads each round as open.
    pub const VERSION: u64 = 1;

    /// A round that is about to begin.
    pub fn open(round: Round, holder: impl Into<String>) -> Self {
        Self {
            round,
            holder: holder.into(),
            open: true,
        }
    }

    /// The record that an object carries. The annotation counts on objects managed in place only: on any other it is
    /// somebody's leftover.
    ///
    /// # Errors
    ///
    /// As [`RoundRecord::parse`].
    pub fn of(object: &Value, api: Api) -> Result<Option<Self>, String> {
        let in_status = &object["status"]["round"];
        if !in_status.is_null() {
            return Self::parse(in_status).map(Some);
        }
        match (api, &object["metadata"]["annotations"][ROUND_ANNOTATION]) {
            (Api::Slipway, _) | (_, Value::Null) => Ok(None),
            (Api::Keda, text) => {
                let record = text
                    .as_str()
                    .and_then(|text| serde_json::from_str(text).ok());
                Self::parse(&record.ok_or("it is not JSON")?).map(Some)
            }
        }
    }

    /// Reads a record.
    ///
    /// # Errors
    ///
    /// What is wrong with it, for the owner of the object: a version of a newer program, a field of the
    /// wrong type, more Jobs than a round can have.
    pub fn parse(record: &Value) -> Result<Self, String> {
        let version = match &record["version"] {
            Value::Null => 0,
            version => version.as_u64().ok_or("its version is not a number")?,
        };
        if version > Self::VERSION {
            return Err(format!(
                "it was written in format {version} by a newer Slipway; this one reads formats up to {}",
                Self::VERSION
            ));
        }
        let number = record["number"].as_u64();
        let number = number.ok_or("its number is not a whole number")?;
        let jobs = record["jobs"].as_u64();
        let jobs = jobs
            .and_then(|jobs| u32::try_from(jobs).ok())
            .filter(|jobs| *jobs <= Round::LARGEST_READ)
            .ok_or_else(|| {
                let largest = Round::LARGEST_READ;
                format!("its jobs are not a whole number from 0 to {largest}")
            })?;
        let holder = match &record["holder"] {
            Value::Null => "",
            holder => holder.as_str().ok_or("its holder is not text")?,
        };
        let open = match &record["closed"] {
            Value::Null => true,
            closed => closed.as_u64().ok_or("its closed is not a whole number")? != number,
        };
        Ok(Self {
            round: Round { number, jobs },
            holder: holder.to_owned(),
            open,
        })
    }

    /// The record as it is written. `closed` is null while it is open: a merge patch takes away what stands there.
    pub fn to_value(&self) -> Value {
        json!({
            "version": Self::VERSION,
            "number": self.round.number,
            "jobs": self.round.jobs,
            "holder": self.holder,
            "closed": (!self.open).then_some(self.round.number),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let mut record = RoundRecord::open(Round { number: 7, jobs: 3 }, "me");
        assert_eq!(RoundRecord::parse(&record.to_value()), Ok(record.clone()));
        record.open = false;
        assert_eq!(RoundRecord::parse(&record.to_value()), Ok(record));
    }

    #[test]
    fn the_annotation_counts_on_an_object_managed_in_place_only() {
        let text = r#"{"number": 9, "jobs": 40}"#;
        let object = json!({"metadata": {"annotations": {ROUND_ANNOTATION: text}}});
        assert_eq!(RoundRecord::of(&object, Api::Slipway), Ok(None));
        let record = RoundRecord::of(&object, Api::Keda).unwrap().unwrap();
        assert_eq!(record.round.jobs, 40);
        let garbage = json!({"metadata": {"annotations": {ROUND_ANNOTATION: "9 of 40"}}});
        assert!(RoundRecord::of(&garbage, Api::Keda).is_err());
        assert_eq!(RoundRecord::of(&json!({}), Api::Keda), Ok(None));
    }

    #[test]
    fn a_record_from_before_rounds_closed_is_open() {
        let record = RoundRecord::parse(&json!({"number": 4, "jobs": 5_000})).unwrap();
        assert!(record.open);
        assert_eq!(record.round.jobs, 5_000, "rounds had no largest size then");
    }

    #[test]
    fn a_round_that_an_older_program_writes_over_a_closed_one_is_open() {
        let closed = RoundRecord {
            open: false,
            ..RoundRecord::open(Round { number: 7, jobs: 3 }, "me")
        };
        let mut written = closed.to_value();
        assert!(!RoundRecord::parse(&written).unwrap().open);
        // It merges what it knows into what stands there.
        for (field, value) in [("number", json!(8)), ("jobs", json!(5_000))] {
            written[field] = value;
        }
        let record = RoundRecord::parse(&written).unwrap();
        assert!(record.open);
        assert_eq!(record.round.jobs, 5_000);
    }

    #[test]
    fn a_record_that_cannot_be_true_is_an_error_and_not_no_round() {
        for (record, words) in [
            (json!({"version": 2, "number": 1, "jobs": 1}), "format 2"),
            (json!({"version": "1", "number": 1, "jobs": 1}), "version"),
            (json!({"jobs": 1}), "number"),
            (json!({"number": -1, "jobs": 1}), "number"),
            (json!({"number": 1}), "jobs"),
            (json!({"number": 1, "jobs": 4_000_000_000_u64}), "10000"),
            (json!({"number": 1, "jobs": 10_001}), "10000"),
            (json!({"number": 1, "jobs": 1, "closed": "1"}), "closed"),
            (json!({"number": 1, "jobs": 1, "holder": 7}), "holder"),
            (json!("1"), "number"),
            (json!([]), "number"),
        ] {
            let error = RoundRecord::parse(&record).expect_err(&record.to_string());
            assert!(error.contains(words), "{record}: {error}");
        }
    }
}
