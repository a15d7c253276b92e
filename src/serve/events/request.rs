//! From a request to an answer on the wire: which path is meant, and what every answer carries.

use std::panic::AssertUnwindSafe;

use futures::FutureExt as _;
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use tracing::error;

use super::body::RequestBody;
use super::room::RoomOwner;
use super::{Door, DoorState};
use crate::intake::webhook;
use crate::intake::webhook::answer::{DoorAnswer, Reason};
use crate::serve::health;
use crate::serve::http1::{HeadFault, LARGEST_HEAD, MOST_HEADERS, Progress};

/// The longest name of a namespace, RFC 1123 label. Unit: bytes.
const LONGEST_NAMESPACE: usize = 63;
/// The longest name of an object, RFC 1123 subdomain. Unit: bytes.
const LONGEST_NAME: usize = 253;

/// Who asks in CloudEvents' handshake.
const REQUEST_ORIGIN: &str = "webhook-request-origin";

/// Which EventJobs a path means.
#[derive(Debug, PartialEq, Eq)]
struct Target {
    namespace: String,
    /// One of them; otherwise all that are shared.
    name: Option<String>,
}

/// Answers a request.
pub(super) async fn answer<D: Door>(
    shared: &DoorState<D>,
    progress: &Progress,
    request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    let deadline = progress.requested();
    let (head, incoming) = request.into_parts();
    let probed = health::probed(&head, &shared.ready);
    let target = admit(shared, &head);
    let granted = probed.or_else(|| granted(shared, &head));
    let owner = match &target {
        Ok(target) => RoomOwner::new(&target.namespace, target.name.as_deref()),
        Err(_) => RoomOwner::new("", None),
    };
    let (limits, room) = (&shared.limits, &shared.room);
    let mut body = RequestBody::new(incoming, limits, room, progress, deadline, owner);
    let mut response = match granted {
        Some(response) => response,
        None => respond(&ask(shared, target, &head, &mut body).await),
    };
    // What is left of a body cannot be told from a next request for as long as it keeps coming. And who hears that this
    // process will end connects to another one.
    if !body.is_read() || shared.stops.is_ending() {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
    response
}

/// The answer of who is behind the door, or why nobody is asked.
async fn ask<D: Door>(
    shared: &DoorState<D>,
    target: Result<Target, DoorAnswer>,
    head: &http::request::Parts,
    body: &mut RequestBody<'_>,
) -> DoorAnswer {
    match target {
        Ok(target) => {
            let request = webhook::Request {
                namespace: &target.namespace,
                name: target.name.as_deref(),
                headers: &head.headers,
            };
            let answer = AssertUnwindSafe(shared.door.answer(request, body));
            answer.catch_unwind().await.unwrap_or_else(|_| {
                // What it panicked with stands in the log. Nothing of the request does.
                error!("a bug ended a request to /events/{}", target.namespace);
                shared.door.turned_away(503);
                DoorAnswer::error(Reason::Unavailable, "an internal error")
            })
        }
        Err(answer) => {
            shared.door.turned_away(answer.status());
            answer
        }
    }
}

/// The answer to CloudEvents' handshake, for a sender that an EventJob lists. All others hear the same, whatever the path is.
///
/// Source: HTTP 1.1 Web Hooks for Event Delivery 1.0.2, §4. Senders cannot authenticate it.
fn granted<D: Door>(
    shared: &DoorState<D>,
    head: &http::request::Parts,
) -> Option<Response<Full<Bytes>>> {
    if head.method != Method::OPTIONS || shared.stops.closing.is_cancelled() {
        return None;
    }
    let mut origins = head.headers.get_all(REQUEST_ORIGIN).iter();
    let origin = origins.next().filter(|_| origins.next().is_none())?;
    let Target { namespace, name } = target(head.uri.path())?;
    if !shared
        .door
        .allows_origin(&namespace, &name?, origin.to_str().ok()?)
    {
        return None;
    }
    shared.door.turned_away(200);
    let mut response = respond(&DoorAnswer::noted("Handshake"));
    let headers = response.headers_mut();
    headers.insert("webhook-allowed-origin", origin.clone());
    if head.headers.contains_key("webhook-request-rate") {
        headers.insert("webhook-allowed-rate", HeaderValue::from_static("*"));
    }
    headers.insert(ALLOW, HeaderValue::from_static("POST"));
    Some(response)
}

fn admit<D>(shared: &DoorState<D>, head: &http::request::Parts) -> Result<Target, DoorAnswer> {
    if shared.stops.closing.is_cancelled() {
        return Err(DoorAnswer::error(
            Reason::ShuttingDown,
            "this process ends; another one takes its place",
        ));
    }
    let target = target(head.uri.path()).ok_or_else(|| {
        DoorAnswer::error(
            Reason::NotFound,
            "there is nothing at this path: POST /events/{namespace}/{name}, or /events/{namespace} for shared EventJobs",
        )
    })?;
    if head.method != Method::POST {
        return Err(DoorAnswer::error(
            Reason::MethodNotAllowed,
            "events are sent with POST",
        ));
    }
    Ok(target)
}

/// The answer as a response.
pub(super) fn respond(answer: &DoorAnswer) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(answer.body()));
    *response.status_mut() =
        StatusCode::from_u16(answer.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(seconds) = answer.retry_after_seconds() {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    match answer.status() {
        // RFC 9110 §15.5.2 wants it. The same for every EventJob and every cause.
        401 => {
            let ways =
                HeaderValue::from_static("Bearer realm=\"slipway\", Basic realm=\"slipway\"");
            headers.insert(WWW_AUTHENTICATE, ways);
        }
        405 => {
            headers.insert(ALLOW, HeaderValue::from_static("POST"));
        }
        _ => {}
    }
    response
}

/// What is said to a peer that sent no request. A head that stalls may be a packet that was lost: no 4xx.
pub(super) fn no_request(fault: HeadFault) -> DoorAnswer {
    match fault {
        HeadFault::TooSlow => {
            DoorAnswer::error(Reason::TooSlow, "the request's head did not come in time")
        }
        HeadFault::TooLarge => DoorAnswer::error(
            Reason::HeadTooLarge,
            format!(
                "more than {MOST_HEADERS} headers, or more than {LARGEST_HEAD} bytes before the body"
            ),
        ),
        HeadFault::Malformed => DoorAnswer::error(
            Reason::BadRequest,
            "this is no HTTP/1.1 request: its request line, its headers or its framing are not valid",
        ),
    }
}

/// What a path means; `None` when nothing in Kubernetes can have these names, so that nobody need be asked.
fn target(path: &str) -> Option<Target> {
    let mut segments = path.strip_prefix("/events/")?.split('/');
    let namespace = name(segments.next()?, LONGEST_NAMESPACE)?;
    let name = match segments.next() {
        Some(segment) => Some(name(segment, LONGEST_NAME)?),
        None => None,
    };
    segments
        .next()
        .is_none()
        .then_some(Target { namespace, name })
}

/// A segment as a name, RFC 1123; percent-encoding says the same (RFC 3986 §6.2.2.2), and hides no slash.
fn name(segment: &str, longest: usize) -> Option<String> {
    let mut name = String::new();
    let mut bytes = segment.bytes();
    while let Some(byte) = bytes.next() {
        let letter = match byte {
            b'%' => {
                let high = char::from(bytes.next()?).to_digit(16)?;
                let low = char::from(bytes.next()?).to_digit(16)?;
                char::from_u32(16 * high + low)?
            }
            byte => char::from(byte),
        };
        if !matches!(letter, 'a'..='z' | '0'..='9' | '-' | '.') || name.len() == longest {
            return None;
        }
        name.push(letter);
    }
    let ends_well =
        |letter: Option<char>| letter.is_some_and(|letter| letter.is_ascii_alphanumeric());
    (ends_well(name.chars().next()) && ends_well(name.chars().next_back())).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_means_an_event_job_or_the_shared_ones() {
        let long = "a".repeat(253);
        let rows = [
            (
                "/events/production/invoice",
                Some(("production", Some("invoice"))),
            ),
            ("/events/production", Some(("production", None))),
            (
                "/events/production/a.b-1",
                Some(("production", Some("a.b-1"))),
            ),
            (
                "/events/%70roduction/invoice%2Dx",
                Some(("production", Some("invoice-x"))),
            ),
            (
                &format!("/events/n/{long}"),
                Some(("n", Some(long.as_str()))),
            ),
            (&format!("/events/n/{long}a"), None),
            (&format!("/events/{}/x", "n".repeat(64)), None),
            ("/", None),
            ("", None),
            ("*", None),
            ("/events", None),
            ("/events/", None),
            ("/events/production/", None),
            ("/events//invoice", None),
            ("/events/../invoice", None),
            ("/events/production/-x", None),
            ("/events/production/invoice/more", None),
            ("/events/production%2Finvoice", None),
            ("/events/production/%2e%2e%2fx", None),
            ("/events/production/Invoice", None),
            ("/events/production/invoice%00", None),
            ("/events/production/invoice%", None),
            ("/events/production/invoice%4", None),
            ("/events/production/inv%C3%B6ice", None),
            ("/Events/production/invoice", None),
            ("/api/v1/namespaces", None),
        ];
        for (path, meant) in rows {
            let meant = meant.map(|(namespace, name): (&str, Option<&str>)| Target {
                namespace: namespace.to_owned(),
                name: name.map(str::to_owned),
            });
            assert_eq!(target(path), meant, "{path}");
        }
    }
}
