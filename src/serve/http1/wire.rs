//! A socket that reports its progress, and keeps back what hyper says by itself.
//!
//! hyper answers a request that it cannot read with a bare status; every answer of
//! ours has a JSON body. So a bare one is taken out here, and the connection's
//! driver writes one with a body instead.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::progress::Progress;
use super::socket::Socket;

/// The socket of one connection.
#[derive(Debug)]
pub(super) struct Wire {
    /// The socket.
    pub(super) stream: Socket,
    /// The status of a bare answer that was kept back.
    pub(super) kept_back: Option<u16>,
    progress: Arc<Progress>,
}

impl Wire {
    /// A socket that reports to `progress`.
    pub(super) fn new(stream: Socket, progress: Arc<Progress>) -> Self {
        Self {
            stream,
            kept_back: None,
            progress,
        }
    }
}

/// The status of an answer that nobody but hyper writes: a 4xx head without a body, in one piece. Ours
/// have bodies, and a body of ours is JSON, in which no line breaks.
fn bare_status(bytes: &[u8]) -> Option<u16> {
    let head = std::str::from_utf8(bytes).ok()?;
    let status = head.strip_prefix("HTTP/1.1 4")?.get(..2)?;
    let is_bare = head.ends_with("\r\n\r\n") && head.contains("content-length: 0\r\n");
    is_bare.then(|| format!("4{status}").parse().ok())?
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        if buffer.filled().len() > before {
            self.progress.heard();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if let Some(status) = bare_status(bytes) {
            self.kept_back = Some(status);
            return Poll::Ready(Ok(bytes.len()));
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(context))?;
        // hyper flushes when it has nothing more to write.
        self.progress.written();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bare_answer_is_kept_back() {
        let rows = [
            (
                "HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\ndate: x\r\n\r\n",
                Some(431),
            ),
            (
                "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n",
                Some(400),
            ),
            (
                "HTTP/1.1 400 Bad Request\r\ncontent-length: 2\r\n\r\n{}",
                None,
            ),
            ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", None),
            ("HTTP/1.1 100 Continue\r\n\r\n", None),
            (
                r#"{"message":"HTTP/1.1 400 \r\ncontent-length: 0\r\n\r\n"}"#,
                None,
            ),
            ("HTTP/1.1 4", None),
        ];
        for (text, status) in rows {
            assert_eq!(bare_status(text.as_bytes()), status, "{text}");
        }
    }
}
