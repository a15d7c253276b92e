mod cron;
mod mistakes;

use std::num::NonZeroU32;
use std::time::Duration;

use serde_json::{Value, json};

use super::signature::{HmacAlgorithm, SignedPart, SignedTimestamp, TimestampPlace, TimestampUnit};
use super::*;

/// Everything that can be written.
fn everything() -> Value {
    json!({
        "apiVersion": "slipway.dev/v1alpha1",
        "kind": "EventJob",
        "metadata": {"name": "invoice", "namespace": "production", "uid": "u-1", "generation": 3},
        "spec": {
            "source": {"webhook": {
                "format": "SNS",
                "shared": true,
                "auth": [
                    {"apiKey": {"header": "X-Key", "secretKeyRefs": [{"name": "hook", "key": "current"}, {"name": "hook", "key": "previous"}]}},
                    {"basic": {"secretRef": {"name": "hook-basic"}}},
                    {"hmac": {"scheme": "StandardWebhooks", "secretKeyRefs": [{"name": "hook", "key": "signing"}]}},
                    {"hmac": {"scheme": "Generic", "signatureHeader": "X-Sig", "timestampHeader": "X-Time", "secretKeyRefs": [{"name": "hook", "key": "signing"}]}},
                    {"jwt": {"issuer": "i", "audience": "a", "jwksURL": "https://issuer.example/keys"}},
                    {"sns": {"topicARNs": ["arn:aws:sns:eu-west-1:123456789012:orders"]}},
                ],
            }},
            "pattern": {"source": ["billing"]},
            "idFrom": [{"path": "$.id"}, {"header": "X-Delivery"}, {"bodyHash": {}}],
            "bind": {
                "env": [
                    {"name": "SUBSCRIPTION_ID", "path": "$.detail.subscriptionId"},
                    {"name": "PERIOD", "header": "X-Period", "default": "current", "container": "main"},
                ],
                "labels": [{"name": "customer", "path": "$.detail.customer", "default": "none"}],
                "annotations": [{"name": "example.com/order", "path": "$.detail.orderId"}],
                "completions": {"path": "$.detail.chunks", "max": 100},
                "parallelism": {"path": "$.detail.chunks", "max": 10},
                "file": {"path": "/var/run/slipway/event.json"},
            },
            "concurrencyPolicy": "Queue",
            "concurrency": {"limit": 2, "keyFrom": {"path": "$.detail.customer"}, "maxWaiting": 5},
            "rateLimit": {"requests": 10, "unit": "Minute", "burst": 20},
            "deduplicateFor": "26h30m",
            "suspend": true,
            "successfulJobsHistoryLimit": 3,
            "failedJobsHistoryLimit": 1,
            "jobTemplate": {
                "metadata": {"generateName": "invoice-", "labels": {"app": "i"}, "annotations": {"slipway.dev/local-command": "true"}},
                "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [
                    {"name": "main", "image": "x", "volumeMounts": [{"name": "v", "mountPath": "/data/"}]},
                ]}}},
            },
        },
    })
}

/// As little as can be written.
fn least() -> Value {
    json!({
        "apiVersion": "slipway.dev/v1alpha1",
        "kind": "EventJob",
        "metadata": {"name": "invoice"},
        "spec": {
            "source": {"webhook": {"auth": [{"none": {}}]}},
            "jobTemplate": {"spec": {"template": {"spec": {"containers": [{"name": "main"}]}}}},
        },
    })
}

fn with(mut object: Value, pointer: &str, value: Value) -> Value {
    let mut node = &mut object;
    for key in pointer.trim_start_matches('/').split('/') {
        node = match key.parse::<usize>() {
            Ok(index) => &mut node[index],
            Err(_) => &mut node[key.replace("~1", "/")],
        };
    }
    *node = value;
    object
}

fn texts(object: &Value) -> Vec<String> {
    let faults = parse(object).err().unwrap_or_default();
    faults.iter().map(Fault::to_string).collect()
}

fn path(text: &str) -> Query {
    Query::parse(text).unwrap()
}

