//! The task of one EventJob: its template is proved, events find it, its Jobs are looked after, its status is written.
//!
//! These go on beside each other, each at its own pace (`proving`, `admission`, `telling`, `credentials`): a dry run that
//! hangs holds up no Job that waits for its turn.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use futures::future::join5;

use self::credentials::CredentialsWatch;
use super::admission::Passes;
use super::event_jobs::status::{EventJobStanding, Facts, wanted};
use super::event_jobs::{DesiredEventJob, EventJobs};
use super::schedule_progress::ScheduleProgress;
use super::scheduling::{Edits, Scheduling};
use super::status::INTERNAL_ERROR;
use super::status_writer::notes::Notes;
use super::workers::ObjectTask;
use crate::catalog::{CatalogEntry, Listing};
use crate::launch::delivered::Owners;
use crate::resource::event_job::EventJob;

mod credentials;
mod proving;
mod telling;

/// Looks after an EventJob until it is removed, or until everything stops. Calls under way are dropped then: names and
/// versions make that safe.
pub(super) async fn run(event_jobs: Arc<EventJobs>, task: ObjectTask<DesiredEventJob>) {
    let id = task.inbox.with(|desired| desired.identity.id.clone());
    let signals = event_jobs.outcomes.of(&id);
    let progress = ScheduleProgress::default();
    let passes = Passes {
        ports: &event_jobs.ports,
        catalog: &event_jobs.catalog,
        lead: &event_jobs.lead,
        event_job: &id,
        jobs_changed: &task.inbox.jobs_changed,
        news: &signals.news,
        objects: &task.objects,
        progress: &progress,
    };
    let scheduling = Scheduling::beside(&passes);
    let edits = Edits::watching(&task);
    let credentials = CredentialsWatch::default();
    let is_late = AtomicBool::new(false);
    let work = join5(
        Box::pin(proving::run(&event_jobs, &task, &signals, &is_late)),
        Box::pin(passes.run()),
        Box::pin(scheduling.run(edits)),
        Box::pin(telling::run(
            &event_jobs,
            &task,
            &signals.news,
            &credentials,
            &progress,
            &is_late,
        )),
        Box::pin(credentials.run(&event_jobs, &task, &signals)),
    );
    tokio::select! {
        biased;
        () = task.inbox.ended() => {}
        _ = work => {}
    }
}

/// Takes no events for an EventJob whose task ended by a bug, and says so in its status.
pub(super) async fn panicked(event_jobs: &EventJobs, desired: &DesiredEventJob) {
    let id = &desired.identity.id;
    event_jobs.startup.known(id);
    let Ok(event_job) = &desired.event_job else {
        return;
    };
    serve(event_jobs, event_job, Some("an internal error".to_owned()));
    if !event_jobs.lead.is_held() || event_jobs.kind == Owners::CronJobs {
        return;
    }
    let facts = Facts {
        generation: desired.identity.generation,
        standing: EventJobStanding::Broken(INTERNAL_ERROR),
        proof: None,
        has_schedule: Some(event_job.cron().is_some()),
        suspended: event_job.suspend,
        jobs: None,
        latest: None,
        schedule: None,
        now: (event_jobs.clock)(),
    };
    let writer = &event_jobs.writer;
    writer.want(&desired.identity, facts.now, |before| {
        (wanted(id, before, &facts), Notes::default())
    });
    writer.flush(&desired.identity, None).await;
}

/// Lets events find this version, as one that takes them or as one that does not.
fn serve(event_jobs: &EventJobs, event_job: &Arc<EventJob>, not_ready: Option<String>) {
    let entry = CatalogEntry {
        event_job: Arc::clone(event_job),
        not_ready,
    };
    let id = event_job.id.clone();
    event_jobs.catalog.set(id, Listing::Valid(entry));
}
