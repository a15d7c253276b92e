//! Whose credentials go where: our own to AWS and to nobody else.

use std::time::Duration;

use futures::FutureExt as _;
use slipway::resource::SourceSpec;
use slipway::resource::aws::AwsIdentity;
use slipway::resource::sqs::Queue;
use slipway::source::pool::{Pool, Settings};
use tokio::net::TcpListener;

/// May be called, and may not see our identity.
fn calling(sts_endpoint: Option<String>) -> Pool {
    Pool::new(Settings {
        allow_address: vec!["127.0.0.1".to_owned()],
        allow_loopback: true,
        sts_endpoint,
        ..Settings::default()
    })
}

fn queue(endpoint: Option<String>, identity: AwsIdentity) -> SourceSpec {
    SourceSpec::Sqs(Queue {
        queue_url: "https://sqs.eu-west-1.amazonaws.com/1/orders".to_owned(),
        region: "eu-west-1".to_owned(),
        endpoint,
        in_flight: true,
        delayed: false,
        identity,
    })
}

#[tokio::test]
async fn an_address_that_may_be_called_does_not_see_our_identity() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let role = AwsIdentity::Role {
        arn: "arn:aws:iam::123456789012:role/reader".to_owned(),
        external_id: None,
        web_identity: true,
    };
    for identity in [AwsIdentity::Own, role.clone()] {
        let spec = queue(Some(address.clone()), identity);
        let error = calling(None).connect(&spec).err().unwrap();
        assert_eq!(error.reason(), "Invalid", "{error}");
        assert!(error.to_string().contains("--allow-identity"), "{error}");
    }
    // Beside it: an endpoint of the operator's environment, where roles are asked for with our identity.
    let token = std::env::temp_dir().join(format!("slipway-token-{}", std::process::id()));
    std::fs::write(&token, "canary-token").unwrap();
    let pool = Pool::new(Settings {
        web_identity_token_file: Some(token.clone()),
        sts_endpoint: Some(address.clone()),
        allow_address: vec!["127.0.0.1".to_owned()],
        ..Settings::default()
    });
    let source = pool.connect(&queue(None, role)).unwrap();
    let error = source.read(Duration::ZERO).await.unwrap_err();
    assert_eq!(error.reason(), "Forbidden", "{error}");
    assert!(error.to_string().contains("--allow-identity"), "{error}");
    std::fs::remove_file(&token).unwrap();
    assert!(
        listener.accept().now_or_never().is_none(),
        "somebody called"
    );
}
