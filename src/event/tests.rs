use serde_json::json;

use super::*;

mod shapes;

const ENVELOPE: &str = r#"{"version":"0","id":"e1","detail-type":"renewed","source":"billing","account":"012345678901","time":"2026-01-01T00:00:00Z","region":"eu-west-1","resources":[],"detail":{"amount":1.10,"n":12345678901234567890123}}"#;

fn attributes(headers: &[(&str, &str)]) -> Attributes {
    headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn identity(source: &str, id: &str, replay: Option<&str>) -> EventIdentity {
    EventIdentity {
        source: source.to_owned(),
        id: id.to_owned(),
        replay: replay.map(str::to_owned),
    }
}

fn one(format: Format, headers: &[(&str, &str)], body: &str) -> Event {
    match open(format, &attributes(headers), body.as_bytes()) {
        Ok(Opened::One(event)) => *event,
        Ok(_) => panic!("not one event: {body}"),
        Err(refusal) => panic!("{refusal}: {body}"),
    }
}

fn many(format: Format, headers: &[(&str, &str)], body: &str) -> Vec<Result<Event, Refusal>> {
    match open(format, &attributes(headers), body.as_bytes()) {
        Ok(Opened::Many(events)) => events,
        _ => panic!("not a list: {body}"),
    }
}

fn refusal(format: Format, headers: &[(&str, &str)], body: &[u8]) -> Refusal {
    match open(format, &attributes(headers), body) {
        Err(refusal) => refusal,
        Ok(_) => panic!("was opened: {body:?}"),
    }
}

fn query(text: &str) -> Query {
    Query::parse(text).unwrap()
}

/// The field that is refused by the event's format, or the identity.
fn check_identity(rows: &[(&str, Result<EventIdentity, &str>)]) {
    for (body, wanted) in rows {
        let event = one(Format::EventBridge, &[], body);
        let told = event.identity(&[]).map_err(|refusal| refusal.field);
        assert_eq!(told, wanted.clone().map_err(str::to_owned), "{body}");
    }
}

#[test]
fn an_envelopes_identity_is_account_region_source_and_id_and_a_replay_is_another() {
    let replay = ENVELOPE.replace("\"0\",", "\"0\",\"replay-name\":\"r\",");
    check_identity(&[
        (
            ENVELOPE,
            Ok(identity("012345678901/eu-west-1/billing", "e1", None)),
        ),
        (
            &replay,
            Ok(identity("012345678901/eu-west-1/billing", "e1", Some("r"))),
        ),
    ]);
}

#[test]
fn what_a_transformer_made_is_an_event_and_has_no_identity_unless_it_kept_it() {
    check_identity(&[
        ("\"only text\"", Err("$.id")),
        (" 17 ", Err("$.id")),
        ("null", Err("$.id")),
        ("{\"order\":5}", Err("$.id")),
        ("{\"id\":\"5\"}", Err("$.account")),
        (
            r#"{"id":"i","account":"1","region":"r","source":"a/b"}"#,
            Ok(identity("1/r/a/b", "i", None)),
        ),
        (
            r#"{"id":7,"account":"1","region":"r","source":"s"}"#,
            Err("$.id"),
        ),
        (
            r#"{"id":"","account":"1","region":"r","source":"s"}"#,
            Err("$.id"),
        ),
        (
            r#"{"id":"i","account":"1/2","region":"r","source":"s"}"#,
            Err("$.account"),
        ),
        (
            r#"{"id":"i","account":"1","region":"r","source":"s","replay-name":4}"#,
            Err("$['replay-name']"),
        ),
        // Which of the two would count is anybody's guess.
        (
            r#"{"id":"i","account":"1","region":"r","source":"s","\u0069d":"j"}"#,
            Err("$.id"),
        ),
    ]);
}

#[test]
fn a_custom_bus_with_metadata_has_its_own_id_or_the_envelopes() {
    let bare = r#"{"Data":{"a":1},"Metadata":{},"SystemMetadata":{"EventId":"s1"}}"#;
    let wrapped = format!(r#"{{"Data":{ENVELOPE},"SystemMetadata":{{"EventId":"s1"}}}}"#);
    let repeated = wrapped.replace("\"id\":\"e1\"", "\"id\":\"e0\",\"id\":\"e1\"");
    check_identity(&[
        (bare, Ok(identity("", "s1", None))),
        (
            &wrapped,
            Ok(identity("012345678901/eu-west-1/billing", "e1", None)),
        ),
        (&repeated, Err("$.Data.id")),
        (
            r#"{"Data":1,"SystemMetadata":{}}"#,
            Err("$.SystemMetadata.EventId"),
        ),
    ]);
    // Patterns and paths see what was sent.
    assert_eq!(one(Format::EventBridge, &[], &wrapped).text, wrapped);
}

#[test]
fn a_list_is_its_events_in_order_and_each_stands_for_itself() {
    let body = format!("[ {ENVELOPE} , \"text\", [1] ]");
    let events = many(Format::EventBridge, &[("x-a", "1")], &body);
    let texts: Vec<_> = events
        .iter()
        .map(|event| event.as_ref().unwrap().text.as_str())
        .collect();
    assert_eq!(texts, [ENVELOPE, "\"text\"", "[1]"]);
    let known: Vec<bool> = events
        .iter()
        .map(|event| event.as_ref().unwrap().identity.is_ok())
        .collect();
    assert_eq!(known, [true, false, false]);
    assert!(many(Format::EventBridge, &[], "[]").is_empty());
    let long = format!("[{}0]", "0,".repeat(256));
    let refused = refusal(Format::EventBridge, &[], long.as_bytes());
    assert_eq!(
        refused.to_string(),
        "body: holds 257 events, and 256 are taken at once"
    );
}

#[test]
fn a_body_that_is_no_json_is_refused_without_being_quoted() {
    let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
    for body in [
        &b""[..],
        b" \n",
        b"hush",
        b"{\"hush\":}",
        b"{\"hush\":1}x",
        b"\"\\ud800hush\"",
        b"\"hush\xff\"",
        b"\"hush\x00\"",
        b"{hush:1}",
        b"1e999",
        b"NaN",
        deep.as_bytes(),
    ] {
        for format in [Format::EventBridge, Format::Json, Format::Sns] {
            let refused = refusal(format, &[], body);
            assert_eq!(refused.field, "body");
            assert!(!refused.message.contains("hush"), "{refused}");
        }
    }
    assert_eq!(one(Format::Json, &[], "\u{feff} {} ").value, json!({}));
}

#[test]
fn bound_values_keep_their_bytes_and_their_digits() {
    let text = r#"{"s":" $(A)\n","n":1.10,"big":12345678901234567890123,"t":true,"z":null,"o":{ "b" : [ 1.0 , "x y" ] },"e":""}"#;
    let event = one(Format::Json, &[("x-h", "v")], text);
    let find = |path: &str| {
        event
            .find(&BindSource::Path(query(path)))
            .unwrap()
            .map(Cow::into_owned)
    };
    for (path, wanted) in [
        ("$.s", Some(" $(A)\n")),
        ("$.n", Some("1.10")),
        ("$.big", Some("12345678901234567890123")),
        ("$.t", Some("true")),
        ("$.z", None),
        ("$.missing", None),
        ("$.e", Some("")),
        ("$.o", Some(r#"{"b":[1.0,"x y"]}"#)),
        ("$.o.b[0]", Some("1.0")),
    ] {
        assert_eq!(find(path).as_deref(), wanted, "{path}");
    }
    let header = |name: &str| event.find(&BindSource::Header(name.to_owned())).unwrap();
    assert_eq!(header("x-h").as_deref(), Some("v"));
    assert_eq!(header("x-none"), None);
}

#[test]
fn any_json_has_the_id_that_its_headers_give() {
    let event = |headers: &[(&str, &str)]| one(Format::Json, headers, "[1]").identity;
    assert_eq!(event(&[("webhook-id", "w")]), Ok(identity("", "w", None)));
    assert_eq!(
        event(&[("idempotency-key", "k"), ("webhook-id", "w")]),
        Ok(identity("", "w", None))
    );
    assert_eq!(
        event(&[("idempotency-key", "k"), ("webhook-id", "")]),
        Ok(identity("", "k", None))
    );
    assert_eq!(event(&[]).unwrap_err().field, "header webhook-id");
}

#[test]
fn parts_of_an_id_count_together_and_do_not_run_into_each_other() {
    let parts = |paths: &[&str]| {
        let parts = paths.iter().map(|path| IdPart::Path(query(path)));
        parts.collect::<Vec<_>>()
    };
    let id = |body: &str, parts: &[IdPart]| {
        let event = one(Format::EventBridge, &[("x-d", "d")], body);
        event.identity(parts).map_err(|refusal| refusal.field)
    };
    let two = parts(&["$.a", "$.b"]);
    let one_way = id(r#"{"a":"a","b":"bc"}"#, &two).unwrap();
    let other = id(r#"{"a":"ab","b":"c"}"#, &two).unwrap();
    assert_ne!(one_way, other);
    assert_eq!(one_way, identity("", "1:a2:bc", None));
    assert_eq!(
        id(r#"{"a":1.10}"#, &parts(&["$.a"])),
        Ok(identity("", "1.10", None))
    );
    for (body, field) in [
        (r#"{"a":"a"}"#, "$.b"),
        (r#"{"a":"a","b":null}"#, "$.b"),
        (r#"{"a":"","b":"b"}"#, "$.a"),
        (r#"{"a":"a","b":"b","a":"c"}"#, "$.a"),
    ] {
        assert_eq!(id(body, &two), Err(field.to_owned()), "{body}");
    }
    let header = |name: &str| vec![IdPart::Header(name.to_owned())];
    assert_eq!(id("1", &header("x-d")), Ok(identity("", "d", None)));
    assert_eq!(id("1", &header("x-e")), Err("header x-e".to_owned()));
    let replay = ENVELOPE.replace("\"0\",", "\"0\",\"replay-name\":\"r\",");
    assert_eq!(
        id(&replay, &parts(&["$.id"])),
        Ok(identity("", "e1", Some("r")))
    );
    assert_eq!(
        id(r#"{"a":1,"b":2}"#, &[IdPart::BodyHash]),
        id(r#" {"b":2, "a":1}"#, &[IdPart::BodyHash])
    );
    assert_ne!(
        id(r#"{"a":1}"#, &[IdPart::BodyHash]),
        id(r#"{"a":1.0}"#, &[IdPart::BodyHash])
    );
}

fn notification(message: &str) -> String {
    json!({
        "Type": "Notification", "MessageId": "m1", "TopicArn": "arn:t", "Message": message,
        "MessageAttributes": {"Tenant": {"Type": "String", "Value": "a"}, "x-h": {"Type": "String", "Value": "b"}},
    })
    .to_string()
}

#[test]
fn an_envelope_in_a_notification_is_the_same_event_as_the_envelope_alone() {
    let wrapped = one(Format::Sns, &[], &notification(ENVELOPE));
    let alone = one(Format::EventBridge, &[], ENVELOPE);
    assert_eq!(wrapped.text, alone.text);
    assert_eq!(wrapped.identity, alone.identity);
    assert_eq!(wrapped.payload_hash(), alone.payload_hash());
    let raw = one(Format::Sns, &[("x-amz-sns-rawdelivery", "true")], ENVELOPE);
    assert_eq!(raw.identity, alone.identity);
    let spaced = ENVELOPE
        .replace(",\"", " ,\n \"")
        .replace("\"id\"", "\"\\u0069d\"");
    let spaced = one(Format::Sns, &[], &notification(&spaced));
    assert_eq!(spaced.payload_hash(), alone.payload_hash());
    let other = one(
        Format::Sns,
        &[],
        &notification(&ENVELOPE.replace("1.10", "1.11")),
    );
    assert_ne!(other.payload_hash(), alone.payload_hash());
}

#[test]
fn any_other_message_is_the_notification_as_it_is() {
    for message in ["hello", "{\"id\":\"x\"}", "{", "[1]", ""] {
        let body = notification(message);
        let event = one(Format::Sns, &[("x-h", "own")], &body);
        assert_eq!(event.text, body);
        assert_eq!(event.identity, Ok(identity("arn:t", "m1", None)));
        assert_eq!(event.attributes["tenant"], "a");
        assert_eq!(event.attributes["x-h"], "own");
    }
}

#[test]
fn raw_deliveries_have_their_ids_in_headers_and_a_signed_body_is_never_raw() {
    let headers = [
        ("x-amz-sns-rawdelivery", "true"),
        ("x-amz-sns-topic-arn", "arn:h"),
        ("x-amz-sns-message-id", "h1"),
    ];
    let raw = one(Format::Sns, &headers, "{\"a\":1}");
    assert_eq!(raw.identity, Ok(identity("arn:h", "h1", None)));
    let unnamed = one(Format::Sns, &headers[..2], "{\"a\":1}");
    assert_eq!(
        unnamed.identity.unwrap_err().field,
        "header x-amz-sns-message-id"
    );
    // Headers are not signed: they must not give a signed message another id.
    let signed = one(Format::Sns, &headers, &notification("x"));
    assert_eq!(signed.identity, Ok(identity("arn:t", "m1", None)));
}

#[test]
fn word_of_a_subscription_is_no_event() {
    let body =
        r#"{"Type":"SubscriptionConfirmation","TopicArn":"arn:t","SubscribeURL":"https://u"}"#;
    let opened = open(Format::Sns, &Attributes::default(), body.as_bytes());
    let wanted = Opened::Confirmation {
        topic_arn: "arn:t".to_owned(),
        subscribe_url: "https://u".to_owned(),
    };
    assert!(opened == Ok(wanted));
    let body = r#"{"Type":"UnsubscribeConfirmation","TopicArn":"arn:t"}"#;
    let opened = open(Format::Sns, &Attributes::default(), body.as_bytes());
    assert!(opened == Ok(Opened::Unsubscribed));
    for (body, field) in [
        (ENVELOPE.to_owned(), "$.Type"),
        ("1".to_owned(), "$.Type"),
        (r#"{"Type":"Notification"}"#.to_owned(), "$.Type"),
        (
            notification("x").replace("\"m1\"", "\"m1\",\"MessageId\":\"m2\""),
            "$.MessageId",
        ),
        (notification("x").replace("\"m1\"", "null"), "$.MessageId"),
        (
            r#"{"Type":"SubscriptionConfirmation","TopicArn":"arn:t"}"#.to_owned(),
            "$.SubscribeURL",
        ),
    ] {
        assert_eq!(
            refusal(Format::Sns, &[], body.as_bytes()).field,
            field,
            "{body}"
        );
    }
}

const STRUCTURED: (&str, &str) = (
    "content-type",
    "application/cloudevents+json; charset=utf-8",
);

#[test]
fn a_cloud_event_is_the_same_object_however_it_came() {
    let structured = r#"{"specversion":"1.0","id":"1 é","source":"/s","type":"t","datacontenttype":"application/json","data":{"n":1.10}}"#;
    let headers = [
        ("ce-specversion", "1.0"),
        ("ce-id", "1%20%C3%A9"),
        ("ce-source", "\"\\/s\""),
        ("ce-type", "t"),
        ("content-type", "application/json"),
        ("ce-not-one", "x"),
    ];
    let event = one(Format::CloudEvents, &[STRUCTURED], structured);
    let binary = one(Format::CloudEvents, &headers, "{\"n\":1.10}");
    assert_eq!(event.identity, Ok(identity("/s", "1 é", None)));
    assert_eq!(binary.identity, event.identity);
    assert_eq!(binary.value, event.value);
    assert_eq!(binary.payload_hash(), event.payload_hash());

    let data = |content_type: &'static str, body: &[u8]| {
        let mut headers = headers;
        headers[4].1 = content_type;
        match open(Format::CloudEvents, &attributes(&headers), body) {
            Ok(Opened::One(event)) => event.value,
            other => panic!("{:?}", other.err()),
        }
    };
    assert_eq!(data("text/plain", b"{}")["data"], "{}");
    assert_eq!(data("application/x+json", b"[1]")["data"], json!([1]));
    assert_eq!(data("image/png", b"\xff\x00")["data_base64"], "/wA=");
    assert_eq!(data("application/json", b"").get("data"), None);
}

#[test]
fn one_broken_event_of_a_batch_is_refused_and_the_others_are_not() {
    let batch = r#"[{"specversion":"1.0","id":"1","source":"s","type":"t"},{"specversion":"1.0","id":"2","type":"t"},3,{"specversion":"0.3","id":"4","source":"s","type":"t"},{"specversion":"1.0","id":"5","source":"s","type":"t","id":"6"}]"#;
    let headers = [("content-type", "application/cloudevents-batch+json")];
    let told: Vec<_> = many(Format::CloudEvents, &headers, batch)
        .into_iter()
        .map(|event| {
            event
                .map(|event| event.identity.unwrap().id)
                .map_err(|refusal| refusal.field)
        })
        .collect();
    let refused = |field: &str| Err(field.to_owned());
    assert_eq!(
        told,
        [
            Ok("1".to_owned()),
            refused("$.source"),
            refused("$"),
            refused("$.specversion"),
            refused("$.id")
        ]
    );
}

#[test]
fn what_is_no_cloud_event_is_refused_with_what_would_be_right() {
    let json = ("content-type", "application/json");
    for (headers, body, field) in [
        (&[json][..], "{}", "header content-type"),
        (&[], "{}", "header content-type"),
        (
            &[("content-type", "application/cloudevents+avro")],
            "{}",
            "header content-type",
        ),
        (
            &[("content-type", "application/cloudevents-batch+json")],
            "{}",
            "body",
        ),
        (&[STRUCTURED], "[]", "$"),
        (&[STRUCTURED], "{\"specversion\":\"1.0\"}", "$.id"),
        (&[json, ("ce-specversion", "1.0")], "{}", "$.id"),
        (
            &[json, ("ce-specversion", "1.0"), ("ce-id", "%ff")],
            "{}",
            "header ce-id",
        ),
        (&[json, ("ce-specversion", "1.0")], "{", "body"),
    ] {
        assert_eq!(
            refusal(Format::CloudEvents, headers, body.as_bytes()).field,
            field,
            "{headers:?} {body}"
        );
    }
}

#[test]
fn a_cloud_events_own_trace_goes_on_where_no_header_says_another() {
    let valid = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let own = format!(
        r#"{{"specversion":"1.0","id":"1","source":"s","type":"t","traceparent":"{valid}"}}"#
    );
    let event = one(Format::CloudEvents, &[STRUCTURED], &own);
    assert_eq!(event.trace.unwrap().parent, valid);
}
