//! One client of librdkafka, and what is asked of it in one poll.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::ToSocketAddrs as _;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::{Metadata, MetadataPartition, MetadataTopic};
use rdkafka::{Offset, TopicPartitionList};

use super::client::host_of;
use super::config::{describe, native};
use super::context::Context;
use super::lag::{Committed, Offsets, Partition};
use super::token::TokenIssuer;
use super::{Wanted, partitions_of};
use crate::address::Rules;
use crate::resource::kafka::{KafkaCluster, Topics};
use crate::source::Error;

/// After this a call without an answer is looked at: has anybody refused us meanwhile?
const LOOK: Duration = Duration::from_secs(2);

/// librdkafka's client and what is known of its brokers.
pub(super) struct BrokerConnection {
    consumer: BaseConsumer<Context>,
    group: String,
    rules: Rules,
    /// Hosts whose addresses were held against the rules.
    checked: HashSet<String>,
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
    /// A client for a group, with nothing sent yet.
    pub(super) fn open(
        cluster: &KafkaCluster,
        group: &str,
        rules: Rules,
        issuer: Option<TokenIssuer>,
        source_name: &str,
    ) -> Result<Self, Error> {
        let invalid = |detail| Error::Invalid {
            source_name: source_name.to_owned(),
            detail,
        };
        let mut checked = HashSet::new();
        for server in &cluster.bootstrap_servers {
            let host = host_of(server).unwrap_or(server);
            check_resolved(&rules, host).map_err(invalid)?;
            checked.insert(host.to_owned());
        }
        let consumer = native(cluster, group)
            .create_with_context(Context::new(issuer))
            .map_err(|error| invalid(describe(&error)))?;
        Ok(Self {
            consumer,
            group: group.to_owned(),
            rules,
            checked,
        })
    }

    /// The offsets of every partition wanted, complete or not at all. Blocks until `until` at most.
    pub(super) fn offsets(
        &mut self,
        wanted: &Wanted,
        until: Instant,
    ) -> Result<BTreeMap<Partition, Offsets>, Error> {
        let name = || wanted.source_name.clone();
        self.consumer.context().begin();
        self.serve();
        if let Some(error) = self.consumer.context().token_error(&name()) {
            return Err(error);
        }
        self.ask(wanted, until).map_err(|failure| {
            self.serve();
            match failure {
                PollFailure::Known(error) => error,
                PollFailure::Kafka(error) => self.consumer.context().explain(name(), &error),
            }
        })
    }

    /// Hands librdkafka's events (logs, errors, a token that is due) to the context. No message can come: nothing is subscribed to.
    fn serve(&self) {
        let served = self.consumer.poll(Duration::from_millis(1));
        drop(served);
    }

    fn ask(
        &mut self,
        wanted: &Wanted,
        until: Instant,
    ) -> Result<BTreeMap<Partition, Offsets>, PollFailure> {
        let existing = self.existing(wanted, until)?;
        let mut committed = None;
        let picked: Vec<Partition> = if wanted.topics == Topics::OfGroup {
            // Asked for everywhere: where there is an answer is which topics are the group's.
            let everywhere = self.committed(wanted, &existing, until)?;
            let topics: BTreeSet<String> = everywhere
                .iter()
                .filter(|(_, committed)| matches!(committed, Committed::At(_)))
                .map(|((topic, _), _)| topic.clone())
                .collect();
            committed = Some(everywhere);
            let of_group = existing.iter().filter(|(topic, _)| topics.contains(topic));
            of_group.cloned().collect()
        } else {
            let limits = wanted.limits.as_deref();
            partitions_of(existing.iter(), &wanted.topics, limits)
                .cloned()
                .collect()
        };
        if picked.is_empty() {
            return match &wanted.limits {
                Some(_) if wanted.topics != Topics::OfGroup => {
                    Err(PollFailure::Known(Error::NotFound {
                        source_name: wanted.source_name.clone(),
                        detail: "none of the partitions in partitionLimitation is there".to_owned(),
                    }))
                }
                // The brokers answered that the group has committed nothing: that is known to be no lag.
                _ => Ok(BTreeMap::new()),
            };
        }
        let latest = self.latest(wanted, &picked, until)?;
        let committed = match committed {
            Some(committed) => committed,
            None => self.committed(wanted, &picked, until)?,
        };
        Ok(picked
            .into_iter()
            .map(|partition| {
                let offsets = Offsets {
                    committed: committed
                        .get(&partition)
                        .copied()
                        .unwrap_or(Committed::Unanswered),
                    latest: latest.get(&partition).copied(),
                };
                (partition, offsets)
            })
            .collect())
    }

