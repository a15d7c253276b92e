//! Rules of a Pod's own fields, and of what its containers share.

use std::collections::BTreeSet;

use super::place::TemplatePlace;
use super::{Of, container, metadata, scheduling, volume};
use crate::resource::names::{is_label, is_subdomain};

const LABEL: &str = "lower-case letters, digits and dashes, at most 63";
const SUBDOMAIN: &str = "lower-case letters, digits, dashes and dots";

pub(super) fn rules(pod: &TemplatePlace<'_>, of: Of) {
    let restart = pod.at("restartPolicy");
    let is_right = matches!(restart.text(), Some("Never" | "OnFailure"));
    if !is_right && (of == Of::Job || restart.text().is_some()) {
        restart.refuse("must be Never or OnFailure: a Job has no default for it");
    }
    if pod.at("containers").items().is_empty() && of == Of::Job {
        pod.at("containers")
            .refuse("must hold at least one container");
    }
    let volumes = volume::rules(&pod.at("volumes"));
    containers(pod, of, &volumes);
    pod.at("activeDeadlineSeconds").range(1, i32::MAX.into());
    for field in ["hostname", "subdomain"] {
        pod.at(field).form(is_label, LABEL);
    }
    for field in [
        "serviceAccountName",
        "nodeName",
        "priorityClassName",
        "runtimeClassName",
    ] {
        pod.at(field).form(is_subdomain, SUBDOMAIN);
    }
    if !pod.at("ephemeralContainers").items().is_empty() {
        pod.at("ephemeralContainers")
            .refuse("must be left out: a template has none");
    }
    dns(pod);
    security(&pod.at("securityContext"));
    if pod.at("hostPID").is_true() && pod.at("shareProcessNamespace").is_true() {
        pod.at("shareProcessNamespace")
            .refuse("must not be on together with hostPID");
    }
    metadata::labels(&pod.at("nodeSelector"));
    scheduling::rules(pod);
}

fn containers(pod: &TemplatePlace<'_>, of: Of, volumes: &BTreeSet<&str>) {
    let mut names = BTreeSet::new();
    let mut ports = BTreeSet::new();
    let uses_host = pod.at("hostNetwork").is_true();
    for list in ["initContainers", "containers"] {
        for each in pod.at(list).items() {
            let name = each.at("name");
            match name.text() {
                Some(text) if !is_label(text) => name.refuse(format!("must be {LABEL}")),
                Some(text) if !names.insert(text) => {
                    name.refuse("is the name of another container of this Pod");
                }
                None if of == Of::Job => name.refuse("is required"),
                Some(_) | None => {}
            }
            container::rules(&each, list == "initContainers", volumes);
            for port in each.at("ports").items() {
                let number = port.at("containerPort").number();
                let on_host = port.at("hostPort").number().filter(|port| *port != 0);
                if uses_host && on_host.is_some() && on_host != number {
                    port.at("containerPort")
                        .refuse("must be the hostPort, with hostNetwork");
                }
                let protocol = port.at("protocol").text().unwrap_or("TCP");
                let address = port.at("hostIP").text().unwrap_or_default();
                // Init containers run one after the other.
                if let Some(on_host) = on_host
                    && list == "containers"
                    && !ports.insert((on_host, protocol, address))
                {
                    port.at("hostPort")
                        .refuse("is taken by another port of this Pod");
                }
            }
        }
    }
}

fn dns(pod: &TemplatePlace<'_>) {
    let policy = pod.at("dnsPolicy");
    policy.one_of(&["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"]);
    let servers = pod.at("dnsConfig").at("nameservers");
    if policy.text() == Some("None") && servers.items().is_empty() {
        servers.refuse("must have at least one, with dnsPolicy: None");
    }
    // Source: Kubernetes, `MaxDNSNameservers`.
    servers.at_most(3);
}

/// What containers and Pods have in common.
pub(super) fn security(context: &TemplatePlace<'_>) {
    for field in ["runAsUser", "runAsGroup", "fsGroup"] {
        context.at(field).range(0, i32::MAX.into());
    }
    for group in context.at("supplementalGroups").items() {
        group.range(0, i32::MAX.into());
    }
}
