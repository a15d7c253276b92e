//! Events without a cluster: the built binary, raw HTTP, `kill -9` at any moment.

use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Semaphore;

use super::*;
use crate::support::await_until;
use crate::support::process::free_port;

mod twice;

/// For what takes hundreds of processes on a busy machine.
const LONG: Duration = Duration::from_mins(2);

/// `slipway local` with a door; killed when it is dropped.
struct Slipway(Child);

impl Drop for Slipway {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// A bench with one file of objects, and a port.
struct Post {
    bench: Bench,
    port: u16,
    arguments: Vec<&'static str>,
}

impl Post {
    fn new(name: &str, objects: &[Value], arguments: &[&'static str]) -> Self {
        let post = Self {
            bench: Bench::new(name),
            port: free_port(),
            arguments: arguments.to_vec(),
        };
        post.write(objects);
        post
    }

    /// JSON is YAML. In one step: nobody reads half of it.
    fn write(&self, objects: &[Value]) {
        let objects: Vec<String> = objects.iter().map(Value::to_string).collect();
        let new = self.bench.path("new");
        std::fs::write(&new, objects.join("\n---\n")).unwrap();
        std::fs::rename(new, self.bench.path("objects.yaml")).unwrap();
    }

    fn start(&self) -> Slipway {
        let log = std::fs::File::options()
            .append(true)
            .create(true)
            .open(self.bench.path("log"))
            .unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_slipway"))
            .args(["local", &display(&self.bench.path("objects.yaml"))])
            .args(["--backoff-base", "20ms"])
            .args(["--http", &format!("127.0.0.1:{}", self.port)])
            .args(["--state", &display(&self.bench.state())])
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Slipway(child)
    }

    /// Status and body of an answer; `None` when there was none.
    async fn send(&self, name: &str, event: &Value) -> Option<(u16, Value)> {
        self.send_text(name, "x-plain: 1", &event.to_string()).await
    }

    /// A body as it is written, with one more header.
    async fn send_text(&self, name: &str, header: &str, body: &str) -> Option<(u16, Value)> {
        let request = format!(
            "POST /events/default/{name} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nx-api-key: right\r\n{header}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let exchange = async {
            let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await?;
            stream.write_all(request.as_bytes()).await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            std::io::Result::Ok(answer)
        };
        let answer = tokio::time::timeout(SOON, exchange).await.ok()?.ok()?;
        let status = answer.split(' ').nth(1)?.parse().ok()?;
        let (_, body) = answer.split_once("\r\n\r\n")?;
        Some((status, serde_json::from_str(body).ok()?))
    }

    /// As a sender does: until it is answered with this status.
    async fn until(&self, status: u16, name: &str, event: &Value) -> Value {
        let what = format!("{name} is answered {status}");
        await_until(&what, LONG, async || {
            let (found, body) = self.send(name, event).await?;
            (found == status).then_some(body)
        })
        .await
    }

    /// What the first answer says.
    async fn result(&self, name: &str, event: &Value) -> String {
        let (status, body) = self.send(name, event).await.unwrap();
        let word = if status == 200 { "result" } else { "reason" };
        format!("{status} {}", body[word].as_str().unwrap())
    }

    fn jobs(&self) -> BTreeSet<String> {
        let folder = self.bench.state().join("default");
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.filter(|name| !name.starts_with('.')).collect()
    }

    /// Waits for so many lines, and gives them.
    async fn lines(&self, number: usize) -> Vec<String> {
        await_until(&format!("{number} lines"), LONG, async || {
            let lines = self.bench.lines("out");
            (lines.len() >= number).then_some(lines)
        })
        .await
    }

    fn out(&self) -> String {
        display(&self.bench.path("out"))
    }
}

fn event(id: &str, detail: &Value) -> Value {
    json!({
        "version": "0", "id": id, "detail-type": "t", "source": "s", "account": "123456789012",
        "time": "2026-01-01T00:00:00Z", "region": "eu-central-1", "resources": [], "detail": detail,
    })
}

/// An EventJob whose Jobs run a script; the event's id and `detail.key` are in `SLIPWAY_EVENT_ID` and `KEY`.
fn event_job(name: &str, script: &str, spec: &Value) -> Value {
    let mut object = json!({
        "apiVersion": "slipway.dev/v1alpha1",
        "kind": "EventJob",
        "metadata": {"name": name},
        "spec": {
            "source": {"webhook": {"auth": [
                {"apiKey": {"header": "x-api-key", "secretKeyRefs": [{"name": "hook", "key": "key"}]}},
            ]}},
            "bind": {"env": [{"name": "KEY", "path": "$.detail.key", "default": "none"}]},
            "jobTemplate": {"spec": {"template": {"spec": {
                "restartPolicy": "Never",
                "containers": [{"name": "main", "image": "x", "command": ["sh", "-c", script]}],
            }}}},
        },
    });
    for (key, value) in spec.as_object().unwrap() {
        object["spec"][key] = value.clone();
    }
    object
}

fn secret() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "hook"}, "stringData": {"key": "right"},
    })
}

