//! HTTP/1.1 for strangers: what the door for events, the health port and the status page have in common.
//!
//! This room owns sockets, times and the number of connections. Whoever is slow, huge, silent or malformed costs little
//! and harms nobody else. `axum::serve` has no limit on the time that a request's head may take, so the connections are
//! driven here, over hyper.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::{Body, Bytes, Incoming};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub(super) use self::connection::{LARGEST_HEAD, MOST_HEADERS};
pub(super) use self::progress::Progress;
use crate::serve::accept::{self, Accepting};
use crate::serve::tls::ServerTls;
use crate::serve::waiting::WaitingQueue;

mod connection;
mod progress;
mod socket;
mod wire;

/// Who answers requests.
pub(super) trait Respond: Send + Sync + 'static {
    /// The body of an answer.
    type Body: Body<Data = Bytes, Error = Infallible> + Send + 'static;

    /// Answers a request. Whoever reads its body, or answers with a body that goes on, says so to `progress`.
    fn respond<'a>(
        &'a self,
        request: Request<Incoming>,
        progress: &'a Progress,
    ) -> BoxFuture<'a, Response<Self::Body>>;

    /// What is said to a peer that sent no request; the connection ends with it.
    fn no_request(&self, fault: HeadFault) -> Response<Full<Bytes>>;
}

/// What is wrong with what should have been a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeadFault {
    /// It did not come in time.
    TooSlow,
    /// It has too many headers, or too many bytes.
    TooLarge,
    /// It is no HTTP/1.1, or its framing is not valid.
    Malformed,
}

/// What peers may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ConnectionLimits {
    /// Connections at once, lingering ones included.
    pub(super) connections: usize,
    /// From the first byte of a head to its last; also from the connection to its first byte.
    pub(super) head: Duration,
    /// From the first byte of a head to the last of its body.
    pub(super) whole: Duration,
    /// For the peer to take an answer.
    pub(super) write: Duration,
    /// Between two requests of one connection.
    pub(super) idle: Duration,
    /// How long what a peer still sends is thrown away after the last answer, so that it can read it.
    pub(super) linger: Duration,
}

/// What all connections of a port share.
struct Port<R> {
    respond: Arc<R>,
    tls: Option<Arc<ServerTls>>,
    limits: ConnectionLimits,
    waiting: WaitingQueue,
    stop: CancellationToken,
}

/// Serves a port until `stop`: then requests under way get their answers, and everything is closed. `name` is what the
/// port is called in the log. With `tls` nothing else is spoken there.
pub(super) async fn serve<R: Respond>(
    name: &'static str,
    listener: TcpListener,
    respond: Arc<R>,
    tls: Option<Arc<ServerTls>>,
    limits: ConnectionLimits,
    stop: CancellationToken,
) {
    let port = Arc::new(Port {
        respond,
        tls,
        limits,
        waiting: WaitingQueue::default(),
        stop: stop.clone(),
    });
    let room = Arc::new(Semaphore::new(limits.connections));
    let mut connections = JoinSet::new();
    let mut accepting = Accepting::new(listener, name);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(ended) = connections.join_next() => accept::note(name, ended),
            stream = accepting.next() => {
                if let Some(permit) = port.waiting.make_room(&room, &stop).await {
                    open(&mut connections, permit, stream, &port);
                }
            }
        }
    }
    // Those that the kernel has accepted for us hear that we stop, not a reset.
    while let Ok(permit) = Arc::clone(&room).try_acquire_owned()
        && let Some(stream) = accepting.at_hand()
    {
        open(&mut connections, permit, stream, &port);
    }
    drop(accepting);
    while let Some(ended) = connections.join_next().await {
        accept::note(name, ended);
    }
}

fn open<R: Respond>(
    connections: &mut JoinSet<()>,
    permit: OwnedSemaphorePermit,
    stream: TcpStream,
    port: &Arc<Port<R>>,
) {
    connections.spawn(connection::serve(permit, stream, Arc::clone(port)));
}
