//! The door for events on the wire: real sockets, raw bytes, a stand-in behind it
//! that keeps its promises: credentials before the body, once for each id.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde_json::{Value, json};
use slipway::cycle::delivery::{DeliveryOutcome, JobOfEvent};
use slipway::intake::webhook::Request;
use slipway::intake::webhook::answer::{DoorAnswer, EventReport, Reason};
use slipway::intake::{Body, BodyError, SenderKind};
use slipway::launch::Launched;
use slipway::serve::Stops;
use slipway::serve::events::{self, DoorLimits};
use slipway::serve::tls::ServerTls;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

mod framing;
mod handshake;
mod slow;
mod stopping;
mod tls;

/// Turns of a door that nobody holds.
const MANY: u32 = 1 << 20;
/// More than any answer takes, on a machine that is busy with other things.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// A door on a port of its own.
pub(super) struct Door {
    pub(super) address: SocketAddr,
    pub(super) behind: Arc<Behind>,
    pub(super) stop: CancellationToken,
    /// The end is announced.
    pub(super) leaving: CancellationToken,
    pub(super) server: JoinSet<io::Result<()>>,
}

/// Who answers behind it: the key `right` lets in, a body is JSON with an `id`, an id is launched once.
pub(super) struct Behind {
    launched: Mutex<BTreeSet<String>>,
    turned_away: Mutex<Vec<u16>>,
    /// Bodies that have come.
    read: AtomicUsize,
    /// One for each request that may be answered.
    turns: Semaphore,
}

impl Behind {
    /// From now on requests wait for [`Behind::go_on`] once their body is read.
    pub(super) async fn hold(&self) {
        self.turns.acquire_many(MANY).await.unwrap().forget();
    }

    /// So many may be answered.
    pub(super) fn go_on(&self, count: usize) {
        self.turns.add_permits(count);
    }

    pub(super) fn read(&self) -> usize {
        self.read.load(Ordering::SeqCst)
    }

    pub(super) fn launched(&self) -> usize {
        self.launched.lock().unwrap().len()
    }

    pub(super) fn turned_away(&self) -> Vec<u16> {
        self.turned_away.lock().unwrap().clone()
    }

    async fn deliver(&self, request: Request<'_>, body: &mut dyn Body) -> DoorAnswer {
        if request
            .headers
            .get("x-api-key")
            .is_none_or(|key| key != "right")
        {
            return DoorAnswer::unauthorized();
        }
        let read = body.read(SenderKind::Proved).await;
        let bytes = match read.and_then(|bytes| body.admit(SenderKind::Proved).map(|()| bytes)) {
            Ok(bytes) => bytes,
            Err(error) => {
                let reason = match error {
                    BodyError::TooLarge => Reason::TooLarge,
                    BodyError::TooSlow => Reason::TooSlow,
                    BodyError::BrokeOff => Reason::Unavailable,
                    BodyError::Misframed => Reason::BadRequest,
                    BodyError::Busy => Reason::Busy,
                };
                return DoorAnswer::error(reason, error.to_string());
            }
        };
        self.read.fetch_add(1, Ordering::SeqCst);
        let _turn = self.turns.acquire().await.unwrap();
        let Ok(Value::Object(event)) = serde_json::from_slice(&bytes) else {
            return DoorAnswer::error(Reason::BadRequest, "body: is no JSON object");
        };
        let id = event["id"].as_str().unwrap_or_default().to_owned();
        assert_ne!(id, "bug", "a bug");
        let is_new = self.launched.lock().unwrap().insert(id.clone());
        EventReport::of_delivery(Ok(DeliveryOutcome::Job(JobOfEvent {
            name: format!("job-{id}"),
            event_id: id,
            launched: if is_new {
                Launched::Created
            } else {
                Launched::AlreadyThere {
                    payload_differs: false,
                }
            },
            is_gated: false,
        })))
        .into_answer()
    }
}

impl events::Door for Behind {
    fn answer<'a>(
        &'a self,
        request: Request<'a>,
        body: &'a mut dyn Body,
    ) -> BoxFuture<'a, DoorAnswer> {
        self.deliver(request, body).boxed()
    }

    fn turned_away(&self, status: u16) {
        self.turned_away.lock().unwrap().push(status);
    }

    fn allows_origin(&self, _namespace: &str, name: &str, origin: &str) -> bool {
        (name, origin) == ("invoice", "eventgrid.azure.net")
    }
}

impl Door {
    pub(super) async fn open() -> Self {
        Self::with(DoorLimits::default()).await
    }

    pub(super) async fn with(limits: DoorLimits) -> Self {
        Self::secured(limits, None).await
    }

