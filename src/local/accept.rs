//! How Jobs come in: the port [`Launcher`], and plain Jobs of the files. A Job is
//! accepted when its folder is on disk under its name, and not before.

use std::sync::Arc;

use futures::future::BoxFuture;
use serde_json::{Value, json};

use crate::job_rules::{Phase, PodFacts};
use crate::launch::JobState;
use crate::launch::job::name;
use crate::launch::{Error, Guard, Launch, Launched, Launcher, OCCURRENCE_ANNOTATION, PodState};
use crate::resource::names::{NameRule, misnamed};
use crate::resource::requests::{RequestAnswer, add_answer};
use crate::resource::{Fault, ObjectId, Propagation, Round, ScaledJob};

use super::entry::{LocalJob, outcome};
use super::pod::uid;
use super::scaled_job::ScaledJobRecord;
use super::spec::JobSpec;
use super::store;
use super::view::Fact;
use super::{Controller, Local, Submitted, blocking, unavailable};

/// Fields of a Job's spec that may change while it exists; on an Indexed Job `completions` too, with `parallelism`.
const MUTABLE: [&str; 5] = [
    "parallelism",
    "suspend",
    "activeDeadlineSeconds",
    "ttlSecondsAfterFinished",
    "backoffLimit",
];

impl Launcher for Local {
    /// Every Job made for the object that was not removed. There are no names of unknown
    /// outcome here: [`Launcher::launch`] is over when the folder is there, or is not.
    fn jobs<'a>(
        &'a self,
        scaled_job: &'a ScaledJob,
    ) -> BoxFuture<'a, Result<Vec<JobState>, Error>> {
        let jobs = self.shared.lock();
        let states = jobs
            .iter()
            .filter(|(_, entry)| entry.scaled_job().as_ref() == Some(&scaled_job.id))
            .map(|(id, entry)| entry.state(id))
            .collect();
        drop(jobs);
        Box::pin(std::future::ready(Ok(states)))
    }

    fn announce(&self, scaled_job: &ScaledJob, reason: &str) {
        self.shared.tell(Fact::Decided {
            scaled_job: scaled_job.id.clone(),
            reason: reason.to_owned(),
        });
    }

    fn open_round_for<'a>(
        &'a self,
        scaled_job: &'a ScaledJob,
        round: Round,
        answer: Option<&'a RequestAnswer>,
    ) -> BoxFuture<'a, Result<(), Error>> {
        let answer = answer.cloned();
        self.write_of(scaled_job, move |record| record.open(round, answer))
    }

    fn answer<'a>(
        &'a self,
        scaled_job: &'a ScaledJob,
        answer: &'a RequestAnswer,
    ) -> BoxFuture<'a, Result<(), Error>> {
        let answer = answer.clone();
        self.write_of(scaled_job, move |record| {
            add_answer(&mut record.answers, answer);
            true
        })
    }

    fn launch_while<'a>(
        &'a self,
        launch: &'a Launch,
        // Nothing is waited for before the folder is made.
        _may: Guard,
    ) -> BoxFuture<'a, Result<Launched, Error>> {
        let shared = Arc::clone(&self.shared);
        let id = launch.id.clone();
        let occurrence = launch.occurrence.clone();
        let mut job = launch.manifest.clone();
        Box::pin(blocking("the state folder", move || {
            check_id(&id, NameRule::Job)?;
            job["metadata"]["annotations"][OCCURRENCE_ANNOTATION] = json!(occurrence);
            if shared.create(&id, job)? {
                return Ok(Launched::Created);
            }
            let ours = shared.with(&id, |entry| {
                entry.job["metadata"]["annotations"][OCCURRENCE_ANNOTATION] == *occurrence
            });
            match ours {
                Some(true) => Ok(Launched::AlreadyThere {
                    payload_differs: false,
                }),
                Some(false) => Err(Error::NameTaken {
                    object: format!("Job {id}"),
                }),
                None => Err(in_between(&id)),
            }
        }))
    }

    /// The name is free at once; processes are stopped as a Pod's are, in the background, whatever the propagation.
    fn delete<'a>(
        &'a self,
        job: &'a ObjectId,
        uid: &'a str,
        _propagation: Propagation,
    ) -> BoxFuture<'a, Result<(), Error>> {
        let shared = Arc::clone(&self.shared);
        let (id, uid) = (job.clone(), uid.to_owned());
        Box::pin(blocking("the state folder", move || {
            shared.remove_same(&id, &uid)
        }))
    }

    /// Everything is in the files.
    fn forget(&self, _uid: &str) {}
}

