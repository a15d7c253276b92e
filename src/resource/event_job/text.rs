//! `template`: a text with holes for values of the event, such as `s3://{$.detail.bucket}/{$.detail.key}`.
//!
//! A hole is a path or a header, and steps behind it that go from left to right. There is no code in it and no loop;
//! what comes out is a text, so that nothing of an event becomes anything else.

use regex::{Regex, RegexBuilder};

use super::origin::Origins;
use crate::resource::fields::Fields;
use crate::resource::holes::{Piece, pieces};
use crate::resource::names::is_header;
use crate::resource::query::Query;

/// The longest template. Unit: bytes.
const LONGEST: usize = 4096;
/// Holes of one template.
const MOST_HOLES: usize = 32;
/// The longest regular expression. Unit: bytes.
const LONGEST_REGEX: usize = 256;
/// What a compiled regular expression may take. Unit: bytes.
const LARGEST_REGEX: usize = 256 * 1024;
/// The most characters that `cut` leaves.
const MOST_LEFT: usize = 32 * 1024;

/// A text made of values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextTemplate {
    /// As it is written.
    pub text: String,
    /// Its parts, in order.
    pub parts: Vec<TextPart>,
}

/// A part of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TextPart {
    /// The same each time.
    Text(String),
    /// A value of the event.
    Path(Query, Vec<TextStep>),
    /// A request header or message attribute, in lower case.
    Header(String, Vec<TextStep>),
}

/// What is done with a value, from left to right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TextStep {
    /// This where there is no value.
    Default(String),
    /// So many characters from the front.
    Cut(usize),
    /// A group of what a regular expression finds; no value where it finds nothing.
    Match(MatchStep),
    /// Made a valid label value.
    Label,
    /// Opened as JSON, and the value there.
    FromJson(Query),
    /// Decoded.
    FromBase64,
}

/// A regular expression and the group that counts.
#[derive(Debug, Clone)]
pub struct MatchStep {
    regex: Regex,
    group: usize,
}

impl PartialEq for MatchStep {
    fn eq(&self, other: &Self) -> bool {
        self.regex.as_str() == other.regex.as_str() && self.group == other.group
    }
}

impl Eq for MatchStep {}

impl MatchStep {
    /// What the group holds in the first place that matches.
    pub fn find<'a>(&self, text: &'a str) -> Option<&'a str> {
        let found = self.regex.captures(text)?.get(self.group)?;
        Some(found.as_str())
    }
}

impl TextTemplate {
    /// The paths of its values.
    pub fn paths(&self) -> impl Iterator<Item = &Query> {
        self.parts.iter().filter_map(|part| match part {
            TextPart::Path(query, _) => Some(query),
            TextPart::Text(_) | TextPart::Header(..) => None,
        })
    }

    /// The headers of its values.
    pub fn headers(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            TextPart::Header(name, _) => Some(name.as_str()),
            TextPart::Text(_) | TextPart::Path(..) => None,
        })
    }
}

/// `template` of an entry.
pub(super) fn read(entry: &Fields<'_>, origins: &Origins) -> Option<TextTemplate> {
    let text = entry.text("template")?;
    match parse(text, origins) {
        Ok(template) => Some(template),
        Err(message) => {
            entry.fault("template", message);
            None
        }
    }
}

fn parse(text: &str, origins: &Origins) -> Result<TextTemplate, String> {
    if text.len() > LONGEST {
        return Err(format!("must have at most {LONGEST} bytes"));
    }
    if text.contains('\0') {
        return Err("must not hold the character NUL".to_owned());
    }
    let part = |piece| match piece {
        Piece::Text(text) => Ok(TextPart::Text(text)),
        Piece::Hole(hole) => value(hole, origins).map_err(|why| format!("has {{{hole}}}: {why}")),
    };
    let parts: Vec<_> = pieces(text)?
        .into_iter()
        .map(part)
        .collect::<Result<_, _>>()?;
    let holes = parts
        .iter()
        .filter(|part| !matches!(part, TextPart::Text(_)));
    match holes.count() {
        0 => {
            Err("has no {$.path} and no {header:NAME}: write the text into jobTemplate".to_owned())
        }
        1..=MOST_HOLES => Ok(TextTemplate {
            text: text.to_owned(),
            parts,
        }),
        _ => Err(format!("must have at most {MOST_HOLES} values")),
    }
}

