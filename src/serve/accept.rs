//! Accepting connections, whatever keeps it from working for a while.

use std::io;
use std::time::Duration;

use futures::FutureExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinError;
use tokio::time::Instant;
use tracing::{error, warn};

/// How long nothing is accepted when the process has no file descriptor or memory for it.
const PAUSE: Duration = Duration::from_millis(100);
/// Such a trouble is told this often.
const TOLD_EVERY: Duration = Duration::from_secs(10);

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
