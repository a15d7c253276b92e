//! Where values of an event come from: paths into it, and headers beside it.

use super::{Auth, BindSource, IdPart, WebhookSource};
use crate::resource::fields::Fields;
use crate::resource::names::is_header;
use crate::resource::query::Query;

/// Parts of an identity.
const MOST_ID_PARTS: usize = 8;

/// Headers with which senders prove who they are. None of them may reach a Job.
const SECRET_HEADERS: [&str; 7] = [
    "authorization",
    "cookie",
    "proxy-authorization",
    "webhook-signature",
    "x-api-key",
    "x-hub-signature",
    "x-hub-signature-256",
];

/// Reads origins, and knows which headers are secret.
#[derive(Default)]
pub(super) struct Origins {
    secret: Vec<String>,
}

impl Origins {
    /// Those of an object, whose own credentials are secret too.
    pub(super) fn new(webhook: Option<&WebhookSource>) -> Self {
        let auth = webhook.map_or(&[][..], |webhook| &webhook.auth);
        let own = auth.iter().filter_map(Auth::header);
        Self {
            secret: own.map(str::to_owned).collect(),
        }
    }

    /// Exactly one of `path` and `header`; `choices` are what there is where this is written.
    pub(super) fn one(&self, fields: &Fields<'_>, choices: &str) -> Option<BindSource> {
        let path = path(fields, "path");
        let header = self.header(fields);
        match (fields.get("path"), fields.get("header")) {
            (Some(_), None) => Some(BindSource::Path(path?)),
            (None, Some(_)) => Some(BindSource::Header(header?)),
            _ => {
                fields.fault("", format!("must have exactly one of {choices}"));
                None
            }
        }
    }

    /// `idFrom`.
    pub(super) fn id_from(&self, spec: &Fields<'_>) -> Vec<IdPart> {
        let Some(parts) = spec.mappings("idFrom") else {
            return Vec::new();
        };
        if !(1..=MOST_ID_PARTS).contains(&parts.len()) {
            spec.fault(
                "idFrom",
                format!("must have 1 to {MOST_ID_PARTS} parts; leave it out for the format's own identity"),
            );
        }
        let mut read = Vec::new();
        for fields in &parts {
            let found = [
                fields
                    .get("path")
                    .map(|_| path(fields, "path").map(IdPart::Path)),
                fields
                    .get("header")
                    .map(|_| self.header(fields).map(IdPart::Header)),
                fields.get("bodyHash").map(|_| {
                    let empty = fields.fields("bodyHash")?;
                    empty.refuse_others();
                    Some(IdPart::BodyHash)
                }),
            ];
            let mut found = found.into_iter().flatten();
            match (found.next(), found.next()) {
                (Some(part), None) => {
                    if let Some(part) = part {
                        if read.contains(&part) {
                            fields.fault("", "is there twice");
                        }
                        read.push(part);
                    }
                }
                _ => fields.fault("", "must have exactly one of path, header and bodyHash"),
            }
            fields.refuse_others();
        }
        read
    }

    /// A header that is no credential, in lower case.
    fn header(&self, fields: &Fields<'_>) -> Option<String> {
        let header = header(fields, "header")?;
        if let Some(why) = self.why_secret(&header) {
            fields.fault("header", why);
            return None;
        }
        Some(header)
    }

    /// Why a header is for nobody to look at; `None` when it is no credential.
    pub(super) fn why_secret(&self, header: &str) -> Option<String> {
        let is_secret =
            SECRET_HEADERS.contains(&header) || self.secret.iter().any(|own| own == header);
        is_secret.then(|| format!("{header} carries a credential, which must not reach a Job"))
    }
}

/// A path to one value.
pub(super) fn path(fields: &Fields<'_>, key: &'static str) -> Option<Query> {
    match Query::parse(fields.text(key)?) {
        Ok(query) => Some(query),
        Err(message) => {
            fields.fault(key, message);
            None
        }
    }
}

/// The name of a header, in lower case.
pub(super) fn header(fields: &Fields<'_>, key: &'static str) -> Option<String> {
    let text = fields.text(key)?;
    if !is_header(text) {
        fields.fault(
            key,
            "must be the name of a header, such as x-request-id: letters, digits and dashes",
        );
        return None;
    }
    Some(text.to_ascii_lowercase())
}
