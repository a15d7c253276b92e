//! What somebody may ask for through the page.

use serde::Deserialize;

use crate::page::object::{PageKey, PageKind};
use crate::resource::ObjectId;

/// A write that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdminAction {
    /// Make a Job of a schedule now.
    Trigger(PageKey),
    /// Make the next attempt of a Job that failed.
    Rerun(ObjectId),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenAction {
    action: String,
    kind: String,
    namespace: String,
    name: String,
}

impl AdminAction {
    /// Reads one.
    ///
    /// # Errors
    ///
    /// What is wrong, in words.
    pub(super) fn parse(body: &[u8]) -> Result<Self, String> {
        let written: WrittenAction =
            serde_json::from_slice(body).map_err(|error| format!("this is no action: {error}"))?;
        if ![&written.namespace, &written.name]
            .into_iter()
            .all(|name| is_name(name))
        {
            return Err("namespace and name must be names of Kubernetes".to_owned());
        }
        let id = ObjectId::new(written.namespace, written.name);
        match (written.action.as_str(), written.kind.as_str()) {
            ("rerun", "Job") => Ok(Self::Rerun(id)),
            ("rerun", _) => Err("only a Job runs again: kind must be Job".to_owned()),
            ("trigger", kind) => {
                let kind = PageKind::parse(kind).ok_or(
                    "kind is not known: EventJob, ScaledJob, ScaledJob.keda.sh and CronJob are",
                )?;
                Ok(Self::Trigger(PageKey { id, kind }))
            }
            _ => Err("action is not known: trigger and rerun are".to_owned()),
        }
    }
}

/// Whether something of Kubernetes may have this name (RFC 1123, with dots).
pub(super) fn is_name(name: &str) -> bool {
    let ends_well =
        |letter: Option<char>| letter.is_some_and(|letter| letter.is_ascii_alphanumeric());
    name.len() <= 253
        && name
            .chars()
            .all(|letter| matches!(letter, 'a'..='z' | '0'..='9' | '-' | '.'))
        && ends_well(name.chars().next())
        && ends_well(name.chars().next_back())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_names_its_object() {
        let text = r#"{"action":"trigger","kind":"eventjob","namespace":"n","name":"a.b-1"}"#;
        let key = PageKey {
            id: ObjectId::new("n", "a.b-1"),
            kind: PageKind::EventJob,
        };
        assert_eq!(
            AdminAction::parse(text.as_bytes()),
            Ok(AdminAction::Trigger(key))
        );
        let text = r#"{"action":"rerun","kind":"Job","namespace":"n","name":"j"}"#;
        let job = ObjectId::new("n", "j");
        assert_eq!(
            AdminAction::parse(text.as_bytes()),
            Ok(AdminAction::Rerun(job))
        );
        for wrong in [
            "",
            "[]",
            r#"{"action":"delete","kind":"EventJob","namespace":"n","name":"a"}"#,
            r#"{"action":"rerun","kind":"EventJob","namespace":"n","name":"a"}"#,
            r#"{"action":"trigger","kind":"Pod","namespace":"n","name":"a"}"#,
            r#"{"action":"trigger","kind":"EventJob","namespace":"n","name":"../x"}"#,
            r#"{"action":"trigger","kind":"EventJob","namespace":"","name":"a"}"#,
            r#"{"action":"trigger","kind":"EventJob","namespace":"n","name":"a","force":true}"#,
        ] {
            assert!(AdminAction::parse(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
