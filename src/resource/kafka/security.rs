//! TLS and SASL of `kafka` and `apache-kafka` triggers: one set of parameters,
//! two sets of rules.

use crate::resource::aws;
use crate::resource::kafka::{Credentials, KafkaTls, Sasl};
use crate::resource::metadata::ParameterOrigin::{Authentication, Metadata};
use crate::resource::metadata::{Parameters, text};

/// Who the client is towards the brokers.
pub(super) struct Security {
    pub(super) tls: Option<KafkaTls>,
    pub(super) sasl: Sasl,
}

/// The rules of `kafka`: what metadata says goes before what the TriggerAuthentication says.
pub(super) fn of_kafka(parameters: &mut Parameters<'_>) -> Option<Security> {
    let skip_verification = parameters
        .read("unsafeSsl", &[Metadata], text::boolean)
        .unwrap_or(false);
    let tls = tls(parameters, skip_verification);
    let mechanisms = [
        "none",
        "plaintext",
        "scram_sha256",
        "scram_sha512",
        "oauthbearer",
        "gssapi",
    ];
    let sasl = parameters
        .read("sasl", &[Metadata, Authentication], |text| {
            text::one_of(text, &mechanisms)
        })
        .unwrap_or("none");
    let provider = parameters
        .read("saslTokenProvider", &[Metadata, Authentication], |text| {
            text::one_of(text, &["bearer", "aws_msk_iam"])
        })
        .unwrap_or("bearer");
    let region = parameters.text("awsRegion", &[Metadata]);
    parameters.text("awsEndpoint", &[Metadata]);
    // Read for its form only: this build has no Kerberos to tell it to.
    parameters.read("kerberosDisableFAST", &[Authentication], text::boolean);
    let sasl = match (sasl, provider) {
        ("plaintext", _) => Sasl::Plain(credentials(parameters)?),
        ("scram_sha256", _) => Sasl::ScramSha256(credentials(parameters)?),
        ("scram_sha512", _) => Sasl::ScramSha512(credentials(parameters)?),
        ("oauthbearer", "aws_msk_iam") => msk_iam(parameters, tls.is_some(), region)?,
        ("oauthbearer", "bearer") => oauth_bearer(parameters)?,
        ("oauthbearer", _) => {
            parameters.fault(
                "saslTokenProvider",
                "expected one of bearer, aws_msk_iam, not both",
            );
            return None;
        }
        ("gssapi", _) => {
            check_kerberos(parameters);
            Sasl::Gssapi
        }
        // `none`, and what KEDA lets through and matches to nothing, such as `none,plaintext`.
        _ => Sasl::None,
    };
    Some(Security { tls, sasl })
}

/// The rules of `apache-kafka`: `sasl` and `tls` in one place only, no OAuth, and names only enforced for `plaintext`.
pub(super) fn of_apache_kafka(parameters: &mut Parameters<'_>) -> Option<Security> {
    for name in ["sasl", "tls"] {
        let twice = parameters.find(&[name], &[Metadata]).is_some()
            && parameters.find(&[name], &[Authentication]).is_some();
        if twice {
            parameters.fault(
                name,
                "is set in metadata and in the TriggerAuthentication; set it in one of them",
            );
        }
    }
    let tls = tls(parameters, false);
    let mechanisms = [
        "none",
        "plaintext",
        "scram_sha256",
        "scram_sha512",
        "gssapi",
        "aws_msk_iam",
    ];
    let sasl = parameters
        .read("sasl", &[Metadata, Authentication], |text| {
            text::one_of(text, &mechanisms)
        })
        .unwrap_or("none");
    let region = parameters.text("awsRegion", &[Metadata]);
    parameters.text("awsEndpoint", &[Metadata]);
    let sasl = match sasl {
        "plaintext" => Sasl::Plain(credentials(parameters)?),
        "scram_sha256" => Sasl::ScramSha256(unenforced_credentials(parameters)),
        "scram_sha512" => Sasl::ScramSha512(unenforced_credentials(parameters)),
        "aws_msk_iam" => msk_iam(parameters, tls.is_some(), region)?,
        "gssapi" => Sasl::Gssapi,
        _ => Sasl::None,
    };
    Some(Security { tls, sasl })
}

fn tls(parameters: &mut Parameters<'_>, skip_verification: bool) -> Option<KafkaTls> {
    let enabled = parameters.read("tls", &[Metadata, Authentication], |text| {
        text::one_of(text, &["enable", "disable"])
    });
    if enabled != Some("enable") {
        return None;
    }
    let cert = parameters.secret("cert");
    let key = parameters.secret("key");
    let client = match (cert, key) {
        (Some(cert), Some(key)) => Some((cert, key)),
        (None, None) => None,
        (Some(_), None) => {
            parameters.fault_in_authentication("key is missing; cert and key come together");
            None
        }
        (None, Some(_)) => {
            parameters.fault_in_authentication("cert is missing; cert and key come together");
            None
        }
    };
    Some(KafkaTls {
        ca: parameters.secret("ca"),
        client,
        key_password: parameters.secret("keyPassword"),
        skip_verification,
    })
}

fn credentials(parameters: &mut Parameters<'_>) -> Option<Credentials> {
    let username = parameters.required_secret("username");
    let password = parameters.required_secret("password");
    Some(Credentials {
        username: username?,
        password: password?,
    })
}

/// KEDA builds this client without a name or a password too, and the brokers then refuse it.
fn unenforced_credentials(parameters: &mut Parameters<'_>) -> Credentials {
    let username = parameters.secret("username");
    let password = parameters.secret("password");
    if username.is_none() || password.is_none() {
        parameters.warn_in_authentication(
            "SCRAM without username and password: the brokers will refuse it",
        );
    }
    Credentials {
        username: username.unwrap_or_default(),
        password: password.unwrap_or_default(),
    }
}

fn oauth_bearer(parameters: &mut Parameters<'_>) -> Option<Sasl> {
    let credentials = credentials(parameters);
    let token_endpoint = parameters.required("oauthTokenEndpointUri", &[Authentication]);
    let scopes = parameters
        .text("scopes", &[Authentication])
        .unwrap_or_default();
    let extensions = parameters
        .read("oauthExtensions", &[Authentication], text::map)
        .unwrap_or_default();
    Some(Sasl::OauthBearer {
        credentials: credentials?,
        token_endpoint: token_endpoint?.text.to_owned(),
        scopes: scopes.split(',').map(str::to_owned).collect(),
        extensions,
    })
}

fn msk_iam(parameters: &mut Parameters<'_>, tls: bool, region: Option<String>) -> Option<Sasl> {
    if !tls {
        parameters.fault("tls", "aws_msk_iam needs TLS; set tls: enable");
    }
    if region.is_none() {
        parameters.fault(
            "awsRegion",
            "is missing; aws_msk_iam signs for one region, such as eu-west-1",
        );
    }
    let identity = aws::identity(parameters);
    Some(Sasl::MskIam {
        region: region?,
        identity: identity?,
    })
}

fn check_kerberos(parameters: &mut Parameters<'_>) {
    for name in ["username", "realm", "kerberosConfig"] {
        parameters.required_secret(name);
    }
    match (parameters.secret("password"), parameters.secret("keytab")) {
        (None, None) => parameters
            .fault_in_authentication("gssapi needs a password or a keytab; neither is given"),
        (Some(_), Some(_)) => parameters
            .fault_in_authentication("gssapi takes a password or a keytab; both are given"),
        _ => {}
    }
}
