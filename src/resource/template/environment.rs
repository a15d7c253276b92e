//! A container's environment.

use super::place::TemplatePlace;
use crate::resource::names::{is_data_key, is_qualified_name, is_subdomain};

/// Fields of a Pod that a variable may have. Source: Kubernetes, `validEnvDownwardAPIFieldPathExpressions`.
const FIELDS: [&str; 9] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];
/// Resources of a container that a variable may have.
const RESOURCES: [&str; 6] = [
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
];
const NAME: &str = "printable ASCII without =";

pub(super) fn rules(container: &TemplatePlace<'_>) {
    for variable in container.at("env").items() {
        let name = variable.at("name");
        name.require_text();
        name.form(is_variable, NAME);
        let from = variable.at("valueFrom");
        if !from.is_there() {
            continue;
        }
        if from.entries().len() != 1 {
            from.refuse("must have exactly one of fieldRef, resourceFieldRef, configMapKeyRef and secretKeyRef");
        } else if variable.at("value").text().is_some() {
            from.refuse("must not be there beside a value");
        }
        field(&from.at("fieldRef"));
        resource(&from.at("resourceFieldRef"));
        for kind in ["configMapKeyRef", "secretKeyRef"] {
            let reference = from.at(kind);
            if reference.is_there() {
                let name = reference.at("name");
                name.require_text();
                name.form(is_subdomain, "the name of an object");
                let key = reference.at("key");
                key.require_text();
                key.form(
                    is_data_key,
                    "a key: letters, digits, dashes, dots and underscores",
                );
            }
        }
    }
    for source in container.at("envFrom").items() {
        source.at("prefix").form(is_variable, NAME);
        let kinds = ["configMapRef", "secretRef"];
        let given = kinds.iter().filter(|kind| source.at(kind).is_there());
        if given.count() != 1 {
            source.refuse("must have exactly one of configMapRef and secretRef");
        }
        for kind in kinds {
            let reference = source.at(kind);
            if reference.is_there() {
                let name = reference.at("name");
                name.require_text();
                name.form(is_subdomain, "the name of an object");
            }
        }
    }
}

/// By the rule of newer servers; older ones take less.
fn is_variable(name: &str) -> bool {
    name.chars().all(|c| (' '..='~').contains(&c) && c != '=')
}

fn field(reference: &TemplatePlace<'_>) {
    if !reference.is_there() {
        return;
    }
    reference.at("apiVersion").one_of(&["v1"]);
    let path = reference.at("fieldPath");
    let Some(text) = path.require_text() else {
        return;
    };
    let subscript = |map: &str| text.strip_prefix(map)?.strip_suffix("']");
    let is_right = if let Some(key) = subscript("metadata.labels['") {
        is_qualified_name(key)
    } else if let Some(key) = subscript("metadata.annotations['") {
        is_qualified_name(&key.to_lowercase())
    } else {
        // `spec.host` is the older name of `spec.nodeName`.
        FIELDS.contains(&text) || text == "spec.host"
    };
    if !is_right {
        path.refuse(format!(
            "must be one of {}, metadata.labels['KEY'], metadata.annotations['KEY']",
            FIELDS.join(", ")
        ));
    }
}

fn resource(reference: &TemplatePlace<'_>) {
    if !reference.is_there() {
        return;
    }
    let name = reference.at("resource");
    name.require_text();
    let is_right = |text: &str| {
        RESOURCES.contains(&text)
            || text.starts_with("limits.hugepages-")
            || text.starts_with("requests.hugepages-")
    };
    name.form(is_right, &format!("one of {}", RESOURCES.join(", ")));
}
