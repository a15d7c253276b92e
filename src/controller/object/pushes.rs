//! What an object's sources say by themselves, at a pace that its task can bear.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::time::Instant;

use crate::source::Source;

/// A second push is heard so long after the first: to a person it is at once, and what comes in one go is one turn.
const SOON: Duration = Duration::from_millis(100);
/// While pushes keep coming the pause doubles up to this: a push is never acted on later than that, and a source
/// that pushes a thousand times a second costs a read of the object's sources and a status a second, not a thousand.
const LATEST: Duration = Duration::from_secs(1);
/// After so long without a push the next one is the first again.
const QUIET: Duration = Duration::from_secs(2);

/// The sources that an object listens to.
#[derive(Default)]
pub(super) struct Pushes {
    listening: Vec<Listening>,
    /// When the last push was heard, and how long after it the next one is.
    last: Option<(Instant, Duration)>,
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
        if let Some((at, pause)) = self.last {
            tokio::time::sleep_until(at + pause).await;
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
        let now = Instant::now();
        let pause = match self.last {
            Some((at, pause)) if now - at < QUIET => (pause * 2).min(LATEST),
            _ => SOON,
        };
        self.last = Some((now, pause));
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
        tokio::time::timeout(LATEST * 2, pushes.next())
            .await
            .is_ok()
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
    async fn a_source_that_pushes_all_the_time_is_heard_at_once_and_then_once_a_second() {
        let source = Arc::new(Told(None, Mutex::default()));
        let mut pushes = Pushes::default();
        let listened: Arc<dyn Source> = source.clone();
        pushes.listen_to([&listened].into_iter());
        for _ in 0..2 {
            let start = Instant::now();
            let mut heard = Vec::new();
            for _ in 0..8 {
                pushes.next().await;
                heard.push(start.elapsed().as_millis());
            }
            assert_eq!(heard, [0, 100, 300, 700, 1500, 2500, 3500, 4500]);
            tokio::time::sleep(QUIET).await;
        }
        assert_eq!(*source.1.lock().unwrap(), 17);
    }
}
