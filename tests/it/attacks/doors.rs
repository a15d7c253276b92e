//! The doors: a shared door with a broken EventJob behind it, half requests by the thousand, a stop under load.

use std::sync::Arc;
use std::time::{Duration, Instant};

use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use slipway::serve::health::{self, Health};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::events::{
    KEY, await_status, condition, deliver, event_job, event_jobs, patch, renewed, send,
};
use crate::support::await_until;
use crate::support::cluster::Cluster;
use crate::support::http::{Heard, post};
use crate::support::process::{Slipway, get};
use crate::support::servers;

const SOON: Duration = Duration::from_secs(30);

/// A namespace with the Secret that lets senders in.
async fn cluster(name: &str) -> Cluster {
    let cluster = Cluster::new(name).await;
    cluster.secret("hook", &[("current", KEY)]).await;
    cluster
}

/// An EventJob behind the shared door; its Jobs run nothing.
fn shared(name: &str, pattern: &Value, key: &str) -> Value {
    let mut object = event_job(name, &json!({}));
    object["spec"]["pattern"] = pattern.clone();
    object["spec"]["source"]["webhook"]["shared"] = json!(true);
    let auth = json!([{"apiKey": {"secretKeyRefs": [{"name": key, "key": "current"}]}}]);
    object["spec"]["source"]["webhook"]["auth"] = auth;
    object["spec"]["jobTemplate"]["spec"]["suspend"] = json!(true);
    object
}

async fn post_shared(slipway: &Slipway, cluster: &Cluster, event: &Value) -> Option<Heard> {
    let path = format!("/events/{}", cluster.namespace);
    post(
        slipway.http(),
        &path,
        &[("x-api-key", KEY)],
        &event.to_string(),
    )
    .await
}

/// The status, and what is said of each EventJob.
fn told(heard: &Heard) -> (u16, Vec<(String, String)>) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let results = heard.body["results"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let mut results: Vec<_> = results
        .iter()
        .map(|result| {
            let word = [&result["result"], &result["reason"]].map(text).concat();
            (text(&result["eventJob"]), word)
        })
        .collect();
    results.sort();
    (heard.status, results)
}

fn words(results: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(name, word): &(&str, &str)| ((*name).to_owned(), (*word).to_owned());
    results.iter().map(owned).collect()
}

#[tokio::test]
async fn a_typo_in_one_shared_event_job_loses_no_event_of_it_nor_of_the_others() {
    let cluster = cluster("typo").await;
    let pattern = json!({"detail": {"subscriptionId": [{"prefix": "s"}]}});
    for name in ["eb", "eb2"] {
        cluster.create(shared(name, &pattern, "hook")).await;
    }
    let kubeconfig = servers::kubeconfig();
    let mut slipway = Slipway::run(&kubeconfig, &cluster.namespace, &[], &[]).await;
    for name in ["eb", "eb2"] {
        deliver(&slipway, &cluster, name, &renewed("warm", "sub")).await;
    }
    // No schema sees it.
    let typo = json!({"spec": {"pattern": {"detail": {"subscriptionId": [{"prefx": "s"}]}}}});
    patch(&cluster, "eb2", typo).await;
    let own = async |slipway: &Slipway| {
        await_until("its own door is closed", SOON, async || {
            let heard = send(slipway, &cluster, "eb2", &renewed("own", "sub")).await?;
            (heard.status == 503 && heard.text("reason") == "NotReady").then_some(())
        })
        .await;
    };
    own(&slipway).await;
    let heard = post_shared(&slipway, &cluster, &renewed("a", "sub"))
        .await
        .unwrap();
    let both = words(&[("eb", "Created"), ("eb2", "NotReady")]);
    assert_eq!(told(&heard), (503, both.clone()));
    // What its last version did not want concerns it no more than before.
    let heard = post_shared(&slipway, &cluster, &renewed("b", "other"))
        .await
        .unwrap();
    assert_eq!(heard.status, 200, "{heard:?}");
    // A restart knows no last version, and reads what the object says of itself.
    slipway.terminate().await;
    let slipway = Slipway::run(&kubeconfig, &cluster.namespace, &[], &[]).await;
    own(&slipway).await;
    let heard = post_shared(&slipway, &cluster, &renewed("c", "sub"))
        .await
        .unwrap();
    assert_eq!(told(&heard), (503, both));
    patch(&cluster, "eb2", json!({"spec": {"pattern": null}})).await;
    patch(&cluster, "eb2", json!({"spec": {"pattern": pattern}})).await;
    let heard = await_until("it is mended", SOON, async || {
        let heard = post_shared(&slipway, &cluster, &renewed("a", "sub")).await?;
        (heard.status == 200).then_some(heard)
    })
    .await;
    assert_eq!(told(&heard).1.len(), 2, "{heard:?}");
    cluster.remove().await;
}

