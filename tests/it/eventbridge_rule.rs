//! The CloudFormation template of the examples: whole in itself, and posting to the door of the EventJob beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use slipway::pattern::Pattern;
use slipway::resource::{document, event_job};

/// Type, properties that CloudFormation requires or that this needs, attributes that `Fn::GetAtt` may name.
const TYPES: &[(&str, &[&str], &[&str])] = &[
    (
        "AWS::Events::Connection",
        &["AuthorizationType", "AuthParameters"],
        &["Arn", "SecretArn"],
    ),
    (
        "AWS::Events::ApiDestination",
        &["ConnectionArn", "HttpMethod", "InvocationEndpoint"],
        &["Arn"],
    ),
    ("AWS::Events::Rule", &["EventPattern", "Targets"], &["Arn"]),
    (
        "AWS::SQS::Queue",
        &["MessageRetentionPeriod"],
        &["Arn", "QueueName", "QueueUrl"],
    ),
    ("AWS::SQS::QueuePolicy", &["PolicyDocument", "Queues"], &[]),
    (
        "AWS::IAM::Role",
        &["AssumeRolePolicyDocument", "Policies"],
        &["Arn", "RoleId"],
    ),
];

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")
}

fn template() -> Value {
    let text = fs::read_to_string(examples().join("eventbridge-rule/template.yaml")).unwrap();
    serde_saphyr::from_str(&text).unwrap()
}

/// The EventJob that the template posts to.
fn invoice_generator() -> Value {
    let text = fs::read_to_string(examples().join("events/invoice-generator.yaml")).unwrap();
    document::read(&text).0.remove(0).value
}

/// The one resource of that type.
fn only<'a>(template: &'a Value, kind: &str) -> &'a Value {
    let resources = template["Resources"].as_object().unwrap().values();
    let found: Vec<&Value> = resources
        .filter(|resource| resource["Type"] == kind)
        .collect();
    assert_eq!(found.len(), 1, "{kind}");
    &found[0]["Properties"]
}

