//! `check`, `local` and `run` say the same of the same object: objects with one mistake each, given to all three.
//!
//! `local` gets them as one file. `run` gets them as `kubectl apply` sends them, so what the CustomResourceDefinitions refuse is part of its verdict.

use std::time::Duration;

use futures::future::join_all;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};
use slipway::cli::check;
use slipway::manifest::Manifests;
use slipway::resource::Fault;

use super::cluster::resource;
use crate::support::await_until;
use crate::support::chance::Chance;
use crate::support::cluster::Cluster;
use crate::support::local::SlipwayLocal;
use crate::support::process::Slipway;
use crate::support::servers;

/// Mistakes, half of them in each kind.
const MISTAKES: u64 = 300;

fn job() -> Value {
    json!({
        "backoffLimit": 0, "ttlSecondsAfterFinished": 600,
        "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": "a", "command": ["true"]}]}},
    })
}

/// Nobody answers at its addresses.
fn scaled_job() -> Value {
    json!({
        "apiVersion": "slipway.dev/v1alpha1", "kind": "ScaledJob",
        "spec": {
            "jobTargetRef": job(),
            "pollingInterval": 30, "minReplicaCount": 0, "maxReplicaCount": 5,
            "successfulJobsHistoryLimit": 3,
            "rollout": {"strategy": "gradual", "propagationPolicy": "foreground"},
            "scalingStrategy": {"strategy": "custom", "customScalingQueueLengthDeduction": 1, "customScalingRunningJobPercentage": "0.5"},
            "triggers": [
                {"type": "kafka", "name": "one", "metadata": {
                    "bootstrapServers": "127.0.0.1:9", "consumerGroup": "g", "topic": "t", "lagThreshold": "5",
                    "offsetResetPolicy": "latest", "allowIdleConsumers": "false", "activationLagThreshold": "0",
                }},
                {"type": "external", "metadata": {"scalerAddress": "127.0.0.1:9", "key": "value"}},
            ],
        },
    })
}

fn event_job() -> Value {
    json!({
        "apiVersion": "slipway.dev/v1alpha1", "kind": "EventJob",
        "spec": {
            "source": {"webhook": {"format": "JSON", "split": true, "allowedOrigins": ["eventgrid.azure.net"], "auth": [
                {"apiKey": {"header": "x-key", "secretKeyRefs": [{"name": "hook", "key": "a"}]}},
                {"hmac": {
                    "scheme": "Generic", "signatureHeader": "x-sig", "signatureField": "v1", "timestampField": "t",
                    "timestampUnit": "Seconds", "encoding": "Hex", "tolerance": "5m", "signedText": "{timestamp}.{body}",
                    "secretKeyRefs": [{"name": "hook", "key": "a"}],
                }},
                {"jwt": {"issuer": "i", "audience": "a", "jwksURL": "https://issuer.example/keys"}},
            ]}},
            "pattern": {"kind": ["a", {"prefix": "b"}]},
            "match": {"headers": {"x-kind": ["push"]}},
            "idFrom": [{"path": "$.id"}],
            "bind": {
                "env": [{"name": "A", "path": "$.a", "default": "x"}, {"name": "B", "template": "b-{$.b|cut:3}"}],
                "labels": [{"name": "l", "header": "x-l"}],
                "completions": {"path": "$.n", "max": 3},
            },
            "concurrencyPolicy": "Queue",
            "concurrency": {"limit": 2, "keyFrom": {"path": "$.k"}, "maxWaiting": 10},
            "rateLimit": {"requests": 5, "unit": "Second"},
            "deduplicateFor": "25h",
            "jobTemplate": {"spec": job()},
        },
    })
}

/// Every place below `spec` but the Job's own, which `check` judges as the API server does: see `template_corpus`.
fn places(value: &Value, path: &str, found: &mut Vec<String>) {
    let mut go = |key: &str, below: &Value| {
        if key != "jobTargetRef" && key != "jobTemplate" {
            let path = format!("{path}/{}", key.replace('~', "~0").replace('/', "~1"));
            found.push(path.clone());
            places(below, &path, found);
        }
    };
    match value {
        Value::Object(members) => members.iter().for_each(|(key, below)| go(key, below)),
        Value::Array(elements) => {
            for (index, below) in elements.iter().enumerate() {
                go(&index.to_string(), below);
            }
        }
        _ => {}
    }
}

