//! Which room may know which. A new row here is a design decision.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Room → rooms below it that it may name through `crate::`. A room may always name itself.
const BELOW: &[(&str, &[&str])] = &[
    ("scaling", &[]),
    ("config", &[]),
    ("telemetry", &["config"]),
    ("pattern", &[]),
    ("schedule", &[]),
    ("resource", &["pattern", "scaling", "schedule"]),
    ("event", &["pattern", "resource"]),
    ("page", &["history", "resource", "shown"]),
    ("board", &["page", "resource"]),
    ("places", &[]),
    ("bounded", &[]),
    ("shown", &[]),
    ("cluster", &["bounded", "places", "shown"]),
    ("address", &[]),
    ("externalscaler", &[]),
    (
        "source",
        &[
            "address",
            "bounded",
            "externalscaler",
            "resource",
            "scaling",
            "shown",
        ],
    ),
    ("catalog", &["pattern", "resource"]),
    (
        "launch",
        &["cluster", "event", "lookup", "resource", "scaling"],
    ),
    ("history", &["launch", "resource", "scaling"]),
    (
        "explain",
        &["history", "launch", "resource", "scaling", "shown"],
    ),
    ("plot", &[]),
    ("simulate", &["scaling"]),
    ("job_rules", &["resource"]),
    ("local", &["job_rules", "launch", "lookup", "resource"]),
    ("lookup", &["cluster", "resource"]),
    ("manifest", &["lookup", "resource"]),
    (
        "cycle",
        &["event", "launch", "resource", "scaling", "source"],
    ),
    (
        "intake",
        &[
            "address", "bounded", "catalog", "cycle", "event", "launch", "lookup", "pattern",
            "resource",
        ],
    ),
    (
        "controller",
        &[
            "catalog", "cluster", "cycle", "history", "intake", "launch", "lookup", "resource",
            "scaling", "schedule", "source",
        ],
    ),
    (
        "serve",
        &[
            "address",
            "board",
            "explain",
            "externalscaler",
            "history",
            "intake",
            "lookup",
            "page",
            "plot",
            "resource",
            "scaling",
            "source",
        ],
    ),
    (
        "app",
        &[
            "address",
            "board",
            "catalog",
            "cluster",
            "config",
            "controller",
            "cycle",
            "explain",
            "history",
            "intake",
            "launch",
            "local",
            "lookup",
            "manifest",
            "page",
            "resource",
            "serve",
            "shown",
            "source",
            "telemetry",
        ],
    ),
    (
        "cli",
        &[
            "app",
            "config",
            "event",
            "explain",
            "history",
            "launch",
            "local",
            "lookup",
            "manifest",
            "pattern",
            "plot",
            "resource",
            "scaling",
            "schedule",
            "shown",
            "simulate",
            "source",
            "telemetry",
        ],
    ),
    ("main", &["cli"]),
];

/// Library → the only places that may name it.
const LIBRARIES: &[(&str, &[&str])] = &[
    (
        "hyper",
        &["bounded", "serve", "intake/fetch", "cluster/guard"],
    ),
    ("ring", &["intake/auth"]),
    ("aws_sdk_sqs", &["source/sqs"]),
    ("aws_sdk_sts", &["source/sqs", "source/aws"]),
    ("rdkafka", &["source/kafka", "cli/demo"]),
    (
        "tonic",
        &["externalscaler", "serve/keda", "source/external"],
    ),
    (
        "kube",
        &["cluster", "launch/kubernetes", "controller", "app"],
    ),
    ("anyhow", &["cli", "app", "main"]),
];

/// Rooms and files that do no I/O, hold no lock, know no clock and are not async.
const PURE: &[&str] = &[
    "scaling",
    "pattern",
    "schedule",
    "resource",
    "shown",
    "event",
    "job_rules",
    "explain",
    "plot",
    "simulate",
    "history.rs",
    "history/record.rs",
    "history/codec",
    "history/json.rs",
    "history/memory.rs",
    "history/names.rs",
    "history/replay.rs",
    "history/segment.rs",
    "page",
    "launch/job.rs",
    "launch/delivered.rs",
    "launch/admission.rs",
    "launch/attempt.rs",
    "launch/occurrences.rs",
    "launch/once.rs",
    "launch/round.rs",
    "launch/ledger",
    "launch/retention.rs",
    "launch/count.rs",
    "launch/history.rs",
    "controller/status.rs",
];

/// Names of which every room may have its own.
const EVERY_ROOMS: &[&str] = &["Args", "Error", "Metrics"];