impl Local {
    /// Changes what is written down about a ScaledJob; [`Error::Conflict`] where `change` says no.
    fn write_of(
        &self,
        scaled_job: &ScaledJob,
        change: impl FnOnce(&mut ScaledJobRecord) -> bool + Send + 'static,
    ) -> BoxFuture<'static, Result<(), Error>> {
        let shared = Arc::clone(&self.shared);
        let id = scaled_job.id.clone();
        Box::pin(blocking("the state folder", move || {
            let object = format!("the round of {id}");
            check_id(&id, NameRule::Object)?;
            let read = shared.store.scaled_job(&id);
            let mut record = read.map_err(|error| unavailable(&object, &error))?;
            if !change(&mut record) {
                return Err(Error::Conflict { object });
            }
            let written = shared.store.write_scaled_job(&id, &record);
            written.map_err(|error| unavailable(&object, &error))
        }))
    }
}

impl Controller {
    /// Makes a Job and takes it up. False when the name is taken.
    fn create(&self, id: &ObjectId, job: Value) -> Result<bool, Error> {
        let job = self.stamped(id, job)?;
        let created = self.store.create(id, &job);
        let created = created.map_err(|error| unavailable(&format!("Job {id}"), &error))?;
        if created {
            self.settle(id)?;
        }
        Ok(created)
    }

    /// A Job as it is accepted: it can run here, and has what the API server would add.
    pub(super) fn stamped(&self, id: &ObjectId, mut job: Value) -> Result<Value, Error> {
        JobSpec::parse(&job).map_err(|fault| rejected(id, &fault))?;
        let now = (self.settings.clock)().to_string();
        let metadata = &mut job["metadata"];
        metadata["namespace"] = json!(*id.namespace);
        metadata["name"] = json!(*id.name);
        metadata["uid"] = json!(uid(&[&id.namespace, &id.name, &now]));
        metadata["creationTimestamp"] = json!(now);
        Ok(job)
    }

    /// Takes a Job up whose folder has its name, when the name is on disk.
    pub(super) fn settle(&self, id: &ObjectId) -> Result<(), Error> {
        let entry = self.stored(id).map_err(|detail| Error::Unknown {
            object: format!("Job {id}"),
            detail,
        })?;
        // Told before anybody can start it.
        self.tell(Fact::Accepted { job: id.clone() });
        let event_job = entry.delivered.as_ref();
        let event_job = event_job.map(|delivered| delivered.event_job.clone());
        // One that is there already is being driven.
        self.lock().entry(id.clone()).or_insert(entry);
        self.wake.notify_one();
        if let Some(event_job) = event_job {
            self.news.tell(&event_job);
            self.touch(id);
            self.keys.notify_one();
        }
        Ok(())
    }

    fn stored(&self, id: &ObjectId) -> Result<LocalJob, String> {
        self.store.settle(id).map_err(|error| error.to_string())?;
        let stored = self.store.stored(id.clone());
        let stored = stored.map_err(|error| error.to_string())?;
        let stored = stored.ok_or("its folder has no job.json")?;
        LocalJob::restore(stored, &self.store.folder(id)).map_err(|error| error.to_string())
    }

    /// Removes a Job, if it is still the one with that UID.
    pub(super) fn remove_same(&self, id: &ObjectId, uid: &str) -> Result<(), Error> {
        match self.with(id, |entry| entry.uid == uid) {
            Some(true) => self
                .remove(id)
                .map_err(|error| unavailable(&format!("Job {id}"), &error)),
            Some(false) | None => Ok(()),
        }
    }

    pub(super) fn submit(&self, job: &Value) -> Result<Submitted, Error> {
        let metadata = &job["metadata"];
        let namespace = metadata["namespace"].as_str().unwrap_or("default");
        let name = match (metadata["name"].as_str(), metadata["generateName"].as_str()) {
            (Some(name), _) => name.to_owned(),
            (None, Some(prefix)) => self.generated(namespace, prefix, job),
            (None, None) => {
                return Err(Error::Rejected {
                    object: "a Job".to_owned(),
                    detail: "metadata.name: a name or a generateName is needed".to_owned(),
                });
            }
        };
        let id = ObjectId::new(namespace, name);
        check_id(&id, NameRule::Job)?;
        if self.create(&id, job.clone())? {
            return Ok(Submitted::Created);
        }
        self.update(&id, job)
    }

    /// A name for a Job that has none: the prefix and letters of what is written. One that an earlier release
    /// made of the same text, and named by another rule, keeps its name.
    fn generated(&self, namespace: &str, prefix: &str, job: &Value) -> String {
        let jobs = self.lock();
        let mut others = jobs.iter().filter(|(id, _)| *id.namespace == *namespace);
        let same = others.find(|(_, entry)| entry.is_made_of(job));
        same.map_or_else(
            || name::reserved(&name::cut(prefix), &[&job.to_string()]).name,
            |(id, _)| id.name.to_string(),
        )
    }

