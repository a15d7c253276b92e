//! Values that are refused before anything is made.

use std::process::Command;

use serde_json::json;

use super::{flag, template, value_sets};

#[test]
fn what_is_no_value_or_no_good_one_is_refused_by_name() {
    let rows = [
        (json!({"replica": 1}), "replica"),
        (json!({"events": {"servce": {}}}), "servce"),
        (
            json!({"events": {"ingress": {"tls": [{"secret": "a"}]}}}),
            "secret",
        ),
        (json!({"keda": {"tls": {"secret": "a"}}}), "secret"),
        (json!({"resources": {"request": {}}}), "request"),
        (json!({"replicas": "two"}), "replicas"),
        (json!({"namespaces": ["Orders"]}), "namespaces"),
        (json!({"namespaces": "orders"}), "namespaces"),
        (json!({"namespaces": ["orders", "orders"]}), "namespaces"),
        (json!({"ledgerGrace": "soon"}), "ledgerGrace"),
        (json!({"logFormat": "xml"}), "logFormat"),
        (json!({"image": {"digest": "latest"}}), "digest"),
        (json!({"events": {"port": 0}}), "port"),
        (
            json!({"serviceAccount": {"annotations": {"a": 1}}}),
            "annotations",
        ),
        (json!({"extraArgs": ["all-namespaces"]}), "extraArgs"),
        // Together.
        (
            json!({"namespaces": ["orders"], "allNamespaces": true}),
            "exclude each other",
        ),
        (
            json!({"keda": {"tls": {"clientCAKey": "ca.crt"}}}),
            "keda.tls.secretName",
        ),
        (
            json!({"serviceAccount": {"create": false}}),
            "serviceAccount.name",
        ),
        (
            json!({"events": {"ingress": {"enabled": true}}}),
            "events.ingress.hosts",
        ),
        (
            json!({"events": {"httpRoute": {"enabled": true}}}),
            "events.httpRoute.parentRefs",
        ),
        (
            json!({"events": {"tls": {"certManager": {"enabled": true}}}}),
            "events.tls.certManager.issuerRef.name",
        ),
        (
            json!({"metrics": {"serviceMonitor": {"enabled": true}, "podMonitor": {"enabled": true}}}),
            "twice",
        ),
        (
            json!({"podDisruptionBudget": {"minAvailable": 1, "maxUnavailable": 1}}),
            "minAvailable",
        ),
        // Two listeners on one port end the program.
        (
            json!({"events": {"port": 9090}}),
            "events.port and health.port",
        ),
        (
            json!({"events": {"port": 6000}}),
            "events.port and keda.port",
        ),
        (json!({"keda": {"port": 9090}}), "health.port and keda.port"),
        (
            json!({"keda": {"enabled": false, "port": 8080}}),
            "events.port and keda.port",
        ),
        // What is written twice is refused by the API server, or by the program.
        (
            json!({"podLabels": {"app.kubernetes.io/name": "other"}}),
            "podLabels",
        ),
        (
            json!({"commonLabels": {"app.kubernetes.io/instance": "other"}}),
            "commonLabels",
        ),
        (json!({"extraArgs": ["--http=:9999"]}), "events.port"),
        (json!({"extraArgs": ["--log=debug"]}), "--log"),
        (json!({"extraArgs": ["--namespaces", "--x"]}), "namespaces"),
    ];
    for (values, word) in rows {
        let said = template("slipway", &values).expect_err("refused");
        assert!(said.contains(word), "{values}: {said}");
    }
}

/// A flag that the chart renders and does not keep `extraArgs` from would come twice.
#[test]
fn every_flag_that_a_value_sets_is_kept_from_the_arguments() {
    let mut seen = std::collections::BTreeSet::new();
    for (_, values) in value_sets() {
        let objects = super::render(&values);
        let is = |object: &&serde_json::Value| object["kind"] == "Deployment";
        let own = values["extraArgs"].as_array().cloned().unwrap_or_default();
        for said in super::arguments(objects.iter().find(is).unwrap()).split_off(1) {
            if !own.contains(&json!(said)) {
                seen.insert(flag(&said).to_owned());
            }
        }
    }
    assert!(seen.len() > 15, "{seen:?}");
    for flag in seen {
        let values = json!({"extraArgs": [format!("{flag}=x")]});
        let said = template("slipway", &values).expect_err("refused");
        assert!(said.contains(&format!("extraArgs: {flag}")), "{said}");
    }
    // What no value sets is the program's to judge.
    let values = json!({"extraArgs": ["--reading-freshness=1s"]});
    assert!(template("slipway", &values).is_ok());
    let help = Command::new(env!("CARGO_BIN_EXE_slipway"))
        .args(["run", "--help"])
        .output();
    let help = String::from_utf8(help.unwrap().stdout).unwrap();
    assert!(help.contains("--reading-freshness"));
}
