//! A Kafka cluster inside this process: librdkafka's own, made for tests. It
//! listens on loopback, so that workers in other processes reach it.

use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::Context as _;
use rdkafka::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{FutureProducer, FutureRecord};

/// Longest wait for one message to be taken.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);

/// A running cluster with one broker; it ends when dropped.
#[derive(Debug)]
pub struct DemoKafka {
    brokers: String,
    /// Dropped to end it.
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl DemoKafka {
    /// Starts a cluster with one topic.
    ///
    /// # Errors
    ///
    /// librdkafka cannot make one, or the topic.
    pub fn start(topic: &str, partitions: i32) -> anyhow::Result<Self> {
        let (stop, stopped) = mpsc::channel::<()>();
        let (ready, started) = mpsc::channel();
        let topic = topic.to_owned();
        // The cluster cannot move between threads: it lives and ends on one of its own.
        let thread = thread::Builder::new()
            .name("demo-kafka".to_owned())
            .spawn(move || {
                let cluster = MockCluster::new(1).and_then(|cluster| {
                    cluster.create_topic(&topic, partitions, 1)?;
                    Ok(cluster)
                });
                let (brokers, cluster) = match cluster {
                    Ok(cluster) => (Ok(cluster.bootstrap_servers()), Some(cluster)),
                    Err(error) => (Err(error), None),
                };
                if ready.send(brokers).is_ok() {
                    // An error is the other end being dropped: the word to end.
                    stopped.recv().unwrap_or_default();
                }
                drop(cluster);
            })
            .context("no thread for the demo's Kafka")?;
        let brokers = started
            .recv()
            .context("the demo's Kafka ended at once")?
            .context("the demo's Kafka did not start")?;
        Ok(Self {
            brokers,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// `host:port`, on loopback.
    pub fn brokers(&self) -> &str {
        &self.brokers
    }

    /// Sends messages, spread evenly over the partitions.
    ///
    /// # Errors
    ///
    /// One was not taken in time.
    pub async fn fill(&self, topic: &str, partitions: i32, messages: u32) -> anyhow::Result<()> {
        let producer: FutureProducer = ClientConfig::new()
            .set("bootstrap.servers", &self.brokers)
            .create()
            .context("no producer for the demo's Kafka")?;
        let sends = (0..messages).zip((0..partitions).cycle());
        let sends = sends.map(|(number, partition)| {
            let producer = &producer;
            async move {
                let payload = format!("{{\"order\":{number}}}");
                let record = FutureRecord::<(), _>::to(topic)
                    .partition(partition)
                    .payload(&payload);
                producer
                    .send(record, SEND_TIMEOUT)
                    .await
                    .map_err(|(error, _)| error)
            }
        });
        futures::future::try_join_all(sends)
            .await
            .context("the demo's Kafka did not take the messages")?;
        Ok(())
    }
}

impl Drop for DemoKafka {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic over there has told already.
            drop(thread.join());
        }
    }
}
