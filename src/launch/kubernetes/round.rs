//! Rounds, written down before their first Job and said closed after their last.
//!
//! Exactly one writer gets a number: the patch carries the `resourceVersion` of the object whose
//! record was looked at, and the record carries the holder, so that a writer whose patch had no
//! clear answer can tell its own record from another's. What may be written is decided in
//! [`crate::launch::round`].

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use serde_json::{Value, json};

use super::{refusal, unavailable, unknown, unreadable};
use crate::cluster::{Call, Cluster};
use crate::launch::round::{RoundOpening, opening};
use crate::launch::{Error, ROUND_ANNOTATION};
use crate::resource::requests::{
    ANSWERS_ANNOTATION, RequestAnswer, add_answer, answers_of, answers_to_json,
};
use crate::resource::{Api, RoundRecord, ScaledJob};

/// Tries against others who change the object in between (a status, an edit).
const TRIES: usize = 6;
const DEADLINE: Duration = Duration::from_secs(5);

/// A name for this process that no other has: 16 hexadecimal digits.
pub fn new_holder() -> String {
    // The standard library's only source of randomness: a new hasher's key.
    format!("{:016x}", RandomState::new().build_hasher().finish())
}

/// Writes the round down, if nobody has written one since `counted`: the newest
/// round that the decision behind this one counted with. With it, the answer to whoever asked for its one Job.
///
/// # Errors
///
/// [`Error::Conflict`] when another round was written since, what stands there cannot be read, or the request was answered;
/// [`Error::Gone`] when the object is gone or another one has its name; [`Error::Unknown`] when it may have been written.
pub(super) async fn open(
    cluster: &Cluster,
    scaled_job: &ScaledJob,
    counted: u64,
    wanted: &RoundRecord,
    answer: Option<&RequestAnswer>,
) -> Result<(), Error> {
    let object = format!("scaledjob {}", scaled_job.id);
    let mut unclear = None;
    for _ in 0..TRIES {
        let current = read(cluster, &object, scaled_job).await;
        // A patch without a clear answer may have been applied: then "cannot be read" is "nobody knows".
        let current = current.map_err(|error| unclear.clone().unwrap_or(error))?;
        let Ok(written) = RoundRecord::of(&current, scaled_job.api) else {
            return Err(Error::Conflict { object });
        };
        match opening(written.as_ref(), wanted, counted) {
            RoundOpening::Written => return Ok(()),
            RoundOpening::Conflict => return Err(Error::Conflict { object }),
            RoundOpening::Write => {}
        }
        let mut answers = answers_of(&current);
        if let Some(answer) = answer {
            if answers.iter().any(|before| before.id == answer.id) {
                return Err(Error::Conflict { object });
            }
            add_answer(&mut answers, answer.clone());
        }
        let answers = answer.map(|_| &*answers);
        let call = patch(scaled_job, &current, Some(wanted), answers);
        match cluster.send(call.within(DEADLINE)).await {
            Err(error) => unclear = Some(unknown(&object, &error)),
            Ok(answer) if answer.is_success() => return Ok(()),
            // Somebody changed the object; the next look tells whether it was the round.
            Ok(answer) if answer.status == 409 => {}
            Ok(answer) => match refusal(&object, &answer) {
                error @ Error::Unknown { .. } => unclear = Some(error),
                error => return Err(unclear.unwrap_or(error)),
            },
        }
    }
    Err(unclear.unwrap_or(Error::Conflict { object }))
}

/// Writes down what became of a request. What was answered for good stays as it is.
///
/// # Errors
///
/// [`Error::Gone`] when the object is gone; any other when the answer may not stand there.
pub(super) async fn answer(
    cluster: &Cluster,
    scaled_job: &ScaledJob,
    answer: &RequestAnswer,
) -> Result<(), Error> {
    let object = format!("scaledjob {}", scaled_job.id);
    for _ in 0..TRIES {
        let current = read(cluster, &object, scaled_job).await?;
        let mut answers = answers_of(&current);
        let is_same = |before: &RequestAnswer| before.id == answer.id && before.is_final();
        if !answer.id.is_empty() && answers.iter().any(is_same) {
            return Ok(());
        }
        add_answer(&mut answers, answer.clone());
        let call = patch(scaled_job, &current, None, Some(&answers));
        let answer = cluster.send(call.within(DEADLINE)).await;
        let answer = answer.map_err(|error| unknown(&object, &error))?;
        match answer.status {
            200..300 => return Ok(()),
            409 => {}
            _ => return Err(refusal(&object, &answer)),
        }
    }
    Err(Error::Conflict { object })
}

