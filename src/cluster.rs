//! One call to the Kubernetes API server, and its answer as it came.
//!
//! This room owns what every caller must get right: no hidden retry, a deadline
//! on the whole call (the body too), server's words cut to a length that fits a
//! status. `budget` divides the calls under way between namespaces, `guard` asks
//! once more before a call goes out. What an answer means is left to the callers.

use std::error::Error as StdError;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{Method, Request, header};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::Instant;
use url::form_urlencoded;

pub use self::budget::Budget;
pub use self::guard::Guard;
use self::guard::Guarding;
use crate::bounded;
use crate::places::{Caller, Place, Room};
use crate::shown::with_causes;

/// How long a call may take when it says nothing else.
const DEADLINE: Duration = Duration::from_secs(10);
/// A call gets its place so long before its deadline, or half of its time when that is less, or it is not sent. Else all who
/// wait behind one that hangs would be sent in the moment when their time is up, and each would cost a connection.
const TIME_TO_ANSWER: Duration = Duration::from_secs(2);
/// A watch is silent for a minute at most (the server's bookmarks come each minute); twice that is a dead connection.
const LONGEST_SILENCE: Duration = Duration::from_secs(130);
/// A server that cannot be connected to in this time is down for this attempt.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest answer: a page of 500 Jobs of 100 KiB each, and some room. Unit: bytes.
const LONGEST_ANSWER: usize = 64 << 20;
/// Bytes of the server's words that are passed on: a status or an Event has room for about this much.
const LONGEST_WORDS: usize = 1024;

/// The namespaces a process works in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Every namespace, those made later too.
    All,
    /// These; at least one.
    Namespaces(Vec<String>),
}

impl Scope {
    /// The namespaces one by one; `None` once for all of them.
    pub fn parts(&self) -> Vec<Option<String>> {
        match self {
            Self::All => vec![None],
            Self::Namespaces(names) => names.iter().cloned().map(Some).collect(),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => formatter.write_str("all"),
            Self::Namespaces(names) => formatter.write_str(&names.join(",")),
        }
    }
}

/// A client with our rules: it never repeats a call by itself, and notices a dead connection.
///
/// # Errors
///
/// [`kube::Error`] when the configuration cannot be used: certificates, proxy, credentials.
pub fn client(mut config: kube::Config) -> Result<kube::Client, kube::Error> {
    // kube 5 repeats even a POST that was answered 504, which may have been applied.
    config.default_retry = false;
    config.read_timeout = Some(LONGEST_SILENCE);
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    kube::Client::try_from(config)
}

/// The API server, for calls with a deadline and for one purpose. Clones share one client and all budgets.
#[derive(Clone)]
pub struct Cluster {
    client: kube::Client,
    budget: Budget,
    /// One for each of [`Budget::DIVIDED`].
    rooms: Arc<[Arc<Room>]>,
    guarding: Guarding,
    /// What the server's clock said last, and when, in boot time.
    clock: Arc<Mutex<Option<(Timestamp, Duration)>>>,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Cluster({:?})", self.budget)
    }
}

/// What to send.
#[derive(Debug, Clone)]
pub struct Call {
    method: Method,
    path: String,
    query: Vec<(&'static str, String)>,
    body: Option<(&'static str, Value)>,
    accept: Option<&'static str>,
    deadline: Duration,
    /// The deadline counts from when it is sent.
    from_sending: bool,
    guard: Option<Guard>,
}

/// What came back, whatever its code.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status code.
    pub status: u16,
    /// `Retry-After`, when it was given in seconds.
    pub retry_after: Option<Duration>,
    body: Vec<u8>,
}

/// No answer, or none in time. Whatever was asked may have been done, unless it was not sent.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{detail}")]
pub struct NoAnswer {
    /// What happened, in words.
    pub detail: String,
    /// Nothing reached the server: no place was free in time, or the guard said no.
    pub is_unsent: bool,
}

impl NoAnswer {
    /// Nobody knows what became of the call.
    pub fn unclear(detail: impl Into<String>) -> Self {
        Self {
            detail: detail.into(),
            is_unsent: false,
        }
    }

