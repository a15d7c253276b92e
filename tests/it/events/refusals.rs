//! What the API server refuses: an event's values are the sender's fault, a policy of late is not.

use std::time::Duration;

use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use kube::api::{Api, DeleteParams, PostParams};
use serde_json::json;

use super::{await_status, cluster, condition, deliver, event_job, renewed, send, slipway};
use crate::support::api_proxy::{ApiProxy, Fault, Rule};
use crate::support::await_until;
use crate::support::cluster::Cluster;
use crate::support::process::Slipway;

const WAIT: Duration = Duration::from_secs(40);
/// True for Jobs of which no container has a variable with this value.
const HARMLESS: &str = "object.spec.template.spec.containers.all(c, !has(c.env) || c.env.all(e, !has(e.value) || e.value != 'forbidden'))";

/// A policy over the Jobs of one namespace; it goes when it is told to.
struct Policy<'a> {
    cluster: &'a Cluster,
    name: String,
}

impl<'a> Policy<'a> {
    async fn create(cluster: &'a Cluster, expression: &str) -> Self {
        let name = format!("of-{}", cluster.namespace);
        let policy: ValidatingAdmissionPolicy = serde_json::from_value(json!({
            "metadata": {"name": name},
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": {"resourceRules": [{
                    "apiGroups": ["batch"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["jobs"],
                }]},
                "validations": [{"expression": expression, "message": "the policy says no"}],
            },
        }))
        .unwrap();
        let binding: ValidatingAdmissionPolicyBinding = serde_json::from_value(json!({
            "metadata": {"name": name},
            "spec": {
                "policyName": name,
                "validationActions": ["Deny"],
                "matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": cluster.namespace}}},
            },
        }))
        .unwrap();
        let post = PostParams::default();
        Api::all(cluster.client.clone())
            .create(&post, &policy)
            .await
            .unwrap();
        Api::all(cluster.client.clone())
            .create(&post, &binding)
            .await
            .unwrap();
        Self { cluster, name }
    }

    async fn delete(self) {
        let now = DeleteParams::default();
        let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(self.cluster.client.clone());
        bindings.delete(&self.name, &now).await.unwrap();
        let policies: Api<ValidatingAdmissionPolicy> = Api::all(self.cluster.client.clone());
        policies.delete(&self.name, &now).await.unwrap();
    }
}

#[tokio::test]
async fn values_that_the_server_refuses_are_422_with_its_words() {
    let cluster = cluster("values").await;
    cluster.create(event_job("values", &json!({}))).await;
    let slipway = slipway(&cluster, &[]).await;
    deliver(&slipway, &cluster, "values", &renewed("e-0", "sub-0")).await;
    let policy = Policy::create(&cluster, HARMLESS).await;
    let tries = std::cell::Cell::new(0);
    let refused = await_until("the policy is in force", WAIT, async || {
        tries.set(tries.get() + 1);
        let event = renewed(&format!("probe-{}", tries.get()), "forbidden");
        let heard = send(&slipway, &cluster, "values", &event).await?;
        (heard.status != 200).then_some(heard)
    })
    .await;
    assert_eq!(refused.status, 422, "{refused:?}");
    assert_eq!(refused.text("reason"), "Rejected");
    assert!(refused.text("message").contains("the policy says no"));
    // Many at once are told so too.
    let sent = (0..20).map(|number| {
        let event = renewed(&format!("e-bad-{number}"), "forbidden");
        let (slipway, cluster) = (&slipway, &cluster);
        async move { send(slipway, cluster, "values", &event).await.unwrap() }
    });
    for heard in futures::future::join_all(sent).await {
        assert_eq!(heard.status, 422, "{heard:?}");
    }
    deliver(&slipway, &cluster, "values", &renewed("e-1", "sub-1")).await;
    policy.delete().await;
    cluster.remove().await;
}

