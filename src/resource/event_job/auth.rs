//! `source.webhook.auth`: ways to prove who sends. Only the names of Secrets are here.

use url::Url;

use super::origin::header;
use super::{Auth, SecretKey, signature};
use crate::resource::fields::Fields;
use crate::resource::names::{is_data_key, is_subdomain};

const KINDS: [&str; 6] = ["apiKey", "basic", "hmac", "jwt", "sns", "none"];
/// Keys that one scheme tries.
const MOST_KEYS: usize = 8;
/// Topics that one scheme lists.
const MOST_TOPICS: usize = 64;
/// Where a key is looked for when no header is written.
const API_KEY_HEADER: &str = "x-api-key";

/// One entry; `None` when it is wrong.
pub(super) fn read(entry: &Fields<'_>) -> Option<Auth> {
    let mut found = KINDS.map(|kind| {
        entry.get(kind)?;
        Some(entry.fields(kind).and_then(|fields| {
            let auth = match kind {
                "apiKey" => api_key(&fields),
                "basic" => basic(&fields),
                "hmac" => hmac(&fields),
                "jwt" => jwt(&fields),
                "sns" => sns(&fields),
                _ => Some(Auth::None),
            };
            fields.refuse_others();
            auth
        }))
    });
    entry.refuse_others();
    if found.iter().flatten().count() != 1 {
        let kinds = KINDS.join(", ");
        entry.fault("", format!("must have exactly one of {kinds}"));
        return None;
    }
    found.iter_mut().find_map(Option::take).flatten()
}

fn api_key(fields: &Fields<'_>) -> Option<Auth> {
    let written = fields.get("header").is_some();
    let header = header(fields, "header");
    let keys = keys(fields)?;
    let default = || (!written).then(|| API_KEY_HEADER.to_owned());
    Some(Auth::ApiKey {
        header: header.or_else(default)?,
        keys,
    })
}

fn basic(fields: &Fields<'_>) -> Option<Auth> {
    fields.required("secretRef");
    let reference = fields.fields("secretRef")?;
    let secret = secret_name(&reference);
    reference.refuse_others();
    Some(Auth::Basic { secret: secret? })
}

fn hmac(fields: &Fields<'_>) -> Option<Auth> {
    let keys = keys(fields);
    let scheme = signature::read(fields);
    Some(Auth::Hmac {
        scheme: scheme?,
        keys: keys?,
    })
}

fn jwt(fields: &Fields<'_>) -> Option<Auth> {
    let issuer = fields.required_text("issuer");
    let audience = fields.required_text("audience");
    let url = fields.required_text("jwksURL").and_then(|text| {
        let is_right = |url: &Url| {
            url.scheme() == "https"
                && url.has_host()
                && url.username().is_empty()
                && url.password().is_none()
                && url.fragment().is_none()
        };
        let url = Url::parse(text).ok().filter(is_right);
        if url.is_none() {
            fields.fault(
                "jwksURL",
                "must be an address such as https://issuer.example/keys, without user, password and fragment",
            );
        }
        url
    });
    Some(Auth::Jwt {
        issuer: issuer?.to_owned(),
        audience: audience?.to_owned(),
        jwks_url: url?,
    })
}

fn sns(fields: &Fields<'_>) -> Option<Auth> {
    fields.required("topicARNs");
    fields.list("topicARNs")?;
    Some(Auth::Sns {
        topic_arns: topics(fields, "topicARNs"),
    })
}

/// A list of topics.
pub(super) fn topics(fields: &Fields<'_>, key: &'static str) -> Vec<String> {
    let topics = fields.texts(key);
    if !(1..=MOST_TOPICS).contains(&topics.len()) {
        fields.fault(key, format!("must have 1 to {MOST_TOPICS} topics"));
    }
    for (index, topic) in topics.iter().enumerate() {
        if !is_topic(topic) {
            fields.fault(
                &format!("{key}[{index}]"),
                "must be a topic such as arn:aws:sns:eu-west-1:123456789012:orders",
            );
        }
    }
    topics
}

fn is_topic(arn: &str) -> bool {
    let parts: Vec<_> = arn.split(':').collect();
    let is_word = |text: &str, more: &str| {
        !text.is_empty()
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || more.contains(c))
    };
    let [arn, partition, service, region, account, topic] = parts[..] else {
        return false;
    };
    arn == "arn"
        && partition.starts_with("aws")
        && is_word(partition, "-")
        && service == "sns"
        && is_word(region, "-")
        && account.len() == 12
        && account.chars().all(|digit| digit.is_ascii_digit())
        && is_word(topic, "-_.")
}

/// `secretKeyRefs`.
fn keys(fields: &Fields<'_>) -> Option<Vec<SecretKey>> {
    fields.required("secretKeyRefs");
    let references = fields.mappings("secretKeyRefs")?;
    if !(1..=MOST_KEYS).contains(&references.len()) {
        fields.fault("secretKeyRefs", format!("must have 1 to {MOST_KEYS} keys"));
    }
    let mut keys = Vec::new();
    for reference in &references {
        let name = secret_name(reference);
        let key = reference.required_text("key").filter(|key| {
            let is_right = is_data_key(key);
            if !is_right {
                reference.fault(
                    "key",
                    "must be a key of a Secret: letters, digits, dashes, dots and underscores",
                );
            }
            is_right
        });
        reference.refuse_others();
        if let (Some(name), Some(key)) = (name, key) {
            let key = SecretKey {
                name,
                key: key.to_owned(),
            };
            if keys.contains(&key) {
                reference.fault("", "is there twice");
            }
            keys.push(key);
        }
    }
    (keys.len() == references.len()).then_some(keys)
}

fn secret_name(reference: &Fields<'_>) -> Option<String> {
    let name = reference.required_text("name")?;
    if !is_subdomain(name) {
        reference.fault(
            "name",
            "must be the name of a Secret of this namespace: lower-case letters, digits, dashes and dots",
        );
        return None;
    }
    Some(name.to_owned())
}
