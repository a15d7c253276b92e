//! SQS: how deep a queue is, as one trigger counts it.
//!
//! Triggers on the same queue share a poll, which has all three numbers of the
//! queue; each adds up those it asked for. Calling SQS is `client`'s, whom to be
//! is `aws`'s.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;

use crate::resource::sqs::Queue;
use crate::scaling::Reading;
use crate::source::metrics::Meter;
use crate::source::shared::SharedCall;
use crate::source::{Error, Source, Taken};

pub mod attributes;
pub(super) mod client;

use attributes::Attribute;
use client::SqsClient;

/// The label of this kind of source in metrics: KEDA's name of the trigger.
pub const KIND: &str = "aws-sqs-queue";

/// A poll takes no longer than this, credentials included.
pub(super) const DEADLINE: Duration = Duration::from_secs(10);

/// One queue's attributes, shared by all triggers that look at it as the same identity.
pub(super) struct QueuePoll {
    queue_url: String,
    client: Arc<SqsClient>,
    shared: SharedCall<BTreeMap<Attribute, String>>,
}

impl QueuePoll {
    pub(super) fn new(queue_url: String, client: Arc<SqsClient>, meter: Meter) -> Self {
        let source_name = client.source_name(&queue_url);
        let asker = Arc::clone(&client);
        let url = queue_url.clone();
        let shared = SharedCall::new(source_name, DEADLINE, meter, move || {
            let (client, queue_url) = (Arc::clone(&asker), url.clone());
            async move { client.attributes(&queue_url).await }.boxed()
        });
        Self {
            queue_url,
            client,
            shared,
        }
    }

    /// Whether this is the poll of that queue through that client.
    pub(super) fn is(&self, queue_url: &str, client: &Arc<SqsClient>) -> bool {
        self.queue_url == queue_url && Arc::ptr_eq(&self.client, client)
    }
}

/// One trigger's view of a queue.
pub(super) struct Depth {
    poll: Arc<QueuePoll>,
    asked: Vec<Attribute>,
}

impl Depth {
    pub(super) fn new(poll: Arc<QueuePoll>, queue: &Queue) -> Self {
        let asked = Attribute::asked(queue.in_flight, queue.delayed);
        Self { poll, asked }
    }
}

impl Source for Depth {
    fn read(&self, freshness: Duration) -> BoxFuture<'_, Result<Taken, Error>> {
        async move {
            let (answer, at) = self.poll.shared.ask(freshness).await?;
            let waiting =
                attributes::waiting(&answer, &self.asked).map_err(|detail| Error::BadAnswer {
                    source_name: self.poll.client.source_name(&self.poll.queue_url),
                    detail,
                })?;
            Ok(Taken {
                reading: Reading::new(waiting),
                at: at.into_std(),
                terms: None,
                warning: None,
            })
        }
        .boxed()
    }
}
