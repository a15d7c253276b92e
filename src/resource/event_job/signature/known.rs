//! Senders whose way to sign is known. Source: each one's own documentation of its webhooks' signatures.

use super::{
    GENERIC, HmacAlgorithm, HmacScheme, SEPARATORS, SignatureEncoding, SignedTimestamp, TOLERANCE,
    TimestampPlace, TimestampUnit, signed_parts,
};

/// A sender's way to sign: `scheme`, signature header, separators, prefix, encoding, signed text.
pub(super) struct KnownScheme {
    pub(super) name: &'static str,
    header: &'static str,
    separators: &'static [char],
    prefix: Option<&'static str>,
    encoding: SignatureEncoding,
    timestamp: Option<(TimestampAt, TimestampUnit)>,
    signed: &'static str,
}

#[derive(Clone, Copy)]
enum TimestampAt {
    Header(&'static str),
    Part(&'static str),
}

/// A row without a time: the body alone is signed.
const fn plain(
    name: &'static str,
    header: &'static str,
    prefix: Option<&'static str>,
    encoding: SignatureEncoding,
) -> KnownScheme {
    KnownScheme {
        name,
        header,
        separators: SEPARATORS,
        prefix,
        encoding,
        timestamp: None,
        signed: "{body}",
    }
}

/// A row with a time in Unix seconds, and hexadecimal signatures.
const fn timed(
    name: &'static str,
    header: &'static str,
    prefix: &'static str,
    timestamp: TimestampAt,
    signed: &'static str,
) -> KnownScheme {
    KnownScheme {
        name,
        header,
        separators: SEPARATORS,
        prefix: Some(prefix),
        encoding: SignatureEncoding::Hex,
        timestamp: Some((timestamp, TimestampUnit::Seconds)),
        signed,
    }
}

/// Senders by name. Those of whom this can be told are not many: others are written with `Generic`.
pub(super) const KNOWN: [KnownScheme; 16] = [
    KnownScheme {
        name: "StandardWebhooks",
        header: "webhook-signature",
        // A comma belongs to a signature: `v1,BASE64`.
        separators: &[' '],
        prefix: Some("v1,"),
        encoding: SignatureEncoding::Base64,
        timestamp: Some((
            TimestampAt::Header("webhook-timestamp"),
            TimestampUnit::Seconds,
        )),
        signed: "{header:webhook-id}.{timestamp}.{body}",
    },
    plain(
        "GitHub",
        "x-hub-signature-256",
        Some("sha256="),
        SignatureEncoding::Hex,
    ),
    timed(
        "Stripe",
        "stripe-signature",
        "v1=",
        TimestampAt::Part("t="),
        "{timestamp}.{body}",
    ),
    timed(
        "Slack",
        "x-slack-signature",
        "v0=",
        TimestampAt::Header("x-slack-request-timestamp"),
        "v0:{timestamp}:{body}",
    ),
    plain(
        "Bitbucket",
        "x-hub-signature",
        Some("sha256="),
        SignatureEncoding::Hex,
    ),
    timed(
        "Calendly",
        "calendly-webhook-signature",
        "v1=",
        TimestampAt::Part("t="),
        "{timestamp}.{body}",
    ),
    plain(
        "CircleCI",
        "circleci-signature",
        Some("v1="),
        SignatureEncoding::Hex,
    ),
    plain("Gitea", "x-gitea-signature", None, SignatureEncoding::Hex),
    plain(
        "Jira",
        "x-hub-signature",
        Some("sha256="),
        SignatureEncoding::Hex,
    ),
    plain("Linear", "linear-signature", None, SignatureEncoding::Hex),
    timed(
        "Paddle",
        "paddle-signature",
        "h1=",
        TimestampAt::Part("ts="),
        "{timestamp}:{body}",
    ),
    plain(
        "Sentry",
        "sentry-hook-signature",
        None,
        SignatureEncoding::Hex,
    ),
    plain(
        "Shopify",
        "x-shopify-hmac-sha256",
        None,
        SignatureEncoding::Base64,
    ),
    plain(
        "Typeform",
        "typeform-signature",
        Some("sha256="),
        SignatureEncoding::Base64,
    ),
    KnownScheme {
        name: "Zendesk",
        header: "x-zendesk-webhook-signature",
        separators: SEPARATORS,
        prefix: None,
        encoding: SignatureEncoding::Base64,
        timestamp: Some((
            TimestampAt::Header("x-zendesk-webhook-signature-timestamp"),
            TimestampUnit::Rfc3339,
        )),
        signed: "{timestamp}{body}",
    },
    timed(
        "Zoom",
        "x-zm-signature",
        "v0=",
        TimestampAt::Header("x-zm-request-timestamp"),
        "v0:{timestamp}:{body}",
    ),
];

impl HmacScheme {
    /// The way of a sender that is known by this name.
    pub fn known(name: &str) -> Option<Self> {
        let known = KNOWN.iter().find(|known| known.name == name)?;
        let timestamp = known.timestamp.map(|(place, unit)| SignedTimestamp {
            place: match place {
                TimestampAt::Header(header) => TimestampPlace::Header(header.to_owned()),
                TimestampAt::Part(part) => TimestampPlace::Part(part.to_owned()),
            },
            unit,
            tolerance: TOLERANCE,
        });
        Some(Self {
            name: known.name,
            signature_header: known.header.to_owned(),
            separators: known.separators,
            prefix: known.prefix.map(str::to_owned),
            encoding: Some(known.encoding),
            algorithm: HmacAlgorithm::Sha256,
            timestamp,
            signed: signed_parts(known.signed).ok()?,
            is_key_base64: known.name == "StandardWebhooks",
        })
    }

    /// The senders whose header this is, though `Generic` is written.
    pub fn senders_of(&self) -> Vec<&'static str> {
        let is_its =
            |known: &&KnownScheme| self.name == GENERIC && known.header == self.signature_header;
        KNOWN
            .iter()
            .filter(is_its)
            .map(|known| known.name)
            .collect()
    }
}
