//! Strings without regard to case, as the service folds them: each character of the *pattern* stands
//! for its lower and its upper case form, whatever their length, and nothing else.
//!
//! So `straße` in a pattern meets `STRASSE` and not `strasse`; the Kelvin sign in a pattern meets `k` and
//! not `K`. It is no equivalence, which is why a folded key ([`key`]) only preselects. Characters
//! beyond U+FFFF have no case here, because the service folds UTF-16 units.
//! Source: `EqualsIgnoreCaseParser`, event-ruler 2.0.1.

/// What follows `pattern` in `text`, if `text` starts with it.
pub(in crate::pattern) fn strip_prefix<'t>(pattern: &str, text: &'t str) -> Option<&'t str> {
    if pattern.is_ascii() {
        let (head, rest) = text.split_at_checked(pattern.len())?;
        return head.eq_ignore_ascii_case(pattern).then_some(rest);
    }
    pattern.chars().try_fold(text, |rest, character| {
        let strip = |form: &mut dyn Iterator<Item = char>| {
            let mut form = form;
            Iterator::try_fold(&mut form, rest, |rest, part| rest.strip_prefix(part))
        };
        if !folds(character) {
            return rest.strip_prefix(character);
        }
        strip(&mut character.to_lowercase()).or_else(|| strip(&mut character.to_uppercase()))
    })
}

/// What precedes `pattern` in `text`, if `text` ends with it.
pub(in crate::pattern) fn strip_suffix<'t>(pattern: &str, text: &'t str) -> Option<&'t str> {
    if pattern.is_ascii() {
        let (rest, tail) = text.split_at_checked(text.len().checked_sub(pattern.len())?)?;
        return tail.eq_ignore_ascii_case(pattern).then_some(rest);
    }
    pattern.chars().rev().try_fold(text, |rest, character| {
        let strip = |form: &mut dyn Iterator<Item = char>| {
            let mut form = form;
            Iterator::try_fold(&mut form, rest, |rest, part| rest.strip_suffix(part))
        };
        if !folds(character) {
            return rest.strip_suffix(character);
        }
        strip(&mut character.to_lowercase().rev())
            .or_else(|| strip(&mut character.to_uppercase().rev()))
    })
}

/// Whether `text` is `pattern`.
pub(in crate::pattern) fn equals(pattern: &str, text: &str) -> bool {
    strip_prefix(pattern, text) == Some("")
}

/// A form that a pattern and all it meets have in common, character by character.
pub(in crate::pattern) fn key(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let mut key = String::with_capacity(text.len());
    for character in text.chars() {
        if folds(character) {
            let upper = character.to_lowercase().flat_map(char::to_uppercase);
            key.extend(upper.flat_map(char::to_lowercase));
        } else {
            key.push(character);
        }
    }
    key
}

fn folds(character: char) -> bool {
    u32::from(character) <= 0xFFFF
}
