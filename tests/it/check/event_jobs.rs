//! EventJobs: the parser beside the definition, the API server's opinion of both, and what `check` says.

use kube::Client;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use slipway::cli::check;
use slipway::manifest::Manifests;
use slipway::resource::{Fault, document, event_job};

use super::cluster::{apply, cluster, resource};
use super::{Kind, compare, put, schema_of};

/// A valid EventJob with everything in it.
const EVERYTHING: &str = "\
apiVersion: slipway.dev/v1alpha1
kind: EventJob
metadata: {name: invoice, namespace: default}
spec:
  source:
    webhook:
      format: SNS
      shared: true
      auth:
      - apiKey: {header: X-Key, secretKeyRefs: [{name: hook, key: current}, {name: hook, key: previous}]}
      - basic: {secretRef: {name: hook-basic}}
      - hmac: {scheme: Generic, signatureHeader: X-Sig, timestampHeader: X-Time, secretKeyRefs: [{name: hook, key: signing}]}
      - jwt: {issuer: i, audience: a, jwksURL: https://issuer.example/keys}
      - sns: {topicARNs: [\"arn:aws:sns:eu-west-1:123456789012:orders\"]}
  pattern: {source: [billing], detail: {n: [{numeric: [\">\", 1]}]}}
  idFrom: [{path: $.id}, {header: X-Delivery}, {bodyHash: {}}]
  bind:
    env:
    - {name: ID, path: $.detail.id}
    - {name: PERIOD, header: X-Period, default: current, container: main}
    labels: [{name: customer, path: $.detail.customer, default: none}]
    annotations: [{name: example.com/order, path: $.detail.order}]
    completions: {path: $.detail.chunks, max: 100}
    parallelism: {path: $.detail.chunks, max: 10}
    file: {path: /var/run/slipway/event.json}
  concurrencyPolicy: Queue
  concurrency: {limit: 2, keyFrom: {path: $.detail.customer}, maxWaiting: 5}
  rateLimit: {requests: 10, unit: Minute, burst: 20}
  deduplicateFor: 26h30m
  suspend: true
  successfulJobsHistoryLimit: 3
  failedJobsHistoryLimit: 1
  jobTemplate:
    metadata: {generateName: invoice-, labels: {app: invoice}, annotations: {slipway.dev/local-command: \"true\"}}
    spec: {template: {spec: {restartPolicy: Never, containers: [{name: main, image: x}]}}}
";

/// A valid EventJob with everything that a schedule may have.
const SCHEDULE: &str = "\
apiVersion: slipway.dev/v1alpha1
kind: EventJob
metadata: {name: report, namespace: default}
spec:
  source:
    cron:
      schedules: [0 2 * * *, '@hourly', '@every 90m']
      timeZone: Asia/Kolkata
      startingDeadlineSeconds: 300
      catchUp: All
      gap: Next
      fold: First
      splay: 30s
      exclude: {dates: [2026-12-25], schedules: ['* 3 * * *']}
      startAt: 2026-01-01T00:00:00Z
      endAt: 2046-01-01T00:00:00+05:30
  bind:
    env: [{name: DUE, path: $.scheduledTime}, {name: TABLE, template: 'daily_{$.scheduledDate}'}]
    labels: [{name: due, path: $.scheduledDate}]
    annotations: [{name: example.com/due, path: $.scheduledTimeUTC}]
  concurrencyPolicy: Forbid
  concurrency: {limit: 2, maxWaiting: 5}
  suspend: false
  successfulJobsHistoryLimit: 3
  failedJobsHistoryLimit: 1
  jobTemplate:
    spec: {template: {spec: {restartPolicy: Never, containers: [{name: main, image: x}]}}}
";

fn schedule_in_full() -> Value {
    let (documents, misread) = document::read(SCHEDULE);
    assert_eq!(misread, []);
    documents[0].value.clone()
}

fn everything() -> Value {
    let (documents, misread) = document::read(EVERYTHING);
    assert_eq!(misread, []);
    documents[0].value.clone()
}

fn texts(object: &Value) -> Vec<String> {
    let faults = event_job::parse(object).err().unwrap_or_default();
    faults.iter().map(Fault::to_string).collect()
}

#[test]
fn the_parser_and_the_definition_know_the_same_fields_words_and_ranges() {
    let mut object = everything();
    assert_eq!(texts(&object), Vec::<String>::new());
    // One entry of each list with all that an entry may have: wrong together, each right alone.
    let auth = object["spec"]["source"]["webhook"]["auth"].clone();
    for way in auth.as_array().unwrap() {
        for (name, value) in way.as_object().unwrap() {
            object["spec"]["source"]["webhook"]["auth"][0][name] = value.clone();
        }
    }
    object["spec"]["source"]["cron"] = schedule_in_full()["spec"]["source"]["cron"].clone();
    object["spec"]["source"]["cron"]["schedule"] = json!("0 2 * * *");
    let kind = Kind {
        object,
        faults: texts,
    };
    let mut seen = 0;
    compare(&kind, &schema_of(3), "/spec", &mut seen);
    assert!(seen > 20, "only {seen} words and ranges were compared");
}

/// What the API server says to changes of the whole object: pointer, value, and words of a refusal or nothing.
const CHANGES_OF_SCHEDULES: &str = r#"
/spec/source/webhook | {"auth": [{"none": {}}]} | must have exactly one of webhook and cron
/spec/source | {} | must have exactly one of webhook and cron
/spec/source/cron/schedule | "0 2 * * *" | must have exactly one of schedule and schedules
/spec/source/cron/schedules | null | must have exactly one of schedule and schedules
/spec/source/cron/schedules | [] | should have at least 1 items
/spec/source/cron/schedules | ["0 2 * * *"] |
/spec/source/cron/timeZone | "" | should be at least 1 chars long
/spec/source/cron/startingDeadlineSeconds | 0 | greater than or equal to 1
/spec/source/cron/startingDeadlineSeconds | 1 |
/spec/source/cron/catchUp | "Newest" | Unsupported value
/spec/source/cron/catchUp | "None" |
/spec/source/cron/gap | "Skip" |
/spec/source/cron/gap | "skip" | Unsupported value
/spec/source/cron/fold | "both" | Unsupported value
/spec/source/cron/splay | "25h" | must be from 1s to 24h
/spec/source/cron/splay | "1d" | splay
/spec/source/cron/exclude | {} | should have at least 1 properties
/spec/source/cron/exclude/dates | ["25 Dec"] | dates
/spec/source/cron/exclude/days | [] | days
/spec/source/cron/startAt | "tomorrow" | startAt
/spec/source/cron/startAt | "2026-01-01 00:00:00Z" | startAt
/spec/source/cron/endAt | "2046-01-01T00:00:00" | endAt
/spec/pattern | {"source": ["x"]} | have no meaning with source.cron
/spec/match | {"headers": {"x-a": ["b"]}} | have no meaning with source.cron
/spec/idFrom | [{"path": "$.scheduledTime"}] | have no meaning with source.cron
/spec/rateLimit | {"requests": 1, "unit": "Hour"} | have no meaning with source.cron
/spec/deduplicateFor | "25h" | have no meaning with source.cron
/spec/concurrency/keyFrom | {"path": "$.scheduledDate"} | keyFrom has no meaning with source.cron
/spec/bind/completions | {"path": "$.scheduledDate", "max": 1} | have no meaning with source.cron
/spec/bind/file | {"path": "/e/event.json"} | have no meaning with source.cron
/spec/bind/env/0/name | "SLIPWAY_SCHEDULED_TIME" | this variable is set already
/spec/bind/env | [{"name": "A", "path": "$.scheduledTimeUTC"}] |
"#;

/// The same of an EventJob with a door.
const CHANGES: &str = r#"
/spec/sauce | 1 | sauce
/spec/source | {} | must have exactly one of webhook and cron
/spec/source | {"sqs": {}, "webhook": {"auth": [{"none": {}}]}} | sqs
/spec/source/webhook/auth | null | auth: Required value
/spec/source/webhook/auth | [] | should have at least 1 items
/spec/source/webhook/auth | [{"none": {}}] |
/spec/source/webhook/auth/0 | {"none": {}} | none lets everybody in, so it must stand alone
/spec/source/webhook/auth/0 | {} | must have exactly one of apiKey
/spec/source/webhook/auth/0/none | {} | must have exactly one of apiKey
/spec/source/webhook/auth/0/apiKey | {"secretKeyRefs": [{"name": "a", "key": "b"}]} |
/spec/source/webhook/auth/0/apiKey/header | "a b" | header
/spec/source/webhook/auth/0/apiKey/secretKeyRefs | [] | should have at least 1 items
/spec/source/webhook/auth/0/apiKey/secretKeyRefs/0/key | "previous" | duplicate
/spec/source/webhook/auth/0/apiKey/secretKeyRefs/0/key | "a/b" | key
/spec/source/webhook/auth/1/basic | {} | secretRef: Required value
/spec/source/webhook/auth/2/hmac | {"scheme": "GitHub", "secretKeyRefs": [{"name": "a", "key": "b"}]} |
/spec/source/webhook/auth/2/hmac/scheme | "GitHub" | Generic needs signatureHeader
/spec/source/webhook/auth/2/hmac | {"scheme": "Generic", "secretKeyRefs": [{"name": "a", "key": "b"}]} | Generic needs signatureHeader
/spec/source/webhook/auth/2/hmac/scheme | "Github" | Unsupported value
/spec/source/webhook/auth/3/jwt/jwksURL | "http://issuer.example/keys" | jwksURL
/spec/source/webhook/auth/3/jwt/jwksURL | "https://u:p@issuer.example/keys" | jwksURL
/spec/source/webhook/auth/4/sns/topicARNs/0 | "arn:aws:sqs:eu-west-1:123456789012:orders" | topicARNs
/spec/source/webhook/format | "JSON" | auth sns proves only what SNS sends
/spec/source/webhook/format | null | auth sns proves only what SNS sends
/spec/source/webhook | {"format": "JSON", "auth": [{"none": {}}]} |
/spec/source/webhook/format | "Json" | Unsupported value
/spec/idFrom | [] | should have at least 1 items
/spec/idFrom/0 | {} | must have exactly one of path, header and bodyHash
/spec/idFrom/0/header | "x" | must have exactly one of path, header and bodyHash
/spec/idFrom/0/path | "id" | path
/spec/idFrom/1/header | "Authorization" | carries a credential
/spec/bind/env/0/header | "x" | must have exactly one of path, header and template
/spec/bind/env/0/path | null | must have exactly one of path, header and template
/spec/bind/env/1/header | "X-Hub-Signature-256" | carries a credential
/spec/bind/env/0/name | "1A" | name
/spec/bind/env/0/name | "SLIPWAY_EVENT_ID" | this variable is set already
/spec/bind/env/0/name | "PERIOD" | a variable is bound once in a container
/spec/bind/env | [{"name": "A", "path": "$.a", "container": "main"}, {"name": "B", "path": "$.a", "container": "main"}] |
/spec/bind/env | [{"name": "A", "path": "$.a", "container": "main"}, {"name": "A", "path": "$.b", "container": "main"}] | a variable is bound once in a container
/spec/bind/env/0/default | 5 | default
/spec/bind/env/0/value | "x" | value
/spec/bind/labels/0/name | "app.kubernetes.io/name" | is not for events to set
/spec/bind/labels/0/name | "k8s.io/name" | is not for events to set
/spec/bind/labels/0/name | "kueue.x-k8s.io/queue-name" | is not for events to set
/spec/bind/labels/0/name | "job-name" | is not for events to set
/spec/bind/labels/0/name | "mykubernetes.io/name" |
/spec/bind/labels/0/name | "a b" | name
/spec/bind/labels/0/default | "a b" | default
/spec/bind/labels | [{"name": "a", "path": "$.b"}, {"name": "a", "path": "$.c"}] | uplicate
/spec/bind/annotations/0/name | "slipway.dev/gate" | is not for events to set
/spec/bind/annotations/0/name | "autoscaling.keda.sh/paused" | is not for events to set
/spec/bind/annotations/0/header | "cookie" | must have exactly one of path, header and template
/spec/bind/completions/max | 0 | greater than or equal to 1
/spec/bind/completions | {"path": "$.a"} | max: Required value
/spec/jobTemplate/spec/completions | 1 | completions is written in jobTemplate and bound
/spec/jobTemplate/spec/parallelism | 1 | parallelism is written in jobTemplate and bound
/spec/bind/file/path | "event.json" | path
/spec/bind/file/path | "/a/../event.json" | must be plain
/spec/bind/file/path | "/a/./event.json" | must be plain
/spec/bind/file/path | "/a//event.json" | path
/spec/bind/file/path | "/a/.b" |
/spec/concurrencyPolicy | "Allow" | concurrency has no meaning with concurrencyPolicy Allow
/spec/concurrencyPolicy | null | concurrency has no meaning with concurrencyPolicy Allow
/spec/concurrencyPolicy | "queue" | Unsupported value
/spec/concurrencyPolicy | "Replace" |
/spec/concurrency/limit | 0 | greater than or equal to 1
/spec/concurrency/maxWaiting | 100001 | less than or equal to 100000
/spec/concurrency/keyFrom | {} | must have exactly one of path and header
/spec/rateLimit/unit | "Day" | Unsupported value
/spec/rateLimit | {"unit": "Hour"} | requests: Required value
/spec/deduplicateFor | "1s" |
/spec/deduplicateFor | "8760h" |
/spec/deduplicateFor | "0s" | must be from 1s to 8760h
/spec/deduplicateFor | "8760h1s" | must be from 1s to 8760h
/spec/deduplicateFor | "1d" | deduplicateFor
/spec/deduplicateFor | "1000" | deduplicateFor
/spec/failedJobsHistoryLimit | -1 | greater than or equal to 0
/spec/jobTemplate/metadata/name | "a" | every Job gets a name of its own
/spec/jobTemplate/metadata/namespace | "a" | every Job gets a name of its own
/spec/jobTemplate/metadata/generateName | "Invoice-" | generateName
/spec/jobTemplate/metadata/labels/app | 1 | labels
/spec/jobTemplate/metadata/labels | {"kueue.x-k8s.io/queue-name": "q"} | Kueue decides when such Jobs start
/spec/jobTemplate/spec/suspend | true | a suspended jobTemplate is resumed by its owner
/spec/jobTemplate/spec/suspend | false |
/spec/jobTemplate/spec | {} | template: Required value
/spec/jobTemplate/spec/template/spec/containers | [] | should have at least 1 items
/spec/jobTemplate/spec/newField | {"a": 1} |
"#;

/// Makes each change to an object, and asks both sides; says how often they refuse and how often they take it.
async fn held_against_each_other(client: &Client, whole: &Value, changes: &str) -> [usize; 2] {
    let (mut sides, mut missed) = ([0, 0], Vec::new());
    for row in changes.lines().filter(|row| !row.is_empty()) {
        let [pointer, value, words] = row.splitn(3, '|').map(str::trim).collect::<Vec<_>>()[..]
        else {
            unreachable!("{row}");
        };
        let value = serde_json::from_str(value).unwrap();
        let mut object = put(whole.clone(), pointer, value);
        // To server-side apply, null is a value, and a wrong one.
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        if object.pointer(pointer).is_some_and(Value::is_null) {
            let parent = object.pointer_mut(parent).and_then(Value::as_object_mut);
            parent.unwrap().remove(key);
        }
        let (answer, said) = (apply(client, &object).await, texts(&object));
        let refused = answer.err().unwrap_or_default();
        let agree = if words.is_empty() {
            refused.is_empty() && said.is_empty()
        } else {
            refused.contains(words) && !said.is_empty()
        };
        if !agree {
            missed.push(format!("{row}\n  server: {refused}\n  ours: {said:?}"));
        }
        sides[usize::from(words.is_empty())] += 1;
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
    sides
}

#[tokio::test]
async fn the_api_server_and_the_parser_refuse_the_same_of_schedules() {
    let client = cluster().await;
    let answer = apply(&client, &schedule_in_full()).await.unwrap();
    assert_eq!(answer.data["spec"], schedule_in_full()["spec"]);
    let sides = held_against_each_other(&client, &schedule_in_full(), CHANGES_OF_SCHEDULES).await;
    assert!(sides[0] > 20 && sides[1] > 3, "{sides:?}");
}

#[tokio::test]
async fn the_api_server_and_the_parser_refuse_the_same() {
    let client = cluster().await;
    let answer = apply(&client, &everything()).await.unwrap();
    assert_eq!(answer.data["spec"], everything()["spec"]);
    let sides = held_against_each_other(&client, &everything(), CHANGES).await;
    assert!(sides[0] > 60 && sides[1] > 10, "{sides:?}");
    // Who else releases Jobs goes with Allow.
    let mut allowed = everything();
    allowed["spec"]["concurrencyPolicy"] = json!("Allow");
    let spec = allowed["spec"].as_object_mut().unwrap();
    spec.remove("concurrency");
    allowed["spec"]["jobTemplate"]["spec"]["suspend"] = json!(true);
    allowed["spec"]["jobTemplate"]["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] = json!("q");
    let answer = apply(&client, &allowed).await;
    assert!(answer.is_ok(), "{answer:?}");
    assert_eq!(texts(&allowed), Vec::<String>::new());
}

#[tokio::test]
async fn generate_name_is_immutable_and_the_columns_show_a_working_object() {
    let client = cluster().await;
    let kind = resource("slipway.dev/v1alpha1", "EventJob");
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), "default", &kind);
    let name = format!("columns-{}", std::process::id());
    let mut object = everything();
    object["metadata"]["name"] = json!(name);
    let object: DynamicObject = serde_json::from_value(object).unwrap();
    api.create(&PostParams::default(), &object).await.unwrap();
    let change = async |patch: Value| {
        let patch = Patch::Merge(patch);
        let changed = api.patch(&name, &PatchParams::default(), &patch).await;
        changed.map_err(|error| error.to_string())
    };
    for prefix in [json!("other-"), Value::Null] {
        let patch = json!({"spec": {"jobTemplate": {"metadata": {"generateName": prefix}}}});
        let refused = change(patch).await.unwrap_err();
        assert!(refused.contains("immutable"), "{refused}");
    }
    let patch =
        json!({"spec": {"suspend": false, "jobTemplate": {"metadata": {"labels": {"a": "b"}}}}});
    change(patch).await.unwrap();

    let time = "2020-01-01T00:00:00Z";
    let status = json!({"status": {
        "observedGeneration": 1,
        "conditions": [{
            "type": "Ready", "status": "True", "reason": "R", "message": "m",
            "lastTransitionTime": time, "observedGeneration": 1,
        }],
        "active": 2, "waiting": 3, "lastEventTime": time, "lastJobName": "invoice-b",
        "lastScheduleTime": time, "lastSuccessfulTime": time, "nextScheduleTime": time,
        "url": "/events/default/invoice",
        "lastDecision": {"time": time, "result": "Created", "reason": "why", "jobName": "invoice-b"},
    }});
    let patch = Patch::Merge(&status);
    api.patch_status(&name, &PatchParams::default(), &patch)
        .await
        .unwrap();
    let address = format!("/apis/slipway.dev/v1alpha1/namespaces/default/eventjobs/{name}");
    let request = http::Request::get(address)
        .header("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")
        .body(Vec::new())
        .unwrap();
    let table: Value = client.request(request).await.unwrap();
    let written = api.get(&name).await.unwrap();
    api.delete(&name, &DeleteParams::default()).await.unwrap();

    assert_eq!(written.data["status"], status["status"]);
    let columns = table["columnDefinitions"].as_array().unwrap();
    let names: Vec<_> = columns.iter().map(|column| &column["name"]).collect();
    assert_eq!(
        names,
        [
            "Name",
            "Ready",
            "Suspend",
            "Active",
            "Waiting",
            "Last-Event",
            "Last-Job",
            "Age"
        ]
    );
    let cells = table["rows"][0]["cells"].as_array().unwrap();
    assert_eq!(
        Value::from(&cells[1..5]),
        json!(["True", false, 2, 3]),
        "{cells:?}"
    );
    assert!(
        cells[5] != "<unknown>" && cells[6] == "invoice-b",
        "{cells:?}"
    );
}

// slipway check

/// Nothing is wrong with it.
const RIGHT: &str = "\
apiVersion: slipway.dev/v1alpha1
kind: EventJob
metadata:
  name: invoice
spec:
  source:
    webhook:
      auth:
      - apiKey: {secretKeyRefs: [{name: hook, key: current}]}
  pattern:
    source: [billing]
    detail-type: [subscription.renewed]
  bind:
    env:
    - {name: ID, path: $.detail.id}
  jobTemplate:
    spec:
      ttlSecondsAfterFinished: 86400
      template:
        spec:
          restartPolicy: Never
          containers:
          - name: main
            image: x
---
apiVersion: v1
kind: Secret
metadata:
  name: hook
stringData:
  current: HUSH
";

async fn said(text: &str) -> Vec<String> {
    let findings = check::check(&Manifests::from_texts([("f", text)])).await;
    let faults = findings.faults.iter().map(|fault| format!("fault {fault}"));
    let warnings = findings.warnings.iter();
    let notes = findings.notes.iter();
    faults
        .chain(warnings.map(|warning| format!("warning {warning}")))
        .chain(notes.map(|note| format!("note {note}")))
        .collect()
}

/// What is written, what stands there instead, and what is said.
#[expect(clippy::too_many_lines, reason = "a table of rows")]
fn mistakes_and_traps() -> Vec<(&'static str, &'static str, String)> {
    let ours = "EventJob default/invoice: spec";
    vec![
        (
            "  pattern:\n    source:",
            "  pattern:\n    sauce:",
            format!("warning f:11:5: {ours}.pattern.sauce: is no field of an EventBridge event"),
        ),
        (
            "path: $.detail.id",
            "path: $.details.id",
            format!(
                "warning f:15:18: {ours}.bind.env[0].path: begins with no field of an EventBridge event: every event is answered 400; did you mean detail?"
            ),
        ),
        (
            "path: $.detail.id",
            "path: detail.id",
            format!("fault f:15:18: {ours}.bind.env[0].path: "),
        ),
        (
            "ttlSecondsAfterFinished: 86400",
            "ttlSecondsAfterFinished: 60",
            format!(
                "warning f:18:7: {ours}.jobTemplate.spec.ttlSecondsAfterFinished: is 60, and is raised to --ledger-grace"
            ),
        ),
        (
            "ttlSecondsAfterFinished: 86400",
            "ttlSecondsAfterFinished: -1",
            format!(
                "fault f:18:7: {ours}.jobTemplate.spec.ttlSecondsAfterFinished: must be 0 or more"
            ),
        ),
        (
            "ttlSecondsAfterFinished: 86400",
            "ttlSecondsAfterFinished: 86400\n      completionMode: indexed",
            format!(
                "fault f:19:7: {ours}.jobTemplate.spec.completionMode: must be Indexed or NonIndexed"
            ),
        ),
        (
            "restartPolicy: Never",
            "nodeSelector: {}",
            format!(
                "fault f:20:9: {ours}.jobTemplate.spec.template.spec.restartPolicy: must be Never or OnFailure"
            ),
        ),
        (
            "restartPolicy: Never",
            "restartPolicy: OnFailure",
            format!(
                "warning f:21:11: {ours}.jobTemplate.spec.template.spec.restartPolicy: is OnFailure"
            ),
        ),
        (
            "image: x",
            "image: x\n            env: [{name: ID, value: x}]",
            format!(
                "warning f:15:8: {ours}.bind.env[0].name: is written in container main of jobTemplate too"
            ),
        ),
        (
            "  jobTemplate:\n",
            "  jobTemplate:\n    metadata: {labels: {a: b c}}\n",
            format!("fault f:17:25: {ours}.jobTemplate.metadata.labels.a: must be a label's value"),
        ),
        (
            "apiKey: {secretKeyRefs: [{name: hook, key: current}]}",
            "none: {}",
            format!("warning f:8:7: {ours}.source.webhook.auth: is none: everybody"),
        ),
        (
            "key: current}]",
            "key: old}]",
            format!(
                "fault f:9:34: {ours}.source.webhook.auth[0].apiKey.secretKeyRefs[0]: Secret default/hook has no key `old` that is text"
            ),
        ),
        (
            "current: HUSH",
            "current: ''",
            format!(
                "fault f:9:34: {ours}.source.webhook.auth[0].apiKey.secretKeyRefs[0]: key `current` of Secret default/hook is empty"
            ),
        ),
        (
            "current: HUSH",
            "current: \"  \\n\"",
            format!(
                "fault f:9:34: {ours}.source.webhook.auth[0].apiKey.secretKeyRefs[0]: key `current` of Secret default/hook is empty"
            ),
        ),
        (
            "{name: hook, key",
            "{name: hook2, key",
            format!(
                "note f:9:34: {ours}.source.webhook.auth[0].apiKey.secretKeyRefs[0]: Secret default/hook2 is not in these files"
            ),
        ),
        (
            "    webhook:\n",
            "    webhook:\n      shared: true\n      format: JSON\n",
            format!("warning f:5:1: {ours}.idFrom: is not written: with format: JSON"),
        ),
        (
            "  bind:",
            "  deduplicateFor: 1h\n  bind:",
            format!("warning f:13:3: {ours}.deduplicateFor: is less than 24h"),
        ),
        (
            "  bind:",
            "  idFrom: [{bodyHash: {}}]\n  bind:",
            format!("warning f:13:3: {ours}.idFrom: is bodyHash alone"),
        ),
        (
            "      auth:\n      - apiKey: {",
            "      auth:\n      - hmac: {scheme: GitHub, ",
            format!(
                "warning f:7:5: {ours}.source.webhook.format: is not JSON, and what GitHub sends"
            ),
        ),
    ]
}

#[tokio::test]
async fn check_tells_each_mistake_and_each_trap_at_its_place() {
    assert_eq!(said(RIGHT).await, Vec::<String>::new());
    let mut missed = Vec::new();
    for (right, wrong, expected) in mistakes_and_traps() {
        let text = RIGHT.replacen(right, wrong, 1);
        assert_ne!(text, RIGHT, "{right} is not there");
        let said = said(&text).await;
        let is_told = said.len() == 1 && said[0].starts_with(&expected);
        if !is_told || said[0].contains("HUSH") {
            missed.push(format!("{wrong}: {said:#?} instead of {expected}"));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[tokio::test]
async fn bound_counts_are_checked_as_their_largest_job_would_be() {
    let bound = RIGHT
        .replace(
            "    env:\n",
            "    completions: {path: $.detail.n, max: 200000}\n    env:\n",
        )
        .replace(
            "    spec:\n      ttl",
            "    spec:\n      completionMode: Indexed\n      ttl",
        );
    assert_eq!(said(&bound).await, Vec::<String>::new());
    let limited = bound.replace(
        "completionMode: Indexed",
        "completionMode: Indexed\n      backoffLimitPerIndex: 1",
    );
    let said = said(&limited).await;
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        said[0].contains("maxFailedIndexes: is required above 100000 completions"),
        "{said:?}"
    );
}
