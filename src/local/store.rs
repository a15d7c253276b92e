//! The state folder: one folder per Job, made whole or not at all.
//!
//! ```text
//! STATE/.lock                        held by the one process that uses the folder
//! STATE/.asking                      held by whoever writes what is asked for
//! STATE/.gitignore                   keeps all of it out of a repository that it lies in
//! STATE/.objects.json                which objects the files have: kinds and names
//! STATE/.new/…, STATE/.gone/…        Jobs being made, Jobs being removed
//! STATE/NAMESPACE/.rounds/NAME.json  the last round of a ScaledJob, and what became of requests
//! STATE/NAMESPACE/.asked-rounds/NAME.json  what somebody asks for about it
//! STATE/NAMESPACE/.schedules/NAME.json  how far the schedule of an EventJob has come
//! STATE/NAMESPACE/.requests/NAME.json   what somebody asks for about that
//! STATE/NAMESPACE/.asked/NAME.json   what somebody asks for about a Job
//! STATE/NAMESPACE/.ledger/…          occurrences that are remembered when their Job is gone
//! STATE/NAMESPACE/NAME/job.json      the Job as it was accepted
//! STATE/NAMESPACE/NAME/event.json    the event, when `bind.file` asks for it
//! STATE/NAMESPACE/NAME/status.json   its status, as in batch/v1
//! STATE/NAMESPACE/NAME/pods/POD/     pod.json, log, and what `process` writes
//! ```
//!
//! A Job is put together in `.new` and then renamed to its name: `rename` gives a
//! name to one folder only, and after a crash the Job is there or it is not.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::launch::job::name::label_value;
use crate::resource::ObjectId;

use super::OpenError;
use super::requests::AskedOf;
use super::scaled_job::{self, ScaledJobRecord};

/// The file with the objects that there are.
pub(super) const OBJECTS: &str = ".objects.json";
/// The hidden folder of a namespace with how far its schedules have come.
pub(super) const SCHEDULES: &str = ".schedules";
/// The hidden folders of a namespace.
const RECORDS: [&str; 6] = [
    scaled_job::FOLDER,
    ".asked-rounds",
    ".schedules",
    ".requests",
    ".asked",
    ".ledger",
];
/// Characters of an object's name that a file has room for, beside its ending.
const LONGEST: usize = 246;
/// How often a lock is tried before it counts as another's.
const LOOKS: u32 = 25;
/// And how long apart.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The folder, locked.
#[derive(Debug)]
pub(super) struct Store {
    root: PathBuf,
    /// Held until the process ends, whichever way.
    _lock: File,
    sequence: AtomicU64,
}

/// A Job as it lies in its folder.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) id: ObjectId,
    pub(super) job: Value,
    pub(super) status: Value,
}

