//! Credentials in headers: exactly one, of a sane size, or none at all.

use http::HeaderMap;
use http::header::AUTHORIZATION;

/// Longer credentials are refused unread. Unit: bytes. Source: the longest token that is taken.
pub(super) const LONGEST: usize = 8 * 1024;

/// The value of a header that must come once. `None` when it is missing, comes twice, is empty, too long or no text.
pub(super) fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_some() {
        return None;
    }
    let text = std::str::from_utf8(value.as_bytes()).ok()?;
    (!text.is_empty() && text.len() <= LONGEST).then_some(text)
}

/// The credentials of an `Authorization` header of this scheme, which is compared without case (RFC 9110 §11.1).
pub(super) fn authorization<'a>(headers: &'a HeaderMap, scheme: &str) -> Option<&'a str> {
    let (named, credentials) = only(headers, AUTHORIZATION.as_str())?.split_once(' ')?;
    let credentials = credentials.trim_matches(' ');
    (named.eq_ignore_ascii_case(scheme) && !credentials.is_empty()).then_some(credentials)
}
