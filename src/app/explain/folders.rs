//! What folders say: the Jobs and objects of a `slipway local`, and records that were written down.

use std::path::Path;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::{AskedAbout, Gathering, label_of};
use crate::app::history::memory_of;
use crate::app::target::{namespace_of, state_folder};
use crate::explain::event_of;
use crate::history::{Subject, SubjectKind};
use crate::launch::job::name::label_value;
use crate::local::records;

impl Gathering {
    /// The Jobs of a state folder, and the objects that its files had.
    pub(super) fn jobs_in_folder(
        &mut self,
        asked: &AskedAbout,
        state: &Path,
    ) -> anyhow::Result<()> {
        let shown = || format!("the state folder {}", state.display());
        let jobs = records::jobs(state_folder(state)?).with_context(shown)?;
        let subject = &self.evidence.subject;
        let value = label_value(&subject.id.name);
        let labels: Vec<&str> = self.kinds().iter().copied().map(label_of).collect();
        let is_asked = |job: &Value| match asked {
            AskedAbout::Object(..) => labels
                .iter()
                .any(|label| job["metadata"]["labels"][*label] == *value),
            AskedAbout::Event(id) => event_of(job) == Some(id),
            AskedAbout::Job(name) => job["metadata"]["name"] == **name,
        };
        let mut found: Vec<Value> = jobs.into_iter().filter(is_asked).collect();
        let what = match asked {
            AskedAbout::Object(..) => None,
            AskedAbout::Event(id) => Some(format!("event {id}")),
            AskedAbout::Job(name) => Some(format!("job {name}")),
        };
        if let Some(what) = &what
            && !self.is_settled
        {
            let namespaces = found
                .iter()
                .filter_map(|job| job["metadata"]["namespace"].as_str());
            let namespaces = namespaces.map(str::to_owned).collect();
            if let Some(namespace) = namespace_of(what, namespaces)? {
                self.set_namespace(&namespace);
            }
        }
        let namespace = self.namespace();
        found.retain(|job| job["metadata"]["namespace"] == *namespace);
        self.evidence.jobs = found;
        self.evidence.are_jobs_known = true;
        if what.is_none() {
            return self.object_in_folder(state);
        }
        if let Some(name) = self.followed() {
            let pods = records::pods(state, &namespace, &name)
                .with_context(|| format!("the Pods of job {name}"))?;
            self.evidence.pods = pods.iter().map(pod_of).collect();
        }
        Ok(())
    }

    fn object_in_folder(&mut self, state: &Path) -> anyhow::Result<()> {
        let Some(objects) = records::objects(state)? else {
            return Ok(());
        };
        let id = &self.evidence.subject.id;
        let status_of =
            |kind: SubjectKind| objects.get(&(kind.name().to_owned(), id.clone())).cloned();
        let mut kinds = self.kinds().iter().copied();
        let found = kinds.find_map(|kind| Some((kind, status_of(kind)?)));
        let kind = found.as_ref().map(|(kind, _)| *kind);
        let schedule = records::schedule(state, id)?;
        if let Some((SubjectKind::EventJob, mut status)) = found {
            // How far its schedule has come is written as its status would have it.
            for (field, value) in schedule.as_object().into_iter().flatten() {
                status[field] = value.clone();
            }
            self.evidence.shown_status = status;
        }
        self.is_known = kind.is_some();
        self.evidence.is_missing = kind.is_none();
        if let Some(kind) = kind {
            self.evidence.subject.kind = kind;
        }
        Ok(())
    }

    /// The records of a folder that are about what is asked.
    pub(super) fn folder(&mut self, folder: &Path, asked: &AskedAbout) -> anyhow::Result<()> {
        let shown = folder.display().to_string();
        let memory = memory_of(folder).with_context(|| format!("the records in {shown}"))?;
        let found = match asked {
            AskedAbout::Object(..) => {
                let mut found = Vec::new();
                for kind in self.kinds().iter().copied() {
                    let id = self.evidence.subject.id.clone();
                    let subject = Subject { kind, id };
                    found = memory.of_object(&subject);
                    if !found.is_empty() {
                        self.evidence.subject = subject;
                        break;
                    }
                }
                found
            }
            AskedAbout::Event(id) => memory.of_event(id),
            AskedAbout::Job(name) => memory.of_job(name),
        };
        self.heard += 1;
        let count = counted(found.len());
        self.evidence.asked.push(format!("{count} in {shown}"));
        self.evidence.records.extend(found);
        Ok(())
    }
}

pub(super) fn counted(records: usize) -> String {
    match records {
        1 => "1 record".to_owned(),
        _ => format!("{records} records"),
    }
}

/// A Pod of a state folder, as a cluster has it.
fn pod_of(record: &Value) -> Value {
    let started = &record["startedAt"];
    let state = match &record["finishedAt"] {
        Value::Null => json!({"running": {"startedAt": started}}),
        finished => json!({"terminated": {"startedAt": started, "finishedAt": finished}}),
    };
    json!({
        "metadata": {"name": record["name"], "creationTimestamp": started},
        "status": {"containerStatuses": [{"state": state}]},
    })
}