#[tokio::test]
async fn a_missing_secret_is_told_to_its_owner_and_harms_nobody_else() {
    let cluster = cluster("keyless").await;
    let never = json!({"source": ["never"]});
    let billing = json!({"source": ["billing"]});
    cluster.create(shared("good", &billing, "hook")).await;
    cluster.create(shared("nosecret", &never, "deleted")).await;
    let slipway = Slipway::run(&servers::kubeconfig(), &cluster.namespace, &[], &[]).await;
    let heard = await_until("the others get theirs", SOON, async || {
        let heard = post_shared(&slipway, &cluster, &renewed("a", "sub")).await?;
        (heard.status == 200).then_some(heard)
    })
    .await;
    assert_eq!(told(&heard).1, words(&[("good", "Created")]));
    let missing = ("False".to_owned(), "SecretMissing".to_owned());
    await_status(&cluster, "nosecret", "it says so", |status| {
        condition(status, "Ready") == missing
    })
    .await;
    // Events that it may want are for later, also for those who are let in elsewhere.
    patch(&cluster, "nosecret", json!({"spec": {"pattern": billing}})).await;
    let both = words(&[("good", "Duplicate"), ("nosecret", "Unavailable")]);
    await_until("it is told to come again", SOON, async || {
        let heard = post_shared(&slipway, &cluster, &renewed("a", "sub")).await?;
        (told(&heard) == (503, both.clone())).then_some(())
    })
    .await;
    // A stranger who goes on costs one line of the log a minute.
    let path = format!("/events/{}/nosecret", cluster.namespace);
    for _ in 0..200 {
        let heard = post(slipway.http(), &path, &[("x-api-key", "guess")], "{}").await;
        assert_eq!(heard.map(|heard| heard.status), Some(503));
    }
    let log = slipway.log();
    let lines = log.matches("nosecret cannot be told").count();
    assert!((1..=3).contains(&lines), "{lines}");
    cluster.secret("deleted", &[("current", KEY)]).await;
    await_until("all have theirs", SOON, async || {
        let heard = post_shared(&slipway, &cluster, &renewed("a", "sub")).await?;
        (heard.status == 200).then_some(())
    })
    .await;
    await_status(&cluster, "nosecret", "it is ready", |status| {
        condition(status, "Ready").0 == "True"
    })
    .await;
    cluster.remove().await;
}

#[tokio::test]
async fn a_stop_that_is_announced_refuses_nobody_and_another_leads_meanwhile() {
    let cluster = cluster("leaving").await;
    cluster.create(event_job("eb", &json!({}))).await;
    let kubeconfig = servers::kubeconfig();
    let delay = ["--shutdown-delay", "3s"];
    let mut first = Slipway::run(&kubeconfig, &cluster.namespace, &delay, &[]).await;
    deliver(&first, &cluster, "eb", &renewed("warm", "sub")).await;
    let second = Slipway::run(&kubeconfig, &cluster.namespace, &delay, &[]).await;
    let leads = async |slipway: &Slipway| {
        let metrics = slipway.get("/metrics").await?;
        metrics.contains("slipway_lease_held 1").then_some(())
    };
    await_until("the first one leads", SOON, async || leads(&first).await).await;
    let address = first.http().to_owned();
    let namespace = cluster.namespace.clone();
    // The first sender that is refused ends it: the ports close at some time.
    let mut sender = JoinSet::new();
    sender.spawn(async move {
        let path = format!("/events/{namespace}/eb");
        for number in 0.. {
            let event = renewed(&format!("e-{number}"), "sub").to_string();
            match post(&address, &path, &[("x-api-key", KEY)], &event).await {
                Some(heard) if heard.status == 200 => {}
                Some(heard) => panic!("{heard:?}"),
                None => return Instant::now(),
            }
        }
        unreachable!("the ports close");
    });
    first.signal("-TERM");
    let told = Instant::now();
    await_until("it is not ready", SOON, async || {
        (first.get("/readyz").await?.contains("stopping")).then_some(())
    })
    .await;
    assert_eq!(
        get(first.http(), "/readyz").await.as_deref(),
        Some("not ready\n")
    );
    await_until("another one leads", SOON, async || leads(&second).await).await;
    let refused = sender.join_next().await.unwrap().unwrap();
    let served = refused.duration_since(told);
    assert!(served >= Duration::from_millis(2_900), "{served:?}");
    await_until("it ends", SOON, async || first.has_ended().then_some(())).await;
    cluster.remove().await;
}

