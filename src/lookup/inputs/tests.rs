use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt, ready};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::*;
use crate::lookup::{Authentication, SecretData};
use crate::resource::{AuthenticationRef, HistoryLimits, Rollout, TriggerKind};
use crate::scaling::{Bounds, Calculation, Policy, Strategy};

/// Objects in memory, by kind and `namespace/name`, and a note of each that was asked for.
#[derive(Default)]
struct Memory {
    values: BTreeMap<String, BTreeMap<String, String>>,
    authentications: BTreeMap<String, Authentication>,
    asked: Mutex<Vec<String>>,
}

impl Memory {
    fn with(mut self, object: &str, values: &[(&str, &str)]) -> Self {
        let values = values
            .iter()
            .map(|&(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        self.values.insert(object.to_owned(), values);
        self
    }

    fn authenticating(mut self, object: &str, namespace: &str, spec: Value) -> Self {
        let namespace = namespace.to_owned();
        self.authentications
            .insert(object.to_owned(), Authentication { spec, namespace });
        self
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    fn get(&self, object: String) -> Option<BTreeMap<String, String>> {
        let values = self.values.get(&object).cloned();
        self.asked.lock().unwrap().push(object);
        values
    }
}

impl Lookup for Memory {
    fn forget(&self, _namespace: Option<&str>) {}

    fn secret<'a>(&'a self, id: &'a ObjectId) -> BoxFuture<'a, Result<Option<SecretData>, Error>> {
        let found = self.get(format!("Secret {id}")).map(|values| {
            let values = values.into_iter();
            Arc::new(
                values
                    .map(|(key, value)| (key, SecretString::from(value)))
                    .collect(),
            )
        });
        ready(Ok(found)).boxed()
    }

    fn config_map<'a>(
        &'a self,
        id: &'a ObjectId,
    ) -> BoxFuture<'a, Result<Option<BTreeMap<String, String>>, Error>> {
        ready(Ok(self.get(format!("ConfigMap {id}")))).boxed()
    }

    fn service_account_annotations<'a>(
        &'a self,
        id: &'a ObjectId,
    ) -> BoxFuture<'a, Result<Option<BTreeMap<String, String>>, Error>> {
        ready(Ok(self.get(format!("ServiceAccount {id}")))).boxed()
    }

    fn authentication<'a>(
        &'a self,
        id: &'a ObjectId,
        cluster: bool,
        _api: Api,
    ) -> BoxFuture<'a, Result<Option<Authentication>, Error>> {
        let object = if cluster {
            format!("cluster {}", id.name)
        } else {
            id.to_string()
        };
        ready(Ok(self.authentications.get(&object).cloned())).boxed()
    }
}

fn scaled_job(pod_spec: &Value) -> ScaledJob {
    ScaledJob {
        id: ObjectId::new("team", "orders"),
        uid: "uid".to_owned(),
        generation: 1,
        api: Api::Slipway,
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        job_target: json!({"template": {"spec": pod_spec}}).into(),
        polling_interval: Duration::from_secs(30),
        history: HistoryLimits {
            successful: 100,
            failed: 100,
        },
        rollout: Rollout::Gradual,
        policy: policy(),
        pending_pod_conditions: Vec::new(),
        env_source_container: None,
        triggers: Arc::default(),
        paused: false,
        round: None,
        requests: Ok(Vec::new()),
        answers: Vec::new(),
    }
}

fn policy() -> Policy {
    Policy {
        strategy: Strategy::Default,
        calculation: Calculation::Max,
        bounds: Bounds::default(),
    }
}

fn trigger(metadata: &[(&str, &str)], authentication: Option<(&str, bool)>) -> TriggerEntry {
    TriggerEntry {
        index: 0,
        kind: TriggerKind::Kafka,
        name: None,
        metadata: metadata
            .iter()
            .map(|&(key, value)| (key.to_owned(), value.to_owned()))
            .collect(),
        authentication: authentication.map(|(name, cluster)| AuthenticationRef {
            name: name.to_owned(),
            cluster,
        }),
    }
}

fn revealed(values: &BTreeMap<String, SecretString>) -> Vec<(&str, &str)> {
    values
        .iter()
        .map(|(name, value)| (name.as_str(), value.expose_secret()))
        .collect()
}

