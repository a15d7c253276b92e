//! Everything that was found, at once, for a minute and for another: the program lives within the chart's memory, and
//! those who are honest notice nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt as _};
use serde_json::{Value, json};
use slipway::externalscaler::ScaledObjectRef;
use slipway::externalscaler::external_scaler_client::ExternalScalerClient;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::controller;
use crate::events::{self, deliver, event_job, renewed, send_to};
use crate::hanging::Webhook;
use crate::kafka::topic;
use crate::keda::reference;
use crate::support::await_until;
use crate::support::cluster::Cluster;
use crate::support::http::post;
use crate::support::process::{Slipway, get};
use crate::support::servers;

mod strangers;

use strangers::{Pace, Targets};

/// How long everything goes on.
const ATTACKED: Duration = Duration::from_mins(1);
/// EventJobs behind the shared door.
const SHARED: usize = 400;
/// How long an honest sender or caller waits.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the kubelet waits: `timeoutSeconds` of the chart.
const PROBE: Duration = Duration::from_secs(3);

/// Jobs that nobody runs, and somebody else's way to let senders in.
fn door(name: &str, webhook: &Value) -> Value {
    let managed = json!({"jobTemplate": {"spec": {"managedBy": "example.com/nobody"}}});
    let mut object = event_job(name, &managed);
    object["spec"]["source"]["webhook"] = webhook.clone();
    object
}

fn key_in(secret: &str) -> Value {
    json!([{"apiKey": {"secretKeyRefs": [{"name": secret, "key": "current"}]}}])
}

/// The namespaces: honest, behind a shared door, with a webhook that hangs, with a queue that never ends its answer.
struct Tenants {
    honest: Cluster,
    crowd: Cluster,
    slow: Cluster,
    rival: Cluster,
}

impl Tenants {
    async fn new(endless: &str) -> Self {
        let honest = events::cluster("together").await;
        let own = json!({"auth": key_in("hook")});
        honest.create(door("eb", &own)).await;
        let open = json!({"auth": [{"none": {}}]});
        honest.create(door("none", &open)).await;
        let keyless = json!({"auth": key_in("nosuch")});
        honest.create(door("miss", &keyless)).await;
        let crowd = events::cluster("together-crowd").await;
        let shared = json!({"auth": key_in("hook"), "shared": true});
        let doors = (0..SHARED).map(|number| crowd.create(door(&format!("eb-{number}"), &shared)));
        stream::iter(doors).buffered(8).collect::<Vec<_>>().await;
        let slow = events::cluster("together-slow").await;
        slow.create(door("eb", &own)).await;
        let rival = controller::cluster("together-rival").await;
        let triggers = json!([{
            "type": "aws-sqs-queue",
            "metadata": {
                "queueURL": format!("{endless}/1/orders"), "awsEndpoint": endless, "awsRegion": "eu-west-1",
            },
            "authenticationRef": {"name": "aws"},
        }]);
        let changes = json!({"spec": {"triggers": triggers}});
        let orders = controller::scaled_job("orders", endless, &changes);
        rival.create(orders).await;
        Self {
            honest,
            crowd,
            slow,
            rival,
        }
    }

    fn all(&self) -> [&Cluster; 4] {
        [&self.honest, &self.crowd, &self.slow, &self.rival]
    }
}

/// What honest ones asked, and what came of it.
#[derive(Debug, Default)]
struct Honest {
    asked: usize,
    served: usize,
    slowest: Duration,
    /// Which of them were not served: their numbers, and why if that was said.
    missed: Vec<(usize, String)>,
}

impl Honest {
    async fn count(&mut self, answer: impl Future<Output = Result<(), String>>) {
        let began = Instant::now();
        self.asked += 1;
        match answer.await {
            Ok(()) => self.served += 1,
            Err(why) => self.missed.push((self.asked, why)),
        }
        self.slowest = self.slowest.max(began.elapsed());
    }
}

