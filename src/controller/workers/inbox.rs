//! What the task of an object is told: the object as it was last read, that something happened to its Jobs, that it is over.
//!
//! One small allocation for each object: there are thousands, and nearly all of them wait.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Shared by an object's task and by those who tell it.
#[derive(Debug)]
pub(in crate::controller) struct Inbox<Object> {
    state: Mutex<InboxState<Object>>,
    /// The state changed in a way that the task should know.
    news: Notify,
    /// Something happened to its Jobs.
    pub(in crate::controller) jobs_changed: Notify,
}

#[derive(Debug)]
struct InboxState<Object> {
    object: Object,
    /// Counts edits of the object.
    version: u64,
    is_removed: bool,
    is_stopped: bool,
}

impl<Object> InboxState<Object> {
    fn is_ended(&self) -> bool {
        self.is_removed || self.is_stopped
    }
}

impl<Object: Clone> Inbox<Object> {
    pub(super) fn new(object: Object) -> Self {
        Self {
            state: Mutex::new(InboxState {
                object,
                version: 0,
                is_removed: false,
                is_stopped: false,
            }),
            news: Notify::new(),
            jobs_changed: Notify::new(),
        }
    }

    /// Changes the object; the task is told when `change` says so.
    pub(super) fn update(&self, change: impl FnOnce(&mut Object) -> bool) {
        self.tell(|state| {
            let is_told = change(&mut state.object);
            state.version += u64::from(is_told);
            is_told
        });
    }

    /// The object is gone, or being deleted.
    pub(super) fn remove(&self) {
        self.tell(|state| !std::mem::replace(&mut state.is_removed, true));
    }

    /// Everything stops.
    pub(super) fn stop(&self) {
        self.tell(|state| !std::mem::replace(&mut state.is_stopped, true));
    }

    /// Whether the object is gone, or being deleted.
    pub(in crate::controller) fn is_removed(&self) -> bool {
        self.lock().is_removed
    }

    /// Looks at the object as it was last read.
    pub(in crate::controller) fn with<T>(&self, look: impl FnOnce(&Object) -> T) -> T {
        look(&self.lock().object)
    }

    /// The object as it was last read, and its version.
    pub(in crate::controller) fn object(&self) -> (Object, u64) {
        let state = self.lock();
        (state.object.clone(), state.version)
    }

    /// Waits until the object asks for something else than in this version. May be dropped.
    pub(in crate::controller) fn changed(&self, version: u64) -> impl Future<Output = ()> {
        self.until(move |state| (state.version != version).then_some(()))
    }

    /// Waits until the object is gone, or everything stops. May be dropped.
    pub(in crate::controller) fn ended(&self) -> impl Future<Output = ()> {
        self.until(|state| state.is_ended().then_some(()))
    }

    /// Waits for either: whether the object goes on, and asks for something else. May be dropped.
    pub(in crate::controller) fn changed_or_ended(
        &self,
        version: u64,
    ) -> impl Future<Output = bool> {
        self.until(move |state| {
            let is_ended = state.is_ended();
            (is_ended || state.version != version).then_some(!is_ended)
        })
    }

    #[expect(
        clippy::manual_async_fn,
        reason = "an `async fn` keeps its arguments twice, and thousands of objects wait"
    )]
    fn until<T>(
        &self,
        found: impl Fn(&InboxState<Object>) -> Option<T>,
    ) -> impl Future<Output = T> {
        async move {
            loop {
                // Made before the look: what is told after it is heard.
                let news = self.news.notified();
                let found = found(&self.lock());
                if let Some(found) = found {
                    return found;
                }
                news.await;
            }
        }
    }

    fn tell(&self, change: impl FnOnce(&mut InboxState<Object>) -> bool) {
        let is_told = change(&mut self.lock());
        if is_told {
            self.news.notify_waiters();
        }
    }

    fn lock(&self) -> MutexGuard<'_, InboxState<Object>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
