//! A path that an event has more than once, so that its readers may disagree what it says.

use std::collections::HashSet;

use super::document::EventNode;
use super::paths::{Paths, ROOT};
use super::scan::MemberKey;

/// The first of `paths`, or of their beginnings, that two members of an object lead to, or a name with dots and a nested one.
///
/// The text must have been parsed before, which bounds its depth.
pub(super) fn first(paths: &Paths, event: &str) -> Option<String> {
    let event = EventNode::read(event).ok()?;
    within(&event, ROOT, "", paths, &mut HashSet::new())
}

/// `reached`: nodes that a member led to since the last element of an array.
fn within(
    value: &EventNode,
    node: usize,
    path: &str,
    paths: &Paths,
    reached: &mut HashSet<usize>,
) -> Option<String> {
    match value {
        EventNode::Object(members) => members.iter().find_map(|(key, value)| {
            let next = paths.step(node, MemberKey::new(key.as_bytes()))?;
            let path = if path.is_empty() {
                key.clone()
            } else {
                format!("{path}.{key}")
            };
            if reached.insert(next) {
                within(value, next, &path, paths, reached)
            } else {
                Some(path)
            }
        }),
        EventNode::Array(elements) => elements
            .iter()
            .find_map(|element| within(element, node, path, paths, &mut HashSet::new())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Pattern;

    #[test]
    fn a_path_that_two_members_lead_to_is_repeated() {
        let pattern = r#"{"v": ["ok"], "detail": {"items": {"id": [1]}, "$or": [{"x.y": [1]}, {"z": [{"exists": false}]}]}}"#;
        let pattern = Pattern::parse(pattern).unwrap();
        for (event, path) in [
            (r#"{"v": "ok", "w": 1, "w": 2}"#, None),
            (r#"{"v": "ok", "v": "evil"}"#, Some("v")),
            (r#"{"\u0076": "ok", "v": "evil"}"#, Some("v")),
            (r#"{"detail": {"z": 1}, "detail": {}}"#, Some("detail")),
            (
                r#"{"detail": {"items": [{"id": 1}, {"id": 1}, [{"id": 2}]]}}"#,
                None,
            ),
            (
                r#"{"detail": {"items": [{"id": 1, "id": 2}]}}"#,
                Some("detail.items.id"),
            ),
            (
                r#"{"detail": {"x.y": 1, "x": {"y": 2}}}"#,
                Some("detail.x.y"),
            ),
            (r#"{"detail.z": 1, "detail": {"z": 2}}"#, Some("detail.z")),
            (r#"{"detail": {"x": {"y": 1}, "z": 1}}"#, None),
            ("[]", None),
        ] {
            assert_eq!(pattern.repeated(event).as_deref(), path, "{event}");
        }
    }
}
