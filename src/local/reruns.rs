//! The port for failed Jobs that are to run again: as they lie in their folders.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::future::BoxFuture;
use serde_json::json;

use crate::launch::Error;
use crate::launch::attempt::{FailedJob, RERUN_ANNOTATION, RerunRequest};
use crate::launch::ports::{DeliveredJob, Reruns};

use super::events::PATIENCE;
use super::{Controller, Local, blocking, unavailable};

impl Reruns for Local {
    fn read<'a>(&'a self, job: &'a DeliveredJob) -> BoxFuture<'a, Result<FailedJob, Error>> {
        let (shared, job) = (Arc::clone(&self.shared), job.clone());
        Box::pin(blocking("the state folder", move || shared.failed(&job)))
    }

    fn write<'a>(
        &'a self,
        job: &'a DeliveredJob,
        version: &'a str,
        request: &'a RerunRequest,
    ) -> BoxFuture<'a, Result<String, Error>> {
        let (seen, version, request) = (job.clone(), version.to_owned(), request.clone());
        Box::pin(self.in_turn(&job.id, PATIENCE, move |shared| {
            shared.answer_rerun(&seen, &version, &request)
        }))
    }
}

impl Controller {
    fn failed(&self, job: &DeliveredJob) -> Result<FailedJob, Error> {
        let object = || format!("Job {}", job.id);
        let read = self.with(&job.id, |entry| {
            let delivered = entry.delivered.as_ref()?;
            let version = delivered.version.to_string();
            (entry.uid == job.uid).then(|| ((*entry.job).clone(), version))
        });
        let (manifest, version) = read
            .flatten()
            .ok_or_else(|| Error::Gone { object: object() })?;
        // The event is a file of the folder, in place of a Secret.
        let file = match std::fs::read(self.store.folder(&job.id).join("event.json")) {
            Ok(event) => Some(json!({"event.json": STANDARD.encode(event)})),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(unavailable(&object(), &error)),
        };
        Ok(FailedJob {
            manifest,
            version,
            file,
        })
    }

    fn answer_rerun(
        &self,
        seen: &DeliveredJob,
        version: &str,
        request: &RerunRequest,
    ) -> Result<String, Error> {
        let id = &seen.id;
        let object = || format!("Job {id}");
        let current = self.failed(seen)?;
        if current.version != version {
            return Err(Error::Conflict { object: object() });
        }
        let mut job = current.manifest;
        job["metadata"]["annotations"][RERUN_ANNOTATION] = request.to_text().into();
        self.rewrite(id, job)?;
        self.touch(id);
        Ok(self.failed(seen)?.version)
    }
}
