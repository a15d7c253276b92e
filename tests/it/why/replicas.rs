//! `slipway explain --admin`: what each replica remembers, with no cluster at hand.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::routing::get;
use serde_json::{Value, json};
use slipway::history::json as wire;
use slipway::history::{
    AnswerOrigin, AnswerRecord, HistoryFact, HistoryRecord, ObjectStanding, SharedHistory, Subject,
    SubjectKind, TurnRecord,
};
use slipway::resource::ObjectId;
use slipway::scaling::JobCounts;

use super::Folder;
use crate::controller;
use crate::page::LocalPage;
use crate::support::process::{Slipway, answer, free_port};
use crate::support::queue::Queue;
use crate::support::{await_until, servers, turns};

const SOON: std::time::Duration = std::time::Duration::from_secs(30);

type Held = State<Arc<SharedHistory>>;

async fn of_object(
    State(history): Held,
    Path((kind, namespace, name)): Path<(String, String, String)>,
) -> String {
    let kind = SubjectKind::named(&kind).unwrap();
    let id = ObjectId::new(namespace, name);
    let records = history.of_object(&Subject { kind, id }, None);
    wire::list(&records).to_string()
}

async fn of_one(State(history): Held, RawQuery(query): RawQuery) -> String {
    let query = query.unwrap_or_default();
    let mut query = url::form_urlencoded::parse(query.as_bytes());
    let records = match query.next() {
        Some((key, id)) if key == "event" => history.of_event(&id),
        Some((key, job)) if key == "job" => history.of_job(&job),
        _ => Vec::new(),
    };
    wire::list(&records).to_string()
}

/// A replica's API over what it remembers. Returns its address.
async fn replica(history: Arc<SharedHistory>) -> String {
    let router = Router::new()
        .route(
            "/api/v1/objects/{kind}/{namespace}/{name}/records",
            get(of_object),
        )
        .route("/api/v1/records", get(of_one))
        .with_state(history);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    #[expect(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
    drop(tokio::spawn(
        async move { axum::serve(listener, router).await },
    ));
    address
}

