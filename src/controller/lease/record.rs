//! The Lease object: what is written, and how long it has been seen unchanged.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::cluster::{Answer, NoAnswer};

/// The longest duration that is believed of a record: another release may have another, a mistake must not
/// keep everybody from leading.
const LONGEST: Duration = Duration::from_mins(1);

/// A Lease object, whole, so that what others wrote into it stays.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct LeaseRecord(Value);

/// Somebody's record, and since when it has stood as it does.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct LeaseSeen {
    /// Its `resourceVersion`: what changes with every write, whatever the writer's clock says.
    version: Value,
    since: Duration,
    duration: Option<Duration>,
}

impl LeaseRecord {
    /// One that does not exist yet.
    pub(super) fn new(namespace: &str, name: &str) -> Self {
        Self(json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"namespace": namespace, "name": name},
            "spec": {},
        }))
    }

    /// What the API server answered.
    pub(super) fn parse(answer: &Answer) -> Result<Self, NoAnswer> {
        let object: Value = answer.json()?;
        if object["kind"] != "Lease" {
            return Err(NoAnswer::unclear("an answer that is no Lease"));
        }
        Ok(Self(object))
    }

    /// Whether it is yet to be created.
    pub(super) fn is_new(&self) -> bool {
        self.0["metadata"]["resourceVersion"].is_null()
    }

    /// The object.
    pub(super) fn object(self) -> Value {
        self.0
    }

    /// Who holds it; `None` when it was let go, or never held.
    pub(super) fn holder(&self) -> Option<&str> {
        self.0["spec"]["holderIdentity"]
            .as_str()
            .filter(|holder| !holder.is_empty())
    }

    /// The same, taken or renewed by `holder`.
    pub(super) fn held_by(mut self, holder: &str, now: Timestamp, duration: Duration) -> Self {
        let is_taken = self.holder() != Some(holder);
        let is_new = self.is_new();
        let spec = self.spec();
        if is_taken {
            spec["acquireTime"] = micro(now);
            let before = spec["leaseTransitions"].as_i64();
            let first = i64::from(!is_new);
            let transitions = before.map_or(first, |before| before.saturating_add(1));
            spec["leaseTransitions"] = transitions.into();
        }
        spec["holderIdentity"] = holder.into();
        spec["leaseDurationSeconds"] = duration.as_secs().into();
        let mut renewed = micro(now);
        if spec["renewTime"] == renewed {
            // A wall clock that stands still: the API server takes a write that changes nothing for none.
            let next = now.checked_add(Duration::from_micros(1));
            renewed = micro(next.unwrap_or(now));
        }
        spec["renewTime"] = renewed;
        self
    }

    /// The same, let go.
    pub(super) fn let_go(mut self, now: Timestamp) -> Self {
        let spec = self.spec();
        spec["holderIdentity"] = "".into();
        spec["renewTime"] = micro(now);
        self
    }

    fn spec(&mut self) -> &mut Value {
        let spec = &mut self.0["spec"];
        if !spec.is_object() {
            *spec = json!({});
        }
        spec
    }
}

impl LeaseSeen {
    /// The record as it was seen `now`: since when it has stood so.
    pub(super) fn again(before: Option<Self>, record: &LeaseRecord, now: Duration) -> Self {
        let version = &record.0["metadata"]["resourceVersion"];
        match before {
            Some(before) if before.version == *version => before,
            _ => Self {
                version: version.clone(),
                since: now,
                duration: record.0["spec"]["leaseDurationSeconds"]
                    .as_u64()
                    .map(|seconds| Duration::from_secs(seconds).min(LONGEST)),
            },
        }
    }

    /// Whether its holder has been silent for longer than anybody may be. `duration` is ours: the longer of the two counts.
    pub(super) fn is_over(&self, now: Duration, duration: Duration) -> bool {
        self.left(now, duration).is_zero()
    }

    /// How long until then.
    pub(super) fn left(&self, now: Duration, duration: Duration) -> Duration {
        let duration = self.duration.unwrap_or_default().max(duration);
        (self.since + duration).saturating_sub(now)
    }
}

