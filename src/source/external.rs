//! Any external scaler of KEDA's kind, asked as its client.
//!
//! A poll is three calls: what the metric is, what its value is, whether there is
//! work. What they come to is in `answer`, calling is `client`'s, where connections
//! may go is `connector`'s and `tls`'s. `push` keeps the scaler's stream open while
//! somebody listens.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, Either, select};

use crate::resource::external::Scaler;
use crate::source::metrics::Meter;
use crate::source::shared::SharedCall;
use crate::source::{Error, Source, Taken};

pub mod answer;
pub(super) mod client;
mod connector;
mod push;
pub(super) mod tls;

use answer::ScalerAnswer;
use client::ScalerClient;
use push::{Driver, ScalerPushes};

/// The label of this kind of source in metrics, for `external` and `external-push`.
pub const KIND: &str = "external";

/// A poll takes no longer than this. The client's own deadlines end it earlier.
const DEADLINE: Duration = Duration::from_secs(6);

/// What one scaler says about one trigger, shared by all who ask the same.
pub(super) struct ScalerPoll {
    scaler: Arc<Scaler>,
    client: Arc<ScalerClient>,
    shared: SharedCall<ScalerAnswer>,
    pushes: ScalerPushes,
}

impl ScalerPoll {
    pub(super) fn new(scaler: &Scaler, client: Arc<ScalerClient>, meter: Meter) -> Self {
        let scaler = Arc::new(scaler.clone());
        let (caller, asked) = (Arc::clone(&client), Arc::clone(&scaler));
        let shared = SharedCall::new(client.source_name(), DEADLINE, meter, move || {
            let (client, scaler) = (Arc::clone(&caller), Arc::clone(&asked));
            async move { client.ask(&scaler).await }.boxed()
        });
        Self {
            scaler,
            client,
            shared,
            pushes: ScalerPushes::default(),
        }
    }

    /// Whether this is the poll of that trigger through that client.
    pub(super) fn is(&self, scaler: &Scaler, client: &Arc<ScalerClient>) -> bool {
        Arc::ptr_eq(&self.client, client)
            && self.scaler.object == scaler.object
            && self.scaler.metadata == scaler.metadata
    }

    /// The one that keeps the scaler's stream open: of whoever came first.
    fn driver(&self) -> Driver {
        let (client, scaler) = (Arc::clone(&self.client), Arc::clone(&self.scaler));
        self.pushes.driver(self.client.source_name(), move || {
            let (client, scaler) = (Arc::clone(&client), Arc::clone(&scaler));
            async move { client.stream(&scaler).await }.boxed()
        })
    }
}

/// One trigger's view of a scaler.
pub(super) struct View {
    poll: Arc<ScalerPoll>,
    pushes: bool,
    /// Held from the first time that somebody listens, so that the stream stays open between two pushes.
    driver: OnceLock<Driver>,
}

impl View {
    pub(super) fn new(poll: Arc<ScalerPoll>, pushes: bool) -> Self {
        Self {
            poll,
            pushes,
            driver: OnceLock::new(),
        }
    }
}

impl Source for View {
    fn read(&self, freshness: Duration) -> BoxFuture<'_, Result<Taken, Error>> {
        async move {
            let (answer, at) = self.poll.shared.ask(freshness).await?;
            Ok(Taken {
                reading: answer.reading,
                at: at.into_std(),
                terms: Some(Arc::clone(&answer.terms)),
                warning: None,
            })
        }
        .boxed()
    }

    fn pushed(&self) -> BoxFuture<'static, ()> {
        if !self.pushes {
            return std::future::pending().boxed();
        }
        let driver = self.driver.get_or_init(|| self.poll.driver()).clone();
        let told = self.poll.pushes.next();
        async move {
            match select(told, driver).await {
                Either::Left(_) => {}
                // It has no end; if it had, nothing would be pushed any more.
                Either::Right(_) => std::future::pending().await,
            }
        }
        .boxed()
    }
}
