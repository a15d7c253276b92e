//! `auth.hmac`: how a sender signs. Those whose way is known have a row; all others are written down field by field.

mod known;

use std::time::Duration;

use self::known::KNOWN;
use super::origin::header;
use crate::resource::fields::Fields;
use crate::resource::holes::{Piece, pieces};
use crate::resource::metadata::text::go_duration;
use crate::resource::names::is_header;

/// How a sender signs with a shared key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HmacScheme {
    /// `scheme`, as it is written.
    pub name: &'static str,
    /// The header with the signatures, in lower case.
    pub signature_header: String,
    /// What the parts of that header are separated by.
    pub separators: &'static [char],
    /// What stands before each signature. `None`: perhaps the name of an algorithm and `=`.
    pub prefix: Option<String>,
    /// How signatures are written. `None`: as hexadecimal or base64.
    pub encoding: Option<SignatureEncoding>,
    /// The hash.
    pub algorithm: HmacAlgorithm,
    /// The sender's time, if it is signed.
    pub timestamp: Option<SignedTimestamp>,
    /// What is signed, in order. The body is there once.
    pub signed: Vec<SignedPart>,
    /// Whether the key is base64, perhaps with `whsec_` before it, instead of text.
    pub is_key_base64: bool,
}

/// How a signature is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SignatureEncoding {
    /// Hexadecimal, in either case.
    Hex,
    /// Base64, padded or not.
    Base64,
}

/// The hash of an HMAC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HmacAlgorithm {
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

/// The sender's time.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SignedTimestamp {
    /// Where it stands.
    pub place: TimestampPlace,
    /// How it is written.
    pub unit: TimestampUnit,
    /// How far it may be from ours.
    pub tolerance: Duration,
}

/// Where a sender's time stands.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TimestampPlace {
    /// In a header of its own, in lower case.
    Header(String),
    /// In the part of the signature's header that begins with this.
    Part(String),
}

/// How a sender writes its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TimestampUnit {
    /// Unix seconds.
    Seconds,
    /// Unix milliseconds.
    Milliseconds,
    /// As in RFC 3339.
    Rfc3339,
}

/// A part of what is signed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SignedPart {
    /// The same each time.
    Text(String),
    /// The sender's time, as it is written.
    Timestamp,
    /// A header's value.
    Header(String),
    /// The body's bytes.
    Body,
}

/// How far the sender's time may be from ours. Source: Standard Webhooks 1.0, as Stripe's.
const TOLERANCE: Duration = Duration::from_mins(5);
/// The most that `tolerance` may be.
const MOST_TOLERANCE: Duration = Duration::from_hours(24);
/// The longest `signedText` and `signaturePrefix`. Unit: bytes.
const LONGEST_TEXT: usize = 256;
/// What separates the parts of a header with several signatures.
const SEPARATORS: &[char] = &[',', ';', ' '];

const GENERIC: &str = "Generic";
/// What is written for `Generic` alone.
const GENERIC_KEYS: [&str; 9] = [
    "signatureHeader",
    "signaturePrefix",
    "signatureField",
    "encoding",
    "algorithm",
    "timestampHeader",
    "timestampField",
    "timestampUnit",
    "signedText",
];

impl HmacScheme {
    /// Whether the signature covers what this header says.
    pub fn signs(&self, header: &str) -> bool {
        let is_it = |part: &SignedPart| matches!(part, SignedPart::Header(name) if name == header);
        self.signed.iter().any(is_it)
    }
}

/// `hmac` without its keys.
pub(super) fn read(fields: &Fields<'_>) -> Option<HmacScheme> {
    let mut schemes: Vec<&'static str> = KNOWN.iter().map(|known| known.name).collect();
    schemes.push(GENERIC);
    fields.required_text("scheme");
    let scheme = fields.choice("scheme", &schemes);
    let tolerance = tolerance(fields);
    let mut scheme = match scheme? {
        GENERIC => generic(fields),
        fixed => {
            for key in GENERIC_KEYS {
                if fields.get(key).is_some() {
                    fields.fault(
                        key,
                        format!("goes with scheme: Generic; the way of {fixed} is known"),
                    );
                }
            }
            HmacScheme::known(fixed)
        }
    }?;
    match (&mut scheme.timestamp, tolerance) {
        (Some(timestamp), Some(tolerance)) => timestamp.tolerance = tolerance,
        (None, Some(_)) => fields.fault("tolerance", "needs a time that is signed"),
        (_, None) => {}
    }
    Some(scheme)
}

