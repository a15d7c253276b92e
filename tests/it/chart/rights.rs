//! The rights that the chart gives are those of `docs/operating.md`: no more, no less, nowhere else.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{only, render};
use crate::controller::rights::{KEDA_RIGHTS, RIGHTS};

/// Group, resource, verb, and the name it is held to.
type Right = (String, String, String, Option<String>);

fn texts(value: &Value) -> Vec<String> {
    let items = value.as_array().into_iter().flatten();
    items
        .map(|item| item.as_str().unwrap().to_owned())
        .collect()
}

/// Everything that a role's rules give.
fn rights(role: &Value) -> BTreeSet<Right> {
    let mut rights = BTreeSet::new();
    for rule in role["rules"].as_array().unwrap() {
        let fields = ["apiGroups", "resources", "verbs", "resourceNames"];
        let mut keys = rule.as_object().unwrap().keys();
        assert!(keys.all(|key| fields.contains(&key.as_str())), "{rule}");
        let names = texts(&rule["resourceNames"]).into_iter().map(Some);
        let names: Vec<Option<String>> = names.collect();
        let names = if names.is_empty() { vec![None] } else { names };
        for group in texts(&rule["apiGroups"]) {
            for resource in texts(&rule["resources"]) {
                for verb in texts(&rule["verbs"]) {
                    for name in &names {
                        let right = (group.clone(), resource.clone(), verb.clone(), name.clone());
                        assert!(rights.insert(right.clone()), "{right:?} is given twice");
                    }
                }
            }
        }
    }
    rights
}

/// The list of `docs/operating.md`, without what stands apart: the Lease.
fn allowed<'a>(list: impl IntoIterator<Item = &'a (&'a str, &'a str, &'a str)>) -> BTreeSet<Right> {
    let mut allowed = BTreeSet::new();
    for (group, resource, verbs) in list {
        if *resource != "leases" {
            let right = |verb: &str| {
                (
                    (*group).to_owned(),
                    (*resource).to_owned(),
                    verb.to_owned(),
                    None,
                )
            };
            allowed.extend(verbs.split(' ').map(right));
        }
    }
    allowed
}

/// The Lease by its name; but a create has none yet.
fn lease() -> BTreeSet<Right> {
    let right = |verb: &str, name: Option<&str>| {
        let (group, resource) = ("coordination.k8s.io".to_owned(), "leases".to_owned());
        (group, resource, verb.to_owned(), name.map(str::to_owned))
    };
    let named = Some("slipway");
    BTreeSet::from([
        right("create", None),
        right("get", named),
        right("update", named),
    ])
}

/// Kind, namespace (`""` for none) and name of every role and binding.
fn roles(objects: &[Value]) -> BTreeSet<(String, String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let is = |object: &&Value| object["apiVersion"] == "rbac.authorization.k8s.io/v1";
    let roles = objects.iter().filter(is);
    roles
        .map(|role| {
            let metadata = &role["metadata"];
            (
                text(&role["kind"]),
                text(&metadata["namespace"]),
                text(&metadata["name"]),
            )
        })
        .collect()
}

#[track_caller]
fn check(values: &Value, expected: &[(&str, &str, &str)]) -> Vec<Value> {
    let objects = render(values);
    let expected = expected.iter().map(|(kind, namespace, name)| {
        (
            (*kind).to_owned(),
            (*namespace).to_owned(),
            (*name).to_owned(),
        )
    });
    assert_eq!(roles(&objects), expected.collect());
    // Every binding is of a role that is there, to the one account.
    for binding in objects
        .iter()
        .filter(|object| object["kind"].as_str().unwrap().ends_with("RoleBinding"))
    {
        let role = &binding["roleRef"];
        let is_there = objects.iter().any(|object| {
            object["kind"] == role["kind"]
                && object["metadata"]["name"] == role["name"]
                && object["metadata"]["namespace"] == binding["metadata"]["namespace"]
        });
        assert!(is_there, "{binding}");
        let account =
            json!([{"kind": "ServiceAccount", "name": "slipway", "namespace": "slipway"}]);
        assert_eq!(binding["subjects"], account);
    }
    objects
}

#[test]
fn by_default_there_is_one_role_in_the_releases_namespace() {
    let objects = check(
        &json!({}),
        &[
            ("Role", "slipway", "slipway"),
            ("Role", "slipway", "slipway-lease"),
            ("RoleBinding", "slipway", "slipway"),
            ("RoleBinding", "slipway", "slipway-lease"),
        ],
    );
    assert_eq!(rights(only(&objects, "Role", "slipway")), allowed(&RIGHTS));
    assert_eq!(rights(only(&objects, "Role", "slipway-lease")), lease());
}

