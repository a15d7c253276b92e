//! What 10,000 distinct sources cost the built binary against 1,000: time until each has been read, and memory. Each
//! ScaledJob has a queue of its own. `tests/env/with cargo bench --bench sources`.
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

use std::time::{Duration, Instant};

use futures::StreamExt as _;
use process::Slipway;
use slipway::cluster::Cluster;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

#[path = "support/process.rs"]
#[expect(dead_code, reason = "other benches use the rest")]
mod process;

const FEW: usize = 1_000;
const MANY: usize = 10_000;
/// Nothing is read a second time while it is measured.
const POLLING_SECONDS: u64 = 600;
const CREATES_IN_FLIGHT: usize = 8;
/// Every first turn has come and gone after this, or something is wrong.
const LONGEST: Duration = Duration::from_mins(10);

/// What so many sources cost.
struct Cost {
    seconds: f64,
    megabytes: f64,
}

#[tokio::main]
async fn main() {
    let cluster = process::cluster().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let endpoint = format!("http://{}", listener.local_addr().expect("bound"));
    let mut serving = JoinSet::new();
    serving.spawn(serve(listener));
    // What the program holds before it has anything to do.
    let idle = measure(&cluster, &endpoint, 0).await;
    println!("no source     {:>8.1} MB", idle.megabytes);
    let mut costs = Vec::new();
    for sources in [FEW, MANY] {
        let cost = measure(&cluster, &endpoint, sources).await;
        let own = cost.megabytes - idle.megabytes;
        println!(
            "{sources:>6} sources {:>8.1} MB, {own:.1} of it theirs; each was read after {:.1} s",
            cost.megabytes, cost.seconds
        );
        costs.push((own, cost.seconds));
    }
    let (few, many) = (&costs[0], &costs[1]);
    println!(
        "ratio         {:>8.1} in memory, {:.1} in time, for ten times as many",
        many.0 / few.0,
        many.1 / few.1
    );
}

async fn measure(cluster: &Cluster, endpoint: &str, sources: usize) -> Cost {
    let namespace = process::namespace(cluster, &format!("sources-{sources}")).await;
    let path = format!("/apis/slipway.dev/v1alpha1/namespaces/{namespace}/scaledjobs");
    let creates = (0..sources).map(|number| {
        let (name, queue) = (
            format!("scaled-{number}"),
            format!("{endpoint}/1/q-{number}"),
        );
        let object = process::scaled_job(&name, &queue, endpoint, POLLING_SECONDS);
        process::create(cluster, &path, object)
    });
    futures::stream::iter(creates)
        .buffer_unordered(CREATES_IN_FLIGHT)
        .for_each(async |()| ())
        .await;
    let start = Instant::now();
    let slipway = Slipway::start(&namespace);
    slipway.await_ready(LONGEST);
    #[expect(clippy::cast_precision_loss, reason = "a count of thousands")]
    while slipway.calls() < sources as f64 {
        assert!(start.elapsed() < LONGEST, "{} were read", slipway.calls());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let seconds = start.elapsed().as_secs_f64();
    // Statuses are written, and what was read is let go.
    tokio::time::sleep(Duration::from_secs(30)).await;
    let megabytes = slipway.usage().resident_megabytes();
    drop(slipway);
    process::remove(cluster, &namespace).await;
    Cost { seconds, megabytes }
}

/// A queue service: no queue has a message.
async fn serve(listener: TcpListener) {
    let mut wires = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        wires.spawn(answer(stream));
        while wires.try_join_next().is_some() {}
    }
}

async fn answer(mut stream: TcpStream) {
    let body = r#"{"Attributes":{"ApproximateNumberOfMessages":"0","ApproximateNumberOfMessagesNotVisible":"0","ApproximateNumberOfMessagesDelayed":"0"}}"#;
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let answer = [head.as_str(), body].concat();
    let mut request = String::new();
    let mut part = [0; 4096];
    while let Ok(length @ 1..) = stream.read(&mut part).await {
        request.push_str(&String::from_utf8_lossy(&part[..length]));
        // The last word of a request is its body, a JSON object.
        if request.ends_with('}') {
            request.clear();
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    }
}
