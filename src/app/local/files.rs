//! The files of `slipway local`, read again when they change, and what becomes of what they say.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::controller::Change;
use crate::history::SubjectKind;
use crate::launch;
use crate::local::{Local, Submitted};
use crate::lookup::files::Files;
use crate::manifest::{self, Finding, Manifests};
use crate::resource::requests::REQUESTS_ANNOTATION;
use crate::resource::{Api, Fault, ObjectId};

use super::Tally;
use super::admin::ShownFiles;
use super::door::Knocked;
use super::event_jobs::{AppliedEventJobs, EventJobsInFiles};
use super::reports::Reports;

/// How often files are looked at for changes. A look is a `stat` a file.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How often `--until-idle` asks whether anything is left to do.
const IDLE_EVERY: Duration = Duration::from_millis(100);

/// The files, and what has been made of them.
pub(super) struct WatchedFiles {
    pub(super) local: Local,
    /// What they say, for the status page.
    pub(super) shown: Arc<ShownFiles>,
    pub(super) event_jobs: AppliedEventJobs,
    pub(super) door: Arc<Knocked>,
    /// How long nobody has been at the door before nothing is left to do.
    pub(super) quiet: Duration,
    pub(super) lookup: Arc<Files>,
    pub(super) reports: Arc<Reports>,
    pub(super) changes: mpsc::Sender<Change>,
    /// ScaledJobs that the loop knows.
    pub(super) applied: HashMap<(ObjectId, Api), AppliedScaledJob>,
    /// What was wrong at the last look: it is told once.
    pub(super) faults: HashSet<String>,
    /// What was said to be ignored.
    pub(super) ignored: HashSet<String>,
    /// Whether they were read before.
    pub(super) is_read: bool,
    pub(super) tally: Arc<Tally>,
}

/// A ScaledJob as the loop knows it.
pub(super) struct AppliedScaledJob {
    /// As it is written.
    written: Value,
    /// What somebody asks of it.
    asked: String,
}

impl WatchedFiles {
    /// Follows the files until `stop`, and cancels it when nothing is left to do, if that is asked for.
    ///
    /// # Errors
    ///
    /// As of [`WatchedFiles::follow`].
    pub(super) async fn run(
        mut self,
        paths: Vec<PathBuf>,
        until_idle: bool,
        stop: CancellationToken,
    ) -> anyhow::Result<()> {
        tokio::select! {
            () = stop.cancelled() => Ok(()),
            ended = self.follow(&paths, until_idle) => {
                ended?;
                stop.cancel();
                Ok(())
            }
        }
    }

    /// Reads the files now and whenever they change. Ends when nothing is left to do, if that is asked for.
    ///
    /// # Errors
    ///
    /// The door for events cannot be opened.
    async fn follow(&mut self, paths: &[PathBuf], until_idle: bool) -> anyhow::Result<()> {
        let once = paths.iter().any(|path| path.as_os_str() == "-");
        let mut seen = None;
        loop {
            let now = stamps(paths);
            if seen.is_none() || (!once && seen.as_ref() != Some(&now)) {
                seen = Some(now);
                self.reload(paths, until_idle).await?;
            }
            self.apply_requests().await;
            if until_idle && self.is_idle() {
                return Ok(());
            }
            tokio::time::sleep(if until_idle { IDLE_EVERY } else { LOOK_EVERY }).await;
        }
    }

