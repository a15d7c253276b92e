//! Labels and annotations.

use super::place::TemplatePlace;
use crate::resource::names::{is_label_value, is_qualified_name};

/// All annotations together, keys and values. Source: Kubernetes, `TotalAnnotationSizeLimitB`. Unit: bytes.
const ANNOTATIONS: usize = 256 * 1024;

/// What a key is to look like.
const KEY: &str = "a key such as app or example.com/app: letters, digits, dashes, dots and underscores, at most 63 behind the slash";

pub(super) fn rules(metadata: &TemplatePlace<'_>) {
    labels(&metadata.at("labels"));
    let annotations = metadata.at("annotations");
    let mut size = 0;
    for (key, value) in annotations.entries() {
        // Their keys, unlike those of labels, may have capitals in their domain.
        if !is_qualified_name(&key.to_lowercase()) {
            value.refuse(format!("must have {KEY}"));
        }
        size += key.len() + value.text().map_or(0, str::len);
    }
    if size > ANNOTATIONS {
        annotations.refuse("must be at most 256 KiB together");
    }
}

/// Labels, or a selector written like them.
pub(super) fn labels(labels: &TemplatePlace<'_>) {
    for (key, value) in labels.entries() {
        if !is_qualified_name(key) {
            value.refuse(format!("must have {KEY}"));
        }
        value.form(
            is_label_value,
            "a label's value: letters, digits, dashes, dots and underscores, at most 63",
        );
    }
}
