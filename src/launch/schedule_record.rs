//! How far a schedule has come: what its status says about it, and what may be concluded from that.
//!
//! `lastScheduleTime` is a schedule's ledger: nothing at or before it is made again. It moves only past due times that
//! have a Job, or about which something was decided and told. Pure.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::launch::Error;
use crate::resource::requests::{RequestAnswer, add_answer, answers_of, answers_to_json};

/// The form in which `status.schedule` is written. A program that reads a newer one does nothing for its object.
const VERSION: u64 = 1;
/// Missed due times that a status names; of more it says how many.
pub const MOST_MISSED: usize = 10;
/// The reason of a due time that found another Job unfinished, under `Forbid`: CronJob's word.
pub const ALREADY_ACTIVE: &str = "JobAlreadyActive";

/// What is written down about one schedule.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScheduleRecord {
    /// `resourceVersion` of the object that it was read from; empty where there are none.
    pub version: String,
    /// `lastScheduleTime`: the newest due time that was decided.
    pub last: Option<Timestamp>,
    /// The hash of the schedule that was seen last, and when a leader saw it first: due times before that do not count.
    pub seen: Option<SeenSchedule>,
    /// The next due times, the first first.
    pub next: Vec<Timestamp>,
    /// Due times without a Job, the newest first; at most [`MOST_MISSED`].
    pub missed: Vec<MissedTime>,
    /// What became of requests, the newest last; at most [`MOST_REQUESTS`](crate::resource::requests::MOST_REQUESTS).
    pub answers: Vec<RequestAnswer>,
}

/// A schedule as a leader saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenSchedule {
    /// Of all that says when something is due.
    pub hash: String,
    /// Since when it counts.
    pub since: Timestamp,
}

/// A due time, or the newest of several, that has no Job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissedTime {
    /// When it was due.
    pub time: Timestamp,
    /// How many were missed for this reason up to then; 1 and up.
    pub count: u64,
    /// One word: [`ALREADY_ACTIVE`], or a word of [`MissReason`](crate::schedule::MissReason).
    pub reason: String,
    /// In words.
    pub message: String,
}

impl ScheduleRecord {
    /// Nothing at or before this is made.
    pub fn decided(&self) -> Option<Timestamp> {
        let since = self.seen.as_ref().map(|seen| seen.since);
        self.last.max(since)
    }

    /// What a status says; `object` is for errors.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] for what a newer program has written, or nobody: what was made cannot be told from it.
    pub fn parse(object: &str, version: &str, status: &Value) -> Result<Self, Error> {
        let unreadable = |detail: String| Error::Unavailable {
            object: format!("the schedule in the status of {object}"),
            detail,
        };
        let time = |field: &str, value: &Value| match value {
            Value::Null => Ok(None),
            Value::String(text) if let Ok(time) = text.parse() => Ok(Some(time)),
            _ => Err(unreadable(format!(
                "{field} is no time that can be: {value}"
            ))),
        };
        let schedule = &status["schedule"];
        if !schedule.is_null() && schedule["version"].as_u64() != Some(VERSION) {
            return Err(unreadable(format!(
                "status.schedule is not in form {VERSION}, as its `version` says: a newer release may have written it"
            )));
        }
        let since = time("status.schedule.since", &schedule["since"])?;
        let seen = match (schedule["hash"].as_str(), since) {
            (Some(hash), Some(since)) => Some(SeenSchedule {
                hash: hash.to_owned(),
                since,
            }),
            (None, None) => None,
            _ => {
                return Err(unreadable(
                    "status.schedule has one of `hash` and `since`, and not both".to_owned(),
                ));
            }
        };
        let list = |field: &str| schedule[field].as_array().into_iter().flatten();
        Ok(Self {
            version: version.to_owned(),
            last: time("status.lastScheduleTime", &status["lastScheduleTime"])?,
            seen,
            // These are for people, and made anew.
            next: list("next")
                .filter_map(|value| time("", value).ok()?)
                .collect(),
            missed: list("missed").filter_map(MissedTime::parse).collect(),
            answers: answers_of(&json!({ "status": status })),
        })
    }