#[test]
fn rooms_only_name_rooms_below_them() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        // A file of tests may build what its subject is handed.
        if path.ends_with("/tests.rs") {
            continue;
        }
        let room = room(&path);
        let Some((_, below)) = BELOW.iter().find(|(name, _)| *name == room) else {
            assert!(room == "lib", "{path}: the room {room} is not in the table");
            continue;
        };
        for named in crate_paths(&text) {
            if named != room && !below.contains(&named.as_str()) {
                wrong.push(format!("{path} names crate::{named}"));
            }
        }
        if text.contains("use crate::{") {
            wrong.push(format!(
                "{path}: one `use crate::room` line per room, so that the head of a file lists them"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_library_is_named_in_one_room() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        for (library, places) in LIBRARIES {
            let named = text.lines().any(|line| {
                let line = line.trim_start();
                !line.starts_with("//")
                    && line
                        .match_indices(&format!("{library}::"))
                        .any(|(at, _)| starts_word(line, at))
            });
            if named && !places.iter().any(|place| path.starts_with(place)) {
                wrong.push(format!("{path} names {library}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn one_file_is_unsafe() {
    let is_unsafe = |text: &str| {
        text.lines()
            .any(|line| line.trim_start().starts_with("unsafe_code"))
    };
    let unsafe_files = sources().into_iter().filter(|(_, text)| is_unsafe(text));
    let unsafe_files: Vec<String> = unsafe_files.map(|(path, _)| path).collect();
    assert_eq!(unsafe_files, ["source/kafka/native.rs"]);
}

#[test]
fn pure_rooms_are_pure() {
    const IMPURE: &[&str] = &[
        "async fn",
        "tokio::",
        "std::fs",
        "TcpStream",
        "TcpListener",
        "ToSocketAddrs",
        "Instant::now",
        "Timestamp::now",
        "SystemTime",
        "Mutex",
        "RwLock",
    ];
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        if !PURE.iter().any(|pure| {
            path == format!("{pure}.rs") || path == *pure || path.starts_with(&format!("{pure}/"))
        }) {
            continue;
        }
        for word in IMPURE {
            if text
                .lines()
                .any(|line| !line.trim_start().starts_with("//") && line.contains(word))
            {
                wrong.push(format!("{path} has {word}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_public_type_name_means_one_thing() {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (path, text) in sources() {
        if path.ends_with("/tests.rs") || path.contains("/tests/") {
            continue;
        }
        for name in text.lines().filter_map(public_type) {
            places
                .entry(name.to_owned())
                .or_default()
                .push(path.clone());
        }
    }
    places.retain(|name, places| places.len() > 1 && !EVERY_ROOMS.contains(&name.as_str()));
    assert!(places.is_empty(), "these mean several things: {places:#?}");
}

/// The name of a type that other files may use, if this line defines one.
fn public_type(line: &str) -> Option<&str> {
    let line = line.strip_prefix("pub")?;
    let line = match line.strip_prefix('(') {
        Some(restricted) => restricted.split_once(')')?.1,
        None => line,
    };
    let (kind, rest) = line.strip_prefix(' ')?.split_once(' ')?;
    if !["enum", "struct", "trait", "type"].contains(&kind) {
        return None;
    }
    let end = rest.find(|letter: char| !letter.is_alphanumeric());
    Some(&rest[..end.unwrap_or(rest.len())])
}

#[test]
fn no_file_is_longer_than_five_hundred_lines() {
    let long: Vec<String> = sources()
        .into_iter()
        .filter(|(_, text)| text.lines().count() > 500)
        .map(|(path, text)| format!("{path}: {} lines", text.lines().count()))
        .collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
fn every_file_says_what_it_owns() {
    let silent: Vec<String> = sources()
        .into_iter()
        // A file of tests is named for the file that they test.
        .filter(|(path, text)| !path.ends_with("/tests.rs") && !text.starts_with("//!"))
        .map(|(path, _)| path)
        .collect();
    assert!(silent.is_empty(), "{}", silent.join("\n"));
}

/// Every file below `src/`: its path from there, and its text.
fn sources() -> Vec<(String, String)> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    walk(&root, &mut files);
    assert!(files.len() > 20, "the sources were not found");
    files
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            (
                path.strip_prefix(&root)
                    .unwrap()
                    .to_string_lossy()
                    .into_owned(),
                text,
            )
        })
        .collect()
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn room(path: &str) -> String {
    path.split('/')
        .next()
        .unwrap()
        .trim_end_matches(".rs")
        .to_owned()
}

/// The first segments of all `crate::` (in `main`: `slipway::`) paths outside comments.
fn crate_paths(text: &str) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    for line in text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
    {
        for prefix in ["crate::", "slipway::"] {
            for (at, _) in line.match_indices(prefix) {
                if starts_word(line, at) && !line[..at].ends_with("pub(") {
                    let rest = &line[at + prefix.len()..];
                    let end = rest
                        .find(|letter: char| !letter.is_alphanumeric() && letter != '_')
                        .unwrap_or(rest.len());
                    if end > 0 {
                        named.insert(rest[..end].to_owned());
                    }
                }
            }
        }
    }
    named
}

/// Whether a word begins here: `kube::` is not named by `launch::kube::`.
fn starts_word(line: &str, at: usize) -> bool {
    !line[..at].ends_with(|letter: char| letter.is_alphanumeric() || letter == '_' || letter == ':')
}
