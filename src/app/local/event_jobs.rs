//! The EventJobs of the files: into the catalog, and the door open once there is one.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;

use futures::future::BoxFuture;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use crate::app::listen;
use crate::catalog::{Catalog, CatalogEntry, Listing, says_shared};
use crate::controller::event_jobs::status::EventJobStanding;
use crate::intake::auth::credentials;
use crate::intake::webhook::Look;
use crate::launch;
use crate::launch::ports::{Deliver as _, DeliveredJobs as _};
use crate::local::Local;
use crate::lookup::Lookup;
use crate::manifest::{Finding, Manifests};
use crate::resource::cron_job::convert;
use crate::resource::event_job::{self, EventJob};
use crate::resource::{Fault, ObjectId};

use super::HTTP;
use super::reports::Reports;

/// EventJobs as they were last right.
pub(super) struct AppliedEventJobs {
    pub(super) local: Local,
    pub(super) catalog: Arc<Catalog>,
    pub(super) reports: Arc<Reports>,
    pub(super) lookup: Arc<dyn Lookup>,
    pub(super) door: Opening,
    /// Those that are or were valid, as they last were.
    pub(super) applied: HashMap<ObjectId, Arc<EventJob>>,
    /// Those that are not valid now.
    pub(super) invalid: HashSet<ObjectId>,
}

/// A door that is opened when it is needed.
pub(super) struct Opening {
    /// `--http`.
    wanted: SocketAddr,
    /// Who answers there.
    listeners: mpsc::Sender<TcpListener>,
    /// Where it is, once it is open.
    pub(super) address: watch::Sender<Option<SocketAddr>>,
}

/// What files say about EventJobs.
pub(super) struct EventJobsInFiles {
    valid: Vec<(Finding, EventJob)>,
    /// Each, and whether it says that it is shared.
    invalid: Vec<(ObjectId, bool)>,
    /// Why CronJobs cannot run here.
    refused: Vec<String>,
    /// Of some file nobody knows what it says.
    is_unreadable: bool,
}

impl EventJobsInFiles {
    /// What these files say.
    pub(super) fn new(manifests: &Manifests, is_unreadable: bool) -> Self {
        let place = |index: usize| manifests.entries[index].finding(Fault::at("", ""));
        let mut refused = Vec::new();
        let mut cron_jobs = Vec::new();
        for (index, cron_job) in &manifests.cron_jobs {
            let entry = &manifests.entries[*index];
            let converted = convert(cron_job, &entry.document.value);
            match event_job::parse(&converted.event_job) {
                Ok(event_job) => cron_jobs.push((*index, event_job)),
                // What CronJob takes and an EventJob does not.
                Err(wrong) => {
                    let wrong = wrong.into_iter().map(|fault| entry.finding(fault));
                    refused.extend(wrong.map(|finding| finding.to_string()));
                }
            }
        }
        let event_jobs = manifests.event_jobs.iter().cloned();
        let valid: Vec<_> = event_jobs
            .chain(cron_jobs)
            .filter(|(index, _)| !manifests.entries[*index].document.is_deleted())
            .map(|(index, event_job)| (place(index), event_job))
            .collect();
        let known: HashSet<&ObjectId> = valid.iter().map(|(_, event_job)| &event_job.id).collect();
        let faulty = manifests.entries.iter().map(|entry| &entry.document);
        let faulty = faulty.filter(|document| {
            document.kind == "EventJob"
                && document.api_version.starts_with("slipway.dev/")
                && !document.is_deleted()
                && !known.contains(&document.id)
        });
        Self {
            invalid: faulty
                .map(|document| (document.id.clone(), says_shared(&document.value)))
                .collect(),
            valid,
            refused,
            is_unreadable,
        }
    }
}

impl AppliedEventJobs {
    /// Brings the catalog in line with the files. What is wrong, if something is: such an object takes no events, and its
    /// last right version tells which ones concern it.
    ///
    /// # Errors
    ///
    /// The door cannot be opened.
    pub(super) async fn reload(
        &mut self,
        written: EventJobsInFiles,
    ) -> anyhow::Result<Vec<String>> {
        let mut faults = written.refused;
        let named: HashSet<ObjectId> = written
            .valid
            .iter()
            .map(|(_, event_job)| event_job.id.clone())
            .chain(written.invalid.iter().map(|(id, _)| id.clone()))
            .collect();
        if !written.is_unreadable {
            self.drop_others(&named);
        }
        for (id, says_shared) in written.invalid {
            let before = self.applied.get(&id);
            let uid = before.map_or("", |before| &before.uid);
            self.catalog.set_invalid(id.clone(), uid, says_shared);
            self.invalid.insert(id);
        }
        for (place, event_job) in written.valid {
            faults.extend(self.apply(place, event_job).await);
        }
        self.catalog.complete(None);
        if self
            .applied
            .values()
            .any(|event_job| event_job.webhook().is_some())
        {
            self.door.open().await?;
        }
        self.report().await;
        Ok(faults)
    }

    /// Whether no Job waits for its turn.
    pub(super) fn is_idle(&self) -> bool {
        let waits = |id: &ObjectId| {
            let waiting = self.local.waiting(id);
            waiting.is_ok_and(|waiting| waiting > 0)
        };
        !self.applied.keys().any(waits)
    }

