//! What counts of a secret text: one rule for keys, passwords and tokens of every kind.

use secrecy::{ExposeSecret as _, SecretString};

/// A text without the line breaks at its end, which editors and `kubectl create secret --from-file` leave there.
pub fn of(value: &SecretString) -> SecretString {
    SecretString::from(value.expose_secret().trim_end_matches(['\r', '\n']))
}

/// Whether there is nothing in it but blank space: such a text proves nothing, and nobody means it.
pub fn is_blank(value: &SecretString) -> bool {
    value.expose_secret().trim().is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_breaks_at_the_end_do_not_count_and_blank_space_is_nothing() {
        for (written, meant, blank) in [
            ("key", "key", false),
            ("key\n", "key", false),
            ("key\r\n\n", "key", false),
            (" key ", " key ", false),
            ("two\nlines\n", "two\nlines", false),
            ("\n", "", true),
            (" \t\n", " \t", true),
            ("", "", true),
        ] {
            let value = SecretString::from(written);
            assert_eq!(of(&value).expose_secret(), meant);
            assert_eq!(is_blank(&value), blank, "{written:?}");
        }
    }
}
