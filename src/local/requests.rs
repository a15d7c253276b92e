//! What another process asks of the one that runs on a state folder, and what it was answered.
//!
//! The folder belongs to that process alone, but for the files that are written here.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;

use serde_json::json;

use super::scaled_job;
use super::store::{read_json, record_file, write_record};
use crate::resource::ObjectId;
use crate::resource::requests::{JobRequest, RequestAnswer, answers_of, parse};

/// What of a state folder is asked for something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AskedOf {
    /// An EventJob, or a CronJob that runs as one.
    Schedule,
    /// A ScaledJob.
    ScaledJob,
}

impl AskedOf {
    /// The hidden folder of a namespace with what is asked for.
    pub(super) fn folder(self) -> &'static str {
        match self {
            Self::Schedule => ".requests",
            Self::ScaledJob => ".asked-rounds",
        }
    }

    /// The hidden folder with the answers.
    fn answers(self) -> &'static str {
        match self {
            Self::Schedule => ".schedules",
            Self::ScaledJob => scaled_job::FOLDER,
        }
    }
}

/// Whether a process runs on this folder.
///
/// # Errors
///
/// The folder cannot be read.
pub fn is_running(state: &Path) -> io::Result<bool> {
    match File::open(state.join(".lock")) {
        Ok(lock) => match lock.try_lock() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(error),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Asks for something about an object. What was answered before makes room.
///
/// # Errors
///
/// The folder takes no files, or has others there.
pub fn ask(state: &Path, of: AskedOf, id: &ObjectId, request: JobRequest) -> io::Result<()> {
    let _alone = alone(state)?;
    let path = record_file(state, of.folder(), id);
    let written = read_json(&path)?.map_or_else(|| "[]".to_owned(), |written| written.to_string());
    let mut requests = parse(&written).map_err(io::Error::other)?;
    let answers = answers(state, of, id)?;
    requests.retain(|request| !answers.iter().any(|answer| answer.id == request.id));
    requests.push(request);
    let requests = serde_json::to_value(requests).map_err(io::Error::other)?;
    write_record(&path, &requests)
}

/// Takes a request back that nobody has answered. Whoever makes its Job at this moment does.
///
/// # Errors
///
/// The folder takes no files.
pub fn withdraw(state: &Path, of: AskedOf, id: &ObjectId, request: &str) -> io::Result<()> {
    let _alone = alone(state)?;
    let path = record_file(state, of.folder(), id);
    let Some(written) = read_json(&path)? else {
        return Ok(());
    };
    let mut requests = parse(&written.to_string()).map_err(io::Error::other)?;
    requests.retain(|other| other.id != request);
    let requests = serde_json::to_value(requests).map_err(io::Error::other)?;
    write_record(&path, &requests)
}

/// Waits while somebody else asks: each writes what others asked for too. Closing the file lets the next one in.
fn alone(state: &Path) -> io::Result<File> {
    let lock = File::create(state.join(".asking"))?;
    lock.lock()?;
    Ok(lock)
}

/// The answers about an object, as its `status.requests` has them.
///
/// # Errors
///
/// The folder cannot be read.
pub fn answers(state: &Path, of: AskedOf, id: &ObjectId) -> io::Result<Vec<RequestAnswer>> {
    let status = read_json(&record_file(state, of.answers(), id))?;
    Ok(answers_of(&json!({ "status": status })))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::requests::Wish;

    #[test]
    fn many_who_ask_at_once_are_all_heard() {
        let state = std::env::temp_dir().join(format!("slipway-asking-{}", std::process::id()));
        let id = ObjectId::new("default", "report");
        let folder = AskedOf::Schedule.folder();
        std::fs::create_dir_all(state.join("default").join(folder)).unwrap();
        std::thread::scope(|scope| {
            for number in 0..16 {
                let request = JobRequest {
                    id: format!("id-{number}"),
                    time: jiff::Timestamp::UNIX_EPOCH,
                    wish: Wish::Trigger,
                };
                scope.spawn(|| ask(&state, AskedOf::Schedule, &id, request).unwrap());
            }
        });
        let written = read_json(&record_file(&state, folder, &id)).unwrap();
        let requests = parse(&written.unwrap().to_string()).unwrap();
        assert_eq!(requests.len(), 16);
        std::fs::remove_dir_all(&state).unwrap();
    }
}
