//! The text of a singular query becomes its steps. Grammar: RFC 9535, sections 2.1 to 2.5 and 2.3.5.1 (`singular-query`),
//! with the blank space that a `jsonpath-query` may have.

use super::PathStep;

/// The largest index, and the smallest when negative. Source: RFC 9535, section 2.1, I-JSON's exact integers.
const LARGEST_INDEX: i64 = (1 << 53) - 1;

/// The steps of a query.
///
/// # Errors
///
/// What is wrong, at which character, and what would be right.
pub(super) fn steps(text: &str) -> Result<Vec<PathStep>, String> {
    let mut reader = PathReader { text, rest: text };
    if !reader.take('$') {
        return Err(reader.wrong("must begin with $, the whole event, as in $.detail.id"));
    }
    let mut steps = Vec::new();
    while !reader.rest.is_empty() {
        let before = reader.rest;
        reader.skip_space();
        if reader.rest.is_empty() {
            reader.rest = before;
            return Err(reader.wrong("must not end with a space"));
        }
        if reader.rest.starts_with("..") {
            return Err(reader.wrong("must lead to one value: .. finds many"));
        }
        if reader.take('.') {
            steps.push(reader.shorthand()?);
        } else if reader.take('[') {
            steps.push(reader.bracketed()?);
        } else {
            return Err(reader.wrong("must be . and a name, or a name or an index in brackets"));
        }
    }
    Ok(steps)
}

struct PathReader<'a> {
    text: &'a str,
    rest: &'a str,
}

impl PathReader<'_> {
    fn wrong(&self, what: &str) -> String {
        let read = &self.text[..self.text.len() - self.rest.len()];
        format!("at character {}: {what}", read.chars().count() + 1)
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let mut characters = self.rest.chars();
        let next = characters.next();
        self.rest = characters.as_str();
        next
    }

    fn take(&mut self, wanted: char) -> bool {
        match self.rest.strip_prefix(wanted) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    /// `name` of `.name`.
    fn shorthand(&mut self) -> Result<PathStep, String> {
        match self.peek() {
            Some('*') => {
                return Err(
                    self.wrong("must be a name: * finds many, and a query must lead to one value")
                );
            }
            Some(first) if is_first(first) => {}
            Some(_) => {
                return Err(self.wrong(
                    "must be a name that begins with a letter; other names stand in brackets and quotes, as in $['0-name']",
                ));
            }
            None => return Err(self.wrong("must be a name, as in $.detail")),
        }
        let end = self
            .rest
            .find(|letter: char| !is_first(letter) && !letter.is_ascii_digit())
            .unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        self.rest = rest;
        if rest.starts_with('-') {
            // `detail-type` is the name that most people meet first.
            let end = rest.find(['.', '[', ' ']).unwrap_or(rest.len());
            return Err(self.wrong(&format!(
                "a name with - in it must stand in brackets and quotes: write ['{name}{}']",
                &rest[..end]
            )));
        }
        Ok(PathStep::Name(name.to_owned()))
    }

    /// What stands behind `[`, and the `]`.
    fn bracketed(&mut self) -> Result<PathStep, String> {
        self.skip_space();
        let step = match self.peek() {
            Some(quote @ ('\'' | '"')) => {
                self.next();
                PathStep::Name(self.quoted(quote)?)
            }
            Some('-' | '0'..='9') => PathStep::Index(self.index()?),
            Some('*') => return Err(self.wrong("must lead to one value: * finds many")),
            Some('?') => {
                return Err(self.wrong(
                    "must lead to one value: a filter may find many; spec.pattern filters",
                ));
            }
            Some(':') => return Err(self.wrong(SLICE)),
            _ => {
                return Err(self.wrong("must be a name in quotes or an index, as in ['id'] or [0]"));
            }
        };
        self.skip_space();
        if self.take(']') {
            return Ok(step);
        }
        Err(match self.peek() {
            Some(',') => {
                self.wrong("must lead to one value: a list of names or indexes finds many")
            }
            Some(':') => self.wrong(SLICE),
            Some(_) => self.wrong("must be ]"),
            None => self.wrong("must be ]: the bracket is not closed"),
        })
    }

    fn index(&mut self) -> Result<i64, String> {
        let end = self
            .rest
            .char_indices()
            .find(|(at, letter)| !letter.is_ascii_digit() && (*at > 0 || *letter != '-'))
            .map_or(self.rest.len(), |(at, _)| at);
        let (digits, rest) = self.rest.split_at(end);
        let magnitude = digits.strip_prefix('-').unwrap_or(digits);
        if magnitude.is_empty() || (magnitude.starts_with('0') && digits != "0") {
            return Err(self.wrong(
                "must be an index: 0 or a number that does not begin with 0, as in [1] or [-1]",
            ));
        }
        let number = digits
            .parse()
            .ok()
            .filter(|number: &i64| number.unsigned_abs() <= LARGEST_INDEX.unsigned_abs());
        let Some(number) = number else {
            return Err(self.wrong(&format!("must be an index of at most {LARGEST_INDEX}")));
        };
        self.rest = rest;
        Ok(number)
    }

    /// A name up to its closing quote.
    fn quoted(&mut self, quote: char) -> Result<String, String> {
        let mut name = String::new();
        loop {
            match self.peek() {
                None => return Err(self.wrong(&format!("must be {quote}: the name is not closed"))),
                Some(character) if character < ' ' => {
                    return Err(self.wrong("must be written as an escape, such as \\n"));
                }
                Some('\\') => name.push(self.escape(quote)?),
                Some(character) => {
                    self.next();
                    if character == quote {
                        return Ok(name);
                    }
                    name.push(character);
                }
            }
        }
    }

    fn escape(&mut self, quote: char) -> Result<char, String> {
        let start = self.rest;
        self.next();
        let character = match self.next() {
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some(same @ ('/' | '\\')) => same,
            Some(same) if same == quote => same,
            Some('u') => {
                if let Some(character) = self.unicode() {
                    return Ok(character);
                }
                self.rest = start;
                return Err(self.wrong("must be \\u and four hexadecimal digits, of two halves together for what is above FFFF"));
            }
            _ => {
                self.rest = start;
                return Err(self.wrong(&format!(
                    "must be one of \\b \\f \\n \\r \\t \\/ \\\\ \\{quote} \\uXXXX"
                )));
            }
        };
        Ok(character)
    }

    /// What stands behind `\u`.
    fn unicode(&mut self) -> Option<char> {
        let first = self.four_digits()?;
        if let Some(character) = char::from_u32(first) {
            return Some(character);
        }
        self.rest = self.rest.strip_prefix("\\u")?;
        let second = self.four_digits()?;
        if !(0xD800..0xDC00).contains(&first) || !(0xDC00..0xE000).contains(&second) {
            return None;
        }
        char::from_u32(0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00))
    }

    fn four_digits(&mut self) -> Option<u32> {
        let digits = self.rest.get(..4)?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        self.rest = &self.rest[4..];
        u32::from_str_radix(digits, 16).ok()
    }
}

const SLICE: &str =
    "must lead to one value: a slice finds many; one index is right, as in [0] or [-1]";

/// `name-first` of the RFC: a letter, `_`, or anything beyond ASCII.
fn is_first(character: char) -> bool {
    character.is_ascii_alphabetic() || character == '_' || !character.is_ascii()
}
