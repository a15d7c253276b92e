//! Text that others wrote, as it may stand on a terminal or a page: no letter of it moves a cursor, colours what
//! follows, or turns it around; and errors with their causes.

use std::error::Error;

/// Whether a letter is one that is not seen itself and changes how others are.
pub fn is_misleading(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The text on one line, each such letter as a space.
pub fn on_one_line(text: &str) -> String {
    text.chars()
        .map(|letter| if is_misleading(letter) { ' ' } else { letter })
        .collect()
}

/// An error with its causes, each said once: many libraries say their cause themselves, and give it as such too.
pub fn with_causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_error_has_said_of_its_cause_is_not_said_again() {
        #[derive(Debug, thiserror::Error)]
        #[error("{0}")]
        struct Said(&'static str, #[source] Option<Box<Said>>);

        let mut error = Said("no such file", None);
        for words in ["cannot read x: no such file", "no cluster"] {
            error = Said(words, Some(Box::new(error)));
        }
        let said = with_causes(&error);
        assert_eq!(said, "no cluster: cannot read x: no such file");
    }

    #[test]
    fn what_would_colour_forge_or_turn_a_line_is_a_space() {
        let hostile = "a\u{1b}[31mb\u{7}\nreal: line\u{202e}c\u{2066}d\r\t\u{85}e";
        assert_eq!(on_one_line(hostile), "a [31mb  real: line c d   e");
        assert_eq!(on_one_line("naïve – ✓ 日本"), "naïve – ✓ 日本");
    }
}
