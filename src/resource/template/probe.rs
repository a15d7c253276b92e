//! Probes and what runs at a container's start and end.

use serde_json::Value;

use super::place::TemplatePlace;
use crate::resource::names::is_header;

pub(super) const PORT_NAME: &str = "a port's name: lower-case letters, digits and single dashes within it, one letter at least, at most 15";
const HANDLERS: [&str; 4] = ["exec", "grpc", "httpGet", "tcpSocket"];

/// The name of a port. Source: Kubernetes, `IsValidPortName`.
pub(super) fn is_port_name(name: &str) -> bool {
    (1..=15).contains(&name.len())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        && name.contains(|c: char| c.is_ascii_lowercase())
        && !name.contains("--")
        && !name.starts_with('-')
        && !name.ends_with('-')
}

/// Looks at them; an init container that does not run on beside the others may have none.
pub(super) fn rules(container: &TemplatePlace<'_>, may_probe: bool) {
    for kind in [
        "livenessProbe",
        "readinessProbe",
        "startupProbe",
        "lifecycle",
    ] {
        let place = container.at(kind);
        if !place.is_there() {
        } else if !may_probe {
            place.refuse("goes with restartPolicy: Always in an init container");
        } else if kind == "lifecycle" {
            for moment in ["postStart", "preStop"] {
                if place.at(moment).is_there() {
                    handler(&place.at(moment), true);
                }
            }
        } else {
            probe(&place, kind);
        }
    }
}

fn probe(probe: &TemplatePlace<'_>, kind: &str) {
    handler(probe, false);
    for field in [
        "initialDelaySeconds",
        "timeoutSeconds",
        "periodSeconds",
        "successThreshold",
        "failureThreshold",
    ] {
        probe.at(field).not_negative();
    }
    let grace = probe.at("terminationGracePeriodSeconds");
    if kind == "readinessProbe" {
        if grace.is_there() {
            grace.refuse("must be left out: this probe ends nothing");
        }
        return;
    }
    grace.range(1, i64::MAX);
    let threshold = probe.at("successThreshold");
    // 0 is defaulted.
    if threshold.number().is_some_and(|number| number > 1) {
        threshold.refuse("must be 1");
    }
}

fn handler(place: &TemplatePlace<'_>, may_sleep: bool) {
    let given = HANDLERS
        .iter()
        .chain(may_sleep.then_some(&"sleep"))
        .filter(|kind| place.at(kind).is_there());
    if given.count() != 1 {
        place.refuse(format!("must have exactly one of {}", HANDLERS.join(", ")));
    }
    let exec = place.at("exec");
    if exec.is_there() && exec.at("command").items().is_empty() {
        exec.at("command").refuse("must have at least one word");
    }
    let get = place.at("httpGet");
    if get.is_there() {
        port(&get.at("port"));
        get.at("scheme").one_of(&["HTTP", "HTTPS"]);
        for header in get.at("httpHeaders").items() {
            header.at("name").form(is_header, "the name of a header");
        }
    }
    if place.at("tcpSocket").is_there() {
        port(&place.at("tcpSocket").at("port"));
    }
    let grpc = place.at("grpc");
    if grpc.is_there() {
        port(&grpc.at("port"));
    }
}

/// A port's number, or its name.
fn port(port: &TemplatePlace<'_>) {
    let is_right = match port.value() {
        Value::String(name) => is_port_name(name),
        Value::Number(_) => port
            .number()
            .is_some_and(|number| (1..=65535).contains(&number)),
        _ => false,
    };
    if !is_right {
        port.refuse(format!("must be 1 to 65535, or {PORT_NAME}"));
    }
}
