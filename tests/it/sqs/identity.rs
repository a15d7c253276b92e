//! Who we are to SQS, and whom we show it: roles on moto, our own identity, addresses.
#![expect(clippy::unwrap_used, reason = "what fails on the way ends the test")]
#![expect(clippy::float_cmp, reason = "counts of messages are exact")]

use std::path::PathBuf;

use slipway::resource::SourceSpec;
use slipway::resource::aws::AwsIdentity;
use slipway::source::pool::{Live, Pool, Settings};
use tokio::net::TcpListener;

use super::{NOW, answer_always, fill, keys, local_pool, queue, unique, waiting, with};
use crate::support::servers;

#[tokio::test]
async fn another_identity_is_another_poll() {
    let pool = local_pool();
    let endpoint = servers::sqs_endpoint();
    let queue_url = format!("{endpoint}/000000000000/shared");
    let first = pool.connect(&queue(&queue_url, &endpoint)).unwrap();
    let other = with(&queue(&queue_url, &endpoint), |queue| {
        queue.identity = keys("other", "secret");
    });
    let second = pool.connect(&other).unwrap();
    assert_eq!(
        pool.live(),
        Live {
            logins: 2,
            clients: 2,
            polls: 2
        }
    );
    drop((first, second));
}

#[test]
fn our_own_identity_is_shown_only_to_sqs() {
    let role = AwsIdentity::Role {
        arn: "arn:aws:iam::123456789012:role/reader".to_owned(),
        external_id: None,
        web_identity: true,
    };
    let allowing = || Settings {
        allow_identity: vec!["sqs.lab.example".to_owned()],
        // That one may be called says nothing of what it may see.
        allow_address: vec!["sqs.called.example".to_owned()],
        ..Settings::default()
    };
    for (endpoint, fine) in [
        (None, true),
        (Some("https://sqs.eu-west-1.amazonaws.com"), true),
        (Some("http://sqs.eu-west-1.amazonaws.com"), false),
        (Some("https://bucket.s3.amazonaws.com"), false),
        (Some("https://sqs.evil.example"), false),
        (Some("https://sqs.lab.example"), true),
        (Some("http://sqs.lab.example"), false),
        (Some("https://sqs.called.example"), false),
        (
            Some("https://sqs.eu-west-1.amazonaws.com@evil.example"),
            false,
        ),
    ] {
        for identity in [AwsIdentity::Own, role.clone()] {
            let spec = with(&queue("https://sqs/1/orders", ""), |queue| {
                queue.endpoint = endpoint.map(str::to_owned);
                queue.identity = identity.clone();
            });
            let result = Pool::new(allowing()).connect(&spec);
            assert_eq!(result.is_ok(), fine, "{endpoint:?}");
        }
    }
}

#[test]
fn addresses_inside_the_machine_need_to_be_allowed() {
    for endpoint in [
        "http://localhost:9324",
        "http://127.0.0.1:9324",
        "http://[::1]:9324",
        "http://169.254.169.254",
        "http://2130706433",
    ] {
        let spec = queue("http://sqs/1/orders", endpoint);
        let error = Pool::new(Settings::default()).connect(&spec).err().unwrap();
        assert_eq!(error.reason(), "Invalid", "{endpoint}");
        assert!(error.to_string().contains("--allow-address"), "{error}");
    }
    let spec = queue("http://sqs/1/orders", "http://localhost:9324");
    assert!(local_pool().connect(&spec).is_ok());
}

#[tokio::test]
async fn a_role_is_assumed_with_web_identity() {
    let moto = servers::moto_endpoint();
    let queue_url = fill(&moto, "role", 4, None).await;
    let token = std::env::temp_dir().join(unique("token"));
    std::fs::write(&token, "a token that moto does not look into").unwrap();
    let pool = role_pool(Some(token.clone()));
    let source = pool.connect(&as_role(&queue_url, true)).unwrap();
    assert_eq!(waiting(&source).await, 4.0);
    // With credentials in hand, the token is not needed again before they expire.
    std::fs::remove_file(&token).unwrap();
    assert_eq!(waiting(&source).await, 4.0);
}

