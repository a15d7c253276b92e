//! The status page and its API, at `--admin`: for people, on loopback.
//!
//! This room owns who may ask and what is sent; `page` owns what it says, `board` what is known. Every request needs a
//! `Host` of loopback or of `--admin-host`, so that no page of elsewhere reads it by a name of its own. Writes need more
//! (`guard`). Connections are driven by `http1`, as those of strangers.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Body as _, Bytes, Incoming};
use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::timeout_at;
use tokio_util::sync::CancellationToken;

use self::answer::{error, html, json_answer, redirect, text_file};
use self::route::AdminRoute;
use crate::board::Board;
use crate::history::{HistoryRecord, SharedHistory, Subject, SubjectKind, json as records};
use crate::page::api;
use crate::page::decision::{self, DecisionLine};
use crate::page::object::{PageKey, PageKind};
use crate::page::overview::PageMemory;
use crate::page::shell::{ICON, SCRIPT, STYLE, notice};
use crate::page::timeline::JobStory;
use crate::resource::ObjectId;
use crate::serve::accept;
use crate::serve::http1::{self, ConnectionLimits, HeadFault, Progress, Respond};

mod actions;
mod answer;
mod guard;
mod route;
mod stream;
mod views;

pub use self::actions::AdminAction;

/// What it is called in the log.
const NAME: &str = "the status page";
/// Browsers open six each. A newcomer takes the place of the one that has rested longest.
const CONNECTIONS: usize = 64;
/// Pages that are kept up to date at once.
const STREAMS: usize = 32;
/// Reads of the API server for pages at once.
const READS: usize = 4;
/// Decisions that an object's page has.
const DECISIONS: usize = 30;
/// A page is kept up to date by something at least as often.
const ALIVE_EVERY: Duration = Duration::from_secs(15);
/// What is asked for by a write is no longer.
const LONGEST_ACTION: usize = 4 * 1024;

/// The body of an answer.
type AdminBody = UnsyncBoxBody<Bytes, Infallible>;

/// Who knows what the page shows.
pub trait Admin: Send + Sync + 'static {
    /// The objects.
    fn board(&self) -> &Board;

    /// Whose memory it is.
    fn memory(&self) -> PageMemory;

    /// What was decided and answered here.
    fn history(&self) -> &SharedHistory;

    /// A Job and its Pods as they are now; `None` when there is no such Job.
    ///
    /// # Errors
    ///
    /// Why it cannot be told, in words.
    fn story<'a>(&'a self, job: &'a ObjectId) -> BoxFuture<'a, Result<Option<JobStory>, String>>;

    /// What a write must show; `None` when writes are off.
    ///
    /// # Errors
    ///
    /// Why it is not known, in words.
    fn token(&self) -> Result<Option<SecretString>, String>;

    /// Does what somebody asked for who may. Returns what came of it, in words.
    ///
    /// # Errors
    ///
    /// Why it was not done, in words.
    fn act<'a>(&'a self, action: &'a AdminAction) -> BoxFuture<'a, Result<String, String>>;
}

/// Settings of the page.
#[derive(Debug, Clone)]
pub struct AdminSettings {
    /// Names beside loopback that a `Host` may have.
    pub hosts: Vec<String>,
    /// The wall clock.
    pub clock: fn() -> Timestamp,
}

/// What all connections share.
struct AdminState<A> {
    admin: Arc<A>,
    settings: AdminSettings,
    streams: Arc<Semaphore>,
    reads: Semaphore,
}

/// Answers until `stop`, then what is under way. Whoever stops the process need not wait for that.
pub async fn serve<A: Admin>(
    listener: TcpListener,
    admin: Arc<A>,
    settings: AdminSettings,
    stop: CancellationToken,
) {
    let limits = ConnectionLimits {
        connections: accept::within_descriptors(CONNECTIONS, 16),
        head: Duration::from_secs(5),
        whole: Duration::from_secs(10),
        // A page of a thousand objects, over a slow link.
        write: Duration::from_secs(20),
        // Longer than a stream is silent.
        idle: ALIVE_EVERY * 4,
        linger: Duration::from_secs(1),
    };
    let state = AdminState {
        admin,
        settings,
        streams: Arc::new(Semaphore::new(STREAMS)),
        reads: Semaphore::new(READS),
    };
    http1::serve(
        NAME,
        listener,
        Arc::new(Shared(Arc::new(state))),
        // Nobody but this machine, or kubectl, is at the other end.
        None,
        limits,
        stop,
    )
    .await;
}

