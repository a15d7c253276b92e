//! Files on disk become documents: what `slipway check` and `slipway local` are given.
//!
//! Owns finding and reading the files, and what can be said about them as a set
//! (names that are there twice, kinds that nobody reads). What a document means is
//! left to `resource`.

use std::collections::HashMap;
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::lookup::files::{Files, secret_data};
use crate::resource::cron_job::{self, CronJob};
use crate::resource::document::{self, Document, Position};
use crate::resource::event_job::{self, EventJob};
use crate::resource::names::{self, NameRule};
use crate::resource::scaled_job::{self, KEDA_API_VERSION, SLIPWAY_API_VERSION};
use crate::resource::{Fault, ObjectId, ScaledJob, authentication};

/// Where standard input is read from, and what it is called.
const STANDARD_INPUT: &str = "-";

/// A document and the file it came from.
#[derive(Debug, Clone)]
pub struct FileDocument {
    /// As given, or a file of the folder given.
    pub file: String,
    /// The object.
    pub document: Document,
}

/// Everything that a set of files says.
#[derive(Default)]
pub struct Manifests {
    /// Every document, in the order given; those of kinds that nobody reads too.
    pub entries: Vec<FileDocument>,
    /// The ScaledJobs that are right, with the index of their entry.
    pub scaled_jobs: Vec<(usize, ScaledJob)>,
    /// The EventJobs that are right, with the index of their entry.
    pub event_jobs: Vec<(usize, EventJob)>,
    /// The `batch/v1` CronJobs that are right, with the index of their entry.
    pub cron_jobs: Vec<(usize, CronJob)>,
    /// The indices of `batch/v1` Jobs among the entries.
    pub jobs: Vec<usize>,
    /// What triggers and containers may refer to.
    pub files: Files,
    /// What is wrong.
    pub faults: Vec<Finding>,
    /// What is read, and surprises.
    pub warnings: Vec<Finding>,
    /// What is left out, and why; nothing wrong.
    pub notes: Vec<Finding>,
    /// Objects and texts that are not read.
    pub unread: usize,
    /// The files in the order they were read.
    order: Vec<String>,
}

/// Something to say about a place in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The file.
    pub file: String,
    /// The place in it.
    pub position: Position,
    /// Kind and id of the object, when there is one.
    pub object: Option<(String, ObjectId)>,
    /// What, and at which field.
    pub fault: Fault,
}

impl Finding {
    /// `kind namespace/name: field: message`, without the place.
    pub fn text(&self) -> String {
        match &self.object {
            Some((kind, id)) => format!("{kind} {id}: {}", self.fault),
            None => self.fault.to_string(),
        }
    }
}

impl fmt::Display for Finding {
    /// `FILE:LINE:COLUMN: kind namespace/name: field: message`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}:{}: {}",
            self.file,
            self.position,
            self.text()
        )
    }
}

impl FileDocument {
    /// Something to say about this document, at the line of the field it is about.
    pub fn finding(&self, fault: Fault) -> Finding {
        Finding {
            file: self.file.clone(),
            position: self.document.locate(&fault.field),
            object: Some((self.document.kind.clone(), self.document.id.clone())),
            fault,
        }
    }
}

/// Reads the files; of a folder its `*.yaml`, `*.yml` and `*.json`, those of folders in it too; of `-` standard input.
///
/// What cannot be read is a fault in the result: the others still count.
///
/// # Panics
///
/// When reading panics, which is a bug.
pub async fn load(paths: &[PathBuf]) -> Manifests {
    let paths = paths.to_vec();
    tokio::task::spawn_blocking(move || {
        let mut manifests = Manifests::default();
        for path in &paths {
            manifests.read_path(path);
        }
        manifests.understand();
        manifests
    })
    .await
    .expect("reading files does not panic and is not cancelled")
}

