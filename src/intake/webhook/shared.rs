//! One request for every `shared` EventJob of a namespace: each that lets its sender in and matches hears it.

use futures::StreamExt as _;
use futures::future::BoxFuture;

use super::answer::{DoorAnswer, EventReport};
use super::clock::Clock;
use super::senders::Senders;
use super::{Request, Webhook, not_synced, read};
use crate::catalog::{CatalogEntry, SharedEventJobs};
use crate::event::{self, Attributes, Opened, Refusal};
use crate::intake::auth::SenderVerdict;
use crate::intake::{Body, attributes};
use crate::resource::event_job::Format;

/// EventJobs of one event that are launched at once.
const AT_ONCE: usize = 16;

impl Webhook {
    /// 2xx only when every EventJob that matches has its Job.
    pub(super) async fn answer_shared(
        &self,
        request: Request<'_>,
        body: &mut dyn Body,
    ) -> DoorAnswer {
        let mut clock = Clock::start();
        let namespace = request.namespace;
        let Some(shared) = self.catalog.shared(namespace).await else {
            return self.unknown(self.look.any_shared(namespace), &clock).await;
        };
        // One that was not read yet may match too, and a 2xx says that every Job exists.
        if !self.catalog.is_complete(namespace) {
            return not_synced();
        }
        let mut senders = Senders::of(&shared);
        for (auth, verdict) in &mut senders.verdicts {
            let asked = self
                .authenticator
                .with_headers(namespace, auth, request.headers);
            *verdict = clock.verdict(asked).await;
        }
        if let Some(answer) = senders.refused(namespace) {
            return answer;
        }
        let bytes = match read(body, request.headers, &mut clock).await {
            Ok(bytes) => bytes,
            Err(answer) => return answer,
        };
        for (auth, verdict) in &mut senders.verdicts {
            if *verdict == SenderVerdict::NeedsBody {
                let asked = self
                    .authenticator
                    .with_body(namespace, auth, request.headers, &bytes);
                *verdict = clock.verdict(asked).await;
            }
        }
        if let Some(answer) = senders.refused(namespace) {
            return answer;
        }
        let attributes = attributes(request.headers);
        let mut reports = Vec::new();
        for format in [
            Format::EventBridge,
            Format::Sns,
            Format::CloudEvents,
            Format::Json,
        ] {
            let heard = |entry: &CatalogEntry| {
                entry.event_job.webhook.format == format
                    && senders.has_passed(&entry.event_job.webhook.auth)
            };
            if !shared.entries.values().any(heard) {
                continue;
            }
            let told = self
                .tell(&shared, format, &attributes, &bytes, &heard, &clock)
                .await;
            match told {
                Ok(told) => reports.extend(told),
                Err(refusal) => reports.push(EventReport::refused(&refusal)),
            }
        }
        DoorAnswer::many(reports)
    }

    /// Delivers a body to every EventJob that hears it and matches.
    async fn tell(
        &self,
        shared: &SharedEventJobs,
        format: Format,
        attributes: &Attributes,
        bytes: &[u8],
        heard: &(dyn Fn(&CatalogEntry) -> bool + Sync),
        clock: &Clock,
    ) -> Result<Vec<EventReport>, Refusal> {
        let events = match event::open(format, attributes, bytes)? {
            Opened::One(event) => vec![Ok(*event)],
            Opened::Many(events) => events,
            // Subscriptions are confirmed where they are made: at the EventJob's own address.
            Opened::Confirmation { .. } | Opened::Unsubscribed => Vec::new(),
        };
        let mut reports = Vec::new();
        for event in events {
            let event = match event {
                Ok(event) => event,
                Err(refusal) => {
                    reports.push(EventReport::refused(&refusal));
                    continue;
                }
            };
            let mut matching = shared.matcher.matches(&event.text);
            matching.extend(shared.every.iter().cloned());
            if event.has_doubtful_names {
                // Whether it matches may depend on who reads it: those refuse it.
                let others = shared.entries.iter().filter(|(id, entry)| {
                    !matching.contains(id) && event.check_names(&entry.event_job).is_err()
                });
                let others: Vec<_> = others.map(|(id, _)| id.clone()).collect();
                matching.extend(others);
            }
            let entries: Vec<&CatalogEntry> = matching
                .iter()
                .filter_map(|id| shared.entries.get(id))
                .filter(|entry| heard(entry))
                .collect();
            if entries.is_empty() {
                reports.push(EventReport::unmatched());
                continue;
            }
            let mut deliveries: Vec<BoxFuture<'_, EventReport>> = Vec::with_capacity(entries.len());
            for entry in entries {
                deliveries.push(Box::pin(self.deliver(entry, &event, true, clock)));
            }
            let mut told = futures::stream::iter(deliveries).buffered(AT_ONCE);
            while let Some(report) = told.next().await {
                reports.push(report);
            }
        }
        Ok(reports)
    }
}