async fn environment(
    memory: &Memory,
    job: &ScaledJob,
    variables: &[&str],
) -> Result<Inputs, Error> {
    let metadata: Vec<(String, &str)> = variables
        .iter()
        .enumerate()
        .map(|(index, &variable)| (format!("k{index}FromEnv"), variable))
        .collect();
    let metadata: Vec<(&str, &str)> = metadata
        .iter()
        .map(|(key, variable)| (key.as_str(), *variable))
        .collect();
    inputs(job, &trigger(&metadata, None), memory).await
}

fn container() -> Value {
    json!({"containers": [{
        "name": "main",
        "envFrom": [
            {"configMapRef": {"name": "settings"}},
            {"prefix": "DB_", "secretRef": {"name": "db"}},
            {"secretRef": {"name": "absent", "optional": true}},
        ],
        "env": [
            {"name": "PLAIN", "value": "one"},
            {"name": "JOINED", "value": "$(PLAIN)-$(DB_password)-$$(PLAIN)-$(LATER)"},
            {"name": "LATER", "value": "later"},
            {"name": "FROM_SECRET", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "k"}}},
            {"name": "FROM_MAP", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "mode"}}},
            {"name": "mode", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "none", "optional": true}}},
            {"name": "PERHAPS", "valueFrom": {"secretKeyRef": {"name": "gone", "key": "x", "optional": true}}},
            {"name": "SURELY", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "none"}}},
            {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        ],
    }, {"name": "other", "env": [{"name": "PLAIN", "value": "two"}]}]})
}

fn memory() -> Memory {
    Memory::default()
        .with(
            "ConfigMap team/settings",
            &[("mode", "fast"), ("POD_IP", "0")],
        )
        .with("Secret team/db", &[("password", "pw")])
        .with("Secret team/keys", &[("k", "v")])
}

#[tokio::test]
async fn the_environment_is_put_together_as_the_kubelet_does() {
    let job = scaled_job(&container());
    let names = [
        "JOINED",
        "FROM_SECRET",
        "FROM_MAP",
        "mode",
        "PERHAPS",
        "POD_IP",
        "UNKNOWN",
    ];
    let inputs = environment(&memory(), &job, &names).await.unwrap();
    assert_eq!(
        revealed(&inputs.env),
        [
            ("FROM_MAP", "fast"),
            ("FROM_SECRET", "v"),
            ("JOINED", "one-pw-$(PLAIN)-$(LATER)"),
            ("mode", "fast"),
        ]
    );
}

#[tokio::test]
async fn only_what_is_asked_for_is_read() {
    let job = scaled_job(&container());
    let memory = memory();
    environment(&memory, &job, &["PLAIN"]).await.unwrap();
    assert_eq!(memory.asked(), [""; 0]);
    environment(&memory, &job, &["FROM_SECRET"]).await.unwrap();
    assert_eq!(memory.asked(), ["Secret team/keys"]);
    inputs(&job, &trigger(&[("topic", "t")], None), &memory)
        .await
        .unwrap();
    assert_eq!(memory.asked().len(), 1);
}

#[tokio::test]
async fn another_container_can_be_named_and_must_exist() {
    let mut job = scaled_job(&container());
    job.env_source_container = Some("other".to_owned());
    let inputs = environment(&memory(), &job, &["PLAIN"]).await.unwrap();
    assert_eq!(revealed(&inputs.env), [("PLAIN", "two")]);
    job.env_source_container = Some("third".to_owned());
    let error = environment(&memory(), &job, &["PLAIN"]).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "ScaledJob team/orders: no container is named \"third\", which envSourceContainerName or containerName asks for; there is main, other"
    );
    let empty = scaled_job(&json!({}));
    let error = environment(&memory(), &empty, &["PLAIN"])
        .await
        .unwrap_err();
    assert_eq!(error.reason(), "Invalid");
}

#[tokio::test]
async fn what_the_environment_refers_to_must_exist_unless_optional() {
    let job = scaled_job(&container());
    let error = environment(&memory(), &job, &["SURELY"]).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "Secret team/keys has no text under the key \"none\"; spec.jobTargetRef.template.spec.containers[0].env[7] of ScaledJob team/orders refers to it"
    );
    let error = environment(&Memory::default(), &job, &["UNKNOWN"])
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "ConfigMap team/settings does not exist; spec.jobTargetRef.template.spec.containers[0].envFrom[0] of ScaledJob team/orders refers to it"
    );
}

