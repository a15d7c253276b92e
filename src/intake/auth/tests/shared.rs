//! Ways in that rest on a shared secret: keys in headers, Basic, HMAC.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac::{HMAC_SHA256, HMAC_SHA384, Key, sign};
use serde_json::json;

use super::schemes::scheme;
use super::world::{NOW, SIGNING, SIGNING_BEFORE, Sender};
use super::{Row, api_key, hmac, known, row};
use crate::resource::event_job::Auth;

const BODY: &str = r#"{"id": 1}"#;

pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

pub(super) fn tag(key: &[u8], text: &str) -> Vec<u8> {
    sign(&Key::new(HMAC_SHA256, key), text.as_bytes())
        .as_ref()
        .to_vec()
}

/// Standard Webhooks.
fn standard(id: &str, timestamp: &str, signature: impl AsRef<[u8]>) -> Sender {
    Sender::new(BODY)
        .header("webhook-id", id)
        .header("webhook-timestamp", timestamp)
        .header("webhook-signature", signature)
}

fn standard_tag(key: &[u8], id: &str, timestamp: &str) -> String {
    let text = format!("{id}.{timestamp}.{BODY}");
    format!("v1,{}", STANDARD.encode(tag(key, &text)))
}

fn at(offset: i64) -> Sender {
    let timestamp = (NOW + offset).to_string();
    standard("id", &timestamp, standard_tag(SIGNING, "id", &timestamp))
}

fn github(value: &str) -> Sender {
    Sender::new(BODY).header("x-hub-signature-256", value)
}

fn generic(signature: &str, timestamp: &str) -> Sender {
    Sender::new(BODY)
        .header("x-signature", signature)
        .header("x-time", timestamp)
}

fn basic(credentials: &str) -> Sender {
    Sender::new("").header("authorization", credentials)
}

fn user(text: impl AsRef<[u8]>) -> Sender {
    basic(&format!("Basic {}", STANDARD.encode(text)))
}

fn key(value: &str) -> Sender {
    Sender::new("").header("x-api-key", value)
}

struct Ways {
    api_key: Auth,
    basic: Auth,
    standard: Auth,
    github: Auth,
    plain: Auth,
    timed: Auth,
}

fn ways() -> Ways {
    let plain = json!({"scheme": "Generic", "signatureHeader": "x-signature"});
    let mut timed = plain.clone();
    timed["timestampHeader"] = json!("X-Time");
    Ways {
        api_key: api_key(&["current", "previous"]),
        basic: Auth::Basic {
            secret: String::from("door"),
        },
        standard: hmac(known("StandardWebhooks"), &["signing", "before"]),
        github: hmac(known("GitHub"), &["text"]),
        plain: hmac(scheme(&plain), &["text"]),
        timed: hmac(scheme(&timed), &["text"]),
    }
}

pub(super) const TEXT: &[u8] = b"canary-text-key";

pub(super) fn good() -> Vec<Row> {
    let ways = ways();
    let now = NOW.to_string();
    let github_tag = hex(&tag(TEXT, BODY));
    let timed_tag = tag(TEXT, &format!("{now}.{BODY}"));
    let wrong = standard_tag(b"other", "id", &now);
    let right = standard_tag(SIGNING, "id", &now);
    let before = standard_tag(SIGNING_BEFORE, "id", &now);
    vec![
        row("the current key", &ways.api_key, key("canary-current-key")),
        row(
            "the previous key",
            &ways.api_key,
            key("canary-previous-key"),
        ),
        row(
            "a password with colons",
            &ways.basic,
            user("canary-user:canary:pass:wörd"),
        ),
        row(
            "a scheme in lower case",
            &ways.basic,
            basic(&format!(
                "basic {}",
                STANDARD.encode("canary-user:canary:pass:wörd")
            )),
        ),
        row("a webhook", &ways.standard, at(0)),
        row("a webhook of five minutes ago", &ways.standard, at(-300)),
        row("a webhook five minutes ahead", &ways.standard, at(300)),
        row(
            "a webhook signed with the key before",
            &ways.standard,
            standard("id", &now, before),
        ),
        row(
            "two signatures of which one is right",
            &ways.standard,
            standard("id", &now, format!("{wrong} v1a,AAAA {right}")),
        ),
        row(
            "GitHub",
            &ways.github,
            github(&format!("sha256={github_tag}")),
        ),
        row(
            "GitHub with a key from a file",
            &hmac(known("GitHub"), &["text-from-file"]),
            github(&format!("sha256={github_tag}")),
        ),
        row("hexadecimal", &ways.plain, generic(&github_tag, "")),
        row(
            "hexadecimal after an algorithm",
            &ways.plain,
            generic(&format!("hmac-sha256={}", github_tag.to_uppercase()), ""),
        ),
        row(
            "base64",
            &ways.plain,
            generic(&STANDARD.encode(tag(TEXT, BODY)), ""),
        ),
        row(
            "with its time",
            &ways.timed,
            generic(&STANDARD.encode(timed_tag), &now),
        ),
    ]
}

