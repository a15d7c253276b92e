//! The forms of names that Kubernetes and HTTP prescribe.
//!
//! Source: Kubernetes, `apimachinery/pkg/util/validation`; RFC 9110, 5.6.2 for headers.

use crate::resource::{Fault, ObjectId};

/// Characters of a DNS label, of a label's value and of a label's name without its prefix.
const LABEL: usize = 63;
/// Characters of a DNS subdomain.
const SUBDOMAIN: usize = 253;

/// Whether the API server takes a text as a DNS label: the name of a container or a namespace.
pub fn is_label(text: &str) -> bool {
    let edge = |character: char| character.is_ascii_lowercase() || character.is_ascii_digit();
    (1..=LABEL).contains(&text.len())
        && text.starts_with(edge)
        && text.ends_with(edge)
        && text
            .chars()
            .all(|character| edge(character) || character == '-')
}

/// Whose name it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameRule {
    /// A Job's, which becomes the value of a label of its Pods.
    Job,
    /// Any other object's.
    Object,
    /// The beginning of a name, to which the API server adds letters and of which it leaves out what is too much.
    Prefix,
}

/// What is wrong with an object's namespace or name, by the rule for its kind.
pub fn misnamed(id: &ObjectId, what: NameRule) -> Option<Fault> {
    if !is_label(&id.namespace) {
        let message = "must be lower-case letters, digits and dashes, at most 63";
        return Some(Fault::at("metadata.namespace", message));
    }
    let (field, longest, is_right) = match what {
        NameRule::Job => ("name", LABEL, is_subdomain(&id.name)),
        NameRule::Object => ("name", SUBDOMAIN, is_subdomain(&id.name)),
        NameRule::Prefix => ("generateName", SUBDOMAIN, is_name_prefix(&id.name)),
    };
    (!is_right || id.name.len() > longest).then(|| {
        let message =
            format!("must be lower-case letters, digits, dashes and dots, at most {longest}");
        Fault::at(format!("metadata.{field}"), message)
    })
}

/// A DNS subdomain: the name of most objects. Its parts may be longer than a label's 63.
pub(super) fn is_subdomain(text: &str) -> bool {
    let edge = |character: char| character.is_ascii_lowercase() || character.is_ascii_digit();
    let is_part = |part: &str| {
        part.starts_with(edge)
            && part.ends_with(edge)
            && part
                .chars()
                .all(|character| edge(character) || character == '-')
    };
    text.len() <= SUBDOMAIN && text.split('.').all(is_part)
}

/// What a generated name may begin with: a DNS subdomain that may end with a dash.
pub(super) fn is_name_prefix(text: &str) -> bool {
    text.len() <= SUBDOMAIN
        && match text.strip_suffix('-') {
            Some(start) => is_subdomain(&format!("{start}-a")),
            None => is_subdomain(text),
        }
}

/// Letters, digits, `-`, `_` and `.`, the first and the last a letter or digit, at most 63.
fn is_name(text: &str) -> bool {
    (1..=LABEL).contains(&text.len())
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.ends_with(|last: char| last.is_ascii_alphanumeric())
        && text
            .chars()
            .all(|character| character.is_ascii_alphanumeric() || "-_.".contains(character))
}

/// The key of a label or an annotation, perhaps with a prefix and a slash.
pub(super) fn is_qualified_name(text: &str) -> bool {
    match text.split_once('/') {
        Some((prefix, name)) => is_subdomain(prefix) && is_name(name),
        None => is_name(text),
    }
}

/// Whether the API server takes a text as the value of a label; it may be empty.
pub fn is_label_value(text: &str) -> bool {
    text.is_empty() || is_name(text)
}

/// An environment variable by the rule of every version; newer ones take more.
pub(super) fn is_variable(text: &str) -> bool {
    let first = |character: char| character.is_ascii_alphabetic() || "-_.".contains(character);
    text.starts_with(first)
        && text
            .chars()
            .all(|character| first(character) || character.is_ascii_digit())
        && text != "."
        && !text.starts_with("..")
}

/// A key of a Secret or a ConfigMap, which is a file's name where it is mounted.
pub(super) fn is_data_key(text: &str) -> bool {
    (1..=SUBDOMAIN).contains(&text.len())
        && text != "."
        && !text.starts_with("..")
        && text
            .chars()
            .all(|character| character.is_ascii_alphanumeric() || "-_.".contains(character))
}

/// The name of an HTTP header.
pub(super) fn is_header(text: &str) -> bool {
    (1..=256).contains(&text.len())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_misnamed_by_the_rule_for_its_kind() {
        use NameRule::{Job, Object, Prefix};
        let [label, longer, longest, over] = [63, 64, 253, 254].map(|length| "a".repeat(length));
        for (what, name, fault) in [
            (Job, label.as_str(), None),
            (Job, "a.b", None),
            (
                Job,
                &longer,
                Some(
                    "metadata.name: must be lower-case letters, digits, dashes and dots, at most 63",
                ),
            ),
            (Object, &longer, None),
            (Object, &longest, None),
            (
                Object,
                &over,
                Some(
                    "metadata.name: must be lower-case letters, digits, dashes and dots, at most 253",
                ),
            ),
            (
                Object,
                "a-",
                Some(
                    "metadata.name: must be lower-case letters, digits, dashes and dots, at most 253",
                ),
            ),
            (Prefix, "a-", None),
            (Prefix, &longest, None),
            (
                Prefix,
                "a.",
                Some(
                    "metadata.generateName: must be lower-case letters, digits, dashes and dots, at most 253",
                ),
            ),
        ] {
            let found = misnamed(&ObjectId::new("default", name), what);
            assert_eq!(found.map(|fault| fault.to_string()).as_deref(), fault);
        }
        let found = misnamed(&ObjectId::new("a.b", "a"), Object).unwrap();
        assert_eq!(found.field, "metadata.namespace");
    }

    #[test]
    fn names_are_taken_by_their_rules() {
        type Rule = fn(&str) -> bool;
        let long = "a".repeat(64);
        let cases: [(Rule, &[&str], &[&str]); 8] = [
            (
                is_label,
                &["a", "a-b", "0"],
                &["", "-a", "a-", "A", "a.b", &long],
            ),
            (
                is_subdomain,
                &["a.b-c", &long],
                &["", ".", "a.", "a..b", "-a.b", "A"],
            ),
            (
                is_name_prefix,
                &["a-", "a", "a.b-", "a--"],
                &["", "a.", "a.-", "-", "A-"],
            ),
            (
                is_qualified_name,
                &["a", "A_b.c", "example.com/a"],
                &["", "/a", "a/", "a/b/c", "_a", "Example.com/a", &long],
            ),
            (
                is_label_value,
                &["", "a", "A_b.1"],
                &["-a", "a b", "é", &long],
            ),
            (
                is_variable,
                &["A", "_a.b-c", "-", ".a"],
                &["", "1A", "A B", "A=", ".", "..a"],
            ),
            (
                is_data_key,
                &["a.json", ".a", "A_1"],
                &["", ".", "..", "..a", "a/b", "a b"],
            ),
            (
                is_header,
                &["X-GitHub-Delivery", "a"],
                &["", "a b", "a:", "é"],
            ),
        ];
        for (index, (rule, right, wrong)) in cases.into_iter().enumerate() {
            for text in right {
                assert!(rule(text), "{index}: {text}");
            }
            for text in wrong {
                assert!(!rule(text), "{index}: {text}");
            }
        }
    }
}
