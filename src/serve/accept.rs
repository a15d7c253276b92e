//! Accepting connections, whatever keeps it from working for a while.

use std::io;
use std::time::Duration;

use futures::FutureExt as _;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinError;
use tokio::time::Instant;
use tracing::{error, warn};

/// Descriptors are raised to this, where the system allows it: more than all ports, calls and sources take together.
const DESCRIPTORS: u64 = 65_536;
/// How long nothing is accepted when the process has no file descriptor or memory for it.
const PAUSE: Duration = Duration::from_millis(100);
/// Such a trouble is told this often.
const TOLD_EVERY: Duration = Duration::from_secs(10);

/// Lets the process have as many file descriptors as it is allowed to, 65,536 at most. Where that fails, it goes
/// on with those that it has: every port takes a part of them only.
pub fn raise_descriptor_limit() {
    let limits = getrlimit(Resource::Nofile);
    let allowed = limits
        .maximum
        .map_or(DESCRIPTORS, |most| most.min(DESCRIPTORS));
    if limits.current.is_some_and(|current| current < allowed) {
        let raised = Rlimit {
            current: Some(allowed),
            maximum: limits.maximum,
        };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            warn!("the limit of file descriptors cannot be raised: {error}");
        }
    }
}

/// So many connections, and no more than one of `parts` parts of the process's file descriptors: the rest of the program
/// keeps enough for its calls, sources and files.
pub fn within_descriptors(connections: usize, parts: usize) -> usize {
    let descriptors = getrlimit(Resource::Nofile).current;
    let descriptors = descriptors.and_then(|most| usize::try_from(most).ok());
    descriptors.map_or(connections, |most| connections.min((most / parts).max(1)))
}

/// A listener, and what was said of its troubles.
pub(super) struct Accepting {
    listener: TcpListener,
    /// What it is called in the log, such as "the port for KEDA".
    name: &'static str,
    told: Option<Instant>,
}

impl Accepting {
    pub(super) fn new(listener: TcpListener, name: &'static str) -> Self {
        Self {
            listener,
            name,
            told: None,
        }
    }

    /// The next connection. A listener that cannot accept is tried again, as what keeps it from accepting passes.
    /// May be dropped at any time.
    pub(super) async fn next(&mut self) -> TcpStream {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => return stream,
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    if self.told.is_none_or(|told| told.elapsed() >= TOLD_EVERY) {
                        self.told = Some(Instant::now());
                        warn!(
                            error = &error as &dyn std::error::Error,
                            "{} cannot accept connections; it tries again", self.name
                        );
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// One that the kernel has accepted for us already.
    pub(super) fn at_hand(&self) -> Option<TcpStream> {
        let accepted = self.listener.accept().now_or_never()?;
        Some(accepted.ok()?.0)
    }
}

/// Takes note of a connection's end. A panic over one is a bug, but ends no other's: what a stranger sends must not end
/// the process. `name` as of [`Accepting::new`].
pub(super) fn note(name: &str, ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        error!(
            error = &error as &dyn std::error::Error,
            "a connection to {name} ended by a bug"
        );
    }
}

/// The connection was gone before it was accepted; the listener is well.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}
