//! Which field of a pattern refused an event, in words that quote the pattern only.

use super::arrays::ROOT_SCOPE;
use super::operator::FieldCondition;
use super::{Collected, Compiled, Mismatch};

/// Longest list that is quoted whole, in characters.
const LONGEST_QUOTE: usize = 200;

/// Why the event does not match; `None` if it does.
pub(super) fn refusal(pattern: &Compiled, event: &str) -> Option<Mismatch> {
    let Ok(collected) = pattern.collect(event) else {
        return Some(Mismatch {
            field: "$".to_owned(),
            reason: "the event is no JSON object".to_owned(),
        });
    };
    let branches = &pattern.parsed.branches;
    let mut refusals = Vec::new();
    for (written, in_path_order) in branches.iter().zip(&pattern.in_path_order) {
        if collected.meets(in_path_order) {
            return None;
        }
        refusals.push(branch_refusal(pattern, &collected, written));
    }
    let first = refusals.first()?.clone();
    match &pattern.parsed.first_or {
        // A field that stands beside `$or`, or that every branch asks the same of, is the clearer answer.
        Some(or) if refusals.iter().any(|refusal| *refusal != first) => Some(Mismatch {
            field: or.to_string(),
            reason: format!(
                "none of the {} combinations of $or matches; the first one fails at {}: {}",
                refusals.len(),
                first.field,
                first.reason
            ),
        }),
        _ => Some(first),
    }
}

/// Why one branch, its conditions in the order of the pattern, is not met.
fn branch_refusal(pattern: &Compiled, collected: &Collected, branch: &[usize]) -> Mismatch {
    for &index in branch {
        let evidence = &collected.evidence[index];
        if !evidence.is_possible(&collected.scopes) {
            let condition = &pattern.parsed.conditions[index];
            return Mismatch {
                field: condition.path.to_string(),
                reason: reason(condition, evidence.is_present),
            };
        }
    }
    // Each is met, but not by the same elements.
    let is_below = |index: &&usize| {
        let evidence = &collected.evidence[**index];
        !evidence.met.contains(&ROOT_SCOPE)
    };
    let path = |index: &usize| &*pattern.parsed.conditions[*index].path;
    let paths: Vec<&str> = branch.iter().filter(is_below).map(path).collect();
    Mismatch {
        field: common_parent(&paths),
        reason: format!(
            "no element of an array meets {} together",
            quoted(&paths.join(", "))
        ),
    }
}

fn reason(condition: &FieldCondition, is_present: bool) -> String {
    let wanted = quoted(&condition.written);
    if condition.or_absent && condition.any.is_empty() {
        "the event has the field, the pattern wants it absent".to_owned()
    } else if is_present {
        format!("no value of the field meets {wanted}")
    } else {
        format!("the event has no such field, the pattern wants {wanted}")
    }
}

/// The longest path that all paths begin with.
fn common_parent(paths: &[&str]) -> String {
    let mut segments: Vec<&str> = paths
        .first()
        .map_or(Vec::new(), |path| path.split('.').collect());
    for path in paths {
        let same = segments.iter().zip(path.split('.'));
        let same = same.take_while(|(left, right)| **left == *right).count();
        segments.truncate(same);
    }
    if segments.is_empty() {
        paths
            .first()
            .map_or_else(|| "$".to_owned(), |path| (*path).to_owned())
    } else {
        segments.join(".")
    }
}

fn quoted(text: &str) -> String {
    match text.char_indices().nth(LONGEST_QUOTE) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
