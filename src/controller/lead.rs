//! Whether this process is the one that acts, where several of it run.

use tokio::sync::watch;

/// The lead over counted launching and admission.
///
/// It spares work, and is no lock: what must not happen twice is guarded by versions and names where it happens.
pub trait Lead: Send + Sync {
    /// The term in which this process leads at this moment; `None` while it does not. Asked again right before anything is changed.
    ///
    /// Each time that the process gains the lead the number is greater. While it stays the same nobody else has led.
    fn term(&self) -> Option<u64>;

    /// Whether this process leads at this moment.
    fn is_held(&self) -> bool {
        self.term().is_some()
    }

    /// Told each time that [`Lead::term`] has changed, soon after. Each of thousands of objects listens to it.
    fn told(&self) -> watch::Receiver<Option<u64>>;
}

/// Waits until the term is no longer `known`. `told`: the lead's.
pub(super) async fn changed(
    lead: &dyn Lead,
    told: &mut watch::Receiver<Option<u64>>,
    known: Option<u64>,
) {
    while lead.term() == known {
        if told.changed().await.is_err() {
            // Nobody is there who could change it.
            return std::future::pending().await;
        }
    }
}

/// Nobody else is there, or whoever is there does not matter.
#[derive(Debug, Clone, Copy)]
pub struct Always;

impl Lead for Always {
    fn term(&self) -> Option<u64> {
        Some(1)
    }

    fn told(&self) -> watch::Receiver<Option<u64>> {
        watch::channel(self.term()).1
    }
}

/// A lead that a test gives and takes.
#[cfg(test)]
pub(super) struct Switch(pub(super) watch::Sender<Option<u64>>);

#[cfg(test)]
impl Lead for Switch {
    fn term(&self) -> Option<u64> {
        *self.0.borrow()
    }

    fn told(&self) -> watch::Receiver<Option<u64>> {
        self.0.subscribe()
    }
}
