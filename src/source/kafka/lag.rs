//! From offsets to a backlog: KEDA's rules for a consumer group's lag.
//!
//! Pure. Fetching the offsets, and refusing an answer that is not complete, is
//! left to `client`. Source: KEDA's `kafka_scaler.go` (`getLagForPartition`,
//! `getTotalLag`), pinned by the vectors `kafka_lag` and `kafka_lag_grid`.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use crate::resource::kafka::{LagRules, OffsetReset};

/// A topic and a partition of it.
pub type Partition = (String, i32);

/// What one poll found out about one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offsets {
    /// Where the group is.
    pub committed: Committed,
    /// The offset that the next message will get. None: the answer lacked it.
    pub latest: Option<i64>,
    /// The offset of the oldest message that the log still has. None: not asked for, or not to be had.
    pub earliest: Option<i64>,
}

/// A group's place in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Committed {
    /// The offset of the next message that the group will read, 0 and up.
    At(i64),
    /// The group has not committed here.
    Never,
    /// The answer says nothing about this partition.
    Unanswered,
}

/// A lag in messages, 0 and up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lag {
    /// What is scaled on: without persistent lag if so asked, capped by partitions.
    pub scaling: i64,
    /// What activation looks at: the raw sum.
    pub activation: i64,
}

/// What a poll shows that its number does not say: somebody should look at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Oddity {
    /// The group has no committed offset where it is looked for.
    NothingCommitted,
    /// A committed offset is past the end of its partition.
    PastTheEnd,
}

impl Oddity {
    /// What is odd about a poll, if anything is.
    pub fn of(partitions: &BTreeMap<Partition, Offsets>) -> Option<Self> {
        let mut placed = partitions
            .values()
            .filter_map(|offsets| match offsets.committed {
                Committed::At(committed) => Some((committed, offsets.latest)),
                Committed::Never | Committed::Unanswered => None,
            })
            .peekable();
        if placed.peek().is_none() {
            return Some(Self::NothingCommitted);
        }
        let is_past = |(committed, latest): (i64, Option<i64>)| {
            latest.is_some_and(|latest| committed > latest)
        };
        placed.any(is_past).then_some(Self::PastTheEnd)
    }

    /// What to do about it.
    pub fn advice(self) -> &'static str {
        match self {
            Self::NothingCommitted => {
                "the group has committed no offset there: is `consumerGroup` right?"
            }
            Self::PastTheEnd => {
                "the group's committed offset is past the end of a partition, which counts as no lag: was the topic made anew?"
            }
        }
    }
}

/// How long before the end of its time a commit counts as one that stood still: polls are never exactly an interval apart.
const EARLY: Duration = Duration::from_secs(1);

/// Where the committed offsets stand, and since which poll, for `excludePersistentLag`.
#[derive(Debug, Default)]
pub struct Previous(HashMap<Partition, (i64, Instant)>);

impl Previous {
    /// Notes an offset, and says whether it was there, unmoved, for all of `window` before `at`. KEDA looks at the last
    /// two polls, which are a `pollingInterval` apart; here anybody may poll in between.
    fn stood_still(
        &mut self,
        partition: &Partition,
        committed: i64,
        at: Instant,
        window: Duration,
    ) -> bool {
        let window = window.saturating_sub(EARLY.min(window / 10));
        match self.0.get_mut(partition) {
            Some((before, since)) if *before == committed => {
                at.saturating_duration_since(*since) >= window
            }
            _ => {
                self.0.insert(partition.clone(), (committed, at));
                false
            }
        }
    }
}

/// The answer lacks a committed offset that the rules need.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no answer about the committed offset of {}-{}", .0.0, .0.1)]
pub struct Unanswered(pub Partition);

/// The group's lag over all partitions of the poll at that moment.
///
/// A partition without a latest offset is not counted: neither its lag, nor
/// towards the number of consumers that can work at once.
///
/// # Errors
///
/// [`Unanswered`] when a committed offset is missing and the rules do not read that as 0.
pub fn total(
    partitions: &BTreeMap<Partition, Offsets>,
    previous: &mut Previous,
    at: Instant,
    rules: &LagRules,
) -> Result<Lag, Unanswered> {
    let mut sum = Lag::default();
    let mut seen = 0_i64;
    let mut with_lag = 0_i64;
    for (partition, offsets) in partitions {
        if offsets.latest.is_none() {
            continue;
        }
        let lag = of_partition(partition, *offsets, previous, at, rules)?;
        sum.scaling = sum.scaling.saturating_add(lag.scaling);
        sum.activation = sum.activation.saturating_add(lag.activation);
        seen += 1;
        with_lag += i64::from(lag.scaling > 0);
    }
    // A deleted topic is forgotten, so that the memory follows the cluster.
    previous
        .0
        .retain(|partition, _| partitions.contains_key(partition));
    sum.scaling = capped(sum.scaling, seen, with_lag, rules);
    Ok(sum)
}

