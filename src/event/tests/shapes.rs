//! Bodies of other shapes: lists that are split, forms, handshakes; what headers must say; texts made of values.

use serde_json::Value;

use super::*;
use crate::resource::event_job::{self, EventJob};

/// An EventJob with other members in its webhook and its spec.
fn event_job(webhook: Value, spec: Value) -> EventJob {
    let mut written = json!({
        "apiVersion": "slipway.dev/v1alpha1",
        "kind": "EventJob",
        "metadata": {"name": "shapes", "namespace": "production"},
        "spec": {
            "source": {"webhook": {"format": "JSON", "auth": [{"none": {}}]}},
            "jobTemplate": {"spec": {"template": {"spec": {
                "restartPolicy": "Never", "containers": [{"name": "a", "image": "a"}],
            }}}},
        },
    });
    let merge = |into: &mut Value, from: Value| {
        let from = from.as_object().cloned().unwrap_or_default();
        into.as_object_mut().unwrap().extend(from);
    };
    merge(&mut written["spec"]["source"]["webhook"], webhook);
    merge(&mut written["spec"], spec);
    event_job::parse(&written).unwrap()
}

/// The ids of a body's events, or the field that is refused.
fn ids(of: &EventJob, headers: &[(&str, &str)], body: &str) -> Result<Vec<String>, String> {
    let id = |event: &Event| {
        let identity = event.identity(&of.id_from);
        identity
            .map(|identity| identity.id)
            .map_err(|refusal| refusal.field)
    };
    match open_for(of.webhook().unwrap(), &attributes(headers), body.as_bytes()) {
        Ok(Opened::One(event)) => id(&event).map(|id| vec![id]),
        Ok(Opened::Many(events)) => events
            .iter()
            .map(|event| id(event.as_ref().unwrap()))
            .collect(),
        Ok(_) => panic!("no event: {body}"),
        Err(refusal) => Err(refusal.field),
    }
}

