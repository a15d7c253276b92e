//! From offsets to a backlog: KEDA's rules for a consumer group's lag.
//!
//! Pure. Fetching the offsets, and refusing an answer that is not complete, is
//! left to `client`. Source: KEDA's `kafka_scaler.go` (`getLagForPartition`,
//! `getTotalLag`), pinned by the vectors `kafka_lag` and `kafka_lag_grid`.

use std::collections::{BTreeMap, HashMap};

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

/// A lag in messages, before it becomes a reading: may be negative when a topic was made anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lag {
    /// What is scaled on: without persistent lag if so asked, capped by partitions.
    pub scaling: i64,
    /// What activation looks at: the raw sum.
    pub activation: i64,
}

/// The committed offsets of the poll before, for `excludePersistentLag`.
#[derive(Debug, Default)]
pub struct Previous(HashMap<Partition, i64>);

/// The answer lacks a committed offset that the rules need.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no answer about the committed offset of {}-{}", .0.0, .0.1)]
pub struct Unanswered(pub Partition);

/// The group's lag over all partitions of one poll.
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
    rules: &LagRules,
) -> Result<Lag, Unanswered> {
    let mut sum = Lag::default();
    let mut seen = 0_i64;
    let mut with_lag = 0_i64;
    for (partition, offsets) in partitions {
        if offsets.latest.is_none() {
            continue;
        }
        let lag = of_partition(partition, *offsets, previous, rules)?;
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

/// The lag of one partition.
///
/// # Errors
///
/// [`Unanswered`] when the committed offset is missing and the rules do not read that as 0.
pub fn of_partition(
    partition: &Partition,
    offsets: Offsets,
    previous: &mut Previous,
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
        return Ok(both(latest));
    }
    // KEDA's number for "no commit" is -1, and with neither policy it goes through the subtraction.
    let committed = committed.unwrap_or(-1);
    let lag = latest.saturating_sub(committed);
    if rules.exclude_persistent_lag
        && previous.0.insert(partition.clone(), committed) == Some(committed)
    {
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
        exclude_persistent_lag: false,
        limit_to_partitions_with_lag: false,
        ensure_even_distribution: false,
        missing_commit_is_zero: false,
    };

    fn one(committed: Committed, latest: i64) -> BTreeMap<Partition, Offsets> {
        let offsets = Offsets {
            committed,
            latest: Some(latest),
        };
        BTreeMap::from([(("orders".to_owned(), 0), offsets)])
    }

    fn check(committed: Committed, latest: i64, rules: &LagRules) -> Option<i64> {
        total(&one(committed, latest), &mut Previous::default(), rules)
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
    fn a_deleted_topic_is_forgotten() {
        let rules = LagRules {
            exclude_persistent_lag: true,
            ..RULES
        };
        let mut previous = Previous::default();
        total(&one(Committed::At(3), 7), &mut previous, &rules).unwrap();
        assert_eq!(previous.0.len(), 1);
        total(&BTreeMap::new(), &mut previous, &rules).unwrap();
        assert_eq!(previous.0.len(), 0);
    }
}