    /// Brings a Job that exists in line with its file, in what may change.
    fn update(&self, id: &ObjectId, wanted: &Value) -> Result<Submitted, Error> {
        let mut jobs = self.lock();
        let Some(entry) = jobs.get_mut(id) else {
            return Err(in_between(id));
        };
        let mut job = (*entry.job).clone();
        for field in MUTABLE {
            adopt(&mut job["spec"], &wanted["spec"], field);
        }
        if entry.spec.rules.indexed {
            adopt(&mut job["spec"], &wanted["spec"], "completions");
        }
        let story = entry.told((self.settings.clock)(), &self.store.folder(id));
        let runs = JobSpec::parse(wanted).map_err(|fault| rejected(id, &fault))?;
        if job["spec"] != wanted["spec"] || runs.pod != entry.spec.pod {
            return Err(Error::Rejected {
                object: format!("Job {id}"),
                detail: format!(
                    "it {story}, and this file differs: a Job's template cannot change, so give the new one another name, or begin anew with --fresh"
                ),
            });
        }
        if job == *entry.job {
            return Ok(match entry.finished {
                Some(_) => Submitted::RanBefore(story),
                None => Submitted::AlreadyThere,
            });
        }
        let spec = JobSpec::parse(&job).map_err(|fault| rejected(id, &fault))?;
        store::replace(&self.store.folder(id).join("job.json"), &job)
            .map_err(|error| unavailable(&format!("Job {id}"), &error))?;
        entry.job = Arc::new(job);
        entry.spec = Arc::new(spec);
        entry.poke.notify_one();
        drop(jobs);
        // A finished Job may have got a TTL.
        self.wake.notify_one();
        Ok(Submitted::Updated)
    }
}

impl LocalJob {
    fn state(&self, id: &ObjectId) -> JobState {
        let metadata = &self.job["metadata"];
        let owners = metadata["ownerReferences"].as_array().into_iter().flatten();
        let owner = owners
            .filter(|owner| owner["controller"] == true)
            .find_map(|owner| owner["uid"].as_str());
        let annotations = metadata["annotations"].as_object().into_iter().flatten();
        JobState {
            name: id.name.to_string(),
            uid: Some(self.uid.clone()),
            owner_uid: owner.map(str::to_owned),
            annotations: annotations
                .filter(|(key, _)| {
                    key.starts_with("slipway.dev/") || key.starts_with("scaledjob.keda.sh/")
                })
                .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
                .collect(),
            outcome: self.finished.map(|(cause, _)| outcome(cause)),
            end_reason: self.finished.map_or("", |(cause, _)| cause.reason()),
            created_at: Some(self.created_at),
            finished_at: self.finished.map(|(_, at)| at),
            pods: self
                .pods
                .iter()
                .filter_map(|pod| pod_state(&pod.facts))
                .collect(),
        }
    }
}

/// A Pod as the API server would show it; `None` for one that it would have deleted.
fn pod_state(pod: &PodFacts) -> Option<PodState> {
    let (phase, conditions): (_, &[&str]) = match pod.phase {
        Phase::Pending => ("Pending", &[]),
        Phase::Running if !pod.is_ready => ("Pending", &["PodScheduled"]),
        Phase::Running => (
            "Running",
            &["PodScheduled", "Initialized", "ContainersReady", "Ready"],
        ),
        Phase::Succeeded => ("Succeeded", &["PodScheduled", "Initialized"]),
        Phase::Failed => ("Failed", &["PodScheduled", "Initialized"]),
        Phase::Removed => return None,
    };
    Some(PodState {
        phase: phase.to_owned(),
        true_conditions: conditions.iter().map(|&kind| kind.to_owned()).collect(),
    })
}

fn adopt(spec: &mut Value, wanted: &Value, field: &str) {
    let Some(spec) = spec.as_object_mut() else {
        return;
    };
    match wanted.get(field) {
        Some(value) => {
            spec.insert(field.to_owned(), value.clone());
        }
        None => {
            spec.shift_remove(field);
        }
    }
}

/// The name was taken, and there is no such Job.
fn in_between(id: &ObjectId) -> Error {
    Error::Unknown {
        object: format!("Job {id}"),
        detail: "it is being made or removed at this moment".to_owned(),
    }
}

/// Names become folders, so nothing but a name may be in them.
pub(super) fn check_id(id: &ObjectId, what: NameRule) -> Result<(), Error> {
    match misnamed(id, what) {
        None => Ok(()),
        Some(fault) => Err(Error::Rejected {
            object: id.to_string(),
            detail: fault.to_string(),
        }),
    }
}

/// A Job that cannot be as it is written.
pub(super) fn rejected(id: &ObjectId, fault: &Fault) -> Error {
    Error::Rejected {
        object: format!("Job {id}"),
        detail: fault.to_string(),
    }
}
