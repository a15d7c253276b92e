//! Connections: what an operator lends to callers over gRPC, by name.
//!
//! A list in YAML or JSON. A connection's `metadata` wins over the caller's; its
//! `authentication` is a TriggerAuthentication's `spec`, whose references are the
//! operator's own: this process's environment, Secrets of its own namespace.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::resource::authentication::{self, AuthenticationSpec, WrittenPodIdentity};
use crate::resource::document::{self, Position};
use crate::resource::fields::{Faults, Fields};

/// Credentials and settings that callers may use by their name.
#[derive(Debug, Clone, PartialEq)]
pub struct Connection {
    /// What callers write as `connection`.
    pub name: String,
    /// Namespaces whose callers may use it, at least one.
    pub namespaces: Vec<String>,
    /// Keys of triggers that win over the caller's.
    pub metadata: BTreeMap<String, String>,
    /// Whom to be.
    pub authentication: Option<AuthenticationSpec>,
}

/// One thing wrong with a list of connections, and what would be right; nothing of its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Where.
    pub position: Position,
    /// What is wrong, with the field's path in front where there is one.
    pub message: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.position, self.message)
    }
}

/// Reads a list of connections.
///
/// # Errors
///
/// Everything that is wrong: syntax, a field that does not exist or has another form, a name twice.
pub fn parse(text: &str) -> Result<Vec<Connection>, Vec<Mistake>> {
    let plain = document::read_plain(text).map_err(|misread| {
        vec![Mistake {
            position: misread.position,
            message: misread.message,
        }]
    })?;
    let Some(items) = plain.value.as_array() else {
        return Err(vec![Mistake {
            position: plain.locate(""),
            message: "must be a list of connections, each with name, namespaces, metadata, authentication"
                .to_owned(),
        }]);
    };
    let faults = Faults::default();
    let mut connections = Vec::new();
    let mut names = BTreeSet::new();
    for (index, item) in items.iter().enumerate() {
        let Some(fields) = Fields::new(&format!("[{index}]"), item, &faults) else {
            continue;
        };
        let Some(connection) = read(&fields, &faults) else {
            continue;
        };
        if !names.insert(connection.name.clone()) {
            fields.fault("name", "is used twice: each connection has its own");
        }
        connections.push(connection);
    }
    if faults.is_empty() {
        return Ok(connections);
    }
    let mistake = |fault: crate::resource::Fault| Mistake {
        position: plain.locate(&fault.field),
        message: fault.to_string(),
    };
    Err(faults.into_vec().into_iter().map(mistake).collect())
}

fn read(fields: &Fields<'_>, faults: &Faults) -> Option<Connection> {
    let name = fields.required_text("name");
    fields.required("namespaces");
    let namespaces = fields.texts("namespaces");
    if fields.has("namespaces") && namespaces.is_empty() {
        fields.fault("namespaces", "must name at least one namespace");
    }
    let metadata = fields.text_map("metadata");
    for key in metadata.keys() {
        if key.ends_with("FromEnv") {
            fields.fault(
                "metadata",
                format!("{key}: there is no workload here: write the value, or put it into authentication.env"),
            );
        }
        if ["source", "connection", "authenticationRef"].contains(&key.as_str()) {
            fields.fault(
                "metadata",
                format!("{key} is the caller's to say: leave it out"),
            );
        }
    }
    let authentication = fields
        .get("authentication")
        .and_then(|spec| read_authentication(&fields.path("authentication"), spec, faults));
    fields.refuse_others();
    Some(Connection {
        name: name?.to_owned(),
        namespaces,
        metadata,
        authentication,
    })
}

fn read_authentication(
    path: &str,
    spec: &serde_json::Value,
    faults: &Faults,
) -> Option<AuthenticationSpec> {
    let spec = authentication::parse(spec)
        .map_err(|found| {
            for fault in found {
                // The parser knows it as the `spec` of an object.
                let field = fault.field.strip_prefix("spec").unwrap_or(&fault.field);
                faults.add(format!("{path}{field}"), fault.message);
            }
        })
        .ok()?;
    if matches!(
        spec.identity,
        WrittenPodIdentity::AwsWorkload | WrittenPodIdentity::AwsEks
    ) {
        faults.add(
            format!("{path}.podIdentity"),
            "takes the role of a workload, and there is none here: use provider aws with roleArn",
        );
    }
    for (index, reference) in spec.env.iter().enumerate() {
        if reference.container_name.is_some() {
            faults.add(
                format!("{path}.env[{index}].containerName"),
                "is of a workload, and there is none here: the variable is Slipway's own",
            );
        }
    }
    Some(spec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_in_yaml_or_json_is_read() {
        let yaml = "\
- name: stage
  namespaces: [orders, billing]
  metadata: {awsEndpoint: 'http://sqs:9324', awsRegion: eu-west-1}
  authentication:
    env:
    - {parameter: awsAccessKeyID, name: STAGE_KEY}
- {name: plain, namespaces: [orders]}
";
        let connections = parse(yaml).unwrap();
        assert_eq!(connections.len(), 2);
        assert_eq!(connections[0].namespaces, ["orders", "billing"]);
        assert_eq!(connections[0].metadata["awsRegion"], "eu-west-1");
        let authentication = connections[0].authentication.as_ref().unwrap();
        assert_eq!(authentication.env[0].name, "STAGE_KEY");
        assert_eq!(connections[1].authentication, None);
        let json = r#"[{"name": "plain", "namespaces": ["orders"]}]"#;
        assert_eq!(parse(json).unwrap(), connections[1..]);
        assert_eq!(parse("[]").unwrap(), []);
    }

    #[test]
    fn what_is_wrong_has_a_line_a_field_and_no_value() {
        for (text, expected) in [
            ("", "1:1: the text is empty"),
            ("name: x", "1:1: must be a list of connections"),
            ("- {namespaces: [a]}", "1:3: [0].name: is required"),
            ("- {name: x}", "1:3: [0].namespaces: is required"),
            (
                "- name: x\n  namespaces: []",
                "2:3: [0].namespaces: must name at least one namespace",
            ),
            (
                "- {name: x, namespaces: [a], metadata: {queueURLFromEnv: s3cret}}",
                "1:30: [0].metadata: queueURLFromEnv: there is no workload here",
            ),
            (
                "- {name: x, namespaces: [a], metadata: {source: kafka}}",
                "1:30: [0].metadata: source is the caller's to say",
            ),
            (
                "- name: x\n  namespaces: [a]\n  password: s3cret",
                "3:3: [0].password: ",
            ),
            (
                "- name: x\n  namespaces: [a]\n- name: x\n  namespaces: [b]",
                "3:3: [1].name: is used twice",
            ),
            (
                "- name: x\n  namespaces: [a]\n  authentication:\n    env: [{parameter: p}]",
                "4:11: [0].authentication.env[0].name: is required",
            ),
            (
                "- name: x\n  namespaces: [a]\n  authentication:\n    podIdentity: {provider: aws-eks}",
                "4:5: [0].authentication.podIdentity: takes the role of a workload",
            ),
            ("- [1", "1:"),
        ] {
            let mistakes = parse(text).unwrap_err();
            let told = mistakes[0].to_string();
            assert!(told.starts_with(expected), "{text}\n{told}\n{expected}");
            assert!(!told.contains("s3cret"), "{told}");
        }
    }
}
