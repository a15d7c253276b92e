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
    /// The indices of `batch/v1` Jobs among the entries.
    pub jobs: Vec<usize>,
    /// What triggers and containers may refer to.
    pub files: Files,
    /// What is wrong.
    pub faults: Vec<Finding>,
    /// What is left out, and why; nothing wrong.
    pub notes: Vec<Finding>,
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

/// Reads the files; of a folder its `*.yaml`, `*.yml` and `*.json`; of `-` standard input.
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
        self.entries
            .extend(documents.into_iter().map(|document| FileDocument {
                file: file.to_owned(),
                document,
            }));
        self.faults
            .extend(misread.into_iter().map(|misread| Finding {
                file: file.to_owned(),
                position: misread.position,
                object: None,
                fault: Fault::at("", misread.message),
            }));
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
            if is_named && let Some(before) = first.get(&key) {
                let before = &self.entries[*before];
                let place = format!("{}:{}", before.file, before.document.position());
                let fault = Fault::at("metadata.name", format!("is in {place} already"));
                self.faults.push(entry.finding(fault));
                continue;
            }
            first.insert(key, index);
            let meaning = match (misnamed(document), read(document)) {
                (Some(fault), Meaning::Wrong(mut faults)) => {
                    faults.insert(0, fault);
                    Meaning::Wrong(faults)
                }
                (None, meaning) | (Some(_), meaning @ Meaning::Foreign) => meaning,
                (Some(fault), _) => Meaning::Wrong(vec![fault]),
            };
            match meaning {
                Meaning::ScaledJob(scaled_job) => self.scaled_jobs.push((index, *scaled_job)),
                Meaning::EventJob(event_job) => self.event_jobs.push((index, *event_job)),
                Meaning::Job => self.jobs.push(index),
                Meaning::Reference => {}
                Meaning::Wrong(faults) => self
                    .faults
                    .extend(faults.into_iter().map(|fault| entry.finding(fault))),
                Meaning::Foreign => {
                    let fault = Fault::at("", format!("{api} {} is not read", document.kind));
                    self.notes.push(entry.finding(fault));
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
    Job,
    /// Something that others refer to.
    Reference,
    Wrong(Vec<Fault>),
    /// Not for us.
    Foreign,
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
        ("v1", "Secret") => or_reference(secret_data(&document.value).err().unwrap_or_default()),
        ("v1", "ConfigMap") => or_reference(no_texts(&document.value["data"])),
        ("v1", "ServiceAccount") => Meaning::Reference,
        (api, kind) if api.starts_with("slipway.dev/") => Meaning::Wrong(vec![Fault::at(
            "kind",
            format!(
                "{api} {kind} is not supported by this version; there are ScaledJob, EventJob, TriggerAuthentication and ClusterTriggerAuthentication of {SLIPWAY_API_VERSION}"
            ),
        )]),
        _ => Meaning::Foreign,
    }
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

/// The manifests of a folder, by name; not those of folders in it.
fn files_of(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        if path.is_file() && matches!(extension, Some("yaml" | "yml" | "json")) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(findings: &[Finding]) -> Vec<String> {
        findings.iter().map(Finding::to_string).collect()
    }

    #[test]
    fn faults_of_all_files_come_together_with_their_places() {
        let manifests = Manifests::from_texts([
            (
                "a.yaml",
                "apiVersion: slipway.dev/v1alpha1\nkind: ScaledJob\nmetadata: {name: one}\nspec:\n  jobTargetRef: {}\n  triggers: []\n",
            ),
            (
                "b.yaml",
                "apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: shop}\ndata:\n  key: '%'\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: shop}\n---\n[1\n",
            ),
            ("c.yaml", "# nothing\n"),
            (
                "d.yaml",
                "apiVersion: slipway.dev/v1alpha1\nkind: EventThing\nmetadata: {name: e}\n---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\n---\napiVersion: batch/v1\nkind: Job\nmetadata: {name: j}\n",
            ),
        ]);
        assert_eq!(
            texts(&manifests.faults),
            [
                "a.yaml:5:3: ScaledJob default/one: spec.jobTargetRef.template: is required",
                "b.yaml:5:3: Secret shop/s: data[\"key\"]: must be base64: write plain text under stringData instead",
                "b.yaml:9:12: Secret shop/s: metadata.name: is in b.yaml:1:1 already",
                "b.yaml:11:1: unclosed bracket '['",
                "d.yaml:2:1: EventThing default/e: kind: slipway.dev/v1alpha1 EventThing is not supported by this version; there are ScaledJob, EventJob, TriggerAuthentication and ClusterTriggerAuthentication of slipway.dev/v1alpha1",
            ]
        );
        assert_eq!(
            texts(&manifests.notes),
            [
                "c.yaml:1:1: holds no document",
                "d.yaml:5:1: Deployment default/d: apps/v1 Deployment is not read",
            ]
        );
        assert_eq!(manifests.jobs, [5]);
        assert!(manifests.scaled_jobs.is_empty());
    }

    #[tokio::test]
    async fn folders_are_read_by_name_and_what_is_missing_is_a_fault() {
        let folder = std::env::temp_dir().join(format!("slipway-manifest-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("empty")).unwrap();
        let object = |kind: &str| format!("apiVersion: v1\nkind: {kind}\nmetadata: {{name: x}}\n");
        std::fs::write(folder.join("b.yml"), object("Secret")).unwrap();
        std::fs::write(folder.join("a.yaml"), object("ConfigMap")).unwrap();
        std::fs::write(folder.join("readme.md"), "words").unwrap();
        let manifests = load(&[
            folder.clone(),
            folder.join("empty"),
            folder.join("absent.yaml"),
        ])
        .await;
        std::fs::remove_dir_all(&folder).unwrap();
        let kinds: Vec<_> = manifests
            .entries
            .iter()
            .map(|entry| entry.document.kind.as_str())
            .collect();
        assert_eq!(kinds, ["ConfigMap", "Secret"]);
        let faults = texts(&manifests.faults);
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert!(faults[0].ends_with("empty:1:1: holds no *.yaml, *.yml or *.json file"));
        assert!(faults[1].contains("absent.yaml:1:1: cannot be read: "));
    }
}
