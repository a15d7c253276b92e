//! Kafka: how far a consumer group is behind, as one trigger counts it.
//!
//! Triggers on the same group and topics share a poll, which has the offsets of
//! every partition; each applies its own rules (`lag`) and remembers its own last
//! poll. Talking to brokers is `client`'s. All groups of a cluster share one client.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::time::Instant;
use tracing::warn;

use crate::resource::kafka::{Group, LagRules, OffsetReset, Topics};
use crate::scaling::Reading;
use crate::source::metrics::Meter;
use crate::source::shared::SharedCall;
use crate::source::{Error, Source, Taken};

pub(super) mod client;
pub(super) mod config;
mod connection;
mod context;
mod failure;
pub mod lag;
mod native;
mod token;

use client::KafkaClient;
use lag::{Lag, Oddity, Offsets, Partition, Previous};

/// The label of this kind of source in metrics: KEDA's name of the trigger.
pub const KIND: &str = "kafka";

/// A poll takes no longer than this.
const DEADLINE: Duration = Duration::from_secs(10);

/// What a poll looks at, for error texts: the topics, or the group.
pub fn source_name(group: &Group) -> String {
    let name = &group.group;
    match &group.topics {
        Topics::Named(topics) => format!("Kafka topic {} for group {name}", topics.join(",")),
        Topics::OfGroup => format!("Kafka group {name} on its topics"),
        Topics::OfCluster => format!("Kafka group {name} on all topics"),
    }
}

/// A lag as scaling sees it: never below 0.
pub fn reading(lag: Lag) -> Reading {
    #[expect(
        clippy::cast_precision_loss,
        reason = "exact below 2^53; a longer log is as good as that long"
    )]
    Reading::with_activation(lag.scaling as f64, lag.activation as f64)
}

/// The partitions that a trigger looks at, of those that exist.
///
/// `limits` hold for topics that were asked for, not for those that a group happens to have: as in KEDA.
pub fn partitions_of<'a>(
    existing: impl Iterator<Item = &'a Partition>,
    topics: &Topics,
    limits: Option<&[i32]>,
) -> impl Iterator<Item = &'a Partition> {
    let limits = limits.filter(|_| *topics != Topics::OfGroup);
    existing.filter(move |(_, partition)| limits.is_none_or(|limits| limits.contains(partition)))
}

/// What a poll looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted {
    source_name: String,
    group: String,
    topics: Topics,
    limits: Option<Vec<i32>>,
    /// Where partitions begin that have no committed offset.
    needs_earliest: bool,
}

impl Wanted {
    fn of(group: &Group) -> Self {
        Self {
            source_name: source_name(group),
            group: group.group.clone(),
            topics: group.topics.clone(),
            limits: group.partitions.clone(),
            needs_earliest: needs_earliest(&group.rules),
        }
    }
}

fn needs_earliest(rules: &LagRules) -> bool {
    rules.offset_reset == OffsetReset::Earliest && !rules.scale_to_zero_on_invalid_offset
}

/// The offsets of one group on some topics, shared by all triggers that look at them.
pub(super) struct OffsetsPoll {
    wanted: Wanted,
    client: Arc<KafkaClient>,
    shared: SharedCall<BTreeMap<Partition, Offsets>>,
}

impl OffsetsPoll {
    pub(super) fn new(group: &Group, client: Arc<KafkaClient>, meter: Meter) -> Self {
        let wanted = Wanted::of(group);
        let request = wanted.clone();
        let caller = Arc::clone(&client);
        let shared = SharedCall::new(wanted.source_name.clone(), DEADLINE, meter, move || {
            Arc::clone(&caller).offsets(request.clone()).boxed()
        });
        Self {
            wanted,
            client,
            shared,
        }
    }

    /// Whether this is the poll of these topics of the group through that client.
    pub(super) fn is(&self, group: &Group, client: &Arc<KafkaClient>) -> bool {
        self.wanted.group == group.group
            && Arc::ptr_eq(&self.client, client)
            && self.wanted.topics == group.topics
            && self.wanted.limits == group.partitions
            && self.wanted.needs_earliest == needs_earliest(&group.rules)
    }
}

/// One trigger's view of a group.
pub(super) struct GroupLag {
    poll: Arc<OffsetsPoll>,
    rules: LagRules,
    memory: Mutex<LagMemory>,
}

#[derive(Default)]
struct LagMemory {
    previous: Previous,
    last: Option<(Instant, Reading)>,
    oddity: Option<Oddity>,
}

impl GroupLag {
    pub(super) fn new(poll: Arc<OffsetsPoll>, rules: LagRules) -> Self {
        Self {
            poll,
            rules,
            memory: Mutex::default(),
        }
    }

    /// Counts a poll once: asked again about the same one, the reading is the same, whatever the memory says by then.
    fn count(
        &self,
        partitions: &BTreeMap<Partition, Offsets>,
        at: Instant,
    ) -> Result<Taken, Error> {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((last_at, reading)) = memory.last
            && at <= last_at
        {
            return Ok(self.taken(reading, last_at, memory.oddity));
        }
        let lag = lag::total(partitions, &mut memory.previous, at.into_std(), &self.rules)
            .map_err(|missing| Error::BadAnswer {
                source_name: self.poll.wanted.source_name.clone(),
                detail: missing.to_string(),
            })?;
        let oddity = Oddity::of(partitions);
        let reading = reading(lag);
        let taken = self.taken(reading, at, oddity);
        if oddity != memory.oddity
            && let Some(warning) = &taken.warning
        {
            warn!("{warning}");
        }
        memory.oddity = oddity;
        memory.last = Some((at, reading));
        Ok(taken)
    }

    fn taken(&self, reading: Reading, at: Instant, oddity: Option<Oddity>) -> Taken {
        let source_name = &self.poll.wanted.source_name;
        Taken {
            reading,
            at: at.into_std(),
            terms: None,
            warning: oddity.map(|oddity| format!("{source_name}: {}", oddity.advice())),
        }
    }
}

impl Source for GroupLag {
    fn read(&self, freshness: Duration) -> BoxFuture<'_, Result<Taken, Error>> {
        async move {
            let (partitions, at) = self.poll.shared.ask(freshness).await?;
            self.count(&partitions, at)
        }
        .boxed()
    }
}
