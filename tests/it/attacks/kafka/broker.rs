//! A broker that takes any token, and says whatever suits it of who leads and who coordinates.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// What it is asked, by Kafka's numbers (Kafka protocol guide, "API Keys").
mod key {
    pub(super) const LIST_OFFSETS: i16 = 2;
    pub(super) const METADATA: i16 = 3;
    pub(super) const OFFSET_FETCH: i16 = 9;
    pub(super) const FIND_COORDINATOR: i16 = 10;
    pub(super) const SASL_HANDSHAKE: i16 = 17;
    pub(super) const API_VERSIONS: i16 = 18;
    pub(super) const SASL_AUTHENTICATE: i16 = 36;
}

/// Its id in the cluster that it makes up.
const OWN: i32 = 1;
/// The other broker's.
const OTHER: i32 = 2;

/// A listener on a port of its own.
pub(super) struct FakeBroker {
    pub(super) port: u16,
    seen: Arc<Seen>,
    _tasks: JoinSet<()>,
}

#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    tokens: AtomicUsize,
    /// Whether it answers that no group has a coordinator yet.
    lacks_coordinator: AtomicBool,
}

/// What it tells of its cluster.
#[derive(Clone)]
struct Tale {
    own: (String, u16),
    other: Option<(String, u16)>,
    names: Names,
}

/// What it says of the other broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Names {
    /// It leads every partition.
    Leader,
    /// It coordinates every group.
    Coordinator,
}

impl FakeBroker {
    /// Names `other`, if there is one.
    pub(super) async fn start(other: Option<(String, u16)>, names: Names) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let tale = Tale {
            own: ("127.0.0.1".to_owned(), port),
            other,
            names,
        };
        let seen = Arc::new(Seen::default());
        let mut tasks = JoinSet::new();
        let all = Arc::clone(&seen);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                all.connections.fetch_add(1, Ordering::SeqCst);
                let (tale, seen) = (tale.clone(), Arc::clone(&all));
                connections.spawn(async move { drop(tale.serve(stream, &seen).await) });
            }
        });
        Self {
            port,
            seen,
            _tasks: tasks,
        }
    }

    /// Whether it says that no group has a coordinator yet.
    pub(super) fn lack_coordinator(&self, lacks: bool) {
        self.seen.lacks_coordinator.store(lacks, Ordering::SeqCst);
    }

    pub(super) fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    pub(super) fn tokens(&self) -> usize {
        self.seen.tokens.load(Ordering::SeqCst)
    }
}

impl Tale {
    async fn serve(&self, mut stream: TcpStream, seen: &Seen) -> std::io::Result<()> {
        loop {
            let length = stream.read_u32().await?;
            let mut request = vec![0; length as usize];
            stream.read_exact(&mut request).await?;
            let number = |at: usize| i16::from_be_bytes([request[at], request[at + 1]]);
            if number(0) == key::SASL_AUTHENTICATE {
                seen.tokens.fetch_add(1, Ordering::SeqCst);
            }
            let Some(body) = self.answer(number(0), number(2), seen) else {
                return Ok(());
            };
            let length = u32::try_from(body.len() + 4).unwrap();
            stream.write_u32(length).await?;
            stream.write_all(&request[4..8]).await?;
            stream.write_all(&body).await?;
        }
    }

    fn answer(&self, asked: i16, version: i16, seen: &Seen) -> Option<Vec<u8>> {
        let mut body = Body::default();
        match asked {
            key::API_VERSIONS => {
                // A newer form than the oldest is not known here: 35, and what is.
                body.short(if version > 0 { 35 } else { 0 });
                let known = [
                    (key::LIST_OFFSETS, 1),
                    (key::METADATA, 1),
                    (key::OFFSET_FETCH, 1),
                    (key::FIND_COORDINATOR, 0),
                    (key::SASL_HANDSHAKE, 1),
                    (key::API_VERSIONS, 0),
                    (key::SASL_AUTHENTICATE, 0),
                ];
                body.long(i32::try_from(known.len()).unwrap());
                for (key, newest) in known {
                    body.short(key).short(0).short(newest);
                }
            }
            key::SASL_HANDSHAKE => {
                body.short(0).long(1).text("OAUTHBEARER");
            }
            key::SASL_AUTHENTICATE => {
                body.short(0).short(-1).long(0);
            }
            key::METADATA => {
                let other = self.other(Names::Leader);
                body.long(if other.is_some() { 2 } else { 1 });
                body.long(OWN).place(&self.own).short(-1);
                if let Some(at) = other {
                    body.long(OTHER).place(at).short(-1);
                }
                let leader = if other.is_some() { OTHER } else { OWN };
                body.long(OWN).long(1).short(0).text("orders").byte(0);
                body.long(1).short(0).long(0).long(leader);
                body.long(1).long(leader).long(1).long(leader);
            }
            key::FIND_COORDINATOR if seen.lacks_coordinator.load(Ordering::SeqCst) => {
                // COORDINATOR_NOT_AVAILABLE.
                body.short(15).long(-1).text("").long(-1);
            }
            key::FIND_COORDINATOR => {
                let other = self.other(Names::Coordinator);
                let (id, at) = other.map_or((OWN, &self.own), |at| (OTHER, at));
                body.short(0).long(id).place(at);
            }
            key::LIST_OFFSETS => {
                // At any time, the log of the one partition ends at 7.
                body.long(1).text("orders").long(1).long(0).short(0);
                body.long(-1).long(-1).long(0).long(7);
            }
            key::OFFSET_FETCH => {
                // No commit: -1, without a text and an error.
                body.long(1).text("orders").long(1).long(0);
                body.long(-1).long(-1).text("").short(0);
            }
            _ => return None,
        }
        Some(body.0)
    }
}

impl Tale {
    /// The other broker, where it is named as this.
    fn other(&self, as_what: Names) -> Option<&(String, u16)> {
        self.other.as_ref().filter(|_| self.names == as_what)
    }
}

/// An answer as Kafka writes it.
#[derive(Default)]
struct Body(Vec<u8>);

impl Body {
    fn byte(&mut self, number: u8) -> &mut Self {
        self.0.push(number);
        self
    }

    fn short(&mut self, number: i16) -> &mut Self {
        self.0.extend(number.to_be_bytes());
        self
    }

    fn long(&mut self, number: i32) -> &mut Self {
        self.0.extend(number.to_be_bytes());
        self
    }

    fn text(&mut self, text: &str) -> &mut Self {
        self.short(i16::try_from(text.len()).unwrap());
        self.0.extend(text.as_bytes());
        self
    }

    fn place(&mut self, (host, port): &(String, u16)) -> &mut Self {
        self.text(host).long(i32::from(*port))
    }
}
