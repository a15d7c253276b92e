//! A record as JSON, as `/api/v1` and `-o json` have it, and back: what is read again is the same to the last bit.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::record::{
    AnswerOrigin, AnswerRecord, HistoryFact, HistoryRecord, MissedRecord, ObjectStanding,
    RefusedRecord, Subject, SubjectKind, TurnRecord, TurnStep, TurnTrouble, UnreadTrigger,
    WakeWord,
};
use crate::resource::ObjectId;
use crate::scaling::{
    Bounds, Calculation, DecisionResult, JobCounts, Measure, Policy, Reading, Strategy,
};

/// `{"records": […]}`.
pub fn list(records: &[HistoryRecord]) -> Value {
    let records: Vec<Value> = records.iter().map(to_json).collect();
    json!({"records": records})
}

/// A record as JSON.
pub fn to_json(record: &HistoryRecord) -> Value {
    let Subject { kind, id } = &record.subject;
    let mut object = json!({
        "kind": kind.name(),
        "namespace": &*id.namespace,
        "name": &*id.name,
        "since": record.since.to_string(),
        "at": record.at.to_string(),
        "times": record.times,
    });
    let (word, fact) = match &record.fact {
        HistoryFact::Turn(turn) => ("turn", turn_to_json(turn)),
        HistoryFact::Standing(standing) => ("standing", standing_to_json(standing)),
        HistoryFact::Answer(answer) => ("answer", answer_to_json(answer)),
        HistoryFact::Refused(refused) => (
            "refused",
            json!({"reason": &*refused.reason, "field": &*refused.field, "message": &*refused.message}),
        ),
        HistoryFact::Missed(missed) => (
            "missed",
            json!({
                "due": missed.due.to_string(),
                "count": missed.count,
                "reason": &*missed.reason,
                "message": &*missed.message,
            }),
        ),
    };
    object[word] = fact;
    object
}

fn standing_to_json(standing: &ObjectStanding) -> Value {
    match standing {
        ObjectStanding::Paused => json!({"state": "Paused"}),
        ObjectStanding::Invalid(why) => json!({"state": "Invalid", "message": &**why}),
        ObjectStanding::StandsBy => json!({"state": "StandsBy"}),
        ObjectStanding::Broken => json!({"state": "Broken"}),
    }
}

fn answer_to_json(answer: &AnswerRecord) -> Value {
    let (origin, due) = match answer.origin {
        AnswerOrigin::Webhook => ("Webhook", None),
        AnswerOrigin::Due(at) => ("Due", Some(at)),
        AnswerOrigin::Backfill(at) => ("Backfill", Some(at)),
        AnswerOrigin::Trigger(at) => ("Trigger", Some(at)),
    };
    json!({
        "origin": origin,
        "due": due.map(|due| due.to_string()),
        "eventId": answer.event.as_deref(),
        "result": &*answer.result,
        "statusCode": answer.status,
        "jobName": answer.job.as_deref(),
        "message": &*answer.message,
        "tookMilliseconds": u64::try_from(answer.took.as_millis()).unwrap_or(u64::MAX),
    })
}

fn turn_to_json(turn: &TurnRecord) -> Value {
    let mut object = Map::new();
    object.insert("wake".into(), turn.wake.name().into());
    match &turn.step {
        TurnStep::Decided {
            policy, measures, ..
        } => {
            object.insert("step".into(), "Decided".into());
            object.insert("policy".into(), policy_to_json(policy));
            let measures: Vec<Value> = measures.iter().map(measure_to_json).collect();
            object.insert("triggers".into(), measures.into());
        }
        TurnStep::ToppedUp {
            bounds, held_back, ..
        } => {
            object.insert("step".into(), "ToppedUp".into());
            object.insert("bounds".into(), bounds_to_json(*bounds));
            object.insert("heldBackBefore".into(), (*held_back).into());
        }
        TurnStep::LeftOut { triggers, .. } => {
            object.insert("step".into(), "LeftOut".into());
            object.insert("triggerCount".into(), (*triggers).into());
        }
        TurnStep::Uncounted => {
            object.insert("step".into(), "Uncounted".into());
        }
    }
    if let Some(counts) = turn.step.counts() {
        let counts = json!({"unfinished": counts.unfinished, "pending": counts.pending});
        object.insert("counts".into(), counts);
    }
    if let Some(result) = turn.step.result() {
        let result = json!({
            "active": result.active,
            "keda": result.keda,
            "launch": result.launch,
            "heldBack": result.held_back,
        });
        object.insert("result".into(), result);
    }
    if let Some((_, reason)) = turn.step.again() {
        object.insert("reason".into(), reason.into());
    }
    let unread = turn.unread.iter().map(|trigger| {
        json!({"name": &*trigger.name, "reason": &*trigger.reason, "message": &*trigger.message})
    });
    object.insert("unread".into(), unread.collect::<Vec<_>>().into());
    object.insert("launched".into(), turn.launched.into());
    object.insert("round".into(), turn.round.into());
    object.insert("uid".into(), (&*turn.uid).into());
    if let Some(trouble) = &turn.trouble {
        let trouble = json!({"reason": &*trouble.reason, "message": &*trouble.message});
        object.insert("trouble".into(), trouble);
    }
    let next = turn.next_look.map(|next| next.to_string());
    object.insert("nextLook".into(), next.into());
    Value::Object(object)
}