/// A turn that wanted twenty Jobs and had room for three.
fn turn() -> TurnRecord {
    let counts = JobCounts {
        unfinished: 7,
        pending: 1,
    };
    TurnRecord {
        round: Some(4),
        uid: "uid-1".into(),
        ..turns::turn(100.0, counts, 10)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_replica_is_asked_and_one_that_is_silent_is_a_note() {
    let now = jiff::Timestamp::from_second(1_796_000_000).unwrap();
    let orders = Subject {
        kind: SubjectKind::ScaledJob,
        id: ObjectId::new("production", "orders"),
    };
    let (leads, stands_by) = (SharedHistory::default(), SharedHistory::default());
    leads.record(HistoryRecord::new(
        orders.clone(),
        now,
        HistoryFact::Turn(turn()),
    ));
    let standing = HistoryFact::Standing(ObjectStanding::StandsBy);
    stands_by.record(HistoryRecord::new(orders, now, standing));
    let renewals = Subject::event_job(&ObjectId::new("production", "renewals"));
    let answered = AnswerRecord {
        origin: AnswerOrigin::Webhook,
        event: Some("evt 1/ü".into()),
        result: "RateLimited".into(),
        status: 429,
        job: None,
        message: "its rateLimit is used up".into(),
        took: std::time::Duration::from_millis(3),
    };
    stands_by.record(HistoryRecord::new(
        renewals,
        now,
        HistoryFact::Answer(answered),
    ));
    let addresses = [
        replica(Arc::new(leads)).await,
        replica(Arc::new(stands_by)).await,
        format!("http://127.0.0.1:{}", free_port()),
    ];
    let folder = Folder::new("replicas");
    let nowhere = folder.path().join("kubeconfig");
    let explain = |what: &str| {
        let mut arguments = vec!["explain", what, "-n", "production", "-o", "json"];
        arguments.extend(["--kubeconfig", nowhere.to_str().unwrap()]);
        for address in &addresses {
            arguments.extend(["--admin", address]);
        }
        let (code, text) = answer(&arguments, "");
        let told: Value = serde_json::from_str(&text).unwrap_or_default();
        (code, told)
    };
    let told = tokio::task::block_in_place(|| explain("scaledjob/orders")).1;
    assert_eq!(told["records"].as_array().unwrap().len(), 2, "{told:#}");
    let causes = told["causes"].as_array().unwrap();
    assert!(
        causes.iter().any(|cause| cause["reason"] == "Capped"),
        "{told:#}"
    );
    let asked = told["asked"].to_string();
    for part in ["the cluster was not asked", "1 record", "was not asked: "] {
        assert!(asked.contains(part), "{part}: {asked}");
    }
    let (code, told) = tokio::task::block_in_place(|| explain("event/evt 1/ü"));
    assert_eq!(code, Some(0), "{told:#}");
    assert_eq!(told["causes"][0]["reason"], "RateLimited");
    // A turn that is read again can be decided again.
    let (code, said) = tokio::task::block_in_place(|| {
        let told = explain("scaledjob/orders").1;
        answer(&["replay", "-"], &json!(told).to_string())
    });
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("0 of 1 decision would differ"), "{said}");
}

/// Explains by these addresses alone: no cluster can be reached.
async fn explained(addresses: &[String], namespace: &str, what: &str) -> (Option<i32>, Value) {
    let mut arguments = vec!["explain", what, "-n", namespace, "-o", "json"];
    arguments.extend(["--kubeconfig", "/nowhere/kubeconfig"]);
    for address in addresses {
        arguments.extend(["--admin", address]);
    }
    let arguments: Vec<String> = arguments.into_iter().map(str::to_owned).collect();
    let run = move || {
        answer(
            &arguments.iter().map(String::as_str).collect::<Vec<_>>(),
            "",
        )
    };
    let (code, text) = tokio::task::spawn_blocking(run).await.unwrap();
    (code, serde_json::from_str(&text).unwrap_or(json!(text)))
}

fn reasons(told: &Value) -> Vec<&str> {
    let causes = told["causes"].as_array().into_iter().flatten();
    causes
        .filter_map(|cause| cause["reason"].as_str())
        .collect()
}

#[tokio::test]
async fn the_admin_servers_of_a_cluster_are_asked_all_and_a_dead_one_is_a_note() {
    let cluster = controller::cluster("why-admin").await;
    let queue = Queue::new("why-admin").await;
    queue.send(30).await;
    let one = json!({"spec": {"maxReplicaCount": 1}});
    cluster
        .create(controller::scaled_job("orders", &queue.url, &one))
        .await;
    let start = async || {
        let arguments = ["--admin", "127.0.0.1:0"];
        Slipway::run(&servers::kubeconfig(), &cluster.namespace, &arguments, &[]).await
    };
    let replicas = [start().await, start().await];
    cluster.await_jobs(1).await;
    let pages = replicas.each_ref().map(Slipway::page);
    let mut addresses: Vec<_> = pages.into_iter().flatten().collect();
    assert_eq!(addresses.len(), 2);
    addresses.push(format!("127.0.0.1:{}", free_port()));
    let addresses: Vec<_> = addresses
        .iter()
        .map(|address| format!("http://{address}"))
        .collect();
    let namespace = &cluster.namespace;
    let told = await_until("both have said what they know", SOON, async || {
        let (code, told) = explained(&addresses, namespace, "scaledjob/orders").await;
        let records = told["records"].as_array()?;
        let stands_by = |record: &Value| record.to_string().contains("StandsBy");
        let is_whole = records.len() > 1 && records.iter().any(stands_by);
        (code == Some(0) && is_whole).then_some(told)
    })
    .await;
    assert_eq!(reasons(&told), ["Capped"], "{told:#}");
    let asked: Vec<_> = told["asked"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    assert_eq!(asked.len(), 4, "{asked:?}");
    assert!(
        asked[0].starts_with("the cluster was not asked"),
        "{asked:?}"
    );
    for (note, address) in asked[1..].iter().zip(&addresses) {
        assert!(note.contains(address), "{asked:?}");
    }
    assert!(asked[3].contains("was not asked: "), "{asked:?}");

    // By its Job: the leader knows why it is there.
    let job = cluster.jobs().await[0].metadata.name.clone().unwrap();
    let (code, told) = explained(&addresses, namespace, &format!("job/{job}")).await;
    assert_eq!(code, Some(0), "{told:#}");
    assert!(!told["way"].as_array().unwrap().is_empty(), "{told:#}");
    let (code, told) = explained(&addresses, namespace, "scaledjob/nothing").await;
    assert_eq!(
        (code, reasons(&told)),
        (Some(1), vec!["NotFound"]),
        "{told:#}"
    );
    let (code, told) = explained(&addresses[2..], namespace, "scaledjob/orders").await;
    assert_eq!((code, told), (Some(1), json!("")), "nobody could be asked");
    cluster.remove().await;
}

#[tokio::test]
async fn the_page_of_a_local_is_asked_and_knows_which_objects_there_are() {
    let page = LocalPage::start("why-page", crate::page::OBJECTS, &[]).await;
    let job = page.order("o-1").await;
    let addresses = [
        format!("http://{}", page.address),
        format!("http://127.0.0.1:{}", free_port()),
    ];
    let (code, told) = explained(&addresses, "shop", "eventjob/orders").await;
    assert_eq!(code, Some(0), "{told:#}");
    assert!(told["records"].to_string().contains(&job), "{told:#}");
    let (code, told) = explained(&addresses, "shop", "event/o-1").await;
    assert_eq!(code, Some(0), "{told:#}");
    assert!(told["summary"].to_string().contains(&job), "{told:#}");
    // The page is asked for the Job.
    assert!(
        reasons(&told).iter().all(|word| !word.starts_with("Job")),
        "{told:#}"
    );
    assert!(told["way"].to_string().contains("was created"), "{told:#}");
    // Nothing has happened to this one, and it is there.
    await_until("the page shows it", SOON, async || {
        let (code, _) = explained(&addresses, "shop", "eventjob/nightly").await;
        (code == Some(0)).then_some(())
    })
    .await;
    let (code, told) = explained(&addresses, "shop", "eventjob/nothing").await;
    assert_eq!(
        (code, reasons(&told)),
        (Some(1), vec!["NotFound"]),
        "{told:#}"
    );
    // It takes no events, and none has come.
    await_until("its Secret is missed", SOON, async || {
        let (_, told) = explained(&addresses, "shop", "eventjob/closed").await;
        (reasons(&told) == ["SecretMissing"]).then_some(())
    })
    .await;

    // The state folder says the same, with nobody to ask.
    let state = page.local.state();
    let state = state.to_str().unwrap();
    let history = format!("{state}/.history");
    let nowhere = ["--kubeconfig", "/nowhere/kubeconfig", "--history", &history];
    for (place, cases) in [
        (
            &["--state", state][..],
            [
                ("eventjob/orders", Some(0), "event o-1"),
                ("eventjob/nightly", Some(0), "next due"),
                ("eventjob/closed", Some(0), "in the way: SecretMissing"),
                (
                    "eventjob/nothing",
                    Some(1),
                    "There is no EventJob nothing in namespace shop: 0 objects",
                ),
                ("scaledjob/orders", Some(1), "There is no ScaledJob orders"),
            ],
        ),
        (
            &nowhere[..],
            [
                ("eventjob/orders", Some(0), "event o-1"),
                (
                    "eventjob/nightly",
                    Some(1),
                    "nothing has happened to it yet",
                ),
                (
                    "eventjob/nothing",
                    Some(1),
                    "0 records and 0 Jobs are about it",
                ),
                ("eventjob/closed", Some(1), "as far as is known here"),
                ("scaledjob/orders", Some(1), "as far as is known here"),
            ],
        ),
    ] {
        for (what, code, words) in cases {
            let arguments = [&["explain", what, "-n", "shop"], place].concat();
            await_until(&format!("{what} {place:?} is told"), SOON, async || {
                // Records come to the disk a moment later.
                let told = answer(&arguments, "");
                (told.0 == code && told.1.contains(words)).then_some(())
            })
            .await;
        }
    }
}
