//! JSON as it was written: the parts of a text, and the same value in one form.
//!
//! A parsed number has lost its digits (`1.10`, `12345678901234567890123`); what is handed on
//! is therefore taken from the text. Everything here expects a text that has been
//! parsed before: of another, the answers are `None` or mean nothing.

use std::borrow::Cow;

use serde_json::Value;

/// JSON's blank space.
pub fn is_space(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\n' | '\r')
}

/// The members of an object, in order, repeated names too; `None` when the text is no object.
pub fn members(text: &str) -> Option<impl Iterator<Item = (Cow<'_, str>, &str)>> {
    let mut scanner = JsonScanner::within(text, b'{')?;
    Some(std::iter::from_fn(move || scanner.member()))
}

/// The elements of an array; `None` when the text is none.
pub fn elements(text: &str) -> Option<impl Iterator<Item = &str>> {
    let mut scanner = JsonScanner::within(text, b'[')?;
    Some(std::iter::from_fn(move || scanner.element()))
}

/// How many members all objects of a text have together, repeated names too.
pub fn member_count(text: &str) -> usize {
    let mut scanner = JsonScanner { text, at: 0 };
    let mut count = 0;
    while let Some(byte) = scanner.peek() {
        if byte == b'"' {
            scanner.skip_string();
        } else {
            count += usize::from(byte == b':');
            scanner.at += 1;
        }
    }
    count
}

/// The text without the blank space between its parts.
pub fn compact(text: &str) -> String {
    let mut compact = String::with_capacity(text.len());
    let mut scanner = JsonScanner { text, at: 0 };
    loop {
        scanner.skip_space();
        let start = scanner.at;
        match scanner.peek() {
            None => return compact,
            Some(b'"') => scanner.skip_string(),
            Some(_) => scanner.at += 1,
        }
        compact.push_str(scanner.since(start));
    }
}

/// One text for one value: names sorted and of repeated ones the last, escapes as few as JSON
/// allows, no blank space. Numbers stay as they were written: two that differ beyond what a double
/// can hold are two.
pub fn canonical(text: &str) -> String {
    let mut canonical = String::with_capacity(text.len());
    JsonScanner { text, at: 0 }.canonical(&mut canonical);
    canonical
}

/// The text of a JSON string without its quotes and escapes.
fn unescaped(quoted: &str) -> Cow<'_, str> {
    let inner = quoted
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    match inner {
        Some(inner) if !inner.contains('\\') => Cow::Borrowed(inner),
        _ => Cow::Owned(serde_json::from_str(quoted).unwrap_or_default()),
    }
}

#[derive(Clone, Copy)]
struct JsonScanner<'a> {
    text: &'a str,
    /// Always before or behind an ASCII character.
    at: usize,
}

impl<'a> JsonScanner<'a> {
    /// Behind the opening bracket.
    fn within(text: &'a str, bracket: u8) -> Option<Self> {
        let mut scanner = Self { text, at: 0 };
        scanner.skip_space();
        scanner.take(bracket).then_some(scanner)
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let is_there = self.peek() == Some(byte);
        self.at += usize::from(is_there);
        is_there
    }

    fn since(&self, start: usize) -> &'a str {
        self.text.get(start..self.at).unwrap_or_default()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn member(&mut self) -> Option<(Cow<'a, str>, &'a str)> {
        self.skip_space();
        if self.take(b',') {
            self.skip_space();
        }
        if self.peek() != Some(b'"') {
            return None;
        }
        let name = unescaped(self.skip_value());
        self.skip_space();
        self.take(b':').then(|| (name, self.skip_value()))
    }

    fn element(&mut self) -> Option<&'a str> {
        self.skip_space();
        if self.take(b',') {
            self.skip_space();
        }
        // Nothing stands there at the end.
        Some(self.skip_value()).filter(|value| !value.is_empty())
    }

    /// The next value.
    fn skip_value(&mut self) -> &'a str {
        self.skip_space();
        let start = self.at;
        let mut depth = 0_usize;
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => self.skip_string(),
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' if depth > 0 => {
                    depth -= 1;
                    self.at += 1;
                }
                // What stands around a number or a word.
                b'}' | b']' | b',' | b':' | b' ' | b'\t' | b'\n' | b'\r' if depth == 0 => break,
                _ => {
                    self.at += 1;
                    continue;
                }
            }
            if depth == 0 {
                break;
            }
        }
        self.since(start)
    }

    fn skip_string(&mut self) {
        self.at += 1;
        while let Some(byte) = self.peek() {
            self.at += 1;
            match byte {
                b'\\' => self.at += 1,
                b'"' => return,
                _ => {}
            }
        }
    }

    fn canonical(&mut self, out: &mut String) {
        self.skip_space();
        match self.peek() {
            Some(b'{') => self.canonical_object(out),
            Some(b'[') => {
                self.at += 1;
                out.push('[');
                let start = out.len();
                loop {
                    self.skip_space();
                    self.take(b',');
                    self.skip_space();
                    if self.take(b']') || self.peek().is_none() {
                        break;
                    }
                    if out.len() > start {
                        out.push(',');
                    }
                    self.canonical(out);
                }
                out.push(']');
            }
            Some(b'"') => push_quoted(out, &unescaped(self.skip_value())),
            _ => {
                let word = self.skip_value();
                out.push_str(word);
                // So that no text can keep it here.
                self.at += usize::from(word.is_empty());
            }
        }
    }

    fn canonical_object(&mut self, out: &mut String) {
        self.at += 1;
        let start = out.len();
        let mut members = Vec::new();
        loop {
            self.skip_space();
            self.take(b',');
            self.skip_space();
            if self.peek() != Some(b'"') {
                self.at += 1;
                break;
            }
            let name = unescaped(self.skip_value());
            self.skip_space();
            self.take(b':');
            let from = out.len();
            self.canonical(out);
            members.push((name, from..out.len()));
        }
        // Stable: of repeated names the last stays last.
        members.sort_by(|(one, _), (other, _)| one.cmp(other));
        let mut object = String::with_capacity(out.len() - start + 2);
        object.push('{');
        for (index, (name, range)) in members.iter().enumerate() {
            if members.get(index + 1).is_some_and(|(next, _)| next == name) {
                continue;
            }
            if object.len() > 1 {
                object.push(',');
            }
            push_quoted(&mut object, name);
            object.push(':');
            object.push_str(&out[range.clone()]);
        }
        object.push('}');
        out.truncate(start);
        out.push_str(&object);
    }
}

