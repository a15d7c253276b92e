//! Tells any number of listeners that an EventJob has a new Job.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::sync::watch;

use crate::resource::ObjectId;

/// Who listens to which EventJob.
#[derive(Debug, Default)]
pub struct News {
    listened_to: Mutex<HashMap<ObjectId, watch::Sender<()>>>,
}

impl News {
    /// The EventJob has a Job that it did not have before.
    pub fn tell(&self, event_job: &ObjectId) {
        let mut listened_to = self.lock();
        let Some(sender) = listened_to.get(event_job) else {
            return;
        };
        if sender.is_closed() {
            listened_to.remove(event_job);
        } else {
            sender.send_replace(());
        }
    }

    /// Ready once something is told of the EventJob after this call; however often, it is ready once.
    pub fn next(&self, event_job: &ObjectId) -> BoxFuture<'static, ()> {
        let mut listened_to = self.lock();
        let mut news = if let Some(sender) = listened_to.get(event_job) {
            sender.subscribe()
        } else {
            // Now and then, so that who went away without a word leaves nothing behind.
            if listened_to.len().is_power_of_two() {
                listened_to.retain(|_, sender| !sender.is_closed());
            }
            let (sender, news) = watch::channel(());
            listened_to.insert(event_job.clone(), sender);
            news
        };
        async move {
            // Never closed while somebody listens.
            if news.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
        .boxed()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ObjectId, watch::Sender<()>>> {
        self.listened_to
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_hears_of_what_comes_after_they_began_to_listen() {
        let news = News::default();
        let [one, other] = ["one", "other"].map(|name| ObjectId::new("shop", name));
        news.tell(&one);
        let listening = [news.next(&one), news.next(&one)];
        let elsewhere = news.next(&other);
        news.tell(&one);
        news.tell(&one);
        let later = news.next(&one);
        for listening in listening {
            assert_eq!(listening.now_or_never(), Some(()));
        }
        assert_eq!(elsewhere.now_or_never(), None);
        assert_eq!(later.now_or_never(), None);
    }

    #[test]
    fn nobody_leaves_anything_behind() {
        let news = News::default();
        for index in 0..1000 {
            let id = ObjectId::new("shop", format!("e{index}"));
            drop(news.next(&id));
        }
        assert!(news.lock().len() <= 2, "{}", news.lock().len());
        let last = ObjectId::new("shop", "last");
        drop(news.next(&last));
        news.tell(&last);
        assert!(!news.lock().contains_key(&last));
    }
}
