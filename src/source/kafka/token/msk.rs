//! Tokens for MSK: a presigned call, made without asking anybody.

use std::time::Duration;

use aws_credential_types::provider::ProvideCredentials as _;
use aws_sigv4::http_request::{
    SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign,
};
use aws_sigv4::sign::v4;
use aws_smithy_types::base64;
use url::Url;

use super::{NoToken, refused};
use crate::source::aws::{Login, RoleError, cause, root_cause};

/// What a presigned token lives at most. Source: AWS MSK IAM SASL signer.
const MSK_LIFETIME: Duration = Duration::from_mins(15);

/// A token for MSK: the address of a presigned call, in unpadded base64url.
///
/// Source: aws-msk-iam-sasl-signer, `constructAuthToken`.
pub(super) async fn presign(region: &str, login: &Login) -> Result<(String, Duration), NoToken> {
    let config = login.config().await;
    let provider = config
        .credentials_provider()
        .expect("a login always has a provider");
    let credentials =
        provider
            .provide_credentials()
            .await
            .map_err(|error| match cause::<RoleError>(&error) {
                Some(role) => NoToken {
                    refused: role.refused,
                    detail: role.detail.clone(),
                },
                None => refused(format!("no AWS credentials: {}", root_cause(&error))),
            })?;
    let now = config
        .time_source()
        .expect("the SDK's defaults have a clock")
        .now();
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(MSK_LIFETIME);
    let lifetime = credentials.expiry().map_or(MSK_LIFETIME, |expiry| {
        expiry
            .duration_since(now)
            .unwrap_or_default()
            .min(MSK_LIFETIME)
    });
    let identity = credentials.into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("kafka-cluster")
        .time(now)
        .settings(settings)
        .build()
        .expect("every required parameter is set")
        .into();
    let address = format!("https://kafka.{region}.amazonaws.com/?Action=kafka-cluster%3AConnect");
    let unsigned = |_| refused("cannot sign for MSK".to_owned());
    let request = SignableRequest::new(
        "GET",
        &address,
        std::iter::empty(),
        SignableBody::Bytes(&[]),
    )
    .map_err(unsigned)?;
    let (instructions, _) = sign(request, &parameters).map_err(unsigned)?.into_parts();
    let mut signed = Url::parse(&address).expect("a region's name makes an address");
    for (name, value) in instructions.params() {
        signed.query_pairs_mut().append_pair(name, value);
    }
    signed
        .query_pairs_mut()
        .append_pair("User-Agent", "slipway");
    let token = base64::encode(signed.as_str());
    let token = token
        .trim_end_matches('=')
        .replace('+', "-")
        .replace('/', "_");
    Ok((token, lifetime))
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;
    use crate::address::Rules;
    use crate::resource::aws::AwsIdentity;
    use crate::source::aws::{RoleSettings, http};

    #[tokio::test]
    async fn a_token_for_msk_is_a_presigned_call() {
        let keys = AwsIdentity::Keys {
            access_key_id: SecretString::from("AKIDEXAMPLE"),
            secret_access_key: SecretString::from("canary-secret"),
            session_token: Some(SecretString::from("a/session+token=")),
        };
        let login = Login::new(
            keys,
            "eu-west-1".to_owned(),
            RoleSettings::default(),
            http(&Rules::default()),
        );
        let (token, lifetime) = presign("eu-west-1", &login).await.unwrap();
        assert_eq!(lifetime, MSK_LIFETIME);
        let padded = format!("{token:=<width$}", width = token.len().next_multiple_of(4));
        let plain = base64::decode(padded.replace('-', "+").replace('_', "/")).unwrap();
        let url = Url::parse(std::str::from_utf8(&plain).unwrap()).unwrap();
        assert_eq!(url.host_str(), Some("kafka.eu-west-1.amazonaws.com"));
        let query: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        let value = |name: &str| {
            query
                .iter()
                .find(|(key, _)| key == name)
                .map(|(_, v)| v.as_str())
        };
        assert_eq!(value("Action"), Some("kafka-cluster:Connect"));
        assert_eq!(value("X-Amz-Expires"), Some("900"));
        assert_eq!(value("X-Amz-SignedHeaders"), Some("host"));
        assert_eq!(value("X-Amz-Security-Token"), Some("a/session+token="));
        let scope = value("X-Amz-Credential").unwrap();
        assert!(
            scope.starts_with("AKIDEXAMPLE/")
                && scope.ends_with("/eu-west-1/kafka-cluster/aws4_request")
        );
        assert_eq!(value("X-Amz-Signature").map(str::len), Some(64));
        assert_eq!(value("User-Agent"), Some("slipway"));
        assert!(!url.as_str().contains("canary"));
    }
}
