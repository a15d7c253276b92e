//! The real API server, with faults of the kind it cannot be made to show: a
//! proxy of ours in front of it, plain HTTP on loopback, that forwards with the
//! credentials of a kubeconfig and breaks what a test asks it to break.
//!
//! A test writes `proxy.fault(Rule::on("POST", "/jobs", Fault::Cut).times(3))`
//! and points its client, or the built binary through [`ApiProxy::kubeconfig`],
//! at the proxy. Rules are tried in order; the first that applies is used.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::{StreamExt, stream};
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// The API server's own limit.
const LARGEST_BODY: usize = 3 << 20;

/// What goes wrong with a call.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// The call is not forwarded; the answer has this code.
    Refuse(u16),
    /// As `Refuse(429)`, with `Retry-After` in seconds.
    SlowDown(u64),
    /// The call is forwarded, and its answer replaced by one with this code.
    AppliedThen(u16),
    /// The call is forwarded, and the connection cut in the middle of its answer.
    Cut,
    /// The answer is 504 at once; the call is forwarded this much later.
    Late(Duration),
    /// The call is forwarded, and the answer held back for ever.
    Hang,
}

/// Which calls a fault strikes.
pub(crate) struct Rule {
    method: &'static str,
    path: String,
    fault: Fault,
    when: When,
}

enum When {
    Always,
    Times(usize),
    Percent(u64),
}

impl Rule {
    /// Every call with this method whose path (with its query) contains `path`.
    pub(crate) fn on(method: &'static str, path: impl Into<String>, fault: Fault) -> Self {
        Self {
            method,
            path: path.into(),
            fault,
            when: When::Always,
        }
    }

    /// Only the first so many.
    pub(crate) fn times(mut self, times: usize) -> Self {
        self.when = When::Times(times);
        self
    }

    /// So many in a hundred, by a fixed series of chances.
    pub(crate) fn percent(mut self, percent: u64) -> Self {
        self.when = When::Percent(percent);
        self
    }

    fn strikes(&mut self, method: &Method, path: &str, chance: &mut u64) -> bool {
        if method.as_str() != self.method || !path.contains(&self.path) {
            return false;
        }
        match &mut self.when {
            When::Always => true,
            When::Times(0) => false,
            When::Times(left) => {
                *left -= 1;
                true
            }
            When::Percent(percent) => {
                // Knuth's MMIX constants: the same faults in every run.
                *chance = chance
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                (*chance >> 33) % 100 < *percent
            }
        }
    }
}

/// A running proxy; it stops when it is dropped.
pub(crate) struct ApiProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    _server: JoinSet<()>,
}

struct Shared {
    upstream: kube::Client,
    rules: Mutex<Rules>,
    calls: Mutex<Vec<(Method, String)>>,
    /// Whether watches pass nothing on.
    silent: watch::Sender<bool>,
    /// Told when watches are to end.
    cut: watch::Sender<()>,
    /// Calls to be forwarded later.
    late: Mutex<JoinSet<()>>,
    /// How many seconds the server's clock is ahead of the truth.
    ahead: AtomicI64,
}

struct Rules {
    rules: Vec<Rule>,
    chance: u64,
}

impl ApiProxy {
    /// In front of the API server that the tests' kubeconfig names, with its credentials.
    pub(crate) async fn start() -> Self {
        Self::start_as(&super::servers::kubeconfig()).await
    }

    /// With the credentials of another kubeconfig.
    pub(crate) async fn start_as(kubeconfig: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound listener");
        let shared = Arc::new(Shared {
            upstream: client_of(kubeconfig).await,
            rules: Mutex::new(Rules {
                rules: Vec::new(),
                chance: 42,
            }),
            calls: Mutex::default(),
            silent: watch::Sender::new(false),
            cut: watch::Sender::new(()),
            late: Mutex::default(),
            ahead: AtomicI64::new(0),
        });
        let router = Router::new()
            .fallback(handle)
            .with_state(Arc::clone(&shared));
        let mut server = JoinSet::new();
        server.spawn(async move {
            axum::serve(listener, router).await.expect("a server");
        });
        Self {
            address,
            shared,
            _server: server,
        }
    }

    /// Adds a rule after those there are.
    pub(crate) fn fault(&self, rule: Rule) {
        self.shared
            .rules
            .lock()
            .expect("no panic under the lock")
            .rules
            .push(rule);
    }

