//! A record's parts from bytes.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::read_number;
use crate::history::record::{
    AnswerOrigin, AnswerRecord, TurnRecord, TurnStep, TurnTrouble, UnreadTrigger, WakeWord,
};
use crate::scaling::{
    Bounds, Calculation, DecisionResult, JobCounts, Measure, Policy, Reading, Strategy,
};

pub(super) struct Reader<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) text: &'a dyn Fn(u32) -> Option<Arc<str>>,
}

#[expect(
    clippy::option_option,
    reason = "the outer one is none when the bytes are no record"
)]
impl Reader<'_> {
    pub(super) fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(*first)
    }

    pub(super) fn flag(&mut self) -> Option<bool> {
        match self.byte()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    pub(super) fn number(&mut self) -> Option<u64> {
        let (number, rest) = read_number(self.bytes)?;
        self.bytes = rest;
        Some(number)
    }

    pub(super) fn small(&mut self) -> Option<u32> {
        u32::try_from(self.number()?).ok()
    }

    pub(super) fn number_signed(&mut self) -> Option<i64> {
        let zigzag = self.number()?;
        let half = (zigzag >> 1).cast_signed();
        Some(if zigzag & 1 == 1 { !half } else { half })
    }

    pub(super) fn time(&mut self) -> Option<Timestamp> {
        Timestamp::from_millisecond(self.number_signed()?).ok()
    }

    pub(super) fn optional_number(&mut self) -> Option<Option<u64>> {
        Some(self.number()?.checked_sub(1))
    }

    pub(super) fn optional_small(&mut self) -> Option<Option<u32>> {
        match self.optional_number()? {
            None => Some(None),
            Some(number) => u32::try_from(number).ok().map(Some),
        }
    }

    pub(super) fn take(&mut self, count: usize) -> Option<&[u8]> {
        let (taken, rest) = self.bytes.split_at_checked(count)?;
        self.bytes = rest;
        Some(taken)
    }

    pub(super) fn float(&mut self) -> Option<f64> {
        if *self.bytes.first()? == 1 {
            self.byte()?;
            let bits = self.take(8)?.try_into().ok()?;
            return Some(f64::from_bits(u64::from_le_bytes(bits)));
        }
        let number = self.number()?;
        #[expect(
            clippy::cast_precision_loss,
            reason = "only whole numbers that a float holds exactly were written so"
        )]
        (number & 1 == 0).then_some((number >> 1) as f64)
    }

    pub(super) fn text(&mut self) -> Option<Arc<str>> {
        let number = self.small()?;
        (self.text)(number)
    }

    pub(super) fn own_text(&mut self) -> Option<Option<Arc<str>>> {
        let Some(length) = self.number()?.checked_sub(1) else {
            return Some(None);
        };
        let bytes = self.take(usize::try_from(length).ok()?)?;
        Some(Some(std::str::from_utf8(bytes).ok()?.into()))
    }

    pub(super) fn turn(&mut self) -> Option<TurnRecord> {
        let wake = usize::try_from(self.number()?).ok()?;
        let wake = *WakeWord::ALL.get(wake)?;
        let step = match self.byte()? {
            0 => {
                let policy = self.policy()?;
                let count = self.small()?;
                let mut measures = Vec::new();
                for _ in 0..count {
                    measures.push(self.measure()?);
                }
                TurnStep::Decided {
                    policy,
                    measures,
                    counts: self.counts()?,
                    result: self.result()?,
                }
            }
            1 => TurnStep::ToppedUp {
                bounds: self.bounds()?,
                held_back: self.small()?,
                counts: self.counts()?,
                result: self.result()?,
            },
            2 => TurnStep::LeftOut {
                triggers: self.small()?,
                counts: self.counts()?,
                result: self.result()?,
            },
            3 => TurnStep::Uncounted,
            _ => return None,
        };
        let count = self.small()?;
        let mut unread = Vec::new();
        for _ in 0..count {
            unread.push(UnreadTrigger {
                name: self.text()?,
                reason: self.text()?,
                message: self.text()?,
            });
        }
        Some(TurnRecord {
            wake,
            step,
            unread,
            launched: self.small()?,
            round: self.optional_number()?,
            uid: self.text()?,
            trouble: if self.flag()? {
                Some(TurnTrouble {
                    reason: self.text()?,
                    message: self.text()?,
                })
            } else {
                None
            },
            next_look: if self.flag()? {
                Some(self.time()?)
            } else {
                None
            },
        })
    }

    pub(super) fn policy(&mut self) -> Option<Policy> {
        let strategy = match self.byte()? {
            0 => Strategy::Default,
            1 => Strategy::Custom {
                deduction: self.number_signed()?,
                running_percentage: self.float()?,
            },
            2 => Strategy::Accurate,
            3 => Strategy::Eager,
            _ => return None,
        };
        let calculation = match self.byte()? {
            0 => Calculation::Max,
            1 => Calculation::Min,
            2 => Calculation::Avg,
            3 => Calculation::Sum,
            _ => return None,
        };
        Some(Policy {
            strategy,
            calculation,
            bounds: self.bounds()?,
        })
    }

    pub(super) fn bounds(&mut self) -> Option<Bounds> {
        Some(Bounds {
            min: self.optional_small()?,
            max: self.optional_small()?,
        })
    }

    pub(super) fn measure(&mut self) -> Option<Measure> {
        let label = self.text()?.to_string();
        let waiting = self.float()?;
        let activation = if self.flag()? { waiting } else { self.float()? };
        Some(Measure {
            label,
            reading: Reading::with_activation(waiting, activation),
            target: self.float()?,
            activation: self.float()?,
        })
    }

    pub(super) fn counts(&mut self) -> Option<JobCounts> {
        Some(JobCounts {
            unfinished: self.small()?,
            pending: self.small()?,
        })
    }

    pub(super) fn result(&mut self) -> Option<DecisionResult> {
        Some(DecisionResult {
            active: self.flag()?,
            keda: self.small()?,
            launch: self.small()?,
            held_back: self.small()?,
        })
    }

    pub(super) fn answer(&mut self) -> Option<AnswerRecord> {
        let origin = match self.byte()? {
            0 => AnswerOrigin::Webhook,
            1 => AnswerOrigin::Due(self.time()?),
            2 => AnswerOrigin::Backfill(self.time()?),
            3 => AnswerOrigin::Trigger(self.time()?),
            _ => return None,
        };
        Some(AnswerRecord {
            origin,
            event: self.own_text()?,
            result: self.text()?,
            status: u16::try_from(self.number()?).ok()?,
            job: self.own_text()?,
            message: self.text()?,
            took: Duration::from_millis(self.number()?),
        })
    }
}
