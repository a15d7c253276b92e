//! Which troubles have been logged of late: what strangers cause is logged when it is new, and once a minute.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::resource::ObjectId;

/// The same trouble of the same object is told again after this.
const TOLD_EVERY: Duration = Duration::from_mins(1);
/// Troubles remembered at once, some 200 bytes each. Beyond it nothing more is told until some are old.
const MOST: usize = 2_000;

/// What was told, and when.
#[derive(Debug, Default)]
pub(super) struct ToldTroubles(Mutex<HashMap<(ObjectId, String), Instant>>);

impl ToldTroubles {
    /// Whether this is to be told now; it is taken as told.
    pub(super) fn is_news(&self, about: &ObjectId, trouble: &str) -> bool {
        let now = Instant::now();
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (about.clone(), trouble.to_owned());
        if told.get(&key).is_some_and(|at| now - *at < TOLD_EVERY) {
            return false;
        }
        if told.len() >= MOST {
            told.retain(|_, at| now - *at < TOLD_EVERY);
        }
        let has_room = told.len() < MOST;
        if has_room {
            told.insert(key, now);
        }
        has_room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_trouble_is_told_when_it_is_new_and_once_a_minute() {
        let told = ToldTroubles::default();
        let [a, b] = ["a", "b"].map(|name| ObjectId::new("production", name));
        assert!(told.is_news(&a, "no Secret") && told.is_news(&b, "no Secret"));
        assert!(told.is_news(&a, "no key"), "another trouble");
        for _ in 0..1_000 {
            // Two that take turns are no news either.
            assert!(!told.is_news(&a, "no Secret") && !told.is_news(&a, "no key"));
        }
        tokio::time::advance(TOLD_EVERY).await;
        assert!(told.is_news(&a, "no Secret") && !told.is_news(&a, "no Secret"));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_remembered_is_bounded_and_so_is_what_is_told() {
        let told = ToldTroubles::default();
        let id = ObjectId::new("production", "a");
        let news = |count: usize| {
            let is_news = |number: &usize| told.is_news(&id, &number.to_string());
            (0..count).filter(is_news).count()
        };
        assert_eq!(news(3 * MOST), MOST);
        tokio::time::advance(TOLD_EVERY).await;
        assert_eq!(news(3 * MOST), MOST);
    }
}
