//! What the chart renders: valid for the API server's own schemas, the binary's CRDs, Pods that anybody would let run.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use slipway::resource::{definitions, document};

use super::{
    arguments, chart, flag, helm, kinds, only, render, schemas, template, value_set, value_sets,
};
use crate::support::cluster::unique;
use crate::support::servers;

#[test]
fn helm_finds_nothing_to_say() {
    let chart = chart();
    for (name, values) in value_sets() {
        let set = super::set(&values);
        let mut arguments = vec!["lint", "--strict", "--quiet", chart.to_str().unwrap()];
        arguments.extend(set.iter().map(String::as_str));
        let output = helm(&arguments);
        assert!(output.status.success(), "{name}: {output:?}");
    }
}

/// What kubeconform found in a folder: valid, invalid, errors, skipped.
fn kubeconform(schemas: &Path, manifests: &Path) -> (u64, u64, u64, u64, String) {
    let output = Command::new(servers::named("TEST_KUBECONFORM"))
        .args(["-strict", "-summary", "-output", "json", "-schema-location"])
        .arg(schemas.join(schemas::LOCATION))
        .arg(manifests)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let answer: Value = serde_json::from_str(&said).unwrap();
    let count = |field: &str| answer["summary"][field].as_u64().unwrap();
    let (invalid, errors) = (count("invalid"), count("errors"));
    (count("valid"), invalid, errors, count("skipped"), said)
}

#[tokio::test]
async fn every_set_of_values_is_valid_for_the_schemas_of_the_api_server() {
    let folder = std::env::temp_dir().join(format!("slipway-chart-{}", unique()));
    let (known, right, wrong) = (
        folder.join("known"),
        folder.join("right"),
        folder.join("wrong"),
    );
    for folder in [&known, &right, &wrong] {
        fs::create_dir_all(folder).unwrap();
    }
    assert!(schemas::write(&known).await > 50);
    let mut objects = 0;
    for (name, values) in value_sets() {
        let text = template("slipway", &values).unwrap();
        let (documents, _) = document::read(&text);
        objects += documents.len() as u64;
        fs::write(right.join(format!("{name}.yaml")), text).unwrap();
    }
    let (valid, invalid, errors, skipped, said) = kubeconform(&known, &right);
    assert_eq!((invalid, errors, skipped), (0, 0, 0), "{said}");
    assert_eq!(valid, objects);

    // A typo and a wrong type are seen, or none of this says anything.
    let text = template("slipway", &json!({"crds": {"install": false}})).unwrap();
    for (name, from, to) in [
        ("typo", "readinessProbe:", "readynessProbe:"),
        ("type", "replicas: 2", "replicas: two"),
    ] {
        assert!(text.contains(from));
        fs::write(wrong.join(format!("{name}.yaml")), text.replace(from, to)).unwrap();
    }
    let (_, invalid, errors, ..) = kubeconform(&known, &wrong);
    assert_eq!(invalid + errors, 2);
    fs::remove_dir_all(folder).unwrap();
}

/// With `SLIPWAY_REWRITE=1` the chart's copies are written anew.
#[test]
fn the_definitions_are_those_of_the_binary() {
    let folder = chart().join("files/crds");
    #[expect(clippy::disallowed_methods, reason = "a test's own setting")]
    let rewrite = std::env::var("SLIPWAY_REWRITE").is_ok();
    for definition in definitions::ALL {
        let plural = definition.name.split('.').next().unwrap();
        let file = folder.join(format!("{plural}.yaml"));
        if rewrite {
            fs::write(&file, definition.yaml).unwrap();
        }
        let copy = fs::read_to_string(&file).unwrap_or_default();
        assert!(
            copy == definition.yaml,
            "{} is not what `slipway crd` prints: run this test with SLIPWAY_REWRITE=1",
            file.display()
        );
    }
    assert_eq!(
        fs::read_dir(&folder).unwrap().count(),
        definitions::ALL.len()
    );

    let printed = Command::new(env!("CARGO_BIN_EXE_slipway"))
        .arg("crd")
        .output();
    let printed = String::from_utf8(printed.unwrap().stdout).unwrap();
    let rendered = render(&json!({}));
    for document in document::read(&printed).0 {
        let object = only(&rendered, "CustomResourceDefinition", &document.id.name);
        assert_eq!(object["spec"], document.value["spec"]);
        // Who takes the release away keeps the objects, unless it is said.
        let policy = &object["metadata"]["annotations"]["helm.sh/resource-policy"];
        assert_eq!(policy, "keep");
    }
}

