//! Keys of issuers, fetched when needed, kept for a while, and kept longer while their issuer is silent.
//!
//! No task runs in the background: those who wait drive the call. A stranger with
//! made-up key ids can cause one call in [`PAUSE`], whatever it sends.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared, WeakShared};
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
/// Issuers that are remembered. Their addresses stand in EventJobs, so strangers cannot add any.
const MOST_ISSUERS: usize = 256;

/// Issuers, by the address of their keys.
pub(super) struct Issuers {
    fetch: Arc<dyn Fetch>,
    known: Mutex<HashMap<Url, Known>>,
}

struct Known {
    slot: Arc<Mutex<Slot>>,
    used: Instant,
}

#[derive(Default)]
struct Slot {
    keys: Option<(Arc<KeySet>, Instant)>,
    /// When the last call began.
    asked: Option<Instant>,
    /// Why it failed, if it did.
    failure: Option<String>,
    /// Weak: a call lives as long as somebody waits for it.
    flight: Option<WeakShared<BoxFuture<'static, ()>>>,
}

impl Slot {
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

    fn flight(&self) -> Option<Shared<BoxFuture<'static, ()>>> {
        self.flight.as_ref().and_then(WeakShared::upgrade)
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
        let flight = {
            let mut slot_now = lock(&slot);
            let usable = slot_now.usable();
            match (usable, slot_now.flight()) {
                (Some(keys), _) if slot_now.is_fresh() => return Ok(keys),
                // Somebody else is asking already; what is there will do.
                (Some(keys), Some(_)) => return Ok(keys),
                (None, Some(flight)) => Some(flight),
                (_, None) if slot_now.may_ask() => Some(self.ask(url, &slot, &mut slot_now)),
                (_, None) => None,
            }
        };
        if let Some(flight) = flight {
            flight.await;
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
        let flight = {
            let mut slot_now = lock(&slot);
            match slot_now.flight() {
                Some(flight) => Some(flight),
                None if slot_now.may_ask() => Some(self.ask(url, &slot, &mut slot_now)),
                None => None,
            }
        };
        let asked = match flight {
            Some(flight) => {
                flight.await;
                true
            }
            None => false,
        };
        let slot = lock(&slot);
        match &slot.failure {
            Some(why) => Err(format!("the issuer's newest keys cannot be read: {why}")),
            None => Ok(slot.usable().filter(|_| asked)),
        }
    }

    /// Begins a call, which files its own answer.
    fn ask(
        &self,
        url: &Url,
        slot: &Arc<Mutex<Slot>>,
        now: &mut Slot,
    ) -> Shared<BoxFuture<'static, ()>> {
        let fetch = Arc::clone(&self.fetch);
        let url = url.clone();
        let filed = Arc::clone(slot);
        let flight = async move {
            let begun = Instant::now();
            let host = url.host_str().unwrap_or_default();
            let result = match fetch.get(&url).await {
                Ok(document) => KeySet::parse(&document).map_err(|why| format!("{host}: {why}")),
                Err(why) => Err(why),
            };
            let mut slot = lock(&filed);
            slot.flight = None;
            match result {
                Ok(keys) => {
                    slot.keys = Some((Arc::new(keys), begun));
                    slot.failure = None;
                }
                Err(why) => slot.failure = Some(why),
            }
        };
        let flight = flight.boxed().shared();
        now.asked = Some(Instant::now());
        now.flight = flight.downgrade();
        flight
    }

    fn slot(&self, url: &Url) -> Arc<Mutex<Slot>> {
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
        let slot = Arc::<Mutex<Slot>>::default();
        let new = Known {
            slot: Arc::clone(&slot),
            used,
        };
        known.insert(url.clone(), new);
        slot
    }
}

/// A panic under these locks cannot leave anything half written: each change is one assignment.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
