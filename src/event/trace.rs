//! Where the sender's trace goes on: W3C trace context, or AWS's header.

use super::{Attributes, Trace};

/// Characters of `tracestate` that are handed on. Source: W3C Trace Context, section 3.3.1.5.
const LONGEST_STATE: usize = 512;

/// The trace of a request; `None` when it has none that is valid.
pub(super) fn of(attributes: &Attributes) -> Option<Trace> {
    let header = |name: &str| attributes.get(name).map(String::as_str);
    parse(header("traceparent"), header("tracestate")).or_else(|| {
        let parent = of_aws(header("x-amzn-trace-id")?)?;
        Some(Trace {
            parent,
            state: None,
        })
    })
}

/// W3C trace context.
pub(super) fn parse(parent: Option<&str>, state: Option<&str>) -> Option<Trace> {
    let parent = parent?;
    let mut parts = parent.split('-');
    let (version, trace, span, flags) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_valid = is_hexadecimal(version, 2)
        && version != "ff"
        && is_id(trace, 32)
        && is_id(span, 16)
        && is_hexadecimal(flags, 2)
        // Later versions may say more.
        && (version != "00" || parts.next().is_none());
    if !is_valid {
        return None;
    }
    let is_state = |state: &&str| {
        !state.is_empty()
            && state.len() <= LONGEST_STATE
            && state.bytes().all(|byte| (b' '..=b'~').contains(&byte))
    };
    Some(Trace {
        // What is handed on is of the version that is understood.
        parent: format!("00-{trace}-{span}-{flags}"),
        state: state.filter(is_state).map(str::to_owned),
    })
}

/// `Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1` as `traceparent`.
fn of_aws(header: &str) -> Option<String> {
    let field = |name: &str| {
        header
            .split(';')
            .filter_map(|field| field.trim().split_once('='))
            .find_map(|(key, value)| (key == name).then_some(value))
    };
    let root = field("Root")?.strip_prefix("1-")?;
    let (time, random) = root.split_once('-')?;
    let (trace, span) = (format!("{time}{random}"), field("Parent")?);
    let is_valid = time.len() == 8 && is_id(&trace, 32) && is_id(span, 16);
    let sampled = if field("Sampled") == Some("1") {
        "01"
    } else {
        "00"
    };
    is_valid.then(|| format!("00-{trace}-{span}-{sampled}"))
}

fn is_hexadecimal(text: &str, length: usize) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.len() == length && text.bytes().all(is_digit)
}

/// Hexadecimal and not all zero.
fn is_id(text: &str, length: usize) -> bool {
    is_hexadecimal(text, length) && text.bytes().any(|byte| byte != b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attributes(headers: &[(&str, &str)]) -> Attributes {
        let headers = headers.iter();
        headers
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn a_valid_trace_goes_on_and_any_other_is_dropped() {
        let (trace, span) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
        let valid = format!("00-{trace}-{span}-01");
        let parent = |header: &str, value: &str| {
            of(&attributes(&[(header, value), ("tracestate", "a=b")])).map(|trace| trace.parent)
        };
        for (value, wanted) in [
            (valid.clone(), Some(valid.clone())),
            (format!("cc-{trace}-{span}-01-more"), Some(valid.clone())),
            (format!("{valid}-more"), None),
            (format!("ff-{trace}-{span}-01"), None),
            (format!("00-{}-{span}-01", "0".repeat(32)), None),
            (format!("00-{trace}-{}-01", "0".repeat(16)), None),
            (valid.to_uppercase(), None),
            (format!("{valid}\n"), None),
            (String::new(), None),
        ] {
            assert_eq!(parent("traceparent", &value), wanted, "{value}");
        }
        for (value, wanted) in [
            (
                "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1",
                Some("00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01"),
            ),
            (
                "Self=1-a; Parent=53995c3f42cd8ad8; Root=1-5759e988-bd862e3fe1be46a994272793",
                Some("00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-00"),
            ),
            ("Root=1-5759e988-bd862e3fe1be46a994272793", None),
            ("Root=1-x-y;Parent=53995c3f42cd8ad8", None),
        ] {
            assert_eq!(
                parent("x-amzn-trace-id", value).as_deref(),
                wanted,
                "{value}"
            );
        }
        let state = |state: &str| {
            let headers = [("traceparent", valid.as_str()), ("tracestate", state)];
            of(&attributes(&headers)).unwrap().state
        };
        assert_eq!(state("a=b").as_deref(), Some("a=b"));
        assert_eq!(state(&"a".repeat(513)), None);
        assert_eq!(state("a=\u{e9}"), None);
    }
}
