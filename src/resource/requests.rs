//! What somebody asks the leader to do for an object: the annotation `slipway.dev/requests`, a JSON list; and its answers.
//!
//! `slipway trigger` and `slipway backfill` write it and wait for the answer in `status.requests`. An object whose status
//! has no such field (KEDA's ScaledJob and a CronJob, both managed in place) has its answers in the annotation
//! `slipway.dev/answers`. Whoever may write annotations may write it, so nothing in it is believed.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::schedule::DayOrInstant;

/// The annotation.
pub const REQUESTS_ANNOTATION: &str = "slipway.dev/requests";
/// The annotation with the answers, where a status has no place for them.
pub const ANSWERS_ANNOTATION: &str = "slipway.dev/answers";
/// Requests that it may hold; of answers an object keeps as many.
pub const MOST_REQUESTS: usize = 20;
/// The answer to a request that was done.
pub const DONE: &str = "Done";
/// The answer to a request that cannot be done.
pub const FAILED: &str = "Failed";
/// The answer to a request whose Job has its name, and is not known to exist yet.
pub const CREATING: &str = "Creating";
/// Bytes of a request's id.
const LONGEST_ID: usize = 63;

/// One request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobRequest {
    /// Tells it from every other: one id is done once. 1 to 63 letters, digits and dashes.
    pub id: String,
    /// When it was asked.
    pub time: Timestamp,
    /// What for.
    #[serde(flatten)]
    pub wish: Wish,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do")]
pub enum Wish {
    /// One Job now.
    Trigger,
    /// The Jobs of the due times from one moment to another, both included.
    Backfill {
        /// The first; a day is that of the schedule's clock.
        #[serde(with = "text")]
        from: DayOrInstant,
        /// The last.
        #[serde(with = "text")]
        to: DayOrInstant,
    },
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestAnswer {
    /// The request's id.
    pub id: String,
    /// When it was answered.
    pub time: Timestamp,
    /// One word: [`DONE`], [`FAILED`], or [`CREATING`].
    pub result: String,
    /// In words.
    pub message: String,
    /// The one Job that was asked for.
    pub job: Option<String>,
}

impl RequestAnswer {
    /// Reads one; `None` for what is no answer.
    pub fn parse(value: &Value) -> Option<Self> {
        let text = |field: &str| value[field].as_str().map(str::to_owned);
        Some(Self {
            id: text("id")?,
            time: value["time"].as_str()?.parse().ok()?,
            result: text("result")?,
            message: text("message")?,
            job: text("jobName"),
        })
    }

    /// As it is written down.
    pub fn to_json(&self) -> Value {
        let mut answer = json!({
            "id": self.id,
            "time": format!("{:.0}", self.time),
            "result": self.result,
            "message": self.message,
        });
        if let Some(job) = &self.job {
            answer["jobName"] = job.as_str().into();
        }
        answer
    }

    /// Whether nothing more becomes of it.
    pub fn is_final(&self) -> bool {
        self.result != CREATING
    }
}

/// What is asked for of an object, or what is wrong with how it is asked.
///
/// # Errors
///
/// As of [`parse`].
pub fn of(object: &Value) -> Result<Vec<JobRequest>, String> {
    let written = object["metadata"]["annotations"][REQUESTS_ANNOTATION].as_str();
    written.map_or_else(|| Ok(Vec::new()), parse)
}

/// The answers that an object has, the newest last.
pub fn answers_of(object: &Value) -> Vec<RequestAnswer> {
    let in_status = &object["status"]["requests"];
    let written = match object["metadata"]["annotations"][ANSWERS_ANNOTATION].as_str() {
        Some(text) if in_status.is_null() => serde_json::from_str(text).unwrap_or_default(),
        _ => in_status.clone(),
    };
    let answers = written.as_array().into_iter().flatten();
    answers.filter_map(RequestAnswer::parse).collect()
}

/// Takes note of an answer: in place of an earlier one to the same request, else as the newest. The oldest make room.
pub fn add_answer(answers: &mut Vec<RequestAnswer>, answer: RequestAnswer) {
    match answers.iter_mut().find(|before| before.id == answer.id) {
        Some(before) => *before = answer,
        None => answers.push(answer),
    }
    let surplus = answers.len().saturating_sub(MOST_REQUESTS);
    answers.drain(..surplus);
}

/// The list as it is written down.
pub fn answers_to_json(answers: &[RequestAnswer]) -> Value {
    answers.iter().map(RequestAnswer::to_json).collect()
}

/// As a text.
mod text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::schedule::DayOrInstant;

    pub(super) fn serialize<S: Serializer>(
        value: &DayOrInstant,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<DayOrInstant, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

/// Reads the annotation.
///
/// # Errors
///
/// What is wrong with it, and what would be right.
pub fn parse(text: &str) -> Result<Vec<JobRequest>, String> {
    let requests: Vec<JobRequest> = serde_json::from_str(text).map_err(|error| {
        format!(
            "{REQUESTS_ANNOTATION} is no list of requests as `slipway trigger` writes them: {error}"
        )
    })?;
    if requests.len() > MOST_REQUESTS {
        let count = requests.len();
        return Err(format!(
            "{REQUESTS_ANNOTATION} has {count} requests, and {MOST_REQUESTS} is the most: remove those that are answered"
        ));
    }
    for request in &requests {
        let is_plain = |letter: u8| letter.is_ascii_alphanumeric() || letter == b'-';
        let id = &request.id;
        if !(1..=LONGEST_ID).contains(&id.len()) || !id.bytes().all(is_plain) {
            return Err(format!(
                "{REQUESTS_ANNOTATION}: an id is 1 to {LONGEST_ID} letters, digits and dashes"
            ));
        }
    }
    Ok(requests)
}

/// The annotation that says these.
pub fn to_text(requests: &[JobRequest]) -> String {
    let written: Vec<_> = requests.iter().map(|request| json!(request)).collect();
    Value::from(written).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_and_nothing_else() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let requests = vec![
            JobRequest {
                id: "a-1".to_owned(),
                time: at(5),
                wish: Wish::Trigger,
            },
            JobRequest {
                id: "b".to_owned(),
                time: at(5),
                wish: Wish::Backfill {
                    from: DayOrInstant::Instant(at(0)),
                    to: "1970-01-02".parse().unwrap(),
                },
            },
        ];
        let text = to_text(&requests);
        assert_eq!(
            text,
            r#"[{"id":"a-1","time":"1970-01-01T00:00:05Z","do":"Trigger"},{"id":"b","time":"1970-01-01T00:00:05Z","do":"Backfill","from":"1970-01-01T00:00:00Z","to":"1970-01-02"}]"#
        );
        assert_eq!(parse(&text), Ok(requests));
        let many = format!(
            "[{}]",
            vec![r#"{"id":"a","time":"1970-01-01T00:00:05Z","do":"Trigger"}"#; 21].join(",")
        );
        for wrong in [
            "",
            "{}",
            r#"[{"id":"a"}]"#,
            r#"[{"id":"","time":"1970-01-01T00:00:05Z","do":"Trigger"}]"#,
            r#"[{"id":"a/b","time":"1970-01-01T00:00:05Z","do":"Trigger"}]"#,
            r#"[{"id":"a","time":"now","do":"Trigger"}]"#,
            r#"[{"id":"a","time":"1970-01-01T00:00:05Z","do":"Delete"}]"#,
            &many,
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