impl Manifests {
    /// What the given texts say, as if they were files of these names.
    pub fn from_texts<'a>(texts: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut manifests = Self::default();
        for (file, text) in texts {
            manifests.read_text(file, text);
        }
        manifests.understand();
        manifests
    }

    /// Whether something is wrong with an object, given as `Kind namespace/name`.
    pub fn is_faulty(&self, object: &str) -> bool {
        self.faults.iter().any(|fault| {
            let named = fault.object.as_ref();
            named.is_some_and(|(kind, id)| format!("{kind} {id}") == object)
        })
    }

    /// Whether an object, given as `Kind namespace/name`, is in the files.
    pub fn holds(&self, object: &str) -> bool {
        let mut documents = self.entries.iter().map(|entry| &entry.document);
        documents.any(|document| format!("{} {}", document.kind, document.id) == object)
    }

    fn read_path(&mut self, path: &Path) {
        let name = path.display().to_string();
        if name == STANDARD_INPUT {
            return self.read_from("<stdin>", std::io::stdin());
        }
        if path.is_dir() {
            return match files_of(path) {
                Ok(files) if files.is_empty() => {
                    self.misread(&name, "holds no *.yaml, *.yml or *.json file");
                }
                Ok(files) => files.iter().for_each(|file| self.read_path(file)),
                Err(error) => self.unreadable(&name, &error),
            };
        }
        match std::fs::File::open(path) {
            Ok(file) => self.read_from(&name, file),
            Err(error) => self.unreadable(&name, &error),
        }
    }

    fn read_from(&mut self, file: &str, source: impl Read) {
        let mut bytes = Vec::new();
        // One byte more than is taken, so that too much is seen as too much.
        let limit = u64::try_from(document::MAX_BYTES + 1).unwrap_or(u64::MAX);
        if let Err(error) = source.take(limit).read_to_end(&mut bytes) {
            return self.unreadable(file, &error);
        }
        if bytes.len() > document::MAX_BYTES {
            let limit = document::MAX_BYTES;
            return self.misread(file, &format!("has more than {limit} bytes: split it"));
        }
        match std::str::from_utf8(&bytes) {
            Ok(text) => self.read_text(file, text),
            Err(error) => {
                let at = error.valid_up_to();
                self.misread(file, &format!("is not UTF-8 text, from byte {at} on"));
            }
        }
    }

    fn read_text(&mut self, file: &str, text: &str) {
        self.order.push(file.to_owned());
        let (documents, misread) = document::read(text);
        if documents.is_empty() && misread.is_empty() {
            self.notes.push(Finding {
                file: file.to_owned(),
                position: START,
                object: None,
                fault: Fault::at("", "holds no document"),
            });
        }
        for document in documents {
            let entry = FileDocument {
                file: file.to_owned(),
                document,
            };
            let repeated = entry.document.repeated_keys().into_iter();
            self.warnings.extend(repeated.map(|(position, key)| {
                let message =
                    format!("{key} is written twice in one mapping, and the last one counts");
                Finding {
                    position,
                    ..entry.finding(Fault::at("", message))
                }
            }));
            self.entries.push(entry);
        }
        for misread in misread {
            let finding = Finding {
                file: file.to_owned(),
                position: misread.position,
                object: None,
                fault: Fault::at("", misread.message),
            };
            if misread.is_foreign {
                self.unread += 1;
                self.notes.push(finding);
            } else {
                self.faults.push(finding);
            }
        }
    }

    fn unreadable(&mut self, file: &str, error: &std::io::Error) {
        self.misread(file, &format!("cannot be read: {error}"));
    }

    fn misread(&mut self, file: &str, message: &str) {
        self.order.push(file.to_owned());
        self.faults.push(Finding {
            file: file.to_owned(),
            position: START,
            object: None,
            fault: Fault::at("", message),
        });
    }

    /// Sorts the documents by what they are.
    fn understand(&mut self) {
        let mut first: HashMap<(String, String, ObjectId), usize> = HashMap::new();
        for (index, entry) in self.entries.iter().enumerate() {
            let document = &entry.document;
            let api = document.api_version.as_str();
            let group = api.rsplit_once('/').map_or("", |(group, _)| group);
            let key = (group.to_owned(), document.kind.clone(), document.id.clone());
            let is_named = document.value.pointer("/metadata/name").is_some();
            let before = first.get(&key).filter(|_| is_named);
            let again = before.map(|before| {
                let before = &self.entries[*before];
                let place = format!("{}:{}", before.file, before.document.position());
                entry.finding(Fault::at("metadata.name", format!("is in {place} already")))
            });
            first.entry(key).or_insert(index);
            let meaning = match (misnamed(document), read(document)) {
                (Some(fault), Meaning::Wrong(mut faults)) => {
                    faults.insert(0, fault);
                    Meaning::Wrong(faults)
                }
                (None, meaning) | (Some(_), meaning @ Meaning::Foreign { .. }) => meaning,
                (Some(fault), _) => Meaning::Wrong(vec![fault]),
            };
            // Alternatives side by side are nothing wrong; which of two is meant has to be known of what is read.
            match (&meaning, again) {
                (_, None) | (Meaning::Foreign { .. }, _) => {}
                (Meaning::Reference, Some(again)) => {
                    self.warnings.push(again);
                    continue;
                }
                (_, Some(again)) => {
                    self.faults.push(again);
                    continue;
                }
            }
            match meaning {
                Meaning::ScaledJob(scaled_job) => self.scaled_jobs.push((index, *scaled_job)),
                Meaning::EventJob(event_job) => self.event_jobs.push((index, *event_job)),
                Meaning::CronJob(cron_job) => self.cron_jobs.push((index, *cron_job)),
                Meaning::Job => self.jobs.push(index),
                Meaning::Reference => {}
                Meaning::Wrong(faults) => self
                    .faults
                    .extend(faults.into_iter().map(|fault| entry.finding(fault))),
                Meaning::Foreign { is_work } => {
                    let fault = Fault::at("", format!("{api} {} is not read", document.kind));
                    let told = if is_work {
                        &mut self.warnings
                    } else {
                        &mut self.notes
                    };
                    told.push(entry.finding(fault));
                    self.unread += 1;
                }
            }
        }
        self.files = Files::new(self.entries.iter().map(|entry| &entry.document));
        let mut faults = std::mem::take(&mut self.faults);
        self.sort(&mut faults);
        self.faults = faults;
    }

    /// Findings in the order in which people read: file by file, from the top.
    pub fn sort(&self, findings: &mut [Finding]) {
        findings.sort_by_key(|finding| {
            let file = self.order.iter().position(|file| *file == finding.file);
            (file, finding.position)
        });
    }
}

