//! One client of librdkafka, and what is asked of it in one poll.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::{Metadata, MetadataPartition, MetadataTopic};
use rdkafka::{Offset, TopicPartitionList};

use super::config::{describe, native};
use super::context::Context;
use super::failure::BrokerFailure;
use super::lag::{Committed, Offsets, Partition};
use super::native::OffsetsClient;
use super::{Wanted, partitions_of};
use crate::resource::kafka::{KafkaCluster, Topics};
use crate::source::Error;

/// After this a call without an answer is looked at: has anybody refused us meanwhile? Each look is twice as far off as the one before.
const FIRST_LOOK: Duration = Duration::from_millis(250);

/// librdkafka's client, for every group of a cluster.
pub(super) struct BrokerConnection {
    client: OffsetsClient,
    /// Somebody answered that a group is looked after elsewhere, and librdkafka does not forget where it was; or a
    /// group's offsets did not come in time, see [`OffsetsClient::committed`].
    is_stale: AtomicBool,
}

/// How one step of a poll failed.
enum PollFailure {
    /// librdkafka says so; the context may know more.
    Kafka(KafkaError),
    /// We say so.
    Known(Error),
}

impl From<KafkaError> for PollFailure {
    fn from(error: KafkaError) -> Self {
        Self::Kafka(error)
    }
}

impl BrokerConnection {
    /// A client for a cluster, with nothing sent yet.
    ///
    /// `group` is one of those it will be asked about. librdkafka crashes on a coordinator that has moved when the
    /// client has no group of its own, so this one becomes it; it is never joined.
    pub(super) fn open(
        cluster: &KafkaCluster,
        group: &str,
        context: Context,
        source_name: &str,
    ) -> Result<Self, Error> {
        let client = OffsetsClient::open(&native(cluster, group), context).map_err(|error| {
            Error::Invalid {
                source_name: source_name.to_owned(),
                detail: describe(&error),
            }
        })?;
        Ok(Self {
            client,
            is_stale: AtomicBool::new(false),
        })
    }

    /// The offsets of every partition wanted, complete or not at all. Blocks until `until` at most.
    pub(super) fn offsets(
        &self,
        wanted: &Wanted,
        until: Instant,
    ) -> Result<BTreeMap<Partition, Offsets>, Error> {
        let began = Instant::now();
        let context = self.client.context();
        match self.ask(wanted, until) {
            Ok(offsets) => {
                context.succeeded();
                Ok(offsets)
            }
            Err(PollFailure::Known(error)) => Err(error),
            Err(PollFailure::Kafka(error)) => {
                if error.rdkafka_error_code() == Some(RDKafkaErrorCode::NotCoordinator) {
                    self.is_stale.store(true, Ordering::Relaxed);
                }
                Err(context.explain(&wanted.source_name, &error, began))
            }
        }
    }

    /// Why brokers refused us, or we them.
    pub(super) fn refusal(&self) -> Option<BrokerFailure> {
        self.client.context().refusal()
    }

    /// Whether a new client has a better chance than this one.
    pub(super) fn is_spent(&self) -> bool {
        self.is_stale.load(Ordering::Relaxed)
            || self.client.context().lacks_token()
            || self.refusal().is_some()
    }

