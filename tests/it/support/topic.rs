//! Topics on a real Kafka broker.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{Offset, TopicPartitionList};

use super::cluster::unique;
use super::servers;

/// A topic of one's own.
#[derive(Clone)]
pub(crate) struct Topic {
    pub(crate) name: String,
    partitions: i32,
}

impl Topic {
    /// A new, empty topic.
    pub(crate) async fn new(name: &str, partitions: i32) -> Self {
        let name = format!("{name}-{}", unique());
        let admin: AdminClient<DefaultClientContext> = config().create().unwrap();
        let topic = NewTopic::new(&name, partitions, TopicReplication::Fixed(1));
        let results = admin
            .create_topics([&topic], &AdminOptions::new())
            .await
            .unwrap();
        for result in results {
            result.unwrap();
        }
        Self { name, partitions }
    }

    /// Produces so many small messages, spread over the partitions, and waits until the broker has them.
    pub(crate) fn send(&self, count: usize) {
        let producer: BaseProducer = config().set("linger.ms", "20").create().unwrap();
        for number in 0..count {
            let partition = i32::try_from(number).unwrap() % self.partitions;
            let mut record = BaseRecord::<(), str>::to(&self.name)
                .partition(partition)
                .payload("work");
            while let Err((_, returned)) = producer.send(record) {
                // The queue is full: let it drain.
                producer.poll(Duration::from_millis(10));
                record = returned;
            }
        }
        producer.flush(Duration::from_mins(1)).unwrap();
    }

    /// Commits an offset for every partition, as a consumer that has read so far would.
    pub(crate) fn commit(&self, group: &str, offset: i64) {
        let partitions = usize::try_from(self.partitions).unwrap();
        self.commit_each(group, &vec![offset; partitions]);
    }

    /// Commits by partition, from the first; below 0 stands for none.
    pub(crate) fn commit_each(&self, group: &str, offsets: &[i64]) {
        let consumer: BaseConsumer = config().set("group.id", group).create().unwrap();
        let list = self.offsets(offsets);
        if list.count() > 0 {
            consumer.commit(&list, CommitMode::Sync).unwrap();
        }
    }

    /// Removes what lies below an offset in every partition, as the topic's retention would.
    pub(crate) async fn begin_at(&self, offset: i64) {
        let admin: AdminClient<DefaultClientContext> = config().create().unwrap();
        let partitions = usize::try_from(self.partitions).unwrap();
        let begins = self.offsets(&vec![offset; partitions]);
        let options = AdminOptions::new();
        admin.delete_records(&begins, &options).await.unwrap();
    }

    fn offsets(&self, offsets: &[i64]) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for (partition, offset) in (0..).zip(offsets.iter().copied()) {
            if offset >= 0 {
                list.add_partition_offset(&self.name, partition, Offset::Offset(offset))
                    .unwrap();
            }
        }
        list
    }
}

fn config() -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", servers::kafka_brokers());
    config
}
