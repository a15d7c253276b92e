//! One connection, from its first byte to its end.
//!
//! Until the peer says something it costs a socket and a timer; only then does it
//! get hyper's buffers. At the end what the peer still sends is thrown away for a
//! moment: a socket that is closed over unread bytes takes the answer with it.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{sleep_until, timeout, timeout_at};
use tracing::debug;

use super::progress::{ConnectionStage, Progress};
use super::socket::Socket;
use super::wire::Wire;
use super::{HeadFault, Port, Respond};

/// The largest head: request line and headers. Unit: bytes.
pub(in crate::serve) const LARGEST_HEAD: usize = 16 * 1024;
/// Headers of one request.
pub(in crate::serve) const MOST_HEADERS: usize = 64;
/// How long the last words may take to be written.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// Thrown away at a time. Unit: bytes.
const SCRAP: usize = 16 * 1024;

/// How a connection ended.
enum ConnectionEnd {
    /// As HTTP has it, or with an error that the peer made.
    Http(Result<(), hyper::Error>),
    /// It took too long over something.
    Late(ConnectionStage),
    /// Its room was needed.
    TurnedOut,
}

/// Serves a connection to its end. The room for it is given back after its socket is closed.
pub(super) async fn serve<R: Respond>(
    _room: OwnedSemaphorePermit,
    stream: TcpStream,
    port: Arc<Port<R>>,
) {
    let progress = Arc::new(Progress::new(port.limits, &port.waiting));
    let (_, deadline) = progress.now();
    let mut first = [0];
    let has_spoken = tokio::select! {
        peeked = timeout_at(deadline, stream.peek(&mut first)) => matches!(peeked, Ok(Ok(1..))),
        () = progress.turned_out() => false,
        // Who has sent something is told that we stop.
        () = port.stop.cancelled() => has_spoken(&stream),
    };
    if !has_spoken {
        return;
    }
    // A future of its own: a silent connection does not pay for it.
    Box::pin(converse(stream, port, progress)).await;
}

fn has_spoken(stream: &TcpStream) -> bool {
    matches!(stream.peek(&mut [0]).now_or_never(), Some(Ok(1..)))
}

async fn converse<R: Respond>(stream: TcpStream, port: Arc<Port<R>>, progress: Arc<Progress>) {
    // An answer is one small write: nothing to wait for.
    if let Err(error) = stream.set_nodelay(true) {
        debug!("a connection cannot be made to send at once: {error}");
    }
    let Some(socket) = open(stream, &port, &progress).await else {
        return;
    };
    let (ended, wire) = exchange(socket, &port, &progress).await;
    let Wire {
        mut stream,
        kept_back,
        ..
    } = wire;
    let fault = match &ended {
        ConnectionEnd::TurnedOut => return,
        ConnectionEnd::Late(ConnectionStage::Head) => Some(HeadFault::TooSlow),
        ConnectionEnd::Late(_) | ConnectionEnd::Http(Ok(())) => None,
        ConnectionEnd::Http(Err(error)) => fault(kept_back, error),
    };
    progress.lingers();
    if let Some(fault) = fault {
        let text = last_words(port.respond.no_request(fault)).await;
        if !matches!(
            timeout(LAST_WORDS, stream.write_all(&text)).await,
            Ok(Ok(()))
        ) {
            return;
        }
    }
    tokio::select! {
        () = linger(&mut stream, port.limits.linger) => {}
        () = progress.turned_out() => {}
    }
}

/// The socket, after TLS's handshake where there is TLS: it has the time of a head.
async fn open<R: Respond>(
    stream: TcpStream,
    port: &Port<R>,
    progress: &Progress,
) -> Option<Socket> {
    let Some(tls) = &port.tls else {
        return Some(Socket::Plain(stream));
    };
    let (_, deadline) = progress.now();
    let accepted = tokio::select! {
        accepted = timeout_at(deadline, tls.accept(stream)) => accepted,
        () = progress.turned_out() => return None,
    };
    match accepted {
        Ok(Ok(stream)) => Some(Socket::Tls(Box::new(stream))),
        Ok(Err(error)) => {
            debug!(
                error = &error as &dyn std::error::Error,
                "a TLS handshake failed"
            );
            None
        }
        Err(_) => {
            debug!("a TLS handshake took too long");
            None
        }
    }
}