fn key(key: &str) -> SecretKey {
    SecretKey {
        name: "hook".to_owned(),
        key: key.to_owned(),
    }
}

/// What `everything` describes.
fn generic_scheme() -> HmacScheme {
    HmacScheme {
        name: "Generic",
        signature_header: "x-sig".to_owned(),
        separators: &[',', ';', ' '],
        prefix: None,
        encoding: None,
        algorithm: HmacAlgorithm::Sha256,
        timestamp: Some(SignedTimestamp {
            place: TimestampPlace::Header("x-time".to_owned()),
            unit: TimestampUnit::Seconds,
            tolerance: Duration::from_mins(5),
        }),
        signed: vec![
            SignedPart::Timestamp,
            SignedPart::Text(".".to_owned()),
            SignedPart::Body,
        ],
        is_key_base64: false,
    }
}

#[test]
fn everything_that_is_written_is_read() {
    let object = everything();
    let event_job = parse(&object).unwrap();
    assert_eq!(event_job.id, ObjectId::new("production", "invoice"));
    assert_eq!((event_job.uid.as_str(), event_job.generation), ("u-1", 3));
    assert_eq!(
        event_job.webhook().unwrap(),
        &WebhookSource {
            format: Format::Sns,
            shared: true,
            split: Split::No,
            allowed_origins: Vec::new(),
            confirm_topic_arns: Vec::new(),
            auth: vec![
                Auth::ApiKey {
                    header: "x-key".to_owned(),
                    keys: vec![key("current"), key("previous")],
                },
                Auth::Basic {
                    secret: "hook-basic".to_owned(),
                },
                Auth::Hmac {
                    scheme: HmacScheme::known("StandardWebhooks").unwrap(),
                    keys: vec![key("signing")],
                },
                Auth::Hmac {
                    scheme: generic_scheme(),
                    keys: vec![key("signing")],
                },
                Auth::Jwt {
                    issuer: "i".to_owned(),
                    audience: "a".to_owned(),
                    jwks_url: Url::parse("https://issuer.example/keys").unwrap(),
                },
                Auth::Sns {
                    topic_arns: vec!["arn:aws:sns:eu-west-1:123456789012:orders".to_owned()],
                },
            ],
        }
    );
    assert!(event_job.pattern.is_some());
    assert_eq!(
        event_job.id_from,
        [
            IdPart::Path(path("$.id")),
            IdPart::Header("x-delivery".to_owned()),
            IdPart::BodyHash,
        ]
    );
    let bind = &event_job.bind;
    assert_eq!(
        bind.env[1],
        EnvBinding {
            name: "PERIOD".to_owned(),
            origin: BindSource::Header("x-period".to_owned()),
            default: Some("current".to_owned()),
            container: Some("main".to_owned()),
        }
    );
    assert_eq!(bind.env.len(), 2);
    assert_eq!(bind.labels[0].default.as_deref(), Some("none"));
    assert_eq!(bind.annotations[0].name, "example.com/order");
    assert_eq!(bind.completions.as_ref().unwrap().max, 100);
    assert_eq!(bind.parallelism.as_ref().unwrap().max, 10);
    let file = bind.file.as_ref().unwrap();
    assert_eq!(file.path, "/var/run/slipway/event.json");
    assert_eq!(
        event_job.concurrency,
        Concurrency::Gated {
            policy: GatedPolicy::Queue,
            limit: NonZeroU32::new(2).unwrap(),
            key_from: Some(BindSource::Path(path("$.detail.customer"))),
            max_waiting: 5,
        }
    );
    let rate_limit = event_job.rate_limit.unwrap();
    assert_eq!(rate_limit.unit, Duration::from_mins(1));
    assert_eq!(
        (rate_limit.requests.get(), rate_limit.burst.get()),
        (10, 20)
    );
    assert_eq!(event_job.deduplicate_for, Duration::from_mins(26 * 60 + 30));
    assert!(event_job.suspend);
    assert_eq!(
        event_job.history,
        Some(HistoryLimits {
            successful: 3,
            failed: 1
        })
    );
    assert_eq!(
        event_job.job_template.value(),
        object["spec"]["jobTemplate"]
    );
}

