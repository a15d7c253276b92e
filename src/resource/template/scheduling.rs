//! Where a Pod may run: tolerations and spreading. Affinity is left to the API server.

use std::collections::BTreeSet;

use super::place::TemplatePlace;
use crate::resource::names::{is_label_value, is_qualified_name};

const KEY: &str = "a key such as app or example.com/app";

pub(super) fn rules(pod: &TemplatePlace<'_>) {
    for toleration in pod.at("tolerations").items() {
        tolerate(&toleration);
    }
    let mut spread = BTreeSet::new();
    for constraint in pod.at("topologySpreadConstraints").items() {
        let skew = constraint.at("maxSkew");
        if skew.number().unwrap_or(0) < 1 {
            skew.refuse("must be 1 or more");
        }
        let key = constraint.at("topologyKey");
        key.require_text();
        key.form(is_qualified_name, KEY);
        let otherwise = constraint.at("whenUnsatisfiable");
        otherwise.require_text();
        otherwise.one_of(&["DoNotSchedule", "ScheduleAnyway"]);
        if let (Some(key), Some(otherwise)) = (key.text(), otherwise.text())
            && !spread.insert((key, otherwise))
        {
            constraint.refuse("is there twice");
        }
    }
}

fn tolerate(toleration: &TemplatePlace<'_>) {
    let [key, operator, value, effect] =
        ["key", "operator", "value", "effect"].map(|field| toleration.at(field));
    key.form(is_qualified_name, KEY);
    if key.text().is_none() && operator.text() != Some("Exists") {
        operator.refuse("must be Exists without a key");
    }
    match operator.text() {
        None | Some("Equal") => value.form(is_label_value, "a label's value"),
        Some("Exists") if value.text().is_some() => {
            value.refuse("must be left out with operator: Exists");
        }
        // The last two are there in newer servers only.
        Some("Exists" | "Lt" | "Gt") => {}
        Some(_) => operator.refuse("must be Equal or Exists"),
    }
    effect.one_of(&["NoSchedule", "PreferNoSchedule", "NoExecute"]);
    let seconds = toleration.at("tolerationSeconds");
    if seconds.is_there() && effect.text() != Some("NoExecute") {
        seconds.refuse("needs effect: NoExecute");
    }
}
