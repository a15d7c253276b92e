//! One call on its way: held while the proxy is frozen, broken as the rules say, forwarded, and its answer passed on.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::{StreamExt, stream};
use serde_json::json;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

use super::rules::{Fault, Rules};
use super::traffic::Passed;

/// The API server's own limit.
const LARGEST_BODY: usize = 3 << 20;

/// What all calls of one proxy share.
pub(super) struct Shared {
    pub(super) upstream: kube::Client,
    pub(super) rules: Mutex<Rules>,
    pub(super) passed: Mutex<Vec<Passed>>,
    /// Whether calls that come wait, and watches pass nothing on.
    pub(super) frozen: watch::Sender<bool>,
    /// Whether watches pass nothing on.
    pub(super) silent: watch::Sender<bool>,
    /// Told when watches are to end.
    pub(super) cut: watch::Sender<()>,
    /// Calls that go on although their caller may have gone.
    pub(super) late: Mutex<JoinSet<()>>,
    /// How many seconds the server's clock is ahead of the truth.
    pub(super) ahead: AtomicI64,
}

/// One call, read whole, so that it can be sent on at any time.
struct Incoming {
    method: Method,
    path: String,
    media_type: Option<header::HeaderValue>,
    accept: Option<header::HeaderValue>,
    body: Bytes,
    answer_bytes: Arc<AtomicU64>,
}

pub(super) async fn handle(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let header = |name| parts.headers.get(name).cloned();
    let passed = Passed::new(parts.method.clone(), parts.uri.to_string());
    let incoming = Incoming {
        path: parts.uri.to_string(),
        media_type: header(header::CONTENT_TYPE),
        accept: header(header::ACCEPT),
        method: parts.method.clone(),
        body: to_bytes(body, LARGEST_BODY).await.expect("a small body"),
        answer_bytes: passed.answer_bytes(),
    };
    shared
        .passed
        .lock()
        .expect("no panic under the lock")
        .push(passed);
    if *shared.frozen.borrow() {
        let server = Arc::clone(&shared);
        return shared
            .whatever_the_caller_does(async move {
                let mut frozen = server.frozen.subscribe();
                // The sender lives as long as the proxy; after it nobody waits.
                let _ended = frozen.wait_for(|frozen| !frozen).await.is_err();
                answer(server, incoming).await
            })
            .await;
    }
    answer(shared, incoming).await
}

async fn answer(shared: Arc<Shared>, incoming: Incoming) -> Response {
    match shared.strike(&incoming) {
        None => shared.forward(incoming).await,
        Some(Fault::Refuse(code)) => refuse(code),
        Some(Fault::SlowDown(seconds)) => {
            let retry_after = [(header::RETRY_AFTER, seconds.to_string())];
            (retry_after, refuse(429)).into_response()
        }
        Some(Fault::AppliedThen(code)) => {
            shared.forward(incoming).await;
            refuse(code)
        }
        Some(Fault::Cut) => {
            shared.forward(incoming).await;
            let broken = std::io::Error::other("cut by the proxy");
            let pieces = stream::iter([Ok(Bytes::from_static(b"{")), Err(broken)]);
            Body::from_stream(pieces).into_response()
        }
        Some(Fault::Late(delay)) => {
            let server = Arc::clone(&shared);
            shared.later(async move {
                tokio::time::sleep(delay).await;
                server.forward(incoming).await;
            });
            refuse(504)
        }
        Some(Fault::Delay(delay)) => {
            let server = Arc::clone(&shared);
            let forwarded = async move {
                tokio::time::sleep(delay).await;
                server.forward(incoming).await
            };
            shared.whatever_the_caller_does(forwarded).await
        }
        Some(Fault::DelayAnswer(delay)) => {
            let answer = shared.forward(incoming).await;
            tokio::time::sleep(delay).await;
            answer
        }
        Some(Fault::Hang) => {
            shared.forward(incoming).await;
            std::future::pending().await
        }
    }
}

impl Shared {
    fn strike(&self, incoming: &Incoming) -> Option<Fault> {
        self.rules
            .lock()
            .expect("no panic under the lock")
            .strike(&incoming.method, &incoming.path)
    }

    /// Runs until the proxy stops.
    fn later(&self, call: impl Future<Output = ()> + Send + 'static) {
        let mut late = self.late.lock().expect("no panic under the lock");
        while late.try_join_next().is_some() {}
        late.spawn(call);
    }

    /// A call that is carried through even if its caller gives up.
    async fn whatever_the_caller_does(
        &self,
        call: impl Future<Output = Response> + Send + 'static,
    ) -> Response {
        let (told, answer) = oneshot::channel();
        self.later(async move {
            // The caller may have gone: then nobody reads the answer.
            let _gone = told.send(call.await).is_err();
        });
        answer.await.expect("the proxy runs as long as its server")
    }

    async fn forward(&self, incoming: Incoming) -> Response {
        let is_watch = incoming.path.contains("watch=true");
        let mut request = axum::http::Request::builder()
            .method(incoming.method)
            .uri(incoming.path);
        if let Some(media_type) = incoming.media_type {
            request = request.header(header::CONTENT_TYPE, media_type);
        }
        if let Some(accept) = incoming.accept {
            request = request.header(header::ACCEPT, accept);
        }
        let request = request
            .body(kube::client::Body::from(incoming.body))
            .expect("a request that was one before");
        let answer = match self.upstream.send(request).await {
            Ok(answer) => answer,
            Err(error) => return (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
        };
        let (parts, body) = answer.into_parts();
        let answer_bytes = incoming.answer_bytes;
        let counted = Body::new(body).into_data_stream().inspect(move |piece| {
            let length = piece.as_ref().map_or(0, Bytes::len);
            answer_bytes.fetch_add(length as u64, Ordering::Relaxed);
        });
        let mut response = Response::new(Body::from_stream(counted));
        *response.status_mut() = parts.status;
        for name in [header::CONTENT_TYPE, header::RETRY_AFTER] {
            if let Some(value) = parts.headers.get(&name) {
                response.headers_mut().insert(name, value.clone());
            }
        }
        let date = self.date();
        response.headers_mut().insert(header::DATE, date);
        if is_watch {
            return response.map(|body| self.audible(body));
        }
        response
    }

    /// What the clock shows.
    #[expect(clippy::disallowed_methods, reason = "a test's server tells the time")]
    fn date(&self) -> header::HeaderValue {
        let now = jiff::Timestamp::now().as_second() + self.ahead.load(Ordering::Relaxed);
        let date = jiff::Timestamp::from_second(now).expect("a time");
        let date = date.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        date.parse().expect("a header's value")
    }

    /// A watch's body that waits while there is silence, or frost.
    fn audible(&self, body: Body) -> Body {
        let silent = self.silent.subscribe();
        let frozen = self.frozen.subscribe();
        let mut cut = self.cut.subscribe();
        let end = async move {
            // The sender lives as long as the proxy: nobody listens after the proxy.
            drop(cut.changed().await);
        };
        let pieces = body.into_data_stream().then(move |piece| {
            let (mut silent, mut frozen) = (silent.clone(), frozen.clone());
            async move {
                // The senders live as long as the proxy; after it nobody listens.
                let _ended = silent.wait_for(|silent| !silent).await.is_err();
                let _ended = frozen.wait_for(|frozen| !frozen).await.is_err();
                piece
            }
        });
        Body::from_stream(pieces.take_until(Box::pin(end)))
    }
}

fn refuse(code: u16) -> Response {
    let status = StatusCode::from_u16(code).expect("a status code");
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code,
        "message": format!("the proxy answers {code}"),
    });
    (status, axum::Json(body)).into_response()
}
