//! A decision or an answer, in words: what stands on the page of its object.

use jiff::Timestamp;

use crate::history::{
    AnswerOrigin, AnswerRecord, HistoryFact, HistoryRecord, ObjectStanding, TurnRecord, TurnStep,
};
use crate::page::html::{Html, encoded};
use crate::page::object::{PageKey, PageKind};
use crate::page::object_page::job_link;
use crate::page::rows::link;

/// Letters of one line.
const LETTERS: usize = 1_000;

/// Something that was decided or answered, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecisionLine {
    /// When: the last time, of what came again just so.
    pub at: Timestamp,
    /// About which object.
    pub object: PageKey,
    /// What, and why.
    pub words: String,
    /// The Job that came of it.
    pub job: Option<String>,
    /// The event that it was about.
    pub event: Option<String>,
}

impl From<&HistoryRecord> for DecisionLine {
    fn from(record: &HistoryRecord) -> Self {
        let answer = match &record.fact {
            HistoryFact::Answer(answer) => Some(answer),
            _ => None,
        };
        let text = |text: Option<&std::sync::Arc<str>>| text.map(ToString::to_string);
        let mut words = words(&record.fact);
        if record.times > 1 {
            words = format!("{words} ({} times since {:.0})", record.times, record.since);
        }
        Self {
            at: record.at,
            object: PageKey {
                id: record.subject.id.clone(),
                kind: PageKind::parse(record.subject.kind.name()).unwrap_or(PageKind::EventJob),
            },
            words,
            job: text(answer.and_then(|answer| answer.job.as_ref())),
            event: text(answer.and_then(|answer| answer.event.as_ref())),
        }
    }
}

fn words(fact: &HistoryFact) -> String {
    match fact {
        HistoryFact::Turn(turn) => of_turn(turn),
        HistoryFact::Standing(ObjectStanding::Paused) => {
            "it is paused: nothing was read".to_owned()
        }
        HistoryFact::Standing(ObjectStanding::Invalid(why)) => format!("it is not valid: {why}"),
        HistoryFact::Standing(ObjectStanding::StandsBy) => {
            "another replica leads, or none does: this one stands by".to_owned()
        }
        HistoryFact::Standing(ObjectStanding::Broken) => "a bug ended the work on it".to_owned(),
        HistoryFact::Answer(answer) => of_answer(answer),
        HistoryFact::Refused(refused) => {
            format!(
                "a request was refused, {}: {}: {}",
                refused.reason, refused.field, refused.message
            )
        }
        HistoryFact::Missed(missed) => match missed.count {
            1 => format!(
                "no Job for {:.0}, {}: {}",
                missed.due, missed.reason, missed.message
            ),
            count => format!(
                "no Jobs for {count} due times up to {:.0}, {}: {}",
                missed.due, missed.reason, missed.message
            ),
        },
    }
}

fn of_turn(turn: &TurnRecord) -> String {
    let mut parts = Vec::new();
    match (turn.step.again(), turn.step.result()) {
        (Some((_, reason)), _) => parts.push(reason),
        (None, Some(result)) => parts.push(format!("decided to launch {}", result.launch)),
        (None, None) => parts.push("nothing was decided: its Jobs could not be counted".to_owned()),
    }
    if let (TurnStep::LeftOut { triggers, .. }, Some(counts)) = (&turn.step, turn.step.counts()) {
        parts.push(format!(
            "{triggers} triggers were read, more than a record has room for, so their readings are not kept; {} Jobs unfinished",
            counts.unfinished
        ));
    }
    let wanted = turn.step.result().map_or(0, |result| result.launch);
    if wanted > 0 {
        parts.push(format!("launched {} of {wanted}", turn.launched));
    }
    for unread in &turn.unread {
        parts.push(format!(
            "{} could not be read, {}: {}",
            unread.name, unread.reason, unread.message
        ));
    }
    if let Some(trouble) = &turn.trouble {
        parts.push(format!("{}: {}", trouble.reason, trouble.message));
    }
    parts.join("; ")
}

fn of_answer(answer: &AnswerRecord) -> String {
    let origin = match answer.origin {
        AnswerOrigin::Webhook => "event".to_owned(),
        AnswerOrigin::Due(at) => format!("due time {at:.0}"),
        AnswerOrigin::Backfill(at) => format!("backfill of {at:.0}"),
        AnswerOrigin::Trigger(at) => format!("trigger at {at:.0}"),
    };
    let status = match answer.status {
        0 => String::new(),
        status => format!(" ({status})"),
    };
    let took = answer.took.as_millis();
    format!(
        "{origin}: {}{status}, {}; it took {took} ms",
        answer.result, answer.message
    )
}

/// Lines for records that begin with the oldest: the newest first, `most` of them.
pub fn newest(records: &[HistoryRecord], most: usize) -> Vec<DecisionLine> {
    let newest = records.iter().rev().take(most);
    newest.map(DecisionLine::from).collect()
}

/// Lines as a list, the newest first; `names` the objects too.
pub fn list(lines: &[DecisionLine], names: bool) -> Html {
    let mut html = Html::new();
    html.markup("<ol class=\"steps\">");
    for line in lines {
        html.markup("<li>").moment(line.at).markup(" ");
        if names {
            html.html(&link(&line.object)).markup(" ");
        }
        html.shortened(&line.words, LETTERS).markup(".");
        if let Some(event) = &line.event {
            html.markup(" Event <a href=\"/find?q=")
                .text(&encoded(event))
                .markup("\">");
            html.shortened(event, 80).markup("</a>.");
        }
        if let Some(job) = &line.job {
            html.markup(" Job ")
                .html(&job_link(&line.object.id.namespace, job))
                .markup(".");
        }
        html.markup("</li>");
    }
    html.markup("</ol>");
    html
}

#[cfg(test)]
mod tests;
