use std::num::NonZeroU32;

use serde_json::json;

use super::*;
use crate::event::{self, Attributes, Opened};
use crate::launch::OCCURRENCE_ANNOTATION;
use crate::resource::HistoryLimits;
use crate::resource::event_job::{
    Auth, Bind, BindSource, CountBinding, EnvBinding, EventSource, FileBinding, Format,
    GatedPolicy, MetadataBinding, Split, WebhookSource,
};
use crate::resource::query::Query;

const GRACE: Duration = Duration::from_mins(10);

fn event_job() -> EventJob {
    EventJob {
        id: ObjectId::new("production", "invoice-generator"),
        uid: "uid".to_owned(),
        generation: 3,
        created: String::new(),
        source: EventSource::Webhook(WebhookSource {
            format: Format::EventBridge,
            shared: false,
            split: Split::No,
            allowed_origins: Vec::new(),
            confirm_topic_arns: Vec::new(),
            auth: vec![Auth::None],
        }),
        pattern: None,
        cron_job: None,
        header_pattern: None,
        expected_interval: None,
        requests: Ok(Vec::new()),
        id_from: Vec::new(),
        bind: Bind::default(),
        concurrency: Concurrency::Allow,
        rate_limit: None,
        deduplicate_for: Duration::from_hours(25),
        suspend: false,
        history: Some(HistoryLimits {
            successful: 100,
            failed: 100,
        }),
        job_template: json!({
            "metadata": {"labels": {"app": "invoices"}},
            "spec": {
                "backoffLimit": 3,
                "newerThanOurTypes": {"kept": true},
                "template": {"spec": {
                    "restartPolicy": "Never",
                    "initContainers": [{"name": "setup", "image": "s"}],
                    "containers": [{
                        "name": "generator",
                        "image": "g",
                        "env": [
                            {"name": "SECRET", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
                            {"name": "PERIOD", "value": "none"},
                        ],
                    }],
                }},
            },
        })
        .into(),
    }
}

/// Edits the template.
fn edit(object: &mut EventJob, edit: impl FnOnce(&mut Value)) {
    let mut template = object.job_template.value();
    edit(&mut template);
    object.job_template = template.into();
}

fn envelope(detail: &Value) -> Value {
    json!({
        "version": "0", "id": "e1", "detail-type": "renewed", "source": "billing", "account": "1",
        "time": "2026-01-01T00:00:00Z", "region": "r", "resources": [], "detail": detail,
    })
}

fn open(value: &Value) -> Event {
    let headers = [(
        "traceparent",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    )];
    let attributes: Attributes = headers
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into_iter()
        .collect();
    match event::open(
        Format::EventBridge,
        &attributes,
        value.to_string().as_bytes(),
    ) {
        Ok(Opened::One(event)) => *event,
        _ => panic!("no event: {value}"),
    }
}

fn deliver(event_job: &EventJob, detail: &Value) -> Result<Delivery, Refusal> {
    let event = open(&envelope(detail));
    let identity = event.identity(&event_job.id_from)?;
    let received_at = "2026-01-01T00:00:00.0564Z".parse().unwrap();
    Delivery::new(event_job, &event, &identity, received_at, GRACE)
}

fn origin(path: &str) -> BindSource {
    BindSource::Path(Query::parse(path).unwrap())
}

fn env(name: &str, path: &str) -> EnvBinding {
    EnvBinding {
        name: name.to_owned(),
        origin: origin(path),
        default: None,
        container: None,
    }
}

fn metadata(name: &str, path: &str) -> MetadataBinding {
    MetadataBinding {
        name: name.to_owned(),
        origin: origin(path),
        default: None,
    }
}

fn count(path: &str, max: u32) -> CountBinding {
    CountBinding {
        path: Query::parse(path).unwrap(),
        max,
    }
}

/// The variables of a container, as `name=value`.
fn variables(manifest: &Value, container: &str) -> Vec<String> {
    let pod = &manifest["spec"]["template"]["spec"];
    let lists = ["initContainers", "containers"].map(|list| pod[list].as_array().unwrap());
    let mut containers = lists.into_iter().flatten();
    let found = containers.find(|found| found["name"] == container).unwrap();
    let env = found["env"].as_array().unwrap();
    env.iter()
        .map(|entry| format!("{}={}", entry["name"].as_str().unwrap(), entry["value"]))
        .collect()
}

#[test]
fn an_event_is_the_same_job_each_time() {
    let mut object = event_job();
    object.bind = Bind {
        env: vec![
            env("SUBSCRIPTION_ID", "$.detail.id"),
            env("PERIOD", "$.detail.period"),
        ],
        labels: vec![metadata("customer", "$.detail.customer")],
        annotations: vec![metadata("example.com/order", "$.detail.order")],
        completions: Some(count("$.detail.chunks", 100)),
        parallelism: Some(count("$.detail.chunks", 10)),
        file: Some(FileBinding {
            path: "/var/run/slipway/event.json".to_owned(),
        }),
    };
    let detail =
        json!({"id": "s-1", "period": "$(SECRET)", "customer": "c.1", "order": 5, "chunks": 4});
    let delivery = deliver(&object, &detail).unwrap();
    assert!(delivery == deliver(&object, &detail).unwrap());
    assert!(!delivery.is_gated);
    assert_eq!(delivery.remember_for, Duration::from_hours(25));
    // Another release must give an event the same name, or it launches it twice.
    assert_eq!(&*delivery.launch.id.name, "invoice-generator-4jk4pjbtbg");
    let pretty = |value: &Value| serde_json::to_string_pretty(value).unwrap();
    insta::assert_snapshot!("job", pretty(&delivery.launch.manifest));
    insta::assert_snapshot!("secret", pretty(&delivery.file.unwrap()));
}

#[test]
fn what_is_another_event_has_another_name() {
    let object = event_job();
    let base = envelope(&json!({}));
    let name = |object: &EventJob, event: &Value| {
        let event = open(event);
        let identity = event.identity(&[]).unwrap();
        let delivery = Delivery::new(object, &event, &identity, Timestamp::UNIX_EPOCH, GRACE);
        delivery.unwrap().launch.occurrence
    };
    let of_base = name(&object, &base);
    for field in ["id", "source", "account", "region", "replay-name"] {
        let mut other = base.clone();
        other[field] = json!("other");
        assert_ne!(name(&object, &other), of_base, "{field}");
    }
    for field in ["detail-type", "time", "detail"] {
        let mut same = base.clone();
        same[field] = json!("other");
        assert_eq!(name(&object, &same), of_base, "{field}");
    }
    let mut other = event_job();
    other.id.namespace = "staging".into();
    assert_ne!(name(&other, &base), of_base);
    // An object that was deleted and made again is the same to the sender.
    let mut again = event_job();
    again.uid = "another".to_owned();
    again.generation = 9;
    assert_eq!(name(&again, &base), of_base);
}

#[test]
fn a_written_prefix_is_used_and_cut() {
    let object = event_job();
    let prefix = |object: &EventJob| {
        let launch = deliver(object, &json!({})).unwrap().launch;
        let generate_name = launch.manifest["metadata"]["generateName"]
            .as_str()
            .unwrap();
        assert!(launch.id.name.starts_with(generate_name));
        assert_eq!(launch.id.name.len(), generate_name.len() + 10);
        generate_name.to_owned()
    };
    assert_eq!(prefix(&object), "invoice-generator-");
    let named = |name: &str| {
        let mut object = event_job();
        edit(&mut object, |template| {
            template["metadata"]["generateName"] = json!(name);
        });
        object
    };
    assert_eq!(prefix(&named("inv.")), "inv-");
    assert_eq!(prefix(&named(&"a".repeat(60))), "a".repeat(47));
}

#[test]
fn variables_go_to_every_container_or_to_the_one_named_and_replace_what_is_there() {
    let mut object = event_job();
    let mut one = env("ONLY", "$.detail.only");
    one.container = Some("generator".to_owned());
    object.bind.env = vec![
        one,
        env("PERIOD", "$.detail.period"),
        env("SECRET", "$.detail.list"),
        env(EVENT_ID_VARIABLE, "$.detail.own"),
    ];
    let detail = json!({"only": 1.5, "period": "p", "list": [1, {"a": null}], "own": "mine"});
    let manifest = deliver(&object, &detail).unwrap().launch.manifest;
    let parent = r#"TRACEPARENT="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01""#;
    assert_eq!(
        variables(&manifest, "generator"),
        [
            r#"SLIPWAY_EVENT_ID="mine""#,
            parent,
            r#"ONLY="1.5""#,
            r#"SECRET="[1,{\"a\":null}]""#,
            r#"PERIOD="p""#,
        ]
    );
    assert_eq!(
        variables(&manifest, "setup"),
        [
            r#"SLIPWAY_EVENT_ID="mine""#,
            parent,
            r#"PERIOD="p""#,
            r#"SECRET="[1,{\"a\":null}]""#,
        ]
    );
    // What was a reference is a value now.
    let env = &manifest["spec"]["template"]["spec"]["containers"][0]["env"];
    assert_eq!(
        env[3],
        json!({"name": "SECRET", "value": "[1,{\"a\":null}]"})
    );
}

#[test]
fn a_missing_value_is_its_default_or_a_refusal() {
    let mut object = event_job();
    object.bind.env = vec![env("PERIOD", "$.detail.period")];
    let refused = |object: &EventJob, detail: &Value| {
        let refusal = deliver(object, detail).err().unwrap();
        refusal.to_string()
    };
    let missing = "$.detail.period: is missing, and env PERIOD has no default";
    assert_eq!(refused(&object, &json!({})), missing);
    assert_eq!(refused(&object, &json!({"period": null})), missing);
    object.bind.env[0].default = Some("current".to_owned());
    let manifest = deliver(&object, &json!({"period": null}))
        .unwrap()
        .launch
        .manifest;
    assert_eq!(variables(&manifest, "generator")[3], r#"PERIOD="current""#);
    assert!(deliver(&object, &json!({"period": ""})).is_ok());
}

#[test]
fn a_value_that_its_place_cannot_hold_is_refused_and_not_quoted() {
    let mut object = event_job();
    object.bind.env = vec![env("A", "$.detail.a"), env("B", "$.detail.b")];
    object.bind.labels = vec![metadata("l", "$.detail.l")];
    object.bind.annotations = vec![metadata("n", "$.detail.n")];
    object.bind.completions = Some(count("$.detail.c", 100));
    let good = json!({"a": "a", "b": "b", "l": "l", "n": "n", "c": 1});
    assert!(deliver(&object, &good).is_ok());
    let number = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let large = |kilobytes: usize| Value::from("x".repeat(kilobytes * 1024));
    for (field, value, says) in [
        ("a", json!("hush\0"), "has a NUL character"),
        ("n", json!("hush\0"), "has a NUL character"),
        (
            "a",
            Value::from("x".repeat(32 * 1024 + 1)),
            "has 32769 bytes, and a value may have 32768: use bind.file",
        ),
        ("l", Value::from("x".repeat(64)), "is no value for label l"),
        ("l", json!("hush!"), "is no value for label l"),
        ("l", json!("-hush"), "is no value for label l"),
        ("l", json!("hush."), "is no value for label l"),
        ("l", json!("é"), "is no value for label l"),
        (
            "c",
            json!(101),
            "is too large: completions must be a whole number from 0 to 100",
        ),
        ("c", json!(4_294_967_297_u64), "is too large"),
        ("c", json!(-1), "is no such number"),
        ("c", json!(1.5), "is no such number"),
        ("c", number("1.0"), "is no such number"),
        ("c", json!("5x"), "is no number"),
        ("c", json!("-5"), "is no number"),
        ("c", json!("101"), "is too large"),
        ("c", json!("99999999999999999999"), "is no such number"),
        ("c", Value::Null, "is missing"),
    ] {
        let mut detail = good.clone();
        detail[field] = value;
        let refusal = deliver(&object, &detail).err().unwrap();
        assert_eq!(refusal.field, format!("$.detail.{field}"));
        assert!(refusal.message.starts_with(says), "{refusal}");
        assert!(!refusal.message.contains("hush"), "{refusal}");
    }
    for (field, value) in [
        ("a", large(32)),
        ("l", json!("")),
        ("l", Value::from("x".repeat(63))),
        ("l", json!("a_b.c-D")),
        // Attributes of messages are always texts.
        ("c", json!("5")),
        ("l", json!(5)),
        ("c", json!(0)),
        ("c", json!(100)),
    ] {
        let mut detail = good.clone();
        detail[field] = value;
        assert!(deliver(&object, &detail).is_ok(), "{field}");
    }
    // Two containers, two values of 32 KiB, and the few bytes of the others.
    let mut detail = good;
    detail["a"] = large(32);
    detail["b"] = large(32);
    let refusal = deliver(&object, &detail).err().unwrap();
    assert!(
        refusal
            .message
            .starts_with("is too large beside the others"),
        "{refusal}"
    );
}

#[test]
fn an_event_that_no_secret_holds_is_refused() {
    let mut object = event_job();
    object.bind.file = Some(FileBinding {
        path: "/e/event.json".to_owned(),
    });
    let around = envelope(&json!({"x": ""})).to_string().len();
    let event = |bytes: usize| json!({"x": "y".repeat(bytes - around)});
    assert!(deliver(&object, &event(1024 * 1024)).is_ok());
    let refusal = deliver(&object, &event(1024 * 1024 + 1)).err().unwrap();
    assert_eq!(
        refusal.to_string(),
        "body: has 1048577 bytes, and bind.file takes 1048576: a Secret holds no more"
    );
}

#[test]
fn a_mount_leaves_the_templates_volumes_as_they_are() {
    let mut object = event_job();
    object.bind.file = Some(FileBinding {
        path: "/e/event.json".to_owned(),
    });
    edit(&mut object, |template| {
        let pod = &mut template["spec"]["template"]["spec"];
        pod["volumes"] = json!([{"name": "slipway-event", "emptyDir": {}}]);
        pod["containers"][0]["volumeMounts"] =
            json!([{"name": "slipway-event", "mountPath": "/e"}]);
    });
    let launch = deliver(&object, &json!({})).unwrap().launch;
    let pod = &launch.manifest["spec"]["template"]["spec"];
    let volume = json!({"name": "slipway-event-x", "secret": {"secretName": *launch.id.name}});
    assert_eq!(
        pod["volumes"],
        json!([{"name": "slipway-event", "emptyDir": {}}, volume])
    );
    let mount = json!({"name": "slipway-event-x", "mountPath": "/e/event.json", "subPath": "event.json", "readOnly": true});
    assert_eq!(pod["containers"][0]["volumeMounts"][1], mount);
    assert_eq!(pod["initContainers"][0]["volumeMounts"], json!([mount]));
}

#[test]
fn a_ttl_is_a_day_unless_written_and_never_shorter_than_the_ledger_needs() {
    for (written, wanted) in [
        (Value::Null, json!(86_400)),
        (json!(0), json!(600)),
        (json!(599), json!(600)),
        (json!(601), json!(601)),
        (json!("soon"), json!("soon")),
    ] {
        let mut object = event_job();
        edit(&mut object, |template| {
            template["spec"]["ttlSecondsAfterFinished"] = written;
        });
        let manifest = deliver(&object, &json!({})).unwrap().launch.manifest;
        assert_eq!(manifest["spec"]["ttlSecondsAfterFinished"], wanted);
    }
}

#[test]
fn a_policy_makes_the_job_wait_at_its_gate_with_its_key() {
    let mut object = event_job();
    let gated = |key_from| Concurrency::Gated {
        policy: GatedPolicy::Queue,
        limit: NonZeroU32::MIN,
        key_from,
        max_waiting: 10,
    };
    object.concurrency = gated(Some(origin("$.detail.key")));
    let annotations = |object: &EventJob, detail: &Value| {
        let delivery = deliver(object, detail).unwrap();
        assert!(delivery.is_gated);
        assert_eq!(delivery.launch.manifest["spec"]["suspend"], true);
        delivery.launch.manifest["metadata"]["annotations"].clone()
    };
    let one = annotations(&object, &json!({"key": "k"}));
    assert_eq!(one[GATE_ANNOTATION], "waiting");
    assert_eq!(one[CONCURRENCY_KEY_ANNOTATION].as_str().unwrap().len(), 64);
    let other = annotations(&object, &json!({"key": "l"}));
    assert_ne!(
        one[CONCURRENCY_KEY_ANNOTATION],
        other[CONCURRENCY_KEY_ANNOTATION]
    );
    let refusal = deliver(&object, &json!({})).err().unwrap();
    assert_eq!(refusal.field, "$.detail.key");
    object.concurrency = gated(None);
    assert_eq!(
        annotations(&object, &json!({}))[CONCURRENCY_KEY_ANNOTATION],
        Value::Null
    );
}

#[test]
fn what_finds_a_job_again_cannot_be_written_over() {
    let mut object = event_job();
    edit(&mut object, |template| {
        template["metadata"] = json!({
            "labels": {EVENT_JOB_LABEL: "x", "app.kubernetes.io/managed-by": "Helm"},
            "annotations": {OCCURRENCE_ANNOTATION: "x", "team": "billing"},
        });
    });
    object.bind.labels = vec![metadata(EVENT_JOB_LABEL, "$.detail.x")];
    object.bind.annotations = vec![metadata(OCCURRENCE_ANNOTATION, "$.detail.x")];
    let delivery = deliver(&object, &json!({"x": "y"})).unwrap();
    let job = &delivery.launch.manifest["metadata"];
    assert_eq!(job["labels"][EVENT_JOB_LABEL], "invoice-generator");
    assert_eq!(job["labels"]["app.kubernetes.io/managed-by"], "slipway");
    assert_eq!(
        job["annotations"][OCCURRENCE_ANNOTATION],
        delivery.launch.occurrence.as_str()
    );
    assert_eq!(job["annotations"]["team"], "billing");
    let pod = &delivery.launch.manifest["spec"]["template"]["metadata"];
    assert_eq!(pod["labels"][EVENT_JOB_LABEL], "invoice-generator");
}

#[test]
fn a_sample_has_a_name_that_no_event_has() {
    let object = event_job();
    let sample = Delivery::sample(&object, GRACE);
    let mut event = envelope(&json!({}));
    event["id"] = json!("sample");
    let event = open(&event);
    for source in ["", "1/r/billing"] {
        let identity = EventIdentity {
            source: source.to_owned(),
            id: "sample".to_owned(),
            replay: None,
        };
        let delivery = Delivery::new(&object, &event, &identity, Timestamp::UNIX_EPOCH, GRACE);
        assert_ne!(delivery.unwrap().launch.id, sample.id);
    }
}
