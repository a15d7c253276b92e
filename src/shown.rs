//! Text that others wrote, as it may stand on a terminal or a page: no letter of it moves a cursor, colours what
//! follows, or turns it around.

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

#[cfg(test)]
mod tests {
    #[test]
    fn what_would_colour_forge_or_turn_a_line_is_a_space() {
        let hostile = "a\u{1b}[31mb\u{7}\nreal: line\u{202e}c\u{2066}d\r\t\u{85}e";
        assert_eq!(super::on_one_line(hostile), "a [31mb  real: line c d   e");
        assert_eq!(super::on_one_line("naïve – ✓ 日本"), "naïve – ✓ 日本");
    }
}