#[test]
fn each_element_of_a_list_that_is_split_is_an_event_with_an_id_of_its_own() {
    let whole = json!({"split": true});
    let records = json!({"split": {"path": "$.Records"}});
    let header = json!({"idFrom": [{"header": "x-id"}]});
    let path = json!({"idFrom": [{"path": "$.id"}]});
    let hash = json!({"idFrom": [{"bodyHash": {}}]});
    let two = r#"[{"id":"a"},{"id":"b"}]"#;
    let sent = [("x-id", "r"), ("webhook-id", "w")];
    for (webhook, spec, body, expected) in [
        (&whole, &path, two, Ok(vec!["a", "b"])),
        (&whole, &header, two, Ok(vec!["r[0]", "r[1]"])),
        (&whole, &json!({}), two, Ok(vec!["w[0]", "w[1]"])),
        (&whole, &header, r#"{"id":"a"}"#, Ok(vec!["r[0]"])),
        (&whole, &path, "[]", Ok(vec![])),
        (
            &records,
            &path,
            r#"{"Records":[{"id":"a"}]}"#,
            Ok(vec!["a"]),
        ),
        (
            &records,
            &path,
            r#"{"Records":{"id":"a"}}"#,
            Err("$.Records"),
        ),
        (&records, &path, "{}", Err("$.Records")),
        (
            &records,
            &path,
            r#"{"Records":[],"Records":[]}"#,
            Err("$.Records"),
        ),
        (&json!({}), &path, two, Err("$.id")),
        (&json!({}), &header, two, Ok(vec!["r"])),
    ] {
        let expected: Result<Vec<String>, String> = expected
            .map(|ids| ids.into_iter().map(str::to_owned).collect())
            .map_err(str::to_owned);
        let of = event_job(webhook.clone(), spec.clone());
        assert_eq!(ids(&of, &sent, body), expected, "{webhook} {spec} {body}");
    }
    // Two that say the same are two, also when the list comes again; and they stay what they are when another is first.
    let of = event_job(whole.clone(), hash);
    let same = ids(&of, &[], "[1,1,2]").unwrap();
    let again = ids(&of, &[], "[2,1,1]").unwrap();
    assert_ne!(same[0], same[1]);
    assert_eq!(
        [&same[0], &same[1], &same[2]],
        [&again[1], &again[2], &again[0]]
    );
    let long = format!("[{}0]", "0,".repeat(256));
    assert_eq!(ids(&of, &[], &long), Err("body".to_owned()));
}

#[test]
fn a_form_is_the_json_in_it_or_its_fields() {
    let form = (
        "content-type",
        "application/x-www-form-urlencoded; charset=utf-8",
    );
    let text = |body: &str| one(Format::Json, &[form], body).text;
    assert_eq!(text("payload=%7B%22id%22%3A+1.10%7D"), r#"{"id": 1.10}"#);
    assert_eq!(
        text("token=t&text=a%22b+c&x="),
        r#"{"token":"t","text":"a\"b c","x":""}"#
    );
    // Two fields, or one of another name, are no payload.
    assert_eq!(text("payload=1&a=2"), r#"{"payload":"1","a":"2"}"#);
    assert_eq!(text(r#"{"id": 1}"#), r#"{"id": 1}"#);
    let many: Vec<String> = (0..257).map(|number| format!("f{number}=1")).collect();
    for (body, field) in [
        ("a=1&a=2", "a field of the form"),
        ("payload=x", "form field payload"),
        ("no json", "body"),
        ("", "body"),
        (&many.join("&"), "body"),
    ] {
        assert_eq!(refusal(Format::Json, &[form], body.as_bytes()).field, field);
    }
    for format in [Format::Json, Format::EventBridge, Format::Sns] {
        let refused = refusal(format, &[("content-type", "text/xml")], b"<a/>");
        let right = "header content-type: is text/xml, and the body is no JSON: set the sender to application/json";
        assert_eq!(refused.to_string(), right);
        let refused = refusal(format, &[("content-type", "hush/hush")], b"<a/>");
        assert!(!refused.to_string().contains("hush"), "{refused}");
    }
}

#[test]
fn a_sender_that_asks_for_its_handshake_sends_no_event() {
    let asked = |headers: &[(&str, &str)], body: &str| match open(
        Format::Json,
        &attributes(headers),
        body.as_bytes(),
    ) {
        Ok(Opened::Handshake { answer, value }) => Some((answer, value)),
        _ => None,
    };
    let slack = r#"{"type":"url_verification","challenge":"c","token":"t"}"#;
    let signed = ("x-slack-signature", "v0=");
    assert_eq!(asked(&[signed], slack), Some(("challenge", "c".to_owned())));
    assert_eq!(asked(&[], slack), None);
    assert_eq!(asked(&[signed], r#"{"type":"url_verification"}"#), None);
    let long = slack.replace("\"c\"", &format!("\"{}\"", "c".repeat(513)));
    assert_eq!(asked(&[signed], &long), None);
    let grid = r#"[{"id":"1","data":{"validationCode":"v","validationUrl":"u"}}]"#;
    let kind = ("aeg-event-type", "SubscriptionValidation");
    assert_eq!(
        asked(&[kind], grid),
        Some(("validationResponse", "v".to_owned()))
    );
    assert_eq!(asked(&[("aeg-event-type", "Notification")], grid), None);
}

#[test]
fn headers_are_matched_by_the_patterns_own_operators() {
    let wanted = json!({"match": {"headers": {
        "x-github-event": ["push", {"prefix": "pull_"}], "x-ping": [{"exists": false}],
    }}});
    let of = event_job(json!({}), wanted);
    let field = |headers: &[(&str, &str)]| {
        let event = one(Format::Json, headers, "{}");
        event.header_mismatch(&of).map(|mismatch| mismatch.field)
    };
    assert_eq!(field(&[("x-github-event", "push")]), None);
    assert_eq!(
        field(&[("x-github-event", "pull_request"), ("x", "y")]),
        None
    );
    for headers in [
        &[][..],
        &[("x-github-event", "ping")],
        &[("x-github-event", "pu\"sh")],
    ] {
        let refused = Some("header x-github-event".to_owned());
        assert_eq!(field(headers), refused, "{headers:?}");
    }
    let both = [("x-github-event", "push"), ("x-ping", "")];
    assert_eq!(field(&both), Some("header x-ping".to_owned()));
    let any = event_job(json!({}), json!({}));
    assert_eq!(one(Format::Json, &[], "{}").header_mismatch(&any), None);
}

#[test]
fn a_text_is_made_of_values_and_nothing_of_them_is_read_twice() {
    let body = json!({
        "bucket": "b{$.key}", "key": "a/../b?c|d}", "n": 7, "t": true, "none": null, "ref": "refs/heads/main",
        "long": "é".repeat(70), "inner": "{\"id\": 1.10, \"k\": \"v\"}", "twice": "{\"id\":1,\"id\":2}",
        "coded": "eyJpZCI6ICJ4In0", "list": [1, {"a": " "}],
    });
    let body = body.to_string();
    let made = |template: &str| {
        let bind = json!({"bind": {"env": [{"name": "A", "template": template}]}});
        let of = event_job(json!({}), bind);
        let event = one(Format::Json, &[("x-h", "v")], &body);
        match event.find(&of.bind.env[0].origin) {
            Ok(text) => Ok(text.unwrap().into_owned()),
            Err(refusal) => Err(refusal.field),
        }
    };
    for (template, expected) in [
        ("s3://{$.bucket}/{$.key}", Ok("s3://b{$.key}/a/../b?c|d}")),
        ("{{{$.n}}} {$.t} {header:X-H}", Ok("{7} true v")),
        ("{$.list}", Ok(r#"[1,{"a":" "}]"#)),
        ("{$.none|default:}-{$.nowhere|default:a:b}", Ok("-a:b")),
        ("{$.ref|match:refs/heads/(.*):1}", Ok("main")),
        ("{$.ref|match:tags/(.*):1|default:no tag}", Ok("no tag")),
        ("{$.ref|label|cut:9}", Ok("refs-head")),
        ("{$.long|cut:2}", Ok("éé")),
        ("{$.inner|fromJSON:$.id}", Ok("1.10")),
        ("{$.inner|fromJSON:$.x|default:y}", Ok("y")),
        ("{$.coded|fromBase64|fromJSON:$.id}", Ok("x")),
        ("{$.nowhere}", Err("$.nowhere")),
        ("{$.none|cut:3}", Err("$.none")),
        ("{header:x-none}", Err("header x-none")),
        ("{$.twice|fromJSON:$.id}", Err("$.twice|fromJSON:$.id")),
        ("{$.ref|fromJSON:$.id}", Err("$.ref")),
        ("{$.key|fromBase64}", Err("$.key")),
    ] {
        let expected = expected.map(str::to_owned).map_err(str::to_owned);
        assert_eq!(made(template), expected, "{template}");
    }
    let doubled = "{$.long}".repeat(32);
    assert!(made(&doubled).is_ok());
}

#[test]
fn a_text_that_grows_too_long_is_refused_before_it_is_made() {
    let bind = json!({"bind": {"env": [{"name": "A", "template": "{$.a}".repeat(32)}]}});
    let of = event_job(json!({}), bind);
    let body = format!(r#"{{"a":"{}"}}"#, "x".repeat(1_000_000));
    let event = one(Format::Json, &[], &body);
    let refused = event.find(&of.bind.env[0].origin).unwrap_err();
    assert_eq!(refused.field, "template");
}
