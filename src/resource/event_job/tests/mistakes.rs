//! Mistakes, each told once, at its field.

use serde_json::{Value, json};

use super::{everything, texts, with};

/// Where something else is written, what, and how what is said begins.
const MISTAKES: &str = r#"
/apiVersion | "slipway.dev/v1" | apiVersion: must be slipway.dev/v1alpha1
/kind | "ScaledJob" | kind: must be EventJob
/spec/sauce | 1 | spec.sauce: there is no such field; did you mean source?
/spec/source/webhook/fromat | 1 | spec.source.webhook.fromat: there is no such field; did you mean format?
/spec/source/sqs | {"queueURL": "q"} | spec.source.sqs: is not supported by this version: there are webhook and cron
/spec/source/webhook/format | "Sns" | spec.source.webhook.format: must be one of EventBridge, SNS, CloudEvents, JSON, not "Sns"; did you mean SNS?
/spec/source/webhook/format | "JSON" | spec.source.webhook.auth: has sns, which proves only what SNS sends
/spec/source/webhook/split | true | spec.source.webhook.split: goes with format: JSON
/spec/source/webhook/split | {"path": "x"} | spec.source.webhook.split.path:
/spec/source/webhook/allowedOrigins | ["eventgrid.azure.net"] | spec.source.webhook.allowedOrigins: goes with format: CloudEvents or JSON
/spec/source/webhook/confirmTopicARNs | ["arn:aws:sqs:x"] | spec.source.webhook.confirmTopicARNs[0]: must be a topic such as
/spec/match | {"headers": {"X-Kind": ["a"]}} | spec.match.headers.X-Kind: must be the name of a header in lower case
/spec/match | {"headers": {"x-kind": "a"}} | spec.match.headers
/spec/match | {"headers": {"authorization": ["a"]}} | spec.match.headers.authorization: authorization carries a credential
/spec/match | {"headers": {"x-a": ["a"]}, "method": "POST"} | spec.match.method: there is no such field
/spec/source/webhook/auth | null | spec.source.webhook.auth: is required
/spec/source/webhook/auth | [] | spec.source.webhook.auth: must have 1 to 8 entries
/spec/source/webhook/auth/1 | {"none": {}} | spec.source.webhook.auth: has none beside others
/spec/source/webhook/auth/1 | {} | spec.source.webhook.auth[1]: must have exactly one of apiKey, basic, hmac, jwt, sns, none
/spec/source/webhook/auth/1/none | {} | spec.source.webhook.auth[1]: must have exactly one of
/spec/source/webhook/auth/1 | {"basic": {}} | spec.source.webhook.auth[1].basic.secretRef: is required
/spec/source/webhook/auth/1/basic/secretRef/name | "A" | spec.source.webhook.auth[1].basic.secretRef.name: must be the name of a Secret
/spec/source/webhook/auth/0/apiKey/header | "a b" | spec.source.webhook.auth[0].apiKey.header: must be the name of a header
/spec/source/webhook/auth/0/apiKey/secretKeyRefs | [] | spec.source.webhook.auth[0].apiKey.secretKeyRefs: must have 1 to 8 keys
/spec/source/webhook/auth/0/apiKey/secretKeyRefs/0/key | "previous" | spec.source.webhook.auth[0].apiKey.secretKeyRefs[1]: is there twice
/spec/source/webhook/auth/0/apiKey/secretKeyRefs/0/key | "a/b" | spec.source.webhook.auth[0].apiKey.secretKeyRefs[0].key: must be a key of a Secret
/spec/source/webhook/auth/2/hmac/scheme | "Github" | spec.source.webhook.auth[2].hmac.scheme: must be one of StandardWebhooks, GitHub, Stripe, Slack, Bitbucket, Calendly, CircleCI, Gitea, Jira, Linear, Paddle, Sentry, Shopify, Typeform, Zendesk, Zoom, Generic, not "Github"; did you mean GitHub?
/spec/source/webhook/auth/2/hmac/scheme | "Generic" | spec.source.webhook.auth[2].hmac.signatureHeader: is required
/spec/source/webhook/auth/2/hmac/signatureHeader | "x-sig" | spec.source.webhook.auth[2].hmac.signatureHeader: goes with scheme: Generic
/spec/source/webhook/auth/3/hmac/signedText | "{timestamp}" | spec.source.webhook.auth[3].hmac.signedText: must have {body} once
/spec/source/webhook/auth/3/hmac/signedText | "{body}" | spec.source.webhook.auth[3].hmac.signedText: must have {timestamp}: a time that is not signed proves nothing
/spec/source/webhook/auth/3/hmac/signedText | "{timestamp}{bdy}" | spec.source.webhook.auth[3].hmac.signedText: has {bdy}; there are {timestamp}, {body} and {header:NAME}
/spec/source/webhook/auth/3/hmac/signedText | "{timestamp" | spec.source.webhook.auth[3].hmac.signedText: has a { that is not closed; one that is meant is written {{
/spec/source/webhook/auth/3/hmac/timestampField | "t" | spec.source.webhook.auth[3].hmac.timestampField: must not stand beside timestampHeader
/spec/source/webhook/auth/3/hmac/signaturePrefix | "a,b" | spec.source.webhook.auth[3].hmac.signaturePrefix: must be 1 to 256 letters, digits and signs, without comma, semicolon and space
/spec/source/webhook/auth/3/hmac/encoding | "hex" | spec.source.webhook.auth[3].hmac.encoding: must be one of Hex, Base64, not "hex"; did you mean Hex?
/spec/source/webhook/auth/3/hmac/algorithm | "SHA1" | spec.source.webhook.auth[3].hmac.algorithm: must be one of SHA256, SHA512, not "SHA1"
/spec/source/webhook/auth/3/hmac/tolerance | "25h" | spec.source.webhook.auth[3].hmac.tolerance: must be a duration such as 5m, from 1s to 24h
/spec/source/webhook/auth/2/hmac/signedText | "{body}" | spec.source.webhook.auth[2].hmac.signedText: goes with scheme: Generic; the way of StandardWebhooks is known
/spec/source/webhook/auth/3/hmac/timestampHeader | "x-sig" | spec.source.webhook.auth[3].hmac.timestampHeader: must not be the signature's own
/spec/source/webhook/auth/4/jwt/jwksURL | "http://issuer.example/keys" | spec.source.webhook.auth[4].jwt.jwksURL: must be an address such as https://
/spec/source/webhook/auth/4/jwt/jwksURL | "https://u:p@issuer.example/keys" | spec.source.webhook.auth[4].jwt.jwksURL: must be
/spec/source/webhook/auth/4/jwt/issuer | "" | spec.source.webhook.auth[4].jwt.issuer: must not be empty
/spec/source/webhook/auth/4/jwt/audience | null | spec.source.webhook.auth[4].jwt.audience: is required
/spec/source/webhook/auth/5/sns/topicARNs/0 | "arn:aws:sqs:eu-west-1:123456789012:orders" | spec.source.webhook.auth[5].sns.topicARNs[0]: must be a topic such as
/spec/source/webhook/auth/5/sns/topicARNs | [] | spec.source.webhook.auth[5].sns.topicARNs: must have 1 to 64 topics
/spec/idFrom | [] | spec.idFrom: must have 1 to 8 parts
/spec/idFrom/0 | {"path": "$.id", "header": "a"} | spec.idFrom[0]: must have exactly one of path, header and bodyHash
/spec/idFrom/0 | {"bodyHash": {}} | spec.idFrom[2]: is there twice
/spec/idFrom/0/path | "id" | spec.idFrom[0].path: at character 1: must begin with $
/spec/idFrom/1/header | "Authorization" | spec.idFrom[1].header: authorization carries a credential
/spec/idFrom/2/bodyHash | {"a": 1} | spec.idFrom[2].bodyHash.a: there is no such field
/spec/bind/env/0/name | "1A" | spec.bind.env[0].name: must be letters, digits and underscores
/spec/bind/env/0/name | "SLIPWAY_EVENT_ID" | spec.bind.env[0].name: cannot be bound: SLIPWAY_EVENT_ID holds the event's id already
/spec/bind/env/0/name | "PERIOD" | spec.bind.env[1].name: is bound twice in one container
/spec/bind/env/0/value | "x" | spec.bind.env[0].value: there is no such field
/spec/bind/env/0/default | 5 | spec.bind.env[0].default: must be text, not a number: put it in quotes
/spec/bind/env/0/header | "x" | spec.bind.env[0]: must have exactly one of path, header and template
/spec/bind/env/0/template | "{$.a}" | spec.bind.env[0]: must have exactly one of path, header and template
/spec/bind/env/0 | {"name": "A", "template": "{$.a}", "default": "x"} | spec.bind.env[0].default: does not go with template
/spec/bind/env/0 | {"name": "A", "template": "a"} | spec.bind.env[0].template: has no {$.path} and no {header:NAME}
/spec/bind/env/0 | {"name": "A", "template": "{detail.id}"} | spec.bind.env[0].template: has {detail.id}: must begin with a path
/spec/bind/env/0 | {"name": "A", "template": "{$.a[*]}"} | spec.bind.env[0].template: has {$.a[*]}:
/spec/bind/env/0 | {"name": "A", "template": "{$.a|upper}"} | spec.bind.env[0].template: has {$.a|upper}: steps are default:TEXT
/spec/bind/env/0 | {"name": "A", "template": "{$.a|cut:0}"} | spec.bind.env[0].template: has {$.a|cut:0}: cut needs a number from 1
/spec/bind/env/0 | {"name": "A", "template": "{$.a|match:(:1}"} | spec.bind.env[0].template: has {$.a|match:(:1}: is no regular expression: unclosed group
/spec/bind/env/0 | {"name": "A", "template": "{$.a|match:x:1}"} | spec.bind.env[0].template: has {$.a|match:x:1}: the regular expression has 0 groups
/spec/bind/env/0 | {"name": "A", "template": "{$.a|match:\\w{1,9999}:0}"} | spec.bind.env[0].template: has
/spec/bind/env/0 | {"name": "A", "template": "{$.a|fromBase64|fromBase64}"} | spec.bind.env[0].template: has {$.a|fromBase64|fromBase64}: fromJSON and fromBase64 open a value once
/spec/bind/env/0 | {"name": "A", "template": "{header:x-sig}"} | spec.bind.env[0].template: has {header:x-sig}: x-sig carries a credential
/spec/bind/env/1/header | "X-SIG" | spec.bind.env[1].header: x-sig carries a credential, which must not reach a Job
/spec/bind/env/1/header | "X-Key" | spec.bind.env[1].header: x-key carries a credential
/spec/bind/env/1/header | "webhook-signature" | spec.bind.env[1].header: webhook-signature carries a credential
/spec/bind/env/1/container | "man" | spec.bind.env[1].container: no container of jobTemplate has this name; there are main
/spec/bind/labels/0/name | "app.kubernetes.io/name" | spec.bind.labels[0].name: is not for events to set
/spec/bind/labels/0/name | "k8s.io/name" | spec.bind.labels[0].name: is not for events to set
/spec/bind/labels/0/name | "kueue.x-k8s.io/queue-name" | spec.bind.labels[0].name: is not for events to set
/spec/bind/labels/0/name | "job-name" | spec.bind.labels[0].name: is not for events to set
/spec/bind/annotations/0/name | "slipway.dev/gate" | spec.bind.annotations[0].name: is not for events to set
/spec/bind/annotations/0/name | "autoscaling.keda.sh/paused" | spec.bind.annotations[0].name: is not for events to set
/spec/bind/labels/0/name | "a b" | spec.bind.labels[0].name: must be a key such as
/spec/bind/labels/0/name | "app" | spec.bind.labels[0].name: is written in jobTemplate too
/spec/bind/labels/0/default | "a b" | spec.bind.labels[0].default: must be a label's value
/spec/bind/labels | [{"name": "a", "path": "$.b"}, {"name": "a", "path": "$.c"}] | spec.bind.labels[1].name: is bound twice
/spec/bind/completions/max | 0 | spec.bind.completions.max: must be a whole number, 1 or more, not 0
/spec/bind/completions/max | null | spec.bind.completions.max: is required
/spec/bind/completions/path | "x" | spec.bind.completions.path: at character 1: must begin with $
/spec/jobTemplate/spec/completions | 1 | spec.bind.completions: is written in jobTemplate.spec too
/spec/jobTemplate/spec/parallelism | 1 | spec.bind.parallelism: is written in jobTemplate.spec too
/spec/bind/file/path | "event.json" | spec.bind.file.path: must be absolute
/spec/bind/file/path | "a/event.json" | spec.bind.file.path: must be absolute and plain
/spec/bind/file/path | "/a/../event.json" | spec.bind.file.path: must be absolute and plain
/spec/bind/file/path | "/a//event.json" | spec.bind.file.path: must be absolute and plain
/spec/bind/file/path | "/a/event json" | spec.bind.file.path: must end in the name of a file
/spec/bind/file/path | "/a/" | spec.bind.file.path: must end in the name of a file
/spec/bind/file/path | "/data/event.json" | spec.bind.file.path: lies in or over /data/
/spec/bind/file/path | "/data" | spec.bind.file.path: lies in or over /data/
/spec/concurrencyPolicy | "Allow" | spec.concurrency: has no meaning with concurrencyPolicy: Allow
/spec/concurrencyPolicy | null | spec.concurrency: has no meaning with concurrencyPolicy: Allow
/spec/concurrencyPolicy | "queue" | spec.concurrencyPolicy: must be one of Allow, Forbid, Replace, Queue, not "queue"; did you mean Queue?
/spec/concurrency/limit | 0 | spec.concurrency.limit: must be a whole number, 1 or more, not 0
/spec/concurrency/maxWaiting | 0 | spec.concurrency.maxWaiting: must be a whole number from 1 to 100000, not 0
/spec/concurrency/keyFrom | {} | spec.concurrency.keyFrom: must have exactly one of path and header
/spec/rateLimit/unit | "Day" | spec.rateLimit.unit: must be one of Second, Minute, Hour, not "Day"
/spec/rateLimit/requests | 0 | spec.rateLimit.requests: must be a whole number, 1 or more, not 0
/spec/rateLimit/burst | 0 | spec.rateLimit.burst: must be a whole number, 1 or more, not 0
/spec/deduplicateFor | "1d" | spec.deduplicateFor: must be a duration such as 25h or 90m
/spec/deduplicateFor | "1000" | spec.deduplicateFor: must be a duration
/spec/deduplicateFor | "0s" | spec.deduplicateFor: must be a duration
/spec/deduplicateFor | "8761h" | spec.deduplicateFor: must be a duration
/spec/deduplicateFor | 25 | spec.deduplicateFor: must be text, not a number: put it in quotes
/spec/failedJobsHistoryLimit | -1 | spec.failedJobsHistoryLimit: must be a whole number, 0 or more, not -1
/spec/suspend | "yes" | spec.suspend: must be true or false, not text
/spec/jobTemplate/metadata/name | "a" | spec.jobTemplate.metadata.name: must be left out: every Job gets a name of its own; write generateName
/spec/jobTemplate/metadata/namespace | "a" | spec.jobTemplate.metadata.namespace: must be left out
/spec/jobTemplate/metadata/finalizers | ["a"] | spec.jobTemplate.metadata.finalizers: there is no such field
/spec/jobTemplate/metadata/generateName | "Invoice-" | spec.jobTemplate.metadata.generateName: must be the beginning of a name
/spec/jobTemplate/metadata/labels/app | 1 | spec.jobTemplate.metadata.labels.app: must be text
/spec/jobTemplate/metadata/annotations/slipway.dev~1gate | "released" | spec.jobTemplate.metadata.annotations["slipway.dev/gate"]: is written by Slipway
/spec/jobTemplate/metadata/labels/kueue.x-k8s.io~1queue-name | "q" | spec.jobTemplate.metadata.labels["kueue.x-k8s.io/queue-name"]: names a queue of Kueue
/spec/jobTemplate/spec/suspend | true | spec.jobTemplate.spec.suspend: is on
/spec/jobTemplate/spec/template/spec/containers/0/name | "" | spec.jobTemplate.spec.template.spec.containers[0].name: must not be empty
/spec/jobTemplate/template | {} | spec.jobTemplate.template: there is no such field
"#;

fn check(pointer: &str, value: &Value, expected: &str) {
    let said = texts(&with(everything(), pointer, value.clone()));
    assert_eq!(said.len(), 1, "{pointer} {value}: {said:?}");
    assert!(said[0].starts_with(expected), "{pointer} {value}: {said:?}");
}

#[test]
fn every_mistake_is_told_once_at_its_field() {
    let mut rows = 0;
    for row in MISTAKES.lines().filter(|row| !row.is_empty()) {
        let [pointer, value, expected] = row.splitn(3, " | ").collect::<Vec<_>>()[..] else {
            unreachable!("{row}");
        };
        check(pointer, &serde_json::from_str(value).unwrap(), expected);
        rows += 1;
    }
    assert!(rows > 80, "only {rows} rows");
}

#[test]
fn what_is_too_much_is_told_too() {
    check(
        "/spec/bind/env/0/default",
        &json!("x".repeat(32 * 1024 + 1)),
        "spec.bind.env[0].default: must be at most 32 KiB",
    );
    check(
        "/spec/bind/env/0/default",
        &json!("\0"),
        "spec.bind.env[0].default: must not hold the character NUL",
    );
    let many: Vec<_> = (0..101)
        .map(|number| json!({"name": format!("N{number}"), "path": "$.a"}))
        .collect();
    check(
        "/spec/bind/env",
        &json!(many),
        "spec.bind.env: must have at most 100 entries",
    );
    check(
        "/spec/source/webhook/auth",
        &json!(vec![json!({"basic": {"secretRef": {"name": "a"}}}); 9]),
        "spec.source.webhook.auth: must have 1 to 8 entries",
    );
}