#[tokio::test]
async fn a_policy_of_late_that_refuses_every_job_costs_no_event() {
    let cluster = cluster("policy").await;
    cluster.create(event_job("policy", &json!({}))).await;
    let slipway = slipway(&cluster, &[]).await;
    deliver(&slipway, &cluster, "policy", &renewed("e-0", "sub-0")).await;
    let policy = Policy::create(&cluster, "false").await;
    let tries = std::cell::Cell::new(0);
    let event = await_until("the policy is in force", WAIT, async || {
        tries.set(tries.get() + 1);
        let event = renewed(&format!("probe-{}", tries.get()), "sub-1");
        let heard = send(&slipway, &cluster, "policy", &event).await?;
        // Not once is it said to be the event's fault.
        assert!(matches!(heard.status, 200 | 503), "{heard:?}");
        (heard.status == 503).then_some(event)
    })
    .await;
    for number in 1..=20 {
        let other = renewed(&format!("e-{number}"), "sub-1");
        let heard = send(&slipway, &cluster, "policy", &other).await.unwrap();
        assert_eq!(heard.status, 503, "{heard:?}");
        assert_eq!(heard.text("reason"), "NotReady", "{heard:?}");
        assert!(heard.body["retryAfterSeconds"].is_u64(), "{heard:?}");
    }
    await_status(&cluster, "policy", "its status says so", |status| {
        let is_said = status.to_string().contains("the policy says no");
        condition(status, "Ready").0 == "False" && is_said
    })
    .await;
    policy.delete().await;
    await_until("the event is taken in the end", 2 * WAIT, async || {
        let heard = send(&slipway, &cluster, "policy", &event).await?;
        assert!(matches!(heard.status, 200 | 503), "{heard:?}");
        (heard.status == 200).then_some(())
    })
    .await;
    await_status(&cluster, "policy", "it is ready again", |status| {
        condition(status, "Ready").0 == "True"
    })
    .await;
    cluster.remove().await;
}

#[tokio::test]
async fn until_the_template_is_proved_again_a_refusal_is_no_4xx() {
    let cluster = cluster("unproved").await;
    cluster.create(event_job("unproved", &json!({}))).await;
    let proxy = ApiProxy::start().await;
    let kubeconfig = std::env::temp_dir().join(format!("{}.kubeconfig", cluster.namespace));
    std::fs::write(&kubeconfig, proxy.kubeconfig()).unwrap();
    let slipway = Slipway::run(kubeconfig.to_str().unwrap(), &cluster.namespace, &[], &[]).await;
    deliver(&slipway, &cluster, "unproved", &renewed("e-0", "sub-0")).await;
    for (number, fault) in [Fault::Hang, Fault::Refuse(500), Fault::Refuse(429)]
        .into_iter()
        .enumerate()
    {
        proxy.fault(Rule::on("POST", "dryRun=All", fault));
        proxy.fault(Rule::on("POST", "/jobs?", Fault::Refuse(422)));
        let event = renewed(&format!("e-1-{number}"), "sub-1");
        let heard = send(&slipway, &cluster, "unproved", &event).await.unwrap();
        assert_eq!(heard.status, 503, "{fault:?}: {heard:?}");
        proxy.heal();
    }
    // Answers of whoever stands in between say nothing about the event.
    for status in [402, 405, 406, 408, 415, 425, 431] {
        proxy.fault(Rule::on("POST", "/jobs?", Fault::Refuse(status)).times(1));
        let event = renewed(&format!("e-{status}"), "sub-1");
        let heard = send(&slipway, &cluster, "unproved", &event).await.unwrap();
        assert!(matches!(heard.status, 200 | 503), "{status}: {heard:?}");
    }
    // Nor do those to other calls than the create.
    for path in ["/configmaps", "/jobs/"] {
        proxy.fault(Rule::on("GET", path, Fault::Refuse(400)));
        proxy.fault(Rule::on("POST", "/jobs?", Fault::Refuse(504)).times(1));
        let event = renewed(&format!("e{}", path.replace('/', "-")), "sub-1");
        let heard = send(&slipway, &cluster, "unproved", &event).await.unwrap();
        assert!(matches!(heard.status, 200 | 503), "{path}: {heard:?}");
        proxy.heal();
    }
    std::fs::remove_file(&kubeconfig).unwrap();
    cluster.remove().await;
}
