//! When the task of an object looks at it again: after a time, after a failure with back-off, or not before it changes.
//!
//! The words are those of client-go's work queue. There is no queue here, because every object has a task of its own.

use std::hash::{BuildHasher as _, DefaultHasher, Hash as _, Hasher as _, RandomState};
use std::time::Duration;

use tokio::time::Instant;

/// Up to so many objects begin at once.
const FEW: usize = 100;
/// Above that, so much time is taken for each: 200 objects begin in a second.
const TIME_FOR_EACH: Duration = Duration::from_millis(5);

/// The next look at an object, for one of the things that are done about it.
#[derive(Debug, Default)]
pub(super) struct Requeue {
    due: Option<Instant>,
    failures: u32,
}

impl Requeue {
    /// Looks again at this moment. What failed before has succeeded.
    pub(super) fn at(&mut self, due: Instant) {
        self.failures = 0;
        self.due = Some(due);
    }

    /// Looks again after a time, a little less, so that objects that began together do not stay together.
    pub(super) fn after(&mut self, time: Duration) {
        self.at(Instant::now() + jitter(time));
    }

    /// Looks again after a failure: after `first`, doubled with each failure in a row up to `longest`, with jitter.
    pub(super) fn back_off(&mut self, first: Duration, longest: Duration) {
        let pause = first.saturating_mul(1 << self.failures.min(9)).min(longest);
        self.failures = self.failures.saturating_add(1);
        self.due = Some(Instant::now() + jitter(pause));
    }

    /// Looks at this moment, whatever failed before.
    pub(super) fn hasten(&mut self, due: Instant) {
        self.due = Some(due);
    }

    /// Looks no more before the object changes.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    /// When the next look is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Failures in a row.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// Waits until the next look is due; for ever when there is none.
    pub(super) fn wait(&self) -> impl Future<Output = ()> + use<> {
        until(self.due)
    }
}

/// Waits until then; for ever when that is never.
#[expect(
    clippy::manual_async_fn,
    reason = "an `async fn` keeps its arguments twice, and thousands of objects wait"
)]
pub(super) fn until(due: Option<Instant>) -> impl Future<Output = ()> {
    async move {
        match due {
            Some(due) => tokio::time::sleep_until(due).await,
            None => std::future::pending().await,
        }
    }
}

/// The duration, less up to a fifth: objects that failed together do not come back together.
pub(super) fn jitter(duration: Duration) -> Duration {
    let random = RandomState::new().hash_one(0_u8) % 1000;
    duration.mul_f64(1.0 - thousandths(random) / 5.0)
}

/// How long an object of so many waits for its first look after a start or a change of leader: always the same part of a
/// window that grows with their number, up to `longest`.
pub(super) fn spread(uid: &str, objects: usize, longest: Duration) -> Duration {
    if objects <= FEW {
        return Duration::ZERO;
    }
    let objects = u32::try_from(objects).unwrap_or(u32::MAX);
    let window = TIME_FOR_EACH.saturating_mul(objects).min(longest);
    // Not the one that is different in each process.
    let mut hasher = DefaultHasher::new();
    uid.hash(&mut hasher);
    window.mul_f64(thousandths(hasher.finish() % 1000))
}

fn thousandths(number: u64) -> f64 {
    f64::from(u32::try_from(number).unwrap_or_default()) / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn pauses_double_up_to_the_longest_and_a_success_ends_them() {
        let mut requeue = Requeue::default();
        for expected in [1, 2, 4, 8, 10, 10] {
            requeue.back_off(SECOND, 10 * SECOND);
            let pause = requeue.due().unwrap() - Instant::now();
            let expected = expected * SECOND;
            assert!(
                pause <= expected && pause >= expected.mul_f64(0.79),
                "{pause:?}"
            );
        }
        requeue.at(Instant::now());
        requeue.wait().await;
        assert_eq!(requeue.failures(), 0);
    }

    #[test]
    fn first_looks_of_many_are_spread_over_a_window_and_those_of_few_are_not() {
        assert_eq!(spread("a", FEW, 60 * SECOND), Duration::ZERO);
        let delays = |longest: Duration| -> Vec<Duration> {
            let uids = (0..2000).map(|number| format!("uid-{number}"));
            uids.map(|uid| spread(&uid, 2000, longest)).collect()
        };
        let within = |delays: &[Duration], from: Duration, to: Duration| {
            delays
                .iter()
                .filter(|delay| (from..to).contains(*delay))
                .count()
        };
        let wide = delays(60 * SECOND);
        assert!(
            wide.iter().all(|delay| *delay < 10 * SECOND),
            "2,000 objects of 5 ms each"
        );
        for second in 0..10 {
            let count = within(&wide, second * SECOND, (second + 1) * SECOND);
            assert!((100..300).contains(&count), "{count} in second {second}");
        }
        assert!(delays(2 * SECOND).iter().all(|delay| *delay < 2 * SECOND));
        assert_eq!(wide, delays(60 * SECOND), "each has its own, always");
    }
}