#[test]
fn pods_drain_for_as_long_as_the_program_takes_and_have_no_rights_on_their_node() {
    for (name, values) in value_sets() {
        let objects = render(&values);
        let is = |object: &&Value| object["kind"] == "Deployment";
        let deployment = objects.iter().find(is).unwrap();
        let spec = &deployment["spec"];
        let pod = &spec["template"]["spec"];
        let said = arguments(deployment);
        let seconds = |wanted: &str| -> u64 {
            let said = said.iter().find(|said| flag(said) == wanted).unwrap();
            let (_, value) = said.split_once('=').unwrap();
            value.trim_end_matches('s').parse().unwrap()
        };
        let (delay, drain) = (seconds("--shutdown-delay"), seconds("--drain-timeout"));
        let grace = pod["terminationGracePeriodSeconds"].as_u64().unwrap();
        assert_eq!(grace, delay + drain + 10, "{name}");
        let container = &pod["containers"][0];
        assert!(container["lifecycle"].is_null(), "the program waits itself");
        if spec["strategy"]["type"] != "Recreate" {
            assert_eq!(spec["strategy"]["rollingUpdate"]["maxUnavailable"], 0);
        }

        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        assert_eq!(
            pod["securityContext"]["seccompProfile"]["type"],
            "RuntimeDefault"
        );
        for field in ["hostNetwork", "hostPID", "hostIPC"] {
            assert_eq!(pod[field], Value::Null, "{name}: {field}");
        }
        let container = &pod["containers"][0];
        let mut security = container["securityContext"].clone();
        security.as_object_mut().unwrap().shift_remove("privileged");
        assert_eq!(
            security,
            json!({
                "allowPrivilegeEscalation": false,
                "readOnlyRootFilesystem": true,
                "capabilities": {"drop": ["ALL"]},
            })
        );
        for field in ["/requests/cpu", "/requests/memory", "/limits/memory"] {
            assert!(container["resources"].pointer(field).is_some(), "{field}");
        }
        assert_eq!(container["livenessProbe"]["httpGet"]["path"], "/livez");
        assert_eq!(container["readinessProbe"]["httpGet"]["path"], "/readyz");
        // Services and probes name ports that the container has.
        let ports = container["ports"].as_array().unwrap();
        let is_there = |name: &Value| ports.iter().any(|port| port["name"] == *name);
        for service in objects.iter().filter(|object| object["kind"] == "Service") {
            assert!(is_there(&service["spec"]["ports"][0]["targetPort"]));
            let selector = service["spec"]["selector"].as_object().unwrap();
            let labels = &spec["template"]["metadata"]["labels"];
            assert!(selector.iter().all(|(key, value)| labels[key] == *value));
        }
        for probe in ["livenessProbe", "readinessProbe"] {
            assert!(is_there(&container[probe]["httpGet"]["port"]));
        }
    }
}

#[test]
fn every_flag_that_is_rendered_is_one_of_the_program() {
    let help = Command::new(env!("CARGO_BIN_EXE_slipway"))
        .args(["run", "--help"])
        .output();
    let help = String::from_utf8(help.unwrap().stdout).unwrap();
    let is_known = |flag: &str| {
        let mut lines = help.lines().map(str::trim_start);
        lines.any(|line| line.starts_with('-') && line.split([' ', ',']).any(|word| word == flag))
    };
    for (name, values) in value_sets() {
        let objects = render(&values);
        let is = |object: &&Value| object["kind"] == "Deployment";
        let said = arguments(objects.iter().find(is).unwrap());
        assert_eq!(said[0], "run");
        for argument in &said[1..] {
            let flag = flag(argument);
            assert!(is_known(flag), "{name}: {flag}");
        }
    }
}

#[test]
fn what_is_switched_off_is_not_there() {
    let little = value_set("little");
    let objects = render(&little);
    assert_eq!(Vec::from_iter(kinds(&objects)), ["Deployment", "Service"]);
    let deployment = only(&objects, "Deployment", "launcher");
    let account = &deployment["spec"]["template"]["spec"]["serviceAccountName"];
    assert_eq!(account, "made-elsewhere");
    let said = arguments(deployment);
    // The program always listens: here for nobody.
    assert!(
        said.contains(&"--grpc=127.0.0.1:6000".to_owned()),
        "{said:?}"
    );
    // A single replica that may not be taken away would block every drain of its node.
    let one = render(&json!({"replicas": 1}));
    assert!(!kinds(&one).contains("PodDisruptionBudget"));
    assert!(kinds(&render(&json!({}))).contains("PodDisruptionBudget"));
}