#[tokio::test]
async fn a_role_is_assumed_from_our_own_identity() {
    let own = [
        ("AWS_ACCESS_KEY_ID", "own"),
        ("AWS_SECRET_ACCESS_KEY", "own-secret"),
    ];
    if ran_in_a_child("a_role_is_assumed_from_our_own_identity", &own).await {
        return;
    }
    let queue_url = fill(&servers::moto_endpoint(), "own", 6, None).await;
    // A token file that is not there: web identity fails, and our own identity has its turn.
    for token_file in [None, Some(PathBuf::from("/nowhere/token"))] {
        let pool = role_pool(token_file);
        let source = pool.connect(&as_role(&queue_url, true)).unwrap();
        assert_eq!(waiting(&source).await, 6.0);
    }
}

#[tokio::test]
async fn having_no_identity_of_our_own_is_said() {
    let nothing = [
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("AWS_CONFIG_FILE", "/nowhere/config"),
        ("AWS_SHARED_CREDENTIALS_FILE", "/nowhere/credentials"),
    ];
    if ran_in_a_child("having_no_identity_of_our_own_is_said", &nothing).await {
        return;
    }
    let own = with(
        &queue("http://sqs/1/orders", &servers::moto_endpoint()),
        |queue| queue.identity = AwsIdentity::Own,
    );
    let source = role_pool(None).connect(&own).unwrap();
    let error = source.read(NOW).await.unwrap_err();
    assert_eq!(error.reason(), "Forbidden", "{error}");
    assert!(error.to_string().contains("no AWS credentials"), "{error}");
}

/// Runs a test of this file again in a process with another environment, which the SDK reads for itself; false in that process.
async fn ran_in_a_child(name: &str, environment: &[(&str, &str)]) -> bool {
    const MARK: &str = "SLIPWAY_TEST_AS_CHILD";
    #[expect(clippy::disallowed_methods, reason = "a test's own setting")]
    if std::env::var(MARK).is_ok() {
        return false;
    }
    let path = format!("sqs::identity::{name}");
    let output = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args([path.as_str(), "--exact"])
        .env(MARK, "yes")
        .envs(environment.iter().copied())
        .output()
        .await
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}"
    );
    true
}

#[tokio::test]
async fn a_role_that_cannot_be_assumed_says_so() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let sts = format!("http://{}", listener.local_addr().unwrap());
    let token = std::env::temp_dir().join(unique("token"));
    std::fs::write(&token, "token").unwrap();
    let pool = Pool::new(Settings {
        allow_address: vec!["127.0.0.1".to_owned()],
        allow_identity: vec!["127.0.0.1".to_owned()],
        sts_endpoint: Some(sts),
        web_identity_token_file: Some(token),
        ..Settings::default()
    });
    let source = pool.connect(&as_role("http://sqs/1/orders", true)).unwrap();
    let denied = r"<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>";
    let error = tokio::select! {
        result = source.read(NOW) => result.unwrap_err(),
        () = answer_always(&listener, 403, denied) => unreachable!("serves for ever"),
    };
    let text = error.to_string();
    assert!(text.contains("sts:AssumeRoleWithWebIdentity"), "{text}");
    assert_eq!(error.reason(), "Forbidden", "{error}");
}

fn role_pool(web_identity_token_file: Option<PathBuf>) -> Pool {
    Pool::new(Settings {
        allow_address: vec!["127.0.0.1".to_owned()],
        allow_identity: vec!["127.0.0.1".to_owned()],
        sts_endpoint: Some(servers::moto_endpoint()),
        web_identity_token_file,
        ..Settings::default()
    })
}

fn as_role(queue_url: &str, web_identity: bool) -> SourceSpec {
    with(&queue(queue_url, &servers::moto_endpoint()), |queue| {
        queue.identity = AwsIdentity::Role {
            arn: "arn:aws:iam::123456789012:role/reader".to_owned(),
            external_id: Some("slipway-test".to_owned()),
            web_identity,
        };
    })
}