    fn unsent(detail: impl Into<String>) -> Self {
        Self {
            detail: detail.into(),
            is_unsent: true,
        }
    }
}

impl Call {
    /// A read.
    pub fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path, None)
    }

    /// A create. The server gives up after 4 s, before its caller does.
    pub fn post(path: impl Into<String>, body: Value) -> Self {
        Self::new(Method::POST, path, Some(("application/json", body))).query("timeout", "4s")
    }

    /// A replacement. Send it with the `resourceVersion` it is based on.
    pub fn put(path: impl Into<String>, body: Value) -> Self {
        Self::new(Method::PUT, path, Some(("application/json", body))).query("timeout", "4s")
    }

    /// A JSON merge patch.
    pub fn merge_patch(path: impl Into<String>, body: Value) -> Self {
        Self::new(
            Method::PATCH,
            path,
            Some(("application/merge-patch+json", body)),
        )
    }

    /// A JSON patch: steps, of which all are done or none. A `test` that fails is answered 422.
    pub fn json_patch(path: impl Into<String>, steps: Value) -> Self {
        Self::new(
            Method::PATCH,
            path,
            Some(("application/json-patch+json", steps)),
        )
    }

    /// A delete with its options.
    pub fn delete(path: impl Into<String>, options: Value) -> Self {
        Self::new(Method::DELETE, path, Some(("application/json", options)))
    }

    fn new(method: Method, path: impl Into<String>, body: Option<(&'static str, Value)>) -> Self {
        Self {
            method,
            path: path.into(),
            query: Vec::new(),
            body,
            accept: None,
            deadline: DEADLINE,
            from_sending: false,
            guard: None,
        }
    }

    /// Asks for the objects of a list without their contents: metadata alone.
    #[must_use]
    pub fn metadata_only(mut self) -> Self {
        self.accept = Some("application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1");
        self
    }

    /// Adds a query parameter.
    #[must_use]
    pub fn query(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }

    /// Sets the deadline of the whole call; 10 s otherwise.
    #[must_use]
    pub fn within(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Counts the deadline anew when the call is sent: for one that may be late, and is repeated when it has no answer.
    #[must_use]
    pub fn from_sending(mut self) -> Self {
        self.from_sending = true;
        self
    }

    /// Asks again whether the call is still wanted, after every wait: when its place is given, and when its body is
    /// about to be written.
    #[must_use]
    pub fn guarded(mut self, guard: Guard) -> Self {
        self.guard = Some(guard);
        self
    }

    fn request(self) -> Result<Request<kube::client::Body>, NoAnswer> {
        let mut uri = self.path;
        for (index, (name, value)) in self.query.iter().enumerate() {
            uri.push(if index == 0 { '?' } else { '&' });
            uri.push_str(name);
            uri.push('=');
            uri.extend(form_urlencoded::byte_serialize(value.as_bytes()));
        }
        let mut request = Request::builder().method(self.method).uri(uri);
        if let Some(media_type) = self.accept {
            request = request.header(header::ACCEPT, media_type);
        }
        let body = match self.body {
            None => kube::client::Body::empty(),
            Some((media_type, value)) => {
                request = request.header(header::CONTENT_TYPE, media_type);
                kube::client::Body::from(value.to_string().into_bytes())
            }
        };
        request
            .body(body)
            .map_err(|error| NoAnswer::unsent(format!("the request cannot be written: {error}")))
    }
}

impl Cluster {
    /// Calls through a client, which should come from [`client`], for [`Budget::Reads`]. Needs a runtime.
    pub fn new(client: kube::Client) -> Self {
        let rooms = Budget::DIVIDED.map(|budget| Room::new(budget.size()));
        Self {
            client,
            budget: Budget::Reads,
            rooms: Arc::new(rooms),
            guarding: Guarding::new(),
            clock: Arc::default(),
        }
    }

    /// The same server, for calls of this purpose.
    #[must_use]
    pub fn with(self, budget: Budget) -> Self {
        Self { budget, ..self }
    }

    /// The server's clock, to a second or two: as its last answer told, and the time since then. `None` before the first answer.
    pub fn server_time(&self) -> Option<Timestamp> {
        let (told, at) = (*self.clock.lock().unwrap_or_else(PoisonError::into_inner))?;
        told.checked_add(boot::now().saturating_sub(at)).ok()
    }

    /// The client, for watches.
    pub fn client(&self) -> &kube::Client {
        &self.client
    }

    /// Sends once, and waits for the whole answer.
    ///
    /// # Errors
    ///
    /// [`NoAnswer`] when the connection failed or broke, the deadline passed, or the call was not sent.
    pub async fn send(&self, call: Call) -> Result<Answer, NoAnswer> {
        let (from_sending, started) = (call.from_sending, Instant::now());
        let caller = budget::caller(&call.method, &call.path);
        let (guard, deadline) = (call.guard.clone(), call.deadline);
        // Thousands may wait for a place: as text they take a tenth of the room.
        let request = call.request()?;
        let longest = deadline.saturating_sub(TIME_TO_ANSWER.min(deadline / 2));
        let place = tokio::time::timeout(longest, self.place(caller)).await;
        let place = place.map_err(|_| {
            let seconds = longest.as_secs();
            NoAnswer::unsent(format!(
                "not sent: too many calls for this namespace were under way for {seconds} s"
            ))
        })?;
        let started = if from_sending {
            Instant::now()
        } else {
            started
        };
        let exchange = Box::pin(self.exchange(request, guard, place));
        within(deadline, started, exchange).await
    }

    /// Waits for the place of a call, as long as that takes. For those of whom thousands may wait: what they send is
    /// made when it is their turn, and keeps no room until then.
    pub async fn turn(&self, method: &Method, path: &str) -> Turn<'_> {
        Turn {
            cluster: self,
            place: self.place(budget::caller(method, path)).await,
        }
    }

    /// A place for a call; `None` for the Lease, which needs none.
    async fn place(&self, caller: Caller) -> Option<Place> {
        let index = self.budget.index()?;
        Some(self.rooms[index].place(caller).await)
    }

    async fn exchange(
        &self,
        mut request: Request<kube::client::Body>,
        guard: Option<Guard>,
        mut place: Option<Place>,
    ) -> Result<Answer, NoAnswer> {
        let asked = match guard {
            Some(guard) => Some(self.guarding.put(guard, &mut request).await?),
            None => None,
        };
        place.iter_mut().for_each(Place::sent);
        let response = self.client.send(request).await.map_err(|error| {
            if asked.is_some_and(|asked| asked.said_no()) {
                return guard::said_no();
            }
            no_answer(&error)
        })?;
        let status = response.status().as_u16();
        let retry_after = response
            .headers()
            .get(header::RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.parse().ok())
            .map(Duration::from_secs);
        let date = response
            .headers()
            .get(header::DATE)
            .and_then(|value| jiff::fmt::rfc2822::parse(value.to_str().ok()?).ok());
        if let Some(date) = date {
            let told = Some((date.timestamp(), boot::now()));
            *self.clock.lock().unwrap_or_else(PoisonError::into_inner) = told;
        }
        let body = bounded::collect(response.into_body(), LONGEST_ANSWER).await;
        let body = Vec::from(body.map_err(|error| no_answer(&error))?);
        if let Some(place) = &mut place {
            place.answered(status);
        }
        Ok(Answer {
            status,
            retry_after,
            body,
        })
    }
}