    /// Metadata of one topic, or of all. The first call of a poll, and so the one that waits for a connection.
    ///
    /// It is given up early when the connection was refused: librdkafka would try again until the time is up.
    fn metadata(&self, topic: Option<&str>, until: Instant) -> Result<Metadata, KafkaError> {
        let first = self.consumer.fetch_metadata(topic, left(until).min(LOOK));
        let Err(error) = first else { return first };
        self.serve();
        if self.consumer.context().gives_up(&error) {
            return Err(error);
        }
        self.consumer.fetch_metadata(topic, left(until))
    }

    /// Every partition of the topics in question.
    fn existing(&mut self, wanted: &Wanted, until: Instant) -> Result<Vec<Partition>, PollFailure> {
        let mut partitions = Vec::new();
        match &wanted.topics {
            Topics::Named(topics) => {
                for topic in topics {
                    let metadata = self.metadata(Some(topic), until)?;
                    self.check_brokers(wanted, &metadata)?;
                    let found = metadata.topics().iter().find(|found| found.name() == topic);
                    let found = found.ok_or_else(|| bad_answer(wanted, "no word of the topic"))?;
                    partitions.extend(partitions_in(wanted, found)?);
                }
            }
            Topics::OfGroup | Topics::OfCluster => {
                if wanted.topics == Topics::OfCluster {
                    self.check_members(wanted, until)?;
                }
                let metadata = self.metadata(None, until)?;
                self.check_brokers(wanted, &metadata)?;
                for topic in metadata.topics() {
                    partitions.extend(partitions_in(wanted, topic)?);
                }
            }
        }
        Ok(partitions)
    }

    /// Brokers say themselves where they are; what they say is held against the rules before the next request goes there.
    fn check_brokers(&mut self, wanted: &Wanted, metadata: &Metadata) -> Result<(), PollFailure> {
        for broker in metadata.brokers() {
            if self.checked.contains(broker.host()) {
                continue;
            }
            check_resolved(&self.rules, broker.host()).map_err(|why| {
                PollFailure::Known(Error::Invalid {
                    source_name: wanted.source_name.clone(),
                    detail: format!("the cluster has a broker where {why}"),
                })
            })?;
            self.checked.insert(broker.host().to_owned());
        }
        Ok(())
    }

    fn check_members(&self, wanted: &Wanted, until: Instant) -> Result<(), PollFailure> {
        let groups = self
            .consumer
            .fetch_group_list(Some(&self.group), left(until))?;
        let active = groups
            .groups()
            .iter()
            .any(|group| group.name() == self.group && !group.members().is_empty());
        if active {
            return Ok(());
        }
        Err(bad_answer(
            wanted,
            "the group has no active members, so its topics are unknown; name them in `topic`",
        ))
    }

    /// The end of every partition, in one request to each leader (`Offset::End` goes out as timestamp -1).
    fn latest(
        &self,
        wanted: &Wanted,
        partitions: &[Partition],
        until: Instant,
    ) -> Result<BTreeMap<Partition, i64>, PollFailure> {
        let list = list_of(partitions, Offset::End)?;
        let answer = self.consumer.offsets_for_times(list, left(until))?;
        let mut latest = BTreeMap::new();
        for element in answer.elements() {
            element.error()?;
            // Unanswered partitions come back as they went.
            let Offset::Offset(offset) = element.offset() else {
                return Err(bad_answer(wanted, "no end offset for some partition"));
            };
            latest.insert((element.topic().to_owned(), element.partition()), offset);
        }
        complete(wanted, partitions.len(), latest.len())?;
        Ok(latest)
    }

    /// Where the group is, in one request to its coordinator.
    fn committed(
        &self,
        wanted: &Wanted,
        partitions: &[Partition],
        until: Instant,
    ) -> Result<BTreeMap<Partition, Committed>, PollFailure> {
        if partitions.is_empty() {
            return Ok(BTreeMap::new());
        }
        let list = list_of(partitions, Offset::Invalid)?;
        let answer = self.consumer.committed_offsets(list, left(until))?;
        let mut committed = BTreeMap::new();
        for element in answer.elements() {
            element.error()?;
            let place = match element.offset() {
                Offset::Offset(offset) => Committed::At(offset),
                Offset::Invalid => Committed::Never,
                _ => return Err(bad_answer(wanted, "a committed offset that is none")),
            };
            committed.insert((element.topic().to_owned(), element.partition()), place);
        }
        complete(wanted, partitions.len(), committed.len())?;
        Ok(committed)
    }
}

/// Holds a host and every address it has now against the rules. A name that cannot be looked up is librdkafka's to report.
///
/// librdkafka looks it up again for itself: a name that changes between the two, or later, is not caught.
fn check_resolved(rules: &Rules, host: &str) -> Result<(), String> {
    rules.check_host(host)?;
    let Ok(addresses) = (host.trim_matches(['[', ']']), 0).to_socket_addrs() else {
        return Ok(());
    };
    for address in addresses {
        rules.check_address(host, address.ip())?;
    }
    Ok(())
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
    let text = format!("offsets of {answered} partitions out of {asked}");
    Err(bad_answer(wanted, &text))
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