fn generic(fields: &Fields<'_>) -> Option<HmacScheme> {
    fields.required("signatureHeader");
    let signature_header = header(fields, "signatureHeader");
    let prefix = one_of(fields, "signaturePrefix", "signatureField");
    let place = match one_of(fields, "timestampHeader", "timestampField") {
        Some((true, _)) => {
            let name = header(fields, "timestampHeader")?;
            if Some(&name) == signature_header.as_ref() {
                fields.fault(
                    "timestampHeader",
                    "must not be the signature's own; write timestampField for a part of it",
                );
            }
            Some(TimestampPlace::Header(name))
        }
        Some((false, name)) => {
            if fields.get("signatureField").is_none() {
                fields.fault("timestampField", "needs signatureField beside it");
            }
            Some(TimestampPlace::Part(format!("{name}=")))
        }
        None => None,
    };
    let unit = match fields.choice("timestampUnit", &["Seconds", "Milliseconds", "RFC3339"]) {
        Some("Milliseconds") => TimestampUnit::Milliseconds,
        Some("RFC3339") => TimestampUnit::Rfc3339,
        _ => TimestampUnit::Seconds,
    };
    if place.is_none() && fields.get("timestampUnit").is_some() {
        fields.fault("timestampUnit", "needs timestampHeader or timestampField");
    }
    let timestamp = place.map(|place| SignedTimestamp {
        place,
        unit,
        tolerance: TOLERANCE,
    });
    let signed = signed_text(fields, timestamp.is_some());
    Some(HmacScheme {
        name: GENERIC,
        signature_header: signature_header?,
        separators: SEPARATORS,
        prefix: prefix.map(|(is_prefix, text)| {
            if is_prefix {
                text.to_owned()
            } else {
                format!("{text}=")
            }
        }),
        encoding: match fields.choice("encoding", &["Hex", "Base64"]) {
            Some("Hex") => Some(SignatureEncoding::Hex),
            Some(_) => Some(SignatureEncoding::Base64),
            None => None,
        },
        algorithm: match fields.choice("algorithm", &["SHA256", "SHA512"]) {
            Some("SHA512") => HmacAlgorithm::Sha512,
            _ => HmacAlgorithm::Sha256,
        },
        timestamp,
        signed: signed?,
        is_key_base64: false,
    })
}

/// At most one of two texts, and whether it is the first.
fn one_of<'a>(
    fields: &Fields<'a>,
    first: &'static str,
    second: &'static str,
) -> Option<(bool, &'a str)> {
    let found = [(true, first), (false, second)]
        .map(|(is_first, key)| fields.text(key).map(|text| (is_first, key, text)));
    if found.iter().all(Option::is_some) {
        fields.fault(second, format!("must not stand beside {first}"));
    }
    let (is_first, key, text) = found.into_iter().flatten().next()?;
    let is_plain = |c: char| c.is_ascii_graphic() && !SEPARATORS.contains(&c);
    if text.is_empty() || text.len() > LONGEST_TEXT || !text.chars().all(is_plain) {
        fields.fault(
            key,
            format!(
                "must be 1 to {LONGEST_TEXT} letters, digits and signs, without comma, semicolon and space"
            ),
        );
    }
    Some((is_first, text))
}

fn tolerance(fields: &Fields<'_>) -> Option<Duration> {
    let text = fields.text("tolerance")?;
    let tolerance = go_duration(text).map(Duration::from_nanos);
    let tolerance =
        tolerance.filter(|time| (Duration::from_secs(1)..=MOST_TOLERANCE).contains(time));
    if tolerance.is_none() {
        fields.fault("tolerance", "must be a duration such as 5m, from 1s to 24h");
    }
    tolerance
}

fn signed_text(fields: &Fields<'_>, has_timestamp: bool) -> Option<Vec<SignedPart>> {
    let default = if has_timestamp {
        "{timestamp}.{body}"
    } else {
        "{body}"
    };
    let text = fields.text("signedText").unwrap_or(default);
    let parts = if text.len() > LONGEST_TEXT {
        Err(format!("must have at most {LONGEST_TEXT} bytes"))
    } else {
        signed_parts(text)
    };
    let count = |parts: &[SignedPart], part| parts.iter().filter(|one| **one == part).count();
    let parts = parts.and_then(|parts| {
        if count(&parts, SignedPart::Body) != 1 {
            return Err("must have {body} once".to_owned());
        }
        match (count(&parts, SignedPart::Timestamp), has_timestamp) {
            (0, true) => {
                Err("must have {timestamp}: a time that is not signed proves nothing".to_owned())
            }
            (1.., false) => {
                Err("has {timestamp}, which needs timestampHeader or timestampField".to_owned())
            }
            _ => Ok(parts),
        }
    });
    parts
        .map_err(|message| fields.fault("signedText", message))
        .ok()
}

fn signed_parts(text: &str) -> Result<Vec<SignedPart>, String> {
    let part = |piece| match piece {
        Piece::Text(text) => Ok(SignedPart::Text(text)),
        Piece::Hole("timestamp") => Ok(SignedPart::Timestamp),
        Piece::Hole("body") => Ok(SignedPart::Body),
        Piece::Hole(hole) => match hole.strip_prefix("header:") {
            Some(name) if is_header(name) => Ok(SignedPart::Header(name.to_ascii_lowercase())),
            _ => Err(format!(
                "has {{{hole}}}; there are {{timestamp}}, {{body}} and {{header:NAME}}"
            )),
        },
    };
    pieces(text)?.into_iter().map(part).collect()
}
