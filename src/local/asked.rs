//! What another process asks about a Job of a state folder: to run it again, or to remove it.
//!
//! Whoever runs on the folder does it. If nobody does, whoever comes next will.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::MissedTickBehavior;

use super::events::HOLDER;
use super::store::{read_json, record_file, write_record};
use super::{Controller, blocking, unavailable};
use crate::launch::Error;
use crate::launch::attempt::{RERUN_ANNOTATION, RerunRequest};
use crate::launch::delivered::{GATE_ANNOTATION, GATE_HOLDER_ANNOTATION, Gate, REMOVED_ANNOTATION};
use crate::resource::ObjectId;

/// The hidden folder of a namespace with what is asked about its Jobs.
pub(super) const FOLDER: &str = ".asked";
/// How often it is looked into.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do")]
pub enum JobWish {
    /// Another attempt of a Job that failed.
    Rerun(RerunRequest),
    /// That it goes, with its processes.
    Remove,
}

/// Asks for it. What was asked before about the same Job, and not looked at yet, is asked no more.
///
/// # Errors
///
/// The folder takes no files.
pub fn ask(state: &Path, job: &ObjectId, wish: &JobWish) -> io::Result<()> {
    let wish = serde_json::to_value(wish).map_err(io::Error::other)?;
    write_record(&record_file(state, FOLDER, job), &wish)
}

/// Whether what was asked about a Job has not been looked at yet.
///
/// # Errors
///
/// The folder cannot be read.
pub fn is_waiting(state: &Path, job: &ObjectId) -> io::Result<bool> {
    record_file(state, FOLDER, job).try_exists()
}

/// Does what is asked, for ever.
pub(super) async fn follow(shared: Arc<Controller>) {
    let mut looks = tokio::time::interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_failing = false;
    loop {
        looks.tick().await;
        let looked = shared.look_at_wishes().await;
        if let (Err(error), false) = (&looked, is_failing) {
            tracing::warn!(
                error = error as &dyn std::error::Error,
                "what is asked about Jobs cannot be read or done; trying again"
            );
        }
        is_failing = looked.is_err();
    }
}

impl Controller {
    async fn look_at_wishes(self: &Arc<Self>) -> Result<(), Error> {
        let reader = Arc::clone(self);
        let wishes = blocking("the state folder", move || {
            let wishes = reader.wishes();
            wishes.map_err(|error| unavailable("the state folder", &error))
        });
        for (id, wish) in wishes.await? {
            let turn = self.turns.take(&id).await;
            let shared = Arc::clone(self);
            let done = blocking("the state folder", move || {
                let _turn = turn;
                shared.fulfil(&id, &wish)
            });
            done.await?;
        }
        Ok(())
    }

    fn wishes(&self) -> io::Result<Vec<(ObjectId, JobWish)>> {
        let mut wishes = Vec::new();
        for namespace in self.store.namespaces().map_err(io::Error::other)? {
            let folder = self.store.namespace(&namespace).join(FOLDER);
            let entries = match std::fs::read_dir(folder) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                entries => entries?,
            };
            for entry in entries {
                let path = entry?.path();
                let name = path.file_name().and_then(|name| name.to_str());
                let Some(name) = name.and_then(|name| name.strip_suffix(".json")) else {
                    continue;
                };
                let wish = read_json(&path)?.and_then(|wish| serde_json::from_value(wish).ok());
                if let Some(wish) = wish {
                    wishes.push((ObjectId::new(&namespace, name), wish));
                }
            }
        }
        Ok(wishes)
    }

    /// Does it, and takes the question away.
    fn fulfil(&self, id: &ObjectId, wish: &JobWish) -> Result<(), Error> {
        let job = self.with(id, |entry| {
            (
                Arc::clone(&entry.job),
                entry.delivered.is_some(),
                entry.finished.is_some(),
            )
        });
        match (job, wish) {
            // It went before anybody looked, or is none that could run again.
            (None, _) | (Some((_, false, _)), JobWish::Rerun(_)) => {}
            (Some((job, true, _)), JobWish::Rerun(request)) => {
                let annotations = &job["metadata"]["annotations"];
                let before = annotations[RERUN_ANNOTATION].as_str();
                let before = before.and_then(RerunRequest::parse);
                // Whoever asked first is answered, and both look at that answer.
                if before.is_none_or(|before| !before.is_open()) {
                    let mut job = (*job).clone();
                    job["metadata"]["annotations"][RERUN_ANNOTATION] = json!(request.to_text());
                    self.rewrite(id, job)?;
                    self.touch(id);
                }
            }
            // Its event may come again: it stays, stopped, until that would be no news.
            (Some((job, true, is_finished)), JobWish::Remove) => {
                let mut job = (*job).clone();
                let annotations = &mut job["metadata"]["annotations"];
                annotations[GATE_HOLDER_ANNOTATION] = json!(HOLDER);
                annotations[GATE_ANNOTATION] = json!(Gate::Dropped.name());
                annotations[REMOVED_ANNOTATION] = json!(format!("{:.3}", (self.settings.clock)()));
                if !is_finished {
                    job["spec"]["suspend"] = json!(true);
                }
                self.rewrite(id, job)?;
                self.touch(id);
            }
            (Some((_, false, _)), JobWish::Remove) => {
                let removed = self.remove(id);
                removed.map_err(|error| unavailable(&format!("Job {id}"), &error))?;
            }
        }
        let path = record_file(self.store.root(), FOLDER, id);
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(unavailable("the state folder", &error))
            }
            _ => Ok(()),
        }
    }
}