    fn ask(
        &self,
        wanted: &Wanted,
        until: Instant,
    ) -> Result<BTreeMap<Partition, Offsets>, PollFailure> {
        let existing = self.existing(wanted, until)?;
        let (picked, committed) = if wanted.topics == Topics::OfGroup {
            let committed = self.committed(wanted, None, until)?;
            let topics: BTreeSet<&String> = committed.keys().map(|(topic, _)| topic).collect();
            let of_group = existing
                .into_iter()
                .filter(|(topic, _)| topics.contains(topic));
            (of_group.collect(), committed)
        } else {
            let limits = wanted.limits.as_deref();
            let picked: Vec<Partition> = partitions_of(existing.iter(), &wanted.topics, limits)
                .cloned()
                .collect();
            if picked.is_empty() && limits.is_some() {
                return Err(PollFailure::Known(Error::NotFound {
                    source_name: wanted.source_name.clone(),
                    detail: "none of the partitions in partitionLimitation is there".to_owned(),
                }));
            }
            let committed = self.committed(wanted, Some(&picked), until)?;
            (picked, committed)
        };
        // Asked for after the commits: a consumer that goes on meanwhile is not ahead of the log.
        let latest = self.ends(wanted, &picked, Offset::End, until)?;
        let earliest = self.earliest(wanted, &picked, &committed, until);
        Ok(picked
            .into_iter()
            .map(|partition| {
                let offsets = Offsets {
                    committed: committed
                        .get(&partition)
                        .copied()
                        .unwrap_or(Committed::Never),
                    latest: latest.get(&partition).copied(),
                    earliest: earliest.get(&partition).copied(),
                };
                (partition, offsets)
            })
            .collect())
    }

    /// Metadata of one topic, or of all. The first call of a poll, and so the one that waits for a connection.
    ///
    /// It is given up early when the connection was refused: librdkafka would wait until the time is up.
    fn metadata(&self, topic: Option<&str>, until: Instant) -> Result<Metadata, KafkaError> {
        let mut look = FIRST_LOOK;
        loop {
            match self.client.metadata(topic, left(until).min(look)) {
                Err(error) if Instant::now() < until && !self.client.context().gives_up(&error) => {
                    look *= 2;
                }
                result => return result,
            }
        }
    }

    /// Every partition of the topics in question.
    fn existing(&self, wanted: &Wanted, until: Instant) -> Result<Vec<Partition>, PollFailure> {
        let mut partitions = Vec::new();
        match &wanted.topics {
            Topics::Named(topics) => {
                for topic in topics {
                    let metadata = self.metadata(Some(topic), until)?;
                    let found = metadata.topics().iter().find(|found| found.name() == topic);
                    let found = found.ok_or_else(|| bad_answer(wanted, "no word of the topic"))?;
                    partitions.extend(partitions_in(wanted, found)?);
                }
            }
            Topics::OfGroup | Topics::OfCluster => {
                let metadata = self.metadata(None, until)?;
                if wanted.topics == Topics::OfCluster {
                    self.check_members(wanted, until)?;
                }
                for topic in metadata.topics() {
                    partitions.extend(partitions_in(wanted, topic)?);
                }
            }
        }
        Ok(partitions)
    }

    fn check_members(&self, wanted: &Wanted, until: Instant) -> Result<(), PollFailure> {
        let groups = self.client.group(&wanted.group, left(until))?;
        let active = groups
            .groups()
            .iter()
            .any(|group| group.name() == wanted.group && !group.members().is_empty());
        if active {
            return Ok(());
        }
        Err(bad_answer(
            wanted,
            "the group has no active members, so its topics are unknown; name them in `topic`",
        ))
    }

    /// One end of every partition, in one request to each leader: `End` and `Beginning` go out as timestamps, -1 and -2.
    fn ends(
        &self,
        wanted: &Wanted,
        partitions: &[Partition],
        end: Offset,
        until: Instant,
    ) -> Result<BTreeMap<Partition, i64>, PollFailure> {
        if partitions.is_empty() {
            return Ok(BTreeMap::new());
        }
        let list = list_of(partitions, end)?;
        self.client.offsets_for_times(&list, left(until))?;
        let mut ends = BTreeMap::new();
        for element in list.elements() {
            element.error()?;
            // Unanswered partitions come back as they went.
            let Offset::Offset(offset) = element.offset() else {
                return Err(bad_answer(wanted, "no end offset for some partition"));
            };
            ends.insert((element.topic().to_owned(), element.partition()), offset);
        }
        complete(wanted, partitions.len(), ends.len())?;
        Ok(ends)
    }