/// 20 events a second, each over a connection of its own.
async fn sender(door: String, namespace: String, phase: &'static str, mut pace: Pace) -> Honest {
    let mut honest = Honest::default();
    while pace.next().await {
        let event = renewed(&format!("{phase}-{}", honest.asked), "sub");
        let answer = async {
            let heard = send_to(&door, &namespace, "eb", &event).await;
            match heard {
                Some(heard) if heard.status == 200 => Ok(()),
                Some(heard) => Err(heard.status.to_string()),
                None => Err("no answer".to_owned()),
            }
        };
        honest.count(answer).await;
    }
    honest
}

/// KEDA: five polls a second over one connection, and again and again over a new one.
async fn keda(port: String, trigger: ScaledObjectRef, mut pace: Pace) -> Honest {
    let mut honest = Honest::default();
    let mut kept = None;
    while pace.next().await {
        if honest.asked % 10 == 0 {
            kept = None;
        }
        let answer = async {
            let mut client = if let Some(client) = kept.take() {
                client
            } else {
                let connected = ExternalScalerClient::connect(format!("http://{port}")).await;
                connected.map_err(|error| format!("{error:?}"))?
            };
            let active = client.is_active(trigger.clone()).await;
            active.map_err(|status| status.to_string())?;
            kept = Some(client);
            Ok(())
        };
        let answer = async {
            let answered = timeout(PATIENCE, answer).await;
            answered.map_err(|_| "no answer".to_owned()).flatten()
        };
        honest.count(answer).await;
    }
    honest
}

/// The kubelet.
async fn probes(port: String, mut pace: Pace) -> Honest {
    let mut honest = Honest::default();
    while pace.next().await {
        let answer = timeout(PROBE, get(&port, "/livez"));
        honest
            .count(async {
                let body = answer.await.ok().flatten();
                let is_ok = body.as_deref() == Some("ok\n");
                is_ok.then_some(()).ok_or_else(|| format!("{body:?}"))
            })
            .await;
    }
    honest
}

/// Processor time that this process has used so far.
fn own_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split(' ').collect();
    // The name in parentheses is the second field. Source: proc_pid_stat(5), utime and stime; 100 ticks a second on Linux.
    let ticks = |field: usize| fields[field - 2].parse::<f64>().unwrap();
    (ticks(14) + ticks(15)) / 100.0
}

/// A minute of it: what became of events, of KEDA's polls and of probes.
async fn attack(
    slipway: &mut Slipway,
    tenants: &Tenants,
    targets: &Arc<Targets>,
    phase: &'static str,
) -> [Honest; 3] {
    let stop = CancellationToken::new();
    let pace = |per_second| Pace::new(per_second, stop.clone());
    let before = own_seconds();
    let counts = strangers::Counts::default();
    let mut strangers = strangers::all(targets, &stop, &counts);
    let mut sending = JoinSet::new();
    let namespace = tenants.honest.namespace.clone();
    sending.spawn(sender(
        slipway.http().to_owned(),
        namespace,
        phase,
        pace(20),
    ));
    let mut polling = JoinSet::new();
    let trigger = targets.trigger("honest");
    polling.spawn(keda(slipway.grpc().to_owned(), trigger, pace(5)));
    let mut probing = JoinSet::new();
    probing.spawn(probes(slipway.health().to_owned(), pace(1)));
    tokio::time::sleep(ATTACKED).await;
    stop.cancel();
    let mut figures = Vec::new();
    for honest in [&mut sending, &mut polling, &mut probing] {
        figures.push(honest.join_next().await.unwrap().unwrap());
    }
    strangers.abort_all();
    while strangers.join_next().await.is_some() {}
    assert!(!slipway.has_ended(), "it lives");
    let cores = (own_seconds() - before) / ATTACKED.as_secs_f64();
    let counts = counts.lock().unwrap();
    // Whoever is held up does it less often; at half the rate it is no attack.
    let least = counts["no bodies"];
    assert!(least > 30_000, "{counts:?}");
    tell(&format!(
        "{phase}: events, polls, probes {figures:?}; attackers, with {cores:.2} cores, {counts:?}"
    ));
    figures.try_into().unwrap()
}

