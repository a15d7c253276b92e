//! The chart: what it renders, what it refuses, what rights it gives, and the built binary run as it would be run.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use slipway::resource::document;

use crate::support::servers;

mod image;
mod installed;
mod rendering;
mod rights;
mod schemas;
mod values;

fn chart() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/slipway")
}

fn helm(arguments: &[&str]) -> Output {
    Command::new(servers::named("TEST_HELM"))
        .args(arguments)
        .output()
        .unwrap()
}

/// `--set-json` for each of the values.
fn set(values: &Value) -> Vec<String> {
    let values = values.as_object().unwrap().iter();
    values
        .flat_map(|(key, value)| ["--set-json".to_owned(), format!("{key}={value}")])
        .collect()
}

/// What `helm template` says of a release in a namespace.
fn template(namespace: &str, values: &Value) -> Result<String, String> {
    let chart = chart();
    let set = set(values);
    let mut arguments = vec!["template", "slipway", chart.to_str().unwrap()];
    arguments.extend(["--namespace", namespace]);
    arguments.extend(set.iter().map(String::as_str));
    let output = helm(&arguments);
    if output.status.success() {
        Ok(String::from_utf8(output.stdout).unwrap())
    } else {
        Err(String::from_utf8(output.stderr).unwrap())
    }
}

/// The objects that the chart makes of these values.
fn render(values: &Value) -> Vec<Value> {
    let text = template("slipway", values).unwrap();
    let (documents, misread) = document::read(&text);
    assert_eq!(misread, []);
    documents
        .into_iter()
        .map(|document| document.value)
        .collect()
}

/// The one object of that kind and name.
#[track_caller]
fn only<'a>(objects: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let is = |object: &&Value| object["kind"] == kind && object["metadata"]["name"] == name;
    let found: Vec<&Value> = objects.iter().filter(is).collect();
    assert_eq!(found.len(), 1, "{kind} {name}");
    found[0]
}

fn kinds(objects: &[Value]) -> BTreeSet<&str> {
    let kinds = objects.iter().map(|object| object["kind"].as_str());
    kinds.map(Option::unwrap).collect()
}

/// The arguments of a Deployment's container.
fn arguments(deployment: &Value) -> Vec<String> {
    let arguments = &deployment["spec"]["template"]["spec"]["containers"][0]["args"];
    serde_json::from_value(arguments.clone()).unwrap()
}

/// `--flag` of `--flag=value`.
fn flag(argument: &str) -> &str {
    argument.split('=').next().unwrap()
}

/// The smallest values, and sets that between them use everything there is.
fn value_sets() -> Vec<(&'static str, Value)> {
    let everything = json!({
        "nameOverride": "launcher",
        "image": {"repository": "example.com/slipway", "digest": format!("sha256:{}", "0".repeat(64)), "pullPolicy": "Always"},
        "imagePullSecrets": [{"name": "registry"}],
        "replicas": 3,
        "namespaces": ["orders", "123", "on"],
        "serviceAccount": {"annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::123456789012:role/slipway"}},
        "rbac": {"kedaInPlace": true},
        "events": {
            "port": 8081,
            "service": {"type": "LoadBalancer", "port": 8080, "annotations": {"example.com/scheme": "internal"}},
            "ingress": {
                "enabled": true, "className": "nginx", "annotations": {"example.com/a": "b"},
                "hosts": ["events.example.com", "hooks.example.com"],
                "tls": [{"secretName": "events-tls", "hosts": ["events.example.com"]}],
            },
        },
        "keda": {"port": 6001, "tls": {"secretName": "keda-tls", "clientCAKey": "ca.crt"}},
        "connections": {"secretName": "connections", "key": "all.yaml", "secretRefs": ["brokers", "123"]},
        "allowAddress": ["*.kafka.svc", "10.0.0.7"],
        "allowIdentity": ["*.api.aws"],
        "ledgerGrace": "1h30m",
        "shutdownDelaySeconds": 15,
        "drainSeconds": 45,
        "logFormat": "text",
        "log": "info,slipway=debug",
        "extraArgs": ["--cluster-namespace=slipway"],
        "extraEnv": [{"name": "AWS_REGION", "value": "eu-west-1"}],
        "extraVolumes": [{"name": "ca", "configMap": {"name": "kafka-ca"}}],
        "extraVolumeMounts": [{"name": "ca", "mountPath": "/etc/kafka", "readOnly": true}],
        "resources": {"requests": {"cpu": 2, "memory": "1Gi"}, "limits": {"memory": "1Gi"}},
        "networkPolicy": {
            "eventsFrom": [{"ipBlock": {"cidr": "10.0.0.0/8"}}],
            "kedaFrom": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "autoscaling"}}}],
            "metricsFrom": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}],
            "egressPorts": [443],
            "podIdentity": true,
            "extraEgress": [{"ports": [{"port": 9194, "protocol": "TCP"}], "to": [{"ipBlock": {"cidr": "10.1.0.0/16"}}]}],
        },
        "podLabels": {"team": "billing"},
        "podAnnotations": {"prometheus.io/scrape": "true"},
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"key": "spot", "operator": "Exists", "effect": "NoSchedule"}],
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
            {"matchExpressions": [{"key": "kubernetes.io/arch", "operator": "In", "values": ["amd64"]}]},
        ]}}},
        "priorityClassName": "launchers",
    });
    vec![
        ("nothing", json!({})),
        ("everything", everything),
        (
            "all-namespaces",
            json!({"allNamespaces": true, "rbac": {"kedaInPlace": true, "eventFiles": false}}),
        ),
        (
            "little",
            json!({
                "replicas": 1,
                "fullnameOverride": "launcher",
                "crds": {"install": false},
                "rbac": {"create": false},
                "serviceAccount": {"create": false, "name": "made-elsewhere"},
                "keda": {"enabled": false},
                "podDisruptionBudget": {"enabled": false},
                "networkPolicy": {"enabled": false},
            }),
        ),
    ]
}
