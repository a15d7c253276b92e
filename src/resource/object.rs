//! `metadata` of an object of ours, as it stands in a file or comes from the API server.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::resource::fields::{Faults, Fields};
use crate::resource::{Api, ObjectId};

/// What there is to know of an object before its kind.
pub(super) struct ObjectMetadata {
    pub(super) id: ObjectId,
    /// `None` for files.
    pub(super) uid: Option<String>,
    /// 0 for files.
    pub(super) generation: i64,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) annotations: BTreeMap<String, String>,
}

/// Reads an object of ours: the head that all kinds have, and its `spec`.
pub(super) fn read<T>(
    value: &Value,
    faults: &Faults,
    kind: &str,
    apis: &[Api],
    spec: impl FnOnce(&Fields<'_>, &Faults) -> Option<T>,
) -> Option<(Api, ObjectMetadata, T)> {
    let object = Fields::new("", value, faults)?;
    let version = object.required_text("apiVersion");
    let api = version.and_then(Api::of).filter(|api| apis.contains(api));
    if version.is_some() && api.is_none() {
        let versions: Vec<&str> = apis.iter().map(|api| api.version()).collect();
        faults.add("apiVersion", format!("must be {}", versions.join(" or ")));
    }
    if object
        .required_text("kind")
        .is_some_and(|found| found != kind)
    {
        faults.add("kind", format!("must be {kind}"));
    }
    object.get("status");
    object.required("metadata");
    object.required("spec");
    let metadata = object.fields("metadata");
    let metadata = metadata.and_then(|fields| ObjectMetadata::read(&fields));
    let spec = object
        .fields("spec")
        .and_then(|fields| spec(&fields, faults));
    object.refuse_others();
    Some((api?, metadata?, spec?))
}

impl ObjectMetadata {
    /// Reads it; `None` when there is no name.
    pub(super) fn read(fields: &Fields<'_>) -> Option<Self> {
        let name = fields.required_text("name");
        let namespace = fields.text("namespace").filter(|text| !text.is_empty());
        let uid = fields.text("uid").filter(|text| !text.is_empty());
        let labels = fields.text_map("labels");
        let annotations = fields.text_map("annotations");
        let generation = fields.get("generation").and_then(Value::as_i64);
        for field in [
            "creationTimestamp",
            "deletionGracePeriodSeconds",
            "deletionTimestamp",
            "finalizers",
            "generateName",
            "managedFields",
            "ownerReferences",
            "resourceVersion",
            "selfLink",
        ] {
            fields.get(field);
        }
        // What has a UID came through the API server, which knows its own metadata better than we do.
        if uid.is_none() {
            fields.refuse_others();
        }
        Some(Self {
            id: ObjectId::new(namespace.unwrap_or("default"), name?),
            uid: uid.map(ToOwned::to_owned),
            generation: generation.unwrap_or(0),
            labels,
            annotations,
        })
    }
}