    /// From now on everything is forwarded.
    pub(crate) fn heal(&self) {
        self.shared
            .rules
            .lock()
            .expect("no panic under the lock")
            .rules
            .clear();
        self.silence(false);
    }

    /// Whether watches, running and new ones, pass nothing on. What they would have said comes after the silence.
    pub(crate) fn silence(&self, silent: bool) {
        self.shared.silent.send_replace(silent);
    }

    /// From now on answers say that it is so many hours later than it is.
    pub(crate) fn set_clock_ahead(&self, hours: i64) {
        self.shared.ahead.store(hours * 3_600, Ordering::Relaxed);
    }

    /// Ends every watch that is running.
    pub(crate) fn cut_watches(&self) {
        self.shared.cut.send_replace(());
    }

    /// How many calls with this method came whose path contains `path`.
    pub(crate) fn calls(&self, method: &str, path: &str) -> usize {
        let calls = self.shared.calls.lock().expect("no panic under the lock");
        let counted = |(m, p): &&(Method, String)| m.as_str() == method && p.contains(path);
        calls.iter().filter(counted).count()
    }

    /// A client with the program's own settings that talks to the proxy.
    pub(crate) fn client(&self) -> kube::Client {
        let address = format!("http://{}", self.address);
        let config = kube::Config::new(address.parse().expect("an address"));
        slipway::cluster::client(config).expect("a client")
    }

    /// A kubeconfig that leads a process to the proxy.
    pub(crate) fn kubeconfig(&self) -> String {
        json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "proxy", "cluster": {"server": format!("http://{}", self.address)}}],
            "users": [{"name": "proxy", "user": {}}],
            "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "proxy"}}],
            "current-context": "proxy",
        })
        .to_string()
    }
}

/// A client of the real API server with the credentials of a kubeconfig.
pub(crate) async fn client_of(kubeconfig: &str) -> kube::Client {
    let kubeconfig = Kubeconfig::read_from(kubeconfig).expect("a kubeconfig");
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .expect("a usable kubeconfig");
    slipway::cluster::client(config).expect("a client")
}

/// One call, read whole, so that it can be sent on at any time.
#[derive(Clone)]
struct Incoming {
    method: Method,
    path: String,
    media_type: Option<header::HeaderValue>,
    accept: Option<header::HeaderValue>,
    body: Bytes,
}

async fn handle(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let header = |name| parts.headers.get(name).cloned();
    let incoming = Incoming {
        path: parts.uri.to_string(),
        media_type: header(header::CONTENT_TYPE),
        accept: header(header::ACCEPT),
        method: parts.method.clone(),
        body: to_bytes(body, LARGEST_BODY).await.expect("a small body"),
    };
    let call = (incoming.method.clone(), incoming.path.clone());
    shared
        .calls
        .lock()
        .expect("no panic under the lock")
        .push(call);
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
            let late = Arc::clone(&shared);
            shared
                .late
                .lock()
                .expect("no panic under the lock")
                .spawn(async move {
                    tokio::time::sleep(delay).await;
                    late.forward(incoming).await;
                });
            refuse(504)
        }
        Some(Fault::Hang) => {
            shared.forward(incoming).await;
            std::future::pending().await
        }
    }
}

impl Shared {
    fn strike(&self, incoming: &Incoming) -> Option<Fault> {
        let Rules { rules, chance } = &mut *self.rules.lock().expect("no panic under the lock");
        rules.iter_mut().find_map(|rule| {
            rule.strikes(&incoming.method, &incoming.path, chance)
                .then_some(rule.fault)
        })
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
        let mut response = Response::new(Body::new(body));
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

    /// A watch's body that waits while there is silence.
    fn audible(&self, body: Body) -> Body {
        let silent = self.silent.subscribe();
        let mut cut = self.cut.subscribe();
        let end = async move {
            // The sender lives as long as the proxy: nobody listens after the proxy.
            drop(cut.changed().await);
        };
        let pieces = body.into_data_stream().then(move |piece| {
            let mut silent = silent.clone();
            async move {
                // The sender lives as long as the proxy; after it nobody listens.
                let _ended = silent.wait_for(|silent| !silent).await.is_err();
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