/// A state that streams hold on to.
struct Shared<A>(Arc<AdminState<A>>);

impl<A: Admin> Respond for Shared<A> {
    type Body = AdminBody;

    fn respond<'a>(
        &'a self,
        request: Request<Incoming>,
        progress: &'a Progress,
    ) -> BoxFuture<'a, Response<AdminBody>> {
        Box::pin(async move {
            let deadline = progress.requested();
            let (head, incoming) = request.into_parts();
            let mut response = self.answer(&head, incoming, progress, deadline).await;
            answer::protect(&mut response);
            response
        })
    }

    fn no_request(&self, fault: HeadFault) -> Response<Full<Bytes>> {
        let (status, words) = match fault {
            HeadFault::TooSlow => (StatusCode::SERVICE_UNAVAILABLE, "no request came in time\n"),
            HeadFault::TooLarge => (
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "the head is too large\n",
            ),
            HeadFault::Malformed => (StatusCode::BAD_REQUEST, "this is no HTTP/1.1 request\n"),
        };
        let mut response = Response::new(Full::from(words));
        *response.status_mut() = status;
        response
    }
}

impl<A: Admin> Shared<A> {
    async fn answer(
        &self,
        head: &Parts,
        incoming: Incoming,
        progress: &Progress,
        deadline: tokio::time::Instant,
    ) -> Response<AdminBody> {
        if let Err(refusal) = guard::host(head, &self.0.settings.hosts) {
            return error(refusal.status, refusal.reason, &refusal.message);
        }
        let Some(route) = AdminRoute::of(head.uri.path(), head.uri.query().unwrap_or_default())
        else {
            return not_found(head, "There is nothing at this address.");
        };
        if matches!(route, AdminRoute::Actions) {
            return self.write(head, incoming, progress, deadline).await;
        }
        if !matches!(head.method, Method::GET | Method::HEAD) {
            return answer::only("GET, HEAD", "GET or HEAD");
        }
        let mut response = self.0.read(head, route, progress).await;
        if !incoming.is_end_stream() {
            answer::close(&mut response);
        }
        response
    }

    /// A write: it is asked for, shown to be ours, and done.
    async fn write(
        &self,
        head: &Parts,
        incoming: Incoming,
        progress: &Progress,
        deadline: tokio::time::Instant,
    ) -> Response<AdminBody> {
        if head.method != Method::POST {
            return answer::only("POST", "actions are sent with POST");
        }
        let token = match self.0.admin.token() {
            Ok(Some(token)) => token,
            Ok(None) => {
                let words = "writes are off: start Slipway with --admin-write";
                return answer::close_after(error(StatusCode::FORBIDDEN, "WritesOff", words));
            }
            Err(why) => {
                return answer::close_after(error(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "NoToken",
                    &why,
                ));
            }
        };
        if let Err(refusal) = guard::write(head, &token) {
            return answer::close_after(error(refusal.status, refusal.reason, &refusal.message));
        }
        progress.waits_for_body();
        let body = timeout_at(deadline, Limited::new(incoming, LONGEST_ACTION).collect()).await;
        progress.has_body();
        let Ok(Ok(body)) = body else {
            let words = "no action of 4 KiB at most came in time";
            return answer::close_after(error(StatusCode::BAD_REQUEST, "BadRequest", words));
        };
        let action = match AdminAction::parse(&body.to_bytes()) {
            Ok(action) => action,
            Err(why) => return error(StatusCode::BAD_REQUEST, "BadRequest", &why),
        };
        match self.0.admin.act(&action).await {
            Ok(message) => {
                json_answer(&json!({"statusCode": 200, "result": "Done", "message": message}))
            }
            Err(why) => error(StatusCode::CONFLICT, "NotDone", &why),
        }
    }
}