/// The object with one change, and what was changed.
fn with_mistake(mut object: Value, dice: &mut Chance) -> (Value, String) {
    let mut all = Vec::new();
    places(&object["spec"], "/spec", &mut all);
    let mut pick = |limit: usize| usize::try_from(dice.below(limit as u64)).unwrap();
    let place = all[pick(all.len())].clone();
    let others = [
        json!(""),
        json!("nonsense"),
        json!("-1"),
        json!(-1),
        json!(5),
        json!([]),
        json!({}),
        json!(true),
        json!("${x}"),
        json!(" "),
        json!("1e9"),
    ];
    let other = &others[pick(others.len())];
    let (parent, key) = place.rsplit_once('/').unwrap();
    let within = object.pointer_mut(parent).unwrap();
    let change = match (pick(5), within) {
        (0, Value::Object(members)) => {
            members.remove(key);
            "removed".to_owned()
        }
        (1, Value::Object(members)) => {
            let value = members.remove(key).unwrap();
            members.insert(format!("{key}x"), value);
            "renamed".to_owned()
        }
        (2, Value::Array(elements)) => {
            elements.push(elements[0].clone());
            "repeated".to_owned()
        }
        _ => {
            *object.pointer_mut(&place).unwrap() = other.clone();
            format!("made {other}")
        }
    };
    (object, format!("{place} {change}"))
}

/// What `check` says of it, but for the Job's own spec and what is not in the files.
async fn checked(object: &Value) -> Vec<Fault> {
    let secret =
        "---\napiVersion: v1\nkind: Secret\nmetadata: {name: hook}\nstringData: {a: key}\n";
    let text = format!("{object}\n{secret}");
    let findings = check::check(&Manifests::from_texts([("f", text.as_str())])).await;
    findings
        .faults
        .into_iter()
        .map(|finding| finding.fault)
        .collect()
}

/// What `run` says: the API server's refusal, or the status once it is about this object.
async fn run(cluster: &Cluster, object: &Value) -> Result<Value, String> {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap();
    let resource = resource(text("/apiVersion"), text("/kind"));
    let api: Api<DynamicObject> =
        Api::namespaced_with(cluster.client.clone(), &cluster.namespace, &resource);
    let name = text("/metadata/name");
    let parameters = PatchParams::apply("slipway-tests").validation_strict();
    let applied = api.patch(name, &parameters, &Patch::Apply(object)).await;
    if let Err(error) = applied {
        return Err(error.to_string());
    }
    let status = await_until(name, Duration::from_mins(2), async || {
        let status = api.get(name).await.ok()?.data["status"].clone();
        let conditions = status["conditions"].as_array()?;
        let ready = conditions.iter().find(|one| one["type"] == "Ready")?;
        // Before that it is being proved, or has not been read.
        let is_judged = ready["reason"] != "NotReady" || text("/kind") == "ScaledJob";
        (is_judged && status["observedGeneration"] == 1).then_some(status)
    });
    Ok(status.await)
}

/// Why the two disagree; `None` when they do not.
fn differ(object: &Value, checked: &[Fault], ran: &Result<Value, String>) -> Option<String> {
    let is_jobs = |fault: &&Fault| {
        fault.field.starts_with("spec.jobTargetRef") || fault.field.starts_with("spec.jobTemplate")
    };
    match ran {
        Err(_) if checked.is_empty() => Some("the API server refuses what check passes".to_owned()),
        Err(_) => None,
        Ok(status) => {
            // The files are of no namespace.
            let namespace = object["metadata"]["namespace"].as_str().unwrap();
            let said = status.to_string().replace(namespace, "default");
            let told = |fault: &&Fault| {
                let words = json!(fault.message).to_string();
                said.contains(words.trim_matches('"'))
            };
            if let Some(fault) = checked.iter().find(|fault| !is_jobs(fault) && !told(fault)) {
                return Some(format!("run does not say: {fault}"));
            }
            let reasons = status["conditions"].as_array().into_iter().flatten();
            let is_invalid = reasons
                .clone()
                .any(|one| one["reason"] == "Invalid" || one["reason"] == "ScaledJobCheckFailed");
            (is_invalid && checked.is_empty()).then(|| format!("check does not say it: {object}"))
        }
    }
}