/// A health port on a port of its own.
async fn health_port() -> (String, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let health = Health {
        registry: Arc::new(Registry::default()),
        ready: Arc::new(|| Err("a reason")),
        troubles: Arc::new(Vec::new),
    };
    let mut tasks = JoinSet::new();
    tasks.spawn(health::serve(listener, health, CancellationToken::new()));
    (address, tasks)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_strangers_at_the_health_port_keep_no_probe_waiting() {
    let (address, _tasks) = health_port().await;
    let half = format!(
        "GET /metrics HTTP/1.1\r\nhost: x\r\nx: {}",
        "a".repeat(8_000)
    );
    let whole = "GET /livez HTTP/1.1\r\nhost: x\r\n\r\n";
    let mut held = Vec::new();
    for number in 0..1_000 {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        // Half heads, silence, heads that are too large, and those who had an answer and stay.
        let text = match number % 4 {
            0 => half.clone(),
            1 => String::new(),
            2 => half.repeat(4),
            _ => whole.to_owned(),
        };
        // Who was turned out meanwhile hears of it here.
        drop(stream.write_all(text.as_bytes()).await);
        held.push(stream);
    }
    for _ in 0..5 {
        let asked = Instant::now();
        let answer = get(&address, "/livez").await;
        assert_eq!(answer.as_deref(), Some("ok\n"));
        assert!(
            asked.elapsed() < Duration::from_secs(5),
            "{:?}",
            asked.elapsed()
        );
    }
    let answer = get(&address, "/readyz").await;
    assert_eq!(answer.as_deref(), Some("not ready: a reason\n"));
    let mut open = 0;
    for stream in &held {
        let mut scrap = [0; 1024];
        let ended = loop {
            match stream.try_read(&mut scrap) {
                Ok(0) => break true,
                Ok(_) => {}
                Err(error) => break error.kind() != std::io::ErrorKind::WouldBlock,
            }
        };
        open += usize::from(!ended);
    }
    assert!(open <= 64, "{open}");
}

#[tokio::test]
async fn half_a_head_at_the_health_port_is_told_to_come_again() {
    let (address, _tasks) = health_port().await;
    let mut half = TcpStream::connect(&address).await.unwrap();
    half.write_all(b"GET /livez HTTP/1.1\r\nx: ").await.unwrap();
    let mut answer = String::new();
    half.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
}

#[tokio::test]
async fn half_a_head_at_the_health_port_holds_up_no_stop() {
    let cluster = cluster("half").await;
    let namespace = cluster.namespace.clone();
    let mut slipway = Slipway::run(&servers::kubeconfig(), &namespace, &[], &[]).await;
    let mut half = TcpStream::connect(slipway.health()).await.unwrap();
    half.write_all(b"GET /livez HTTP/1.1\r\nx: ").await.unwrap();
    let told = Instant::now();
    assert_eq!(slipway.terminate().await, Some(0));
    // --drain-timeout is 20 s.
    assert!(
        told.elapsed() < Duration::from_secs(15),
        "{:?}",
        told.elapsed()
    );
    let mut rest = Vec::new();
    drop(half.read_to_end(&mut rest).await);
    cluster.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_thousand_descriptors_a_flood_leaves_enough_for_everything_else() {
    let cluster = cluster("flood").await;
    cluster.create(event_job("eb", &json!({}))).await;
    let mut open = event_job("none", &json!({}));
    open["spec"]["source"]["webhook"]["auth"] = json!([{"none": {}}]);
    cluster.create(open).await;
    let slipway =
        Slipway::with_descriptors(1_024, &servers::kubeconfig(), &cluster.namespace).await;
    deliver(&slipway, &cluster, "eb", &renewed("warm", "sub")).await;
    let flood = format!(
        "POST /events/{}/none HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n",
        cluster.namespace
    );
    let mut strangers = JoinSet::new();
    let stop = CancellationToken::new();
    for _ in 0..4 {
        let (address, flood, stop) = (slipway.http().to_owned(), flood.clone(), stop.clone());
        strangers.spawn(async move {
            let mut held = std::collections::VecDeque::new();
            let mut count = 0_usize;
            while !stop.is_cancelled() {
                if let Ok(mut stream) = TcpStream::connect(&address).await
                    && stream.write_all(flood.as_bytes()).await.is_ok()
                {
                    held.push_back(stream);
                    count += 1;
                }
                // More in all than the process has descriptors.
                if held.len() > 300 {
                    held.pop_front();
                }
                tokio::time::sleep(Duration::from_millis(3)).await;
            }
            count
        });
    }
    let (mut good, mut bad) = (0, Vec::new());
    for number in 0..200 {
        match send(
            &slipway,
            &cluster,
            "eb",
            &renewed(&format!("e-{number}"), "sub"),
        )
        .await
        {
            Some(heard) if heard.status == 200 => good += 1,
            other => bad.push(other),
        }
    }
    stop.cancel();
    let mut count = 0;
    while let Some(ended) = strangers.join_next().await {
        count += ended.unwrap();
    }
    assert!(count > 1_500, "a flood: {count}");
    assert!(good >= 198, "{good} of 200: {bad:?}");
    let log = slipway.log();
    assert!(!log.contains("Too many open files"), "descriptors are left");
    drop(event_jobs(&cluster).get("eb").await.unwrap());
    cluster.remove().await;
}

/// Connections that send so much of a large body at once, and then a little again and again; each is made anew when it is cut.
fn half_bodies(
    address: &str,
    path: &str,
    count: usize,
    sent: usize,
    stop: &CancellationToken,
) -> JoinSet<usize> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 2000000\r\n\r\n"
    );
    let begin = format!("{head}{}", " ".repeat(sent));
    let mut senders = JoinSet::new();
    for _ in 0..count {
        let (address, begin, stop) = (address.to_owned(), begin.clone(), stop.clone());
        senders.spawn(async move {
            let mut connections = 0;
            while !stop.is_cancelled() {
                let Ok(mut stream) = TcpStream::connect(&address).await else {
                    continue;
                };
                connections += 1;
                let mut piece = begin.as_bytes();
                while !stop.is_cancelled() && stream.write_all(piece).await.is_ok() {
                    piece = &[b' '; 5_000];
                    tokio::time::sleep(Duration::from_millis(900)).await;
                }
            }
            connections
        });
    }
    senders
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_of_strangers_that_never_end_take_no_room_from_those_who_proved_themselves() {
    let cluster = cluster("halves").await;
    cluster.create(event_job("eb", &json!({}))).await;
    let mut open = event_job("none", &json!({}));
    open["spec"]["source"]["webhook"]["auth"] = json!([{"none": {}}]);
    cluster.create(open).await;
    let slipway = Slipway::run(&servers::kubeconfig(), &cluster.namespace, &[], &[]).await;
    deliver(&slipway, &cluster, "eb", &renewed("warm", "sub")).await;
    let path = format!("/events/{}/none", cluster.namespace);
    let stop = CancellationToken::new();
    let few = half_bodies(slipway.http(), &path, 31, 1_050_000, &stop);
    let many = half_bodies(slipway.http(), &path, 320, 7_000, &stop);
    // They have the room that strangers may have.
    await_until("strangers are turned away", SOON, async || {
        let heard = send(&slipway, &cluster, "none", &renewed("stranger", "sub")).await?;
        (heard.status == 503).then_some(())
    })
    .await;
    let large = "x".repeat(100_000);
    for number in 0..150 {
        let mut event = renewed(&format!("e-{number}"), "sub");
        event["detail"]["note"] = json!(large);
        let heard = send(&slipway, &cluster, "eb", &event).await;
        assert_eq!(
            heard.as_ref().map(|heard| heard.status),
            Some(200),
            "{number}: {heard:?}"
        );
    }
    stop.cancel();
    let connections: Vec<usize> = [few.join_all().await, many.join_all().await].concat();
    assert!(connections.iter().all(|made| *made > 0), "all of them came");
    cluster.remove().await;
}
