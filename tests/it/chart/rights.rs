//! The rights that the chart gives are those of `docs/operating.md`: no more, no less, nowhere else.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{only, render};
use crate::controller::rights::{CRON_JOB_RIGHTS, KEDA_RIGHTS, RIGHTS};

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

/// Whether it gives nothing to Slipway: the cluster adds it to its own roles.
fn is_of_people(object: &Value) -> bool {
    let labels = object["metadata"]["labels"].as_object().unwrap();
    let prefix = "rbac.authorization.k8s.io/aggregate-to-";
    labels.keys().any(|label| label.starts_with(prefix))
}

/// The list of `docs/operating.md` without what is for files of events.
fn without_files() -> BTreeSet<Right> {
    let mut rights = allowed(&RIGHTS);
    rights.retain(|(_, resource, verb, _)| resource != "secrets" || verb == "get");
    rights
}

/// Kind, namespace (`""` for none) and name of every role and binding.
fn roles(objects: &[Value]) -> BTreeSet<(String, String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let is = |object: &&Value| {
        object["apiVersion"] == "rbac.authorization.k8s.io/v1" && !is_of_people(object)
    };
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
            ("Role", "slipway", "slipway-slipway"),
            ("Role", "slipway", "slipway-slipway-lease"),
            ("RoleBinding", "slipway", "slipway-slipway"),
            ("RoleBinding", "slipway", "slipway-slipway-lease"),
        ],
    );
    assert_eq!(
        rights(only(&objects, "Role", "slipway-slipway")),
        without_files()
    );
    assert_eq!(
        rights(only(&objects, "Role", "slipway-slipway-lease")),
        lease()
    );
}

#[test]
fn each_namespace_has_its_role_and_the_first_one_the_lease() {
    let objects = check(
        &json!({"namespaces": ["orders", "billing"]}),
        &[
            ("Role", "orders", "slipway-slipway"),
            ("Role", "billing", "slipway-slipway"),
            ("Role", "orders", "slipway-slipway-lease"),
            ("RoleBinding", "orders", "slipway-slipway"),
            ("RoleBinding", "billing", "slipway-slipway"),
            ("RoleBinding", "orders", "slipway-slipway-lease"),
        ],
    );
    for role in objects.iter().filter(|object| object["kind"] == "Role") {
        if role["metadata"]["name"] == "slipway-slipway" {
            assert_eq!(rights(role), without_files());
        }
    }
}

/// As helm would refuse it: an object of that name is another release's.
#[test]
fn releases_of_one_name_in_two_namespaces_have_no_role_in_common() {
    for (name, values) in super::value_sets() {
        let of = |namespace: &str| {
            let text = super::template(namespace, &values).unwrap();
            let (documents, _) = slipway::resource::document::read(&text);
            let objects = documents.into_iter().map(|document| document.value);
            roles(&objects.collect::<Vec<_>>())
        };
        let (one, other) = (of("platform"), of("tenants"));
        assert_eq!(one.len(), other.len(), "{name}");
        assert_eq!(
            one.intersection(&other).collect::<Vec<_>>(),
            Vec::<&(String, String, String)>::new(),
            "{name}"
        );
    }
}

#[test]
fn secrets_of_connections_are_read_by_their_names_in_the_releases_namespace() {
    let values =
        json!({"namespaces": ["orders"], "connections": {"secretRefs": ["brokers", "keys"]}});
    let objects = check(
        &values,
        &[
            ("Role", "orders", "slipway-slipway"),
            ("Role", "orders", "slipway-slipway-lease"),
            ("Role", "slipway", "slipway-connections"),
            ("RoleBinding", "orders", "slipway-slipway"),
            ("RoleBinding", "orders", "slipway-slipway-lease"),
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
            ("Role", "slipway", "slipway-slipway-lease"),
            ("RoleBinding", "slipway", "slipway-slipway-lease"),
        ],
    );
    let everywhere = [(
        "slipway.dev",
        "clustertriggerauthentications",
        "get list watch",
    )];
    let mut expected = without_files();
    expected.extend(allowed(&everywhere));
    assert_eq!(
        rights(only(&objects, "ClusterRole", "slipway-slipway")),
        expected
    );
}

#[test]
fn rights_for_files_and_for_objects_of_keda_are_asked_for_apart() {
    let objects = render(&json!({"rbac": {"eventFiles": true}}));
    assert_eq!(
        rights(only(&objects, "Role", "slipway-slipway")),
        allowed(&RIGHTS)
    );

    let objects = render(&json!({"rbac": {"kedaInPlace": true}}));
    let mut expected = without_files();
    expected.extend(allowed(&KEDA_RIGHTS));
    assert_eq!(rights(only(&objects, "Role", "slipway-slipway")), expected);

    let objects = render(&json!({"rbac": {"cronJobsInPlace": true}}));
    let mut expected = without_files();
    expected.extend(allowed(&CRON_JOB_RIGHTS));
    assert_eq!(rights(only(&objects, "Role", "slipway-slipway")), expected);
}

#[test]
fn a_status_page_that_writes_may_annotate_event_jobs_and_nothing_else() {
    let admin = |write: bool| json!({"enabled": true, "write": write, "tokenSecretName": "token"});
    let objects = render(&json!({"admin": admin(false)}));
    let without = without_files();
    assert_eq!(rights(only(&objects, "Role", "slipway-slipway")), without);

    let objects = render(&json!({"admin": admin(true)}));
    let mut expected = without;
    expected.extend(allowed(&[("slipway.dev", "eventjobs", "patch")]));
    assert_eq!(rights(only(&objects, "Role", "slipway-slipway")), expected);
    // Nothing listens for it outside of the Pod.
    let text = serde_json::to_string(&objects).unwrap();
    assert!(text.contains("--admin=127.0.0.1:9091") && !text.contains("containerPort\":9091"));
}

#[test]
fn who_may_edit_a_namespace_may_edit_its_objects_and_no_more() {
    let objects = render(&json!({}));
    let own = ["scaledjobs", "eventjobs", "triggerauthentications"];
    for (role, to, verbs) in [
        ("view", "admin edit view", "get list watch"),
        (
            "edit",
            "admin edit",
            "create update patch delete deletecollection",
        ),
    ] {
        let found = only(&objects, "ClusterRole", &format!("slipway-slipway-{role}"));
        let labels = found["metadata"]["labels"].as_object().unwrap();
        let prefix = "rbac.authorization.k8s.io/aggregate-to-";
        let added = labels.keys().filter_map(|label| label.strip_prefix(prefix));
        assert_eq!(added.collect::<Vec<_>>().join(" "), to);
        let expected = own.map(|resource| ("slipway.dev", resource, verbs));
        assert_eq!(rights(found), allowed(&expected));
    }
    let without = render(&json!({"rbac": {"aggregateClusterRoles": false}}));
    assert!(!without.iter().any(|object| object["kind"] == "ClusterRole"));
}

/// What no set of values gives: whoever adds it to the list of docs/operating.md too is still stopped here.
#[test]
fn nothing_is_given_that_is_too_much_for_anybody() {
    for (name, values) in super::value_sets() {
        let objects = render(&values);
        let is_ours = |object: &&Value| object["kind"].as_str().unwrap().ends_with("Role");
        let roles = objects.iter().filter(is_ours);
        for role in roles.filter(|role| !is_of_people(role)) {
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
                    "cronjobs/status",
                    // For a status page that writes: see above.
                    "eventjobs",
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