#[expect(clippy::print_stderr, reason = "the figures, for who runs it by hand")]
fn tell(line: &str) {
    eprintln!("{line}");
}

/// What the chart gives a Pod. Unit: MiB.
fn limit() -> usize {
    let values = include_str!("../../../charts/slipway/values.yaml");
    let values: Value = serde_saphyr::from_str(values).unwrap();
    let text = values["resources"]["limits"]["memory"].as_str().unwrap();
    text.strip_suffix("Mi").unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes, and measures a release: make attacks"]
async fn all_attacks_at_once_are_survived_and_the_honest_are_served() {
    let endless = strangers::Endless::start().await;
    let tenants = Tenants::new(&endless.url).await;
    let webhook = Webhook::on_jobs_of(std::slice::from_ref(&tenants.slow)).await;
    let broker = servers::kafka_brokers();
    let topic = topic(&broker, 1).await;
    let namespaces = tenants.all().map(|it| it.namespace.as_str()).join(",");
    let settings = [("SLIPWAY_LOG", "info")];
    let kubeconfig = servers::kubeconfig();
    let mut slipway = Slipway::run(&kubeconfig, &namespaces, &[], &settings).await;
    deliver(&slipway, &tenants.honest, "eb", &renewed("warm", "sub")).await;
    let targets = Arc::new(Targets {
        http: slipway.http().to_owned(),
        grpc: slipway.grpc().to_owned(),
        health: slipway.health().to_owned(),
        honest: tenants.honest.namespace.clone(),
        crowd: tenants.crowd.namespace.clone(),
        slow: tenants.slow.namespace.clone(),
        usual: reference(
            &tenants.honest.namespace,
            &[
                ("source", "kafka"),
                ("bootstrapServers", &broker),
                ("topic", &topic),
            ],
        ),
        silent: strangers::Silent::start().await,
        tls: servers::named("TEST_KAFKA_SSL_BROKERS"),
    });
    // The catalog is full.
    let path = format!("/events/{}", tenants.crowd.namespace);
    let event = renewed("warm", "sub").to_string();
    await_until("the shared door is open", PATIENCE * 12, async || {
        let headers = [("x-api-key", events::KEY)];
        let heard = post(slipway.http(), &path, &headers, &event).await?;
        (heard.status == 200).then_some(())
    })
    .await;
    // A broker that has just begun makes its topic of offsets first, and refuses who asks for them meanwhile.
    await_until("the honest group is read", PATIENCE * 12, async || {
        let url = format!("http://{}", slipway.grpc());
        let mut client = ExternalScalerClient::connect(url).await.ok()?;
        client.is_active(targets.trigger("honest")).await.ok()
    })
    .await;
    let (idle, _) = slipway.memory();
    tell(&format!("before: {idle} MiB"));
    let first = attack(&mut slipway, &tenants, &targets, "first").await;
    let (after_one, _) = slipway.memory();
    let second = attack(&mut slipway, &tenants, &targets, "second").await;
    let (after_two, peak) = slipway.memory();
    tell(&format!(
        "resident: {idle} MiB before, {after_one} after the first, {after_two} after the second, {peak} at most"
    ));
    for honest in first.iter().chain(&second) {
        let is_served = honest.served * 100 >= honest.asked * 99;
        assert!(honest.asked > 0 && is_served, "{first:?}, {second:?}");
    }
    assert!(
        after_two * 10 < after_one * 11,
        "{after_one}, then {after_two} MiB"
    );
    // What the kernel holds for sockets is the Pod's too.
    assert!(peak * 5 < limit() * 4, "{peak} of {} MiB", limit());
    webhook.remove().await;
    for cluster in tenants.all() {
        cluster.remove().await;
    }
}