    fn drop_others(&mut self, named: &HashSet<ObjectId>) {
        let gone = |id: &&ObjectId| !named.contains(*id);
        let known = self.applied.keys().chain(&self.invalid);
        let gone: Vec<ObjectId> = known.filter(gone).cloned().collect();
        for id in gone {
            self.catalog.remove(&id);
            self.applied.remove(&id);
            self.invalid.remove(&id);
            self.reports.drop_event_job(&id);
        }
    }

    /// What is wrong, if something is.
    async fn apply(&mut self, mut place: Finding, event_job: EventJob) -> Option<String> {
        let id = event_job.id.clone();
        let before = self.applied.get(&id);
        if before.is_some_and(|before| prefix(before) != prefix(&event_job)) {
            place.fault = Fault::at(
                "spec.jobTemplate.metadata.generateName",
                "cannot change: Jobs of earlier events have their names from it; give the new EventJob another name",
            );
            return Some(place.to_string());
        }
        let not_ready = self.local.prove(&event_job).await.err();
        let not_ready = not_ready.map(|error| match error {
            // The place names the object already.
            launch::Error::Rejected { detail, .. } => detail,
            error => error.to_string(),
        });
        let event_job = Arc::new(event_job);
        self.invalid.remove(&id);
        self.applied.insert(id.clone(), Arc::clone(&event_job));
        let entry = CatalogEntry {
            event_job,
            not_ready: not_ready.clone(),
        };
        self.catalog.set(id, Listing::Valid(entry));
        place.fault.message = not_ready?;
        Some(place.to_string())
    }

    /// Says how each stands.
    async fn report(&self) {
        let address = *self.door.address.borrow();
        for id in self.applied.keys() {
            let (text, standing) = match self.catalog.get(id) {
                Some(Listing::Valid(entry)) => {
                    let auth = entry.event_job.auth();
                    let found = credentials::trouble(&*self.lookup, &id.namespace, auth).await;
                    match found.map_err(|error| error.to_string()) {
                        Ok(None) => {
                            let why = entry.not_ready.clone();
                            let stands =
                                why.map_or(EventJobStanding::Ready, EventJobStanding::NotReady);
                            (standing(&entry, address), stands)
                        }
                        Ok(Some(trouble)) => {
                            let text = format!("not ready: {}", trouble.text);
                            (text, EventJobStanding::Closed(trouble))
                        }
                        Err(text) => (
                            format!("not ready: {text}"),
                            EventJobStanding::NotReady(text),
                        ),
                    }
                }
                Some(Listing::Invalid { .. }) => {
                    let text = "takes no events: it is not valid";
                    (
                        text.to_owned(),
                        EventJobStanding::NotReady("it is not valid".to_owned()),
                    )
                }
                Some(Listing::Deleting) | None => continue,
            };
            self.reports.set_event_job(id, text, standing);
        }
    }
}

impl Opening {
    /// A door, open if somebody says where; with who is to serve it, and where it is.
    ///
    /// # Errors
    ///
    /// As of [`Opening::open`].
    pub(super) async fn new(
        wanted: Option<SocketAddr>,
    ) -> anyhow::Result<(
        Self,
        mpsc::Receiver<TcpListener>,
        watch::Receiver<Option<SocketAddr>>,
    )> {
        let (listeners, to_be_served) = mpsc::channel(1);
        let (address, door_address) = watch::channel(None);
        let mut opening = Self {
            wanted: wanted.unwrap_or(HTTP),
            listeners,
            address,
        };
        if wanted.is_some() {
            opening.open().await?;
        }
        Ok((opening, to_be_served, door_address))
    }

    /// Opens the door, if it is not open.
    ///
    /// # Errors
    ///
    /// The address is taken, or not ours.
    pub(super) async fn open(&mut self) -> anyhow::Result<()> {
        if self.address.borrow().is_some() {
            return Ok(());
        }
        let listener = listen("--http", self.wanted).await?;
        let address = listener.local_addr()?;
        // Who answers ends only when everything does.
        drop(self.listeners.send(listener).await);
        self.address.send_replace(Some(address));
        Ok(())
    }
}

fn prefix(event_job: &EventJob) -> serde_json::Value {
    event_job.job_template.value()["metadata"]["generateName"].take()
}

fn standing(entry: &CatalogEntry, address: Option<SocketAddr>) -> String {
    let id = &entry.event_job.id;
    if let Some(why) = &entry.not_ready {
        return format!("not ready: {why}");
    }
    if entry.event_job.suspend {
        return "suspended".to_owned();
    }
    let Some(webhook) = entry.event_job.webhook() else {
        return "waits for its schedule".to_owned();
    };
    let Some(address) = address else {
        return "takes no events yet".to_owned();
    };
    let namespace = format!("http://{address}/events/{}", id.namespace);
    let also = if webhook.shared {
        format!(" and {namespace}")
    } else {
        String::new()
    };
    format!("takes events at {namespace}/{}{also}", id.name)
}

/// What is not in the catalog is nowhere, once the files have been read.
pub(super) struct OnlyFiles(pub(super) Arc<Catalog>);

impl Look for OnlyFiles {
    fn is_ours(&self, _namespace: &str) -> bool {
        true
    }

    fn exists<'a>(&'a self, id: &'a ObjectId) -> BoxFuture<'a, Result<bool, String>> {
        Box::pin(std::future::ready(Ok(!self.0.is_complete(&id.namespace))))
    }

    fn any_shared<'a>(&'a self, namespace: &'a str) -> BoxFuture<'a, Result<bool, String>> {
        Box::pin(std::future::ready(Ok(!self.0.is_complete(namespace))))
    }
}