fn count<'a>(lines: impl IntoIterator<Item = &'a String>, line: &str) -> usize {
    lines.into_iter().filter(|found| *found == line).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_has_one_job_though_it_comes_three_times_and_slipway_is_killed_between() {
    const EVENTS: usize = 300;
    let post = Post::new("storm", &[], &[]);
    let script = format!("echo $SLIPWAY_EVENT_ID >>{}", post.out());
    post.write(&[event_job("storm", &script, &json!({})), secret()]);
    let room = Semaphore::new(24);
    let answered = Semaphore::new(0);
    let deliveries = (0..EVENTS * 3).map(|number| {
        let event = event(&format!("id-{}", number % EVENTS), &json!({}));
        let (post, room, answered) = (&post, &room, &answered);
        async move {
            let _room = room.acquire().await.unwrap();
            let answer = post.until(200, "storm", &event).await;
            let job = answer["jobName"].as_str().unwrap().to_owned();
            // Whoever hears its name finds it.
            assert!(post.jobs().contains(&job), "{answer}");
            answered.add_permits(1);
            (number % EVENTS, job)
        }
    });
    let kills = async {
        for milestone in [50, 200, 400, 600, 800] {
            let slipway = post.start();
            let reached = answered.available_permits();
            await_until("the next milestone", LONG, async || {
                (answered.available_permits() >= milestone).then_some(())
            })
            .await;
            assert!(reached < milestone, "it was not killed in the middle");
            // SIGKILL.
            drop(slipway);
        }
        post.start()
    };
    let (names, slipway) = tokio::join!(futures::future::join_all(deliveries), kills);
    let by_event: BTreeSet<(usize, String)> = names.into_iter().collect();
    assert_eq!(by_event.len(), EVENTS, "an event was told two names");
    let names: BTreeSet<String> = by_event.into_iter().map(|(_, name)| name).collect();
    assert_eq!(post.jobs(), names);
    let lines = post.lines(EVENTS).await;
    drop(slipway);
    assert_eq!(lines.iter().collect::<BTreeSet<_>>().len(), EVENTS);
    assert_eq!(post.bench.lines("out").len(), EVENTS, "a Job ran twice");
}

#[tokio::test]
async fn an_event_whose_job_is_gone_is_known_and_a_replay_of_it_is_another() {
    let post = Post::new("gone", &[], &["--ledger-grace", "0s"]);
    let script = format!("echo $SLIPWAY_EVENT_ID >>{}", post.out());
    let mut brief = event_job("by-ttl", &script, &json!({}));
    brief["spec"]["jobTemplate"]["spec"]["ttlSecondsAfterFinished"] = json!(0);
    let limits = json!({"successfulJobsHistoryLimit": 0, "failedJobsHistoryLimit": 0});
    let limited = event_job("by-history", &script, &limits);
    post.write(&[brief, limited, secret()]);
    let mut slipway = post.start();
    let mut expected = Vec::new();
    for name in ["by-ttl", "by-history"] {
        let mut event = event(name, &json!({}));
        let first = post.until(200, name, &event).await;
        assert_eq!(first["result"], "Created");
        await_until("its Job is gone", SOON, async || {
            (post.jobs().is_empty() && !post.bench.lines("out").is_empty()).then_some(())
        })
        .await;
        for _ in 0..2 {
            let again = post.until(200, name, &event).await;
            assert_eq!(again["result"], "Duplicate");
            // Only the ledger remembers it, and a key has no name.
            assert!(again["jobName"].is_null(), "{again}");
            drop(slipway);
            slipway = post.start();
        }
        assert!(post.jobs().is_empty());
        event["replay-name"] = json!("on-purpose");
        let replay = post.until(200, name, &event).await;
        assert_eq!(replay["result"], "Created");
        assert_ne!(replay["jobName"], first["jobName"]);
        expected.extend([name, name]);
        assert_eq!(post.lines(expected.len()).await, expected);
        await_until("that Job is gone", SOON, async || {
            post.jobs().is_empty().then_some(())
        })
        .await;
    }
}

fn policy(policy: &str, concurrency: &Value) -> Value {
    json!({"concurrencyPolicy": policy, "concurrency": concurrency})
}

#[tokio::test]
async fn a_queue_runs_one_of_each_key_in_the_order_they_came_across_a_kill() {
    let post = Post::new("queue", &[], &[]);
    let out = post.out();
    let script = format!(
        "echo begin $KEY $SLIPWAY_EVENT_ID >>{out}; sleep 0.1; echo end $KEY $SLIPWAY_EVENT_ID >>{out}"
    );
    let queue = policy(
        "Queue",
        &json!({"limit": 1, "keyFrom": {"path": "$.detail.key"}}),
    );
    post.write(&[event_job("queue", &script, &queue), secret()]);
    let slipway = post.start();
    for number in 0..10 {
        let key = if number % 2 == 0 { "even" } else { "odd" };
        let event = event(&number.to_string(), &json!({"key": key}));
        assert_eq!(post.until(200, "queue", &event).await["result"], "Waiting");
    }
    post.lines(3).await;
    drop(slipway);
    let _slipway = post.start();
    let lines = post.lines(20).await;
    for (key, remainder) in [("even", 0), ("odd", 1)] {
        let of_key = lines.iter().filter(|line| line.contains(key));
        let expected: Vec<String> = (0..5)
            .map(|turn| 2 * turn + remainder)
            .flat_map(|number| {
                [
                    format!("begin {key} {number}"),
                    format!("end {key} {number}"),
                ]
            })
            .collect();
        assert_eq!(of_key.cloned().collect::<Vec<_>>(), expected);
    }
}

#[tokio::test]
async fn forbid_drops_those_that_come_meanwhile_and_replace_the_one_that_runs() {
    let post = Post::new("policies", &[], &["--ledger-grace", "0s"]);
    let out = post.out();
    let script = format!(
        "echo begin $SLIPWAY_EVENT_ID >>{out}; until test -e {out}.go; do sleep 0.02; done; echo end $SLIPWAY_EVENT_ID >>{out}"
    );
    post.write(&[
        event_job("forbid", &script, &policy("Forbid", &json!({}))),
        event_job("replace", &script, &policy("Replace", &json!({}))),
        secret(),
    ]);
    let _slipway = post.start();
    for name in ["forbid", "replace"] {
        for number in 1..=2 {
            let event = event(&format!("{name}-{number}"), &json!({}));
            assert_eq!(post.until(200, name, &event).await["result"], "Waiting");
            let begun = format!("begin {name}-{number}");
            let is_dropped = name == "forbid" && number == 2;
            await_until("it has had its turn", SOON, async || {
                let begun = count(&post.bench.lines("out"), &begun) == 1;
                // Only the first one's folder is left.
                let gone = post.jobs().len() == 1;
                (if is_dropped { gone } else { begun }).then_some(())
            })
            .await;
        }
        std::fs::write(format!("{out}.go"), "").unwrap();
        await_until("the one that may has ended", SOON, async || {
            let winner = if name == "forbid" { 1 } else { 2 };
            let lines = post.bench.lines("out");
            (count(&lines, &format!("end {name}-{winner}")) == 1).then_some(())
        })
        .await;
        std::fs::remove_file(format!("{out}.go")).unwrap();
        // What was dropped had its Job, and gets no other.
        for number in 1..=2 {
            let event = event(&format!("{name}-{number}"), &json!({}));
            assert_eq!(post.result(name, &event).await, "200 Duplicate");
        }
        await_until("the dropped Job is gone", SOON, async || {
            let prefix = format!("{name}-");
            let left = post.jobs();
            let left = left.iter().filter(|job| job.starts_with(&prefix)).count();
            (left == 1).then_some(())
        })
        .await;
    }
    let lines = post.bench.lines("out");
    for never in ["begin forbid-2", "end forbid-2", "end replace-1"] {
        assert_eq!(count(&lines, never), 0, "{lines:?}");
    }
}

#[tokio::test]
async fn limits_hold_back_what_is_new_and_answer_what_is_known() {
    let post = Post::new("limits", &[], &[]);
    let limit = json!({"rateLimit": {"requests": 1, "unit": "Hour", "burst": 2}});
    let full = policy("Queue", &json!({"limit": 1, "maxWaiting": 1}));
    let script = format!("echo begun >>{}; sleep 60", post.out());
    let waits = event_job("full", &script, &full);
    let rows = [event_job("rated", "true", &limit), waits, secret()];
    post.write(&rows);
    let _slipway = post.start();
    let id = |number: u32| event(&number.to_string(), &json!({}));
    post.until(200, "rated", &id(1)).await;
    assert_eq!(post.result("rated", &id(2)).await, "200 Created");
    assert_eq!(post.result("rated", &id(3)).await, "429 RateLimited");
    assert_eq!(post.result("rated", &id(1)).await, "200 Duplicate");
    post.until(200, "full", &id(1)).await;
    // It has had its turn, so the list is empty.
    post.lines(1).await;
    assert_eq!(post.result("full", &id(2)).await, "200 Waiting");
    assert_eq!(post.result("full", &id(3)).await, "429 WaitingListFull");
    assert_eq!(post.result("full", &id(2)).await, "200 Duplicate");
}

#[tokio::test]
async fn what_is_wrong_is_told_apart_and_harms_nobody_else() {
    let post = Post::new("wrong", &[], &[]);
    let mut silent = event_job("silent", "true", &json!({}));
    silent["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0] =
        json!({"name": "main", "image": "x"});
    let mut locked = event_job("locked", "true", &json!({}));
    let keys = "/spec/source/webhook/auth/0/apiKey/secretKeyRefs/0/name";
    *locked.pointer_mut(keys).unwrap() = json!("absent");
    let objects = [
        event_job(
            "good",
            "true",
            &json!({"pattern": {"detail": {"key": ["yes"]}}}),
        ),
        event_job("asleep", "true", &json!({"suspend": true})),
        event_job("broken", "true", &json!({"concurrencyPolicy": "Perhaps"})),
        silent,
        locked,
        secret(),
    ];
    post.write(&objects);
    let _slipway = post.start();
    let yes = event("1", &json!({"key": "yes"}));
    post.until(200, "good", &yes).await;
    let rows = [
        ("good", yes.clone(), "200 Duplicate"),
        ("good", event("2", &json!({"key": "no"})), "200 Filtered"),
        ("good", json!({"detail": {"key": "yes"}}), "400 BadRequest"),
        ("asleep", yes.clone(), "503 Suspended"),
        ("broken", yes.clone(), "503 NotReady"),
        ("silent", yes.clone(), "503 NotReady"),
        ("locked", yes.clone(), "503 Unavailable"),
        ("nobody", yes.clone(), "404 NotFound"),
    ];
    for (name, event, expected) in rows {
        assert_eq!(post.result(name, &event).await, expected, "{name}");
    }
    // The table says so too.
    await_until("whose Secret is absent is told", SOON, async || {
        let log = std::fs::read_to_string(post.bench.path("log")).unwrap();
        log.contains("not ready: Secret default/absent is not there")
            .then_some(())
    })
    .await;
    // Right again, without a restart.
    post.write(&[event_job("asleep", "true", &json!({})), secret()]);
    post.until(200, "asleep", &yes).await;
    assert_eq!(post.result("good", &yes).await, "404 NotFound");
}

#[tokio::test]
async fn an_event_job_that_is_being_deleted_takes_events_no_more_than_one_that_left_the_file() {
    let post = Post::new("deleted", &[], &[]);
    let [stays, mut going, leaves] =
        ["stays", "going", "leaves"].map(|name| event_job(name, "true", &json!({})));
    post.write(&[secret(), stays.clone(), going.clone(), leaves]);
    let _slipway = post.start();
    for name in ["stays", "going", "leaves"] {
        post.until(200, name, &event("1", &json!({}))).await;
    }
    going["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    post.write(&[secret(), stays, going]);
    for (name, status) in [("going", 404), ("leaves", 404), ("stays", 200)] {
        post.until(status, name, &event("2", &json!({}))).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn edits_under_load_lose_and_double_nothing() {
    const EVENTS: usize = 120;
    let post = Post::new("edits", &[], &[]);
    let out = post.out();
    let version = |number: usize| {
        let script = format!("echo $SLIPWAY_EVENT_ID version-{number} >>{out}");
        [event_job("edited", &script, &json!({})), secret()]
    };
    post.write(&version(0));
    let _slipway = post.start();
    post.until(200, "edited", &event("first", &json!({}))).await;
    let room = Semaphore::new(8);
    let deliveries = (0..EVENTS * 2).map(|number| {
        let event = event(&format!("id-{}", number % EVENTS), &json!({}));
        let (post, room, version) = (&post, &room, &version);
        async move {
            let _room = room.acquire().await.unwrap();
            if number % 30 == 29 {
                post.write(&version(number));
            }
            post.until(200, "edited", &event).await
        }
    });
    futures::future::join_all(deliveries).await;
    let lines = post.lines(EVENTS + 1).await;
    let ids: BTreeSet<&str> = lines
        .iter()
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert_eq!(ids.len(), EVENTS + 1);
    assert_eq!(post.jobs().len(), EVENTS + 1);
    // The last edit holds for what comes next.
    let next = event("next", &json!({}));
    await_until("the last version is read", SOON, async || {
        let mut event = next.clone();
        event["id"] = json!(format!("next-{}", post.bench.lines("out").len()));
        post.until(200, "edited", &event).await;
        let lines = post.bench.lines("out");
        let last = format!("version-{}", EVENTS * 2 - 1);
        lines.iter().any(|line| line.ends_with(&last)).then_some(())
    })
    .await;
    assert_eq!(
        post.result("edited", &event("id-0", &json!({}))).await,
        "200 Duplicate"
    );
}

#[tokio::test]
async fn the_whole_event_is_a_file_and_until_idle_waits_for_those_in_line() {
    let post = Post::new("file", &[], &["--until-idle"]);
    let script = format!(
        "cat \"$SLIPWAY_EVENT_FILE\" >>{out}; echo >>{out}",
        out = post.out()
    );
    let mut spec = policy("Queue", &json!({"limit": 1}));
    spec["bind"] = json!({"file": {"path": "/var/run/slipway/event.json"}});
    post.write(&[event_job("filed", &script, &spec), secret()]);
    let mut slipway = post.start();
    let hostile = json!({"key": "$(SECRET) \"'\n{{ }}"});
    let events: Vec<Value> = (0..3).map(|n| event(&n.to_string(), &hostile)).collect();
    for event in &events {
        assert_eq!(post.until(200, "filed", event).await["result"], "Waiting");
    }
    let status = await_until("the end", LONG, async || slipway.0.try_wait().unwrap()).await;
    assert!(status.success(), "{status}");
    let read: Vec<Value> = post
        .bench
        .lines("out")
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(read, events);
}
