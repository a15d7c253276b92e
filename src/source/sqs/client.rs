//! Asking SQS: one client for each region, endpoint and identity, and what its
//! errors mean.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::operation::get_queue_attributes::GetQueueAttributesError;
use aws_sdk_sqs::types::QueueAttributeName;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use http_body_util::LengthLimitError;
use tokio::sync::OnceCell;

use super::attributes::Attribute;
use crate::bounded::ANSWER_BYTES;
use crate::resource::aws::AwsIdentity;
use crate::source::Error;
use crate::source::aws::resolver::AddressNotAllowed;
use crate::source::aws::{Login, RoleError, cause, one_line, root_cause};

/// SQS in one region, or at one endpoint, as one identity.
pub(in crate::source) struct SqsClient {
    region: String,
    endpoint: Option<CustomEndpoint>,
    identity: AwsIdentity,
    login: Arc<Login>,
    sdk: OnceCell<aws_sdk_sqs::Client>,
}

/// An address that a user wrote, with the HTTP client that checks where it leads.
pub(in crate::source) struct CustomEndpoint {
    pub(in crate::source) url: String,
    pub(in crate::source) http: SharedHttpClient,
}

impl SqsClient {
    pub(in crate::source) fn new(
        region: String,
        endpoint: Option<CustomEndpoint>,
        identity: AwsIdentity,
        login: Arc<Login>,
    ) -> Self {
        Self {
            region,
            endpoint,
            identity,
            login,
            sdk: OnceCell::new(),
        }
    }

    /// Whether this is the client of that region, endpoint and identity.
    pub(in crate::source) fn is(
        &self,
        region: &str,
        endpoint: Option<&str>,
        identity: &AwsIdentity,
    ) -> bool {
        self.region == region
            && self.endpoint.as_ref().map(|own| own.url.as_str()) == endpoint
            && self.identity == *identity
    }

    /// A queue's name and region: never the whole address, which may hold more than a name.
    pub(in crate::source) fn source_name(&self, queue_url: &str) -> String {
        source_name(queue_url, &self.region)
    }

    /// The queue's numbers, as SQS answers them.
    ///
    /// All three in one call, whoever asks: they cost the same, and triggers with
    /// other switches share the answer.
    pub(super) async fn attributes(
        &self,
        queue_url: &str,
    ) -> Result<BTreeMap<Attribute, String>, Error> {
        let answer = self
            .sdk()
            .await
            .get_queue_attributes()
            .queue_url(queue_url)
            .set_attribute_names(Some(Attribute::ALL.map(wire_name).to_vec()))
            .send()
            .await
            .map_err(|error| to_error(self.source_name(queue_url), &error))?;
        let mut attributes = answer.attributes.unwrap_or_default();
        Ok(Attribute::ALL
            .into_iter()
            .filter_map(|name| Some((name, attributes.remove(&wire_name(name))?)))
            .collect())
    }

    async fn sdk(&self) -> &aws_sdk_sqs::Client {
        let make = || async {
            let mut config = aws_sdk_sqs::config::Builder::from(self.login.config().await);
            if let Some(endpoint) = &self.endpoint {
                config = config
                    .endpoint_url(&endpoint.url)
                    .http_client(endpoint.http.clone());
            }
            aws_sdk_sqs::Client::from_conf(config.build())
        };
        self.sdk.get_or_init(make).await
    }
}

/// A queue's name and region, as errors show them.
pub(in crate::source) fn source_name(queue_url: &str, region: &str) -> String {
    let path = queue_url.split(['?', '#']).next().unwrap_or_default();
    let name = path.rsplit('/').next().unwrap_or_default();
    format!("SQS queue {} in {}", one_line(name), one_line(region))
}

fn wire_name(attribute: Attribute) -> QueueAttributeName {
    QueueAttributeName::from(attribute.name())
}

fn to_error(source_name: String, error: &SdkError<GetQueueAttributesError, HttpResponse>) -> Error {
    match error {
        SdkError::ServiceError(answer) => {
            let status = answer.raw().status().as_u16();
            let code = answer.err().code().unwrap_or("no code");
            refusal(source_name, status, code, answer.err().message())
        }
        SdkError::TimeoutError(_) => Error::Unreachable {
            source_name,
            detail: "no answer in time".to_owned(),
        },
        SdkError::ResponseError(answer) => {
            let status = answer.raw().status().as_u16();
            let detail = if cause::<LengthLimitError>(error).is_some() {
                format!("HTTP {status}, with more than {ANSWER_BYTES} bytes")
            } else {
                format!("HTTP {status}, and not in the form of SQS")
            };
            if status >= 500 {
                Error::Unreachable {
                    source_name,
                    detail,
                }
            } else {
                Error::BadAnswer {
                    source_name,
                    detail,
                }
            }
        }
        other => before_the_answer(source_name, other),
    }
}

