//! The chart on the real API server: installed by helm, its Pods allowed by `restricted`, and the built binary run with what
//! the Deployment says and what the ServiceAccount may.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::{arguments, chart, flag, helm, only, render, set};
use crate::controller::rights::{demanding, demanding_events};
use crate::controller::{cluster, scaled_job};
use crate::events::{KEY, deliver, event_job, event_jobs, renewed, send_to};
use crate::support::await_until;
use crate::support::cluster::{Cluster, unique};
use crate::support::dry_run::dry_run;
use crate::support::process::{Slipway, free_port};
use crate::support::queue::Queue;
use crate::support::servers;

/// For what takes several looks at a busy server.
const SOON: Duration = Duration::from_mins(1);

/// A release in a namespace of its own that lets only restricted Pods in, for two other namespaces.
struct Release {
    home: Cluster,
    orders: Cluster,
    billing: Cluster,
    kubeconfig: PathBuf,
}

impl Release {
    /// Installs it with helm, and makes a kubeconfig with a token of its ServiceAccount.
    async fn install(name: &str, changes: &Value) -> Self {
        let home = Cluster::new(&format!("{name}-home")).await;
        let labels = ["enforce", "warn"].map(|mode| format!("pod-security.kubernetes.io/{mode}"));
        let labels = labels.map(|label| (label, "restricted"));
        let labels = json!({"metadata": {"labels": BTreeMap::from(labels)}});
        let namespaces: Api<Namespace> = Api::all(home.client.clone());
        let params = PatchParams::default();
        let patch = Patch::Merge(labels);
        namespaces
            .patch(&home.namespace, &params, &patch)
            .await
            .unwrap();
        let orders = cluster(&format!("{name}-orders")).await;
        let billing = Cluster::new(&format!("{name}-billing")).await;
        billing.secret("hook", &[("current", KEY)]).await;
        let release = Self {
            kubeconfig: std::env::temp_dir().join(format!("slipway-kubeconfig-{}", unique())),
            home,
            orders,
            billing,
        };
        release.upgrade(changes);
        release.sign_in().await;
        release
    }

    /// `helm upgrade --install` with these values.
    fn upgrade(&self, changes: &Value) {
        let chart = chart();
        let mut values = json!({
            "namespaces": [self.orders.namespace, self.billing.namespace],
            // The definitions are there, of all tests: a release leaves them as they are.
            "crds": {"install": true},
            "allowAddress": ["127.0.0.1", "localhost"],
            "allowIdentity": ["127.0.0.1", "localhost"],
            "ledgerGrace": "0s",
        });
        for (key, value) in changes.as_object().unwrap() {
            values[key] = value.clone();
        }
        let set = set(&values);
        let kubeconfig = servers::kubeconfig();
        let mut arguments = vec!["upgrade", "--install", "slipway", chart.to_str().unwrap()];
        arguments.extend([
            "--namespace",
            &self.home.namespace,
            "--kubeconfig",
            &kubeconfig,
        ]);
        arguments.extend(set.iter().map(String::as_str));
        let output = helm(&arguments);
        assert!(output.status.success(), "{output:?}");
    }

    /// A kubeconfig as a Pod of the release has it: a token of the ServiceAccount, the release's namespace.
    async fn sign_in(&self) {
        let accounts: Api<ServiceAccount> =
            Api::namespaced(self.home.client.clone(), &self.home.namespace);
        let request: TokenRequest =
            serde_json::from_value(json!({"spec": {"audiences": []}})).unwrap();
        let params = PostParams::default();
        let answer = accounts.create_token_request("slipway", &params, &request);
        let token = answer.await.unwrap().status.unwrap().token;
        let admin = std::fs::read_to_string(servers::kubeconfig()).unwrap();
        let mut kubeconfig: Value = serde_saphyr::from_str(&admin).unwrap();
        let user = &kubeconfig["contexts"][0]["context"]["user"];
        kubeconfig["users"] = json!([{"name": user, "user": {"token": token}}]);
        kubeconfig["contexts"][0]["context"]["namespace"] = json!(self.home.namespace);
        std::fs::write(&self.kubeconfig, kubeconfig.to_string()).unwrap();
    }

