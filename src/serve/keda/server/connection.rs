//! One connection: from its first byte to its end.

use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::debug;

use super::calls::Calls;
use super::peer::PeerState;
use super::{Peer, ServerState};

/// HTTP/2's preface and an empty SETTINGS frame. Unit: bytes. Source: RFC 9113, sections 3.4 and 6.5.
const FIRST_WORDS: usize = 24 + 9;
/// What the peer may send of all requests, and of one, before we have read it. Unit: bytes.
const CONNECTION_WINDOW: u32 = 1 << 20;
/// What is kept of an answer that the peer does not take. Unit: bytes; the longest has some hundred.
const SEND_BUFFER: usize = 16 << 10;

/// Serves a connection until it ends, is too old, or the program stops.
pub(super) async fn serve(
    _permit: OwnedSemaphorePermit,
    stream: TcpStream,
    shared: Arc<ServerState>,
) {
    let peer = PeerState::new(&shared);
    let _counted = shared.keda.metrics.connection();
    // A call is one small packet each way.
    drop(stream.set_nodelay(true));
    let Some(tls) = &shared.tls else {
        return drive(stream, Peer::default(), &peer, &shared).await;
    };
    let accepted = tokio::select! {
        accepted = timeout(shared.limits.handshake, tls.accept(stream)) => accepted,
        () = peer.turned_out() => return,
    };
    match accepted {
        Ok(Ok(stream)) => {
            let (_, session) = stream.get_ref();
            let certificate = session.peer_certificates().and_then(<[_]>::first);
            let caller = certificate.map_or_else(Peer::default, Peer::of_certificate);
            drive(stream, caller, &peer, &shared).await;
        }
        Ok(Err(error)) => debug!(
            error = &error as &dyn std::error::Error,
            "a TLS handshake failed"
        ),
        Err(_) => debug!("a TLS handshake took too long"),
    }
}

async fn drive<S>(stream: S, caller: Peer, peer: &Arc<PeerState>, shared: &Arc<ServerState>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let limits = shared.limits;
    let heard = Arc::new(AtomicUsize::new(0));
    let stream = CountedReads {
        inner: stream,
        heard: Arc::clone(&heard),
    };
    let stop = shared.stop.child_token();
    let calls = Calls::new(Arc::clone(shared), caller, Arc::clone(peer), stop.clone());
    let stream_window = u32::try_from(limits.message_bytes).unwrap_or(CONNECTION_WINDOW);
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(limits.ping_every)
        .keep_alive_timeout(limits.ping_timeout)
        .max_concurrent_streams(limits.http2_streams)
        .max_header_list_size(limits.header_bytes)
        .initial_stream_window_size(stream_window.clamp(1 << 16, CONNECTION_WINDOW))
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .serve_connection(TokioIo::new(stream), calls);
    let mut connection = pin!(connection);
    let began = Instant::now();
    let mut first_words = Some(began + limits.handshake);
    let mut end: Option<Instant> = None;
    let old = began + jittered(limits.age);
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    debug!(error = &error as &dyn std::error::Error, "a connection of KEDA's ended");
                }
                return;
            }
            () = sleep_until(first_words.unwrap_or(old)), if first_words.is_some() => {
                first_words = None;
                if heard.load(Ordering::Relaxed) < FIRST_WORDS {
                    return;
                }
            }
            () = stop.cancelled(), if end.is_none() => {
                connection.as_mut().graceful_shutdown();
                end = Some(Instant::now() + limits.grace);
            }
            // Streams end with OK, and what comes next finds a new connection.
            () = sleep_until(old), if end.is_none() => stop.cancel(),
            () = sleep_until(end.unwrap_or(old)), if end.is_some() => return,
            () = peer.turned_out() => return,
            () = peer.budget.close.cancelled() => return,
        }
    }
}

/// More or less by a fifth, so that connections that began together do not end together.
fn jittered(age: Duration) -> Duration {
    let random = RandomState::new().hash_one(()) % 1_000;
    let random = u32::try_from(random).unwrap_or_default();
    age * 4 / 5 + age * 2 / 5 * random / 1_000
}

/// Counts what is heard.
struct CountedReads<S> {
    inner: S,
    heard: Arc<AtomicUsize>,
}

impl<S: AsyncRead + Unpin> AsyncRead for CountedReads<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(context, buffer))?;
        self.heard
            .fetch_add(buffer.filled().len() - before, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for CountedReads<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