/// What is wrong with what hyper could not read, if something is.
fn fault(kept_back: Option<u16>, error: &hyper::Error) -> Option<HeadFault> {
    match kept_back {
        Some(414 | 431) => Some(HeadFault::TooLarge),
        Some(_) => Some(HeadFault::Malformed),
        None => error.is_parse().then_some(HeadFault::Malformed),
    }
}

/// The bytes of an answer to what was no request.
async fn last_words(answer: Response<Full<Bytes>>) -> Vec<u8> {
    let (head, body) = answer.into_parts();
    let Ok(body) = body
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes);
    let reason = head.status.canonical_reason().unwrap_or_default();
    let mut text = format!("HTTP/1.1 {} {reason}\r\n", head.status.as_str()).into_bytes();
    for (name, value) in &head.headers {
        text.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    let end = format!(
        "connection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    text.extend(end.as_bytes());
    text.extend(&body);
    text
}

async fn exchange<R: Respond>(
    stream: Socket,
    port: &Arc<Port<R>>,
    progress: &Arc<Progress>,
) -> (ConnectionEnd, Wire) {
    let service = service_fn(
        |request: Request<Incoming>| -> BoxFuture<'static, Result<Response<R::Body>, Infallible>> {
            let (port, progress) = (Arc::clone(port), Arc::clone(progress));
            Box::pin(async move {
                let response = port.respond.respond(request, &progress).await;
                progress.answered(response.status().is_success());
                Ok(response)
            })
        },
    );
    let io = TokioIo::new(Wire::new(stream, Arc::clone(progress)));
    let mut connection = http1::Builder::new()
        // Time is kept by `progress`: hyper's own limit on a head runs between requests too.
        .header_read_timeout(None)
        .max_headers(MOST_HEADERS)
        .max_header_size(LARGEST_HEAD)
        .max_buf_size(LARGEST_HEAD)
        // A sender that shuts its side down still gets its answer; and what was begun is not dropped halfway.
        .half_close(true)
        .serve_connection(io, service);
    let mut stopped = pin!(port.stop.cancelled());
    let mut is_stopping = false;
    let mut turned_out = pin!(progress.turned_out());
    let mut patience = pin!(sleep_until(progress.now().1));
    let ended = poll_fn(|context| {
        if !is_stopping && stopped.as_mut().poll(context).is_ready() {
            is_stopping = true;
            Pin::new(&mut connection).graceful_shutdown();
        }
        if let Poll::Ready(result) = connection.poll_without_shutdown(context) {
            return Poll::Ready(ConnectionEnd::Http(result));
        }
        let (stage, deadline) = progress.now();
        while turned_out.as_mut().poll(context).is_ready() {
            if stage.is_the_peers() {
                return Poll::Ready(ConnectionEnd::TurnedOut);
            }
            // Whose request came in the meantime stays.
            turned_out.set(progress.turned_out());
        }
        if patience.deadline() != deadline {
            patience.as_mut().reset(deadline);
        }
        ready!(patience.as_mut().poll(context));
        Poll::Ready(ConnectionEnd::Late(stage))
    })
    .await;
    (ended, connection.into_parts().io.into_inner())
}

/// Ends our side and throws away what the peer still sends, until it ends its own or the time is up.
async fn linger(stream: &mut Socket, linger: Duration) {
    let end = async {
        stream.shutdown().await?;
        let stream = stream.tcp();
        loop {
            stream.readable().await?;
            // Not held while waiting: a connection costs no buffer here.
            let mut scrap = vec![0; SCRAP];
            match stream.try_read(&mut scrap) {
                Ok(0) => return Ok(()),
                Ok(_) => tokio::task::yield_now().await,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    };
    // However it ends, it ends.
    drop::<Result<io::Result<()>, _>>(timeout(linger, end).await);
}