/// Everything that is referred to: a name, and the attribute that is asked for.
fn references(value: &Value, found: &mut BTreeSet<(String, Option<String>)>) {
    match value {
        Value::Object(fields) => {
            for (field, value) in fields {
                match (field.as_str(), value) {
                    ("Ref", Value::String(name)) => {
                        found.insert((name.clone(), None));
                    }
                    ("Fn::GetAtt", Value::Array(parts)) => {
                        let part = |index: usize| parts[index].as_str().unwrap().to_owned();
                        found.insert((part(0), Some(part(1))));
                    }
                    ("Fn::Sub", Value::String(text)) => {
                        let names = text.split("${").skip(1);
                        found.extend(
                            names.map(|rest| (rest.split('}').next().unwrap().to_owned(), None)),
                        );
                    }
                    (function, _) => {
                        assert!(
                            !function.starts_with("Fn::"),
                            "{function} is not looked into"
                        );
                        references(value, found);
                    }
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[test]
fn its_resources_have_what_they_need_and_refer_to_what_is_there() {
    let template = template();
    assert_eq!(template["AWSTemplateFormatVersion"], "2010-09-09");
    let resources = template["Resources"].as_object().unwrap();
    let kinds: BTreeMap<&String, &str> = resources
        .iter()
        .map(|(name, resource)| (name, resource["Type"].as_str().unwrap()))
        .collect();
    assert_eq!(
        kinds.values().copied().collect::<BTreeSet<_>>(),
        TYPES.iter().map(|row| row.0).collect()
    );
    let row = |kind: &str| TYPES.iter().find(|row| row.0 == kind).unwrap();
    for (name, resource) in resources {
        for property in row(kinds[name]).1 {
            assert!(
                resource["Properties"].get(property).is_some(),
                "{name}.{property}"
            );
        }
        let fields: BTreeSet<&str> = resource
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        assert_eq!(fields, BTreeSet::from(["Type", "Properties"]), "{name}");
    }
    let parameters = template["Parameters"].as_object().unwrap();
    let mut found = BTreeSet::new();
    references(&template["Resources"], &mut found);
    references(&template["Outputs"], &mut found);
    for (name, attribute) in &found {
        let is_there = match attribute {
            Some(attribute) => row(kinds[name]).2.contains(&attribute.as_str()),
            None => {
                parameters.contains_key(name)
                    || kinds.contains_key(name)
                    || name == "AWS::AccountId"
            }
        };
        assert!(is_there, "{name} {attribute:?}");
    }
    for parameter in parameters.keys() {
        assert!(
            found.contains(&(parameter.clone(), None)),
            "{parameter} is used"
        );
    }
    assert_eq!(parameters["ApiKey"]["NoEcho"], true);
    assert_eq!(parameters["ApiKey"].get("Default"), None);
}

#[test]
fn it_posts_what_the_event_job_takes_to_its_door_with_its_key() {
    let (template, invoice) = (template(), invoice_generator());
    let parsed = event_job::parse(&invoice).unwrap();
    let destination = only(&template, "AWS::Events::ApiDestination");
    let metadata = &invoice["metadata"];
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let path = format!(
        "/events/{}/{}",
        text(&metadata["namespace"]),
        text(&metadata["name"])
    );
    assert_eq!(
        destination["InvocationEndpoint"]["Fn::Sub"],
        format!("https://${{Host}}{path}")
    );
    assert_eq!(destination["HttpMethod"], "POST");

    let connection = only(&template, "AWS::Events::Connection");
    assert_eq!(connection["AuthorizationType"], "API_KEY");
    let key = &connection["AuthParameters"]["ApiKeyAuthParameters"];
    let auth = &invoice["spec"]["source"]["webhook"]["auth"][0]["apiKey"];
    assert_eq!(key["ApiKeyName"], auth["header"]);
    assert_eq!(key["ApiKeyValue"], json!({"Ref": "ApiKey"}));

    let rule = only(&template, "AWS::Events::Rule");
    assert_eq!(rule["EventPattern"], invoice["spec"]["pattern"]);
    let pattern = Pattern::from_value(&rule["EventPattern"]).unwrap();
    let sent =
        fs::read_to_string(examples().join("events/sent/subscription-renewed.json")).unwrap();
    assert!(pattern.matches(&sent));

    // The last try comes while the first is still remembered.
    let target = &rule["Targets"][0];
    let age = target["RetryPolicy"]["MaximumEventAgeInSeconds"]
        .as_u64()
        .unwrap();
    assert!(age <= 86_400 && Duration::from_secs(age) < parsed.deduplicate_for);
    assert!(
        target["RetryPolicy"]["MaximumRetryAttempts"]
            .as_u64()
            .unwrap()
            <= 185
    );
    // The event as it is: an input of the rule's own would have another shape.
    for changed in ["Input", "InputPath", "InputTransformer"] {
        assert_eq!(target.get(changed), None);
    }
}

#[test]
fn its_role_may_call_the_destination_and_its_rule_may_fill_the_dead_letters() {
    let template = template();
    let role = only(&template, "AWS::IAM::Role");
    let target = &only(&template, "AWS::Events::Rule")["Targets"][0];
    let statements = &role["Policies"][0]["PolicyDocument"]["Statement"];
    assert_eq!(statements.as_array().unwrap().len(), 1);
    assert_eq!(statements[0]["Action"], "events:InvokeApiDestination");
    assert_eq!(statements[0]["Resource"], target["Arn"]);
    assert_eq!(target["RoleArn"], json!({"Fn::GetAtt": ["Role", "Arn"]}));
    let trust = &role["AssumeRolePolicyDocument"]["Statement"][0];
    assert_eq!(trust["Principal"]["Service"], "events.amazonaws.com");

    let policy = &only(&template, "AWS::SQS::QueuePolicy")["PolicyDocument"]["Statement"][0];
    assert_eq!(policy["Action"], "sqs:SendMessage");
    assert_eq!(policy["Resource"], target["DeadLetterConfig"]["Arn"]);
    let sender = &policy["Condition"]["ArnEquals"]["aws:SourceArn"];
    assert_eq!(*sender, json!({"Fn::GetAtt": ["Rule", "Arn"]}));
}