#[tokio::test]
async fn later_sources_overwrite_earlier_ones() {
    let spec = json!({
        "env": [
            {"parameter": "a", "name": "PLAIN"},
            {"parameter": "b", "name": "PLAIN", "containerName": "other"},
            {"parameter": "c", "name": "PLAIN"},
        ],
        "configMapTargetRef": [
            {"parameter": "c", "name": "settings", "key": "mode"},
            {"parameter": "d", "name": "settings", "key": "mode"},
        ],
        "secretTargetRef": [{"parameter": "d", "name": "keys", "key": "k"}],
    });
    let memory = memory().authenticating("team/login", "team", spec);
    let job = scaled_job(&container());
    let inputs = inputs(&job, &trigger(&[], Some(("login", false))), &memory)
        .await
        .unwrap();
    assert_eq!(
        revealed(&inputs.auth_params),
        [("a", "one"), ("b", "two"), ("c", "fast"), ("d", "v")]
    );
    assert_eq!(inputs.pod_identity, PodIdentity::None);
    assert!(inputs.env.is_empty());
}

#[tokio::test]
async fn a_cluster_authentication_reads_its_own_namespace() {
    let spec = json!({"secretTargetRef": [{"parameter": "p", "name": "keys", "key": "k"}]});
    let memory = Memory::default()
        .authenticating("cluster login", "slipway", spec)
        .with("Secret slipway/keys", &[("k", "ours")])
        .with("Secret team/keys", &[("k", "theirs")]);
    let job = scaled_job(&json!({}));
    let inputs = inputs(&job, &trigger(&[], Some(("login", true))), &memory)
        .await
        .unwrap();
    assert_eq!(revealed(&inputs.auth_params), [("p", "ours")]);
}

#[tokio::test]
async fn a_secret_text_has_no_line_break_at_its_end_wherever_it_comes_from() {
    let spec = json!({
        "secretTargetRef": [{"parameter": "password", "name": "keys", "key": "k"}],
        "configMapTargetRef": [{"parameter": "username", "name": "keys", "key": "u"}],
        "env": [{"parameter": "token", "name": "TOKEN"}],
    });
    let memory = Memory::default()
        .authenticating("team/login", "team", spec)
        .with("Secret team/keys", &[("k", "two\nlines\r\n")])
        .with("ConfigMap team/keys", &[("u", "me\n")]);
    let env = json!([{"name": "TOKEN", "value": "t\n"}, {"name": "V", "value": "v\n"}]);
    let variables = json!({"containers": [{"name": "main", "env": env}]});
    let job = scaled_job(&variables);
    let trigger = trigger(&[("keyFromEnv", "V")], Some(("login", false)));
    let inputs = inputs(&job, &trigger, &memory).await.unwrap();
    assert_eq!(
        revealed(&inputs.auth_params),
        [
            ("password", "two\nlines"),
            ("token", "t"),
            ("username", "me")
        ]
    );
    assert_eq!(revealed(&inputs.env), [("V", "v")]);
}

#[tokio::test]
async fn what_an_authentication_refers_to_must_exist() {
    let job = scaled_job(&container());
    for (spec, wanted) in [
        (
            json!({"secretTargetRef": [{"parameter": "p", "name": "blank", "key": "k"}]}),
            "Secret team/blank: the text under the key \"k\" is empty; spec.secretTargetRef[0] of TriggerAuthentication team/login refers to it",
        ),
        (
            json!({"secretTargetRef": [{"parameter": "p", "name": "gone", "key": "k"}]}),
            "Secret team/gone does not exist; spec.secretTargetRef[0] of TriggerAuthentication team/login refers to it",
        ),
        (
            json!({"configMapTargetRef": [{"parameter": "p", "name": "settings", "key": "k"}]}),
            "ConfigMap team/settings has no text under the key \"k\"; spec.configMapTargetRef[0] of TriggerAuthentication team/login refers to it",
        ),
        (
            json!({"env": [{"parameter": "p", "name": "POD_IP"}]}),
            "ScaledJob team/orders sets no variable \"POD_IP\" with a value that can be known before the Pod runs; spec.env[0] of TriggerAuthentication team/login refers to it",
        ),
        (
            json!({"podIdentity": {"provider": "aws", "identityOwner": "workload"}}),
            "ServiceAccount team/default does not exist; spec.podIdentity.identityOwner of TriggerAuthentication team/login takes the role from there, from its annotation eks.amazonaws.com/role-arn",
        ),
        (
            json!({"secretTargetRefs": []}),
            "TriggerAuthentication team/login: spec.secretTargetRefs: there is no such field; did you mean secretTargetRef?",
        ),
    ] {
        let memory = memory()
            .with("Secret team/blank", &[("k", " \n")])
            .authenticating("team/login", "team", spec);
        let error = inputs(&job, &trigger(&[], Some(("login", false))), &memory)
            .await
            .unwrap_err();
        assert_eq!(error.to_string(), wanted);
        assert!(!error.is_transient());
    }
    let error = inputs(&job, &trigger(&[], Some(("login", true))), &memory())
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "ClusterTriggerAuthentication login does not exist; an authenticationRef of ScaledJob team/orders refers to it"
    );
}