    pub(super) async fn secured(limits: DoorLimits, tls: Option<Arc<ServerTls>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let behind = Arc::new(Behind {
            launched: Mutex::default(),
            turned_away: Mutex::default(),
            read: AtomicUsize::new(0),
            turns: Semaphore::new(MANY as usize),
        });
        let stops = Stops::default();
        let (leaving, stop) = (stops.announced.clone(), stops.closing.clone());
        let mut server = JoinSet::new();
        let is_ending = stops.clone();
        server.spawn(events::serve(
            listener,
            Arc::clone(&behind),
            tls,
            limits,
            Arc::new(move || {
                if is_ending.is_ending() {
                    return Err("stopping, says the canary");
                }
                Ok(())
            }),
            stops,
        ));
        Self {
            address,
            behind,
            stop,
            leaving,
            server,
        }
    }

    pub(super) async fn connect(&self) -> Peer {
        let stream = TcpStream::connect(self.address).await.unwrap();
        Peer {
            stream,
            read: Vec::new(),
        }
    }

    /// One connection: sends everything, and reads answers until the door closes.
    pub(super) async fn say(&self, bytes: impl AsRef<[u8]>) -> Vec<Reply> {
        let mut peer = self.connect().await;
        peer.send(bytes).await;
        peer.rest().await
    }

    /// One request that ends its connection.
    pub(super) async fn ask(&self, bytes: impl AsRef<[u8]>) -> Reply {
        let mut replies = self.say(bytes).await;
        assert_eq!(replies.len(), 1, "{replies:?}");
        replies.remove(0)
    }

    /// Status and body of an answer that is plain text, on a connection that ends with it.
    pub(super) async fn plain(&self, request: String) -> (u16, String) {
        let mut peer = self.connect().await;
        peer.send(request).await;
        let mut text = String::new();
        let read = peer.stream.read_to_string(&mut text);
        timeout(PATIENCE, read).await.expect("an end").unwrap();
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        let status = head.split(' ').nth(1).expect("a status");
        (status.parse().unwrap(), body.to_owned())
    }

    /// Waits until the server has ended.
    pub(super) async fn ended(&mut self) {
        let ended = timeout(PATIENCE, self.server.join_next()).await;
        ended.expect("the server ends").unwrap().unwrap().unwrap();
    }
}

/// A raw client.
pub(super) struct Peer {
    pub(super) stream: TcpStream,
    read: Vec<u8>,
}

/// What was answered.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: Value,
}

impl Peer {
    pub(super) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        timeout(PATIENCE, self.stream.write_all(bytes.as_ref()))
            .await
            .expect("the door reads")
            .unwrap();
    }

    /// The next answer; `None` when the door has closed the connection.
    pub(super) async fn reply(&mut self) -> Option<Reply> {
        loop {
            if let Some((reply, length)) = Reply::parse(&self.read) {
                self.read.drain(..length);
                return Some(reply);
            }
            let read = timeout(PATIENCE, self.stream.read_buf(&mut self.read)).await;
            match read.expect("an answer, or an end") {
                Ok(0) | Err(_) if self.read.is_empty() => return None,
                Ok(0) | Err(_) => panic!("half an answer: {}", self.read.escape_ascii()),
                Ok(_) => {}
            }
        }
    }

    /// Every answer until the door closes the connection.
    pub(super) async fn rest(&mut self) -> Vec<Reply> {
        let mut replies = Vec::new();
        while let Some(reply) = self.reply().await {
            replies.push(reply);
        }
        replies
    }
}

impl Reply {
    /// The first answer, and how many bytes it has. Every one of them is as it must be, or this panics.
    pub(super) fn parse(bytes: &[u8]) -> Option<(Self, usize)> {
        let text = String::from_utf8_lossy(bytes);
        let (head, _) = text.split_once("\r\n\r\n")?;
        let mut lines = head.split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let header = |line: &str| {
            let (name, value) = line.split_once(": ").expect("a header");
            (name.to_lowercase(), value.to_owned())
        };
        let headers: BTreeMap<String, String> = lines.map(header).collect();
        let start = head.len() + 4;
        if status == 100 {
            let body = Value::Null;
            let reply = Self {
                status,
                headers,
                body,
            };
            return Some((reply, start));
        }
        let length: usize = headers["content-length"].parse().unwrap();
        let body = bytes.get(start..start + length)?;
        let body: Value = serde_json::from_slice(body).expect("a JSON body");
        assert_eq!(body["statusCode"], status, "{body}");
        assert_eq!(headers["content-type"], "application/json");
        assert_eq!(
            headers.contains_key("retry-after"),
            matches!(status, 429 | 503)
        );
        let reply = Self {
            status,
            headers,
            body,
        };
        Some((reply, start + length))
    }

    /// Status and `result`, or `reason`.
    pub(super) fn short(&self) -> (u16, &str) {
        let word = self.body["result"].as_str();
        (
            self.status,
            word.or(self.body["reason"].as_str()).unwrap_or_default(),
        )
    }

    pub(super) fn closes(&self) -> bool {
        self.headers
            .get("connection")
            .is_some_and(|value| value == "close")
    }
}

/// An event as EventBridge posts it, on a connection that goes on.
pub(super) fn post(id: &str) -> String {
    post_with(id, "")
}

