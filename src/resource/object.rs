//! `metadata` of an object of ours, as it stands in a file or comes from the API server.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::resource::ObjectId;
use crate::resource::fields::Fields;

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
