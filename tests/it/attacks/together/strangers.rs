//! What strangers and a rival tenant do, at the rates at which it was found to do harm.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use slipway::externalscaler::ScaledObjectRef;
use slipway::externalscaler::external_scaler_client::ExternalScalerClient;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior, timeout};
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

use crate::attacks::answers;
use crate::attacks::grpc::RawHttp2;
use crate::events::{renewed, send_to};

/// How long a stranger waits for a connection, or to be read.
const PATIENCE: Duration = Duration::from_secs(1);

/// Whom it goes against.
pub(super) struct Targets {
    pub(super) http: String,
    pub(super) grpc: String,
    pub(super) health: String,
    /// With the EventJobs `eb`, `none` and `miss`.
    pub(super) honest: String,
    /// With a shared door.
    pub(super) crowd: String,
    /// Its webhook hangs.
    pub(super) slow: String,
    /// A trigger without its consumer group.
    pub(super) usual: ScaledObjectRef,
    pub(super) silent: Silent,
    /// Brokers whose certificate nobody trusts.
    pub(super) tls: String,
}

impl Targets {
    /// A trigger of this group.
    pub(super) fn trigger(&self, group: &str) -> ScaledObjectRef {
        let mut trigger = self.usual.clone();
        let metadata = &mut trigger.scaler_metadata;
        metadata.insert("consumerGroup".to_owned(), group.to_owned());
        trigger
    }

    fn with(&self, group: &str, key: &str, value: &str) -> ScaledObjectRef {
        let mut trigger = self.trigger(group);
        let metadata = &mut trigger.scaler_metadata;
        metadata.insert(key.to_owned(), value.to_owned());
        trigger
    }
}

/// So often a second, until it is stopped.
pub(super) struct Pace {
    ticks: Interval,
    stop: CancellationToken,
    count: Option<(&'static str, Counts)>,
}

/// How often each kind of stranger did what it does.
pub(super) type Counts = Arc<Mutex<BTreeMap<&'static str, usize>>>;

impl Pace {
    pub(super) fn new(per_second: u32, stop: CancellationToken) -> Self {
        let mut ticks = tokio::time::interval(Duration::from_secs(1) / per_second);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        Self {
            ticks,
            stop,
            count: None,
        }
    }

    fn counted(mut self, name: &'static str, counts: &Counts) -> Self {
        self.count = Some((name, Arc::clone(counts)));
        self
    }

    /// Whether to go on.
    pub(super) async fn next(&mut self) -> bool {
        tokio::select! {
            _ = self.ticks.tick() => {}
            () = self.stop.cancelled() => return false,
        }
        if let Some((name, counts)) = &self.count {
            *counts.lock().unwrap().entry(name).or_default() += 1;
        }
        true
    }
}

/// Accepts, and says nothing.
pub(super) struct Silent {
    pub(super) address: String,
    _tasks: JoinSet<()>,
}

impl Silent {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut held = Vec::new();
            while let Ok((stream, _)) = listener.accept().await {
                held.push(stream);
            }
        });
        Self {
            address,
            _tasks: tasks,
        }
    }
}

/// A queue service whose answers never end.
pub(super) struct Endless {
    pub(super) url: String,
    _tasks: JoinSet<()>,
}

impl Endless {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut tasks = JoinSet::new();
        tasks.spawn(answers::endless(
            listener,
            "HTTP/1.1 200 OK",
            Arc::default(),
        ));
        Self { url, _tasks: tasks }
    }
}

/// Connections that are kept, the oldest let go for a new one.
struct Held {
    most: usize,
    streams: VecDeque<TcpStream>,
}

impl Held {
    fn new(most: usize) -> Self {
        Self {
            most,
            streams: VecDeque::new(),
        }
    }

    fn keep(&mut self, stream: Option<TcpStream>) {
        self.streams.extend(stream);
        if self.streams.len() > self.most {
            self.streams.pop_front();
        }
    }
}

/// Says this over a connection of its own, which stays open.
async fn say(address: &str, bytes: &[u8]) -> Option<TcpStream> {
    let connected = timeout(PATIENCE, TcpStream::connect(address)).await;
    let mut stream = connected.ok()?.ok()?;
    // Who is not read to the end stays all the same.
    drop(timeout(PATIENCE, stream.write_all(bytes)).await);
    Some(stream)
}

/// Says this over one connection, again and again, without listening to the answers.
async fn insist(address: &str, request: &str, mut pace: Pace) {
    let mut drains = JoinSet::new();
    let mut write = None;
    while pace.next().await {
        if write.is_none()
            && let Some(stream) = say(address, b"").await
        {
            let (mut read, half) = stream.into_split();
            drains.spawn(async move {
                let mut scrap = vec![0; 0x10000];
                while matches!(read.read(&mut scrap).await, Ok(1..)) {}
            });
            write = Some(half);
        }
        if let Some(half) = &mut write
            && !matches!(
                timeout(PATIENCE, half.write_all(request.as_bytes())).await,
                Ok(Ok(()))
            )
        {
            write = None;
        }
        while drains.try_join_next().is_some() {}
    }
}

fn guess(path: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nhost: x\r\nx-api-key: guess\r\ncontent-length: 2\r\n\r\n{{}}")
}