/// A hole: where its value comes from, and the steps behind it.
fn value(hole: &str, origins: &Origins) -> Result<TextPart, String> {
    let mut words = hole.split('|');
    let origin = words.next().unwrap_or_default().trim();
    let steps: Vec<_> = words.map(step).collect::<Result<_, _>>()?;
    for once in [is_json as fn(&TextStep) -> bool, is_base64] {
        if steps.iter().filter(|step| once(step)).count() > 1 {
            return Err("fromJSON and fromBase64 open a value once".to_owned());
        }
    }
    match origin.strip_prefix("header:") {
        Some(name) if !is_header(name) => Err("header: needs the name of a header".to_owned()),
        Some(name) => {
            let name = name.to_ascii_lowercase();
            match origins.why_secret(&name) {
                Some(why) => Err(why),
                None => Ok(TextPart::Header(name, steps)),
            }
        }
        None if origin.starts_with('$') => Ok(TextPart::Path(Query::parse(origin)?, steps)),
        None => Err(
            "must begin with a path such as $.detail.id, or with header:NAME; a brace that is meant is written twice"
                .to_owned(),
        ),
    }
}

fn is_json(step: &TextStep) -> bool {
    matches!(step, TextStep::FromJson(_))
}

fn is_base64(step: &TextStep) -> bool {
    matches!(step, TextStep::FromBase64)
}

fn step(word: &str) -> Result<TextStep, String> {
    let (name, argument) = match word.split_once(':') {
        Some((name, argument)) => (name, Some(argument)),
        None => (word, None),
    };
    match (name.trim(), argument) {
        ("default", Some(text)) => Ok(TextStep::Default(text.to_owned())),
        ("cut", Some(count)) => {
            let count = count.parse().ok();
            let count = count.filter(|count| (1..=MOST_LEFT).contains(count));
            count
                .map(TextStep::Cut)
                .ok_or_else(|| format!("cut needs a number from 1 to {MOST_LEFT}, as in cut:63"))
        }
        ("match", Some(argument)) => matching(argument),
        ("label", None) => Ok(TextStep::Label),
        ("fromJSON", Some(path)) => Query::parse(path).map(TextStep::FromJson),
        ("fromBase64", None) => Ok(TextStep::FromBase64),
        _ => Err(
            "steps are default:TEXT, cut:COUNT, match:REGEX:GROUP, label, fromJSON:$.path and fromBase64"
                .to_owned(),
        ),
    }
}

fn matching(argument: &str) -> Result<TextStep, String> {
    let usage =
        "match needs a regular expression and the number of a group, as in match:refs/heads/(.*):1";
    let (regex, group) = argument.rsplit_once(':').ok_or(usage)?;
    let group: usize = group.parse().map_err(|_| usage)?;
    if regex.len() > LONGEST_REGEX {
        return Err(format!(
            "a regular expression has at most {LONGEST_REGEX} bytes"
        ));
    }
    let regex = RegexBuilder::new(regex).size_limit(LARGEST_REGEX).build();
    // Its own words draw the expression over several lines.
    let regex = regex.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => "the regular expression is too large".to_owned(),
        error => {
            let text = error.to_string();
            let last = text.lines().last().unwrap_or_default().trim();
            format!(
                "is no regular expression: {}",
                last.trim_start_matches("error: ")
            )
        }
    })?;
    if group >= regex.captures_len() {
        let groups = regex.captures_len() - 1;
        return Err(format!(
            "the regular expression has {groups} groups, and 0 for the whole"
        ));
    }
    Ok(TextStep::Match(MatchStep { regex, group }))
}