/// The place of a call that is to be sent now. Dropping it gives it back.
#[derive(Debug)]
pub struct Turn<'a> {
    cluster: &'a Cluster,
    /// `None` for the Lease, which needs none.
    place: Option<Place>,
}

impl Turn<'_> {
    /// Sends once. The deadline counts from now on.
    ///
    /// # Errors
    ///
    /// [`NoAnswer`] as [`Cluster::send`].
    pub async fn send(self, call: Call) -> Result<Answer, NoAnswer> {
        let (guard, deadline) = (call.guard.clone(), call.deadline);
        let exchange = Box::pin(self.cluster.exchange(call.request()?, guard, self.place));
        within(deadline, Instant::now(), exchange).await
    }
}

/// The caller boxes it: an argument that an `async fn` takes by value makes every caller's future larger, and those who call are
/// many, and seldom do.
async fn within(
    deadline: Duration,
    started: Instant,
    exchange: Pin<Box<impl Future<Output = Result<Answer, NoAnswer>>>>,
) -> Result<Answer, NoAnswer> {
    let answer = tokio::time::timeout_at(started + deadline, exchange).await;
    answer.unwrap_or_else(|_| {
        let seconds = deadline.as_secs();
        Err(NoAnswer::unclear(format!("no answer within {seconds} s")))
    })
}

fn no_answer(error: &(dyn StdError + 'static)) -> NoAnswer {
    NoAnswer::unclear(shortened(&with_causes(error)))
}

impl Answer {
    /// Whether the code is 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body as a type, or what is wrong with it.
    ///
    /// # Errors
    ///
    /// [`NoAnswer`] when the body is not what it should be: an answer that cannot be read is none.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, NoAnswer> {
        serde_json::from_slice(&self.body)
            .map_err(|error| NoAnswer::unclear(format!("an answer that cannot be read: {error}")))
    }

    /// `reason` of a `Status`, such as `AlreadyExists`; empty when there is none.
    pub fn reason(&self) -> String {
        self.status_field("reason")
    }

    /// The server's own words, at most 1 KiB; the code when it has none.
    pub fn words(&self) -> String {
        let message = self.status_field("message");
        if message.is_empty() {
            return format!("the server answered {}", self.status);
        }
        shortened(&message).to_owned()
    }

    fn status_field(&self, field: &str) -> String {
        let status: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        status[field].as_str().unwrap_or_default().to_owned()
    }
}

fn shortened(text: &str) -> &str {
    &text[..text.floor_char_boundary(LONGEST_WORDS)]
}

pub mod boot;
mod budget;
mod guard;

#[cfg(test)]
mod tests;