    /// An object that became wrong, or whose file cannot be read now, goes on as it last was right.
    async fn reload(&mut self, paths: &[PathBuf], until_idle: bool) -> anyhow::Result<()> {
        let manifests = manifest::load(paths).await;
        self.shown.set(&manifests);
        let mut faults: Vec<String> = manifests.faults.iter().map(ToString::to_string).collect();
        self.say_what_is_ignored(&manifests);
        let unreadable = manifests
            .faults
            .iter()
            .any(|finding| finding.object.is_none());
        let documents = manifests.entries.iter().map(|entry| &entry.document);
        // One that is wrong now is there all the same.
        let written: HashSet<(ObjectId, Api)> = documents
            .filter(|document| document.kind == "ScaledJob" && !document.is_deleted())
            .filter_map(|document| Some((document.id.clone(), Api::of(&document.api_version)?)))
            .collect();
        let value = |index: usize| manifests.entries[index].document.value.clone();
        let scaled_jobs = manifests.scaled_jobs.iter();
        let objects: Vec<_> = scaled_jobs
            .map(|(index, object)| ((object.id.clone(), object.api), value(*index)))
            .filter(|(key, _)| written.contains(key))
            .collect();
        let place = |index: usize| manifests.entries[index].finding(Fault::at("", ""));
        let jobs = manifests.jobs.iter();
        let jobs: Vec<_> = jobs.map(|index| (place(*index), value(*index))).collect();
        let event_jobs = EventJobsInFiles::new(&manifests, unreadable);
        let is_first = !std::mem::replace(&mut self.is_read, true);
        // What stands behind a mistake is not seen now, and is not gone.
        if is_first || !unreadable {
            self.lookup.set(manifests.files);
        }
        faults.extend(self.event_jobs.reload(event_jobs).await?);
        let is_empty = jobs.is_empty() && objects.is_empty() && self.event_jobs.applied.is_empty();
        for (place, job) in jobs {
            faults.extend(self.submit(place, job, is_first).await);
        }
        let known = self.applied.keys();
        let gone = known.filter(|key| !unreadable && !written.contains(*key));
        let gone: Vec<_> = gone.cloned().collect();
        for (id, api) in gone {
            self.applied.remove(&(id.clone(), api));
            self.reports.drop_report(&id, api);
            self.tell(Change::Removed { id, api }).await;
        }
        for (key, value) in objects {
            faults.extend(self.apply(key, value, is_first).await);
        }
        faults.extend(
            self.know_objects(&written)
                .err()
                .map(|error| error.to_string()),
        );
        for fault in faults.iter().filter(|fault| !self.faults.contains(*fault)) {
            warn!("{fault}");
        }
        if is_first && is_empty && !until_idle {
            warn!(
                "nothing here is run yet; the files are read again when they change, and Ctrl-C ends"
            );
        }
        self.tally.faults.store(faults.len(), Ordering::Relaxed);
        self.faults = faults.into_iter().collect();
        self.tell(Change::Synced).await;
        Ok(())
    }

    /// Objects that nobody reads. And volumes: the one thing that a template says and a process does not get, and
    /// cannot do without.
    fn say_what_is_ignored(&mut self, manifests: &Manifests) {
        let notes = manifests.warnings.iter().chain(&manifests.notes);
        for note in notes.map(ToString::to_string) {
            if self.ignored.insert(note.clone()) {
                warn!("{note}");
            }
        }
        for entry in &manifests.entries {
            let pod = [
                "/spec/jobTargetRef/template/spec",
                "/spec/jobTemplate/spec/template/spec",
                "/spec/template/spec",
            ];
            let mut pods = pod
                .iter()
                .filter_map(|path| entry.document.value.pointer(path));
            let has_volumes = pods.any(|pod| {
                pod["volumes"]
                    .as_array()
                    .is_some_and(|list| !list.is_empty())
            });
            let object = format!("{} {}", entry.document.kind, entry.document.id);
            if has_volumes && self.ignored.insert(object.clone()) {
                warn!(
                    "{}: {object}: volumes are not mounted here: its processes see the files of this machine",
                    entry.file
                );
            }
        }
    }

    /// What is wrong, if something is.
    async fn apply(
        &mut self,
        key: (ObjectId, Api),
        value: Value,
        is_first: bool,
    ) -> Option<String> {
        let before = self.applied.get(&key);
        if before.is_some_and(|before| before.written == value) {
            if !is_first {
                self.tell(Change::ReferencesChanged(Some(key.0.namespace.to_string())))
                    .await;
            }
            return None;
        }
        match self.with_records(&key.0, value.clone()) {
            Ok((applied, asked)) => {
                let written = value;
                self.applied
                    .insert(key, AppliedScaledJob { written, asked });
                self.tell(Change::Applied(applied)).await;
                None
            }
            Err(error) => Some(format!("{error}; nothing is launched for {}", key.0)),
        }
    }

