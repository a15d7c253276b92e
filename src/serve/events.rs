//! The door for events: HTTP/1.1, made for strangers.
//!
//! This room owns the wire of the door: what is said before and after `intake` is asked, and room for bodies and
//! requests. The connections are driven by `http1`. Senders that proved themselves have room that strangers cannot take.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::Response;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use tokio::net::TcpListener;

use self::room::DoorRoom;
use crate::intake::Body;
use crate::intake::webhook::answer::DoorAnswer;
use crate::intake::webhook::{Request, Webhook};
use crate::serve::health::Readiness;
use crate::serve::http1::{self, ConnectionLimits, HeadFault, Progress, Respond};
use crate::serve::tls::ServerTls;
use crate::serve::{Stops, accept};

mod body;
mod request;
mod room;

/// What it is called in the log.
const NAME: &str = "the door for events";

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

    /// Whether an EventJob takes events that this origin sends. Asked by strangers, so it costs nothing and must not wait.
    fn allows_origin(&self, namespace: &str, name: &str, origin: &str) -> bool;
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

    fn allows_origin(&self, namespace: &str, name: &str, origin: &str) -> bool {
        Webhook::allows_origin(self, namespace, name, origin)
    }
}

/// What strangers may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DoorLimits {
    /// Connections at once. One above it takes the place of one that waits for its peer: for a head, a body, or the end.
    /// There is no limit for each peer: behind a load balancer all peers are one.
    pub connections: usize,
    /// Bodies in memory, all together; a quarter of it for senders who have not proved themselves. Unit: bytes.
    pub body_bytes: usize,
    /// Requests of one namespace whose body has come and that have no answer yet. More of them would only wait in line for
    /// the API server until their senders have hung up. All namespaces together have five times as many. Senders who have
    /// not proved themselves have as many again, of their own.
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
    /// Fit for a Pod with 512 MiB: 4,096 connections of some 20 KiB, 64 MiB of bodies.
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
    /// The defaults, with no more than a quarter of the process's file descriptors for connections.
    pub fn of_this_process() -> Self {
        let defaults = Self::default();
        Self {
            connections: accept::within_descriptors(defaults.connections, 4),
            ..defaults
        }
    }

    fn of_connections(&self) -> ConnectionLimits {
        ConnectionLimits {
            connections: self.connections,
            head: self.head,
            whole: self.whole,
            write: self.write,
            idle: self.idle,
            linger: self.linger,
        }
    }
}

/// What all connections of a door share.
struct DoorState<D> {
    door: Arc<D>,
    limits: DoorLimits,
    room: DoorRoom,
    ready: Readiness,
    stops: Stops,
}

impl<D: Door> Respond for DoorState<D> {
    type Body = Full<Bytes>;

    fn respond<'a>(
        &'a self,
        request: http::Request<Incoming>,
        progress: &'a Progress,
    ) -> BoxFuture<'a, Response<Full<Bytes>>> {
        Box::pin(request::answer(self, progress, request))
    }

    fn no_request(&self, fault: HeadFault) -> Response<Full<Bytes>> {
        let answer = request::no_request(fault);
        self.door.turned_away(answer.status());
        request::respond(&answer)
    }
}

/// Serves the door until it closes: then requests under way get their answers, and everything is closed. `ready` is what
/// `/readyz` says; with `tls` nothing else is spoken.
///
/// # Errors
///
/// None today: a listener that cannot accept is tried again, as what keeps it from accepting passes.
pub async fn serve<D: Door>(
    listener: TcpListener,
    door: Arc<D>,
    tls: Option<Arc<ServerTls>>,
    limits: DoorLimits,
    ready: Readiness,
    stops: Stops,
) -> io::Result<()> {
    let closing = stops.closing.clone();
    let state = Arc::new(DoorState {
        door,
        limits,
        room: DoorRoom::new(limits.body_bytes, limits.requests),
        ready,
        stops,
    });
    let limits = limits.of_connections();
    http1::serve(NAME, listener, state, tls, limits, closing).await;
    Ok(())
}
