//! `rateLimit`: launches of late, as a token bucket for each EventJob.
//!
//! A token is taken before the launch, so that requests that come together do not
//! all find the last one, and given back when nothing was launched.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::resource::ObjectId;
use crate::resource::event_job::RateLimit;

/// EventJobs remembered at once; beyond it those that are full again are dropped.
const MOST: usize = 10_000;

/// The buckets.
#[derive(Debug, Default)]
pub struct Rates {
    buckets: Mutex<HashMap<ObjectId, Bucket>>,
}

/// Launches as a generic cell rate: when the bucket will be full again.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    full_at: Instant,
}

/// A token that was taken; it goes back unless it is used.
#[derive(Debug)]
pub struct Permit<'a> {
    rates: &'a Rates,
    id: ObjectId,
    worth: Duration,
    is_used: bool,
}

impl Rates {
    /// Takes a token.
    ///
    /// # Errors
    ///
    /// How long until there is one.
    pub fn take(&self, id: &ObjectId, limit: RateLimit) -> Result<Permit<'_>, Duration> {
        let now = Instant::now();
        let worth = limit.unit / limit.requests.get();
        let mut buckets = self.lock();
        if buckets.len() >= MOST {
            buckets.retain(|_, bucket| bucket.full_at > now);
        }
        let bucket = buckets.entry(id.clone()).or_insert(Bucket { full_at: now });
        let full_at = bucket.full_at.max(now);
        // Empty is as far from full as all of its tokens are worth.
        let empty = worth * limit.burst.get();
        let wanted = full_at + worth;
        if wanted > now + empty {
            return Err(wanted - (now + empty));
        }
        bucket.full_at = wanted;
        Ok(Permit {
            rates: self,
            id: id.clone(),
            worth,
            is_used: false,
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ObjectId, Bucket>> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit<'_> {
    /// Something was launched, or may have been.
    pub fn used(mut self) {
        self.is_used = true;
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if self.is_used {
            return;
        }
        if let Some(bucket) = self.rates.lock().get_mut(&self.id) {
            bucket.full_at -= self.worth;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    fn limit(requests: u32, burst: u32) -> RateLimit {
        RateLimit {
            requests: NonZeroU32::new(requests).unwrap(),
            unit: Duration::from_secs(1),
            burst: NonZeroU32::new(burst).unwrap(),
        }
    }

    fn launches(rates: &Rates, id: &ObjectId, limit: RateLimit) -> u32 {
        let mut launched = 0;
        while let Ok(permit) = rates.take(id, limit) {
            permit.used();
            launched += 1;
        }
        launched
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_passes_and_then_the_rate() {
        let (rates, id, limit) = (Rates::default(), ObjectId::new("a", "b"), limit(10, 20));
        assert_eq!(launches(&rates, &id, limit), 20);
        let wait = rates.take(&id, limit).unwrap_err();
        assert_eq!(wait, Duration::from_millis(100));
        tokio::time::advance(Duration::from_millis(500)).await;
        assert_eq!(launches(&rates, &id, limit), 5);
        tokio::time::advance(Duration::from_hours(1)).await;
        assert_eq!(launches(&rates, &id, limit), 20, "no more than the burst");
    }

    #[tokio::test(start_paused = true)]
    async fn what_launched_nothing_takes_nothing() {
        let (rates, id, limit) = (Rates::default(), ObjectId::new("a", "b"), limit(1, 1));
        drop(rates.take(&id, limit).unwrap());
        rates.take(&id, limit).unwrap().used();
        assert_eq!(rates.take(&id, limit).unwrap_err(), Duration::from_secs(1));
        assert!(rates.take(&ObjectId::new("a", "c"), limit).is_ok());
    }
}