#[test]
fn keda_has_a_service_without_an_address_of_its_own() {
    let objects = render(&json!({}));
    let service = only(&objects, "Service", "slipway-keda");
    assert_eq!(service["spec"]["clusterIP"], "None");
    assert_eq!(service["spec"]["ports"][0]["port"], 6000);
    let events = only(&objects, "Service", "slipway");
    assert_eq!(events["spec"]["ports"][0]["port"], 80);
}

#[test]
fn certificates_and_connections_are_mounted_as_folders_where_the_flags_look() {
    let everything = value_set("everything");
    let objects = render(&everything);
    let deployment = only(&objects, "Deployment", "slipway-launcher");
    let said = arguments(deployment);
    let pod = &deployment["spec"]["template"]["spec"];
    for (flag, file, secret) in [
        (
            "--grpc-tls-cert",
            "/etc/slipway/grpc-tls/tls.crt",
            "keda-tls",
        ),
        (
            "--grpc-tls-key",
            "/etc/slipway/grpc-tls/tls.key",
            "keda-tls",
        ),
        (
            "--grpc-client-ca",
            "/etc/slipway/grpc-tls/ca.crt",
            "keda-tls",
        ),
        (
            "--http-tls-cert",
            "/etc/slipway/http-tls/tls.crt",
            "events-tls",
        ),
        (
            "--http-tls-key",
            "/etc/slipway/http-tls/tls.key",
            "events-tls",
        ),
        (
            "--connections",
            "/etc/slipway/connections/all.yaml",
            "connections",
        ),
        ("--admin-token-file", "/etc/slipway/admin/key", "page-token"),
    ] {
        assert!(said.contains(&format!("{flag}={file}")), "{flag}: {said:?}");
        let mounts = pod["containers"][0]["volumeMounts"].as_array().unwrap();
        let folder = file.rsplit_once('/').unwrap().0;
        let mount = mounts.iter().find(|mount| mount["mountPath"] == folder);
        let mount = mount.unwrap();
        assert_eq!(
            (&mount["readOnly"], &mount["subPath"]),
            (&json!(true), &Value::Null)
        );
        let volumes = pod["volumes"].as_array().unwrap();
        let volume = volumes
            .iter()
            .find(|volume| volume["name"] == mount["name"]);
        assert_eq!(volume.unwrap()["secret"]["secretName"], secret);
    }
}

#[test]
fn openshift_chooses_user_and_group_where_it_is() {
    let chosen = |objects: &[Value]| {
        let pod = &only(objects, "Deployment", "slipway")["spec"]["template"]["spec"];
        let fields = ["runAsUser", "runAsGroup", "fsGroup"];
        let context = &pod["securityContext"];
        assert_eq!(context["runAsNonRoot"], true);
        fields.iter().all(|field| context[field].is_null())
    };
    assert!(!chosen(&render(&json!({}))));
    assert!(chosen(&render(&json!({"openshift": "Always"}))));
    let there = ["--api-versions", "security.openshift.io/v1"];
    assert!(chosen(&super::render_with(&json!({}), &there)));
    let never = json!({"openshift": "Never"});
    assert!(!chosen(&super::render_with(&never, &there)));
    // One field by itself.
    let own = json!({"podSecurityContext": {"runAsUser": 1000}});
    let objects = render(&own);
    let pod = &only(&objects, "Deployment", "slipway")["spec"]["template"]["spec"];
    assert_eq!(pod["securityContext"]["runAsUser"], 1000);
    assert_eq!(pod["securityContext"]["runAsGroup"], 65532);
}