    /// Writes down which objects there are, and whether each EventJob takes events: those that go on although they are wrong now, or cannot be read, too.
    fn know_objects(&self, written: &HashSet<(ObjectId, Api)>) -> Result<(), launch::Error> {
        let scaled_jobs = written.iter().chain(self.applied.keys());
        let scaled_jobs =
            scaled_jobs.map(|(id, api)| ((SubjectKind::from(*api).name(), id.clone()), json!({})));
        let event_jobs = &self.event_jobs;
        let event_jobs = event_jobs.applied.keys().chain(&event_jobs.invalid);
        let event_jobs = event_jobs.map(|id| {
            let conditions = self.shown.conditions(id, &self.reports);
            let key = (SubjectKind::EventJob.name(), id.clone());
            (key, json!({"conditions": conditions}))
        });
        self.local.know(&scaled_jobs.chain(event_jobs).collect())
    }

    /// Has the loop know what somebody asks of ScaledJobs since the last look.
    async fn apply_requests(&mut self) {
        let mut changed = Vec::new();
        for (key, applied) in &self.applied {
            // What cannot be read now is read at the next look.
            let Ok(asked) = self.local.asked_of_scaled_job(&key.0) else {
                continue;
            };
            if asked != applied.asked
                && let Ok(read) = self.with_records(&key.0, applied.written.clone())
            {
                changed.push((key.clone(), read));
            }
        }
        for (key, (object, asked)) in changed {
            if let Some(applied) = self.applied.get_mut(&key) {
                applied.asked = asked;
            }
            self.tell(Change::Applied(object)).await;
        }
    }

    /// A ScaledJob as a cluster would have it: with what is written down about it in its status, and what is asked of it
    /// in its annotation; and the latter.
    fn with_records(
        &self,
        id: &ObjectId,
        mut object: Value,
    ) -> Result<(Value, String), launch::Error> {
        let asked = self.local.asked_of_scaled_job(id)?;
        object["status"] = self.local.scaled_job(id)?.to_status();
        if !asked.is_empty() {
            object["metadata"]["annotations"][REQUESTS_ANNOTATION] = asked.as_str().into();
        }
        Ok((object, asked))
    }

    /// What is wrong, if something is.
    async fn submit(&self, mut place: Finding, job: Value, is_first: bool) -> Option<String> {
        match self.local.submit(job).await {
            Ok(Submitted::RanBefore(story)) if is_first => {
                if let Some((_, id)) = &place.object {
                    let text = format!("{story}, and is not run again; --fresh begins anew");
                    self.reports.tell_of_job(id, text);
                }
                None
            }
            Ok(_) => None,
            Err(error) => {
                place.fault.message = match error {
                    // The place names the Job already.
                    launch::Error::Rejected { detail, .. } => detail,
                    error => error.to_string(),
                };
                Some(place.to_string())
            }
        }
    }

    async fn tell(&self, change: Change) {
        // The loop ends only when everything does.
        drop(self.changes.send(change).await);
    }

    fn is_idle(&self) -> bool {
        let is_quiet = self.event_jobs.applied.is_empty() || self.door.is_quiet(self.quiet);
        // Nobody at the door first: whoever was there may have left a Job.
        is_quiet
            && self.event_jobs.is_idle()
            && self.local.is_idle()
            && self
                .applied
                .keys()
                .all(|(id, api)| self.reports.is_idle(id, *api))
    }
}

/// What tells that a file changed: when it was written, and its length.
fn stamps(paths: &[PathBuf]) -> Vec<(PathBuf, Option<(SystemTime, u64)>)> {
    let mut files = Vec::new();
    for path in paths {
        match manifest::files_of(path) {
            Ok(found) => files.extend(found),
            Err(_) => files.push(path.clone()),
        }
    }
    files.sort();
    let stamp = |path: &PathBuf| {
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    };
    files
        .into_iter()
        .map(|path| (path.clone(), stamp(&path)))
        .collect()
}
