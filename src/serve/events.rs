//! The door for events: HTTP/1.1, made for strangers.
//!
//! This room owns the wire: sockets, times, sizes, framing, what is said before and
//! after `intake` is asked. Whoever is slow, huge, silent or malformed costs little
//! and harms nobody else; `axum::serve` has no limit on the time that a request's
//! head may take, so the connections are driven here, over hyper.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::waiting::WaitingQueue;
use crate::intake::webhook::answer::DoorAnswer;
use crate::intake::webhook::{Request, Webhook};
use crate::intake::{Body, LARGEST_BODY};
use crate::places::Room;
use crate::serve::accept::{self, Accepting};

mod body;
mod connection;
mod progress;
mod request;
mod waiting;
mod wire;

/// What it is called in the log.
const NAME: &str = "the door for events";
/// File descriptors that the rest of the program keeps: calls to the API server, sources, files.
const OTHER_DESCRIPTORS: usize = 768;

/// Who answers what the wire has found to be a request.
pub trait Door: Send + Sync + 'static {
    /// Answers a request; its body is read only if it is asked for.
    fn answer<'a>(
        &'a self,
        request: Request<'a>,
        body: &'a mut dyn Body,
    ) -> BoxFuture<'a, DoorAnswer>;

    /// An answer with this status was given without asking: no such path, no room, no request at all.
    fn turned_away(&self, status: u16);
}

impl Door for Webhook {
    fn answer<'a>(
        &'a self,
        request: Request<'a>,
        body: &'a mut dyn Body,
    ) -> BoxFuture<'a, DoorAnswer> {
        Webhook::answer(self, request, body).boxed()
    }

    fn turned_away(&self, status: u16) {
        Webhook::turned_away(self, status);
    }
}

/// What strangers may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DoorLimits {
    /// Connections at once. One above it takes the place of the one that has waited longest without sending a
    /// whole head. There is no limit for each peer: behind a load balancer all peers are one.
    pub connections: usize,
    /// Bodies in memory, all together. Unit: bytes.
    pub body_bytes: usize,
    /// Requests of one namespace whose body has come and that have no answer yet. More of them would only wait in line for
    /// the API server until their senders have hung up. All namespaces together have five times as many.
    pub requests: u32,
    /// From the first byte of a head to its last; also from the connection to its first byte.
    pub head: Duration,
    /// From the first byte of a head to the last of its body.
    pub whole: Duration,
    /// In each such time a body that is not complete must bring 8 KiB.
    pub body_window: Duration,
    /// For the peer to take an answer.
    pub write: Duration,
    /// Between two requests of one connection.
    pub idle: Duration,
    /// How long what a peer still sends is thrown away after the last answer, so that it can read it.
    pub linger: Duration,
}

impl Default for DoorLimits {
    /// Fit for a Pod with 256 MiB: 4,096 connections of some 20 KiB, 64 MiB of bodies.
    fn default() -> Self {
        Self {
            connections: 4_096,
            body_bytes: 64 << 20,
            requests: 256,
            head: Duration::from_secs(5),
            whole: Duration::from_secs(10),
            body_window: Duration::from_secs(2),
            write: Duration::from_secs(5),
            idle: Duration::from_secs(30),
            linger: Duration::from_secs(2),
        }
    }
}

impl DoorLimits {
    /// The defaults, with no more connections than the process has file descriptors for.
    pub fn of_this_process() -> Self {
        let mut limits = Self::default();
        let descriptors = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        if let Some(descriptors) = descriptors.and_then(|most| usize::try_from(most).ok()) {
            let ours = descriptors.saturating_sub(OTHER_DESCRIPTORS);
            limits.connections = limits.connections.min(ours.max(descriptors / 2));
        }
        limits
    }
}

/// What all connections of a door share.
struct DoorState<D> {
    door: Arc<D>,
    limits: DoorLimits,
    room: DoorPermits,
    waiting: WaitingQueue,
    stop: CancellationToken,
}

/// What is left of [`DoorLimits`].
struct DoorPermits {
    /// In KiB.
    body: Arc<Semaphore>,
    requests: Arc<Room>,
}

/// Serves the door until `stop`: then requests under way get their answers, and everything is closed.
///
/// # Errors
///
/// None today: a listener that cannot accept is tried again, as what keeps it from accepting passes.
pub async fn serve<D: Door>(
    listener: TcpListener,
    door: Arc<D>,
    limits: DoorLimits,
    stop: CancellationToken,
) -> io::Result<()> {
    let shared = Arc::new(DoorState {
        door,
        limits,
        room: DoorPermits {
            body: Arc::new(Semaphore::new(
                (limits.body_bytes.max(LARGEST_BODY) / body::UNIT).min(Semaphore::MAX_PERMITS),
            )),
            requests: Room::new(limits.requests.saturating_mul(5)),
        },
        waiting: WaitingQueue::default(),
        stop: stop.clone(),
    });
    let mut connections = JoinSet::new();
    let mut accepting = Accepting::new(listener, NAME);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(ended) = connections.join_next() => accept::note(NAME, ended),
            stream = accepting.next() => {
                // Where nobody waits, all of them are being answered.
                let has_room =
                    connections.len() < limits.connections || shared.waiting.turn_out_the_oldest();
                if has_room {
                    open(&mut connections, stream, &shared);
                }
            }
        }
    }
    // Those that the kernel has accepted for us hear that we stop, not a reset.
    while connections.len() < limits.connections
        && let Some(stream) = accepting.at_hand()
    {
        open(&mut connections, stream, &shared);
    }
    drop(accepting);
    while let Some(ended) = connections.join_next().await {
        accept::note(NAME, ended);
    }
    Ok(())
}

fn open<D: Door>(connections: &mut JoinSet<()>, stream: TcpStream, shared: &Arc<DoorState<D>>) {
    connections.spawn(connection::serve(stream, Arc::clone(shared)));
}