const START: Position = Position { line: 1, column: 1 };

/// What is wrong with the name of a document.
fn misnamed(document: &Document) -> Option<Fault> {
    let what = match document.kind.as_str() {
        "Job" if document.value["metadata"]["name"].is_null() => NameRule::Prefix,
        "Job" => NameRule::Job,
        _ => NameRule::Object,
    };
    names::misnamed(&document.id, what)
}

/// What a document is to us.
enum Meaning {
    ScaledJob(Box<ScaledJob>),
    EventJob(Box<EventJob>),
    CronJob(Box<CronJob>),
    Job,
    /// Something that others refer to.
    Reference,
    Wrong(Vec<Fault>),
    /// Not for us.
    Foreign {
        /// It launches work, so that whoever checks it may believe that it was checked.
        is_work: bool,
    },
}

fn read(document: &Document) -> Meaning {
    let api = document.api_version.as_str();
    match (api, document.kind.as_str()) {
        (_, "ScaledJob") => match scaled_job::parse(&document.value) {
            Ok(scaled_job) => Meaning::ScaledJob(Box::new(scaled_job)),
            Err(faults) => Meaning::Wrong(faults),
        },
        (SLIPWAY_API_VERSION, "EventJob") => match event_job::parse(&document.value) {
            Ok(event_job) => Meaning::EventJob(Box::new(event_job)),
            Err(faults) => Meaning::Wrong(faults),
        },
        (
            SLIPWAY_API_VERSION | KEDA_API_VERSION,
            "TriggerAuthentication" | "ClusterTriggerAuthentication",
        ) => or_reference(
            authentication::parse(&document.value["spec"])
                .err()
                .unwrap_or_default(),
        ),
        ("batch/v1", "Job") => Meaning::Job,
        ("batch/v1", "CronJob") => match cron_job::parse(&document.value) {
            Ok(cron_job) => Meaning::CronJob(Box::new(cron_job)),
            Err(faults) => Meaning::Wrong(faults),
        },
        ("v1", "Secret") => or_reference(secret_data(&document.value).err().unwrap_or_default()),
        ("v1", "ConfigMap") => or_reference(no_texts(&document.value["data"])),
        ("v1", "ServiceAccount") => Meaning::Reference,
        (api, kind) if api.starts_with("slipway.dev/") => Meaning::Wrong(vec![Fault::at(
            "kind",
            format!(
                "{api} {kind} is not supported by this version; there are ScaledJob, EventJob, TriggerAuthentication and ClusterTriggerAuthentication of {SLIPWAY_API_VERSION}"
            ),
        )]),
        (api, kind) if kind.starts_with("Job") || kind.starts_with("CronJob") => batch(api, kind),
        (KEDA_API_VERSION, "ScaledObject") => Meaning::Foreign { is_work: true },
        (api, kind) if api.starts_with("keda.sh/") => unknown(
            api,
            kind,
            &format!(
                "there are ScaledJob, ScaledObject, TriggerAuthentication and ClusterTriggerAuthentication of {KEDA_API_VERSION}"
            ),
        ),
        (api, kind) if api.starts_with("batch/") => batch(api, kind),
        _ => Meaning::Foreign { is_work: false },
    }
}