#[tokio::test]
async fn check_and_run_say_the_same_of_objects_with_one_mistake() {
    let cluster = Cluster::new("alike").await;
    cluster.secret("hook", &[("a", "key")]).await;
    let slipway = Slipway::run(&servers::kubeconfig(), &cluster.namespace, &[], &[]).await;
    let mut objects = mistakes();
    for (object, _) in &mut objects {
        object["metadata"]["namespace"] = json!(cluster.namespace);
    }
    let (mut wrong, mut differences) = (0, Vec::new());
    for some in objects.chunks(30) {
        let ran = join_all(some.iter().map(|(object, _)| run(&cluster, object))).await;
        for ((object, change), ran) in some.iter().zip(&ran) {
            let mut local = object.clone();
            local["metadata"] = json!({"name": object["metadata"]["name"]});
            let checked = checked(&local).await;
            wrong += u64::from(!checked.is_empty());
            if let Some(why) = differ(object, &checked, ran) {
                let reason = ran.as_ref().map_or_else(String::clone, Value::to_string);
                differences.push(format!("{change}: {why}\n  run: {reason}"));
            }
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    // Most changes are mistakes, and some are none.
    assert!((MISTAKES / 3..MISTAKES).contains(&wrong), "{wrong}");
    drop(slipway);
    cluster.remove().await;
}

/// Objects with one mistake each, of the files' own namespace.
fn mistakes() -> Vec<(Value, String)> {
    let mut dice = Chance::new(20_261_130);
    let numbered = (0..MISTAKES).map(|number| {
        let base = if number % 2 == 0 {
            scaled_job()
        } else {
            event_job()
        };
        let (mut object, change) = with_mistake(base, &mut dice);
        object["metadata"] = json!({"name": format!("o-{number}-x")});
        (object, change)
    });
    numbered.collect()
}

#[tokio::test]
async fn check_and_local_say_the_same_of_objects_with_one_mistake() {
    let objects = mistakes();
    let folder = std::env::temp_dir().join(format!("slipway-alike-files-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("objects.yaml");
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: hook}\nstringData: {a: key}\n";
    let mut text = format!("{secret}---\n");
    for (object, _) in &objects {
        text += &object.to_string();
        text += "\n---\n";
    }
    std::fs::write(&file, text).unwrap();
    let local = SlipwayLocal::start("alike", std::slice::from_ref(&file));
    let lines_about = |object: &Value| -> Vec<String> {
        // Of files it says `ScaledJob`, of what it runs `scaledjob`.
        let head = format!("default/{}: ", object["metadata"]["name"].as_str().unwrap());
        let output = local.output();
        let lines = output.lines().filter(|line| line.contains(&head));
        lines.map(str::to_owned).collect()
    };
    // The first turn of a ScaledJob says what is wrong with its triggers.
    let mut right = Vec::new();
    for (object, change) in &objects {
        let checked = checked(object).await;
        for fault in &checked {
            let what = format!("local says of {change}: {fault}");
            await_until(&what, Duration::from_mins(1), async || {
                let lines = lines_about(object);
                let is_said = lines.iter().any(|line| line.contains(&fault.message));
                is_said.then_some(())
            })
            .await;
        }
        if checked.is_empty() {
            right.push((object, change));
        }
    }
    for (object, change) in right {
        let mut lines = lines_about(object);
        // Nobody answers at the addresses of the ScaledJobs, and doors take events.
        lines.retain(|line| !line.contains("did not answer") && !line.contains("takes events at"));
        assert!(lines.is_empty(), "{change}: check does not say: {lines:?}");
    }
    drop(local);
    std::fs::remove_dir_all(&folder).unwrap();
}
