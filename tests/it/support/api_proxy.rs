//! The real API server, with faults of the kind it cannot be made to show: a
//! proxy of ours in front of it, plain HTTP on loopback, that forwards with the
//! credentials of a kubeconfig and breaks what a test asks it to break.
//!
//! A test writes `proxy.fault(Rule::on("POST", "/jobs", Fault::Cut).times(3))`
//! and points its client, or the built binary through [`ApiProxy::kubeconfig`],
//! at the proxy. Rules are tried in order; the first that applies is used.
//! What passed is counted: `proxy.traffic_since(mark).writes("/jobs")`.

mod forward;
mod rules;
mod tests;
mod traffic;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

pub(crate) use self::rules::{Fault, Rule, RuleHandle};
pub(crate) use self::traffic::Traffic;

use self::forward::{Shared, handle};
use self::rules::Rules;

/// How the address of a create of a Job goes on; that of a dry run does not.
pub(crate) const CREATES: &str = "/jobs?timeout=4s&fieldValidation";

/// A running proxy; it stops when it is dropped.
pub(crate) struct ApiProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    _server: JoinSet<()>,
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
            rules: Mutex::new(Rules::new(42)),
            passed: Mutex::default(),
            frozen: watch::Sender::new(false),
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

    /// Adds a rule after those there are. The handle takes it off again.
    pub(crate) fn fault(&self, rule: Rule) -> RuleHandle {
        self.rules(|rules| rules.add(rule))
    }

    /// From now on faults strike by the chances of this seed.
    pub(crate) fn reseed(&self, seed: u64) {
        self.rules(|rules| rules.reseed(seed));
    }

    /// Takes one rule off; the others stay.
    pub(crate) fn lift(&self, handle: RuleHandle) {
        self.rules(|rules| rules.remove(handle));
    }

    /// From now on everything is forwarded.
    pub(crate) fn heal(&self) {
        self.rules(Rules::clear);
        self.silence(false);
        self.thaw();
    }

    fn rules<T>(&self, change: impl FnOnce(&mut Rules) -> T) -> T {
        change(&mut self.shared.rules.lock().expect("no panic under the lock"))
    }

    /// Calls that come wait until [`thaw`](Self::thaw), and are then carried through even if their caller has gone.
    /// Running watches pass nothing on meanwhile. Rules strike after the thaw.
    pub(crate) fn freeze(&self) {
        self.shared.frozen.send_replace(true);
    }

    /// Ends what [`freeze`](Self::freeze) began.
    pub(crate) fn thaw(&self) {
        self.shared.frozen.send_replace(false);
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
        self.traffic_since(0).calls(method, path)
    }

    /// Now, for [`traffic_since`](Self::traffic_since): how many calls have come so far.
    pub(crate) fn mark(&self) -> usize {
        self.shared
            .passed
            .lock()
            .expect("no panic under the lock")
            .len()
    }

    /// What came after a mark.
    pub(crate) fn traffic_since(&self, mark: usize) -> Traffic {
        let passed = self.shared.passed.lock().expect("no panic under the lock");
        Traffic(passed[mark..].to_vec())
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
