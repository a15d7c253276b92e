//! One request for every `shared` EventJob of a namespace: each that lets its sender in and matches hears it.

use futures::StreamExt as _;
use futures::future::{BoxFuture, ready};

use super::answer::{DoorAnswer, EventReport, Reason};
use super::clock::Clock;
use super::senders::{Hearing, Senders};
use super::{Request, Webhook, no_body, not_synced, read};
use crate::catalog::{SharedEntry, SharedEventJobs};
use crate::event::{self, Attributes, Opened};
use crate::intake::auth::SenderVerdict;
use crate::intake::{Body, attributes};
use crate::resource::ObjectId;
use crate::resource::event_job::WebhookSource;

/// EventJobs of one event that are launched at once.
const AT_ONCE: usize = 16;

/// Whether two EventJobs see the same events in a body.
fn is_alike(left: &WebhookSource, right: &WebhookSource) -> bool {
    left.format == right.format && left.split == right.split
}

/// What was posted.
struct Posted<'a> {
    attributes: Attributes,
    bytes: &'a [u8],
}

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
            return self.unknown(&ObjectId::new(namespace, ""), &clock).await;
        };
        // One that was not read yet may match too, and a 2xx says that every Job exists.
        if !self.catalog.is_complete(namespace) {
            return not_synced();
        }
        let ways = self.ways.of(namespace, &shared);
        let asked = self
            .authenticator
            .with_headers_of_all(namespace, &ways, request.headers);
        let verdicts = clock.verdicts(asked, shared.auths.len()).await;
        let mut senders = Senders::new(&shared, verdicts);
        if let Some(answer) = senders.refused(self, namespace, request.headers) {
            return answer;
        }
        let bytes = match read(body, senders.kind(), request.headers, &mut clock).await {
            Ok(bytes) => bytes,
            Err(answer) => return answer,
        };
        for (event_job, verdict) in shared.auths.iter().zip(&mut senders.verdicts) {
            if *verdict == SenderVerdict::NeedsBody {
                let auth = event_job.auth();
                let asked = self
                    .authenticator
                    .with_body(namespace, auth, request.headers, &bytes);
                *verdict = clock.verdict(asked).await;
            }
        }
        if let Some(answer) = senders.refused(self, namespace, request.headers) {
            return answer;
        }
        if let Err(error) = body.admit(senders.kind()) {
            return no_body(error);
        }
        senders.note_troubles(self);
        let posted = Posted {
            attributes: attributes(request.headers),
            bytes: &bytes,
        };
        let mut reports = Vec::new();
        let mut read: Vec<&WebhookSource> = Vec::new();
        for of in shared.entries.values() {
            let Some(webhook) = of.entry.event_job.webhook() else {
                continue;
            };
            // A body is opened once for all that take it alike.
            if read.iter().any(|other| is_alike(webhook, other)) {
                continue;
            }
            read.push(webhook);
            let told = self.tell(&senders, &shared, webhook, &posted, &clock);
            reports.extend(told.await);
        }
        reports.extend(senders.unknown());
        DoorAnswer::many(reports)
    }

    /// Delivers a body, opened as one EventJob takes it, to every EventJob that takes it alike and that it concerns.
    async fn tell(
        &self,
        senders: &Senders<'_>,
        shared: &SharedEventJobs,
        webhook: &WebhookSource,
        posted: &Posted<'_>,
        clock: &Clock,
    ) -> Vec<EventReport> {
        let hearing = |of: &SharedEntry| {
            let own = of.entry.event_job.webhook();
            let is_spoken = own.is_some_and(|own| is_alike(own, webhook));
            is_spoken.then(|| senders.hearing(of)).flatten()
        };
        let heard = |of: &SharedEntry| hearing(of).is_some();
        if !shared.entries.values().any(heard) {
            return Vec::new();
        }
        // What is no event of this format concerns nobody who could not take it anyway.
        let is_taken = |of: &SharedEntry| !of.is_invalid && hearing(of) == Some(Hearing::Delivers);
        let is_taken = shared.entries.values().any(is_taken);
        let told = |report: EventReport| is_taken.then_some(report);
        let events = match event::open_for(webhook, &posted.attributes, posted.bytes) {
            Ok(Opened::One(event)) => vec![Ok(*event)],
            Ok(Opened::Many(events)) => events,
            // Subscriptions and handshakes are made at an EventJob's own address.
            Ok(Opened::Confirmation { .. } | Opened::Unsubscribed | Opened::Handshake { .. }) => {
                Vec::new()
            }
            Err(refusal) => vec![Err(refusal)],
        };
        let mut reports = Vec::new();
        for event in events {
            let event = match event {
                Ok(event) => event,
                Err(refusal) => {
                    reports.extend(told(EventReport::refused(&refusal)));
                    continue;
                }
            };
            let mut matching = shared.matcher.matches(&event.text);
            matching.extend(shared.every.iter().cloned());
            if event.has_doubtful_names {
                // Whether it matches may depend on who reads it: those refuse it.
                let others = shared.entries.iter().filter(|(id, of)| {
                    !matching.contains(id) && event.check_names(&of.entry.event_job).is_err()
                });
                let others: Vec<_> = others.map(|(id, _)| id.clone()).collect();
                matching.extend(others);
            }
            let entries = matching.iter().filter_map(|id| shared.entries.get(id));
            let entries: Vec<(&SharedEntry, Hearing)> =
                entries.filter_map(|of| Some((of, hearing(of)?))).collect();
            if entries.is_empty() {
                reports.extend(told(EventReport::unmatched()));
                continue;
            }
            let mut deliveries: Vec<BoxFuture<'_, EventReport>> = Vec::with_capacity(entries.len());
            for (of, hearing) in entries {
                deliveries.push(match hearing {
                    Hearing::Delivers => Box::pin(self.deliver(&of.entry, &event, true, clock)),
                    Hearing::CannotTell(why) => {
                        let report = EventReport::error(Reason::Unavailable, why);
                        Box::pin(ready(report.of(&of.entry.event_job.id)))
                    }
                });
            }
            let mut told = futures::stream::iter(deliveries).buffered(AT_ONCE);
            while let Some(report) = told.next().await {
                reports.push(report);
            }
        }
        reports
    }
}