/// The lag of one partition at that moment.
///
/// # Errors
///
/// [`Unanswered`] when the committed offset is missing and the rules do not read that as 0.
pub fn of_partition(
    partition: &Partition,
    offsets: Offsets,
    previous: &mut Previous,
    at: Instant,
    rules: &LagRules,
) -> Result<Lag, Unanswered> {
    let both = |lag| Lag {
        scaling: lag,
        activation: lag,
    };
    let committed = match offsets.committed {
        Committed::At(offset) => Some(offset),
        Committed::Never => None,
        Committed::Unanswered if rules.missing_commit_is_zero => Some(0),
        Committed::Unanswered => return Err(Unanswered(partition.clone())),
    };
    if committed.is_none() {
        // These need no latest offset, and come first as they do in KEDA.
        match (rules.offset_reset, rules.scale_to_zero_on_invalid_offset) {
            (OffsetReset::Latest | OffsetReset::Earliest, true) => return Ok(both(0)),
            // One Job, so that somebody commits a first offset.
            (OffsetReset::Latest, false) => return Ok(both(1)),
            (OffsetReset::Earliest, false) | (OffsetReset::Neither, _) => {}
        }
    }
    let Some(latest) = offsets.latest else {
        return Ok(both(0));
    };
    if committed.is_none() && rules.offset_reset == OffsetReset::Earliest {
        let retained = latest.saturating_sub(offsets.earliest.unwrap_or(0));
        return Ok(both(retained.max(0)));
    }
    // KEDA's number for "no commit" is -1, and with neither policy it goes through the subtraction.
    let committed = committed.unwrap_or(-1);
    // KEDA lets a lag below 0, as a topic that was made anew has it, hide what waits in other partitions.
    let lag = latest.saturating_sub(committed).max(0);
    let stood_still = rules
        .exclude_persistent_lag
        .is_some_and(|window| previous.stood_still(partition, committed, at, window));
    if stood_still {
        return Ok(Lag {
            scaling: 0,
            activation: lag,
        });
    }
    Ok(both(lag))
}

/// More consumers than partitions would idle: the lag is cut to what the partitions can keep busy.
fn capped(lag: i64, partitions: i64, with_lag: i64, rules: &LagRules) -> i64 {
    if rules.allow_idle_consumers
        && !rules.limit_to_partitions_with_lag
        && !rules.ensure_even_distribution
    {
        return lag;
    }
    let threshold = rules.lag_threshold.max(1);
    let lag = if rules.ensure_even_distribution {
        next_factor(lag, partitions, threshold).saturating_mul(threshold)
    } else {
        lag
    };
    let bound = if rules.limit_to_partitions_with_lag {
        with_lag
    } else {
        partitions
    };
    // The division is KEDA's, of integers: a lag that needs a part of one more consumer is not cut.
    if lag / threshold > bound {
        bound.saturating_mul(threshold)
    } else {
        lag
    }
}

/// The smallest divisor of the partition count whose consumers can take the lag, else the partition count.
pub fn next_factor(lag: i64, partitions: i64, threshold: i64) -> i64 {
    factors(partitions)
        .into_iter()
        .find(|factor| factor.saturating_mul(threshold) >= lag)
        .unwrap_or(partitions)
}

