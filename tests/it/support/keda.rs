//! KEDA's own operator as a process, on namespaces of a test's or a bench's own. Benches include this file.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use kube::Client;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::basic::{await_until, client, free_port, get, named, unique};

/// For an operator that starts on a busy machine.
const SOON: Duration = Duration::from_mins(1);
/// It takes five hundred finalizers off, twenty calls a second.
const GONE: Duration = Duration::from_mins(5);

/// Where the operator itself would live.
const HOME: &str = "keda";

/// What it puts a finalizer on: nobody else takes it off.
const KINDS: [&str; 3] = ["scaledjobs", "scaledobjects", "triggerauthentications"];

/// KEDA's operator; killed when dropped.
pub(crate) struct Keda {
    client: Client,
    pub(crate) child: Child,
    folder: PathBuf,
    metrics: String,
}

impl Keda {
    /// Starts it for these namespaces and waits until it serves. More of it may run at once, each for others.
    pub(crate) async fn start(namespaces: &[&str]) -> Self {
        assert!(
            !namespaces.is_empty(),
            "it would act on the objects of every test"
        );
        let client = client().await;
        install_definitions(&client).await;
        install_home(&client).await;
        let folder = std::env::temp_dir().join(format!("slipway-keda-{}", unique()));
        std::fs::create_dir_all(&folder).unwrap();
        write_certificates(&folder);
        let [metrics, probes, service] = [(); 3].map(|()| format!("127.0.0.1:{}", free_port()));
        let log = std::fs::File::create(folder.join("log")).unwrap();
        let child = Command::new(named("TEST_KEDA"))
            .arg(format!("--cert-dir={}", folder.display()))
            .arg(format!("--metrics-bind-address={metrics}"))
            .arg(format!("--health-probe-bind-address={probes}"))
            .arg(format!("--metrics-service-bind-address={service}"))
            .args(["--zap-log-level=info", "--zap-encoder=console"])
            .env("KUBECONFIG", named("KUBECONFIG"))
            .env("POD_NAMESPACE", HOME)
            .env("KEDA_CLUSTER_OBJECT_NAMESPACE", HOME)
            .env("WATCH_NAMESPACE", namespaces.join(","))
            .env("AWS_EC2_METADATA_DISABLED", "true")
            // Its own identity, as ElasticMQ takes any.
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            // What it reaches is on this machine.
            .env("NO_PROXY", "*")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut keda = Self {
            client,
            child,
            folder,
            metrics,
        };
        await_until("KEDA's operator is ready", SOON, async || {
            let ended = keda.child.try_wait().unwrap();
            assert!(ended.is_none(), "it ended by itself");
            let answer = get(&probes, "/readyz").await?;
            // Its workers start after its caches are full, one for each kind.
            let works = keda.log().contains("Starting workers");
            (answer.starts_with("ok") && works).then_some(())
        })
        .await;
        keda
    }

    /// What it shows to Prometheus; `None` while it does not.
    #[allow(dead_code, reason = "no bench reads them")]
    pub(crate) async fn metrics(&self) -> Option<String> {
        get(&self.metrics, "/metrics").await
    }

    /// Everything it has logged so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// Deletes its objects in a namespace while there is somebody to take their finalizers off, and the namespace.
    pub(crate) async fn remove(&self, namespace: &str) {
        let send = async |verb: &str, path: &str| -> Value {
            request(&self.client, verb, path, &json!({})).await.unwrap()
        };
        let paths =
            KINDS.map(|kind| format!("/apis/keda.sh/v1alpha1/namespaces/{namespace}/{kind}"));
        for path in &paths {
            send("DELETE", path).await;
        }
        for path in &paths {
            await_until(&format!("nothing is left at {path}"), GONE, async || {
                let left = send("GET", path).await;
                left["items"].as_array().unwrap().is_empty().then_some(())
            })
            .await;
        }
        send("DELETE", &format!("/api/v1/namespaces/{namespace}")).await;
    }
}

impl Drop for Keda {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(60).collect();
            #[expect(clippy::print_stderr, reason = "a failing test shows what KEDA said")]
            for line in tail.iter().rev() {
                eprintln!("keda: {line}");
            }
        }
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

/// Its metrics service wants a pair and an authority; nobody calls it here.
fn write_certificates(folder: &std::path::Path) {
    let made = rcgen::generate_simple_self_signed(vec!["keda-operator".to_owned()]).unwrap();
    for (file, text) in [
        ("ca.crt", made.cert.pem()),
        ("tls.crt", made.cert.pem()),
        ("tls.key", made.signing_key.serialize_pem()),
    ] {
        std::fs::write(folder.join(file), text).unwrap();
    }
}

/// KEDA's own definitions, in place of the open ones that other tests may have made.
pub(crate) async fn install_definitions(client: &Client) {
    static INSTALLED: OnceCell<()> = OnceCell::const_new();
    INSTALLED.get_or_init(|| apply_definitions(client)).await;
}

async fn apply_definitions(client: &Client) {
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    for entry in std::fs::read_dir(named("TEST_KEDA_CRDS")).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let mut definition: Value = serde_saphyr::from_str(&text).unwrap();
        let name = definition["metadata"]["name"].as_str().unwrap().to_owned();
        // Merged into an open definition, as an apply would, it would stay open.
        await_until(&format!("{name} is KEDA's"), SOON, async || {
            let there: Result<Value, kube::Error> =
                request(client, "GET", &format!("{path}/{name}"), &json!({})).await;
            let written = match there {
                Ok(there) => {
                    definition["metadata"]["resourceVersion"] =
                        there["metadata"]["resourceVersion"].clone();
                    request(client, "PUT", &format!("{path}/{name}"), &definition).await
                }
                Err(_) => request(client, "POST", path, &definition).await,
            };
            written.ok()
        })
        .await;
        await_until(&format!("{name} is established"), SOON, async || {
            let there = request(client, "GET", &format!("{path}/{name}"), &json!({}))
                .await
                .ok()?;
            let conditions = there["status"]["conditions"].as_array()?.clone();
            let is = |condition: &Value| {
                condition["type"] == "Established" && condition["status"] == "True"
            };
            conditions.iter().any(is).then_some(())
        })
        .await;
    }
}

async fn request(
    client: &Client,
    verb: &str,
    path: &str,
    body: &Value,
) -> Result<Value, kube::Error> {
    let body = match verb {
        "GET" => Vec::new(),
        _ => body.to_string().into_bytes(),
    };
    let request = http::Request::builder()
        .method(verb)
        .uri(path)
        .header("content-type", "application/json");
    client.request(request.body(body).unwrap()).await
}

/// The operator's own namespace: it watches the Secrets there.
async fn install_home(client: &Client) {
    let home = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": HOME}});
    match request(client, "POST", "/api/v1/namespaces", &home).await {
        Ok(_) => {}
        Err(kube::Error::Api(status)) if status.code == 409 => {}
        Err(error) => panic!("{error}"),
    }
}