fn policy_to_json(policy: &Policy) -> Value {
    let mut object = json!({
        "strategy": policy.strategy.name(),
        "calculation": calculation_word(policy.calculation),
        "bounds": bounds_to_json(policy.bounds),
    });
    if let Strategy::Custom {
        deduction,
        running_percentage,
    } = policy.strategy
    {
        object["deduction"] = deduction.into();
        object["runningPercentage"] = float_to_json(running_percentage);
    }
    object
}

fn calculation_word(calculation: Calculation) -> &'static str {
    match calculation {
        Calculation::Max => "max",
        Calculation::Min => "min",
        Calculation::Avg => "avg",
        Calculation::Sum => "sum",
    }
}

fn bounds_to_json(bounds: Bounds) -> Value {
    json!({"min": bounds.min, "max": bounds.max})
}

fn measure_to_json(measure: &Measure) -> Value {
    json!({
        "name": measure.label,
        "waiting": float_to_json(measure.reading.waiting()),
        "activationReading": float_to_json(measure.reading.activation()),
        "target": float_to_json(measure.target),
        "activation": float_to_json(measure.activation),
    })
}

/// JSON has no word for what is not finite.
fn float_to_json(float: f64) -> Value {
    if float.is_finite() {
        float.into()
    } else {
        float.to_string().into()
    }
}

/// The record of such JSON; `None` when it is none.
pub fn from_json(value: &Value) -> Option<HistoryRecord> {
    let kind = value["kind"].as_str()?;
    let kind = SubjectKind::ALL
        .into_iter()
        .find(|known| known.name() == kind)?;
    let id = ObjectId::new(value["namespace"].as_str()?, value["name"].as_str()?);
    let fact = if let Some(turn) = value.get("turn") {
        HistoryFact::Turn(turn_of(turn)?)
    } else if let Some(standing) = value.get("standing") {
        HistoryFact::Standing(match standing["state"].as_str()? {
            "Paused" => ObjectStanding::Paused,
            "Invalid" => ObjectStanding::Invalid(text(&standing["message"])?),
            "StandsBy" => ObjectStanding::StandsBy,
            "Broken" => ObjectStanding::Broken,
            _ => return None,
        })
    } else if let Some(answer) = value.get("answer") {
        HistoryFact::Answer(answer_of(answer)?)
    } else if let Some(refused) = value.get("refused") {
        HistoryFact::Refused(RefusedRecord {
            reason: text(&refused["reason"])?,
            field: text(&refused["field"])?,
            message: text(&refused["message"])?,
        })
    } else {
        let missed = value.get("missed")?;
        HistoryFact::Missed(MissedRecord {
            due: time(&missed["due"])?,
            count: missed["count"].as_u64()?,
            reason: text(&missed["reason"])?,
            message: text(&missed["message"])?,
        })
    };
    Some(HistoryRecord {
        subject: Subject { kind, id },
        since: time(&value["since"])?,
        at: time(&value["at"])?,
        times: small(&value["times"])?,
        fact,
    })
}

fn answer_of(value: &Value) -> Option<AnswerRecord> {
    let due = || time(&value["due"]);
    Some(AnswerRecord {
        origin: match value["origin"].as_str()? {
            "Webhook" => AnswerOrigin::Webhook,
            "Due" => AnswerOrigin::Due(due()?),
            "Backfill" => AnswerOrigin::Backfill(due()?),
            "Trigger" => AnswerOrigin::Trigger(due()?),
            _ => return None,
        },
        event: text(&value["eventId"]),
        result: text(&value["result"])?,
        status: u16::try_from(value["statusCode"].as_u64()?).ok()?,
        job: text(&value["jobName"]),
        message: text(&value["message"])?,
        took: Duration::from_millis(value["tookMilliseconds"].as_u64()?),
    })
}