    /// The fields of the status that say it, those that say nothing as null.
    pub fn to_status(&self) -> Map<String, Value> {
        let time = |time: Option<Timestamp>| time.map(|time| format!("{time:.0}"));
        let schedule = self.seen.as_ref().map(|seen| {
            json!({
                "version": VERSION,
                "hash": seen.hash,
                // To the nanosecond: what was due in this very second may have been before.
                "since": seen.since.to_string(),
                "next": self.next.iter().map(|next| time(Some(*next))).collect::<Vec<_>>(),
                "missed": self.missed.iter().map(MissedTime::to_json).collect::<Vec<_>>(),
            })
        });
        Map::from_iter([
            ("lastScheduleTime".to_owned(), json!(time(self.last))),
            (
                "nextScheduleTime".to_owned(),
                json!(time(self.next.first().copied())),
            ),
            ("schedule".to_owned(), json!(schedule)),
            ("requests".to_owned(), answers_to_json(&self.answers)),
        ])
    }

    /// Takes note of due times without a Job. One that follows on others missed for the same reason counts with them.
    pub fn miss(&mut self, missed: MissedTime) {
        match self.missed.first_mut() {
            Some(newest) if newest.reason == missed.reason && missed.reason == ALREADY_ACTIVE => {
                let count = newest.count.saturating_add(missed.count);
                *newest = MissedTime { count, ..missed };
            }
            _ => self.missed.insert(0, missed),
        }
        self.missed.truncate(MOST_MISSED);
    }
}

impl ScheduleRecord {
    /// Whether a request was answered.
    pub fn is_answered(&self, id: &str) -> bool {
        self.answers.iter().any(|answer| answer.id == id)
    }

    /// Takes note of what became of a request.
    pub fn answer(&mut self, answer: RequestAnswer) {
        add_answer(&mut self.answers, answer);
    }
}

impl MissedTime {
    fn parse(value: &Value) -> Option<Self> {
        Some(Self {
            time: value["time"].as_str()?.parse().ok()?,
            count: value["count"].as_u64()?,
            reason: value["reason"].as_str()?.to_owned(),
            message: value["message"].as_str()?.to_owned(),
        })
    }

    fn to_json(&self) -> Value {
        json!({
            "time": format!("{:.0}", self.time),
            "count": self.count,
            "reason": self.reason,
            "message": self.message,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut record = ScheduleRecord {
            version: "7".to_owned(),
            last: Some(at(60)),
            seen: Some(SeenSchedule {
                hash: "abc".to_owned(),
                since: Timestamp::new(30, 5).unwrap(),
            }),
            next: vec![at(120), at(180)],
            missed: Vec::new(),
            answers: Vec::new(),
        };
        record.answer(RequestAnswer {
            id: "a-1".to_owned(),
            time: at(90),
            result: "Done".to_owned(),
            message: "it was created".to_owned(),
            job: Some("report-x".to_owned()),
        });
        record.miss(MissedTime {
            time: at(0),
            count: 3,
            reason: "MissSchedule".to_owned(),
            message: "why".to_owned(),
        });
        let status = Value::Object(record.to_status());
        assert_eq!(ScheduleRecord::parse("o", "7", &status).unwrap(), record);
        let none = ScheduleRecord::parse("o", "", &Value::Null).unwrap();
        assert_eq!(none, ScheduleRecord::default());
        assert_eq!(record.decided(), Some(at(60)));
    }

    #[test]
    fn what_cannot_be_read_is_no_empty_record() {
        for status in [
            json!({"lastScheduleTime": "yesterday"}),
            json!({"lastScheduleTime": 5}),
            json!({"schedule": {"version": 2, "hash": "a", "since": "2026-01-01T00:00:00Z"}}),
            json!({"schedule": {"version": 1, "hash": "a"}}),
            json!({"schedule": {}}),
        ] {
            let read = ScheduleRecord::parse("o", "", &status);
            assert!(matches!(read, Err(Error::Unavailable { .. })), "{status}");
        }
    }

    #[test]
    fn skipped_ones_in_a_row_are_one_entry_and_the_list_is_bounded() {
        let mut record = ScheduleRecord::default();
        let miss = |second, reason: &str| MissedTime {
            time: at(second),
            count: 1,
            reason: reason.to_owned(),
            message: String::new(),
        };
        for second in 0..5 {
            record.miss(miss(second, "JobAlreadyActive"));
        }
        assert_eq!((record.missed.len(), record.missed[0].count), (1, 5));
        assert_eq!(record.missed[0].time, at(4));
        for second in 5..30 {
            record.miss(miss(second, "MissSchedule"));
        }
        assert_eq!(record.missed.len(), MOST_MISSED);
        assert_eq!(record.missed[0].time, at(29));
    }
}
