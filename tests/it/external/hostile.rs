//! Scalers that mean ill, or are given secrets.

use tonic::metadata::MetadataMap;

use super::*;

#[tokio::test]
async fn the_words_of_a_scaler_are_cut_and_not_shown_when_it_knows_secrets() {
    let scaler = Scaler::start(Says::failing(
        "GetMetrics",
        Status::internal("x".repeat(5000)),
    ));
    let text = refusal(&scaler).await;
    assert!(text.ends_with("x…") && text.len() < 400, "{text}");

    scaler.says(Says::failing(
        "GetMetrics",
        Status::internal("cannot log in with hunter%32"),
    ));
    let address = scaler.address();
    let metadata = [
        ("scalerAddress", address.as_str()),
        ("passwordFromEnv", "PASSWORD"),
    ];
    let spec = trigger(
        TriggerKind::External,
        &metadata,
        &[],
        &[("PASSWORD", "hunter2")],
    );
    let source = local_pool().connect(&spec).unwrap();
    let error = source.read(NOW).await.unwrap_err().to_string();
    assert!(error.ends_with(
        "GetMetrics: INTERNAL (its words are not shown: it was sent values of the container's environment)"
    ), "{error}");
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_no_answer() {
    let scaler = Scaler::start(Says {
        specs: vec![("a".repeat(5 * 1024 * 1024), 1, 0.0)],
        ..Says::waiting(3, 1)
    });
    let text = refusal(&scaler).await;
    assert!(text.starts_with("BadAnswer: "), "{text}");
    assert!(text.len() < 400, "{text}");
}

#[tokio::test]
async fn a_scaler_that_breaks_the_rules_of_grpc_harms_nobody() {
    let mut headers = http::HeaderMap::new();
    headers.insert("grpc-status-details-bin", "!!!".parse().unwrap());
    let metadata = MetadataMap::from_headers(headers);
    let broken = Status::with_metadata(Code::Internal, "broken", metadata);
    let scaler = Scaler::start(Says::failing("GetMetrics", broken.clone()));
    let text = refusal(&scaler).await;
    assert!(text.starts_with("BadAnswer: "), "{text}");
    scaler.says(Says::failing("StreamIsActive", broken));
    let address = scaler.address();
    let metadata = [("scalerAddress", address.as_str())];
    let spec = trigger(TriggerKind::ExternalPush, &metadata, &[], &[]);
    let source = local_pool().connect(&spec).unwrap();
    let pushed = beside(source.pushed());
    await_until("the stream is opened", SOON, async || {
        (scaler.count("StreamIsActive") == 1).then_some(())
    })
    .await;
    assert_eq!(source.read(NOW).await.unwrap().reading.waiting(), 3.0);
    assert!(!pushed.is_finished());
}

#[tokio::test]
async fn what_is_no_grpc_is_unreachable() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = beside(async move {
        loop {
            use tokio::io::AsyncWriteExt as _;
            let (mut stream, _) = listener.accept().await.unwrap();
            stream
                .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                .await
                .ok();
        }
    });
    let error = read(&address).await.unwrap_err();
    assert_eq!(error.reason(), "Unreachable", "{error}");
    server.abort();
}
