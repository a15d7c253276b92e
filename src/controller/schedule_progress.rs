//! Since when this process knows that a schedule has passed a due time: the Jobs of a schedule stay for a while after that.
//! And what keeps it from going on.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::event_jobs::outcomes::Trouble;

/// How far the schedule of one EventJob is known to have come, since when, and why it does not go on.
#[derive(Debug, Default)]
pub(super) struct ScheduleProgress {
    marks: Mutex<VecDeque<(Timestamp, Instant)>>,
    trouble: Mutex<Option<Box<Trouble>>>,
}

impl ScheduleProgress {
    /// Everything up to this due time is known to be written down. `grace`: the longest time that anybody asks about.
    pub(super) fn passed(&self, up_to: Timestamp, grace: Duration, now: Instant) {
        let mut marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        if marks.back().is_some_and(|(last, _)| *last >= up_to) {
            return;
        }
        marks.push_back((up_to, now));
        // Of those that are old enough the newest says all.
        let is_old = |mark: &(Timestamp, Instant)| now.duration_since(mark.1) >= grace;
        while marks.get(1).is_some_and(is_old) {
            marks.pop_front();
        }
    }

    /// For how long it has been known; `None` when it is not.
    pub(super) fn known_for(&self, due: Timestamp, now: Instant) -> Option<Duration> {
        let marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, since) = marks.iter().find(|(up_to, _)| *up_to >= due)?;
        Some(now.duration_since(*since))
    }

    /// No due time of it becomes a Job, for this reason; `None`: nothing is in the way.
    pub(super) fn held_up(&self, why: Option<Trouble>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = why.map(Box::new);
    }

    /// Why no due time of it becomes a Job.
    pub(super) fn trouble(&self) -> Option<Trouble> {
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        trouble.as_deref().cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_due_time_is_known_since_the_first_mark_at_or_past_it() {
        let passed = ScheduleProgress::default();
        let begin = Instant::now();
        let grace = Duration::from_mins(10);
        for minute in 0..100_u32 {
            let now = begin + Duration::from_mins(1) * minute;
            passed.passed(at(i64::from(minute) * 60), grace, now);
            passed.passed(at(0), grace, now);
        }
        let now = begin + Duration::from_mins(99);
        let known = |second| passed.known_for(at(second), now);
        assert_eq!(known(99 * 60), Some(Duration::ZERO));
        assert_eq!(known(98 * 60 + 1), Some(Duration::ZERO));
        assert_eq!(known(95 * 60), Some(Duration::from_mins(4)));
        assert!(known(0).unwrap() >= grace);
        assert_eq!(known(99 * 60 + 1), None);
        assert!(passed.marks.lock().unwrap().len() <= 12);
    }
}
