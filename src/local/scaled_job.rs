//! What is written down about a ScaledJob in one file: its last round, and what became of requests for its Jobs.
//!
//! One write says both, so that no request has two rounds.

use std::io;

use serde_json::{Value, json};

use crate::resource::Round;
use crate::resource::requests::{RequestAnswer, add_answer, answers_of, answers_to_json};

/// The hidden folder of a namespace with it.
pub(super) const FOLDER: &str = ".rounds";

/// What is known of a ScaledJob's launches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScaledJobRecord {
    /// The last round that was opened.
    pub round: Option<Round>,
    /// What became of requests, the newest last.
    pub answers: Vec<RequestAnswer>,
}

impl ScaledJobRecord {
    pub(super) fn parse(record: &Value) -> io::Result<Self> {
        let unreadable = || {
            let words = "a round needs a number and a count of jobs";
            io::Error::new(io::ErrorKind::InvalidData, words)
        };
        let round = match (&record["number"], &record["jobs"]) {
            (Value::Null, Value::Null) => None,
            (number, jobs) => {
                let jobs = jobs.as_u64().and_then(|jobs| u32::try_from(jobs).ok());
                Some(Round {
                    number: number.as_u64().ok_or_else(unreadable)?,
                    jobs: jobs.ok_or_else(unreadable)?,
                })
            }
        };
        if round.is_none() && !record["requests"].is_array() {
            return Err(unreadable());
        }
        let answers = answers_of(&json!({ "status": record }));
        Ok(Self { round, answers })
    }

    pub(super) fn to_json(&self) -> Value {
        let mut record = json!({"requests": answers_to_json(&self.answers)});
        if let Some(round) = self.round {
            record["number"] = round.number.into();
            record["jobs"] = round.jobs.into();
        }
        record
    }

    /// As an object in a cluster says it.
    pub fn to_status(&self) -> Value {
        let mut status = json!({"requests": answers_to_json(&self.answers)});
        if let Some(Round { number, jobs }) = self.round {
            status["round"] = json!({"number": number, "jobs": jobs});
        }
        status
    }

    /// A round is opened, perhaps for whoever is answered so. False when another was opened since, or there is an answer.
    pub(super) fn open(&mut self, round: Round, answer: Option<RequestAnswer>) -> bool {
        let is_late = self.round.is_some_and(|last| last.number >= round.number);
        let is_answered =
            |answer: &RequestAnswer| self.answers.iter().any(|one| one.id == answer.id);
        if is_late || answer.as_ref().is_some_and(is_answered) {
            return false;
        }
        self.round = Some(round);
        if let Some(answer) = answer {
            add_answer(&mut self.answers, answer);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn one_request_has_one_round_and_what_is_written_is_read_back() {
        let answer = RequestAnswer {
            id: "a".to_owned(),
            time: Timestamp::from_second(5).unwrap(),
            result: "Creating".to_owned(),
            message: "why".to_owned(),
            job: Some("orders-x".to_owned()),
        };
        let round = |number| Round { number, jobs: 1 };
        let mut record = ScaledJobRecord::default();
        assert!(record.open(round(3), Some(answer.clone())));
        assert!(!record.open(round(4), Some(answer)), "it has its round");
        assert!(!record.open(round(3), None));
        assert!(record.open(round(4), None));
        assert_eq!(ScaledJobRecord::parse(&record.to_json()).unwrap(), record);
        // As releases before wrote it.
        let before = ScaledJobRecord::parse(&json!({"number": 7, "jobs": 2})).unwrap();
        assert_eq!(before.round, Some(Round { number: 7, jobs: 2 }));
        for wrong in [
            json!({}),
            json!({"number": 7}),
            json!({"number": "7", "jobs": 1}),
        ] {
            assert!(ScaledJobRecord::parse(&wrong).is_err());
        }
    }
}
