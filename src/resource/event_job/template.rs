//! What this room needs to know of `jobTemplate`, which travels untouched.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::resource::fields::Fields;
use crate::resource::names::is_name_prefix;

/// Annotation with what runs in place of a container that has no command, where there is no cluster.
const LOCAL_COMMAND: &str = "slipway.dev/local-command";

/// A Job template with a container to run.
pub(super) struct Template<'a> {
    /// The whole of it.
    pub(super) value: &'a Value,
    /// Its `spec`.
    pub(super) spec: &'a Value,
    /// Names of containers, init containers too.
    pub(super) containers: BTreeSet<&'a str>,
    /// Paths at which containers mount something.
    pub(super) mounts: BTreeSet<&'a str>,
}

impl<'a> Template<'a> {
    /// Reads it; `None` when there is nothing to run.
    pub(super) fn read(fields: &Fields<'a>) -> Option<Self> {
        metadata(fields);
        fields.required("spec");
        let job = fields.fields("spec");
        fields.refuse_others();
        let job = job?;
        job.required("template");
        let pod_template = job.fields("template")?;
        if let Some(metadata) = pod_template.fields("metadata") {
            reserved(&metadata);
        }
        pod_template.required("spec");
        let pod = pod_template.fields("spec")?;
        pod.required("containers");
        let containers = pod.mappings("containers")?;
        if containers.is_empty() {
            pod.fault("containers", "must hold at least one container");
        }
        let mut names = BTreeSet::new();
        let mut mounts = BTreeSet::new();
        for container in pod
            .mappings("initContainers")
            .iter()
            .flatten()
            .chain(&containers)
        {
            names.extend(container.required_text("name"));
            let paths = container.get("volumeMounts").and_then(Value::as_array);
            let paths = paths.into_iter().flatten();
            mounts.extend(paths.filter_map(|mount| mount["mountPath"].as_str()));
        }
        Some(Self {
            value: fields.whole(),
            spec: fields.get("spec")?,
            containers: names,
            mounts,
        })
    }

    /// Whether a label (`labels`) or an annotation (`annotations`) stands on the Job or its Pods.
    pub(super) fn has_key(&self, map: &str, key: &str) -> bool {
        [&self.value["metadata"], &self.spec["template"]["metadata"]]
            .into_iter()
            .any(|metadata| !metadata[map][key].is_null())
    }
}

fn metadata(template: &Fields<'_>) {
    let Some(metadata) = template.fields("metadata") else {
        return;
    };
    if let Some(prefix) = metadata.text("generateName")
        && !prefix.is_empty()
        && !is_name_prefix(prefix)
    {
        metadata.fault(
            "generateName",
            "must be the beginning of a name: lower-case letters, digits and dashes, such as invoice-",
        );
    }
    metadata.text_map("labels");
    metadata.text_map("annotations");
    reserved(&metadata);
    for (key, advice) in [
        (
            "name",
            "must be left out: every Job gets a name of its own; write generateName for its beginning",
        ),
        (
            "namespace",
            "must be left out: Jobs run in the namespace of their EventJob",
        ),
        // What generators of manifests write as null.
        ("creationTimestamp", "must be left out"),
    ] {
        if metadata.has(key) {
            metadata.fault(key, advice);
        }
    }
    metadata.refuse_others_but(&["name", "namespace", "creationTimestamp"]);
}

/// Keys by which Slipway finds and releases its Jobs.
fn reserved(metadata: &Fields<'_>) {
    for map in ["labels", "annotations"] {
        let Some(Value::Object(written)) = metadata.get(map) else {
            continue;
        };
        let Some(keys) = metadata.fields(map) else {
            continue;
        };
        for key in written.keys() {
            if key.starts_with("slipway.dev/") && key != LOCAL_COMMAND {
                keys.fault(key, "is written by Slipway, not by people");
            }
        }
    }
}
