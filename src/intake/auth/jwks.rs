//! Keys of issuers, fetched when needed, kept for a while, and kept longer while their issuer is silent.
//!
//! No task runs in the background: those who wait drive the call, and when they go
//! away, the next who comes drives it on. So a stranger can neither keep a call from
//! ending nor, with made-up key ids, cause more than one in [`PAUSE`].

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use tokio::time::Instant;
use url::Url;

use crate::intake::fetch::Fetch;

use super::jwk::KeySet;

/// How long keys are used without asking again: so long does a key live on that its issuer has taken back.
const FRESH: Duration = Duration::from_mins(10);
/// How long keys are used when the issuer cannot be asked.
const STALE: Duration = Duration::from_hours(24);
/// Between two calls to an issuer whose keys are known.
const PAUSE: Duration = Duration::from_secs(30);
/// Between two calls to an issuer whose keys are not known: nobody can get in before.
const PAUSE_WITHOUT_KEYS: Duration = Duration::from_secs(5);
/// How long somebody waits for newer keys who could do with those that are there.
const PATIENCE: Duration = Duration::from_millis(1_500);
/// Issuers that are remembered. Their addresses stand in EventJobs, so strangers cannot add any.
const MOST_ISSUERS: usize = 256;

/// Issuers, by the address of their keys.
pub(super) struct Issuers {
    fetch: Arc<dyn Fetch>,
    known: Mutex<HashMap<Url, KnownIssuer>>,
}

struct KnownIssuer {
    slot: Arc<Mutex<IssuerSlot>>,
    used: Instant,
}

#[derive(Default)]
struct IssuerSlot {
    keys: Option<(Arc<KeySet>, Instant)>,
    /// When the last call began.
    asked: Option<Instant>,
    /// Why it failed, if it did.
    failure: Option<String>,
    /// The call under way.
    flight: Option<Flight>,
}

type Flight = Shared<BoxFuture<'static, ()>>;

impl IssuerSlot {
    fn usable(&self) -> Option<Arc<KeySet>> {
        let (keys, at) = self.keys.as_ref()?;
        (at.elapsed() <= STALE).then(|| Arc::clone(keys))
    }

    fn is_fresh(&self) -> bool {
        self.keys
            .as_ref()
            .is_some_and(|(_, at)| at.elapsed() <= FRESH)
    }

    fn may_ask(&self) -> bool {
        let pause = if self.usable().is_some() {
            PAUSE
        } else {
            PAUSE_WITHOUT_KEYS
        };
        self.asked.is_none_or(|asked| asked.elapsed() >= pause)
    }
}

impl Issuers {
    /// No issuer is known yet.
    pub(super) fn new(fetch: Arc<dyn Fetch>) -> Self {
        Self {
            fetch,
            known: Mutex::new(HashMap::new()),
        }
    }

    /// An issuer's keys; old ones while it cannot be asked.
    ///
    /// # Errors
    ///
    /// Why there are none.
    pub(super) async fn keys(&self, url: &Url) -> Result<Arc<KeySet>, String> {
        let slot = self.slot(url);
        // Twice: the call that somebody else began may have ended badly because nobody drove it.
        for _ in 0..2 {
            let (usable, flight) = {
                let mut now = lock(&slot);
                if now.is_fresh() {
                    break;
                }
                (now.usable(), self.flight(url, &slot, &mut now))
            };
            match (usable, flight) {
                (_, None) => break,
                (None, Some(flight)) => flight.await,
                (Some(keys), Some(flight)) => {
                    if tokio::time::timeout(PATIENCE, flight).await.is_err() {
                        return Ok(keys);
                    }
                }
            }
        }
        let slot = lock(&slot);
        slot.usable().ok_or_else(|| {
            let why = slot.failure.as_deref().unwrap_or("no answer yet");
            format!("the issuer's keys cannot be read: {why}")
        })
    }

    /// Keys that are newer than those which [`Issuers::keys`] gave. `None` when the issuer was asked a moment ago.
    ///
    /// # Errors
    ///
    /// Why it cannot be told whether there are any.
    pub(super) async fn newer(&self, url: &Url) -> Result<Option<Arc<KeySet>>, String> {
        let slot = self.slot(url);
        let flight = self.flight(url, &slot, &mut lock(&slot));
        let has_asked = flight.is_some();
        if let Some(flight) = flight {
            flight.await;
        }
        let slot = lock(&slot);
        match &slot.failure {
            Some(why) => Err(format!("the issuer's newest keys cannot be read: {why}")),
            None => Ok(slot.usable().filter(|_| has_asked)),
        }
    }

    /// The call under way, or a new one if it is time for that.
    fn flight(
        &self,
        url: &Url,
        slot: &Arc<Mutex<IssuerSlot>>,
        now: &mut IssuerSlot,
    ) -> Option<Flight> {
        if now.flight.is_none() && now.may_ask() {
            now.asked = Some(Instant::now());
            now.flight = Some(self.call(url, slot));
        }
        now.flight.clone()
    }

    /// A call, which files its own answer.
    fn call(&self, url: &Url, slot: &Arc<Mutex<IssuerSlot>>) -> Flight {
        let fetch = Arc::clone(&self.fetch);
        let url = url.clone();
        // The slot has the call; the call must not have the slot.
        let filed = Arc::downgrade(slot);
        let call = async move {
            let begun = Instant::now();
            let host = url.host_str().unwrap_or_default();
            let result = match fetch.get(&url).await {
                Ok(document) => KeySet::parse(&document).map_err(|why| format!("{host}: {why}")),
                Err(why) => Err(why),
            };
            let Some(slot) = filed.upgrade() else {
                return;
            };
            let mut slot = lock(&slot);
            slot.flight = None;
            match result {
                Ok(keys) => {
                    slot.keys = Some((Arc::new(keys), begun));
                    slot.failure = None;
                }
                Err(why) => slot.failure = Some(why),
            }
        };
        call.boxed().shared()
    }

    fn slot(&self, url: &Url) -> Arc<Mutex<IssuerSlot>> {
        let mut known = lock(&self.known);
        let used = Instant::now();
        if let Some(found) = known.get_mut(url) {
            found.used = used;
            return Arc::clone(&found.slot);
        }
        if known.len() >= MOST_ISSUERS {
            let oldest = known.iter().min_by_key(|(_, known)| known.used);
            if let Some(url) = oldest.map(|(url, _)| url.clone()) {
                known.remove(&url);
            }
        }
        let slot = Arc::<Mutex<IssuerSlot>>::default();
        let new = KnownIssuer {
            slot: Arc::clone(&slot),
            used,
        };
        known.insert(url.clone(), new);
        slot
    }
}

/// A panic under these locks cannot leave anything half written: each change is one assignment.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