/// Appends a text as a JSON string.
pub fn push_quoted(out: &mut String, text: &str) {
    out.push_str(&Value::from(text).to_string());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn members_are_told_as_they_were_written() {
        let text =
            " { \"a\" : 1.10 , \"b\\u0063\":[1, {\"x\":\"]}\"}],\"a\":\"\\\"\" , \"n\": null } ";
        let told: Vec<_> = members(text).unwrap().collect();
        let told: Vec<_> = told.iter().map(|(name, text)| (&**name, *text)).collect();
        assert_eq!(
            told,
            [
                ("a", "1.10"),
                ("bc", "[1, {\"x\":\"]}\"}]"),
                ("a", "\"\\\"\""),
                ("n", "null")
            ]
        );
        assert_eq!(members("{}").unwrap().count(), 0);
        assert!(members("[]").is_none());
        assert_eq!(member_count(text), 5);
    }

    #[test]
    fn elements_are_told_as_they_were_written() {
        let told = |text| elements(text).unwrap().collect::<Vec<_>>();
        assert_eq!(
            told("[ 1e2 ,\"a,]\", [ ] ,{\"a\":[]},true ]"),
            ["1e2", "\"a,]\"", "[ ]", "{\"a\":[]}", "true"]
        );
        assert!(told("[]").is_empty());
        assert!(elements("\"[\"").is_none());
    }

    #[test]
    fn one_value_has_one_canonical_text_and_keeps_its_digits() {
        for (text, wanted) in [
            (
                " { \"b\" : 1.10, \"a\":[ 1 ,2 ,{} ] } ",
                r#"{"a":[1,2,{}],"b":1.10}"#,
            ),
            (
                r#"{"a":1,"b":{"y":1,"x":[]},"a":2}"#,
                r#"{"a":2,"b":{"x":[],"y":1}}"#,
            ),
            (r#""\u0041\/\n""#, r#""A/\n""#),
            ("12345678901234567890123", "12345678901234567890123"),
            (" null ", "null"),
            (r#"{"\u0061":"x"}"#, r#"{"a":"x"}"#),
        ] {
            assert_eq!(canonical(text), wanted, "{text}");
        }
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".{0,8}".prop_map(Value::from),
            "[\\\\\"{}\\[\\], :]{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            let name = prop_oneof![".{0,4}", "[\\\\\"{}\\[\\], :]{0,4}"];
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::vec((name, inner), 0..5)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn every_form_of_a_text_is_the_same_value(value in json()) {
            let pretty = serde_json::to_string_pretty(&value).unwrap();
            let short = value.to_string();
            prop_assert_eq!(&compact(&pretty), &short);
            prop_assert_eq!(canonical(&pretty), canonical(&short));
            let back: Value = serde_json::from_str(&canonical(&pretty)).unwrap();
            prop_assert_eq!(&back, &value);
            if let Some(list) = value.as_array() {
                let told: Vec<Value> = elements(&pretty).unwrap().map(|text| serde_json::from_str(text).unwrap()).collect();
                prop_assert_eq!(&told, list);
            }
            if let Some(map) = value.as_object() {
                let told: serde_json::Map<String, Value> = members(&pretty).unwrap()
                    .map(|(name, text)| (name.into_owned(), serde_json::from_str(text).unwrap())).collect();
                prop_assert_eq!(&told, map);
            }
        }

        #[test]
        fn texts_that_are_no_json_end_too(text in "[\\[\\]{}\",:a1\\\\ ]{0,24}") {
            let told = canonical(&text).len() + compact(&text).len();
            let members = members(&text).map_or(0, Iterator::count);
            let elements = elements(&text).map_or(0, Iterator::count);
            prop_assert!(told + members + elements < 1_000);
        }
    }
}
