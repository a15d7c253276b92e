//! The queue's name out of `queueURL`, for the metric name only.
//!
//! KEDA asks Go's `net/url.ParseRequestURI` and takes the whole value when that
//! refuses it, so this file reads URLs as Go does; the `url` crate follows the
//! WHATWG standard, which repairs what Go refuses.

use std::net::Ipv6Addr;

use crate::resource::metadata::text::ExpectedText;

/// The queue's name: the last of the two segments of the URL's path, or the whole value when it is no request URI.
///
/// # Errors
///
/// [`ExpectedText`] when the value is a request URI whose path is not `/account/name`.
pub fn queue_name(queue_url: &str) -> Result<String, ExpectedText> {
    let Some(path) = request_path(queue_url) else {
        return Ok(queue_url.to_owned());
    };
    match *path.split('/').collect::<Vec<_>>() {
        [_, _, name] if !name.is_empty() => Ok(name.to_owned()),
        _ => Err(ExpectedText::new(
            "a queue URL such as https://sqs.eu-west-1.amazonaws.com/123456789012/orders: after the host, an account and a name",
        )),
    }
}

/// The decoded path of a request URI, empty when it has none; nothing when Go would refuse the text.
pub fn request_path(text: &str) -> Option<String> {
    if text.is_empty() || text.bytes().any(|byte| byte < b' ' || byte == 0x7f) {
        return None;
    }
    if text == "*" {
        return Some("*".to_owned());
    }
    let (scheme, rest) = split_scheme(text)?;
    let rest = rest.split_once('?').map_or(rest, |(before, _)| before);
    if !rest.starts_with('/') {
        // `mailto:someone` and `arn:aws:sqs:…`: a scheme and something opaque, without a path.
        return scheme.map(|_| String::new());
    }
    let path = match (scheme, rest.strip_prefix("//")) {
        (Some(scheme), Some(authority)) => {
            let end = authority.find('/').unwrap_or(authority.len());
            let (authority, path) = authority.split_at(end);
            if !valid_authority(scheme, authority) {
                return None;
            }
            path
        }
        _ => rest,
    };
    decode(path)
}

/// The scheme, if there is one, and what follows its colon; nothing for a leading colon.
fn split_scheme(text: &str) -> Option<(Option<&str>, &str)> {
    let scheme_end = text.find(|character: char| {
        !(character.is_ascii_alphanumeric() || matches!(character, '+' | '-' | '.'))
    });
    match scheme_end {
        Some(0) if text.starts_with(':') => None,
        Some(end)
            if text[end..].starts_with(':')
                && text.starts_with(|c: char| c.is_ascii_alphabetic()) =>
        {
            Some((Some(&text[..end]), &text[end + 1..]))
        }
        _ => Some((None, text)),
    }
}

fn valid_authority(scheme: &str, authority: &str) -> bool {
    let (user, host) = match authority.rsplit_once('@') {
        None => ("", authority),
        Some((user, host)) => (user, host),
    };
    let user_allowed =
        |byte: u8| byte.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(&byte);
    user.bytes().all(user_allowed) && decode(user).is_some() && valid_host(scheme, host)
}

fn valid_host(scheme: &str, host: &str) -> bool {
    if let Some(literal) = host.strip_prefix('[') {
        return literal
            .rsplit_once(']')
            .is_some_and(|(address, port)| valid_port(port) && valid_address(address));
    }
    // Go holds only the web's own schemes to one colon; databases list several hosts.
    let web = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    let colon = if web { host.find(':') } else { host.rfind(':') };
    let port = colon.map_or("", |colon| &host[colon..]);
    !host.contains('[') && valid_port(port) && valid_name(host)
}

/// `:` and digits, or nothing.
fn valid_port(port: &str) -> bool {
    port.is_empty()
        || port
            .strip_prefix(':')
            .is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
}

/// An IPv6 address, with a zone after `%25` if it has one.
fn valid_address(address: &str) -> bool {
    let (address, zone) = match address.split_once("%25") {
        None => (address, None),
        Some((address, zone)) => (address, Some(zone)),
    };
    let valid_zone = |zone: &str| {
        !zone.is_empty()
            && decode(zone).is_some_and(|zone| {
                zone.bytes()
                    .all(|byte| !byte.is_ascii() || matches!(byte, b' ' | b'%') || host_byte(byte))
            })
    };
    address.parse::<Ipv6Addr>().is_ok() && zone.is_none_or(valid_zone)
}

