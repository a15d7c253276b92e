//! How many Jobs at once, how fast, for how long an event is remembered, and how many finished Jobs stay.

use std::num::NonZeroU32;
use std::time::Duration;

use super::origin::Origins;
use super::{Concurrency, GatedPolicy, RateLimit};
use crate::resource::HistoryLimits;
use crate::resource::fields::Fields;
use crate::resource::metadata::text::go_duration;

/// `concurrency.maxWaiting` when none is written. Source: DESIGN §2.3.
const MAX_WAITING: u32 = 1000;
/// More than this many suspended Jobs are no queue but a flood: each turn of the admission loop looks at all of them.
const MOST_WAITING: i32 = 100_000;
/// One hour more than EventBridge retries by default.
const DEDUPLICATE_FOR: Duration = Duration::from_hours(25);
const SHORTEST_MEMORY: Duration = Duration::from_secs(1);
/// One year: a key is 16 bytes, and there is room for a million of them in a namespace.
const LONGEST_MEMORY: Duration = Duration::from_hours(8760);
/// Finished Jobs kept of each kind when neither a limit nor a TTL is written.
const HISTORY: HistoryLimits = HistoryLimits {
    successful: 100,
    failed: 100,
};
/// The same of a schedule. Source: CronJob, `batch/v1`.
const SCHEDULE_HISTORY: HistoryLimits = HistoryLimits {
    successful: 3,
    failed: 1,
};

/// `concurrencyPolicy` with `concurrency`; `None` when they are wrong.
pub(super) fn concurrency(spec: &Fields<'_>, origins: &Origins) -> Option<Concurrency> {
    let policies = ["Allow", "Forbid", "Replace", "Queue"];
    let written = spec.choice("concurrencyPolicy", &policies);
    let is_wrong = spec.get("concurrencyPolicy").is_some() && written.is_none();
    let bounds = spec.fields("concurrency").map(|fields| {
        let limit = fields.count("limit", 1).unwrap_or(1);
        let key_from = fields.fields("keyFrom").map(|key| {
            let origin = origins.one(&key, "path and header");
            key.refuse_others();
            origin
        });
        let max_waiting = fields.integer("maxWaiting", 1..=MOST_WAITING);
        fields.refuse_others();
        let max_waiting = max_waiting.and_then(|number| u32::try_from(number).ok());
        (limit, key_from.flatten(), max_waiting)
    });
    if is_wrong {
        return None;
    }
    let policy = match written {
        Some("Forbid") => GatedPolicy::Forbid,
        Some("Replace") => GatedPolicy::Replace,
        Some("Queue") => GatedPolicy::Queue,
        _ => {
            if spec.get("concurrency").is_some() {
                spec.fault(
                    "concurrency",
                    "has no meaning with concurrencyPolicy: Allow; write Forbid, Replace or Queue, or leave it out",
                );
            }
            return Some(Concurrency::Allow);
        }
    };
    let (limit, key_from, max_waiting) = bounds.unwrap_or((1, None, None));
    Some(Concurrency::Gated {
        policy,
        limit: NonZeroU32::new(limit)?,
        key_from,
        max_waiting: max_waiting.unwrap_or(MAX_WAITING),
    })
}

pub(super) fn rate_limit(spec: &Fields<'_>) -> Option<RateLimit> {
    let fields = spec.fields("rateLimit")?;
    fields.required("requests");
    let requests = fields.count("requests", 1);
    fields.required_text("unit");
    let unit = fields.choice("unit", &["Second", "Minute", "Hour"]);
    let burst = fields.count("burst", 1);
    fields.refuse_others();
    let requests = NonZeroU32::new(requests?)?;
    Some(RateLimit {
        requests,
        unit: match unit? {
            "Second" => Duration::from_secs(1),
            "Minute" => Duration::from_mins(1),
            _ => Duration::from_hours(1),
        },
        burst: burst.and_then(NonZeroU32::new).unwrap_or(requests),
    })
}

pub(super) fn deduplicate_for(spec: &Fields<'_>) -> Duration {
    let Some(text) = spec.text("deduplicateFor") else {
        return DEDUPLICATE_FOR;
    };
    let duration = go_duration(text)
        .map(Duration::from_nanos)
        .filter(|duration| (SHORTEST_MEMORY..=LONGEST_MEMORY).contains(duration));
    if duration.is_none() {
        spec.fault(
            "deduplicateFor",
            "must be a duration such as 25h or 90m, from 1s to 8760h",
        );
    }
    duration.unwrap_or(DEDUPLICATE_FOR)
}

/// How many finished Jobs stay; `None` when a TTL is written and no limit is.
pub(super) fn history(spec: &Fields<'_>, has_ttl: bool, is_cron: bool) -> Option<HistoryLimits> {
    let successful = spec.count("successfulJobsHistoryLimit", 0);
    let failed = spec.count("failedJobsHistoryLimit", 0);
    if has_ttl && successful.is_none() && failed.is_none() {
        return None;
    }
    let default = if is_cron { SCHEDULE_HISTORY } else { HISTORY };
    Some(HistoryLimits {
        successful: successful.unwrap_or(default.successful),
        failed: failed.unwrap_or(default.failed),
    })
}
