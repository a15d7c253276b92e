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

/// An answer as text.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    pub(crate) status: u16,
    /// The head of the answer, as it came.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Page {
    /// A header of the answer, by its name in lower case; empty when there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let mut values = lines.filter(|(named, _)| named.eq_ignore_ascii_case(name));
        values.next().map_or("", |(_, value)| value)
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

/// Sends a request with these headers, `Host` too if it is among them; `None` when there was no answer in time.
pub(crate) async fn request(
    address: &str,
    line: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Option<Page> {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.ok()?;
        let length = body.len().to_string();
        let mut all = vec![("connection", "close")];
        if !headers.iter().any(|(name, _)| *name == "host") {
            all.push(("host", address));
        }
        if !body.is_empty() {
            all.push(("content-length", &length));
        }
        all.extend(headers);
        let mut request = format!("{line} HTTP/1.1\r\n");
        for (name, value) in all {
            request.extend([name, ": ", value, "\r\n"]);
        }
        request.push_str("\r\n");
        request.push_str(body);
        stream.write_all(request.as_bytes()).await.ok()?;
        let answer = whole(&mut stream).await?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        Some(Page {
            status: head.split(' ').nth(1)?.parse().ok()?,
            head: head.to_owned(),
            body: body.to_owned(),
        })
    };
    tokio::time::timeout(4 * PATIENCE, exchange).await.ok()?
}

/// An answer, to the end that its length says; without one, to the end of the connection. Some servers keep it open
/// whatever they are asked.
async fn whole(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, _)) = text.split_once("\r\n\r\n") {
            let fields = head.lines().filter_map(|line| line.split_once(':'));
            let mut lengths =
                fields.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
            let length = lengths
                .next()
                .and_then(|(_, length)| length.trim().parse::<usize>().ok());
            if length.is_some_and(|length| bytes.len() >= head.len() + 4 + length) {
                return String::from_utf8(bytes).ok();
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return String::from_utf8(bytes).ok();
        }
    }
}
