//! `slipway demo-worker`: what a Job of the demo runs. Takes a partition for
//! itself, works on a few orders of it, and commits each for its group.
//!
//! The group has no members: a member that comes or goes makes the others begin
//! again, and the embedded cluster refuses commits meanwhile. So a file's lock
//! says whose a partition is.

use std::fs::{File, TryLockError};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use rdkafka::consumer::{CommitMode, Consumer as _, StreamConsumer};
use rdkafka::error::KafkaError;
use rdkafka::message::BorrowedMessage;
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::{ClientConfig, Message as _, Offset, TopicPartitionList};

/// Longest wait for an answer of the embedded cluster.
const PATIENCE: Duration = Duration::from_secs(10);

/// Take a few orders off the demo's topic.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct Args {
    /// `host:port` of the demo's Kafka
    #[arg(long)]
    pub brokers: String,
    /// Topic to take orders from
    #[arg(long)]
    pub topic: String,
    /// Partitions that it has
    #[arg(long)]
    pub partitions: i32,
    /// Consumer group to commit for
    #[arg(long)]
    pub group: String,
    /// Orders to take at most
    #[arg(long)]
    pub messages: u32,
    /// Milliseconds that an order takes
    #[arg(long)]
    pub work_milliseconds: u64,
    /// File that gets a line for every order done; beside it lie the partitions' locks
    #[arg(long)]
    pub done: PathBuf,
}

/// Works until the messages are done, or every partition is empty or somebody else's;
/// gives back how many orders were done.
///
/// # Errors
///
/// No connection, no commit, or no file to write to.
pub async fn run(args: &Args) -> anyhow::Result<u32> {
    let consumer: StreamConsumer = ClientConfig::new()
        .set("bootstrap.servers", &args.brokers)
        .set("group.id", &args.group)
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("fetch.wait.max.ms", "100")
        .create()
        .context("no consumer")?;
    let mut done = 0;
    for partition in 0..args.partitions {
        if done < args.messages
            && let Some(_lock) = claim(&args.done, partition)?
        {
            done += drain(&consumer, args, partition, args.messages - done).await?;
        }
    }
    Ok(done)
}

/// The partition's lock, held until it is dropped; `None` while somebody else has it.
fn claim(done: &Path, partition: i32) -> anyhow::Result<Option<File>> {
    let path = done.with_extension(format!("partition-{partition}"));
    let failed = || format!("{} cannot be locked", path.display());
    let file = File::options()
        .append(true)
        .create(true)
        .open(&path)
        .with_context(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error).with_context(failed),
    }
}

/// Works on a partition from the committed offset on, for at most so many orders.
async fn drain(
    consumer: &StreamConsumer,
    args: &Args,
    partition: i32,
    messages: u32,
) -> anyhow::Result<u32> {
    let mut wanted = TopicPartitionList::new();
    wanted.add_partition(&args.topic, partition);
    let committed = consumer
        .committed_offsets(wanted.clone(), PATIENCE)
        .context("the group's offsets cannot be read")?;
    let start = match committed
        .elements()
        .first()
        .map(TopicPartitionListElem::offset)
    {
        Some(Offset::Offset(offset)) => Offset::Offset(offset),
        _ => Offset::Beginning,
    };
    wanted
        .set_partition_offset(&args.topic, partition, start)
        .and_then(|()| consumer.assign(&wanted))
        .context("the partition cannot be read")?;
    let mut done = 0;
    while done < messages {
        let received = tokio::time::timeout(PATIENCE, consumer.recv())
            .await
            .context("the topic does not answer")?;
        match received {
            Ok(message) => {
                tokio::time::sleep(Duration::from_millis(args.work_milliseconds)).await;
                write_down(&args.done, &message)?;
                consumer
                    .commit_message(&message, CommitMode::Sync)
                    .context("an order is done and not committed")?;
                done += 1;
            }
            Err(KafkaError::PartitionEOF(_)) => break,
            Err(error) => return Err(error).context("the topic cannot be read"),
        }
    }
    consumer
        .unassign()
        .context("the partition cannot be left")?;
    Ok(done)
}

/// One line for each order, in one write: workers share the file.
fn write_down(path: &Path, message: &BorrowedMessage<'_>) -> anyhow::Result<()> {
    let line = format!("{} {}\n", message.partition(), message.offset());
    File::options()
        .append(true)
        .create(true)
        .open(path)
        .and_then(|mut file| file.write_all(line.as_bytes()))
        .with_context(|| format!("{} cannot be written", path.display()))
}
