//! The Jobs of an EventJob as a counted source.
//!
//! Counting them is left to those who see them, behind a port; nothing is sent
//! anywhere. A new Job is told at once.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, ready};
use tokio::time::Instant;

use crate::resource::ObjectId;
use crate::resource::eventbridge::{Counted, EventJobMeasure};
use crate::scaling::Reading;
use crate::source::metrics::Meter;
use crate::source::{Error, Source, Taken};

/// The label of this kind of source in metrics.
pub const KIND: &str = "eventbridge";

/// The Jobs of EventJobs, as somebody who sees them all counts them.
pub trait Occurrences: Send + Sync {
    /// What `value` asks for: Jobs that wait or have no running Pod, or launches per second.
    ///
    /// # Errors
    ///
    /// [`Unknown`] when nobody can tell; never 0 then.
    fn count(&self, event_job: &ObjectId, value: EventJobMeasure) -> Result<f64, Unknown>;

    /// Ready once a Job of the EventJob appears that was not there at the call. Listens from the call on.
    fn appeared(&self, event_job: &ObjectId) -> BoxFuture<'static, ()>;
}

/// Why Jobs of an EventJob cannot be counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unknown {
    /// There is no such EventJob.
    NoEventJob,
    /// They have not been seen, or not all of them; in words.
    NotSeen(String),
    /// They cannot be counted in that way here; in words.
    Unusable(String),
}

/// What a trigger counts, for error texts.
pub fn source_name(event_job: &ObjectId) -> String {
    format!("EventJob {event_job}")
}

/// One trigger's view of an EventJob.
pub(super) struct Jobs {
    counted: Counted,
    occurrences: Arc<dyn Occurrences>,
    meter: Meter,
}

impl Jobs {
    pub(super) fn new(counted: Counted, occurrences: Arc<dyn Occurrences>, meter: Meter) -> Self {
        Self {
            counted,
            occurrences,
            meter,
        }
    }

    fn count(&self) -> Result<f64, Error> {
        let Counted { event_job, value } = &self.counted;
        self.occurrences
            .count(event_job, *value)
            .map_err(|unknown| {
                let source_name = source_name(event_job);
                match unknown {
                    Unknown::NoEventJob => Error::NotFound {
                        source_name,
                        detail: "eventJob names an EventJob in the namespace of the ScaledJob"
                            .to_owned(),
                    },
                    Unknown::NotSeen(detail) => Error::Unreachable {
                        source_name,
                        detail,
                    },
                    Unknown::Unusable(detail) => Error::Invalid {
                        source_name,
                        detail,
                    },
                }
            })
    }
}

impl Source for Jobs {
    /// A count costs nothing, so it is always a new one.
    fn read(&self, _freshness: Duration) -> BoxFuture<'_, Result<Taken, Error>> {
        let timer = self.meter.call();
        let at = Instant::now();
        let counted = self.count();
        timer.ended(&counted);
        self.meter.read(counted.as_ref().map(|_| Duration::ZERO));
        let taken = counted.map(|count| Taken {
            reading: Reading::new(count),
            at: at.into_std(),
            terms: None,
            warning: None,
        });
        ready(taken).boxed()
    }

    fn pushed(&self) -> BoxFuture<'static, ()> {
        self.occurrences.appeared(&self.counted.event_job)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::metrics::Metrics;

    struct Says(Result<f64, Unknown>);

    impl Occurrences for Says {
        fn count(&self, _event_job: &ObjectId, _value: EventJobMeasure) -> Result<f64, Unknown> {
            self.0.clone()
        }

        fn appeared(&self, _event_job: &ObjectId) -> BoxFuture<'static, ()> {
            ready(()).boxed()
        }
    }

    async fn read(says: Result<f64, Unknown>) -> Result<f64, String> {
        let counted = Counted {
            event_job: ObjectId::new("shop", "invoices"),
            value: EventJobMeasure::Pending,
        };
        let metrics = Metrics::default();
        let jobs = Jobs::new(counted, Arc::new(Says(says)), metrics.meter(KIND));
        let taken = jobs.read(Duration::ZERO).await;
        assert_eq!(metrics.calls(KIND), 1);
        match taken {
            Ok(taken) => Ok(taken.reading.waiting()),
            Err(error) => Err(format!("{}: {error}", error.reason())),
        }
    }

    #[tokio::test]
    async fn what_nobody_can_tell_is_an_error() {
        assert_eq!(read(Ok(3.0)).await, Ok(3.0));
        for (unknown, expected) in [
            (
                Unknown::NoEventJob,
                "NotFound: EventJob shop/invoices does not exist: eventJob names an EventJob in the namespace of the ScaledJob",
            ),
            (
                Unknown::NotSeen("not listed yet".to_owned()),
                "Unreachable: EventJob shop/invoices did not answer: not listed yet",
            ),
            (
                Unknown::Unusable("too long".to_owned()),
                "Invalid: EventJob shop/invoices cannot be used: too long",
            ),
        ] {
            assert_eq!(read(Err(unknown)).await, Err(expected.to_owned()));
        }
    }
}