/// A time as Kubernetes' `MicroTime` has it.
fn micro(time: Timestamp) -> Value {
    format!("{time:.6}").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: Duration = Duration::from_secs(15);

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn record(spec: &Value) -> LeaseRecord {
        LeaseRecord(json!({"metadata": {"resourceVersion": "7"}, "spec": spec}))
    }

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_record_is_over_when_it_was_seen_unchanged_for_the_longer_duration() {
        let rows = [
            (
                json!({"holderIdentity": "a", "leaseDurationSeconds": 15}),
                15,
            ),
            (json!({"holderIdentity": "a"}), 15),
            (
                json!({"holderIdentity": "a", "leaseDurationSeconds": 1}),
                15,
            ),
            (
                json!({"holderIdentity": "a", "leaseDurationSeconds": 40}),
                40,
            ),
            (
                json!({"holderIdentity": "a", "leaseDurationSeconds": 1_000_000}),
                60,
            ),
            (
                json!({"holderIdentity": "a", "leaseDurationSeconds": -1}),
                15,
            ),
            // Long ago, or in the future, by somebody's clock: nobody asks.
            (
                json!({"holderIdentity": "a", "renewTime": "1999-01-01T00:00:00.000000Z"}),
                15,
            ),
            (
                json!({"holderIdentity": "a", "renewTime": "2999-01-01T00:00:00.000000Z"}),
                15,
            ),
        ];
        for (spec, over_after) in rows {
            let record = record(&spec);
            let first = LeaseSeen::again(None, &record, seconds(100));
            let later = seconds(100 + over_after);
            let just_before = later.saturating_sub(Duration::from_millis(1));
            let again = LeaseSeen::again(Some(first.clone()), &record, just_before);
            assert_eq!(again, first);
            assert!(!again.is_over(just_before, OURS), "{record:?}");
            assert!(again.is_over(later, OURS), "{record:?}");
        }
    }

    #[test]
    fn any_write_is_a_sign_of_life_even_one_that_says_the_same() {
        let first = record(&json!({"holderIdentity": "a", "renewTime": "x"}));
        let seen = LeaseSeen::again(None, &first, seconds(0));
        let mut renewed = first;
        renewed.0["metadata"]["resourceVersion"] = "8".into();
        let again = LeaseSeen::again(Some(seen), &renewed, seconds(14));
        assert!(!again.is_over(seconds(28), OURS));
        assert!(again.is_over(seconds(29), OURS));
    }

    #[test]
    fn taking_renewing_and_letting_go_write_what_tools_expect() {
        let (noon, later) = (
            time("2026-01-01T12:00:00Z"),
            time("2026-01-01T12:00:05.25Z"),
        );
        let created = LeaseRecord::new("n", "slipway").held_by("a", noon, OURS);
        let expected = json!({
            "holderIdentity": "a", "leaseDurationSeconds": 15, "leaseTransitions": 0,
            "acquireTime": "2026-01-01T12:00:00.000000Z", "renewTime": "2026-01-01T12:00:00.000000Z",
        });
        assert_eq!(created.0["spec"], expected);
        assert!(created.is_new());
        let mut stored = created;
        stored.0["metadata"]["resourceVersion"] = "1".into();
        stored.0["metadata"]["labels"] = json!({"kept": "yes"});
        let renewed = stored.held_by("a", later, OURS);
        assert_eq!(
            renewed.0["spec"]["acquireTime"],
            "2026-01-01T12:00:00.000000Z"
        );
        assert_eq!(
            renewed.0["spec"]["renewTime"],
            "2026-01-01T12:00:05.250000Z"
        );
        let twice = renewed.clone().held_by("a", later, OURS);
        assert_ne!(twice, renewed, "no renewal is without a change");
        let free = renewed.let_go(later);
        assert_eq!(free.holder(), None);
        let taken = free.held_by("b", later, OURS);
        assert_eq!(taken.0["spec"]["leaseTransitions"], 1);
        assert_eq!(taken.holder(), Some("b"));
        assert_eq!(taken.0["metadata"]["labels"]["kept"], "yes");
    }
}
