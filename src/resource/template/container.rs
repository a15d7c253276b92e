//! Rules of one container.

use std::collections::BTreeSet;

use super::place::TemplatePlace;
use super::{environment, pod, probe, quantity};
use crate::resource::names::is_qualified_name;

pub(super) fn rules(container: &TemplatePlace<'_>, is_init: bool, volumes: &BTreeSet<&str>) {
    container.at("image").require_text();
    container
        .at("imagePullPolicy")
        .one_of(&["Always", "IfNotPresent", "Never"]);
    container
        .at("terminationMessagePolicy")
        .one_of(&["File", "FallbackToLogsOnError"]);
    // Newer servers take all three, for other containers too.
    container
        .at("restartPolicy")
        .one_of(&["Always", "Never", "OnFailure"]);
    ports(container);
    environment::rules(container);
    mounts(container, volumes);
    resources(&container.at("resources"));
    security(&container.at("securityContext"));
    let may_probe = !is_init || container.at("restartPolicy").text() == Some("Always");
    probe::rules(container, may_probe);
}

fn ports(container: &TemplatePlace<'_>) {
    let mut names = BTreeSet::new();
    for port in container.at("ports").items() {
        let number = port.at("containerPort");
        number.range(1, 65535);
        if !number.is_there() {
            number.refuse("is required");
        }
        port.at("hostPort").range(0, 65535);
        port.at("protocol").one_of(&["TCP", "UDP", "SCTP"]);
        let name = port.at("name");
        name.form(probe::is_port_name, probe::PORT_NAME);
        if name.text().is_some_and(|name| !names.insert(name)) {
            name.refuse("is the name of another port of this container");
        }
    }
}

fn mounts(container: &TemplatePlace<'_>, volumes: &BTreeSet<&str>) {
    let mut paths = BTreeSet::new();
    for mount in container.at("volumeMounts").items() {
        let name = mount.at("name");
        if let Some(text) = name.require_text()
            && !volumes.contains(text)
        {
            name.refuse("must be the name of one of the Pod's volumes");
        }
        let path = mount.at("mountPath");
        if let Some(text) = path.require_text()
            && !paths.insert(text)
        {
            path.refuse("is the path of another mount of this container");
        }
        for field in ["subPath", "subPathExpr"] {
            mount
                .at(field)
                .form(is_descending, "a relative path without ..");
        }
        if mount.at("subPath").text().is_some() && mount.at("subPathExpr").text().is_some() {
            mount
                .at("subPathExpr")
                .refuse("must not be there beside subPath");
        }
        let propagation = mount.at("mountPropagation");
        propagation.one_of(&["None", "HostToContainer", "Bidirectional"]);
        if propagation.text() == Some("Bidirectional")
            && !container.at("securityContext").at("privileged").is_true()
        {
            propagation.refuse("is Bidirectional, which needs a privileged container");
        }
    }
}

/// A path that stays below where it starts.
pub(super) fn is_descending(path: &str) -> bool {
    !path.starts_with('/') && has_no_way_up(path)
}

/// A path without `..`.
pub(super) fn has_no_way_up(path: &str) -> bool {
    path.split('/').all(|part| part != "..")
}

/// Quantities, and requests within limits.
fn resources(resources: &TemplatePlace<'_>) {
    let limits = resources.at("limits");
    for list in ["limits", "requests"] {
        for (name, amount) in resources.at(list).entries() {
            if !is_resource(name) {
                amount.refuse(
                    "is no resource of a container: cpu, memory, ephemeral-storage, hugepages-SIZE, or one with a domain",
                );
                continue;
            }
            let Some(quantity) = quantity::of(&amount) else {
                continue;
            };
            if quantity.is_negative() {
                amount.refuse("must not be negative");
            }
            if list == "requests" {
                let limit = limits.at(name);
                let most = quantity::of(&limit);
                if most.is_some_and(|most| quantity.is_above(most)) {
                    amount.refuse("must be at most its limit");
                }
                if name.contains('/') && !limit.is_there() && !is_native(name) {
                    amount.refuse("must have a limit, the same: it is not shared");
                }
            }
        }
    }
}

fn is_native(name: &str) -> bool {
    name.split_once('/')
        .is_none_or(|(domain, _)| domain.contains("kubernetes.io"))
}

fn is_resource(name: &str) -> bool {
    let is_plain =
        matches!(name, "cpu" | "memory" | "ephemeral-storage") || name.starts_with("hugepages-");
    if name.contains('/') {
        is_qualified_name(name)
    } else {
        is_plain
    }
}

fn security(context: &TemplatePlace<'_>) {
    pod::security(context);
    if !context.at("allowPrivilegeEscalation").is_false() {
        return;
    }
    if context.at("privileged").is_true() {
        context.refuse("must not have both privileged: true and allowPrivilegeEscalation: false");
    }
    let added = context.at("capabilities").at("add").items();
    if added
        .iter()
        .any(|name| name.text() == Some("CAP_SYS_ADMIN"))
    {
        context.refuse("must not add CAP_SYS_ADMIN with allowPrivilegeEscalation: false");
    }
}