pub(super) fn forged() -> Vec<Row> {
    [keys(), users(), webhooks(), signatures()].concat()
}

fn keys() -> Vec<Row> {
    let way = ways().api_key;
    let right = "canary-current-key";
    vec![
        row("no key", &way, Sender::new("")),
        row("an empty key", &way, key("")),
        row("another key", &way, key("canary-other-key")),
        row("the beginning of the key", &way, key("canary-current-ke")),
        row("the key and more", &way, key("canary-current-key1")),
        row("the key in capitals", &way, key("CANARY-CURRENT-KEY")),
        row(
            "both keys in one",
            &way,
            key("canary-current-key,canary-previous-key"),
        ),
        row("the key twice", &way, key(right).header("x-api-key", right)),
        row(
            "a wrong key before the key",
            &way,
            key("wrong").header("x-api-key", right),
        ),
        row(
            "the key in another header",
            &way,
            Sender::new("").header("x-api-keys", right),
        ),
        row(
            "the key as a bearer token",
            &way,
            basic(&format!("Bearer {right}")),
        ),
        row("a key of 9 KiB", &way, key(&"k".repeat(9 * 1024))),
        row(
            "a key that is no text",
            &way,
            Sender::new("").header("x-api-key", [0xff, 0xfe]),
        ),
    ]
}

fn users() -> Vec<Row> {
    let way = ways().basic;
    let right = "canary-user:canary:pass:wörd";
    let credentials = format!("Basic {}", STANDARD.encode(right));
    let cut_padding = credentials.trim_end_matches('=').to_owned();
    assert_ne!(cut_padding, credentials);
    vec![
        row("a user without credentials", &way, basic("Basic")),
        row(
            "another password",
            &way,
            user("canary-user:canary:pass:word"),
        ),
        row("another user", &way, user("canary-users:canary:pass:wörd")),
        row(
            "user and password exchanged",
            &way,
            user("canary:pass:wörd:canary-user"),
        ),
        row("no password", &way, user("canary-user:")),
        row("no user", &way, user(":canary:pass:wörd")),
        row("no colon", &way, user("canary-user")),
        row(
            "a password in Latin-1",
            &way,
            user(b"canary-user:canary:pass:w\xf6rd"),
        ),
        row(
            "a password with NUL",
            &way,
            user("canary-user:canary:pass:wörd\0"),
        ),
        row(
            "credentials in the clear",
            &way,
            basic(&format!("Basic {right}")),
        ),
        row(
            "another scheme",
            &way,
            basic(&credentials.replace("Basic", "Digest")),
        ),
        row("base64 without its padding", &way, basic(&cut_padding)),
        row(
            "credentials twice",
            &way,
            basic(&credentials).header("authorization", &credentials),
        ),
    ]
}

