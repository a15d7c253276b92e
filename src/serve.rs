//! What listens: the door for events, the port for KEDA, health and metrics, the status page.

use tokio_util::sync::CancellationToken;

mod accept;
pub mod admin;
pub mod events;
pub mod health;
mod http1;
pub mod keda;
pub mod tls;
mod waiting;

pub use self::accept::{raise_descriptor_limit, within_descriptors};

/// The end of what listens, in two steps.
#[derive(Debug, Clone, Default)]
pub struct Stops {
    /// The process will end soon: everything is served as before, and each answer asks its peer to connect elsewhere.
    pub announced: CancellationToken,
    /// Nothing new is accepted, and what is under way comes to its end.
    pub closing: CancellationToken,
}

impl Stops {
    /// Whether the process will end.
    pub fn is_ending(&self) -> bool {
        self.announced.is_cancelled() || self.closing.is_cancelled()
    }
}