#[test]
fn what_is_not_written_has_its_default() {
    let event_job = parse(&least()).unwrap();
    assert_eq!(&*event_job.id.namespace, "default");
    assert_eq!(event_job.uid, "default/invoice");
    let webhook = event_job.webhook().unwrap();
    assert_eq!(webhook.format, Format::EventBridge);
    assert_eq!(webhook.auth, [Auth::None]);
    assert!(!event_job.is_shared());
    assert_eq!(event_job.pattern, None);
    assert_eq!(event_job.bind, Bind::default());
    assert_eq!(event_job.concurrency, Concurrency::Allow);
    assert_eq!(event_job.deduplicate_for, Duration::from_hours(25));
    let both = |limit| {
        Some(HistoryLimits {
            successful: limit,
            failed: limit,
        })
    };
    assert_eq!(event_job.history, both(100));

    let ttl = "/spec/jobTemplate/spec/ttlSecondsAfterFinished";
    let object = with(least(), ttl, json!(60));
    assert_eq!(parse(&object).unwrap().history, None);
    let object = with(object, "/spec/successfulJobsHistoryLimit", json!(100));
    assert_eq!(parse(&object).unwrap().history, both(100));

    let object = with(least(), "/spec/concurrencyPolicy", json!("Forbid"));
    assert_eq!(
        parse(&object).unwrap().concurrency,
        Concurrency::Gated {
            policy: GatedPolicy::Forbid,
            limit: NonZeroU32::MIN,
            key_from: None,
            max_waiting: 1000,
        }
    );
    let limit = json!({"requests": 7, "unit": "Hour"});
    let object = with(least(), "/spec/rateLimit", limit);
    assert_eq!(parse(&object).unwrap().rate_limit.unwrap().burst.get(), 7);
    let auth = json!([{"apiKey": {"secretKeyRefs": [{"name": "a", "key": "b"}]}}]);
    let object = with(least(), "/spec/source/webhook/auth", auth);
    assert!(matches!(
        &parse(&object).unwrap().auth()[0],
        Auth::ApiKey { header, .. } if header == "x-api-key"
    ));
}

#[test]
fn a_template_that_others_release_is_left_to_them_under_allow() {
    let label = "/spec/jobTemplate/metadata";
    let queued = json!({"labels": {"kueue.x-k8s.io/queue-name": "q"}});
    assert_eq!(texts(&with(least(), label, queued)), Vec::<String>::new());
    let suspended = with(least(), "/spec/jobTemplate/spec/suspend", json!(true));
    assert_eq!(texts(&suspended), Vec::<String>::new());
}

#[test]
fn nulls_are_as_good_as_nothing() {
    let mut object = with(
        least(),
        "/spec/jobTemplate/metadata",
        json!({"creationTimestamp": null, "name": null}),
    );
    for field in [
        "pattern",
        "idFrom",
        "bind",
        "concurrencyPolicy",
        "concurrency",
        "rateLimit",
        "deduplicateFor",
        "suspend",
    ] {
        object["spec"][field] = Value::Null;
    }
    assert_eq!(texts(&object), Vec::<String>::new());
}

#[test]
fn many_mistakes_are_told_together() {
    let mut object = everything();
    object["spec"]["deduplicateFor"] = json!("x");
    object["spec"]["bind"]["env"][0]["path"] = json!("x");
    object["spec"]["jobTemplate"] = json!({"spec": {}});
    object["spec"]["source"] = json!({});
    assert_eq!(
        texts(&object),
        [
            "spec.source: must have exactly one of webhook and cron",
            "spec.jobTemplate.spec.template: is required",
            "spec.bind.env[0].path: at character 1: must begin with $, the whole event, as in $.detail.id",
            "spec.deduplicateFor: must be a duration such as 25h or 90m, from 1s to 8760h",
        ]
    );
}
