//! Asking brokers: one client for each cluster and group.
//!
//! It never joins the group: it asks for offsets and nothing else. A group needs
//! a client of its own because a committed offset can only be asked for by a
//! client that carries the group's name (rdkafka 0.39 has no
//! `ListConsumerGroupOffsets`). librdkafka's calls block, so they run on the
//! blocking pool, at most one at a time for each client.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, Semaphore};

use super::Wanted;
use super::connection::BrokerConnection;
use super::lag::{Offsets, Partition};
use super::token::TokenIssuer;
use crate::address::Rules;
use crate::resource::kafka::KafkaCluster;
use crate::source::Error;
use crate::source::aws::Login;

/// The blocking calls of one poll end within this: before the poll's own deadline, so that their error is the one reported.
const CALLS: Duration = Duration::from_secs(9);

/// Blocking calls that one cluster may have under way, however many groups of it are looked at.
///
/// A healthy cluster answers in milliseconds; one that is silent must not fill the blocking pool (512 threads), which all clusters share.
const CALLS_AT_ONCE: usize = 8;

/// A cluster's share of the blocking pool.
pub(in crate::source) struct ClusterCalls {
    cluster: KafkaCluster,
    permits: Arc<Semaphore>,
}

impl ClusterCalls {
    pub(in crate::source) fn new(cluster: KafkaCluster) -> Self {
        let permits = Arc::new(Semaphore::new(CALLS_AT_ONCE));
        Self { cluster, permits }
    }

    /// Whether this is that cluster's.
    pub(in crate::source) fn is(&self, cluster: &KafkaCluster) -> bool {
        self.cluster == *cluster
    }
}

/// One consumer group of one cluster.
pub(in crate::source) struct KafkaClient {
    gate: Arc<ClusterCalls>,
    group: String,
    rules: Rules,
    login: Option<Arc<Login>>,
    connection: Arc<Mutex<Option<BrokerConnection>>>,
}

impl KafkaClient {
    pub(in crate::source) fn new(
        gate: Arc<ClusterCalls>,
        group: String,
        rules: Rules,
        login: Option<Arc<Login>>,
    ) -> Self {
        Self {
            gate,
            group,
            rules,
            login,
            connection: Arc::default(),
        }
    }

    /// Whether this is the client of that group of that cluster.
    pub(in crate::source) fn is(&self, cluster: &KafkaCluster, group: &str) -> bool {
        self.gate.is(cluster) && self.group == group
    }

    /// The offsets of every partition wanted, complete or not at all.
    pub(super) async fn offsets(
        self: Arc<Self>,
        wanted: Wanted,
    ) -> Result<BTreeMap<Partition, Offsets>, Error> {
        let until = Instant::now() + CALLS;
        // Held by the blocking task, so that a poll whose askers left still keeps the next one waiting.
        let mut connection = Arc::clone(&self.connection).lock_owned().await;
        let permit = Arc::clone(&self.gate.permits)
            .acquire_owned()
            .await
            .expect("never closed");
        let source_name = wanted.source_name.clone();
        let task = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            if connection.is_none() {
                let issuer =
                    TokenIssuer::new(&self.gate.cluster.sasl, self.login.clone(), &self.rules);
                *connection = Some(BrokerConnection::open(
                    &self.gate.cluster,
                    &self.group,
                    self.rules.clone(),
                    issuer,
                    &wanted.source_name,
                )?);
            }
            let connection = connection.as_mut().expect("made just above");
            connection.offsets(&wanted, until)
        });
        match task.await {
            Ok(result) => result,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => Err(Error::Unreachable {
                source_name,
                detail: "the program is stopping".to_owned(),
            }),
        }
    }
}

impl Drop for KafkaClient {
    fn drop(&mut self) {
        // Closing waits for librdkafka's threads: not on a thread that drives others.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let connection = std::mem::take(&mut self.connection);
            runtime.spawn_blocking(move || drop(connection));
        }
    }
}

/// The host of `host:port`; brackets around IPv6 stay.
pub(in crate::source) fn host_of(server: &str) -> Option<&str> {
    let (host, port) = server.trim().rsplit_once(':')?;
    // librdkafka also takes `protocol://host:port`.
    let host = host.rsplit_once("//").map_or(host, |(_, host)| host);
    let bare = !host.contains(':') || (host.starts_with('[') && host.ends_with(']'));
    (!host.is_empty() && bare && port.parse::<u16>().is_ok()).then_some(host)
}
