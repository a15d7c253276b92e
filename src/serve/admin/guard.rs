//! Who may ask, and who may write.
//!
//! A browser sends requests to loopback for any page that it shows. So a request must name a host of ours (else a page of
//! elsewhere could read by a name that it lets point here), and a write must come from a page of ours, as JSON, with a
//! token that no other page knows.

use std::net::IpAddr;

use http::header::{CONTENT_TYPE, HOST, ORIGIN};
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// The header with the token of a write.
const TOKEN: &str = "x-slipway-token";

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AdminRefusal {
    pub(super) status: StatusCode,
    pub(super) reason: &'static str,
    pub(super) message: String,
}

fn refusal(status: StatusCode, reason: &'static str, message: &str) -> AdminRefusal {
    AdminRefusal {
        status,
        reason,
        message: message.to_owned(),
    }
}

/// The one value of a header; `None` when there is none, or more than one.
fn only(headers: &HeaderMap, name: impl http::header::AsHeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// Whether a request names a host of ours: loopback, or one of `hosts`.
///
/// # Errors
///
/// Why it does not.
pub(super) fn host(head: &Parts, hosts: &[String]) -> Result<(), AdminRefusal> {
    let words =
        "this page answers to localhost, to loopback addresses, and to the names of --admin-host";
    let wrong = || refusal(StatusCode::MISDIRECTED_REQUEST, "WrongHost", words);
    let named = only(&head.headers, HOST).ok_or_else(wrong)?;
    let whole = head.uri.authority().map(http::uri::Authority::as_str);
    let is_one = whole.is_none_or(|whole| whole.eq_ignore_ascii_case(named));
    if is_one && is_ours(named, hosts) {
        Ok(())
    } else {
        Err(wrong())
    }
}

fn is_ours(named: &str, hosts: &[String]) -> bool {
    let Ok(authority) = named.parse::<http::uri::Authority>() else {
        return false;
    };
    // No user before an @.
    if authority.as_str().contains('@') {
        return false;
    }
    let name = authority.host();
    let address = name.trim_start_matches('[').trim_end_matches(']');
    let is_loopback = address
        .parse::<IpAddr>()
        .is_ok_and(|address| address.is_loopback());
    is_loopback
        || name.eq_ignore_ascii_case("localhost")
        || hosts.iter().any(|host| host.eq_ignore_ascii_case(name))
}

/// Whether a write is ours: from a page of this very host, as JSON, with the token. The `Host` has been looked at.
///
/// # Errors
///
/// Why it is not.
pub(super) fn write(head: &Parts, token: &SecretString) -> Result<(), AdminRefusal> {
    let named = only(&head.headers, HOST).unwrap_or_default();
    let origin = only(&head.headers, ORIGIN).unwrap_or_default();
    // Behind a proxy with --admin-host it may be https.
    let from = ["http://", "https://"]
        .into_iter()
        .find_map(|scheme| origin.strip_prefix(scheme));
    if !from.is_some_and(|from| from.eq_ignore_ascii_case(named)) {
        let words = "a write needs the Origin of this page";
        return Err(refusal(StatusCode::FORBIDDEN, "WrongOrigin", words));
    }
    let kind = only(&head.headers, CONTENT_TYPE).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/json") {
        let words = "a write is JSON: Content-Type must be application/json";
        return Err(refusal(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "NotJson",
            words,
        ));
    }
    let shown = only(&head.headers, TOKEN).unwrap_or_default();
    // Digests have one length, and say nothing of what they are of.
    let digest = |text: &str| Sha256::digest(text.as_bytes());
    let is_same = digest(shown).ct_eq(&digest(token.expose_secret()));
    if !bool::from(is_same) || shown.is_empty() {
        let words = "the token is missing or wrong: it was printed at the start, or stands in the file of --admin-token-file";
        return Err(refusal(StatusCode::UNAUTHORIZED, "WrongToken", words));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn head(uri: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn a_host_is_loopback_or_named() {
        let hosts = ["slipway.internal".to_owned()];
        let rows = [
            ("localhost", true),
            ("LOCALHOST:9091", true),
            ("127.0.0.1:9091", true),
            ("127.9.9.9", true),
            ("[::1]:9091", true),
            ("slipway.internal", true),
            ("Slipway.Internal:80", true),
            ("attacker.example", false),
            ("localhost.attacker.example", false),
            ("127.0.0.1.attacker.example:9091", false),
            ("10.0.0.7:9091", false),
            ("0.0.0.0:9091", false),
            ("x@localhost", false),
            ("", false),
        ];
        for (name, is_ours) in rows {
            let found = host(&head("/", &[("host", name)]), &hosts).is_ok();
            assert_eq!(found, is_ours, "{name}");
        }
        assert!(host(&head("/", &[]), &hosts).is_err(), "no Host");
        let two = [("host", "localhost"), ("host", "localhost")];
        assert!(host(&head("/", &two), &hosts).is_err(), "two Hosts");
        let other = head("http://attacker.example/", &[("host", "localhost")]);
        assert!(
            host(&other, &hosts).is_err(),
            "another host in the request's line"
        );
    }

    #[test]
    fn a_write_needs_origin_json_and_token() {
        let token = SecretString::from("secret-token");
        let good = [
            ("host", "localhost:9091"),
            ("origin", "http://localhost:9091"),
            ("content-type", "application/json; charset=utf-8"),
            ("x-slipway-token", "secret-token"),
        ];
        assert_eq!(write(&head("/api/v1/actions", &good), &token), Ok(()));
        let rows: [(&str, Option<&str>, &str); 8] = [
            ("origin", None, "WrongOrigin"),
            ("origin", Some("null"), "WrongOrigin"),
            ("origin", Some("http://localhost:8080"), "WrongOrigin"),
            ("origin", Some("http://attacker.example"), "WrongOrigin"),
            ("content-type", Some("text/plain"), "NotJson"),
            ("x-slipway-token", None, "WrongToken"),
            ("x-slipway-token", Some("secret-tokem"), "WrongToken"),
            ("x-slipway-token", Some(""), "WrongToken"),
        ];
        for (name, value, reason) in rows {
            let others = good.iter().filter(|(header, _)| *header != name).copied();
            let headers: Vec<_> = others.chain(value.map(|value| (name, value))).collect();
            let refused = write(&head("/api/v1/actions", &headers), &token).unwrap_err();
            assert_eq!(refused.reason, reason, "{name} {value:?}");
            assert!(!refused.message.contains("secret"), "no token in an answer");
        }
        let empty = SecretString::from("");
        let headers: Vec<_> = good
            .iter()
            .filter(|(name, _)| *name != "x-slipway-token")
            .copied()
            .collect();
        assert!(
            write(&head("/", &headers), &empty).is_err(),
            "an empty token is none"
        );
    }
}
