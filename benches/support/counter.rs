//! A door before the queue service that counts who comes: each call goes on to the real one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// It is open until it is dropped.
pub(crate) struct Counter {
    /// Where to call instead.
    pub(crate) endpoint: String,
    calls: Arc<AtomicU32>,
    _server: JoinSet<()>,
}

impl Counter {
    /// Before the service at an address, `http://HOST:PORT`.
    pub(crate) async fn before(service: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let calls = Arc::<AtomicU32>::default();
        let client = Client::builder(TokioExecutor::new()).build_http::<Body>();
        let counted = Arc::clone(&calls);
        let pass = move |mut request: Request| {
            counted.fetch_add(1, Ordering::Relaxed);
            let path = request
                .uri()
                .path_and_query()
                .map_or("/", |path| path.as_str());
            let to = format!("{service}{path}");
            *request.uri_mut() = to.parse().expect("an address");
            let answer = client.request(request);
            async move { answer.await.expect("the service answers").into_response() as Response }
        };
        let mut server = JoinSet::new();
        server.spawn(async move {
            let router = Router::new().fallback(pass);
            axum::serve(listener, router).await.expect("a server");
        });
        Self {
            endpoint: format!("http://{address}"),
            calls,
            _server: server,
        }
    }

    /// Calls so far.
    pub(crate) fn calls(&self) -> f64 {
        f64::from(self.calls.load(Ordering::Relaxed))
    }
}
