//! Whether this process is the one that acts, where several of it run.

use tokio::sync::Notify;

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

    /// All who wait are told each time that [`Lead::term`] has changed, soon after.
    fn told(&self) -> &Notify;
}

/// Waits until the term is no longer `known`.
#[expect(
    clippy::manual_async_fn,
    reason = "an `async fn` keeps its arguments twice, and thousands of objects wait"
)]
pub(super) fn changed(lead: &dyn Lead, known: Option<u64>) -> impl Future<Output = ()> {
    async move {
        loop {
            // Made before the look: what is told after it is heard.
            let told = lead.told().notified();
            if lead.term() != known {
                return;
            }
            told.await;
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

    fn told(&self) -> &Notify {
        static NEVER: Notify = Notify::const_new();
        &NEVER
    }
}

/// A lead that a test gives and takes.
#[cfg(test)]
pub(super) struct Switch {
    term: std::sync::Mutex<Option<u64>>,
    told: Notify,
}

#[cfg(test)]
impl Switch {
    pub(super) fn new(term: Option<u64>) -> Self {
        Self {
            term: term.into(),
            told: Notify::new(),
        }
    }

    pub(super) fn set(&self, term: Option<u64>) {
        *self.term.lock().unwrap() = term;
        self.told.notify_waiters();
    }
}

#[cfg(test)]
impl Lead for Switch {
    fn term(&self) -> Option<u64> {
        *self.term.lock().unwrap()
    }

    fn told(&self) -> &Notify {
        &self.told
    }
}
