//! An SNS message and the text of it that is signed.
//!
//! Source: SNS Developer Guide, "Verifying the signatures of Amazon SNS messages".

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::Deserialize;

use crate::intake::auth::fault::{FaultCause, SenderFault};

const NOTIFICATION: &str = "Notification";
const KINDS: [&str; 3] = [
    NOTIFICATION,
    "SubscriptionConfirmation",
    "UnsubscribeConfirmation",
];

/// Whether SNS sends messages of this type.
pub(super) fn is_kind(text: &str) -> bool {
    KINDS.contains(&text)
}

/// A message of which nothing is proved yet.
pub(super) struct Message {
    pub(super) kind: String,
    pub(super) topic_arn: String,
    pub(super) timestamp: Timestamp,
    pub(super) certificate_url: String,
    pub(super) signature: Vec<u8>,
    /// What the signature is over.
    pub(super) signed: String,
}

/// Fields that come twice are refused: others may read the other one.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct MessageFields {
    r#type: String,
    message_id: String,
    topic_arn: String,
    message: String,
    timestamp: String,
    subject: Option<String>,
    #[serde(rename = "SubscribeURL")]
    subscribe_url: Option<String>,
    token: Option<String>,
    signature_version: String,
    signature: String,
    #[serde(rename = "SigningCertURL")]
    signing_cert_url: String,
}

impl Message {
    /// Takes a body apart.
    ///
    /// # Errors
    ///
    /// SNS would not send it so, or not sign it with version 2.
    pub(super) fn parse(body: &[u8]) -> Result<Self, SenderFault> {
        let malformed = |field: &str| SenderFault::new(field, FaultCause::Malformed);
        let wire: MessageFields = serde_json::from_slice(body).map_err(|_| malformed("body"))?;
        if !is_kind(&wire.r#type) {
            return Err(malformed("$.Type"));
        }
        match wire.signature_version.as_str() {
            "2" => {}
            "1" => {
                let fault = SenderFault::new("$.SignatureVersion", FaultCause::BrokenHash);
                return Err(fault);
            }
            _ => return Err(malformed("$.SignatureVersion")),
        }
        let timestamp = wire.timestamp.parse();
        let signature = STANDARD.decode(&wire.signature);
        Ok(Self {
            signed: wire.signed().ok_or_else(|| malformed("body"))?,
            timestamp: timestamp.map_err(|_| malformed("$.Timestamp"))?,
            signature: signature.map_err(|_| malformed("$.Signature"))?,
            kind: wire.r#type,
            topic_arn: wire.topic_arn,
            certificate_url: wire.signing_cert_url,
        })
    }
}

impl MessageFields {
    /// Names and values, a line each.
    fn signed(&self) -> Option<String> {
        let mut fields = vec![("Message", &self.message), ("MessageId", &self.message_id)];
        if self.r#type == NOTIFICATION {
            fields.extend(self.subject.as_ref().map(|subject| ("Subject", subject)));
            fields.push(("Timestamp", &self.timestamp));
        } else {
            fields.push(("SubscribeURL", self.subscribe_url.as_ref()?));
            fields.push(("Timestamp", &self.timestamp));
            fields.push(("Token", self.token.as_ref()?));
        }
        fields.push(("TopicArn", &self.topic_arn));
        fields.push(("Type", &self.r#type));
        // Only the message may have lines of its own. Otherwise the same text could be cut into other fields.
        if fields.iter().skip(1).any(|(_, value)| value.contains('\n')) {
            return None;
        }
        let mut text = String::new();
        for (name, value) in fields {
            text.extend([name, "\n", value, "\n"]);
        }
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn notification() -> Value {
        json!({
            "Type": "Notification", "MessageId": "m", "TopicArn": "arn:t", "Message": "two\nlines",
            "Timestamp": "2026-11-28T12:00:00.000Z", "SignatureVersion": "2", "Signature": "AAAA",
            "SigningCertURL": "https://x", "UnsubscribeURL": "https://y", "SequenceNumber": "1",
        })
    }

    fn signed(value: &Value) -> Option<String> {
        let message = Message::parse(value.to_string().as_bytes());
        message.map(|message| message.signed).ok()
    }

    #[test]
    fn the_signed_text_is_names_and_values_in_order() {
        let mut value = notification();
        assert_eq!(
            signed(&value).unwrap(),
            "Message\ntwo\nlines\nMessageId\nm\nTimestamp\n2026-11-28T12:00:00.000Z\nTopicArn\narn:t\nType\nNotification\n"
        );
        value["Subject"] = json!("s");
        assert_eq!(
            signed(&value).unwrap(),
            "Message\ntwo\nlines\nMessageId\nm\nSubject\ns\nTimestamp\n2026-11-28T12:00:00.000Z\nTopicArn\narn:t\nType\nNotification\n"
        );
        value["Type"] = json!("SubscriptionConfirmation");
        assert_eq!(signed(&value), None, "it has no token");
        value["Token"] = json!("k");
        value["SubscribeURL"] = json!("https://u");
        assert_eq!(
            signed(&value).unwrap(),
            "Message\ntwo\nlines\nMessageId\nm\nSubscribeURL\nhttps://u\nTimestamp\n2026-11-28T12:00:00.000Z\nToken\nk\nTopicArn\narn:t\nType\nSubscriptionConfirmation\n"
        );
    }

    #[test]
    fn what_sns_would_not_send_is_no_message() {
        for (field, value) in [
            ("Type", json!("Other")),
            ("SignatureVersion", json!("1")),
            ("SignatureVersion", json!(2)),
            ("Timestamp", json!("yesterday")),
            ("Signature", json!("not base64")),
            ("Message", Value::Null),
            ("MessageId", json!("m\nSubject\nx")),
            ("Subject", json!("two\nlines")),
            ("TopicArn", json!(["arn:t"])),
        ] {
            let mut changed = notification();
            changed[field] = value.clone();
            assert_eq!(signed(&changed), None, "{field}: {value}");
        }
        let twice = notification()
            .to_string()
            .replacen('{', "{\"Message\":\"other\",", 1);
        assert!(Message::parse(twice.as_bytes()).is_err());
    }
}
