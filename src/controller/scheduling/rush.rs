//! The rush after a due time that many schedules share: first the Jobs of all of them are created, then it is told.
//!
//! Each create is followed by a record, a status and a Kubernetes Event. With thousands of schedules they would take the
//! API server's time from the creates of the others, which people wait for. Each namespace has its own: a webhook that
//! hangs the creates of one holds up nobody else.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

/// Nothing waits longer for the end of a rush: a create may hang, and a record is due within a minute.
const LONGEST: Duration = Duration::from_secs(20);

/// How many schedules of this process create Jobs at this moment.
#[derive(Debug, Default)]
pub struct Rush {
    /// By namespace; those in which none does are not there.
    creating: Mutex<HashMap<Arc<str>, usize>>,
    over: Notify,
}

/// One schedule creates Jobs, until this goes.
pub(super) struct Creating<'a> {
    rush: &'a Rush,
    namespace: Arc<str>,
}

impl Rush {
    /// One more schedule of this namespace begins to create.
    pub(super) fn begin(&self, namespace: &Arc<str>) -> Creating<'_> {
        *self.creating().entry(Arc::clone(namespace)).or_default() += 1;
        Creating {
            rush: self,
            namespace: Arc::clone(namespace),
        }
    }

    /// Waits until no schedule of this namespace creates Jobs, or until that took too long.
    pub async fn over(&self, namespace: &str) {
        let wait = async {
            loop {
                let mut over = std::pin::pin!(self.over.notified());
                // Heard from here on, so that nothing falls between the look and the wait.
                over.as_mut().enable();
                if !self.creating().contains_key(namespace) {
                    return;
                }
                over.await;
            }
        };
        // Whoever waited long enough goes on.
        drop(timeout(LONGEST, wait).await);
    }

    fn creating(&self) -> MutexGuard<'_, HashMap<Arc<str>, usize>> {
        self.creating.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Creating<'_> {
    fn drop(&mut self) {
        let mut creating = self.rush.creating();
        let left = creating.get_mut(&self.namespace).map_or(0, |count| {
            *count -= 1;
            *count
        });
        if left == 0 {
            creating.remove(&self.namespace);
            self.rush.over.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_tells_waits_for_the_last_who_creates_and_not_for_ever() {
        let rush = Rush::default();
        let namespace = Arc::from("production");
        rush.over(&namespace).await;
        let began = Instant::now();
        let (first, second) = (rush.begin(&namespace), rush.begin(&namespace));
        let creates = async {
            tokio::time::sleep(Duration::from_secs(2)).await;
            drop(first);
            tokio::time::sleep(Duration::from_secs(3)).await;
            drop(second);
        };
        let (one, ()) = tokio::join!(rush.over(&namespace), creates);
        assert_eq!((one, began.elapsed()), ((), Duration::from_secs(5)));
        let _hangs = rush.begin(&namespace);
        rush.over("another").await;
        assert_eq!(began.elapsed(), Duration::from_secs(5), "another's");
        rush.over(&namespace).await;
        assert_eq!(began.elapsed(), Duration::from_secs(25));
    }
}
