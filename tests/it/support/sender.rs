//! A sender that never repeats an event by itself, and what became of each.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::cluster::Cluster;
use super::http::post;
use crate::events::{KEY, renewed, variable};

/// How long a sender waits.
const PATIENCE: Duration = Duration::from_secs(5);

type KeepAlive = Client<HttpConnector, Full<Bytes>>;

/// What became of an event that was sent once.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) id: String,
    pub(crate) began: Instant,
    pub(crate) ended: Instant,
    /// `None`: there was no answer.
    pub(crate) status: Option<u16>,
}

/// Sends events to `invoice` until it is told to stop: every other one over a connection of its own, the rest over those
/// that are kept.
pub(crate) async fn send_all(
    address: String,
    namespace: String,
    every: Duration,
    stop: CancellationToken,
) -> Vec<Sent> {
    // Nothing is sent twice, not even what a client may repeat without asking.
    let client: KeepAlive = Client::builder(TokioExecutor::new())
        .retry_canceled_requests(false)
        .build_http();
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut under_way = JoinSet::new();
    for number in 0_u64.. {
        tokio::select! {
            _ = ticks.tick() => {}
            () = stop.cancelled() => break,
        }
        let (client, address) = (client.clone(), address.clone());
        let path = format!("/events/{namespace}/invoice");
        under_way.spawn(async move {
            let id = format!("e-{number}");
            let event = renewed(&id, "sub-1").to_string();
            let began = Instant::now();
            let status = if number % 2 == 0 {
                let heard = post(&address, &path, &[("x-api-key", KEY)], &event).await;
                heard.map(|heard| heard.status)
            } else {
                let url = format!("http://{address}{path}");
                let sent = over_kept(&client, &url, event);
                tokio::time::timeout(PATIENCE, sent).await.ok().flatten()
            };
            Sent {
                id,
                began,
                ended: Instant::now(),
                status,
            }
        });
    }
    under_way.join_all().await
}

async fn over_kept(client: &KeepAlive, url: &str, event: String) -> Option<u16> {
    let request = Request::post(url)
        .header("x-api-key", KEY)
        .header("content-type", "application/json")
        .body(Full::from(event))
        .unwrap();
    let answer = client.request(request).await.ok()?;
    let status = answer.status().as_u16();
    // What is not read to its end is not kept.
    answer.into_body().collect().await.ok()?;
    Some(status)
}

/// Panics when an event that was answered 200 has no Job, or any event has more than one.
pub(crate) async fn none_is_lost_or_doubled(cluster: &Cluster, sent: &[Sent]) {
    let mut jobs: BTreeMap<String, usize> = BTreeMap::new();
    for job in cluster.jobs().await {
        let id = variable(&job, "SLIPWAY_EVENT_ID").unwrap();
        *jobs.entry(id).or_default() += 1;
    }
    let lost: Vec<&Sent> = sent
        .iter()
        .filter(|it| it.status == Some(200) && !jobs.contains_key(&it.id))
        .collect();
    assert!(lost.is_empty(), "answered, and no Job: {lost:?}");
    let doubled: Vec<_> = jobs.iter().filter(|(_, count)| **count > 1).collect();
    assert!(doubled.is_empty(), "{doubled:?}");
}