    /// Where the partitions begin that the group has no place in; nothing when they cannot be had, as in KEDA.
    fn earliest(
        &self,
        wanted: &Wanted,
        partitions: &[Partition],
        committed: &BTreeMap<Partition, Committed>,
        until: Instant,
    ) -> BTreeMap<Partition, i64> {
        if !wanted.needs_earliest {
            return BTreeMap::new();
        }
        let is_placed =
            |partition: &&Partition| matches!(committed.get(*partition), Some(Committed::At(_)));
        let placeless: Vec<Partition> = partitions
            .iter()
            .filter(|partition| !is_placed(partition))
            .cloned()
            .collect();
        self.ends(wanted, &placeless, Offset::Beginning, until)
            .unwrap_or_default()
    }

    /// Where the group is, in one request to its coordinator: in these partitions, or wherever it has a place.
    fn committed(
        &self,
        wanted: &Wanted,
        partitions: Option<&[Partition]>,
        until: Instant,
    ) -> Result<BTreeMap<Partition, Committed>, PollFailure> {
        if partitions.is_some_and(<[Partition]>::is_empty) {
            return Ok(BTreeMap::new());
        }
        let list = partitions
            .map(|partitions| list_of(partitions, Offset::Invalid))
            .transpose()?;
        let answer = self
            .client
            .committed(&wanted.group, list.as_ref(), left(until))?
            .ok_or_else(|| {
                self.is_stale.store(true, Ordering::Relaxed);
                KafkaError::Global(RDKafkaErrorCode::OperationTimedOut)
            })?;
        let mut committed = BTreeMap::new();
        for (topic, partition, offset, error) in answer {
            let error = RDKafkaErrorCode::from(error);
            if error != RDKafkaErrorCode::NoError {
                return Err(KafkaError::OffsetFetch(error).into());
            }
            let place = match Offset::from_raw(offset) {
                Offset::Offset(offset) => Committed::At(offset),
                Offset::Invalid => Committed::Never,
                _ => return Err(bad_answer(wanted, "a committed offset that is none")),
            };
            committed.insert((topic, partition), place);
        }
        if let Some(partitions) = partitions {
            complete(wanted, partitions.len(), committed.len())?;
        } else {
            committed.retain(|_, place| matches!(place, Committed::At(_)));
        }
        Ok(committed)
    }
}

fn partitions_in(wanted: &Wanted, topic: &MetadataTopic) -> Result<Vec<Partition>, PollFailure> {
    if let Some(error) = topic.error() {
        return Err(KafkaError::MetadataFetch(RDKafkaErrorCode::from(error)).into());
    }
    if topic.partitions().is_empty() {
        return Err(bad_answer(wanted, "a topic without partitions"));
    }
    let name = topic.name().to_owned();
    let ids = topic.partitions().iter().map(MetadataPartition::id);
    Ok(ids.map(|id| (name.clone(), id)).collect())
}

fn list_of(partitions: &[Partition], offset: Offset) -> Result<TopicPartitionList, KafkaError> {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for (topic, partition) in partitions {
        list.add_partition_offset(topic, *partition, offset)?;
    }
    Ok(list)
}

fn complete(wanted: &Wanted, asked: usize, answered: usize) -> Result<(), PollFailure> {
    if asked == answered {
        return Ok(());
    }
    Err(bad_answer(wanted, "not every partition was answered"))
}

fn bad_answer(wanted: &Wanted, detail: &str) -> PollFailure {
    PollFailure::Known(Error::BadAnswer {
        source_name: wanted.source_name.clone(),
        detail: detail.to_owned(),
    })
}

/// What is left of a poll's time; 1 ms when nothing is, since librdkafka takes 0 for "at once" and less for "for ever".
fn left(until: Instant) -> Duration {
    until
        .saturating_duration_since(Instant::now())
        .max(Duration::from_millis(1))
}
