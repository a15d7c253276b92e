//! `bind`: which values of an event reach the Job, and where.

use super::origin::{Origins, path};
use super::template::Template;
use super::{Bind, BindSource, CountBinding, EnvBinding, FileBinding, MetadataBinding, text};
use crate::resource::fields::Fields;
use crate::resource::names::{is_data_key, is_label_value, is_qualified_name, is_variable};

/// Bindings of one kind.
const MOST: usize = 100;
/// What one variable or annotation may hold. Unit: bytes.
const LONGEST_DEFAULT: usize = 32 * 1024;
/// The longest path of a file. Source: Linux, `PATH_MAX`. Unit: bytes.
const LONGEST_PATH: usize = 4095;
/// The largest `parallelism` of an Indexed Job. Source: Kubernetes, `maxParallelismForIndexedJob`.
const INDEXED_PARALLELISM: u32 = 100_000;

/// Variables that others set.
const RESERVED_VARIABLES: [(&str, &str); 3] = [
    ("SLIPWAY_EVENT_ID", "holds the event's id already"),
    (
        "SLIPWAY_SCHEDULED_TIME",
        "holds the due time of a schedule already",
    ),
    ("JOB_COMPLETION_INDEX", "is set by the Job controller"),
];
/// Domains whose labels and annotations mean something to Kubernetes, to Slipway or to KEDA; their subdomains too.
const RESERVED_DOMAINS: [&str; 5] = [
    "kubernetes.io",
    "k8s.io",
    "x-k8s.io",
    "slipway.dev",
    "keda.sh",
];
/// Labels without a domain that the Job controller sets. Source: Kubernetes, `batch.LegacyJobNameLabel`, `LegacyControllerUidLabel`.
const RESERVED_LABELS: [&str; 2] = ["job-name", "controller-uid"];

pub(super) fn read(
    fields: &Fields<'_>,
    origins: &Origins,
    template: Option<&Template<'_>>,
) -> Bind {
    let bind = Bind {
        env: env(fields, origins, template),
        labels: metadata(fields, "labels", origins, template),
        annotations: metadata(fields, "annotations", origins, template),
        completions: count(fields, "completions", template),
        parallelism: count(fields, "parallelism", template),
        file: file(fields, template),
    };
    if let (Some(parallelism), Some(template)) = (&bind.parallelism, template)
        && template.spec["completionMode"] == "Indexed"
        && parallelism.max > INDEXED_PARALLELISM
        && let Some(parallelism) = fields.fields("parallelism")
    {
        parallelism.fault(
            "max",
            format!("must be at most {INDEXED_PARALLELISM} with completionMode: Indexed"),
        );
    }
    fields.refuse_others();
    bind
}

fn entries<'a>(fields: &Fields<'a>, key: &'static str) -> Vec<Fields<'a>> {
    let entries = fields.mappings(key).unwrap_or_default();
    if entries.len() > MOST {
        fields.fault(key, format!("must have at most {MOST} entries"));
    }
    entries
}

fn env(fields: &Fields<'_>, origins: &Origins, template: Option<&Template<'_>>) -> Vec<EnvBinding> {
    let mut bindings: Vec<EnvBinding> = Vec::new();
    for entry in &entries(fields, "env") {
        let name = entry.required_text("name");
        let origin = origin(entry, origins);
        let default = default(entry);
        let container = entry.text("container");
        entry.refuse_others();
        if let Some(name) = name {
            if !is_variable(name) {
                entry.fault(
                    "name",
                    "must be letters, digits and underscores, and not begin with a digit",
                );
            }
            let reserved = RESERVED_VARIABLES.iter().find(|(own, _)| *own == name);
            if let Some((_, why)) = reserved {
                entry.fault("name", format!("cannot be bound: {name} {why}"));
            }
        }
        if let (Some(container), Some(template)) = (container, template)
            && !template.containers.is_empty()
            && !template.containers.contains(container)
        {
            let names: Vec<_> = template.containers.iter().copied().collect();
            entry.fault(
                "container",
                format!(
                    "no container of jobTemplate has this name; there are {}",
                    names.join(", ")
                ),
            );
        }
        let (Some(name), Some(origin)) = (name, origin) else {
            continue;
        };
        let is_double = |earlier: &EnvBinding| {
            earlier.name == name
                && (container.is_none()
                    || earlier.container.is_none()
                    || earlier.container.as_deref() == container)
        };
        if bindings.iter().any(is_double) {
            entry.fault("name", "is bound twice in one container");
        }
        bindings.push(EnvBinding {
            name: name.to_owned(),
            origin,
            default,
            container: container.map(ToOwned::to_owned),
        });
    }
    bindings
}

