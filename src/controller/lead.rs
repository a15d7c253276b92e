//! Whether this process is the one that acts, where several of it run.

use futures::FutureExt as _;
use futures::future::BoxFuture;

/// The lead over counted launching and admission.
///
/// It spares work, and is no lock: what must not happen twice is guarded by versions and names where it happens.
pub trait Lead: Send + Sync {
    /// Whether this process leads at this moment. Asked again right before anything is changed.
    fn is_held(&self) -> bool;

    /// Waits until [`Lead::is_held`] is no longer `known`.
    fn changed(&self, known: bool) -> BoxFuture<'_, ()>;
}

/// Nobody else is there, or whoever is there does not matter.
#[derive(Debug, Clone, Copy)]
pub struct Always;

impl Lead for Always {
    fn is_held(&self) -> bool {
        true
    }

    fn changed(&self, known: bool) -> BoxFuture<'_, ()> {
        if known {
            return futures::future::pending().boxed();
        }
        futures::future::ready(()).boxed()
    }
}
