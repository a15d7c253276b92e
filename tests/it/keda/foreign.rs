//! gRPC's own Python client makes every call, reflection and health among them.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

use super::*;
use crate::support::fakes::ScriptedSource;

#[tokio::test]
async fn a_client_that_is_not_ours_makes_every_call() {
    let source = ScriptedSource::new([Some(2.5)]);
    let port = Port::open(source, Choice::default()).await;
    let metadata = json!(sqs("https://sqs.eu-west-1.amazonaws.com/1/orders").scaler_metadata);
    let mut python = tokio::process::Command::new(servers::named("TEST_GRPC_PYTHON"))
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/it/keda/foreign.py"
        ))
        .args([port.address.clone(), metadata.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(python.stdout.take().unwrap()).lines();
    assert_eq!(lines.next_line().await.unwrap().as_deref(), Some("open"));
    port.stop.cancel();
    let mut input = python.stdin.take().unwrap();
    input.write_all(b"stopped\n").await.unwrap();
    let answers = lines.next_line().await.unwrap().expect("its answers");
    let answers: Value = serde_json::from_str(&answers).unwrap();
    let services = json!([
        "externalscaler.ExternalScaler",
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection"
    ]);
    let mut alpha = services.clone();
    alpha[2] = json!("grpc.reflection.v1alpha.ServerReflection");
    let (serving, not_serving) = (1, 2);
    assert_eq!(
        answers,
        json!({
            "methods": ["GetMetricSpec", "GetMetrics", "IsActive", "StreamIsActive", "StreamMetricSpec"],
            "services": {"v1": services, "v1alpha": alpha},
            "specs": [["aws-sqs-orders", 2, 2.0]],
            "values": [["aws-sqs-orders", 3, 2.5]],
            "active": true,
            "wrong": "INVALID_ARGUMENT",
            "health": [serving, serving],
            "watched": [serving, not_serving],
            "streamed": [true, "aws-sqs-orders"],
            "left": [0, 0],
            "ended": ["OK", "OK"],
        })
    );
    assert!(python.wait().await.unwrap().success());
    port.close().await;
}
