//! A text made of an event's values.

use std::borrow::Cow;

use super::{Event, Refusal, header_field, json, written_value};
use crate::resource::base64_text;
use crate::resource::event_job::text::{TextPart, TextStep, TextTemplate};

/// The longest text that comes out. Source: what one variable may hold, DESIGN §2.3. Unit: bytes.
const LONGEST: usize = 32 * 1024;
/// The longest text that is opened. Unit: bytes.
const LONGEST_OPENED: usize = 1024 * 1024;
/// The longest label value. Source: Kubernetes. Unit: bytes.
const LONGEST_LABEL: usize = 63;

/// The text.
///
/// # Errors
///
/// [`Refusal`] when a value is missing and has no default, cannot be opened, or the text is too long.
pub(super) fn of(event: &Event, template: &TextTemplate) -> Result<String, Refusal> {
    let mut text = String::new();
    for part in &template.parts {
        match part {
            TextPart::Text(plain) => text.push_str(plain),
            TextPart::Path(query, steps) => {
                text.push_str(&value(&query.to_string(), event.at(query), steps)?);
            }
            TextPart::Header(name, steps) => {
                text.push_str(&value(&header_field(name), event.header(name), steps)?);
            }
        }
        if text.len() > LONGEST {
            let message =
                format!("has more than {LONGEST} bytes, and a value may have no more: use cut");
            return Err(Refusal::new("template", message));
        }
    }
    Ok(text)
}

fn value<'a>(
    field: &str,
    found: Option<Cow<'a, str>>,
    steps: &'a [TextStep],
) -> Result<Cow<'a, str>, Refusal> {
    let mut value = found;
    for step in steps {
        value = match (step, value) {
            (TextStep::Default(text), None) => Some(Cow::Borrowed(text)),
            (_, None) => None,
            (step, Some(text)) => apply(field, step, text)?,
        };
    }
    value.ok_or_else(|| {
        Refusal::new(
            field,
            "has no value for the template, which has no default there",
        )
    })
}

fn apply<'a>(
    field: &str,
    step: &TextStep,
    text: Cow<'a, str>,
) -> Result<Option<Cow<'a, str>>, Refusal> {
    let refuse = |message: &str| Refusal::new(field, message);
    Ok(match step {
        TextStep::Default(_) => Some(text),
        TextStep::Cut(count) => Some(match text.char_indices().nth(*count) {
            Some((end, _)) => Cow::Owned(text[..end].to_owned()),
            None => text,
        }),
        TextStep::Match(found) => found.find(&text).map(|found| Cow::Owned(found.to_owned())),
        TextStep::Label => Some(Cow::Owned(label(&text))),
        TextStep::FromBase64 => {
            check_length(field, &text)?;
            let bytes = base64_text::decode(text.trim());
            let decoded = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
            let decoded = decoded.ok_or_else(|| refuse("is no base64 of a text"))?;
            Some(Cow::Owned(decoded))
        }
        TextStep::FromJson(query) => {
            check_length(field, &text)?;
            let json = json::read(text.as_bytes()).map_err(|_| refuse("is no JSON in a text"))?;
            if query.is_ambiguous_in(&json.text) {
                return Err(Refusal::repeated(format!("{field}|fromJSON:{query}")));
            }
            let found = written_value(query, &json.value, &json.text);
            found.map(|found| Cow::Owned(found.into_owned()))
        }
    })
}

fn check_length(field: &str, text: &str) -> Result<(), Refusal> {
    if text.len() <= LONGEST_OPENED {
        return Ok(());
    }
    let message = format!("has more than {LONGEST_OPENED} bytes, and is not opened");
    Err(Refusal::new(field, message))
}

/// The nearest valid label value; empty when nothing is left.
fn label(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric();
    let letter = |c: char| {
        if is_plain(c) || "-_.".contains(c) {
            c
        } else {
            '-'
        }
    };
    let text: String = text.chars().map(letter).collect();
    let text = text.trim_start_matches(|c| !is_plain(c));
    // ASCII by now, so that any place is a boundary.
    let text = &text[..text.len().min(LONGEST_LABEL)];
    text.trim_end_matches(|c| !is_plain(c)).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_becomes_a_label_value() {
        for (text, expected) in [
            ("refs/heads/main", "refs-heads-main"),
            ("--a--", "a"),
            ("é", ""),
            ("", ""),
            (&format!("{}/b", "a".repeat(62)), &"a".repeat(62)),
        ] {
            let made = label(text);
            assert_eq!(made, expected, "{text}");
            assert!(crate::resource::names::is_label_value(&made), "{made}");
        }
    }
}
