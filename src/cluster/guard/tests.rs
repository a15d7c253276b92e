use std::sync::Mutex;

use http::Method;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::*;
use crate::cluster::{Answer, Call, Cluster};

/// A server that keeps what it was asked to do, and a client whose connections stall until they are let go on.
struct Bench {
    cluster: Cluster,
    connections: Arc<Semaphore>,
    done: Arc<Mutex<Vec<(Method, usize)>>>,
    tasks: JoinSet<()>,
}

impl Bench {
    async fn start() -> Self {
        let done: Arc<Mutex<Vec<(Method, usize)>>> = Arc::default();
        let keeps = done.clone();
        let server = service_fn(move |request: Request<Incoming>| {
            let keeps = keeps.clone();
            async move {
                let method = request.method().clone();
                let body = request.into_body().collect().await?.to_bytes();
                keeps.lock().unwrap().push((method, body.len()));
                Ok::<_, hyper::Error>(Response::new("{}".to_owned()))
            }
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let http = http1::Builder::new();
                // A body that is refused breaks its connection.
                drop(
                    http.serve_connection(TokioIo::new(stream), server.clone())
                        .await,
                );
            }
        });
        let connections = Arc::new(Semaphore::new(0));
        let stalls = connections.clone();
        let http = legacy::Client::builder(TokioExecutor::new()).build_http::<Body>();
        let service = tower::service_fn(move |mut request: Request<Body>| {
            let (http, stalls) = (http.clone(), stalls.clone());
            async move {
                let uri = format!("http://{address}{}", request.uri());
                *request.uri_mut() = uri.parse().unwrap();
                stalls.acquire().await.unwrap().forget();
                http.request(request).await
            }
        });
        Self {
            cluster: Cluster::new(kube::Client::new(service, "")),
            connections,
            done,
            tasks,
        }
    }

    /// Sends a call whose guard says `before`, then `after` the connection stalled.
    async fn send(&self, call: Call, before: bool, after: bool) -> Result<Answer, NoAnswer> {
        let may = Arc::new(AtomicBool::new(before));
        let asked = may.clone();
        let guard = Guard::new(move || asked.load(Ordering::Relaxed));
        let mut sent = Box::pin(self.cluster.send(call.guarded(guard)));
        for _ in 0..100 {
            if let std::task::Poll::Ready(answer) = futures::poll!(&mut sent) {
                return answer;
            }
            tokio::task::yield_now().await;
        }
        may.store(after, Ordering::Relaxed);
        self.connections.add_permits(1);
        sent.await
    }
}

#[tokio::test]
async fn what_is_no_longer_wanted_after_a_wait_is_not_sent() {
    let mut bench = Bench::start().await;
    let call = || Call::post("/apis/batch/v1/namespaces/a/jobs", json!({"a": 1}));
    for before in [false, true] {
        let refused = bench.send(call(), before, false).await.unwrap_err();
        assert!(refused.is_unsent, "{refused:?}");
    }
    // A body that is refused takes its connection with it, so its request would have been seen by now.
    let answer = bench.send(call(), true, true).await.unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(*bench.done.lock().unwrap(), [(Method::POST, 7)]);
    bench.tasks.shutdown().await;
}