impl Store {
    /// Opens the folder, made if it is not there, for this process alone.
    ///
    /// # Errors
    ///
    /// [`OpenError`] when it is in use, or cannot be used.
    pub(super) fn open(root: &Path) -> Result<Self, OpenError> {
        fs::create_dir_all(root).map_err(|error| failed(root, error))?;
        // Processes write their records wherever they are, so the path is a whole one.
        let root = fs::canonicalize(root).map_err(|error| failed(root, error))?;
        let path = root.join(".lock");
        let lock = File::options()
            .create(true)
            .append(true)
            .open(&path)
            .map_err(|error| failed(&path, error))?;
        // A process that was killed while it started another leaves the lock with that one for a moment, until it executes.
        for look in (0..LOOKS).rev() {
            match lock.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if look > 0 => std::thread::sleep(LOOK_EVERY),
                Err(TryLockError::WouldBlock) => return Err(OpenError::InUse { path: root }),
                Err(TryLockError::Error(error)) => return Err(failed(&path, error)),
            }
        }
        let unfinished = root.join(".new");
        match fs::remove_dir_all(&unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed(&unfinished, error));
            }
            _ => {}
        }
        for path in [unfinished, root.join(".gone")] {
            fs::create_dir_all(&path).map_err(|error| failed(&path, error))?;
        }
        let ignore = root.join(".gitignore");
        if !ignore.exists() {
            fs::write(&ignore, "*\n").map_err(|error| failed(&ignore, error))?;
        }
        Ok(Self {
            root,
            _lock: lock,
            sequence: AtomicU64::new(0),
        })
    }

    /// Takes away every Job, round and ledger. Processes and files go later, with [`Store::gone`].
    ///
    /// # Errors
    ///
    /// [`OpenError::Folder`]: some may still be there.
    pub(super) fn forget(&self) -> Result<(), OpenError> {
        for namespace in self.namespaces()? {
            let folder = self.root.join(&namespace);
            for name in visible(&folder).map_err(|error| failed(&folder, error))? {
                let id = ObjectId::new(&namespace, &name);
                self.remove(&id).map_err(|error| failed(&folder, error))?;
            }
            for kept in RECORDS {
                let path = folder.join(kept);
                match fs::remove_dir_all(&path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        return Err(failed(&path, error));
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// Every Job that was accepted and not removed.
    ///
    /// # Errors
    ///
    /// [`OpenError::Record`] for a Job that cannot be read: whether it ran is then unknown.
    pub(super) fn load(&self) -> Result<Vec<Stored>, OpenError> {
        let mut jobs = Vec::new();
        for namespace in self.namespaces()? {
            let folder = self.root.join(&namespace);
            for name in visible(&folder).map_err(|error| failed(&folder, error))? {
                // Without the file it is not ours: a Job is renamed into place together with it.
                jobs.extend(self.stored(ObjectId::new(&namespace, &name))?);
            }
            // What is found is told as there, so it has to stay.
            sync_folder(&folder).map_err(|error| failed(&folder, error))?;
        }
        Ok(jobs)
    }

    /// A Job as it lies in its folder; `None` when there is none.
    ///
    /// # Errors
    ///
    /// As of [`Store::load`].
    pub(super) fn stored(&self, id: ObjectId) -> Result<Option<Stored>, OpenError> {
        let Some(job) = self.record(&id, "job.json")? else {
            return Ok(None);
        };
        let status = self
            .record(&id, "status.json")?
            .unwrap_or_else(|| json!({}));
        Ok(Some(Stored { id, job, status }))
    }

    /// Namespaces that have a folder.
    ///
    /// # Errors
    ///
    /// [`OpenError::Folder`].
    pub(super) fn namespaces(&self) -> Result<Vec<String>, OpenError> {
        visible(&self.root).map_err(|error| failed(&self.root, error))
    }

    /// The folder itself.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// A namespace's folder.
    pub(super) fn namespace(&self, namespace: &str) -> PathBuf {
        self.root.join(namespace)
    }

    fn record(&self, id: &ObjectId, file: &str) -> Result<Option<Value>, OpenError> {
        let path = self.folder(id).join(file);
        read_json(&path).map_err(|source| OpenError::Record { path, source })
    }

    /// A Job's folder.
    pub(super) fn folder(&self, id: &ObjectId) -> PathBuf {
        self.root.join(&*id.namespace).join(&*id.name)
    }

    /// Makes a Job. True when it was made now, false when the name is taken. It is there for good after [`Store::settle`].
    ///
    /// # Errors
    ///
    /// Nothing was made.
    pub(super) fn create(&self, id: &ObjectId, job: &Value) -> io::Result<bool> {
        if self.folder(id).join("job.json").try_exists()? {
            return Ok(false);
        }
        let new = self.prepare(id, job, None)?;
        self.place(id, &new)
    }

    /// Puts a Job together, on disk and without its name, for [`Store::place`].
    ///
    /// # Errors
    ///
    /// Nothing was made that has a name.
    pub(super) fn prepare(
        &self,
        id: &ObjectId,
        job: &Value,
        event: Option<&[u8]>,
    ) -> io::Result<PathBuf> {
        let namespace = self.root.join(&*id.namespace);
        if !namespace.is_dir() {
            fs::create_dir_all(&namespace)?;
            sync_folder(&self.root)?;
        }
        let new = self.scratch(".new", id);
        fs::create_dir(&new)?;
        // Pods never make this folder: those of a Job that is being removed would bring its name back.
        fs::create_dir(new.join("pods"))?;
        if let Some(event) = event {
            write_synced(&new.join("event.json"), event)?;
        }
        write_synced(&new.join("job.json"), text(job).as_bytes())?;
        sync_folder(&new)?;
        Ok(new)
    }

    /// Gives a Job that was put together its name, in one step. True when it got it, false when the name is taken
    /// and what was put together is gone. It is there for good after [`Store::settle`].
    ///
    /// # Errors
    ///
    /// The name was not given.
    pub(super) fn place(&self, id: &ObjectId, new: &Path) -> io::Result<bool> {
        match fs::rename(new, self.folder(id)) {
            Ok(()) => Ok(true),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists
                ) =>
            {
                fs::remove_dir_all(new)?;
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Waits until the names of a Job's namespace are on disk.
    ///
    /// # Errors
    ///
    /// They may not be.
    pub(super) fn settle(&self, id: &ObjectId) -> io::Result<()> {
        sync_folder(&self.root.join(&*id.namespace))
    }

    /// Takes a Job's name away at once; its processes and files go later, with [`Store::gone`].
    ///
    /// # Errors
    ///
    /// It is still there.
    pub(super) fn remove(&self, id: &ObjectId) -> io::Result<()> {
        match fs::rename(self.folder(id), self.scratch(".gone", id)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => sync_folder(&self.root.join(&*id.namespace)),
        }
    }

    /// Folders of Jobs that were removed and whose processes may still run.
    pub(super) fn gone(&self) -> io::Result<Vec<PathBuf>> {
        fs::read_dir(self.root.join(".gone"))?
            .map(|entry| Ok(entry?.path()))
            .collect()
    }

    /// What is written down about a ScaledJob.
    ///
    /// # Errors
    ///
    /// It is there and cannot be read.
    pub(super) fn scaled_job(&self, id: &ObjectId) -> io::Result<ScaledJobRecord> {
        let record = read_json(&self.record_file(scaled_job::FOLDER, id))?;
        let record = record.as_ref().map(ScaledJobRecord::parse);
        record.unwrap_or_else(|| Ok(ScaledJobRecord::default()))
    }

    /// Writes it down; on disk when this returns.
    ///
    /// # Errors
    ///
    /// What was written before may still stand.
    pub(super) fn write_scaled_job(
        &self,
        id: &ObjectId,
        record: &ScaledJobRecord,
    ) -> io::Result<()> {
        write_record(&self.record_file(scaled_job::FOLDER, id), &record.to_json())
    }

    /// How far the schedule of an EventJob has come, as its status would say it; `null` when nothing is known.
    pub(super) fn schedule(&self, id: &ObjectId) -> io::Result<Value> {
        let schedule = read_json(&self.record_file(SCHEDULES, id))?;
        Ok(schedule.unwrap_or_default())
    }

    /// Writes down how far a schedule has come; on disk when this returns.
    ///
    /// # Errors
    ///
    /// What was written before may still stand.
    pub(super) fn write_schedule(&self, id: &ObjectId, status: &Value) -> io::Result<()> {
        write_record(&self.record_file(SCHEDULES, id), status)
    }

    fn record_file(&self, folder: &str, id: &ObjectId) -> PathBuf {
        record_file(&self.root, folder, id)
    }

    /// What was asked for about an object, as [`requests`](super::requests) wrote it; empty when there is nothing.
    pub(super) fn requests(&self, of: AskedOf, id: &ObjectId) -> io::Result<String> {
        let requests = read_json(&self.record_file(of.folder(), id))?;
        Ok(requests.map_or_else(String::new, |requests| requests.to_string()))
    }

    /// A path that nobody else uses, in a hidden folder.
    fn scratch(&self, folder: &str, id: &ObjectId) -> PathBuf {
        loop {
            let number = self.sequence.fetch_add(1, Ordering::Relaxed);
            let name = format!("{}.{}.{number}", id.namespace, id.name);
            let path = self.root.join(folder).join(name);
            if !path.exists() {
                return path;
            }
        }
    }
}

/// The file about an object in a hidden folder of its namespace.
pub(super) fn record_file(root: &Path, folder: &str, id: &ObjectId) -> PathBuf {
    let folder = root.join(&*id.namespace).join(folder);
    // The longest names leave no room for `.json.new` in a file's name.
    let name = match id.name.len() {
        ..=LONGEST => id.name.to_string(),
        _ => label_value(&id.name),
    };
    folder.join(format!("{name}.json"))
}

/// Replaces a file in a hidden folder, which is made if it is not there.
pub(super) fn write_record(path: &Path, value: &Value) -> io::Result<()> {
    let folder = path.parent().expect("a record lies in a folder");
    fs::create_dir_all(folder)?;
    replace(path, value)?;
    sync_folder(folder)
}

/// Writes a file in one step, on disk when this returns: readers see the old text or the new.
///
/// # Errors
///
/// The old text stands.
pub(super) fn replace(path: &Path, value: &Value) -> io::Result<()> {
    let new = beside(path);
    write_synced(&new, text(value).as_bytes())?;
    fs::rename(&new, path)
}

/// As [`replace`], without waiting for the disk: it survives the end of this process, perhaps not of the machine.
///
/// # Errors
///
/// The old text stands.
pub(super) fn replace_soon(path: &Path, value: &Value) -> io::Result<()> {
    let new = beside(path);
    fs::write(&new, text(value))?;
    fs::rename(&new, path)
}

fn beside(path: &Path) -> PathBuf {
    path.with_added_extension("new")
}

/// A JSON file; `None` when it is not there.
///
/// # Errors
///
/// It is there and cannot be read.
pub(super) fn read_json(path: &Path) -> io::Result<Option<Value>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes a file; on disk when this returns, its name perhaps not.
pub(super) fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn text(value: &Value) -> String {
    format!("{value:#}\n")
}

/// Waits until the names in a folder are on disk.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn failed(path: &Path, source: io::Error) -> OpenError {
    OpenError::Folder {
        path: path.to_owned(),
        source,
    }
}

/// Names of the folders in a folder, sorted, hidden ones left out.
pub(super) fn visible(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') && entry.path().is_dir() {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}
