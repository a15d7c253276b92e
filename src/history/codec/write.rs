//! A record's parts as bytes.

use jiff::Timestamp;

use super::{LONGEST_NAME, write_number};
use crate::history::record::{
    AnswerOrigin, AnswerRecord, LONGEST_ID, LONGEST_TEXT, MOST_UNREAD, TurnRecord, TurnStep,
    WakeWord, cut,
};
use crate::scaling::{Bounds, Calculation, DecisionResult, JobCounts, Measure, Policy, Strategy};

pub(super) struct Writer<'a> {
    pub(super) bytes: Vec<u8>,
    pub(super) with_readings: bool,
    pub(super) intern: &'a mut dyn FnMut(&str) -> u32,
}

impl Writer<'_> {
    pub(super) fn byte(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    pub(super) fn number(&mut self, number: u64) {
        write_number(&mut self.bytes, number);
    }

    pub(super) fn signed(&mut self, number: i64) {
        // Small numbers of either sign are short.
        let zigzag = (number << 1) ^ (number >> 63);
        self.number(zigzag.cast_unsigned());
    }

    pub(super) fn time(&mut self, time: Timestamp) {
        self.signed(time.as_millisecond());
    }

    pub(super) fn optional_number(&mut self, number: Option<u64>) {
        self.number(number.map_or(0, |number| number.saturating_add(1)));
    }

    pub(super) fn float(&mut self, float: f64) {
        if let Some(whole) = whole(float) {
            // Even, so that its first byte is never the mark of the other form.
            self.number(whole << 1);
        } else {
            self.byte(1);
            self.bytes.extend(float.to_bits().to_le_bytes());
        }
    }

    pub(super) fn text(&mut self, text: &str) {
        let number = (self.intern)(cut(text, LONGEST_TEXT));
        self.number(number.into());
    }

    /// A text that comes once: it stands in the record itself.
    pub(super) fn own_text(&mut self, text: Option<&str>, longest: usize) {
        let Some(text) = text else {
            return self.number(0);
        };
        let text = cut(text, longest);
        self.number(text.len() as u64 + 1);
        self.bytes.extend(text.as_bytes());
    }

    pub(super) fn turn(&mut self, turn: &TurnRecord) {
        let wake = WakeWord::ALL.iter().position(|wake| *wake == turn.wake);
        self.number(wake.unwrap_or_default() as u64);
        match &turn.step {
            TurnStep::Decided {
                policy,
                measures,
                counts,
                result,
            } => {
                if self.with_readings {
                    self.byte(0);
                    self.policy(policy);
                    self.number(measures.len() as u64);
                    for measure in measures {
                        self.measure(measure);
                    }
                } else {
                    self.byte(2);
                    self.number(measures.len() as u64);
                }
                self.counts(*counts);
                self.result(*result);
            }
            TurnStep::ToppedUp {
                bounds,
                held_back,
                counts,
                result,
            } => {
                self.byte(1);
                self.bounds(*bounds);
                self.number((*held_back).into());
                self.counts(*counts);
                self.result(*result);
            }
            TurnStep::LeftOut {
                triggers,
                counts,
                result,
            } => {
                self.byte(2);
                self.number((*triggers).into());
                self.counts(*counts);
                self.result(*result);
            }
            TurnStep::Uncounted => self.byte(3),
        }
        let unread = &turn.unread[..turn.unread.len().min(MOST_UNREAD)];
        self.number(unread.len() as u64);
        for trigger in unread {
            self.text(&trigger.name);
            self.text(&trigger.reason);
            self.text(&trigger.message);
        }
        self.number(turn.launched.into());
        self.optional_number(turn.round);
        self.text(&turn.uid);
        self.byte(turn.trouble.is_some().into());
        if let Some(trouble) = &turn.trouble {
            self.text(&trouble.reason);
            self.text(&trouble.message);
        }
        self.byte(turn.next_look.is_some().into());
        if let Some(next) = turn.next_look {
            self.time(next);
        }
    }

    pub(super) fn policy(&mut self, policy: &Policy) {
        match policy.strategy {
            Strategy::Default => self.byte(0),
            Strategy::Custom {
                deduction,
                running_percentage,
            } => {
                self.byte(1);
                self.signed(deduction);
                self.float(running_percentage);
            }
            Strategy::Accurate => self.byte(2),
            Strategy::Eager => self.byte(3),
        }
        self.byte(match policy.calculation {
            Calculation::Max => 0,
            Calculation::Min => 1,
            Calculation::Avg => 2,
            Calculation::Sum => 3,
        });
        self.bounds(policy.bounds);
    }

    pub(super) fn bounds(&mut self, bounds: Bounds) {
        self.optional_number(bounds.min.map(u64::from));
        self.optional_number(bounds.max.map(u64::from));
    }

    pub(super) fn measure(&mut self, measure: &Measure) {
        self.text(&measure.label);
        let (waiting, activation) = (measure.reading.waiting(), measure.reading.activation());
        self.float(waiting);
        let is_same = activation.to_bits() == waiting.to_bits();
        self.byte(is_same.into());
        if !is_same {
            self.float(activation);
        }
        self.float(measure.target);
        self.float(measure.activation);
    }

    pub(super) fn counts(&mut self, counts: JobCounts) {
        self.number(counts.unfinished.into());
        self.number(counts.pending.into());
    }

    pub(super) fn result(&mut self, result: DecisionResult) {
        self.byte(result.active.into());
        for number in [result.keda, result.launch, result.held_back] {
            self.number(number.into());
        }
    }

    pub(super) fn answer(&mut self, answer: &AnswerRecord) {
        let (tag, due) = match answer.origin {
            AnswerOrigin::Webhook => (0, None),
            AnswerOrigin::Due(at) => (1, Some(at)),
            AnswerOrigin::Backfill(at) => (2, Some(at)),
            AnswerOrigin::Trigger(at) => (3, Some(at)),
        };
        self.byte(tag);
        if let Some(due) = due {
            self.time(due);
        }
        self.own_text(answer.event.as_deref(), LONGEST_ID);
        self.text(&answer.result);
        self.number(answer.status.into());
        self.own_text(answer.job.as_deref(), LONGEST_NAME);
        self.text(&answer.message);
        let took = u64::try_from(answer.took.as_millis()).unwrap_or(u64::MAX);
        self.number(took);
    }
}

/// The number of a float that is whole, not negative (nor the zero with a sign), and small enough to be exact.
fn whole(float: f64) -> Option<u64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if float.is_sign_negative() || float.fract() != 0.0 || float >= EXACT {
        return None;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "whole, not negative and below 2^53"
    )]
    let whole = float as u64;
    Some(whole)
}
