//! The forms of names that Kubernetes and HTTP prescribe.
//!
//! Source: Kubernetes, `apimachinery/pkg/util/validation`; RFC 9110, 5.6.2 for headers.

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

/// The value of a label; it may be empty.
pub(super) fn is_label_value(text: &str) -> bool {
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
