//! What an object's sources say by themselves, at a pace that its task can bear.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::time::Instant;

use crate::source::Source;

/// Turns that pushes start are at least this far apart: to a person it is at once, and a source that
/// pushes a thousand times a second costs ten reads of the object's sources, not a thousand.
const APART: Duration = Duration::from_millis(100);

/// The sources that an object listens to.
#[derive(Default)]
pub(super) struct Pushes {
    listening: Vec<Listening>,
    /// When the next push may start a turn.
    next_at: Option<Instant>,
}

struct Listening {
    source: Arc<dyn Source>,
    pushed: BoxFuture<'static, ()>,
}

impl Pushes {
    /// Listens to these from now on, and to no others. Those that were listened to before have lost nothing.
    pub(super) fn listen_to<'a>(&mut self, sources: impl Iterator<Item = &'a Arc<dyn Source>>) {
        let mut before = std::mem::take(&mut self.listening);
        for source in sources {
            let is_it = |one: &Listening| Arc::ptr_eq(&one.source, source);
            if self.listening.iter().any(is_it) {
                continue;
            }
            let known = before.iter().position(is_it);
            let listening = known.map_or_else(
                || Listening {
                    pushed: source.pushed(),
                    source: Arc::clone(source),
                },
                |known| before.swap_remove(known),
            );
            self.listening.push(listening);
        }
    }

    /// Ready once any of them pushed; however many did, and how often, it is one push. May be dropped at any time.
    pub(super) async fn next(&mut self) {
        if let Some(next_at) = self.next_at {
            tokio::time::sleep_until(next_at).await;
        }
        poll_fn(|context| {
            let mut any = Poll::Pending;
            for one in &mut self.listening {
                if one.pushed.poll_unpin(context).is_ready() {
                    // Before anybody reads: what comes meanwhile is a push of its own.
                    one.pushed = one.source.pushed();
                    any = Poll::Ready(());
                }
            }
            any
        })
        .await;
        self.next_at = Some(Instant::now() + APART);
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::sync::Mutex;

    use futures::future::ready;
    use tokio::sync::watch;

    use super::*;
    use crate::source::{Error, Taken};

    /// Pushes as often as it is told to, or whenever it is asked.
    struct Told(Option<watch::Sender<()>>, Mutex<u32>);

    impl Source for Told {
        fn read(&self, _freshness: Duration) -> BoxFuture<'_, Result<Taken, Error>> {
            pending().boxed()
        }

        fn pushed(&self) -> BoxFuture<'static, ()> {
            *self.1.lock().unwrap() += 1;
            let Some(told) = &self.0 else {
                return ready(()).boxed();
            };
            let mut told = told.subscribe();
            async move { told.changed().await.unwrap() }.boxed()
        }
    }

    fn told() -> (watch::Sender<()>, Arc<dyn Source>) {
        let sender = watch::Sender::new(());
        let source = Told(Some(sender.clone()), Mutex::default());
        (sender, Arc::new(source))
    }

    async fn is_pushed(pushes: &mut Pushes) -> bool {
        let soon = Duration::from_millis(150);
        tokio::time::timeout(soon, pushes.next()).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_during_a_turn_is_told_once_after_it() {
        let (sender, source) = told();
        let (_, other) = told();
        let sources = [source, other];
        let mut pushes = Pushes::default();
        assert!(!is_pushed(&mut pushes).await);
        pushes.listen_to(sources.iter());
        for _ in 0..3 {
            sender.send_replace(());
        }
        // The turn connects anew to what it has.
        pushes.listen_to(sources.iter());
        assert!(is_pushed(&mut pushes).await);
        assert!(!is_pushed(&mut pushes).await);
        sender.send_replace(());
        assert!(is_pushed(&mut pushes).await);
        sender.send_replace(());
        pushes.listen_to(std::iter::empty());
        assert!(!is_pushed(&mut pushes).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_that_pushes_all_the_time_is_heard_ten_times_a_second() {
        let source = Arc::new(Told(None, Mutex::default()));
        let mut pushes = Pushes::default();
        let listened: Arc<dyn Source> = source.clone();
        pushes.listen_to([&listened].into_iter());
        let start = Instant::now();
        for _ in 0..21 {
            pushes.next().await;
        }
        assert_eq!(start.elapsed(), Duration::from_secs(2));
        assert_eq!(*source.1.lock().unwrap(), 22);
    }
}
