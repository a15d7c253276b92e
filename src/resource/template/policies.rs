//! `podFailurePolicy` and `successPolicy`.
//!
//! Source of the limits: Kubernetes, `pkg/apis/batch/validation`.

use std::collections::BTreeSet;

use super::place::TemplatePlace;
use crate::resource::names::is_qualified_name;

const MOST_RULES: usize = 20;
const MOST_CODES: usize = 255;
const MOST_CONDITIONS: usize = 20;
/// Unit: bytes.
const LONGEST_INDEXES: usize = 64 * 1024;

pub(super) fn failure(spec: &TemplatePlace<'_>) {
    let policy = spec.at("podFailurePolicy");
    if !policy.is_there() {
        return;
    }
    let pod = spec.at("template").at("spec");
    // What is neither is refused where it stands.
    if pod.at("restartPolicy").text() == Some("OnFailure") {
        policy.refuse("needs restartPolicy: Never");
    }
    let containers: Vec<_> = ["containers", "initContainers"]
        .iter()
        .flat_map(|list| pod.at(list).items())
        .map(|container| container.at("name").value().as_str().unwrap_or_default())
        .collect();
    policy.at("rules").at_most(MOST_RULES);
    for rule in policy.at("rules").items() {
        let action = rule.at("action");
        action.require_text();
        action.one_of(&["Count", "FailIndex", "FailJob", "Ignore"]);
        if action.text() == Some("FailIndex") && !spec.at("backoffLimitPerIndex").is_there() {
            action.refuse("is FailIndex, which needs backoffLimitPerIndex");
        }
        let codes = rule.at("onExitCodes");
        let conditions = rule.at("onPodConditions");
        match (codes.is_there(), conditions.items().is_empty()) {
            (true, false) | (false, true) => {
                rule.refuse("must have exactly one of onExitCodes and onPodConditions");
            }
            _ => {}
        }
        if codes.is_there() {
            exit_codes(&codes, &containers);
        }
        conditions.at_most(MOST_CONDITIONS);
        for condition in conditions.items() {
            let kind = condition.at("type");
            kind.require_text();
            kind.form(is_qualified_name, "the type of a condition");
            // Absent is True; the empty text is not.
            let status = condition.at("status");
            status.one_of(&["False", "True", "Unknown"]);
        }
    }
}

fn exit_codes(codes: &TemplatePlace<'_>, containers: &[&str]) {
    let name = codes.at("containerName");
    if name
        .value()
        .as_str()
        .is_some_and(|name| !containers.contains(&name))
    {
        name.refuse("must be the name of a container of this Pod");
    }
    let operator = codes.at("operator");
    operator.require_text();
    operator.one_of(&["In", "NotIn"]);
    let values = codes.at("values");
    let numbers: Vec<_> = values.items();
    if !(1..=MOST_CODES).contains(&numbers.len()) {
        values.refuse(format!("must have 1 to {MOST_CODES} exit codes"));
    }
    for value in &numbers {
        if operator.text() == Some("In") && value.number() == Some(0) {
            value.refuse("must not be 0 with operator: In, for 0 is no failure");
        }
    }
    let numbers: Vec<_> = numbers.iter().filter_map(TemplatePlace::number).collect();
    let unique: BTreeSet<_> = numbers.iter().collect();
    if unique.len() < numbers.len() || !numbers.is_sorted() {
        values.refuse("must be in rising order, each once");
    }
}

/// Needs completions; without them the API server has said enough.
pub(super) fn success(policy: &TemplatePlace<'_>, completions: Option<i64>) {
    if !policy.is_there() {
        return;
    }
    let rules = policy.at("rules");
    if rules.items().is_empty() {
        rules.refuse("must have at least one rule");
    }
    rules.at_most(MOST_RULES);
    let Some(completions) = completions else {
        return;
    };
    for rule in rules.items() {
        let indexes = rule.at("succeededIndexes");
        let count = rule.at("succeededCount");
        if !indexes.is_there() && !count.is_there() {
            rule.refuse("must have succeededCount, succeededIndexes or both");
        }
        let listed = indexes.value().as_str().map(|text| {
            let listed = count_indexes(text, completions);
            if text.len() > LONGEST_INDEXES {
                indexes.refuse("must have at most 64 KiB");
            } else if listed.is_none() {
                indexes.refuse(format!(
                    "must be indexes below {completions} in rising order, such as 0,2-4"
                ));
            }
            listed.unwrap_or(i64::MAX)
        });
        count.range(0, completions.min(listed.unwrap_or(i64::MAX)));
    }
}

/// How many indexes a text such as `0,2-4` lists.
fn count_indexes(text: &str, completions: i64) -> Option<i64> {
    if text.is_empty() {
        return Some(0);
    }
    let mut total = 0;
    let mut last = None;
    for interval in text.split(',') {
        let (first, end) = match interval.split_once('-') {
            Some((first, end)) => (first.parse().ok()?, Some(end.parse::<i64>().ok()?)),
            None => (interval.parse::<i64>().ok()?, None),
        };
        if end.is_some_and(|end| end <= first) || last.is_some_and(|last| first <= last) {
            return None;
        }
        let end = end.unwrap_or(first);
        if first < 0 || end >= completions {
            return None;
        }
        total += end - first + 1;
        last = Some(end);
    }
    Some(total)
}
