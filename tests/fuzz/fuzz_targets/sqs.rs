//! What a queue service answers: a number that stands in the answer, or an error; never 0 for what says nothing.
//!
//! Input: a byte that chooses the status, and the body.
#![no_main]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use slipway::resource::SourceSpec;
use slipway::resource::aws::AwsIdentity;
use slipway::resource::sqs::Queue;
use slipway::source::Source;
use slipway::source::pool::{Pool, Settings};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// The client as it is, and a service that says what the input says.
struct Bench {
    runtime: Runtime,
    pool: Pool,
    queue: Queue,
    /// Keeps the client.
    _source: Arc<dyn Source>,
    answer: Arc<Mutex<Vec<u8>>>,
}

static BENCH: LazyLock<Bench> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let answer = Arc::new(Mutex::new(Vec::new()));
    let listener = runtime
        .block_on(TcpListener::bind("127.0.0.1:0"))
        .expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("bound"));
    runtime.spawn(serve(listener, answer.clone()));
    let pool = Pool::new(Settings {
        allow_address: vec!["127.0.0.1".to_owned()],
        allow_loopback: true,
        ..Settings::default()
    });
    let keys = AwsIdentity::Keys {
        access_key_id: "fuzz".to_owned().into(),
        secret_access_key: "fuzz".to_owned().into(),
        session_token: None,
    };
    let queue = Queue {
        queue_url: format!("{endpoint}/1/orders"),
        region: "eu-west-1".to_owned(),
        endpoint: Some(endpoint),
        in_flight: true,
        delayed: true,
        identity: keys,
    };
    let source = pool
        .connect(&SourceSpec::Sqs(queue.clone()))
        .expect("a source");
    Bench {
        runtime,
        pool,
        queue,
        _source: source,
        answer,
    }
});

/// One connection after the other; each request gets the answer of the moment.
async fn serve(listener: TcpListener, answer: Arc<Mutex<Vec<u8>>>) {
    loop {
        let Ok((mut stream, _)) = listener.accept().await else {
            continue;
        };
        let answer = answer.clone();
        tokio::spawn(async move {
            let mut request = Vec::new();
            loop {
                let mut part = [0; 4096];
                let Ok(length @ 1..) = stream.read(&mut part).await else {
                    return;
                };
                request.extend(&part[..length]);
                if !is_whole(&request) {
                    continue;
                }
                request.clear();
                let said = answer.lock().expect("no panic under the lock").clone();
                if stream.write_all(&said).await.is_err() {
                    return;
                }
            }
        });
    }
}

/// A head and a body of its length.
fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head.lines().find_map(|line| {
        line.strip_prefix("content-length: ")?
            .trim()
            .parse::<usize>()
            .ok()
    });
    body.len() >= length.unwrap_or(0)
}

fuzz_target!(|input: &[u8]| {
    let Some((choice, body)) = input.split_first() else {
        return;
    };
    let status = [
        "200 OK",
        "200 OK",
        "400 Bad Request",
        "403 Forbidden",
        "500 Internal Server Error",
    ];
    let status = status[usize::from(*choice) % status.len()];
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    *BENCH.answer.lock().expect("no panic under the lock") = [head.as_bytes(), body].concat();
    // A queue of its own: a trouble serves all who ask for the same one at that moment.
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    let mut queue = BENCH.queue.clone();
    queue.queue_url = format!(
        "{}-{}",
        queue.queue_url,
        ASKED.fetch_add(1, Ordering::Relaxed)
    );
    let source = BENCH
        .pool
        .connect(&SourceSpec::Sqs(queue))
        .expect("a source");
    match BENCH.runtime.block_on(source.read(Duration::ZERO)) {
        Ok(taken) => {
            assert_eq!(status, "200 OK");
            assert!(taken.reading.waiting() >= 0.0);
            // Names may be written with escapes; numbers are digits.
            assert!(body.iter().any(u8::is_ascii_digit), "no number is no 0");
        }
        Err(error) => {
            let _ = error.to_string();
        }
    }
});
