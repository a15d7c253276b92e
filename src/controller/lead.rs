//! Whether this process is the one that acts, where several of it run.

use futures::FutureExt as _;
use futures::future::BoxFuture;

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

    /// Waits until [`Lead::term`] is no longer `known`.
    fn changed(&self, known: Option<u64>) -> BoxFuture<'_, ()>;
}

/// Nobody else is there, or whoever is there does not matter.
#[derive(Debug, Clone, Copy)]
pub struct Always;

impl Lead for Always {
    fn term(&self) -> Option<u64> {
        Some(1)
    }

    fn changed(&self, known: Option<u64>) -> BoxFuture<'_, ()> {
        if known == self.term() {
            return futures::future::pending().boxed();
        }
        futures::future::ready(()).boxed()
    }
}