/// SQS answered with an error. Codes: SQS API reference, "Common errors" and GetQueueAttributes.
fn refusal(source_name: String, status: u16, code: &str, message: Option<&str>) -> Error {
    // JSON answers have `com.amazonaws.sqs#Code`, query ones `AWS.SimpleQueueService.Code`.
    let short = one_line(code.rsplit(['#', '.']).next().unwrap_or(code));
    match short.as_str() {
        "QueueDoesNotExist" | "NonExistentQueue" => Error::NotFound {
            source_name,
            detail: "SQS knows no queue of this URL in this region and account".to_owned(),
        },
        "InvalidAddress" => Error::Invalid {
            source_name,
            detail: "SQS does not take queueURL for a queue's address".to_owned(),
        },
        "RequestThrottled"
        | "Throttling"
        | "ThrottlingException"
        | "ThrottledException"
        | "RequestLimitExceeded"
        | "TooManyRequestsException"
        | "SlowDown" => Error::Throttled {
            source_name,
            detail: short,
        },
        // The one message worth showing: it names the identity and the action. Others may quote what was signed.
        "AccessDenied" | "AccessDeniedException" => Error::Forbidden {
            source_name,
            detail: format!(
                "needs `sqs:GetQueueAttributes` ({})",
                message.map_or(short, one_line)
            ),
        },
        "InvalidClientTokenId"
        | "UnrecognizedClientException"
        | "InvalidAccessKeyId"
        | "SignatureDoesNotMatch"
        | "IncompleteSignature"
        | "InvalidSignatureException"
        | "ExpiredToken"
        | "ExpiredTokenException"
        | "MissingAuthenticationToken"
        | "InvalidSecurity"
        | "OptInRequired"
        | "NotAuthorized" => Error::Forbidden {
            source_name,
            detail: format!(
                "the credentials were not accepted ({short}); `sqs:GetQueueAttributes` is what they are for"
            ),
        },
        _ if status == 429 => Error::Throttled {
            source_name,
            detail: short,
        },
        _ if status == 401 || status == 403 => Error::Forbidden {
            source_name,
            detail: format!("{short}; needs `sqs:GetQueueAttributes`"),
        },
        _ if status >= 500 => Error::Unreachable {
            source_name,
            detail: format!("HTTP {status} {short}"),
        },
        _ => Error::BadAnswer {
            source_name,
            detail: format!("HTTP {status} {short}"),
        },
    }
}

/// There was no answer: no credentials, no address, no connection.
fn before_the_answer(source_name: String, error: &(dyn std::error::Error + 'static)) -> Error {
    if let Some(role) = cause::<RoleError>(error) {
        return Error::without_credentials(source_name, role.refused, role.detail.clone());
    }
    if let Some(AddressNotAllowed(why)) = cause::<AddressNotAllowed>(error) {
        return Error::Invalid {
            source_name,
            detail: why.clone(),
        };
    }
    if let Some(CredentialsError::CredentialsNotLoaded(_)) = cause::<CredentialsError>(error) {
        return Error::Forbidden {
            source_name,
            detail: "Slipway has no AWS credentials: none in the environment, a profile, a web identity token, a container's or the machine's metadata".to_owned(),
        };
    }
    Error::Unreachable {
        source_name,
        detail: root_cause(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: u16, code: &str) -> &'static str {
        refusal("queue".to_owned(), status, code, None).reason()
    }

    #[test]
    fn every_refusal_has_its_reason() {
        for (status, code, reason) in [
            (400, "com.amazonaws.sqs#QueueDoesNotExist", "NotFound"),
            (400, "AWS.SimpleQueueService.NonExistentQueue", "NotFound"),
            (400, "InvalidAddress", "Invalid"),
            (403, "RequestThrottled", "Throttled"),
            (400, "ThrottlingException", "Throttled"),
            (429, "no code", "Throttled"),
            (403, "AccessDenied", "Forbidden"),
            (400, "AccessDeniedException", "Forbidden"),
            (403, "InvalidClientTokenId", "Forbidden"),
            (403, "SignatureDoesNotMatch", "Forbidden"),
            (403, "ExpiredToken", "Forbidden"),
            (401, "no code", "Forbidden"),
            (500, "InternalFailure", "Unreachable"),
            (503, "ServiceUnavailable", "Unreachable"),
            (400, "InvalidAttributeName", "BadAnswer"),
        ] {
            assert_eq!(check(status, code), reason, "{status} {code}");
        }
    }

    #[test]
    fn only_the_text_about_a_missing_permission_is_shown() {
        let text =
            |code| refusal("queue".to_owned(), 403, code, Some("AKIA and signature")).to_string();
        assert!(text("AccessDenied").contains("sqs:GetQueueAttributes"));
        assert!(!text("SignatureDoesNotMatch").contains("AKIA"));
    }

    #[test]
    fn a_source_name_has_no_address() {
        let name = source_name(
            "https://user:secret@sqs.example/1/orders?token=x",
            "eu-west-1",
        );
        assert_eq!(name, "SQS queue orders in eu-west-1");
    }
}