fn turn_of(value: &Value) -> Option<TurnRecord> {
    let wake = value["wake"].as_str()?;
    let wake = WakeWord::ALL
        .into_iter()
        .find(|known| known.name() == wake)?;
    let counts = || {
        Some(JobCounts {
            unfinished: small(&value["counts"]["unfinished"])?,
            pending: small(&value["counts"]["pending"])?,
        })
    };
    let result = || {
        let result = &value["result"];
        Some(DecisionResult {
            active: result["active"].as_bool()?,
            keda: small(&result["keda"])?,
            launch: small(&result["launch"])?,
            held_back: small(&result["heldBack"])?,
        })
    };
    let step = match value["step"].as_str()? {
        "Decided" => TurnStep::Decided {
            policy: policy_of(&value["policy"])?,
            measures: value["triggers"]
                .as_array()?
                .iter()
                .map(measure_of)
                .collect::<Option<_>>()?,
            counts: counts()?,
            result: result()?,
        },
        "ToppedUp" => TurnStep::ToppedUp {
            bounds: bounds_of(&value["bounds"])?,
            held_back: small(&value["heldBackBefore"])?,
            counts: counts()?,
            result: result()?,
        },
        "LeftOut" => TurnStep::LeftOut {
            triggers: small(&value["triggerCount"])?,
            counts: counts()?,
            result: result()?,
        },
        "Uncounted" => TurnStep::Uncounted,
        _ => return None,
    };
    let unread = value["unread"].as_array()?.iter().map(|trigger| {
        Some(UnreadTrigger {
            name: text(&trigger["name"])?,
            reason: text(&trigger["reason"])?,
            message: text(&trigger["message"])?,
        })
    });
    Some(TurnRecord {
        wake,
        step,
        unread: unread.collect::<Option<_>>()?,
        launched: small(&value["launched"])?,
        round: value["round"].as_u64(),
        uid: text(&value["uid"])?,
        trouble: value.get("trouble").and_then(|trouble| {
            Some(TurnTrouble {
                reason: text(&trouble["reason"])?,
                message: text(&trouble["message"])?,
            })
        }),
        next_look: time(&value["nextLook"]),
    })
}

fn policy_of(value: &Value) -> Option<Policy> {
    let strategy = match value["strategy"].as_str()? {
        "default" => Strategy::Default,
        "custom" => Strategy::Custom {
            deduction: value["deduction"].as_i64()?,
            running_percentage: float(&value["runningPercentage"])?,
        },
        "accurate" => Strategy::Accurate,
        "eager" => Strategy::Eager,
        _ => return None,
    };
    let calculation = value["calculation"].as_str()?;
    let all = [
        Calculation::Max,
        Calculation::Min,
        Calculation::Avg,
        Calculation::Sum,
    ];
    Some(Policy {
        strategy,
        calculation: all
            .into_iter()
            .find(|known| calculation_word(*known) == calculation)?,
        bounds: bounds_of(&value["bounds"])?,
    })
}

fn bounds_of(value: &Value) -> Option<Bounds> {
    let bound = |value: &Value| match value {
        Value::Null => Some(None),
        value => small(value).map(Some),
    };
    Some(Bounds {
        min: bound(&value["min"])?,
        max: bound(&value["max"])?,
    })
}

fn measure_of(value: &Value) -> Option<Measure> {
    let (waiting, activation) = (&value["waiting"], &value["activationReading"]);
    Some(Measure {
        label: value["name"].as_str()?.to_owned(),
        reading: Reading::with_activation(float(waiting)?, float(activation)?),
        target: float(&value["target"])?,
        activation: float(&value["activation"])?,
    })
}

fn float(value: &Value) -> Option<f64> {
    match value {
        Value::String(text) => text.parse().ok(),
        value => value.as_f64(),
    }
}

fn small(value: &Value) -> Option<u32> {
    u32::try_from(value.as_u64()?).ok()
}

fn time(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

fn text(value: &Value) -> Option<Arc<str>> {
    value.as_str().map(Into::into)
}
