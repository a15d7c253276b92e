//! HTML that cannot be broken by what stands in it.
//!
//! Markup is text of this program, known when it is compiled. Everything else is text, and is escaped.

use jiff::Timestamp;

use crate::shown;

/// A piece of HTML.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Html(String);

impl Html {
    /// An empty piece.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds markup. Nothing that was not in the source of this program can be markup.
    pub fn markup(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Adds text: in an element, or within the quotes of an attribute.
    pub fn text(&mut self, text: &str) -> &mut Self {
        for letter in text.chars() {
            match letter {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                '\n' | '\t' => self.0.push(letter),
                // What is not seen, or turns around what is.
                _ if shown::is_misleading(letter) => self.0.push('\u{fffd}'),
                _ => self.0.push(letter),
            }
        }
        self
    }

    /// Adds the first letters of a text, and an ellipsis where it was longer.
    pub fn shortened(&mut self, text: &str, letters: usize) -> &mut Self {
        match text.char_indices().nth(letters) {
            None => self.text(text),
            Some((end, _)) => self.text(text[..end].trim_end()).text("…"),
        }
    }

    /// Adds a whole number.
    pub fn number(&mut self, number: u64) -> &mut Self {
        self.text(&number.to_string())
    }

    /// Adds a coordinate of a picture, to a tenth.
    pub(super) fn coordinate(&mut self, number: f64) -> &mut Self {
        self.text(&format!("{number:.1}"))
    }

    /// Adds a part of an address: whatever it is, it stays one part.
    pub fn part(&mut self, part: &str) -> &mut Self {
        let encoded = encoded(part);
        self.text(&encoded)
    }

    /// Adds a moment, which the script shows as an age too.
    pub fn moment(&mut self, moment: Timestamp) -> &mut Self {
        self.markup("<time data-age datetime=\"");
        self.text(&format!("{moment:.0}")).markup("\">");
        let shown = moment.strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
        self.text(&shown).markup("</time>")
    }

    /// Adds another piece.
    pub fn html(&mut self, other: &Self) -> &mut Self {
        self.0.push_str(&other.0);
        self
    }

    /// The whole.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The whole.
    pub fn into_string(self) -> String {
        self.0
    }
}

/// A text as a part of an address (RFC 3986 §2.3: all but the unreserved is encoded).
pub fn encoded(part: &str) -> String {
    let mut encoded = String::new();
    for byte in part.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            _ => {
                encoded.push('%');
                for half in [byte >> 4, byte & 15] {
                    let digit = char::from_digit(u32::from(half), 16);
                    encoded.extend(digit.map(|digit| digit.to_ascii_uppercase()));
                }
            }
        }
    }
    encoded
}

/// A part of an address as text; `None` for what is no UTF-8, or no percent-encoding. `is_query`: + means a space.
pub fn decoded(part: &str, is_query: bool) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = part.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let high = char::from(rest.next()?).to_digit(16)?;
                let low = char::from(rest.next()?).to_digit(16)?;
                bytes.push(u8::try_from(16 * high + low).ok()?);
            }
            b'+' if is_query => bytes.push(b' '),
            byte => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_stranger_writes_becomes_markup() {
        let mut html = Html::new();
        html.markup("<p title=\"")
            .text("\"><script>alert('1')</script>&")
            .markup("\">")
            .text("a\u{0}b\u{202e}c\nd")
            .markup("</p>");
        assert_eq!(
            html.as_str(),
            "<p title=\"&quot;&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;\">a\u{fffd}b\u{fffd}c\nd</p>"
        );
    }

    #[test]
    fn a_long_text_ends_with_an_ellipsis() {
        let shortened = |text: &str| Html::new().shortened(text, 4).as_str().to_owned();
        assert_eq!(shortened("four"), "four");
        assert_eq!(shortened("fivér"), "fivé…");
        assert_eq!(shortened("a b <c"), "a b…");
    }

    #[test]
    fn a_part_of_an_address_is_read_as_it_was_written() {
        for part in ["a/b", "x y+z", "ü%", "../..", "?&=#\"<", ""] {
            let written = encoded(part);
            assert!(
                !written.contains(['/', '?', '&', '"', '<', '+', ' ']),
                "{written}"
            );
            assert_eq!(decoded(&written, false).as_deref(), Some(part));
            assert_eq!(decoded(&written, true).as_deref(), Some(part));
        }
        assert_eq!(decoded("a+b", true).as_deref(), Some("a b"));
        assert_eq!(decoded("a+b", false).as_deref(), Some("a+b"));
        for wrong in ["%", "%4", "%zz", "%ff"] {
            assert_eq!(decoded(wrong, true), None, "{wrong}");
        }
    }

    #[test]
    fn moments_are_read_without_a_script() {
        let mut html = Html::new();
        html.moment("2026-11-30T09:12:33Z".parse().unwrap());
        let text = html.as_str();
        assert!(text.contains("datetime=\"2026-11-30T09:12:33Z\""), "{text}");
        assert!(text.contains(">2026-11-30 09:12:33 UTC<"), "{text}");
    }
}