fn metadata(
    fields: &Fields<'_>,
    map: &'static str,
    origins: &Origins,
    template: Option<&Template<'_>>,
) -> Vec<MetadataBinding> {
    let mut bindings: Vec<MetadataBinding> = Vec::new();
    for entry in &entries(fields, map) {
        let name = entry.required_text("name");
        let origin = origin(entry, origins);
        let default = default(entry);
        entry.refuse_others();
        if map == "labels" && default.as_ref().is_some_and(|text| !is_label_value(text)) {
            entry.fault(
                "default",
                "must be a label's value: letters, digits, dashes, dots and underscores, at most 63",
            );
        }
        let Some(name) = name else { continue };
        if !is_qualified_name(name) {
            entry.fault(
                "name",
                "must be a key such as customer or example.com/customer: letters, digits, dashes, dots and underscores, at most 63 behind the slash",
            );
        } else if is_reserved(name) {
            entry.fault(
                "name",
                "is not for events to set: it means something to Kubernetes, Slipway or KEDA; use a domain of your own",
            );
        } else if template.is_some_and(|template| template.has_key(map, name)) {
            entry.fault(
                "name",
                "is written in jobTemplate too: write it there or bind it",
            );
        }
        if bindings.iter().any(|earlier| earlier.name == name) {
            entry.fault("name", "is bound twice");
        }
        if let Some(origin) = origin {
            bindings.push(MetadataBinding {
                name: name.to_owned(),
                origin,
                default,
            });
        }
    }
    bindings
}

/// Exactly one of `path`, `header` and `template`.
fn origin(entry: &Fields<'_>, origins: &Origins) -> Option<BindSource> {
    if entry.get("template").is_none() {
        return origins.one(entry, "path, header and template");
    }
    if entry.get("path").is_some() || entry.get("header").is_some() {
        entry.fault("", "must have exactly one of path, header and template");
    }
    if entry.get("default").is_some() {
        entry.fault(
            "default",
            "does not go with template: each value has its own, as in {$.id|default:none}",
        );
    }
    text::read(entry, origins).map(BindSource::Template)
}

fn is_reserved(key: &str) -> bool {
    let Some((prefix, _)) = key.split_once('/') else {
        return RESERVED_LABELS.contains(&key);
    };
    RESERVED_DOMAINS.iter().any(|domain| {
        let rest = prefix.strip_suffix(domain);
        rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    })
}

fn default(entry: &Fields<'_>) -> Option<String> {
    let text = entry.text("default")?;
    if text.len() > LONGEST_DEFAULT {
        entry.fault("default", "must be at most 32 KiB");
    }
    if text.contains('\0') {
        entry.fault("default", "must not hold the character NUL");
    }
    Some(text.to_owned())
}

fn count(
    fields: &Fields<'_>,
    key: &'static str,
    template: Option<&Template<'_>>,
) -> Option<CountBinding> {
    fields.get(key)?;
    if template.is_some_and(|template| !template.spec[key].is_null()) {
        fields.fault(
            key,
            "is written in jobTemplate.spec too: write it there or bind it",
        );
    }
    let count = fields.fields(key)?;
    count.required("path");
    let path = path(&count, "path");
    count.required("max");
    let max = count.count("max", 1);
    count.refuse_others();
    Some(CountBinding {
        path: path?,
        max: max?,
    })
}

fn file(fields: &Fields<'_>, template: Option<&Template<'_>>) -> Option<FileBinding> {
    fields.get("file")?;
    let file = fields.fields("file")?;
    let path = file.required_text("path");
    file.refuse_others();
    let path = path?;
    let Some((folder, name)) = path.rsplit_once('/') else {
        file.fault(
            "path",
            "must be absolute, such as /var/run/slipway/event.json",
        );
        return None;
    };
    let is_plain = |part: &str| !part.is_empty() && part != "." && part != "..";
    let is_normal = folder.is_empty()
        || folder
            .strip_prefix('/')
            .is_some_and(|folder| folder.split('/').all(is_plain));
    let has_control = path.chars().any(char::is_control);
    if !is_normal || has_control || path.len() > LONGEST_PATH || path.contains(':') {
        file.fault(
            "path",
            "must be absolute and plain, such as /var/run/slipway/event.json: no empty, . or .. parts, no colon",
        );
    } else if !is_data_key(name) {
        file.fault(
            "path",
            "must end in the name of a file: letters, digits, dashes, dots and underscores",
        );
    } else if let Some(mount) = template.and_then(|template| covers(template, path)) {
        file.fault(
            "path",
            format!("lies in or over {mount}, where a container of jobTemplate mounts something"),
        );
    }
    Some(FileBinding {
        path: path.to_owned(),
    })
}

/// A mount that the file would lie in, or that would lie in the file.
fn covers<'a>(template: &Template<'a>, path: &str) -> Option<&'a str> {
    let is_below = |below: &str, above: &str| {
        let rest = below.strip_prefix(above.trim_end_matches('/'));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let mut mounts = template.mounts.iter().copied();
    mounts.find(|mount| is_below(path, mount) || is_below(mount, path))
}
