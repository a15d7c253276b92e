use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use self::world::{Kept, World, envelope};
use super::*;

mod shared_door;
mod world;

const FIRST: &str = "first-canary-key";
const SECOND: &str = "second-canary-key";

fn world() -> World {
    World::new(Kept::default())
}

#[tokio::test]
async fn an_event_has_its_job_and_a_repeat_the_same() {
    let world = world();
    world.event_job("invoice", "first", &json!({}), None);
    let created = world
        .post(Some("invoice"), FIRST, &envelope("e-1", "billing"))
        .await;
    assert_eq!(created.short(), (200, "Created"));
    let again = world
        .post(Some("invoice"), FIRST, &envelope("e-1", "billing"))
        .await;
    assert_eq!(again.short(), (200, "Duplicate"));
    for field in ["jobName", "eventId", "namespace", "eventJob"] {
        assert_eq!(created.body[field], again.body[field], "{field}");
        assert!(created.body[field].is_string(), "{field}");
    }
    assert_eq!(world.launched(), 1);
}

#[tokio::test]
async fn a_name_nobody_knows_is_404_only_when_a_consistent_read_says_so() {
    let there = ObjectId::new("production", "new");
    let rows = [
        ("new", false, (503, "NotSynced")),
        ("nowhere", false, (404, "NotFound")),
        ("new", true, (503, "Unavailable")),
        ("nowhere", true, (503, "Unavailable")),
    ];
    for (name, is_silent, told) in rows {
        let world = World::new(Kept {
            names: [there.clone()].into(),
            is_silent,
            ..Kept::default()
        });
        let answer = world.post(Some(name), FIRST, "{}").await;
        assert_eq!(answer.short(), told, "{name}");
        assert_eq!(answer.reads, 0, "{name}");
        assert_eq!(world.kept.looks.load(Ordering::SeqCst), 1);
    }
    let world = world();
    assert_eq!(
        world.post(None, FIRST, "{}").await.short(),
        (404, "NotFound")
    );
    assert_eq!(world.kept.looks.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn strangers_cause_few_reads_at_once_and_none_for_ever() {
    let world = World::new(Kept {
        hangs: true,
        ..Kept::default()
    });
    let asked = (0..50).map(|_| world.post(Some("nowhere"), "", ""));
    let answers = futures::future::join_all(asked).await;
    assert_eq!(world.kept.looks.load(Ordering::SeqCst), 8);
    let count = |told| {
        answers
            .iter()
            .filter(|answer| answer.short() == told)
            .count()
    };
    assert_eq!(count((503, "Unavailable")), 8, "those that read");
    assert_eq!(count((503, "NotSynced")), 42);
}

#[tokio::test]
async fn credentials_come_before_the_body_and_objects_before_both() {
    let world = world();
    world.event_job("invoice", "first", &json!({}), None);
    world.event_job(
        "unproved",
        "first",
        &json!({}),
        Some("its template is refused"),
    );
    world.event_job("keyless", "missing", &json!({}), None);
    let invalid = ObjectId::new("production", "invalid");
    world.catalog.set_invalid(invalid, "invalid", false);
    let body = envelope("e-1", "billing");
    let rows = [
        ("invalid", FIRST, (503, "NotReady"), 0),
        ("invoice", SECOND, (401, "Unauthorized"), 0),
        ("invoice", "", (401, "Unauthorized"), 0),
        // Our fault, not the sender's.
        ("keyless", FIRST, (503, "Unavailable"), 0),
        ("unproved", SECOND, (401, "Unauthorized"), 0),
        ("unproved", FIRST, (503, "NotReady"), 1),
        ("invoice", FIRST, (200, "Created"), 1),
    ];
    for (name, key, told, reads) in rows {
        let answer = world.post(Some(name), key, &body).await;
        assert_eq!(answer.short(), told, "{name} {key}");
        assert_eq!(answer.reads, reads, "{name} {key}");
    }
    assert_eq!(world.launched(), 1);
}

#[tokio::test]
async fn bodies_that_are_none_are_refused_and_packed_ones_unread() {
    let world = world();
    world.event_job("invoice", "first", &json!({}), None);
    let key = ("x-api-key", FIRST);
    for encoding in ["gzip", "br", "deflate", "identity, gzip", "GZIP"] {
        let headers = [key, ("content-encoding", encoding)];
        let answer = world.send(Some("invoice"), &headers, Ok(Vec::new())).await;
        assert_eq!(answer.short(), (400, "BadRequest"), "{encoding}");
        assert_eq!(answer.reads, 0, "{encoding}");
    }
    let rows = [
        (BodyError::TooLarge, (413, "TooLarge")),
        (BodyError::TooSlow, (503, "TooSlow")),
        (BodyError::BrokeOff, (503, "Unavailable")),
        (BodyError::Misframed, (400, "BadRequest")),
        (BodyError::Busy, (503, "Busy")),
    ];
    for (error, told) in rows {
        let answer = world.send(Some("invoice"), &[key], Err(error)).await;
        assert_eq!(answer.short(), told, "{error}");
    }
    let deep = "[".repeat(100_000);
    for body in ["", "{", "nonsense", "\u{feff}{}", deep.as_str()] {
        let answer = world.post(Some("invoice"), FIRST, body).await;
        assert_eq!(answer.short(), (400, "BadRequest"));
    }
    let identity = [key, ("content-encoding", "identity")];
    let body = envelope("e-1", "billing").into_bytes();
    let answer = world.send(Some("invoice"), &identity, Ok(body)).await;
    assert_eq!(answer.short(), (200, "Created"));
}

#[tokio::test]
async fn a_list_delivers_what_it_can_and_says_what_it_could_not() {
    let world = world();
    world.event_job("invoice", "first", &json!({}), None);
    let list = format!(
        "[{},{{}},{}]",
        envelope("a", "billing"),
        envelope("b", "billing")
    );
    let answer = world.post(Some("invoice"), FIRST, &list).await;
    assert_eq!(answer.short(), (400, "BadRequest"));
    let statuses: Vec<&Value> = answer.body["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|result| &result["statusCode"])
        .collect();
    assert_eq!(statuses, [200, 400, 200]);
    assert_eq!(
        world.launched(),
        2,
        "the good ones are there before the sender hears of the bad"
    );
}

#[tokio::test]
async fn a_shared_post_reaches_those_that_let_it_in_and_match() {
    let world = world();
    let shared = |pattern: Value| json!({"shared": true, "pattern": pattern});
    world.event_job(
        "billing",
        "first",
        &shared(json!({"source": ["billing"]})),
        None,
    );
    world.event_job(
        "orders",
        "first",
        &shared(json!({"source": ["orders"]})),
        None,
    );
    world.event_job(
        "other-key",
        "second",
        &shared(json!({"source": ["billing"]})),
        None,
    );
    world.event_job("every", "first", &json!({"shared": true}), None);
    world.event_job("alone", "first", &json!({}), None);
    let heard = async |key: &str, source: &str| {
        let answer = world.post(None, key, &envelope("e", source)).await;
        let results = answer.body["results"].as_array().cloned();
        let names = results.unwrap_or_default().into_iter().map(|result| {
            let name = result["eventJob"].as_str().map(str::to_owned);
            name.unwrap_or_else(|| result["result"].as_str().unwrap().to_owned())
        });
        let mut names: Vec<String> = names.collect();
        names.sort();
        (answer.status, names)
    };
    let list = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(
        heard(FIRST, "billing").await,
        (200, list(&["billing", "every"]))
    );
    assert_eq!(
        heard(FIRST, "orders").await,
        (200, list(&["every", "orders"]))
    );
    assert_eq!(heard(SECOND, "billing").await, (200, list(&["other-key"])));
    assert_eq!(heard(SECOND, "orders").await, (200, list(&["Filtered"])));
    let stranger = world.post(None, "wrong", "{}").await;
    assert_eq!(
        (stranger.short(), stranger.reads),
        ((401, "Unauthorized"), 0)
    );
    // One that is not ready: the sender comes again, the others are told that they were there.
    world.event_job(
        "late",
        "first",
        &json!({"shared": true}),
        Some("not proved yet"),
    );
    let answer = world.post(None, FIRST, &envelope("e", "orders")).await;
    assert_eq!(answer.short(), (503, "NotReady"));
    assert_eq!(answer.body["results"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn no_answer_repeats_a_credential_or_the_event() {
    let world = world();
    world.event_job(
        "invoice",
        "first",
        &json!({"pattern": {"source": ["orders"]}}),
        None,
    );
    let body = envelope("e-1", "canary-source");
    for (key, body) in [
        ("wrong-canary", body.as_str()),
        (FIRST, body.as_str()),
        (FIRST, "{\"canary\": tru}"),
        (FIRST, "[{\"canary\": 1}]"),
    ] {
        let answer = world.post(Some("invoice"), key, body).await;
        let text = answer.body.to_string();
        assert!(!text.contains("canary"), "{text}");
    }
}

#[tokio::test]
async fn a_name_that_is_there_twice_where_somebody_looks_is_400_at_every_door() {
    let world = world();
    let spec = json!({
        "format": "JSON", "shared": true,
        "pattern": {"v": ["ok"], "d": {"x": [{"exists": true}]}},
        "idFrom": [{"path": "$.id"}],
        "bind": {"env": [{"name": "N", "path": "$.n"}, {"name": "B", "path": "$.b.c", "default": "-"}]},
    });
    world.event_job("gate", "first", &spec, None);
    for (body, told) in [
        (
            r#"{"id":"1","n":1,"v":"ok","v":"evil","d":{"x":1}}"#,
            Some("$.v"),
        ),
        (
            r#"{"id":"2","n":1,"v":"evil","v":"no","d":{"x":1}}"#,
            Some("$.v"),
        ),
        (
            r#"{"id":"3","n":1,"v":"ok","d":{"x":1},"d":{}}"#,
            Some("$.d"),
        ),
        (
            r#"{"id":"4","n":1,"v":"ok","d.x":1,"d":{"x":2}}"#,
            Some("$.d.x"),
        ),
        (
            r#"{"id":"5","n":1,"n":2,"v":"ok","d":{"x":1}}"#,
            Some("$.n"),
        ),
        (
            r#"{"id":"6","n":1,"b":{"c":1},"b":{},"v":"ok","d":{"x":1}}"#,
            Some("$.b.c"),
        ),
        (
            r#"{"id":"7","id":"8","n":1,"v":"ok","d":{"x":1}}"#,
            Some("$.id"),
        ),
        // Nobody looks there.
        (r#"{"id":"9","n":1,"z":1,"z":2,"v":"ok","d":{"x":1}}"#, None),
    ] {
        let at_its_own = world.post(Some("gate"), FIRST, body).await;
        let shared = world.post(None, FIRST, body).await;
        match told {
            None => assert_eq!((at_its_own.status, shared.status), (200, 200), "{body}"),
            Some(field) => {
                assert_eq!(at_its_own.short(), (400, "BadRequest"), "{body}");
                assert_eq!(shared.status, 400, "{body}");
                for text in [&at_its_own.body["message"], &shared.body["message"]] {
                    let text = text.as_str().unwrap();
                    assert!(text.starts_with(&format!("{field}: ")), "{text}");
                }
            }
        }
    }
    assert_eq!(world.launched(), 1);
    // Beside it: an envelope, and a list of them.
    let spec = json!({"pattern": {"detail": {"subscriptionId": [{"prefix": "s-"}]}}});
    world.event_job("bus", "first", &spec, None);
    let twice = envelope("e-1", "billing").replace(
        "\"subscriptionId\":\"s-1\"",
        "\"subscriptionId\":\"s-1\",\"subscriptionId\":\"x\"",
    );
    for body in [twice.clone(), format!("[{twice}]")] {
        let told = world.post(Some("bus"), FIRST, &body).await;
        assert_eq!(told.status, 400, "{}", told.body);
    }
    assert_eq!(world.launched(), 1);
}

#[tokio::test(start_paused = true)]
async fn names_that_nobody_knows_cost_a_few_reads_a_second_and_one_each() {
    let world = world();
    for _ in 0..100 {
        let answer = world.post(Some("nowhere"), "", "").await;
        assert_eq!(answer.short(), (404, "NotFound"));
        let answer = world.post(None, "", "").await;
        assert_eq!(answer.short(), (404, "NotFound"), "the shared door too");
    }
    assert_eq!(world.kept.looks.load(Ordering::SeqCst), 2);
    let mut told = std::collections::BTreeMap::new();
    for number in 0..100 {
        let name = format!("nowhere-{number}");
        let answer = world.post(Some(&name), "", "").await;
        *told.entry(answer.status).or_insert(0) += 1;
    }
    assert_eq!(world.kept.looks.load(Ordering::SeqCst), 10);
    assert_eq!(told, [(404, 8), (503, 92)].into());
    tokio::time::advance(std::time::Duration::from_secs(1)).await;
    // A name that came into being meanwhile is seen a second later.
    let answer = world.post(Some("nowhere"), "", "").await;
    assert_eq!(answer.short(), (404, "NotFound"));
    assert_eq!(world.kept.looks.load(Ordering::SeqCst), 11);
}
