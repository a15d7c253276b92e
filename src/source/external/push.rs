//! A scaler's stream of pushes: kept open while somebody listens, opened again when it ends.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::future::{BoxFuture, Shared, WeakShared};
use futures::stream::BoxStream;
use futures::{FutureExt as _, StreamExt as _};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{debug, warn};

use crate::source::Error;

/// Pause before the stream is opened again. Source: KEDA, `Run` of `external_scaler.go`.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
/// The pause doubles up to this with each error. Source: as above.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// Pushes are heard this far apart: a scaler that never stops talking waits for us, and not the other way round.
const GAP: Duration = Duration::from_millis(10);

/// A stream that is open: whether there is work, whenever the scaler says so.
pub(super) type OpenStream = BoxStream<'static, Result<bool, Error>>;

/// Keeps a stream open while somebody polls it; has no end. Clones share the stream, and the last one closes it.
pub(super) type Driver = Shared<BoxFuture<'static, ()>>;

/// What one scaler pushes, for all who listen.
#[derive(Default)]
pub(super) struct ScalerPushes {
    told: watch::Sender<()>,
    /// Weak: a stream is open as long as somebody holds it.
    driver: Mutex<Option<WeakShared<BoxFuture<'static, ()>>>>,
}

impl ScalerPushes {
    /// Ready once something is pushed after this call.
    pub(super) fn next(&self) -> BoxFuture<'static, ()> {
        let mut told = self.told.subscribe();
        async move {
            if told.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
        .boxed()
    }

    /// The driver that somebody holds, or a new one.
    pub(super) fn driver(
        &self,
        source_name: String,
        open: impl Fn() -> BoxFuture<'static, Result<OpenStream, Error>> + Send + Sync + 'static,
    ) -> Driver {
        let mut held = self.driver.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(driver) = held.as_ref().and_then(WeakShared::upgrade) {
            return driver;
        }
        let told = self.told.clone();
        let driver = follow(source_name, open, move || {
            told.send_replace(());
        });
        let driver = driver.boxed().shared();
        *held = driver.downgrade();
        driver
    }
}

/// Opens the stream, and again when it ends: a clean end and a long life reset the pause, which errors double.
///
/// KEDA goes on with a grown pause after an error in a stream that was healthy for hours; here that counts as a clean one.
async fn follow(
    source_name: String,
    open: impl Fn() -> BoxFuture<'static, Result<OpenStream, Error>>,
    tell: impl Fn(),
) {
    let mut pause = FIRST_PAUSE;
    let mut is_troubled = false;
    loop {
        let opened = Instant::now();
        let ended = listen(&open, &tell).await;
        if ended.is_ok() || opened.elapsed() >= LONGEST_PAUSE {
            pause = FIRST_PAUSE;
            is_troubled = false;
        }
        match ended {
            Ok(()) => debug!("{source_name} ended its stream of pushes"),
            Err(error) if is_troubled => debug!("pushes still cannot be heard: {error}"),
            Err(error) => {
                warn!(
                    reason = error.reason(),
                    "pushes cannot be heard now, and the scaler is only polled; trying again: {error}"
                );
                is_troubled = true;
            }
        }
        tokio::time::sleep(pause).await;
        if is_troubled {
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

/// One stream to its end. What the scaler takes back is left to the next poll, as in KEDA.
async fn listen(
    open: &impl Fn() -> BoxFuture<'static, Result<OpenStream, Error>>,
    tell: &impl Fn(),
) -> Result<(), Error> {
    let mut stream = open().await?;
    while let Some(has_work) = stream.next().await {
        if has_work? {
            tell();
        }
        tokio::time::sleep(GAP).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::stream;

    use super::*;

    fn error() -> Error {
        Error::Unreachable {
            source_name: "the scaler".to_owned(),
            detail: "it says so".to_owned(),
        }
    }

    /// When streams were opened, in seconds from the start.
    async fn openings(
        script: impl Fn(usize) -> Result<OpenStream, Error> + Send + Sync + 'static,
        count: usize,
    ) -> Vec<u64> {
        let start = Instant::now();
        let opened = Arc::new(Mutex::new(Vec::new()));
        let pushes = ScalerPushes::default();
        let seen = Arc::clone(&opened);
        let driver = pushes.driver("the scaler".to_owned(), move || {
            let mut seen = seen.lock().unwrap();
            seen.push(start.elapsed().as_secs());
            let stream = script(seen.len() - 1);
            async move { stream }.boxed()
        });
        let done = async {
            while opened.lock().unwrap().len() < count {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        futures::future::select(Box::pin(done), driver).await;
        let opened = opened.lock().unwrap();
        opened.clone()
    }

    #[tokio::test(start_paused = true)]
    async fn errors_double_the_pause_up_to_a_minute() {
        let opened = openings(|_| Err(error()), 8).await;
        let pauses: Vec<u64> = opened.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert_eq!(pauses, [2, 4, 8, 16, 32, 60, 60]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_clean_end_resets_the_pause() {
        let script = |index| match index {
            3 => Ok(stream::empty().boxed()),
            _ => Err(error()),
        };
        let opened = openings(script, 7).await;
        let pauses: Vec<u64> = opened.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert_eq!(pauses, [2, 4, 8, 2, 2, 4]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_was_healthy_for_long_resets_it_too() {
        let script = |index| match index {
            2 => {
                let broken = async {
                    tokio::time::sleep(Duration::from_hours(1)).await;
                    Err(error())
                };
                Ok(stream::once(broken).boxed())
            }
            _ => Err(error()),
        };
        let opened = openings(script, 5).await;
        let pauses: Vec<u64> = opened.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert_eq!(pauses, [2, 4, 3602, 4]);
    }

    #[tokio::test(start_paused = true)]
    async fn only_work_is_told_and_all_who_listen_share_one_stream() {
        let opened = Arc::new(Mutex::new(0));
        let pushes = ScalerPushes::default();
        let open = {
            let opened = Arc::clone(&opened);
            move || {
                *opened.lock().unwrap() += 1;
                let says = |after, what| async move {
                    tokio::time::sleep(Duration::from_secs(after)).await;
                    Ok(what)
                };
                let stream = stream::once(says(1, false))
                    .chain(stream::once(says(2, true)))
                    .chain(stream::pending());
                async move { Ok(stream.boxed()) }.boxed()
            }
        };
        let first = pushes.driver("the scaler".to_owned(), open.clone());
        let second = pushes.driver("the scaler".to_owned(), open);
        let start = Instant::now();
        let listening = [pushes.next(), pushes.next()];
        let both = futures::future::join_all(listening);
        let drivers = futures::future::join(first, second);
        let told = futures::future::select(both, Box::pin(drivers)).await;
        assert!(matches!(told, futures::future::Either::Left(_)));
        assert_eq!(start.elapsed().as_secs(), 3);
        assert_eq!(*opened.lock().unwrap(), 1);
    }
}