impl<A: Admin> AdminState<A> {
    async fn read(
        self: &Arc<Self>,
        head: &Parts,
        route: AdminRoute,
        progress: &Progress,
    ) -> Response<AdminBody> {
        let now = (self.settings.clock)();
        let board = self.admin.board();
        match route {
            AdminRoute::Style => text_file("text/css; charset=utf-8", STYLE),
            AdminRoute::Script => text_file("text/javascript; charset=utf-8", SCRIPT),
            AdminRoute::Icon => text_file("image/svg+xml", ICON),
            AdminRoute::View(view) => match self.document(&view).await {
                Ok(Some(document)) => html(StatusCode::OK, document),
                Ok(None) => not_found(head, "There is no such object or Job here, or it is gone."),
                Err(why) => html(
                    StatusCode::SERVICE_UNAVAILABLE,
                    notice("This cannot be told now", &why),
                ),
            },
            AdminRoute::Find(sought) => match self.find(&sought) {
                views::Found::One(path) => redirect(&path),
                views::Found::Page(document) => html(StatusCode::OK, document),
            },
            AdminRoute::Stream(view) => {
                let Ok(place) = Arc::clone(&self.streams).try_acquire_owned() else {
                    let words = format!("{STREAMS} pages are kept up to date already");
                    return error(StatusCode::SERVICE_UNAVAILABLE, "Busy", &words);
                };
                progress.streams();
                let seen = route::parameter(head.uri.query().unwrap_or_default(), "seen");
                stream::answer(Arc::clone(self), view, seen.unwrap_or_default(), place)
            }
            AdminRoute::Objects => {
                json_answer(&api::objects(&board.rows(), &self.admin.memory(), now))
            }
            AdminRoute::Object(key) => match board.row(&key) {
                Some(row) => json_answer(&api::one(&row, board.jobs(&key).as_ref())),
                None => not_found(head, "There is no such object."),
            },
            AdminRoute::RecordsOf(key) => json_answer(&records::list(&self.records(&key))),
            AdminRoute::RecordsOfEvent(id) => {
                json_answer(&records::list(&self.admin.history().of_event(&id)))
            }
            AdminRoute::RecordsOfJob(name) => {
                json_answer(&records::list(&self.admin.history().of_job(&name)))
            }
            AdminRoute::Job(id) => match self.story(&id).await {
                Ok(Some(story)) => json_answer(&api::story(&story)),
                Ok(None) => not_found(head, "There is no such Job."),
                Err(why) => error(StatusCode::SERVICE_UNAVAILABLE, "Unavailable", &why),
            },
            // A write, and handled as one.
            AdminRoute::Actions => not_found(head, "There is nothing at this address."),
        }
    }

    /// What was decided here about an object, the oldest first.
    fn records(&self, key: &PageKey) -> Vec<HistoryRecord> {
        let kind = match key.kind {
            PageKind::ScaledJob => SubjectKind::ScaledJob,
            PageKind::KedaScaledJob => SubjectKind::KedaScaledJob,
            PageKind::EventJob => SubjectKind::EventJob,
            PageKind::CronJob => SubjectKind::CronJob,
        };
        let id = key.id.clone();
        self.admin.history().of_object(&Subject { kind, id }, None)
    }

    /// The last of it in words, the newest first.
    fn decisions(&self, key: &PageKey) -> Vec<DecisionLine> {
        decision::newest(&self.records(key), DECISIONS)
    }

    /// A Job with its Pods; few are read at once.
    async fn story(&self, id: &ObjectId) -> Result<Option<JobStory>, String> {
        let Ok(_place) = self.reads.acquire().await else {
            return Err("this process ends".to_owned());
        };
        self.admin.story(id).await
    }
}

fn not_found(head: &Parts, words: &str) -> Response<AdminBody> {
    if head.uri.path().starts_with("/api/") {
        return error(StatusCode::NOT_FOUND, "NotFound", words);
    }
    html(StatusCode::NOT_FOUND, notice("Not found", words))
}

/// A moment as JSON.
fn stamp(now: Timestamp) -> Value {
    format!("{now:.3}").into()
}
