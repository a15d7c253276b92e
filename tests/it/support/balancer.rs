//! A load balancer for TCP: each new connection goes to the next replica whose `/readyz` at the port for events is 200.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::await_until;
use super::process::get;

/// Between two probes: shorter than a replica goes on serving after its end is announced.
const EVERY: Duration = Duration::from_secs(1);
/// A replica starts, and a probe sees it.
const SOON: Duration = Duration::from_secs(30);

/// A replica, and what its last probe said.
struct Backend {
    address: String,
    is_ready: bool,
}

/// Listens until it is dropped.
pub(crate) struct Balancer {
    address: String,
    backends: Arc<Mutex<Vec<Backend>>>,
    _tasks: JoinSet<()>,
}

impl Balancer {
    /// Without a replica.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let backends = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = JoinSet::new();
        tasks.spawn(probe(Arc::clone(&backends)));
        tasks.spawn(accept(listener, Arc::clone(&backends)));
        Self {
            address,
            backends,
            _tasks: tasks,
        }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Adds a replica, and waits until it has connections.
    pub(crate) async fn add(&self, address: &str) {
        let backend = Backend {
            address: address.to_owned(),
            is_ready: false,
        };
        self.backends.lock().unwrap().push(backend);
        await_until("the replica has connections", SOON, async || {
            self.serves(address).then_some(())
        })
        .await;
    }

    /// Removes a replica.
    pub(crate) fn remove(&self, address: &str) {
        let mut backends = self.backends.lock().unwrap();
        backends.retain(|backend| backend.address != address);
    }

    /// Whether new connections go to this replica.
    pub(crate) fn serves(&self, address: &str) -> bool {
        let backends = self.backends.lock().unwrap();
        let mut ready = backends.iter().filter(|backend| backend.is_ready);
        ready.any(|backend| backend.address == address)
    }
}

async fn probe(backends: Arc<Mutex<Vec<Backend>>>) {
    loop {
        let addresses: Vec<String> = {
            let backends = backends.lock().unwrap();
            backends.iter().map(|it| it.address.clone()).collect()
        };
        for address in addresses {
            let answer = tokio::time::timeout(EVERY, get(&address, "/readyz")).await;
            let is_ready = answer.is_ok_and(|body| body.as_deref() == Some("ok\n"));
            let mut backends = backends.lock().unwrap();
            let mut probed = backends.iter_mut().filter(|it| it.address == address);
            if let Some(backend) = probed.next() {
                backend.is_ready = is_ready;
            }
        }
        tokio::time::sleep(EVERY).await;
    }
}

async fn accept(listener: TcpListener, backends: Arc<Mutex<Vec<Backend>>>) {
    let mut wires = JoinSet::new();
    for turn in 0.. {
        let (mut near, _) = listener.accept().await.unwrap();
        let address = {
            let backends = backends.lock().unwrap();
            let ready: Vec<&Backend> = backends.iter().filter(|it| it.is_ready).collect();
            let next = ready.get(turn % ready.len().max(1));
            next.map(|backend| backend.address.clone())
        };
        wires.spawn(async move {
            // Who finds nobody is closed without a word, as it is by a kernel.
            let Some(address) = address else { return };
            if let Ok(mut far) = TcpStream::connect(address).await {
                drop(tokio::io::copy_bidirectional(&mut near, &mut far).await);
            }
        });
        while wires.try_join_next().is_some() {}
    }
}
