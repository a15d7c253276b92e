//! What brokers answer of offsets: a lag that is not below 0, and not above what the partitions can keep busy.
//!
//! Input: nine bytes of rules, then 26 for each partition: its number, which offsets are there, and three of them.
#![no_main]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use slipway::resource::kafka::{LagRules, OffsetReset};
use slipway::source::kafka::lag::{self, Committed, Oddity, Offsets, Previous};

const RULES: usize = 9;
const PARTITION: usize = 26;

fuzz_target!(|input: &[u8]| {
    let Some((rules, partitions)) = input.split_at_checked(RULES) else {
        return;
    };
    let rules = rules_of(rules);
    let number = |bytes: &[u8]| i64::from_le_bytes(bytes.try_into().expect("eight bytes"));
    let mut offsets = BTreeMap::new();
    for bytes in partitions.chunks_exact(PARTITION) {
        let there = |bit: u8| bytes[1] & bit != 0;
        let committed = match bytes[1] & 3 {
            0 => Committed::Never,
            1 => Committed::Unanswered,
            // A client that is told less than 0 takes it for none.
            _ => Committed::At(number(&bytes[2..10]).max(0)),
        };
        let of_partition = Offsets {
            committed,
            latest: there(4).then(|| number(&bytes[10..18])),
            earliest: there(8).then(|| number(&bytes[18..26])),
        };
        offsets.insert(("orders".to_owned(), i32::from(bytes[0])), of_partition);
    }
    let _ = Oddity::of(&offsets);
    let mut previous = Previous::default();
    let now = Instant::now();
    for poll in 0..2 {
        let Ok(lag) = lag::total(
            &offsets,
            &mut previous,
            now + Duration::from_mins(poll),
            &rules,
        ) else {
            return;
        };
        assert!(lag.scaling >= 0 && lag.activation >= 0, "{lag:?}");
        let reading = slipway::source::kafka::reading(lag);
        assert!(reading.waiting() >= 0.0);
    }
});

fn rules_of(bytes: &[u8]) -> LagRules {
    let is = |bit: u8| bytes[8] & bit != 0;
    LagRules {
        lag_threshold: i64::from_le_bytes(bytes[..8].try_into().expect("eight bytes"))
            .saturating_abs()
            .max(1),
        offset_reset: if is(1) {
            OffsetReset::Earliest
        } else if is(2) {
            OffsetReset::Neither
        } else {
            OffsetReset::Latest
        },
        allow_idle_consumers: is(4),
        scale_to_zero_on_invalid_offset: is(8),
        exclude_persistent_lag: is(16).then_some(Duration::from_secs(30)),
        limit_to_partitions_with_lag: is(32),
        ensure_even_distribution: is(64),
        missing_commit_is_zero: is(128),
    }
}
