use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};

use http::{Method, Request, Response};
use jiff::Timestamp;
use kube::client::Body;
use serde_json::{Value, json};

use super::*;
use crate::launch::Launch;
use crate::launch::ledger::MOST_KEYS;
use crate::resource::ObjectId;

/// ConfigMaps by path, at a server whose clock is ahead, and which never answers for the namespace `hangs`.
#[derive(Clone, Default)]
struct Server {
    maps: Arc<Mutex<BTreeMap<String, Value>>>,
    versions: Arc<AtomicU64>,
    ahead_seconds: Arc<AtomicU64>,
}

impl Server {
    fn ledgers(&self) -> Arc<Ledgers> {
        let server = self.clone();
        let service = tower::service_fn(move |request| server.clone().answer(request));
        let cluster = Cluster::new(kube::Client::new(service, ""));
        Arc::new(Ledgers::new(cluster, "me", Duration::from_mins(10)))
    }

    fn now(&self) -> Timestamp {
        let ahead = self.ahead_seconds.load(Ordering::Relaxed);
        Timestamp::UNIX_EPOCH + Duration::from_secs(1_800_000_000 + ahead)
    }

    fn shards(&self, namespace: &str) -> usize {
        let maps = self.maps.lock().unwrap();
        let is_there = |path: &&String| path.contains(&format!("/namespaces/{namespace}/"));
        maps.keys().filter(is_there).count()
    }

    async fn answer(self, request: Request<Body>) -> Result<Response<Body>, Infallible> {
        let (head, body) = request.into_parts();
        let path = head.uri.path().to_owned();
        if path.contains("/namespaces/hangs/") {
            std::future::pending::<()>().await;
        }
        let body = body.collect_bytes().await.unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let (status, answer) = self.act(&head.method, path, body);
        let date = jiff::fmt::rfc2822::DateTimePrinter::new();
        let date = date.timestamp_to_rfc9110_string(&self.now()).unwrap();
        let answer = Body::from(answer.to_string().into_bytes());
        let response = Response::builder().status(status).header("date", date);
        Ok(response.body(answer).unwrap())
    }

    fn act(&self, method: &Method, path: String, mut body: Value) -> (u16, Value) {
        let mut maps = self.maps.lock().unwrap();
        match *method {
            Method::GET if path.ends_with("/configmaps") => {
                let prefix = path.trim_end_matches("configmaps");
                let items: Vec<&Value> = maps
                    .iter()
                    .filter(|(path, _)| path.starts_with(prefix))
                    .map(|(_, map)| map)
                    .collect();
                (200, json!({"items": items}))
            }
            Method::GET => (200, maps[&path].clone()),
            Method::DELETE => {
                maps.remove(&path);
                (200, json!({}))
            }
            _ => {
                let name = body["metadata"]["name"].as_str().unwrap().to_owned();
                let version = self.versions.fetch_add(1, Ordering::Relaxed);
                body["metadata"]["resourceVersion"] = version.to_string().into();
                let path = if path.ends_with("/configmaps") {
                    format!("{path}/{name}")
                } else {
                    path
                };
                maps.insert(path, body.clone());
                (200, body)
            }
        }
    }
}

fn occurrence(number: usize) -> String {
    // Spread as hashes are.
    format!(
        "{:016x}{number:048x}",
        number.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    )
}

fn delivery(namespace: &str, number: usize) -> Delivery {
    let event_job = ObjectId::new(namespace, "a");
    Delivery {
        due: None,
        launch: Launch {
            id: ObjectId::new(namespace, "a-bdfhjkmpqr"),
            occurrence: occurrence(number),
            manifest: Value::Null,
        },
        event_job,
        file: None,
        payload: String::new(),
        is_gated: false,
        remember_for: Duration::from_hours(1),
    }
}

fn entries(numbers: std::ops::Range<usize>) -> Vec<Entry> {
    let entry = |number| Entry {
        key: Key::of(&occurrence(number)).unwrap(),
        expires_at: 1_900_000_000,
    };
    numbers.map(entry).collect()
}