/// Says a round closed, if its record is still the one that stands there.
///
/// One patch, which tests what it replaces. So it needs no `resourceVersion`, and a status written in between does not matter.
///
/// # Errors
///
/// [`Error`] when the record may still say that the round is open.
pub(super) async fn close(
    cluster: &Cluster,
    scaled_job: &ScaledJob,
    record: &RoundRecord,
) -> Result<(), Error> {
    let object = format!("scaledjob {}", scaled_job.id);
    let mut steps = vec![json!({"op": "test", "path": "/metadata/uid", "value": scaled_job.uid})];
    let (path, tests, value) = match scaled_job.api {
        Api::Slipway => {
            let number = ("/status/round/number", json!(record.round.number));
            let holder = ("/status/round/holder", json!(record.holder));
            let value = json!(record.round.number);
            ("/status/round/closed", vec![number, holder], value)
        }
        Api::Keda => {
            let path = "/metadata/annotations/slipway.dev~1round";
            let closed = RoundRecord {
                open: false,
                ..record.clone()
            };
            let [before, after] = [record, &closed].map(|record| record.to_value().to_string());
            (path, vec![(path, json!(before))], json!(after))
        }
    };
    let tests = tests.into_iter();
    steps.extend(tests.map(|(path, value)| json!({"op": "test", "path": path, "value": value})));
    steps.push(json!({"op": "add", "path": path, "value": value}));
    let call = Call::json_patch(record_path(scaled_job), Value::Array(steps));
    let answer = cluster
        .send(call.within(DEADLINE))
        .await
        .map_err(|error| unknown(&object, &error))?;
    match answer.status {
        // 404, 422: the object is gone, or another record stands there. Nobody has to be told of this one.
        200..300 | 404 | 422 => Ok(()),
        _ => Err(refusal(&object, &answer)),
    }
}

async fn read(cluster: &Cluster, object: &str, scaled_job: &ScaledJob) -> Result<Value, Error> {
    let answer = cluster
        .send(Call::get(path(scaled_job)).within(DEADLINE))
        .await
        .map_err(|error| unavailable(object, &error))?;
    if !answer.is_success() {
        return Err(unreadable(object, &answer));
    }
    let current: Value = answer.json().map_err(|error| unavailable(object, &error))?;
    if current["metadata"]["uid"] != *scaled_job.uid {
        return Err(Error::Gone {
            object: object.to_owned(),
        });
    }
    Ok(current)
}

/// A write over the object as it was read.
fn patch(
    scaled_job: &ScaledJob,
    current: &Value,
    record: Option<&RoundRecord>,
    answers: Option<&[RequestAnswer]>,
) -> Call {
    let record = record.map(RoundRecord::to_value);
    let answers = answers.map(answers_to_json);
    let mut body = json!({
        "metadata": {"resourceVersion": current["metadata"]["resourceVersion"]},
    });
    for (value, field, annotation) in [
        (record, "round", ROUND_ANNOTATION),
        (answers, "requests", ANSWERS_ANNOTATION),
    ] {
        let Some(value) = value else { continue };
        match scaled_job.api {
            Api::Slipway => body["status"][field] = value,
            Api::Keda => body["metadata"]["annotations"][annotation] = value.to_string().into(),
        }
    }
    Call::merge_patch(record_path(scaled_job), body)
}

/// Where the record is written.
fn record_path(scaled_job: &ScaledJob) -> String {
    match scaled_job.api {
        Api::Slipway => format!("{}/status", path(scaled_job)),
        Api::Keda => path(scaled_job),
    }
}

fn path(scaled_job: &ScaledJob) -> String {
    let group = match scaled_job.api {
        Api::Slipway => "slipway.dev",
        Api::Keda => "keda.sh",
    };
    let id = &scaled_job.id;
    format!(
        "/apis/{group}/v1alpha1/namespaces/{}/scaledjobs/{}",
        id.namespace, id.name
    )
}