/// All of them, each by a task of its own.
pub(super) fn all(at: &Arc<Targets>, stop: &CancellationToken, counts: &Counts) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let pace = |name, per_second| Pace::new(per_second, stop.clone()).counted(name, counts);
    let honest = &at.honest;
    tasks.spawn(half_heads(at.clone(), pace("half heads", 10)));
    for _ in 0..4 {
        tasks.spawn(bodies_that_never_come(at.clone(), pace("no bodies", 280)));
    }
    // Where no Secret is; where nothing is; where four hundred are.
    for (name, path, rate) in [
        ("keyless", format!("/events/{honest}/miss"), 670),
        ("unknown", format!("/events/{honest}/nothing"), 680),
        ("shared", format!("/events/{}", at.crowd), 300),
    ] {
        let (door, request, pace) = (at.http.clone(), guess(&path), pace(name, rate));
        tasks.spawn(async move { insist(&door, &request, pace).await });
    }
    for _ in 0..31 {
        tasks.spawn(half_bodies(at.clone(), 1_050_000));
    }
    for _ in 0..320 {
        tasks.spawn(half_bodies(at.clone(), 7_000));
    }
    for number in 0..200 {
        tasks.spawn(senders_to_the_slow(at.clone(), number));
    }
    tasks.spawn(silent_callers(at.clone(), pace("silent callers", 450)));
    tasks.spawn(open_streams(at.clone(), pace("open streams", 700)));
    tasks.spawn(large_triggers(at.clone(), pace("large triggers", 4)));
    tasks.spawn(many_groups(at.clone(), pace("groups", 5)));
    tasks
}

async fn half_heads(at: Arc<Targets>, mut pace: Pace) {
    let padding = "a".repeat(400_000);
    let half = format!("GET /metrics HTTP/1.1\r\nhost: x\r\nx: {padding}");
    let mut held = Held::new(600);
    while pace.next().await {
        held.keep(say(&at.health, half.as_bytes()).await);
    }
}

async fn bodies_that_never_come(at: Arc<Targets>, mut pace: Pace) {
    let begin = head_of(&at, 100_000);
    let mut held = Held::new(2_000);
    while pace.next().await {
        held.keep(say(&at.http, begin.as_bytes()).await);
    }
}

fn head_of(at: &Targets, length: usize) -> String {
    let path = format!("/events/{}/none", at.honest);
    format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n")
}

/// A body of 2 MB that begins so large, and goes on as slowly as it may.
async fn half_bodies(at: Arc<Targets>, first: usize) {
    let mut begin = head_of(&at, 2_000_000).into_bytes();
    begin.resize(begin.len() + first, b' ');
    let more = vec![b' '; 5_000];
    let mut pace = tokio::time::interval(Duration::from_millis(900));
    loop {
        pace.tick().await;
        let Some(mut stream) = say(&at.http, &begin).await else {
            continue;
        };
        while matches!(timeout(PATIENCE, stream.write_all(&more)).await, Ok(Ok(()))) {
            pace.tick().await;
        }
    }
}

async fn senders_to_the_slow(at: Arc<Targets>, number: usize) {
    for round in 0.. {
        let event = renewed(&format!("slow-{number}-{round}"), "sub");
        let heard = send_to(&at.http, &at.slow, "eb", &event).await;
        // Who is told at once to come later does so.
        if heard.is_none_or(|heard| heard.status != 200) {
            tokio::time::sleep(PATIENCE).await;
        }
    }
}

async fn silent_callers(at: Arc<Targets>, mut pace: Pace) {
    let mut held = Held::new(1_500);
    while pace.next().await {
        held.keep(say(&at.grpc, b"").await);
    }
}

async fn open_streams(at: Arc<Targets>, mut pace: Pace) {
    let mut raw = RawHttp2::open(&at.grpc).await;
    for number in 0_usize.. {
        if !pace.next().await {
            return;
        }
        let header = [12_000, 3_800][number % 2];
        if raw.begin(header, &[]).await.is_err()
            && let Ok(Ok(_)) = timeout(PATIENCE, TcpStream::connect(&at.grpc)).await
        {
            raw = RawHttp2::open(&at.grpc).await;
        }
    }
}

async fn connect(at: &Targets) -> Option<ExternalScalerClient<Channel>> {
    let endpoint = format!("http://{}", at.grpc);
    timeout(PATIENCE, ExternalScalerClient::connect(endpoint))
        .await
        .ok()?
        .ok()
}

/// 6,900 keys; and as much as a trigger may have.
async fn large_triggers(at: Arc<Targets>, mut pace: Pace) {
    let mut many = at.trigger("many");
    let keys = (0..6_900).map(|key| (format!("{key:x}"), String::new()));
    many.scaler_metadata.extend(keys);
    let mut client = None;
    for number in 0_usize.. {
        if !pace.next().await {
            return;
        }
        if client.is_none() {
            client = connect(&at).await;
        }
        let Some(caller) = &mut client else { continue };
        let large = at.with(&format!("large-{number}"), "comment", &"v".repeat(7_500));
        for trigger in [many.clone(), large] {
            let answer = timeout(PATIENCE, caller.get_metric_spec(trigger)).await;
            if !matches!(answer, Ok(Ok(_))) {
                client = None;
                break;
            }
        }
    }
}

/// Groups of brokers that say nothing, and of brokers whom nobody trusts.
async fn many_groups(at: Arc<Targets>, mut pace: Pace) {
    let mut calls = JoinSet::new();
    let mut client = None;
    for number in 0_usize.. {
        if !pace.next().await {
            return;
        }
        if client.is_none() {
            client = connect(&at).await;
        }
        let group = format!("group-{number}");
        let mut trigger = at.with(&group, "bootstrapServers", &at.silent.address);
        if number % 5 == 0 {
            trigger = at.with(&group, "bootstrapServers", &at.tls);
            let metadata = &mut trigger.scaler_metadata;
            metadata.insert("tls".to_owned(), "enable".to_owned());
        }
        let Some(caller) = client.clone() else {
            continue;
        };
        calls.spawn(async move {
            let mut caller = caller;
            drop(timeout(PATIENCE * 10, caller.is_active(trigger)).await);
        });
        while calls.try_join_next().is_some() {}
    }
}
