//! A key that comes twice at the door, in every format: a pattern could see the one and the Job get the other.

use super::*;

#[tokio::test]
async fn a_key_that_comes_twice_on_a_path_in_use_is_refused_at_the_door_of_every_format() {
    let raw = "x-amz-sns-rawdelivery: true\r\nx-amz-sns-topic-arn: t\r\nx-amz-sns-message-id: m";
    let structured = "content-type: application/cloudevents+json";
    let binary = "content-type: application/json\r\nce-specversion: 1.0\r\nce-id: i\r\nce-source: s\r\nce-type: t";
    let whole = |detail: &str| {
        format!(
            r#"{{"id":"i","account":"1","region":"r","specversion":"1.0","source":"s","type":"t",{detail}}}"#
        )
    };
    let once = r#""detail":{"key":"ok"}"#;
    let within = r#""detail":{"key":"ok","key":"evil"}"#;
    let around = r#""detail":{"key":"evil"},"detail":{"key":"ok"}"#;
    let escaped = r#""detail":{"key":"ok","\u006bey":"evil"}"#;
    let mut objects = vec![secret()];
    let formats = [
        ("eventbridge", "EventBridge", "x-plain: 1", "$.detail.key"),
        ("json", "JSON", "x-plain: 1", "$.detail.key"),
        ("sns", "SNS", raw, "$.detail.key"),
        ("structured", "CloudEvents", structured, "$.detail.key"),
        ("binary", "CloudEvents", binary, "$.data.detail.key"),
    ];
    for (name, format, _, path) in formats {
        let bind = json!({"bind": {"env": [{"name": "KEY", "path": path, "default": "none"}]}});
        let mut object = event_job(name, "true", &bind);
        object["spec"]["source"]["webhook"]["format"] = json!(format);
        object["spec"]["idFrom"] = json!([{"bodyHash": {}}]);
        objects.push(object);
    }
    let post = Post::new("twice", &objects, &[]);
    let _slipway = post.start();
    for (name, _, header, path) in formats {
        await_until(name, SOON, async || {
            let (status, _) = post.send_text(name, header, &whole(once)).await?;
            (status == 200).then_some(())
        })
        .await;
        let jobs = post.jobs();
        for detail in [within, around, escaped] {
            let answer = post.send_text(name, header, &whole(detail)).await;
            let (status, body) = answer.unwrap();
            let message = body["message"].as_str().unwrap_or_default();
            let is_told = message.contains(path) && message.contains("more than once");
            assert!(
                status == 400 && is_told,
                "{name}, {detail}: {status} {body}"
            );
        }
        assert_eq!(post.jobs(), jobs, "{name}");
    }
}

// It would be taken for one that is not there: an event that matches would be told to be of no interest, with a 200.
#[tokio::test]
async fn a_header_in_use_that_comes_twice_is_refused_at_the_door() {
    let hashed = json!([{"bodyHash": {}}]);
    let matched = json!({"match": {"headers": {"x-kind": ["push"]}}, "idFrom": hashed});
    let bound = json!({"bind": {"env": [{"name": "WHO", "header": "x-who", "default": "none"}]}, "idFrom": hashed});
    let raw = "x-amz-sns-rawdelivery: true\r\nx-amz-sns-topic-arn: t";
    let cloud =
        "content-type: application/json\r\nce-specversion: 1.0\r\nce-source: s\r\nce-type: t";
    let rows = [
        ("matched", "JSON", matched, "x-a: 1", "x-kind: push"),
        ("bound", "JSON", bound, "x-a: 1", "x-who: me"),
        (
            "told",
            "JSON",
            json!({"idFrom": [{"header": "x-id"}]}),
            "x-a: 1",
            "x-id: 7",
        ),
        ("own", "JSON", json!({}), "x-a: 1", "webhook-id: 7"),
        ("sns", "SNS", json!({}), raw, "x-amz-sns-message-id: 7"),
        ("cloud", "CloudEvents", json!({}), cloud, "ce-id: 7"),
    ];
    let mut objects = vec![secret()];
    for (name, format, changes, _, _) in &rows {
        let mut object = event_job(name, "true", changes);
        object["spec"]["source"]["webhook"]["format"] = json!(format);
        objects.push(object);
    }
    let post = Post::new("headers-twice", &objects, &[]);
    let _slipway = post.start();
    for (name, _, _, others, header) in rows {
        let unused = format!("{others}\r\nx-b: 1\r\nx-b: 2\r\n{header}");
        await_until(name, SOON, async || {
            let (status, _) = post.send_text(name, &unused, "{}").await?;
            (status == 200).then_some(())
        })
        .await;
        let jobs = post.jobs();
        for again in [header.to_owned(), header.to_uppercase()] {
            let twice = format!("{others}\r\n{header}\r\n{again}");
            let (status, body) = post.send_text(name, &twice, "{}").await.unwrap();
            let message = body["message"].as_str().unwrap_or_default();
            let field = format!("header {}", header.split(':').next().unwrap());
            let is_told = message.contains(&field) && message.contains("more than once");
            assert!(status == 400 && is_told, "{name}: {status} {body}");
        }
        assert_eq!(post.jobs(), jobs, "{name}");
    }
}