/// Until it is true, within a minute of the paused clock.
async fn until(mut is_true: impl FnMut() -> bool) {
    let within = Instant::now() + Duration::from_mins(1);
    while !is_true() {
        assert!(Instant::now() < within, "not within a minute");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn beside(ledgers: &Ledgers, scope: &Scope, test: impl Future<Output = ()>) {
    tokio::select! {
        () = ledgers.run(scope, Box::pin(std::future::pending())) => {}
        () = test => {}
    }
}

#[tokio::test(start_paused = true)]
async fn keys_wait_for_no_other_namespace() {
    let (server, scope) = (Server::default(), Scope::All);
    let ledgers = server.ledgers();
    let test = async {
        for namespace in ["hangs", "well"] {
            ledgers.of(namespace).add(entries(0..1));
        }
        until(|| server.shards("well") == 1).await;
        let began = Instant::now();
        for number in 1..4 {
            ledgers.of("well").add(entries(number..number + 1));
            until(|| ledgers.of("well").ledger().len() == number + 1).await;
        }
        // Three writes, a second apart; each call for the other one takes five.
        assert!(began.elapsed() < Duration::from_secs(4));
    };
    beside(&ledgers, &scope, test).await;
}

#[tokio::test(start_paused = true)]
async fn shards_go_when_their_keys_have_expired_though_no_event_comes() {
    let (server, scope) = (Server::default(), Scope::All);
    let before = server.ledgers();
    let now = server.now().as_second();
    let expires_at = u32::try_from(now).unwrap() + 60;
    let short = entries(0..1)
        .into_iter()
        .map(|it| Entry { expires_at, ..it });
    before.of("short").add(short);
    before.of("long").add(entries(0..1));
    let written = until(|| server.shards("short") + server.shards("long") == 2);
    beside(&before, &scope, written).await;
    // Another process, which knows no EventJob.
    server.ahead_seconds.store(3_600, Ordering::Relaxed);
    let after = server.ledgers();
    let test = async {
        tokio::time::sleep(2 * FIRST_SWEEP).await;
        assert_eq!(server.shards("short"), 1, "an hour after the expiry");
        server.ahead_seconds.store(3_700, Ordering::Relaxed);
        tokio::time::sleep(SWEEP).await;
        assert_eq!(server.shards("short"), 0);
        assert_eq!(server.shards("long"), 1);
        assert!(
            after.all().is_empty(),
            "nothing is kept of what nobody uses"
        );
    };
    beside(&after, &scope, test).await;
}

#[tokio::test]
async fn a_key_that_waits_to_be_written_has_had_its_job() {
    let ledgers = Server::default().ledgers();
    let delivery = delivery("well", 7);
    ledgers.confirm(&ledgers.of("well")).await.unwrap();
    let memory = ledgers.memory(&delivery).unwrap();
    assert_eq!(memory.look(), Saw::LedgerHasNot);
    ledgers.note(&delivery);
    assert_eq!(memory.look(), Saw::LedgerHasKey);
    assert!(memory.remembers(Duration::ZERO).await.unwrap());
    let copy = memory.look_into_copy();
    assert_eq!(copy, Saw::LedgerHasNot, "not in the ledger yet");
}

#[tokio::test]
async fn while_keys_cannot_be_written_nothing_new_is_launched() {
    let ledgers = Server::default().ledgers();
    let namespace = ledgers.of("well");
    let allows = |number| ledgers.memory(&delivery("well", number)).is_ok();
    namespace.add(entries(0..MOST_WAITING - 1));
    assert!(allows(MOST_WAITING));
    namespace.add(entries(0..MOST_WAITING));
    assert!(!allows(MOST_WAITING), "so many wait");
    assert!(allows(0), "had its Job");
    namespace.waiting().entries = entries(0..1).into_iter().map(|it| (it.key, it)).collect();
    assert!(allows(1));
    namespace.waiting().since = boot::now().checked_sub(LONGEST_WAIT + BEAT);
    assert!(!allows(1), "one waits for so long");
}

#[tokio::test]
async fn a_full_ledger_lets_in_what_it_knows_and_nothing_new() {
    let ledgers = Server::default().ledgers();
    let namespace = ledgers.of("well");
    let fill = |range| {
        let entries = entries(range);
        let mut rest = &entries[..];
        while !rest.is_empty() {
            let mut ledger = namespace.ledger();
            let plan = ledger.plan(rest).unwrap();
            rest = &rest[plan.taken..];
            ledger.written(plan, "1", boot::now());
        }
    };
    let new = delivery("well", MOST_KEYS);
    fill(0..MOST_KEYS - 1);
    ledgers.memory(&new).map(drop).unwrap();
    fill(MOST_KEYS - 1..MOST_KEYS);
    let refused = ledgers.memory(&new).map(drop).unwrap_err();
    assert!(matches!(refused, Error::LedgerFull { .. }), "{refused}");
    // So that the server has told its time.
    ledgers.confirm(&ledgers.of("other")).await.unwrap();
    ledgers.memory(&delivery("well", 0)).map(drop).unwrap();
}