#[test]
fn each_namespace_has_its_role_and_the_first_one_the_lease() {
    let objects = check(
        &json!({"namespaces": ["orders", "billing"]}),
        &[
            ("Role", "orders", "slipway"),
            ("Role", "billing", "slipway"),
            ("Role", "orders", "slipway-lease"),
            ("RoleBinding", "orders", "slipway"),
            ("RoleBinding", "billing", "slipway"),
            ("RoleBinding", "orders", "slipway-lease"),
        ],
    );
    for role in objects.iter().filter(|object| object["kind"] == "Role") {
        if role["metadata"]["name"] == "slipway" {
            assert_eq!(rights(role), allowed(&RIGHTS));
        }
    }
}

#[test]
fn secrets_of_connections_are_read_by_their_names_in_the_releases_namespace() {
    let values =
        json!({"namespaces": ["orders"], "connections": {"secretRefs": ["brokers", "keys"]}});
    let objects = check(
        &values,
        &[
            ("Role", "orders", "slipway"),
            ("Role", "orders", "slipway-lease"),
            ("Role", "slipway", "slipway-connections"),
            ("RoleBinding", "orders", "slipway"),
            ("RoleBinding", "orders", "slipway-lease"),
            ("RoleBinding", "slipway", "slipway-connections"),
        ],
    );
    let right = |name: &str| {
        let (resource, verb) = ("secrets".to_owned(), "get".to_owned());
        (String::new(), resource, verb, Some(name.to_owned()))
    };
    let expected = BTreeSet::from([right("brokers"), right("keys")]);
    assert_eq!(
        rights(only(&objects, "Role", "slipway-connections")),
        expected
    );
}

#[test]
fn a_cluster_role_is_only_there_when_all_namespaces_are_asked_for() {
    let objects = check(
        &json!({"allNamespaces": true}),
        &[
            ("ClusterRole", "", "slipway-slipway"),
            ("ClusterRoleBinding", "", "slipway-slipway"),
            ("Role", "slipway", "slipway-lease"),
            ("RoleBinding", "slipway", "slipway-lease"),
        ],
    );
    let everywhere = [(
        "slipway.dev",
        "clustertriggerauthentications",
        "get list watch",
    )];
    let expected = allowed(RIGHTS.iter().chain(&everywhere));
    assert_eq!(
        rights(only(&objects, "ClusterRole", "slipway-slipway")),
        expected
    );
}

#[test]
fn rights_for_files_and_for_objects_of_keda_are_asked_for_apart() {
    let without = json!({"rbac": {"eventFiles": false}});
    let objects = render(&without);
    let mut expected = allowed(&RIGHTS);
    expected.retain(|(_, resource, verb, _)| resource != "secrets" || verb == "get");
    assert_eq!(rights(only(&objects, "Role", "slipway")), expected);

    let objects = render(&json!({"rbac": {"kedaInPlace": true}}));
    let expected = allowed(RIGHTS.iter().chain(&KEDA_RIGHTS));
    assert_eq!(rights(only(&objects, "Role", "slipway")), expected);
}

/// What no set of values gives: whoever adds it to the list of docs/operating.md too is still stopped here.
#[test]
fn nothing_is_given_that_is_too_much_for_anybody() {
    for (name, values) in super::value_sets() {
        let objects = render(&values);
        for role in objects.iter().filter(|object| object["rules"].is_array()) {
            for (group, resource, verb, _) in rights(role) {
                let right = format!("{name}: {verb} {resource}.{group}");
                for part in [&group, &resource, &verb] {
                    assert!(!part.contains('*'), "{right}");
                }
                if resource == "secrets" {
                    assert!(
                        ["get", "create", "patch", "delete"].contains(&verb.as_str()),
                        "{right}"
                    );
                }
                assert!(
                    !["escalate", "bind", "impersonate", "deletecollection"]
                        .contains(&verb.as_str()),
                    "{right}"
                );
                let is_write = !["get", "list", "watch"].contains(&verb.as_str());
                let may_be_written = [
                    "jobs",
                    "secrets",
                    "configmaps",
                    "leases",
                    "events",
                    "scaledjobs/status",
                    "eventjobs/status",
                ];
                // KEDA's own API has no status that could be patched alone for its annotations.
                let is_kedas = group == "keda.sh" && resource == "scaledjobs" && verb == "patch";
                if is_write {
                    assert!(
                        may_be_written.contains(&resource.as_str()) || is_kedas,
                        "{right}"
                    );
                }
            }
        }
    }
}
