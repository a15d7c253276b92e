//! Specs of Jobs, by chance, such as the API server takes.

use serde_json::{Value, json};

use crate::support::chance::Chance;

/// Exit codes that rules name.
const VALUES: [&[i32]; 5] = [&[1], &[2, 9], &[42], &[1, 42, 137], &[143]];

pub(super) fn any(chance: &mut Chance) -> Value {
    let mut one_in = |number: u64| chance.below(number) == 0;
    let is_indexed = !one_in(3);
    let in_place = one_in(4);
    let is_per_index = is_indexed && one_in(2);
    let has_failure_policy = !in_place && !one_in(3);
    let has_success_policy = is_indexed && one_in(3);
    let is_on_a_node = one_in(3);
    let is_suspended = one_in(12);
    let completions = 1 + chance.below(4);
    let mut spec = json!({
        "parallelism": 1 + chance.below(3),
        "template": {"spec": pod(chance, in_place, is_on_a_node)},
    });
    if is_indexed {
        spec["completionMode"] = json!("Indexed");
    }
    if is_indexed || chance.below(3) > 0 {
        spec["completions"] = json!(completions);
    }
    if is_suspended {
        spec["suspend"] = json!(true);
    }
    if chance.below(4) > 0 && (!is_per_index || chance.below(3) == 0) {
        spec["backoffLimit"] = json!(chance.below(4));
    }
    if is_per_index {
        spec["backoffLimitPerIndex"] = json!(chance.below(3));
        if chance.below(2) == 0 {
            spec["maxFailedIndexes"] = json!(chance.below(completions + 1).min(2));
        }
    }
    if chance.below(5) == 0 {
        spec["activeDeadlineSeconds"] = json!(600);
    }
    if has_failure_policy {
        let rules = 1 + chance.below(3);
        let two = spec["template"]["spec"]["containers"]
            .as_array()
            .map_or(0, Vec::len)
            > 1;
        let rules: Vec<_> = (0..rules)
            .map(|_| failure_rule(chance, is_per_index, two))
            .collect();
        spec["podFailurePolicy"] = json!({"rules": rules});
    } else if chance.below(3) == 0 {
        let policies = ["Failed", "TerminatingOrFailed"];
        spec["podReplacementPolicy"] = json!(policies[usize::from(chance.below(2) == 0)]);
    }
    if has_success_policy {
        let rules: Vec<_> = (0..=chance.below(2))
            .map(|_| success_rule(chance, completions))
            .collect();
        spec["successPolicy"] = json!({"rules": rules});
    }
    spec
}

fn pod(chance: &mut Chance, in_place: bool, is_on_a_node: bool) -> Value {
    let container = |name: &str| json!({"name": name, "image": "none"});
    let mut pod = json!({
        "restartPolicy": if in_place { "OnFailure" } else { "Never" },
        "containers": [container("c")],
    });
    if chance.below(3) == 0 {
        pod["containers"] = json!([container("c"), container("side")]);
    }
    match chance.below(4) {
        0 => pod["initContainers"] = json!([container("first")]),
        1 => {
            let mut proxy = container("proxy");
            proxy["restartPolicy"] = json!("Always");
            pod["initContainers"] = json!([container("first"), proxy]);
        }
        _ => {}
    }
    if is_on_a_node {
        pod["nodeName"] = json!("nowhere");
    }
    pod
}

fn failure_rule(chance: &mut Chance, is_per_index: bool, has_two: bool) -> Value {
    let actions = ["FailJob", "Ignore", "Count", "FailIndex"];
    let kinds = if is_per_index { 4 } else { 3 };
    let action = actions[usize::try_from(chance.below(kinds)).unwrap()];
    if chance.below(4) == 0 {
        let status = ["True", "True", "False"][usize::try_from(chance.below(3)).unwrap()];
        return json!({"action": action, "onPodConditions": [{"type": "DisruptionTarget", "status": status}]});
    }
    let values = VALUES[usize::try_from(chance.below(5)).unwrap()];
    let operator = if chance.below(3) == 0 { "NotIn" } else { "In" };
    let mut codes = json!({"operator": operator, "values": values});
    if has_two && chance.below(2) == 0 {
        codes["containerName"] = json!("side");
    }
    json!({"action": action, "onExitCodes": codes})
}

fn success_rule(chance: &mut Chance, completions: u64) -> Value {
    let last = completions - 1;
    let first = chance.below(completions);
    let (indexes, total) = if first < last {
        (format!("{first}-{last}"), last - first + 1)
    } else {
        (format!("{first}"), 1)
    };
    match chance.below(3) {
        0 => json!({"succeededIndexes": indexes}),
        1 => json!({"succeededCount": 1 + chance.below(completions)}),
        _ => {
            json!({"succeededIndexes": indexes, "succeededCount": 1 + chance.below(total)})
        }
    }
}
