//! Asking brokers: one client for each cluster and identity, whatever number of groups is looked at.
//!
//! It joins no group: it asks for offsets and nothing else. librdkafka's calls block, so they run on the blocking pool.
//! A client that was refused is closed, so that nothing reconnects before the next poll.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use super::Wanted;
use super::config::proof;
use super::connection::BrokerConnection;
use super::context::{Context, REFUSAL_HELD};
use super::failure::BrokerFailure;
use super::lag::{Offsets, Partition};
use super::token::TokenIssuer;
use crate::address::Rules;
use crate::resource::kafka::{KafkaCluster, Sasl};
use crate::source::Error;
use crate::source::aws::{self, Login};

/// The blocking calls of one poll end within this: before the poll's own deadline, so that their error is the one reported.
const CALLS: Duration = Duration::from_secs(9);

/// Blocking calls that one cluster may have under way, however many groups of it are looked at.
///
/// A healthy cluster answers in milliseconds; one that is silent must not fill the blocking pool (512 threads), which all clusters share.
const CALLS_AT_ONCE: usize = 8;

/// One cluster, as one identity.
pub(in crate::source) struct KafkaClient {
    cluster: KafkaCluster,
    rules: Rules,
    login: Option<Arc<Login>>,
    permits: Arc<Semaphore>,
    state: Mutex<ClientState>,
}

#[derive(Default)]
struct ClientState {
    connection: Option<Arc<BrokerConnection>>,
    refused: Option<(Instant, BrokerFailure)>,
}

impl KafkaClient {
    pub(in crate::source) fn new(
        cluster: KafkaCluster,
        rules: Rules,
        login: Option<Arc<Login>>,
    ) -> Self {
        Self {
            cluster,
            rules,
            login,
            permits: Arc::new(Semaphore::new(CALLS_AT_ONCE)),
            state: Mutex::default(),
        }
    }

    /// Whether this is the client of that cluster.
    pub(in crate::source) fn is(&self, cluster: &KafkaCluster) -> bool {
        self.cluster == *cluster
    }

    /// The offsets of every partition wanted, complete or not at all.
    pub(super) async fn offsets(
        self: Arc<Self>,
        wanted: Wanted,
    ) -> Result<BTreeMap<Partition, Offsets>, Error> {
        let until = Instant::now() + CALLS;
        // Held by the blocking task, so that a poll whose askers left still counts.
        let permit = Arc::clone(&self.permits)
            .acquire_owned()
            .await
            .expect("never closed");
        let source_name = wanted.source_name.clone();
        let task = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            self.poll(&wanted, until)
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

    fn poll(&self, wanted: &Wanted, until: Instant) -> Result<BTreeMap<Partition, Offsets>, Error> {
        let connection = self.connection(wanted)?;
        let result = connection.offsets(wanted, until);
        if result.is_err() && connection.is_spent() {
            let mut state = self.state();
            state.refused = connection
                .refusal()
                .map(|failure| (Instant::now(), failure));
            // Another poll may have closed it, and opened a new one.
            let same = |one: &mut Arc<BrokerConnection>| Arc::ptr_eq(one, &connection);
            let closed = state.connection.take_if(same);
            drop(state);
            // Closing waits for librdkafka's threads: not under the lock.
            drop(closed);
        }
        result
    }

    fn connection(&self, wanted: &Wanted) -> Result<Arc<BrokerConnection>, Error> {
        let mut state = self.state();
        if let Some((at, failure)) = &state.refused
            && at.elapsed() < REFUSAL_HELD
        {
            return Err(failure.to_error(&wanted.source_name));
        }
        if let Some(connection) = &state.connection {
            return Ok(Arc::clone(connection));
        }
        let issuer = TokenIssuer::new(&self.cluster.sasl, self.login.clone(), &self.rules);
        let is_ours =
            matches!(&self.cluster.sasl, Sasl::MskIam { identity, .. } if aws::is_ours(identity));
        let identity_proof = is_ours.then(|| proof(self.cluster.tls.as_ref()));
        let context = Context::new(self.rules.clone(), identity_proof, issuer);
        let opened =
            BrokerConnection::open(&self.cluster, &wanted.group, context, &wanted.source_name)?;
        let connection = Arc::new(opened);
        state.connection = Some(Arc::clone(&connection));
        Ok(connection)
    }

    fn state(&self) -> MutexGuard<'_, ClientState> {
        // A panic under this lock leaves it whole: each change is one assignment.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for KafkaClient {
    fn drop(&mut self) {
        // Closing waits for librdkafka's threads: not on a thread that drives others.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let connection = self.state().connection.take();
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
