//! `$(NAME)` in a container's words and values, as Kubernetes expands it.

/// Kubernetes' expansion: `$(NAME)` becomes its value, or stays when it has none; `$$` becomes `$`.
///
/// Source: `third_party/forked/golang/expansion` in Kubernetes.
pub fn expand(text: &str, mut value_of: impl FnMut(&str) -> Option<String>) -> String {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        expanded.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            expanded.push('$');
            rest = after;
            continue;
        }
        match rest
            .strip_prefix('(')
            .and_then(|inner| inner.split_once(')'))
        {
            Some((name, after)) => {
                let value = value_of(name).unwrap_or_else(|| format!("$({name})"));
                expanded.push_str(&value);
                rest = after;
            }
            None => expanded.push('$'),
        }
    }
    expanded.push_str(rest);
    expanded
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn references_expand_as_in_kubernetes() {
        let values = BTreeMap::from([("A", "one"), ("B", "$(A)")]);
        for (text, wanted) in [
            ("$(A)", "one"),
            ("$(A)-$(A)", "one-one"),
            ("$(B)", "$(A)"),
            ("x$(A)y$(B)z", "xoney$(A)z"),
            ("$$(A)", "$(A)"),
            ("$$$(A)", "$one"),
            ("$(MISSING)", "$(MISSING)"),
            ("$(A", "$(A"),
            ("$(A$(A)", "$(A$(A)"),
            ("$A $", "$A $"),
            ("$A ${A} 5$", "$A ${A} 5$"),
            ("$", "$"),
            ("$$", "$"),
            ("$()", "$()"),
            ("no", "no"),
            ("é$(A)é", "éoneé"),
        ] {
            let expanded = expand(text, |name| values.get(name).map(|&value| value.to_owned()));
            assert_eq!(expanded, wanted, "{text}");
        }
    }
}
