//! CloudEvents' OPTIONS, which senders cannot authenticate.

use super::Door;

#[tokio::test]
async fn an_origin_that_is_listed_has_its_handshake_and_others_learn_nothing() {
    let door = Door::open().await;
    let ask = async |path: &str, origins: &[&str]| {
        let header =
            |text: String, origin: &&str| text + "webhook-request-origin: " + origin + "\r\n";
        let origins = origins.iter().fold(String::new(), header);
        let request = format!(
            "OPTIONS {path} HTTP/1.1\r\nhost: door\r\n{origins}webhook-request-rate: 10\r\nconnection: close\r\n\r\n"
        );
        door.ask(&request).await
    };
    let listed = "eventgrid.azure.net";
    let reply = ask("/events/production/invoice", &[listed]).await;
    assert_eq!(reply.status, 200);
    let header = |name: &str| reply.headers.get(name).map(String::as_str);
    assert_eq!(header("webhook-allowed-origin"), Some(listed));
    assert_eq!(header("webhook-allowed-rate"), Some("*"));
    for (path, origins) in [
        ("/events/production/invoice", &["evil.example"][..]),
        ("/events/production/nothing", &[listed]),
        ("/events/production", &[listed]),
        ("/events/production/invoice", &[listed, listed]),
        ("/events/production/invoice", &[]),
    ] {
        let reply = ask(path, origins).await;
        assert_eq!(
            reply.short(),
            (405, "MethodNotAllowed"),
            "{path} {origins:?}"
        );
        assert!(!reply.headers.contains_key("webhook-allowed-origin"));
    }
}
