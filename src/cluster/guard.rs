//! Asks once more before a call goes out.
//!
//! Between the decision to call and the first byte lie waits: for a place, for a connection. A process may be
//! stopped in any of them, and another may have taken over when it goes on. So a guard is asked after each wait, the
//! last time when the connection asks for the body. A request without its body is never carried out.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use http::{Request, Response};
use hyper::body::{Body as HttpBody, Bytes, Frame, SizeHint};
use kube::client::Body;

use super::NoAnswer;

/// Whether a call may still go out. Asked in the middle of a write, so it must not block.
#[derive(Clone)]
pub struct Guard(Arc<dyn Fn() -> bool + Send + Sync>);

impl Guard {
    /// A guard that asks this.
    pub fn new(may: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(may))
    }

    /// A guard that always says yes.
    pub fn always() -> Self {
        Self::new(|| true)
    }

    /// Both must say yes.
    #[must_use]
    pub fn and(&self, may: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        let first = self.clone();
        Self::new(move || first.may_send() && may())
    }

    /// Asks.
    pub fn may_send(&self) -> bool {
        (self.0)()
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Guard")
    }
}

/// Puts guards into bodies.
///
/// kube makes its [`Body`] of any other in one public place only: the answer of a service. So the body goes through one.
#[derive(Clone)]
pub(super) struct Guarding(kube::Client);

/// A guard that was put into a body.
#[derive(Clone)]
pub(super) struct Asked {
    guard: Guard,
    no: Arc<AtomicBool>,
}

impl Asked {
    /// Whether the body was asked for and refused.
    pub(super) fn said_no(&self) -> bool {
        self.no.load(Ordering::Relaxed)
    }
}

impl Guarding {
    pub(super) fn new() -> Self {
        let service = tower::service_fn(async |mut request: Request<Body>| {
            let asked = request.extensions_mut().remove::<Asked>();
            let inner = request.into_body();
            Ok::<_, Infallible>(Response::new(Guarded { inner, asked }))
        });
        Self(kube::Client::new(service, ""))
    }

    /// Asks the guard, and has the body ask it again.
    ///
    /// # Errors
    ///
    /// [`NoAnswer`] when it says no.
    pub(super) async fn put(
        &self,
        guard: Guard,
        request: &mut Request<Body>,
    ) -> Result<Asked, NoAnswer> {
        if !guard.may_send() {
            return Err(said_no());
        }
        let asked = Asked {
            guard,
            no: Arc::default(),
        };
        let mut carrier = Request::new(std::mem::replace(request.body_mut(), Body::empty()));
        carrier.extensions_mut().insert(asked.clone());
        let wrapped = self.0.send(carrier).await;
        *request.body_mut() = wrapped
            .map_err(|error| NoAnswer::unsent(format!("not sent: {error}")))?
            .into_body();
        Ok(asked)
    }
}

/// What a caller is told whose guard said no.
pub(super) fn said_no() -> NoAnswer {
    NoAnswer::unsent("not sent: it was no longer wanted when its turn came")
}

struct Guarded {
    inner: Body,
    /// Until it was asked.
    asked: Option<Asked>,
}

#[derive(Debug, thiserror::Error)]
#[error("no longer wanted")]
struct NoLongerWanted;

impl HttpBody for Guarded {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Some(asked) = self.asked.take()
            && !asked.guard.may_send()
        {
            asked.no.store(true, Ordering::Relaxed);
            return Poll::Ready(Some(Err(Box::new(NoLongerWanted))));
        }
        Pin::new(&mut self.inner)
            .poll_frame(context)
            .map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests;
