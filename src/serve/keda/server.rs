//! The port that KEDA calls: sockets, limits, the life of a connection.
//!
//! The connections are driven here, over hyper, as tonic's own server has neither a first
//! deadline nor an end of a connection that differs from another's. Whoever is slow,
//! silent, huge or many costs little and harms nobody else.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic_health::ServingStatus;

use self::calls::Services;
use self::requests::RequestBudget;
use super::Keda;
use super::caller::Peer;
use crate::serve::accept::{self, Accepting};
use crate::serve::tls::ServerTls;
use crate::serve::waiting::WaitingQueue;

mod calls;
mod connection;
mod peer;
mod requests;

/// What it is called in the log.
const NAME: &str = "the port for KEDA";

/// What callers may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RpcLimits {
    /// Connections at once. One above it takes the place of one that has no call under way: first of those that never had an
    /// answer, the oldest. KEDA has one for each set of TLS settings.
    pub connections: usize,
    /// HTTP/2 streams of one connection: calls and open streams. gRPC clients hold calls above it back.
    pub http2_streams: u32,
    /// Streams that one connection holds open; fewer than [`Self::http2_streams`], so that its calls have room.
    pub streams: usize,
    /// Calls that are being answered, of all connections. Those above it wait for [`Self::wait`].
    pub calls: usize,
    /// Longest wait for a place among the calls.
    pub wait: Duration,
    /// Longest request. Unit: bytes. A trigger's metadata has 8 KiB at most; whoever sends somewhat more is told so.
    pub message_bytes: usize,
    /// Longest list of headers. KEDA's have some 300. Unit: bytes.
    pub header_bytes: u32,
    /// What all requests that have no answer yet take together, heads and all. Where it is full, the connection with most
    /// unfinished requests is closed. Unit: bytes.
    pub request_bytes: usize,
    /// For a request, from its head to the last of its body.
    pub request: Duration,
    /// Calls of the health and reflection services that one connection has under way.
    pub side_calls: usize,
    /// For a call's whole answer, or a stream's first part.
    pub call: Duration,
    /// For TLS, and again for HTTP/2's first words.
    pub handshake: Duration,
    /// A peer is asked for a sign of life this often.
    pub ping_every: Duration,
    /// And has this long to give it.
    pub ping_timeout: Duration,
    /// A connection is asked to go after this time, more or less by a fifth, so that the next one may find another replica.
    pub age: Duration,
    /// For what is under way on a connection that was asked to go.
    pub grace: Duration,
}

impl Default for RpcLimits {
    /// Fit for a Pod with 512 MiB: ten thousand triggers that push take 20,000 streams of some 4 KiB.
    fn default() -> Self {
        Self {
            connections: 1_024,
            http2_streams: 30_000,
            streams: 25_000,
            calls: 4_096,
            wait: Duration::from_secs(2),
            message_bytes: 64 << 10,
            header_bytes: 4 << 10,
            request_bytes: 16 << 20,
            request: Duration::from_secs(5),
            side_calls: 16,
            call: Duration::from_secs(15),
            handshake: Duration::from_secs(5),
            ping_every: Duration::from_secs(20),
            ping_timeout: Duration::from_secs(10),
            age: Duration::from_mins(30),
            grace: Duration::from_secs(5),
        }
    }
}

/// Most streams at once, of all connections.
pub const STREAMS: usize = 25_000;

/// What all connections share.
struct ServerState {
    keda: Arc<Keda>,
    limits: RpcLimits,
    tls: Option<Arc<ServerTls>>,
    /// Places among the calls.
    calls: Semaphore,
    services: Services,
    /// Connections that wait for their peers.
    waiting: WaitingQueue,
    requests: Arc<RequestBudget>,
    stop: CancellationToken,
}

/// Serves until `stop`: then streams end with OK, calls under way get their answers, and everything is closed.
///
/// # Errors
///
/// None today: a listener that cannot accept is tried again, as what keeps it from accepting passes.
///
/// # Panics
///
/// When the descriptors that are built in cannot be read.
pub async fn serve(
    listener: TcpListener,
    keda: Arc<Keda>,
    tls: Option<Arc<ServerTls>>,
    limits: RpcLimits,
    stop: CancellationToken,
) -> io::Result<()> {
    let (mut health, services) = calls::services();
    for service in ["", calls::SERVICE] {
        health
            .set_service_status(service, ServingStatus::Serving)
            .await;
    }
    let shared = Arc::new(ServerState {
        keda,
        limits,
        tls,
        calls: Semaphore::new(limits.calls),
        services,
        waiting: WaitingQueue::default(),
        requests: RequestBudget::new(limits.request_bytes),
        stop: stop.clone(),
    });
    let room = Arc::new(Semaphore::new(limits.connections));
    let mut connections = JoinSet::new();
    let mut accepting = Accepting::new(listener, NAME);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(ended) = connections.join_next() => accept::note(NAME, ended),
            stream = accepting.next() => {
                // Where all of them have calls under way, it is closed unheard: the client tries again, later each time.
                if let Some(permit) = shared.waiting.make_room(&room, &stop).await {
                    connections.spawn(connection::serve(permit, stream, Arc::clone(&shared)));
                }
            }
        }
    }
    drop(accepting);
    for service in ["", calls::SERVICE] {
        health
            .set_service_status(service, ServingStatus::NotServing)
            .await;
        // Who watches hears of it, and then the end.
        health.clear_service_status(service).await;
    }
    while let Some(ended) = connections.join_next().await {
        accept::note(NAME, ended);
    }
    Ok(())
}
