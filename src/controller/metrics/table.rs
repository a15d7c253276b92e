//! What is shown of all objects, in one table with one entry for each: there are thousands.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeGaugeValue, EncodeLabelSet, NoLabelSet,
};
use prometheus_client::metrics::MetricType;

use super::jobs::OfObject;
use super::success::SuccessTimes;

/// The table. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct SeriesTable(Arc<Mutex<HashMap<OfObject, Box<SeriesOfObject>>>>);

/// What is shown of one object. `None`: it is not known, or means nothing for this object.
#[derive(Debug, Default, PartialEq)]
pub(super) struct SeriesOfObject {
    pub(super) running: Option<i64>,
    pub(super) pending: Option<i64>,
    pub(super) waiting: Option<i64>,
    /// Whether the last decision saw work.
    pub(super) active: Option<i64>,
    /// Of each trigger: units of work waiting; `None` for one that cannot be read.
    pub(super) triggers: Box<[(String, Option<f64>)]>,
    pub(super) success: SuccessTimes,
    /// The names of ended Jobs that are still there, each counted once; `None` before the first look.
    pub(super) ended: Option<BTreeSet<String>>,
    /// How many launches came to what.
    pub(super) launches: Vec<(&'static str, u64)>,
}

/// A gauge of Jobs: its name, what it means, where it is.
type JobGauge = (
    &'static str,
    &'static str,
    fn(&SeriesOfObject) -> Option<i64>,
);

const JOB_GAUGES: [JobGauge; 7] = [
    (
        "jobs_running",
        "Unfinished Jobs that may run, as last counted; of an EventJob shown by the replica with the Lease.",
        |of| of.running,
    ),
    (
        "jobs_pending",
        "Unfinished Jobs without a running Pod, for strategies that look at Pods.",
        |of| of.pending,
    ),
    (
        "jobs_waiting",
        "Jobs of an EventJob that wait for their turn.",
        |of| of.waiting,
    ),
    (
        "active",
        "1 while the last decision over a ScaledJob saw work, above the activation threshold.",
        |of| of.active,
    ),
    (
        "last_success_timestamp_seconds",
        "When a Job of an EventJob last succeeded; shown by the replica with the Lease.",
        |of| of.success.last.map(Timestamp::as_second),
    ),
    (
        "success_awaited_since_timestamp_seconds",
        "Since when the next success is waited for: the last one, or the creation of the EventJob, its last resumption or the last edit of its schedule, whichever was last.",
        |of| of.success.awaited_since.map(Timestamp::as_second),
    ),
    (
        "success_interval_seconds",
        "The interval from one success to the next: the annotation slipway.dev/expected-interval, else of a schedule the longer of the running interval and the one before. None while suspended.",
        |of| i64::try_from(of.success.interval?.as_secs()).ok(),
    ),
];

impl SeriesTable {
    /// Changes the entry of an object.
    pub(super) fn change(&self, object: &OfObject, change: impl FnOnce(&mut SeriesOfObject)) {
        change(self.lock().entry(object.clone()).or_default());
    }

    /// Takes back some of what is shown of an object, and its entry when nothing is left.
    pub(super) fn forget(&self, object: &OfObject, change: impl FnOnce(&mut SeriesOfObject)) {
        if let Entry::Occupied(mut entry) = self.lock().entry(object.clone()) {
            change(entry.get_mut());
            if **entry.get() == SeriesOfObject::default() {
                entry.remove();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<OfObject, Box<SeriesOfObject>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Collector for SeriesTable {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for (name, help, count) in JOB_GAUGES {
            // Locked anew for each: whoever answers an event waits for no longer than one of them.
            let objects = self.lock();
            let series = objects.iter();
            let series = series.filter_map(|(object, of)| Some((object.clone(), count(of)?)));
            encode(&mut encoder, name, help, series)?;
        }
        self.encode_triggers(&mut encoder)?;
        self.encode_launches(&mut encoder)
    }
}

impl SeriesTable {
    fn encode_triggers(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let objects = self.lock();
        let of_triggers = || {
            objects.iter().flat_map(|(object, of)| {
                let labels = |trigger: &String| (object.clone(), [("trigger", trigger.clone())]);
                let triggers = of.triggers.iter();
                triggers.map(move |(trigger, waiting)| (labels(trigger), *waiting))
            })
        };
        // One that cannot be read has none: an old number would look like a new one.
        let read = of_triggers().filter_map(|(labels, waiting)| Some((labels, waiting?)));
        let help = "Units of work waiting, as last read; none for a trigger that cannot be read.";
        encode(encoder, "backlog", help, read)?;
        let failing = of_triggers().map(|(labels, waiting)| (labels, i64::from(waiting.is_none())));
        let help = "1 while a trigger of a ScaledJob cannot be read.";
        encode(encoder, "trigger_failing", help, failing)
    }

    fn encode_launches(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Launches, by what came of them: created; waiting, which is created and waits for its turn; duplicate, which had its Job before; or the reason why there is none.";
        let mut launches =
            encoder.encode_descriptor("launches", help, None, MetricType::Counter)?;
        for (object, of) in self.lock().iter() {
            for (result, count) in &of.launches {
                let labels = (object.clone(), [("result", *result)]);
                let mut series = launches.encode_family(&labels)?;
                series.encode_counter::<NoLabelSet, _, u64>(count, None)?;
            }
        }
        Ok(())
    }
}

/// All series of one name; none is no series at all.
fn encode(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    series: impl Iterator<Item = (impl EncodeLabelSet, impl EncodeGaugeValue)>,
) -> fmt::Result {
    let mut series = series.peekable();
    if series.peek().is_none() {
        return Ok(());
    }
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (labels, value) in series {
        family.encode_family(&labels)?.encode_gauge(&value)?;
    }
    Ok(())
}
