//! The port for KEDA under callers who mean ill.

use tonic::Code;

use crate::keda::{Choice, Port, is_active, reference, spec, sqs};
use crate::support::fakes::ScriptedSource;

const QUEUE: &str = "https://sqs.eu-west-1.amazonaws.com/1/orders";

#[tokio::test]
async fn a_trigger_that_is_larger_than_any_is_refused_by_its_size_and_leaves_nothing() {
    let port = Port::open(ScriptedSource::new([Some(1.0)]), Choice::default()).await;
    let mut client = port.client().await;
    let usual = sqs(QUEUE);
    let with = |more: Vec<(String, String)>| {
        let mut large = usual.clone();
        large.scaler_metadata.extend(more);
        large
    };
    // 6,900 keys, as they were found to cost 2 MB each time; a value; a key; a namespace.
    let keys = with(
        (0..6_900)
            .map(|key| (format!("{key:x}"), String::new()))
            .collect(),
    );
    let value = with(vec![("comment".to_owned(), "v".repeat(9_000))]);
    let key = with(vec![("k".repeat(9_000), String::new())]);
    let namespace = reference(&"n".repeat(9_000), &[("source", "kafka")]);
    for (large, words) in [
        (keys, ["metadata: it has 6905 keys", "64"]),
        (value, ["metadata: its keys and values have", "\"comment\""]),
        (key, ["metadata: its keys and values have", "8192"]),
        (namespace, ["namespace: it has 9000 bytes", "63"]),
    ] {
        let refused = spec(&mut client, &large).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
        for word in words {
            assert!(refused.message().contains(word), "{refused}");
        }
        assert!(refused.message().len() < 512);
    }
    assert_eq!(port.keda.triggers(), 0);
    // Just as large as it may be.
    let most = with(
        (0..59)
            .map(|key| (key.to_string(), "v".repeat(130)))
            .collect(),
    );
    spec(&mut client, &most).await.unwrap();
    assert!(is_active(&mut client, &usual).await.unwrap());
    assert_eq!(port.keda.triggers(), 2);
    port.close().await;
}
