//! Whoever sends events: each delivery again and again, to any of the replicas, until it is taken.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::DELETED;
use super::plan::{Delivery, REPLICAS};
use super::world::Replica;
use crate::events::{renewed, send_to};
use crate::support::chance::Chance;

/// From its first try on, an event is taken within this time.
const PATIENCE: Duration = Duration::from_mins(3);

/// Names of Jobs that were answered, by event; an answer may name none.
#[derive(Default)]
pub(super) struct Answers(Mutex<BTreeMap<String, BTreeSet<String>>>);

impl Answers {
    /// The names that were answered for this event; `None` when it was never taken.
    pub(super) fn of(&self, id: &str) -> Option<BTreeSet<String>> {
        self.0.lock().unwrap().get(id).cloned()
    }

    fn add(&self, id: &str, name: &str) {
        let mut answers = self.0.lock().unwrap();
        let names = answers.entry(id.to_owned()).or_default();
        names.extend((!name.is_empty()).then(|| name.to_owned()));
    }
}

/// Waits for the delivery's time, and sends until there is a 200.
pub(super) async fn send(
    delivery: &Delivery,
    start: Instant,
    namespace: &str,
    replicas: &[Replica],
    answers: &Answers,
) {
    let begins = start + delivery.at;
    tokio::time::sleep_until(begins.into()).await;
    let Delivery { id, event_job, .. } = delivery;
    let event = renewed(id, id);
    let mut chance = Chance::new(delivery.at.subsec_nanos().into());
    for attempt in 0.. {
        let door = replicas[(delivery.door + attempt) % REPLICAS].door();
        let heard = send_to(&door, namespace, event_job, &event).await;
        match heard.as_ref().map(|heard| heard.status) {
            Some(200) => return answers.add(id, heard.unwrap().text("jobName")),
            None | Some(429 | 503) => {}
            // It is deleted for a while.
            Some(404) if *event_job == DELETED => {}
            // EventBridge would never send it again.
            Some(_) => panic!("{id} was lost: {heard:?}"),
        }
        assert!(
            begins.elapsed() < PATIENCE,
            "{id} is never taken, at last: {heard:?}"
        );
        // As EventBridge: later and later, and not all at once.
        let pause = Duration::from_millis((200 << attempt.min(4)) + chance.below(400));
        tokio::time::sleep(pause).await;
    }
}