#[test]
fn what_is_common_is_on_everything_and_never_in_a_selector() {
    let objects = render(&value_set("everything"));
    let own = |object: &&Value| {
        let name = object["metadata"]["name"].as_str().unwrap();
        !name.starts_with("slipway-extra") && !name.ends_with("-text")
    };
    for object in objects.iter().filter(own) {
        let (kind, metadata) = (&object["kind"], &object["metadata"]);
        assert_eq!(metadata["labels"]["team"], "platform", "{kind}");
        let annotations = &metadata["annotations"];
        assert_eq!(annotations["example.com/owner"], "platform", "{kind}");
    }
    let deployment = only(&objects, "Deployment", "slipway-launcher");
    let template = &deployment["spec"]["template"]["metadata"];
    assert_eq!(template["labels"]["team"], "platform");
    assert_eq!(template["labels"]["squad"], "billing");
    assert_eq!(template["annotations"]["example.com/owner"], "platform");
    let selector = &deployment["spec"]["selector"]["matchLabels"];
    assert_eq!(selector["team"], Value::Null);
}

#[test]
fn objects_of_ones_own_are_rendered_with_the_releases_names() {
    let objects = render(&value_set("everything"));
    only(&objects, "ConfigMap", "slipway-extra");
    only(&objects, "ConfigMap", "slipway-launcher-text");
}

#[test]
fn what_scrapes_finds_the_health_port_and_keeps_the_labels_of_the_objects() {
    let objects = render(&value_set("everything"));
    let monitor = only(&objects, "ServiceMonitor", "slipway-launcher");
    assert_eq!(monitor["metadata"]["namespace"], "monitoring");
    let endpoint = &monitor["spec"]["endpoints"][0];
    assert_eq!(endpoint["honorLabels"], true);
    let service = only(&objects, "Service", "slipway-launcher-metrics");
    assert_eq!(endpoint["port"], service["spec"]["ports"][0]["name"]);
    assert_eq!(service["spec"]["ports"][0]["targetPort"], "health");
    let wanted = monitor["spec"]["selector"]["matchLabels"].as_object();
    for (label, value) in wanted.unwrap() {
        assert_eq!(service["metadata"]["labels"][label], *value);
    }
    let others = objects.iter().filter(|object| object["kind"] == "Service");
    let is_chosen = |labels: &Value| {
        let mut wanted = wanted.unwrap().iter();
        wanted.all(|(label, value)| labels[label] == *value)
    };
    assert_eq!(
        others
            .filter(|other| is_chosen(&other["metadata"]["labels"]))
            .count(),
        1
    );

    let objects = render(&value_set("operators"));
    let monitor = only(&objects, "PodMonitor", "slipway");
    let endpoint = &monitor["spec"]["podMetricsEndpoints"][0];
    assert_eq!(endpoint["honorLabels"], true);
    let deployment = only(&objects, "Deployment", "slipway");
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    let health = &container["ports"][1];
    assert_eq!(endpoint["port"], health["name"]);
    assert_eq!(health["containerPort"], 9091);
    let labels = &deployment["spec"]["template"]["metadata"]["labels"];
    let selector = monitor["spec"]["selector"]["matchLabels"].as_object();
    let is_there = |(label, value): (&String, &Value)| labels[label] == *value;
    assert!(selector.unwrap().iter().all(is_there));
}

#[test]
fn cert_manager_makes_the_secrets_that_are_mounted() {
    let objects = render(&value_set("operators"));
    let pod = &only(&objects, "Deployment", "slipway")["spec"]["template"]["spec"];
    let volumes = pod["volumes"].as_array().unwrap();
    for (port, volume, name) in [
        ("events", "http-tls", "slipway.slipway.svc"),
        ("keda", "grpc-tls", "slipway-keda.slipway.svc"),
    ] {
        let certificate = only(&objects, "Certificate", &format!("slipway-{port}"));
        let secret = &certificate["spec"]["secretName"];
        let mounted = volumes.iter().find(|found| found["name"] == volume);
        assert_eq!(mounted.unwrap()["secret"]["secretName"], *secret);
        assert_eq!(certificate["spec"]["dnsNames"][0], name);
    }
    let service = only(&objects, "Service", "slipway");
    assert_eq!(service["spec"]["ports"][0]["appProtocol"], "https");
}

#[test]
fn a_route_of_a_gateway_leads_to_the_service_of_events() {
    let objects = render(&value_set("operators"));
    let route = only(&objects, "HTTPRoute", "slipway");
    let service = only(&objects, "Service", "slipway");
    let backend = &route["spec"]["rules"][0]["backendRefs"][0];
    assert_eq!(backend["name"], service["metadata"]["name"]);
    assert_eq!(backend["port"], service["spec"]["ports"][0]["port"]);
    let path = &route["spec"]["rules"][0]["matches"][0]["path"];
    assert_eq!(path, &json!({"type": "PathPrefix", "value": "/events"}));
}