#[expect(clippy::too_many_lines, reason = "a table of rows")]
fn webhooks() -> Vec<Row> {
    let way = ways().standard;
    let now = NOW.to_string();
    let right = standard_tag(SIGNING, "id", &now);
    let changed = |body: &str| {
        let mut sender = at(0);
        sender.body = body.into();
        sender
    };
    let without = |name: &str| {
        let mut sender = at(0);
        sender.headers.remove(name);
        sender
    };
    let bare = STANDARD.encode(tag(SIGNING, BODY));
    let text_key = format!("whsec_{}", STANDARD.encode(SIGNING));
    let nine = [right.as_str(); 9].join(" ");
    let dotted = standard_tag(SIGNING, "i.d", &now);
    let spaced = format!(" {now}");
    vec![
        row("a webhook with another body", &way, changed(r#"{"id": 2}"#)),
        row(
            "a webhook with a space more",
            &way,
            changed(r#"{"id":  1}"#),
        ),
        row("a webhook without its body", &way, changed("")),
        row("a webhook of before five minutes", &way, at(-301)),
        row("a webhook of after five minutes", &way, at(301)),
        row("a webhook without id", &way, without("webhook-id")),
        row("a webhook without time", &way, without("webhook-timestamp")),
        row(
            "a webhook without signature",
            &way,
            without("webhook-signature"),
        ),
        row(
            "an id that is not the signed one",
            &way,
            standard("other", &now, &right),
        ),
        row(
            "a time that is not the signed one",
            &way,
            standard("id", &(NOW + 1).to_string(), &right),
        ),
        row("an id with a dot", &way, standard("i.d", &now, dotted)),
        row(
            "a part of the time in the id",
            &way,
            standard(&format!("id.{now}"), &now, &right),
        ),
        row(
            "a time that is no number",
            &way,
            standard("id", "now", standard_tag(SIGNING, "id", "now")),
        ),
        row(
            "a time with a fraction",
            &way,
            standard("id", &format!("{now}.5"), &right),
        ),
        row(
            "a time with a space",
            &way,
            standard("id", &spaced, standard_tag(SIGNING, "id", &spaced)),
        ),
        row("two ids", &way, at(0).header("webhook-id", "id")),
        row(
            "two signature headers",
            &way,
            at(0).header("webhook-signature", &right),
        ),
        row("two times", &way, at(0).header("webhook-timestamp", &now)),
        row("nine signatures", &way, standard("id", &now, nine)),
        row(
            "an unknown version",
            &way,
            standard("id", &now, right.replace("v1", "v2")),
        ),
        row(
            "a signature without version",
            &way,
            standard("id", &now, &right[3..]),
        ),
        row(
            "half a signature",
            &way,
            standard("id", &now, &right[..right.len() / 2]),
        ),
        row(
            "no signature after the version",
            &way,
            standard("id", &now, "v1,"),
        ),
        row(
            "a webhook signed with another key",
            &way,
            standard("id", &now, standard_tag(b"other", "id", &now)),
        ),
        row(
            "a webhook signed with no key",
            &way,
            standard("id", &now, standard_tag(b"", "id", &now)),
        ),
        row(
            "a webhook signed with the key's text",
            &way,
            standard("id", &now, standard_tag(text_key.as_bytes(), "id", &now)),
        ),
        row(
            "a signature over the body alone",
            &way,
            standard("id", &now, format!("v1,{bare}")),
        ),
    ]
}

fn signatures() -> Vec<Row> {
    let ways = ways();
    let way = &ways.github;
    let right = hex(&tag(TEXT, BODY));
    let long = sign(&Key::new(HMAC_SHA384, TEXT), BODY.as_bytes());
    let now = NOW.to_string();
    let old = (NOW - 301).to_string();
    let timed = |time: &str| hex(&tag(TEXT, &format!("{time}.{BODY}")));
    let mut changed = github(&format!("sha256={right}"));
    changed.body.push(b'\n');
    vec![
        row("GitHub without signature", way, Sender::new(BODY)),
        row("GitHub with a line more", way, changed),
        row("GitHub without its prefix", way, github(&right)),
        row(
            "GitHub's old algorithm",
            way,
            github(&format!("sha1={right}")),
        ),
        row(
            "GitHub's old header",
            way,
            Sender::new(BODY).header("x-hub-signature", format!("sha256={right}")),
        ),
        row(
            "GitHub cut short",
            way,
            github(&format!("sha256={}", &right[..62])),
        ),
        row("GitHub with nothing", way, github("sha256=")),
        row(
            "GitHub with zeroes",
            way,
            github(&format!("sha256={}", "0".repeat(64))),
        ),
        row(
            "GitHub in base64",
            way,
            github(&format!("sha256={}", STANDARD.encode(tag(TEXT, BODY)))),
        ),
        row(
            "GitHub with another key",
            way,
            github(&format!("sha256={}", hex(&tag(b"other", BODY)))),
        ),
        row(
            "GitHub twice",
            way,
            github(&format!("sha256={right}")).header("x-hub-signature-256", "sha256="),
        ),
        row(
            "a longer hash",
            &ways.plain,
            generic(&hex(long.as_ref()), ""),
        ),
        row(
            "its first bytes",
            &ways.plain,
            generic(&hex(&long.as_ref()[..32]), ""),
        ),
        row(
            "a signature of another body",
            &ways.plain,
            generic(&hex(&tag(TEXT, "{}")), ""),
        ),
        row(
            "two prefixes",
            &ways.plain,
            generic(&format!("a=b={right}"), ""),
        ),
        row(
            "a time that is not signed",
            &ways.timed,
            generic(&right, &now),
        ),
        row(
            "a signed time that is too old",
            &ways.timed,
            generic(&timed(&old), &old),
        ),
        row(
            "a fresh time before an old signature",
            &ways.timed,
            generic(&timed(&old), &now),
        ),
        row(
            "no time",
            &ways.timed,
            Sender::new(BODY).header("x-signature", timed(&now)),
        ),
    ]
}

/// Rows whose trouble is ours: even who knows that a key is nothing has not got in.
pub(super) fn troubled() -> Vec<Row> {
    let now = NOW.to_string();
    let signed_with_nothing = standard("id", &now, standard_tag(b"", "id", &now));
    ["not-base64", "nothing", "empty", "absent"]
        .map(|key| {
            let way = hmac(known("StandardWebhooks"), &[key]);
            row(key, &way, signed_with_nothing.clone())
        })
        .into()
}
