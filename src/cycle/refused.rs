//! Whose fault a refused create is: the event's, or the template's.
//!
//! The API server may refuse this event's values, or, by a policy of late, every Job of the template. A dry run of the
//! bare template tells. It begins after the refusal, all that wait share it, one is under way at a time, and an
//! EventJob has at most one a second.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::launch;
use crate::launch::ports::Deliver;
use crate::resource::ObjectId;
use crate::resource::event_job::EventJob;

/// Dry runs of one EventJob begin this far apart.
const APART: Duration = Duration::from_secs(1);

/// The last dry run that a refusal asked for, by EventJob.
#[derive(Debug, Default)]
pub(super) struct TemplateChecks {
    checks: Mutex<HashMap<ObjectId, Arc<tokio::sync::Mutex<Option<Check>>>>>,
}

#[derive(Debug)]
struct Check {
    generation: i64,
    begun_at: Instant,
    /// `None`: nobody waited for its end.
    result: Option<Result<(), launch::Error>>,
}

impl TemplateChecks {
    /// Whether Jobs of the template can be made, by a dry run that begins from now on.
    ///
    /// # Errors
    ///
    /// As of [`Deliver::prove`].
    pub(super) async fn ask(
        &self,
        launcher: &dyn Deliver,
        event_job: &EventJob,
    ) -> Result<(), launch::Error> {
        let refused_at = Instant::now();
        let check = self.of(&event_job.id);
        // Held by the one who asks; the others find its answer.
        let mut last = check.lock().await;
        if let Some(last) = &*last {
            let is_ours = last.generation == event_job.generation;
            if let Some(result) = &last.result
                && is_ours
                && last.begun_at >= refused_at
            {
                return result.clone();
            }
            sleep_until(last.begun_at + APART).await;
        }
        let asked = last.insert(Check {
            generation: event_job.generation,
            begun_at: Instant::now(),
            result: None,
        });
        let result = launcher.prove(event_job).await;
        asked.result = Some(result.clone());
        result
    }

    fn of(&self, id: &ObjectId) -> Arc<tokio::sync::Mutex<Option<Check>>> {
        let mut checks = self.checks.lock().unwrap_or_else(PoisonError::into_inner);
        // Now and then, so that EventJobs that are gone leave nothing behind.
        if checks.len().is_power_of_two() {
            let is_recent = |check: &Option<Check>| {
                let last = check.as_ref();
                last.is_some_and(|last| last.begun_at.elapsed() < APART)
            };
            checks.retain(|_, check| check.try_lock().map_or(true, |check| is_recent(&check)));
        }
        Arc::clone(checks.entry(id.clone()).or_default())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use futures::future::{BoxFuture, join_all};
    use serde_json::json;

    use super::*;
    use crate::launch::Launched;
    use crate::launch::delivered::Delivery;
    use crate::resource::event_job;

    /// Each dry run takes half a second; those in this range are refused.
    struct Server {
        dry_runs: AtomicU32,
        under_way: AtomicU32,
        refused: std::ops::Range<u32>,
    }

    impl Deliver for Server {
        fn prove<'a>(&'a self, _: &'a EventJob) -> BoxFuture<'a, Result<(), launch::Error>> {
            Box::pin(async {
                let number = self.dry_runs.fetch_add(1, Ordering::SeqCst);
                assert_eq!(self.under_way.fetch_add(1, Ordering::SeqCst), 0);
                tokio::time::sleep(Duration::from_millis(500)).await;
                self.under_way.fetch_sub(1, Ordering::SeqCst);
                if self.refused.contains(&number) {
                    return Err(launch::Error::Rejected {
                        object: "the template".to_owned(),
                        detail: "a policy".to_owned(),
                    });
                }
                Ok(())
            })
        }

        fn find<'a>(
            &'a self,
            _: &'a Delivery,
            _: Duration,
        ) -> BoxFuture<'a, Result<Option<Launched>, launch::Error>> {
            unreachable!("a check finds nothing")
        }

        fn launch<'a>(
            &'a self,
            _: &'a Delivery,
            _: Duration,
            _: launch::Guard,
        ) -> BoxFuture<'a, Result<Launched, launch::Error>> {
            unreachable!("a check launches nothing")
        }
    }

    fn event_job() -> EventJob {
        let container = json!({"name": "a", "image": "example.com/a:1"});
        event_job::parse(&json!({
            "apiVersion": "slipway.dev/v1alpha1",
            "kind": "EventJob",
            "metadata": {"name": "a", "namespace": "production", "uid": "a", "generation": 1},
            "spec": {
                "source": {"webhook": {"auth": [{"none": {}}]}},
                "jobTemplate": {"spec": {"template": {"spec": {
                    "restartPolicy": "Never",
                    "containers": [container],
                }}}},
            },
        }))
        .expect("a valid EventJob")
    }

    fn server(refused: std::ops::Range<u32>) -> Server {
        Server {
            dry_runs: AtomicU32::new(0),
            under_way: AtomicU32::new(0),
            refused,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_dry_run_is_shared_and_begins_after_the_refusal() {
        let (server, checks) = (server(0..1), TemplateChecks::default());
        let event_job = event_job();
        let first = async {
            let asked = (0..10).map(|_| checks.ask(&server, &event_job));
            join_all(asked).await
        };
        let later = async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            let asked = (0..10).map(|_| checks.ask(&server, &event_job));
            join_all(asked).await
        };
        let (first, later) = tokio::join!(first, later);
        assert!(first.iter().all(Result::is_err), "{first:?}");
        // The dry run under way had begun before they were refused.
        assert!(later.iter().all(Result::is_ok), "{later:?}");
        assert_eq!(server.dry_runs.load(Ordering::SeqCst), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn there_is_one_dry_run_a_second_at_most_also_when_nobody_waits() {
        let (server, checks) = (server(0..0), TemplateChecks::default());
        let event_job = event_job();
        let started = Instant::now();
        for _ in 0..5 {
            let asked = checks.ask(&server, &event_job);
            let in_time = tokio::time::timeout(Duration::from_millis(100), asked).await;
            assert!(in_time.is_err());
            server.under_way.store(0, Ordering::SeqCst);
        }
        assert_eq!(server.dry_runs.load(Ordering::SeqCst), 1);
        checks.ask(&server, &event_job).await.unwrap();
        assert!(started.elapsed() >= APART);
        assert_eq!(server.dry_runs.load(Ordering::SeqCst), 2);
    }
}