#[tokio::test]
async fn the_workloads_role_is_its_service_accounts() {
    let job = scaled_job(&json!({"serviceAccountName": "worker"}));
    let with_identity = |identity: Value| {
        Memory::default().authenticating("team/login", "team", json!({"podIdentity": identity}))
    };
    let role = [(ROLE_ANNOTATION, "arn:r")];
    let entry = trigger(&[], Some(("login", false)));

    let owned = json!({"provider": "aws", "identityOwner": "workload"});
    let memory = with_identity(owned.clone()).with("ServiceAccount team/worker", &role);
    let found = inputs(&job, &entry, &memory).await.unwrap();
    assert_eq!(
        found.pod_identity,
        PodIdentity::Aws {
            role_arn: Some("arn:r".to_owned()),
            external_id: None
        }
    );
    let memory = with_identity(owned).with("ServiceAccount team/worker", &[]);
    let error = inputs(&job, &entry, &memory).await.unwrap_err();
    assert_eq!(error.reason(), "Missing");

    let eks = json!({"provider": "aws-eks"});
    let memory = with_identity(eks.clone()).with("ServiceAccount team/worker", &role);
    let found = inputs(&job, &entry, &memory).await.unwrap();
    assert_eq!(found.pod_identity, PodIdentity::AwsEks);
    assert_eq!(revealed(&found.auth_params), [("awsRoleArn", "arn:r")]);
    let error = inputs(&job, &entry, &with_identity(eks.clone()))
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "ServiceAccount team/worker does not exist; spec.podIdentity.provider of TriggerAuthentication team/login takes the role from there, from its annotation eks.amazonaws.com/role-arn"
    );
    // Another identity is meant.
    let operators = trigger(&[("identityOwner", "operator")], Some(("login", false)));
    let found = inputs(&job, &operators, &with_identity(eks)).await.unwrap();
    assert!(found.auth_params.is_empty());
}

#[tokio::test]
async fn no_secret_reaches_an_error_or_a_debug_text() {
    const CANARY: &str = "canary-4711";
    let spec = json!({"secretTargetRef": [
        {"parameter": "p", "name": "keys", "key": "k"},
        {"parameter": "q", "name": "keys", "key": "missing"},
    ]});
    let memory = Memory::default()
        .with("Secret team/keys", &[("k", CANARY)])
        .authenticating("team/login", "team", spec)
        .authenticating("team/wrong", "team", json!({"secretTargetRef": CANARY}));
    let good = json!({"containers": [{"name": "c", "env": [
        {"name": "A", "value": CANARY},
        {"name": "B", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "k"}}},
    ]}]});
    let broken = json!({"containers": [{"name": "c", "env": CANARY}]});
    let both = [("aFromEnv", "A"), ("bFromEnv", "B")];
    let found = inputs(&scaled_job(&good), &trigger(&both, None), &memory)
        .await
        .unwrap();
    assert_eq!(found.env.len(), 2);
    let mut texts = vec![format!("{found:?}")];
    for (pod_spec, entry) in [
        (&good, trigger(&both, Some(("login", false)))),
        (&good, trigger(&both, Some(("wrong", false)))),
        (&broken, trigger(&both, None)),
    ] {
        let error = inputs(&scaled_job(pod_spec), &entry, &memory)
            .await
            .unwrap_err();
        texts.push(format!("{error} {error:?}"));
    }
    for text in texts {
        assert!(!text.contains(CANARY), "{text}");
    }
}