/// Host bytes, and percent-encoding of what is not ASCII (or of the percent sign).
fn valid_name(host: &str) -> bool {
    let encoded = host.split('%').skip(1).all(|after| {
        let hex = after
            .get(..2)
            .filter(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
        hex.is_some_and(|hex| hex == "25" || hex.as_bytes()[0] >= b'8')
    });
    encoded
        && host
            .bytes()
            .all(|byte| !byte.is_ascii() || byte == b'%' || host_byte(byte))
}

/// Go lets these stand unescaped in a host (`encodeHost` in `net/url`).
fn host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!\"$&'()*+,-.:;<=>[]_~".contains(&byte)
}

/// Percent-decoding; nothing when a percent sign lacks its two digits.
fn decode(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut decoded = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let hex = part
            .get(..2)
            .filter(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
        decoded.push(u8::from_str_radix(hex, 16).ok()?);
        decoded.extend_from_slice(&part.as_bytes()[2..]);
    }
    Some(String::from_utf8_lossy(&decoded).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The answers of `net/url.ParseRequestURI` in Go 1.26.
    #[test]
    fn request_uris_are_told_as_go_tells_them() {
        for (text, path) in [
            ("*", Some("*")),
            ("", None),
            ("/a/b", Some("/a/b")),
            ("//h/a/b", Some("//h/a/b")),
            ("http:///a/b", Some("/a/b")),
            ("http://h/a%zz/b", None),
            ("http://h/a/b?", Some("/a/b")),
            ("http://h/a/b?x?y", Some("/a/b")),
            ("http://u:p@h/a/b", Some("/a/b")),
            ("http://u p@h/a/b", None),
            ("http://h h/a/b", None),
            ("http://h%41/a/b", None),
            ("http://h%C3%A9/a/b", Some("/a/b")),
            ("http://[::1/a/b", None),
            ("http://[::1]x/a/b", None),
            ("http://a[::1]/a/b", None),
            ("http://[zz]/a/b", None),
            ("http://h:1:2/a/b", None),
            ("http://::1/a/b", None),
            ("http://h:/a/b", Some("/a/b")),
            ("HTTP://h/a/b", Some("/a/b")),
            ("1http://h/a/b", None),
            (":x", None),
            ("mailto:a", Some("")),
            ("http:a/b", Some("")),
            ("http:/a/b", Some("/a/b")),
            ("http://h/a/b#f", Some("/a/b#f")),
            ("http://h/a b/c", Some("/a b/c")),
            ("http://h/a/bé", Some("/a/bé")),
            ("http://[fe80::1%25en0]:80/a/b", Some("/a/b")),
            ("http://[fe80::1%en0]:80/a/b", None),
            ("http://h<x/a/b", Some("/a/b")),
            ("http://h\"x/a/b", Some("/a/b")),
            ("http://h/a/b%2", None),
            ("http://h/%00/b", Some("/\u{0}/b")),
            ("http://[1.2.3.4]/a/b", None),
            ("http://h^/a/b", None),
            ("http://[]/a/b", None),
            ("http://h`/a/b", None),
            ("http://h|/a/b", None),
            ("http://u%zz@h/a/b", None),
            ("http://u%20x@h/a/b", Some("/a/b")),
            ("http://h\\x/a/b", None),
            ("a.b+c-d:/x/y", Some("/x/y")),
            ("http://é/a/b", Some("/a/b")),
            ("http://[::ffff:1.2.3.4]:1/a/b", Some("/a/b")),
            ("http://@h/a/b", Some("/a/b")),
            ("http://a@b@h/a/b", Some("/a/b")),
            ("http://h/a/b\u{7f}", None),
            ("http://h]/a/b", Some("/a/b")),
            ("http://[::1]:/a/b", Some("/a/b")),
            ("http://[v1.x]/a/b", None),
            ("http://h%25/a/b", Some("/a/b")),
            ("http://[fe80::1%25]/a/b", None),
            ("http://u:p:q@h/a/b", Some("/a/b")),
            ("http://h;x/a/b", Some("/a/b")),
            ("http://h{}/a/b", None),
            ("http:?x", Some("")),
            ("http://h?x/a/b", Some("")),
            ("http://h:80?x/a/b", Some("")),
            ("http://[fe80::1%25e%6e]/a/b", Some("/a/b")),
        ] {
            assert_eq!(request_path(text).as_deref(), path, "{text:?}");
        }
    }

    #[test]
    fn a_path_that_is_not_account_and_name_has_no_queue() {
        for text in [
            "*",
            "mailto:a",
            "/q",
            "/1/",
            "/1/q/",
            "arn:aws:sqs:eu-west-1:1:q",
        ] {
            assert!(queue_name(text).is_err(), "{text}");
        }
        assert_eq!(queue_name("orders").as_deref(), Ok("orders"));
    }
}