/// The same with more header lines, each ended.
pub(super) fn post_with(id: &str, headers: &str) -> String {
    let body = json!({"id": id, "detail": {}}).to_string();
    format!(
        "POST /events/production/invoice HTTP/1.1\r\nhost: door\r\nx-api-key: right\r\n\
         content-type: application/json; charset=utf-8\r\n{headers}content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[tokio::test]
async fn an_event_is_answered_as_event_bridge_sends_it() {
    let door = Door::open().await;
    let headers = "user-agent: Amazon/EventBridge/ApiDestinations\r\nrange: bytes=0-1048575\r\n\
                   accept-encoding: gzip,deflate\r\nconnection: close\r\n";
    for result in ["Created", "Duplicate"] {
        let reply = door.ask(post_with("a", headers)).await;
        assert_eq!(reply.short(), (200, result));
        assert!(reply.closes());
        for no in ["content-range", "accept-ranges", "content-encoding"] {
            assert!(!reply.headers.contains_key(no), "{no}");
        }
    }
    assert_eq!(door.behind.launched(), 1);
}

#[tokio::test]
async fn one_connection_takes_many_events_and_pipelined_ones_in_order() {
    let door = Door::open().await;
    let mut peer = door.connect().await;
    for id in ["a", "b", "a"] {
        peer.send(post(id)).await;
        let reply = peer.reply().await.unwrap();
        assert_eq!(reply.body["eventId"], id);
        assert!(!reply.closes());
    }
    let ids: Vec<String> = (0..100).map(|number| format!("p{number}")).collect();
    let together: String = ids.iter().map(|id| post(id)).collect();
    peer.send(together).await;
    for id in &ids {
        let reply = peer.reply().await.unwrap();
        assert_eq!(reply.body["eventId"], **id);
    }
    assert_eq!(door.behind.launched(), 102);
}

#[tokio::test]
async fn every_wrong_request_has_its_status_and_a_json_body() {
    let door = Door::open().await;
    let path = "/events/production/invoice";
    let with = |line: &str| format!("{line} HTTP/1.1\r\nhost: door\r\nconnection: close\r\n\r\n");
    let rows = [
        (with("GET /"), 404, "NotFound"),
        (with("POST /"), 404, "NotFound"),
        (with("POST /events"), 404, "NotFound"),
        (with("POST /events/"), 404, "NotFound"),
        (with("POST /events/production/invoice/"), 404, "NotFound"),
        (with("POST /events/production%2Finvoice"), 404, "NotFound"),
        (with("POST /events/../api"), 404, "NotFound"),
        (with("POST /events/production/Invoice"), 404, "NotFound"),
        (with(&format!("GET {path}")), 405, "MethodNotAllowed"),
        (with(&format!("PUT {path}")), 405, "MethodNotAllowed"),
        (with(&format!("DELETE {path}")), 405, "MethodNotAllowed"),
        (with(&format!("OPTIONS {path}")), 405, "MethodNotAllowed"),
        (with(&format!("BREW {path}")), 405, "MethodNotAllowed"),
        (with("GET /events/production"), 405, "MethodNotAllowed"),
        (with("CONNECT door:443"), 404, "NotFound"),
        (with("OPTIONS *"), 404, "NotFound"),
        (with(&format!("POST {path}")), 401, "Unauthorized"),
        (with(&format!("POST {path}?id=1")), 401, "Unauthorized"),
        (
            with(&format!("POST http://door{path}")),
            401,
            "Unauthorized",
        ),
        (
            with("POST /events/%70roduction/invoice%2dx"),
            401,
            "Unauthorized",
        ),
    ];
    for (request, status, reason) in rows {
        let reply = door.ask(&request).await;
        assert_eq!(reply.short(), (status, reason), "{request}");
        assert_eq!(
            reply.headers.get("allow").map(String::as_str),
            (status == 405).then_some("POST"),
            "{request}"
        );
        assert_eq!(
            reply.headers.contains_key("www-authenticate"),
            status == 401,
            "{request}"
        );
        assert!(reply.closes(), "{request}");
    }
    let away = door.behind.turned_away();
    assert_eq!((away.len(), away[0], away[8]), (16, 404, 405), "counted");
}

#[tokio::test]
async fn a_sender_that_shuts_its_side_down_still_has_its_answer() {
    let door = Door::open().await;
    let mut peer = door.connect().await;
    peer.send(post("a")).await;
    peer.stream.shutdown().await.unwrap();
    let replies = peer.rest().await;
    assert_eq!(replies.len(), 1);
    assert_eq!(replies[0].short(), (200, "Created"));
}

#[tokio::test]
async fn a_request_that_meets_a_bug_is_503_and_the_connection_goes_on() {
    let door = Door::open().await;
    let mut peer = door.connect().await;
    for (id, told) in [
        ("a", (200, "Created")),
        ("bug", (503, "Unavailable")),
        ("b", (200, "Created")),
    ] {
        peer.send(post(id)).await;
        assert_eq!(peer.reply().await.unwrap().short(), told, "{id}");
    }
    assert_eq!(door.behind.turned_away(), [503], "counted");
}
