//! The second half of the demo: events over HTTP, some of them twice, one Job each.

use std::collections::BTreeSet;
use std::fmt;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::app::local::Engine;
use crate::local::{JobPhase, JobView};

use super::quoted;

/// Events that happen.
pub(super) const EVENTS: u32 = 30;
/// Those of them that are delivered again.
pub(super) const TWICE: u32 = 10;
/// Between two events: few enough at once to be read on a screen.
const PAUSE: Duration = Duration::from_millis(150);
/// Longest wait for one answer.
const PATIENCE: Duration = Duration::from_secs(10);
const NAME: &str = "renewals";

/// What EventBridge would be told to send as a header.
pub(super) struct RenewalKey(String);

impl RenewalKey {
    /// A new one: the door is on loopback, and this machine may have other users.
    pub(super) fn new() -> Self {
        let random = || RandomState::new().build_hasher().finish();
        Self(format!("{:016x}{:016x}", random(), random()))
    }
}

/// The EventJob and its Secret, as a user would write them.
pub(super) fn manifest(key: &RenewalKey, done: &Path) -> String {
    let done = quoted(&done.display().to_string());
    let command = format!("printf '%s\\n' \"$SUBSCRIPTION_ID\" >>{done}");
    // A JSON string is a YAML string.
    let command = Value::from(command);
    format!(
        r"---
apiVersion: v1
kind: Secret
metadata: {{name: hook, namespace: demo}}
stringData: {{key: {key}}}
---
apiVersion: slipway.dev/v1alpha1
kind: EventJob
metadata:
  name: {NAME}
  namespace: demo
spec:
  source:
    webhook:
      auth:
      - apiKey: {{header: x-api-key, secretKeyRefs: [{{name: hook, key: key}}]}}
  pattern:
    detail-type: [subscription.renewed]
  bind:
    env:
    - {{name: SUBSCRIPTION_ID, path: $.detail.subscriptionId}}
  jobTemplate:
    spec:
      backoffLimit: 3
      template:
        metadata:
          annotations:
            slipway.dev/local-command: {command}
        spec:
          restartPolicy: Never
          containers:
          - name: worker
            image: example.com/renewal-worker
",
        key = key.0,
    )
}

/// Delivers every event, some of them twice at the same moment, as EventBridge may.
///
/// # Errors
///
/// One was not answered as it has to be.
pub(super) async fn deliver(mut engine: Engine, key: RenewalKey) -> anyhow::Result<()> {
    let opened = engine.door.wait_for(Option::is_some).await;
    let address = opened.map(|address| *address);
    let address = address.context("the door for events did not open")?;
    let address = address.context("the door for events has no address")?;
    for number in 0..EVENTS {
        let first = post(address, &key, number);
        if number < TWICE {
            let second = post(address, &key, number);
            let (first, second) = tokio::try_join!(first, second)?;
            if (first != "Created") == (second != "Created") {
                bail!("event {number} was answered {first} and {second}");
            }
        } else if first.await? != "Created" {
            bail!("event {number} was there before it was sent");
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

/// `result` of the answer, as a sender comes by it: who is told to come again comes again.
async fn post(address: SocketAddr, key: &RenewalKey, number: u32) -> anyhow::Result<String> {
    let sent = async {
        loop {
            let body = exchange(address, key, number).await?;
            match (body["result"].as_str(), body["retryAfterSeconds"].is_null()) {
                (Some(result), _) => return Ok(result.to_owned()),
                (None, true) => bail!("event {number} was answered {body}"),
                (None, false) => tokio::time::sleep(PAUSE).await,
            }
        }
    };
    tokio::time::timeout(PATIENCE, sent)
        .await
        .with_context(|| format!("event {number} has no Job after {PATIENCE:?}"))?
}

/// The body of an answer.
async fn exchange(address: SocketAddr, key: &RenewalKey, number: u32) -> anyhow::Result<Value> {
    let event = json!({
        "version": "0",
        "id": format!("00000000-0000-4000-8000-{number:012}"),
        "detail-type": "subscription.renewed",
        "source": "billing",
        "account": "123456789012",
        "time": "2026-01-01T00:00:00Z",
        "region": "eu-central-1",
        "resources": [],
        "detail": {"subscriptionId": format!("sub-{number}")},
    })
    .to_string();
    let request = format!(
        "POST /events/demo/{NAME} HTTP/1.1\r\nhost: {address}\r\nx-api-key: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{event}",
        key.0,
        event.len(),
    );
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    let answer = exchange
        .await
        .with_context(|| format!("event {number} was not answered"))?;
    let (_, body) = answer
        .split_once("\r\n\r\n")
        .with_context(|| format!("event {number} was answered with no HTTP"))?;
    serde_json::from_str(body).with_context(|| format!("event {number} was answered with no JSON"))
}

/// What became of the events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renewals {
    /// Renewals done, each counted once.
    pub done: usize,
    /// Renewals done again.
    pub duplicates: usize,
    /// Jobs made.
    pub launched: usize,
    /// Jobs that succeeded.
    pub succeeded: usize,
    /// Jobs that failed.
    pub failed: usize,
}

impl Renewals {
    /// What the Jobs left behind; `done` has a line for each renewal.
    pub(super) fn new(done: &str, jobs: &[JobView]) -> Self {
        let ours: Vec<_> = jobs.iter().filter(|job| job.event_job.is_some()).collect();
        let in_phase = |phase| ours.iter().filter(|job| job.phase == phase).count();
        let renewals: BTreeSet<&str> = done.lines().collect();
        Self {
            done: renewals.len(),
            duplicates: done.lines().count() - renewals.len(),
            launched: ours.len(),
            succeeded: in_phase(JobPhase::Complete),
            failed: in_phase(JobPhase::Failed),
        }
    }

    /// Did every event have its Job, and no second one?
    pub fn is_success(&self) -> bool {
        let events = usize::try_from(EVENTS).unwrap_or(usize::MAX);
        let once = [self.done, self.launched, self.succeeded];
        once.iter().all(|number| *number == events) && self.duplicates == 0
    }
}

impl fmt::Display for Renewals {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{EVENTS} events delivered {} times: {} renewals done, {} of them twice, by {} Jobs ({} succeeded, {} failed)",
            EVENTS + TWICE,
            self.done,
            self.duplicates,
            self.launched,
            self.succeeded,
            self.failed,
        )
    }
}