    /// What helm says of the release.
    fn helm(&self, arguments: &[&str]) -> String {
        let kubeconfig = servers::kubeconfig();
        let mut arguments = arguments.to_vec();
        arguments.extend(["--namespace", &self.home.namespace]);
        arguments.extend(["--kubeconfig", &kubeconfig]);
        let output = helm(&arguments);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// What a Role or a binding of the release's is called in a namespace that it manages.
    fn role(&self, what: &str) -> String {
        format!("{}-slipway{what}", self.home.namespace)
    }

    async fn deployment(&self) -> Value {
        let deployments: Api<Deployment> =
            Api::namespaced(self.home.client.clone(), &self.home.namespace);
        serde_json::to_value(deployments.get("slipway").await.unwrap()).unwrap()
    }

    /// The binary with the arguments of the Deployment, on ports of this machine's own in place of the Pod's.
    async fn start(&self) -> Slipway {
        let (http, health) = (free_port(), free_port());
        let mut said = arguments(&self.deployment().await);
        let mut replaced = 0;
        for said in &mut said {
            let port = match flag(said) {
                "--http" => http,
                "--health" => health,
                "--grpc" => free_port(),
                _ => continue,
            };
            *said = format!("{}=127.0.0.1:{port}", flag(said));
            replaced += 1;
        }
        assert_eq!(replaced, 3, "{said:?}");
        let said: Vec<&str> = said.iter().map(String::as_str).collect();
        let address = |port: u16| format!("127.0.0.1:{port}");
        let environment = [
            ("KUBECONFIG", self.kubeconfig.to_str().unwrap()),
            // Finished Jobs are removed however young they are.
            ("SLIPWAY_UNSEEN_GRACE", "0s"),
        ];
        Slipway::exactly(&said, address(health), address(http), &environment)
    }

    async fn remove(self) {
        std::fs::remove_file(&self.kubeconfig).unwrap();
        for cluster in [&self.home, &self.orders, &self.billing] {
            cluster.remove().await;
        }
    }
}

async fn await_ready(slipway: &Slipway) {
    await_until("slipway is ready", SOON, async || {
        (slipway.get("/readyz").await?.starts_with("ok")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_the_deployment_says_runs_with_the_rights_that_the_chart_gives() {
    let release = Release::install("chart", &json!({"rbac": {"eventFiles": true}})).await;
    let (orders, billing) = (&release.orders, &release.billing);
    let queue = Queue::new("chart").await;
    queue.send(30).await;
    // Every right is used: strategies that look at Pods, history, a file, a queue.
    orders
        .create(scaled_job("orders", &queue.url, &demanding()))
        .await;
    billing
        .create(event_job("invoice", &demanding_events()))
        .await;
    let mut slipway = release.start().await;
    await_ready(&slipway).await;

    orders.await_jobs(3).await;
    queue.take(30).await;
    orders.finish_jobs().await;
    orders.await_jobs(0).await;
    await_until("Ready", SOON, async || {
        (orders.condition("orders", "Ready").await.0 == "True").then_some(())
    })
    .await;

    for id in ["e-1", "e-2"] {
        let heard = deliver(&slipway, billing, "invoice", &renewed(id, "sub-1")).await;
        assert_eq!(heard.text("result"), "Waiting", "{heard:?}");
    }
    await_until("both had their turn and are gone", SOON, async || {
        billing.pods_become("Succeeded", 1).await;
        billing.jobs().await.is_empty().then_some(())
    })
    .await;

    // The first of the namespaces has the Lease.
    let leases: Api<Lease> = Api::namespaced(orders.client.clone(), &orders.namespace);
    let lease = leases.get("slipway").await.unwrap().spec.unwrap();
    assert!(
        lease
            .holder_identity
            .is_some_and(|holder| !holder.is_empty())
    );

    // An upgrade that changes nothing but the number of replicas.
    release.upgrade(&json!({"replicas": 3}));
    assert_eq!(release.deployment().await["spec"]["replicas"], 3);

    assert_eq!(slipway.terminate().await, Some(0));
    let log = slipway.log();
    assert!(log.contains("\"level\":\"INFO\""), "{log}");
    for word in [
        "forbidden",
        "cannot ",
        "\"level\":\"WARN\"",
        "\"level\":\"ERROR\"",
    ] {
        assert!(!log.contains(word), "{word}: {log}");
    }
    drop(slipway);
    release.remove().await;
}

/// What is taken from the rights.
#[derive(Debug)]
enum Less {
    /// The value that grants Secrets of `bind.file`, which is off unless it is asked for.
    EventFiles,
    /// A rule of the Role of the second namespace.
    Rule(&'static str),
    /// The binding for the Lease.
    Lease,
}

async fn check_less(less: Less, words: &str) {
    let changes = match less {
        Less::EventFiles => json!({}),
        _ => json!({"rbac": {"eventFiles": true}}),
    };
    let release = Release::install("less", &changes).await;
    let (client, billing) = (release.home.client.clone(), &release.billing);
    match less {
        Less::EventFiles => {}
        Less::Rule(resource) => {
            let roles: Api<Role> = Api::namespaced(client, &billing.namespace);
            let name = release.role("");
            let mut role = roles.get(&name).await.unwrap();
            let granted = role.rules.as_mut().unwrap();
            let before = granted.len();
            granted.retain(|rule| !rule.resources.iter().flatten().any(|name| name == resource));
            assert_eq!(granted.len(), before - 1);
            let params = PostParams::default();
            roles.replace(&name, &params, &role).await.unwrap();
        }
        Less::Lease => {
            let bindings: Api<RoleBinding> = Api::namespaced(client, &release.orders.namespace);
            bindings
                .delete(&release.role("-lease"), &DeleteParams::default())
                .await
                .unwrap();
        }
    }
    billing
        .create(event_job("invoice", &demanding_events()))
        .await;
    let slipway = release.start().await;
    await_until(&format!("{less:?}: {words}"), SOON, async || {
        let event = renewed("e-1", "sub-1");
        // What is answered is not what is looked at here.
        drop(send_to(slipway.http(), &billing.namespace, "invoice", &event).await);
        let status = event_jobs(billing)
            .get("invoice")
            .await
            .ok()?
            .data
            .to_string();
        let said = (slipway.log() + &status).replace("\\\"", "\"");
        said.contains(words).then_some(())
    })
    .await;
    drop(slipway);
    release.remove().await;
}

#[tokio::test]
async fn a_role_that_is_too_small_is_told_with_what_it_lacks() {
    for (less, words) in [
        (Less::EventFiles, "cannot create resource \"secrets\""),
        (Less::EventFiles, "rbac.eventFiles=true"),
        (Less::Rule("jobs"), "cannot list resource \"jobs\""),
        (Less::Lease, "cannot get resource \"leases\""),
    ] {
        check_less(less, words).await;
    }
}

/// Rights in the namespaces that both manage; each goes with its release.
#[tokio::test]
async fn two_releases_of_one_name_may_manage_the_same_namespaces() {
    let first = Release::install("twice", &json!({})).await;
    let same = |cluster: &Cluster| Cluster {
        client: cluster.client.clone(),
        namespace: cluster.namespace.clone(),
    };
    let second = Release {
        home: Cluster::new("twice-second").await,
        orders: same(&first.orders),
        billing: same(&first.billing),
        kubeconfig: std::env::temp_dir().join(format!("slipway-kubeconfig-{}", unique())),
    };
    second.upgrade(&json!({}));
    second.sign_in().await;
    for release in [&first, &second] {
        let mut slipway = release.start().await;
        await_ready(&slipway).await;
        assert_eq!(slipway.terminate().await, Some(0));
    }
    second.helm(&["uninstall", "slipway"]);
    let roles: Api<Role> = Api::namespaced(first.home.client.clone(), &first.orders.namespace);
    let role = async |of: &Release| roles.get_opt(&of.role("")).await.unwrap();
    assert!(role(&first).await.is_some() && role(&second).await.is_none());
    second.home.remove().await;
    std::fs::remove_file(&second.kubeconfig).unwrap();
    first.remove().await;
}

#[tokio::test]
async fn a_namespace_that_enforces_restricted_takes_its_pods_without_a_warning() {
    let release = Release::install("restricted", &json!({})).await;
    let home = &release.home;
    let pods = format!("/api/v1/namespaces/{}/pods", home.namespace);
    let deployments = format!("/apis/apps/v1/namespaces/{}/deployments", home.namespace);
    for (name, values) in super::value_sets() {
        let objects = render(&values);
        let is = |object: &&Value| object["kind"] == "Deployment";
        let mut deployment = objects.iter().find(is).unwrap().clone();
        let mut pod = deployment["spec"]["template"].clone();
        pod["metadata"]["name"] = json!("slipway");
        // Made by an administrator, not by this test.
        let spec = pod["spec"].as_object_mut().unwrap();
        spec.shift_remove("priorityClassName");
        spec.shift_remove("runtimeClassName");
        dry_run(home, &pods, &pod).await.is_taken(name);
        deployment["metadata"]["namespace"] = json!(home.namespace);
        deployment["metadata"]["name"] = json!("another");
        let answer = dry_run(home, &deployments, &deployment).await;
        answer.is_taken(name);
    }
    // The namespace does enforce it.
    let objects = render(&json!({}));
    let mut pod = only(&objects, "Deployment", "slipway")["spec"]["template"].clone();
    pod["metadata"]["name"] = json!("slipway");
    pod["spec"]["securityContext"]["runAsNonRoot"] = json!(false);
    assert_eq!(dry_run(home, &pods, &pod).await.status, 403);
    release.remove().await;
}

/// The definitions as the chart has them: what a first release in a cluster applies.
#[tokio::test]
async fn the_api_server_takes_the_rendered_definitions() {
    let cluster = Cluster::new("chart-crds").await;
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    for mut definition in render(&json!({})) {
        if definition["kind"] == "CustomResourceDefinition" {
            // Those of the tests are there; a name of its own makes it another.
            let names = &definition["spec"]["names"];
            let name = format!("{}.chart.slipway.dev", names["plural"].as_str().unwrap());
            definition["spec"]["group"] = json!("chart.slipway.dev");
            definition["metadata"]["name"] = json!(name);
            dry_run(&cluster, path, &definition).await.is_taken(&name);
        }
    }
    cluster.remove().await;
}

/// Each order of `helm` and `slipway crd | kubectl apply` works, and nobody's definitions are taken from them.
#[tokio::test]
async fn definitions_of_another_are_left_and_those_of_the_release_are_renewed() {
    let release = Release::install("crds", &json!({})).await;
    let name = slipway::resource::definitions::ALL[0].name;
    let definitions: Api<CustomResourceDefinition> = Api::all(release.home.client.clone());
    // They were applied by somebody, and helm has installed the release.
    let metadata = definitions.get(name).await.unwrap().metadata;
    let owner = "meta.helm.sh/release-name";
    assert!(!metadata.annotations.unwrap_or_default().contains_key(owner));
    let said = release.helm(&["status", "slipway"]);
    assert!(said.contains(&format!("{name} was there")), "{said}");
    let manifest = release.helm(&["get", "manifest", "slipway"]);
    assert!(!manifest.contains("CustomResourceDefinition"));

    // Those that another release has made are left too; its own are rendered again.
    let chart = chart();
    let dry_run = [
        "upgrade",
        "slipway",
        chart.to_str().unwrap(),
        "--dry-run=server",
    ];
    for (namespace, is_rendered) in [("elsewhere", false), (&*release.home.namespace, true)] {
        let labelled = json!({"metadata": {
            "labels": {"app.kubernetes.io/managed-by": "Helm"},
            "annotations": {owner: "slipway", "meta.helm.sh/release-namespace": namespace},
        }});
        let params = PatchParams::default();
        let patch = Patch::Merge(labelled);
        definitions.patch(name, &params, &patch).await.unwrap();
        let said = release.helm(&dry_run);
        let definition = format!("name: {name}");
        assert_eq!(said.contains(&definition), is_rendered, "{namespace}");
    }
    let nobody = json!({"metadata": {
        "labels": {"app.kubernetes.io/managed-by": null},
        "annotations": {owner: null, "meta.helm.sh/release-namespace": null},
    }});
    let patch = Patch::Merge(nobody);
    definitions
        .patch(name, &PatchParams::default(), &patch)
        .await
        .unwrap();
    release.remove().await;
}
