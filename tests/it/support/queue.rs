//! Queues on a real SQS server.

use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;

use super::cluster::unique;
use super::servers;

/// A queue of one's own.
pub(crate) struct Queue {
    client: Client,
    pub(crate) url: String,
}

impl Queue {
    /// A new, empty queue on ElasticMQ.
    pub(crate) async fn new(name: &str) -> Self {
        let anybody = Credentials::new("test", "test", None, None, "tests");
        Self::at(&servers::sqs_endpoint(), anybody, name).await
    }

    /// A new, empty queue at an endpoint, in the account that the credentials belong to.
    pub(crate) async fn at(endpoint: &str, credentials: Credentials, name: &str) -> Self {
        let http = aws_smithy_http_client::Builder::new().build_http();
        let config = aws_sdk_sqs::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .http_client(http)
            .region(Region::new("eu-west-1"))
            .endpoint_url(endpoint)
            .credentials_provider(credentials)
            .build();
        let client = Client::from_conf(config);
        let created = client
            .create_queue()
            .queue_name(format!("{name}-{}", unique()))
            .send()
            .await
            .unwrap();
        Self {
            client,
            url: created.queue_url.unwrap(),
        }
    }

    /// Sends so many messages.
    pub(crate) async fn send(&self, count: usize) {
        let bodies: Vec<usize> = (0..count).collect();
        for batch in bodies.chunks(10) {
            let entries = batch.iter().map(|body| {
                SendMessageBatchRequestEntry::builder()
                    .id(body.to_string())
                    .message_body("work")
                    .build()
                    .unwrap()
            });
            let request = self.client.send_message_batch().queue_url(&self.url);
            let sent = request
                .set_entries(Some(entries.collect()))
                .send()
                .await
                .unwrap();
            assert!(sent.failed.is_empty());
        }
    }

    /// Receives and deletes so many messages.
    pub(crate) async fn take(&self, count: usize) {
        let mut left = count;
        while left > 0 {
            let at_most = i32::try_from(left.min(10)).unwrap();
            let received = self
                .client
                .receive_message()
                .queue_url(&self.url)
                .max_number_of_messages(at_most)
                .send()
                .await
                .unwrap();
            for message in received.messages.unwrap_or_default() {
                let request = self.client.delete_message().queue_url(&self.url);
                request
                    .set_receipt_handle(message.receipt_handle)
                    .send()
                    .await
                    .unwrap();
                left -= 1;
            }
        }
    }

    /// Receives and deletes one message; whether there was one.
    pub(crate) async fn take_one(&self) -> bool {
        let request = self.client.receive_message().queue_url(&self.url);
        let received = request.max_number_of_messages(1).send().await.unwrap();
        let Some(message) = received.messages.unwrap_or_default().pop() else {
            return false;
        };
        let request = self.client.delete_message().queue_url(&self.url);
        let request = request.set_receipt_handle(message.receipt_handle);
        request.send().await.unwrap();
        true
    }

    /// Deletes the queue itself.
    pub(crate) async fn delete(&self) {
        self.client
            .delete_queue()
            .queue_url(&self.url)
            .send()
            .await
            .unwrap();
    }
}