/// All divisors, smallest first; none below 1.
pub fn factors(number: i64) -> Vec<i64> {
    let mut small = Vec::new();
    let mut large = Vec::new();
    let mut candidate = 1;
    while candidate <= number / candidate {
        if number % candidate == 0 {
            small.push(candidate);
            if candidate != number / candidate {
                large.push(number / candidate);
            }
        }
        candidate += 1;
    }
    small.extend(large.into_iter().rev());
    small
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: LagRules = LagRules {
        lag_threshold: 10,
        offset_reset: OffsetReset::Latest,
        allow_idle_consumers: false,
        scale_to_zero_on_invalid_offset: false,
        exclude_persistent_lag: None,
        limit_to_partitions_with_lag: false,
        ensure_even_distribution: false,
        missing_commit_is_zero: false,
    };

    fn one(committed: Committed, latest: i64) -> BTreeMap<Partition, Offsets> {
        let offsets = Offsets {
            committed,
            latest: Some(latest),
            earliest: None,
        };
        BTreeMap::from([(("orders".to_owned(), 0), offsets)])
    }

    fn check(committed: Committed, latest: i64, rules: &LagRules) -> Option<i64> {
        let mut previous = Previous::default();
        total(
            &one(committed, latest),
            &mut previous,
            Instant::now(),
            rules,
        )
        .ok()
        .map(|lag| lag.activation)
    }

    #[test]
    fn an_unanswered_commit_is_an_error_unless_it_is_read_as_zero() {
        assert_eq!(check(Committed::Unanswered, 7, &RULES), None);
        let whole_log = LagRules {
            missing_commit_is_zero: true,
            ..RULES
        };
        assert_eq!(check(Committed::Unanswered, 7, &whole_log), Some(7));
    }

    #[test]
    fn neither_policy_counts_one_more_than_the_log() {
        let neither = LagRules {
            offset_reset: OffsetReset::Neither,
            ..RULES
        };
        assert_eq!(check(Committed::Never, 7, &neither), Some(8));
    }

    #[test]
    fn what_a_number_does_not_say_is_told() {
        let check = |committed, latest| Oddity::of(&one(committed, latest));
        assert_eq!(check(Committed::At(3), 3), None);
        assert_eq!(check(Committed::At(4), 3), Some(Oddity::PastTheEnd));
        assert_eq!(check(Committed::Never, 3), Some(Oddity::NothingCommitted));
        let nothing = BTreeMap::new();
        assert_eq!(Oddity::of(&nothing), Some(Oddity::NothingCommitted));
    }

    #[test]
    fn a_deleted_topic_is_forgotten() {
        let rules = LagRules {
            exclude_persistent_lag: Some(Duration::from_secs(30)),
            ..RULES
        };
        let (mut previous, now) = (Previous::default(), Instant::now());
        total(&one(Committed::At(3), 7), &mut previous, now, &rules).unwrap();
        assert_eq!(previous.0.len(), 1);
        total(&BTreeMap::new(), &mut previous, now, &rules).unwrap();
        assert_eq!(previous.0.len(), 0);
    }

    /// The seconds at which the lag was left out, of polls every `poll` seconds against a commit every `commit` seconds.
    fn left_out(interval: u64, poll: usize, commit: u64) -> Vec<u64> {
        let rules = LagRules {
            exclude_persistent_lag: Some(Duration::from_secs(interval)),
            allow_idle_consumers: true,
            ..RULES
        };
        let (mut previous, start) = (Previous::default(), Instant::now());
        let is_left_out = |second: &u64| {
            let committed = Committed::At(i64::try_from(second / commit).unwrap());
            let at = start + Duration::from_secs(*second);
            let lag = total(&one(committed, 1_000), &mut previous, at, &rules).unwrap();
            assert!(lag.activation > 0);
            lag.scaling == 0
        };
        (0..200).step_by(poll).filter(is_left_out).collect()
    }

    #[test]
    fn a_consumer_that_moves_within_the_interval_is_never_left_out_however_often_it_is_asked() {
        for (interval, poll, commit) in [(30, 5, 6), (30, 1, 28), (10, 1, 8), (30, 30, 29)] {
            let seconds = left_out(interval, poll, commit);
            assert!(
                seconds.is_empty(),
                "{interval} {poll} {commit}: {seconds:?}"
            );
        }
    }

    #[test]
    fn one_that_stands_still_is_left_out_after_the_interval() {
        let forever = 1_000;
        for (interval, poll, first) in [(30, 5, 30), (30, 30, 30), (10, 3, 9), (1, 1, 1)] {
            let seconds = left_out(interval, poll, forever);
            assert_eq!(seconds.first(), Some(&first), "{interval} {poll}");
            assert_eq!(seconds.last(), Some(&(199 - 199 % poll as u64)));
        }
    }
}