/// What is of the group `batch`, or looks like it.
fn batch(api: &str, kind: &str) -> Meaning {
    match (api, kind) {
        ("v1", _) => unknown(api, kind, "there are Job and CronJob of batch/v1"),
        (api, _) if api.starts_with("batch/") => {
            unknown(api, kind, "there are Job and CronJob of batch/v1")
        }
        // A group of somebody else.
        _ => Meaning::Foreign { is_work: false },
    }
}

fn unknown(api: &str, kind: &str, what_there_is: &str) -> Meaning {
    let message = format!("no API server knows {api} {kind}; {what_there_is}");
    Meaning::Wrong(vec![Fault::at("kind", message)])
}

/// The values of a ConfigMap that are no texts.
fn no_texts(data: &Value) -> Vec<Fault> {
    let values = data.as_object().into_iter().flatten();
    values
        .filter(|(_, value)| !value.is_string() && !value.is_null())
        .map(|(key, _)| Fault::at(format!("data[\"{key}\"]"), "must be text: put it in quotes"))
        .collect()
}

fn or_reference(faults: Vec<Fault>) -> Meaning {
    if faults.is_empty() {
        Meaning::Reference
    } else {
        Meaning::Wrong(faults)
    }
}

/// The manifests of a folder and of the folders in it, by name. Hidden folders, and links to folders, are left out.
///
/// # Errors
///
/// A folder cannot be read.
pub fn files_of(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        let is_hidden = entry.file_name().to_string_lossy().starts_with('.');
        if entry.file_type()?.is_dir() && !is_hidden {
            files.extend(files_of(&path)?);
            continue;
        }
        let extension = path.extension().and_then(|extension| extension.to_str());
        let extension = extension.unwrap_or_default().to_ascii_lowercase();
        if path.is_file() && ["yaml", "yml", "json"].contains(&extension.as_str()) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests;
