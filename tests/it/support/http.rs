//! A sender of events: one POST over a connection of its own, as EventBridge sends it.

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// How long a sender waits: EventBridge's 5 s.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the sender heard.
#[derive(Debug, Clone)]
pub(crate) struct Heard {
    pub(crate) status: u16,
    /// The head of the answer, as it came.
    pub(crate) head: String,
    /// The body; null when it is no JSON.
    pub(crate) body: Value,
}

impl Heard {
    pub(crate) fn text(&self, field: &str) -> &str {
        self.body[field].as_str().unwrap_or_default()
    }
}

/// Posts a body; `None` when there was no answer in time.
pub(crate) async fn post(
    address: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Option<Heard> {
    let exchange = exchange(address, path, headers, body);
    tokio::time::timeout(PATIENCE, exchange).await.ok()?
}

async fn exchange(
    address: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Option<Heard> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    let length = body.len();
    let mut request = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nRange: bytes=0-1048575\r\n\
         Content-Length: {length}\r\n"
    );
    let has_type = |(name, _): &(&str, &str)| name.eq_ignore_ascii_case("content-type");
    if !headers.iter().any(has_type) {
        request.push_str("Content-Type: application/json; charset=utf-8\r\n");
    }
    for (name, value) in headers {
        for part in [*name, ": ", *value, "\r\n"] {
            request.push_str(part);
        }
    }
    request.push_str("\r\n");
    request.push_str(body);
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some(Heard {
        status: head.split(' ').nth(1)?.parse().ok()?,
        head: head.to_owned(),
        body: serde_json::from_str(body).unwrap_or_default(),
    })
}
