//! Answers of the page: HTML, JSON, files of the program; what they tell a browser to keep away.

use http::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION,
    REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use serde_json::{Value, json};

use super::AdminBody;

/// Nothing but what comes from this very origin, and no script or style within a page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// What every answer says to a browser.
pub(super) fn protect(response: &mut Response<AdminBody>) {
    let headers = response.headers_mut();
    let rules = [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ];
    for (name, value) in rules {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // Who reads it may not be who reads next.
    headers
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
}

fn response(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Response<AdminBody> {
    let mut response = Response::new(Full::new(body.into()).boxed_unsync());
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// A page.
pub(super) fn html(status: StatusCode, document: String) -> Response<AdminBody> {
    response(status, "text/html; charset=utf-8", document)
}

/// A part of the program.
pub(super) fn text_file(kind: &'static str, text: &'static str) -> Response<AdminBody> {
    response(StatusCode::OK, kind, text)
}

/// JSON.
pub(super) fn json_answer(value: &Value) -> Response<AdminBody> {
    response(StatusCode::OK, "application/json", value.to_string())
}

/// Why something is not answered, as the door for events says it.
pub(super) fn error(status: StatusCode, reason: &str, message: &str) -> Response<AdminBody> {
    let value = json!({"statusCode": status.as_u16(), "reason": reason, "message": message});
    response(status, "application/json", value.to_string())
}

/// Look there.
pub(super) fn redirect(path: &str) -> Response<AdminBody> {
    let Ok(location) = HeaderValue::from_str(path) else {
        return error(
            StatusCode::NOT_FOUND,
            "NotFound",
            "there is no such address",
        );
    };
    let mut response = response(StatusCode::SEE_OTHER, "text/plain; charset=utf-8", "");
    response.headers_mut().insert(LOCATION, location);
    response
}

/// Another method was asked for than those that there are.
pub(super) fn only(methods: &'static str, message: &str) -> Response<AdminBody> {
    let mut response = error(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message);
    response
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static(methods));
    close(&mut response);
    response
}

/// The connection ends with it: a body is left unread.
pub(super) fn close(response: &mut Response<AdminBody>) {
    response
        .headers_mut()
        .insert(CONNECTION, HeaderValue::from_static("close"));
}

/// The same.
pub(super) fn close_after(mut response: Response<AdminBody>) -> Response<AdminBody> {
    close(&mut response);
    response
}
