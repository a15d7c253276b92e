//! One live source for each thing that is looked at, one read for all who ask.
//!
//! Triggers with the same source and identity share a client and a poll; a poll
//! holds raw answers, and each trigger counts for itself. Everything is held by
//! the triggers alone: when the last of them goes, its poll, client and login go
//! too. Where users may send us is checked here, before anything is sent.

use std::path::PathBuf;
use std::sync::Arc;

use aws_smithy_runtime_api::client::http::SharedHttpClient;
use prometheus_client::registry::Registry;
use url::Url;

use crate::address::{self, HostProof, HttpsProxy, Rules};
use crate::resource::SourceSpec;
use crate::resource::aws::AwsIdentity;
use crate::resource::eventbridge::Counted;
use crate::resource::external::Scaler;
use crate::resource::kafka::{Group, Sasl};
use crate::resource::sqs::Queue;
use crate::source::aws::{self, Login, RoleSettings};
use crate::source::eventbridge::Occurrences;
use crate::source::external::tls::Roots;
use crate::source::metrics::Metrics;
use crate::source::shared::Interned;
use crate::source::{Connect, Error, Source, eventbridge, external, kafka, sqs};

/// What the operator decides for all sources.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// `--allow-address`: hosts, IP addresses, or `*.` and a domain.
    pub allow_address: Vec<String>,
    /// `--allow-identity`: hosts, IP addresses, or `*.` and a domain.
    pub allow_identity: Vec<String>,
    /// The proxy of AWS and of OAuth's servers.
    pub proxy: Option<HttpsProxy>,
    /// Loopback addresses are right (`slipway local`).
    pub allow_loopback: bool,
    /// `AWS_WEB_IDENTITY_TOKEN_FILE`.
    pub web_identity_token_file: Option<PathBuf>,
    /// In place of AWS's own STS when roles are assumed; the SDK reads `AWS_ENDPOINT_URL_STS` by itself.
    pub sts_endpoint: Option<String>,
}

/// Every source that somebody looks at.
pub struct Pool {
    rules: Rules,
    role_settings: RoleSettings,
    metrics: Metrics,
    http: SharedHttpClient,
    /// For credentials of our own.
    identity_http: SharedHttpClient,
    guarded_http: SharedHttpClient,
    logins: Interned<Login>,
    sqs_clients: Interned<sqs::client::SqsClient>,
    sqs_polls: Interned<sqs::QueuePoll>,
    kafka_clients: Interned<kafka::client::KafkaClient>,
    kafka_polls: Interned<kafka::OffsetsPoll>,
    scaler_roots: Roots,
    scaler_clients: Interned<external::client::ScalerClient>,
    scaler_polls: Interned<external::ScalerPoll>,
    occurrences: Option<Arc<dyn Occurrences>>,
}

/// How much is held at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Live {
    /// AWS identities, each in a region.
    pub logins: usize,
    /// Clients of SQS, of Kafka and of external scalers.
    pub clients: usize,
    /// Queues, topics of groups, and metrics of external scalers, that are looked at.
    pub polls: usize,
}

impl Pool {
    /// A pool that holds nothing yet.
    pub fn new(settings: Settings) -> Self {
        let rules = Rules::new(settings.allow_address, settings.allow_loopback)
            .showing_identity(settings.allow_identity)
            .through(settings.proxy);
        let role_settings = RoleSettings {
            web_identity_token_file: settings.web_identity_token_file,
            sts_endpoint: settings.sts_endpoint,
        };
        Self::with(rules, role_settings)
    }

    /// A pool for those who ask what no flag would allow: it refuses nothing else. Nobody reads from its sources.
    pub fn most_generous() -> Self {
        Self::with(Rules::most_generous(), RoleSettings::default())
    }

    fn with(rules: Rules, role_settings: RoleSettings) -> Self {
        Self {
            role_settings,
            metrics: Metrics::default(),
            http: aws::http(&rules),
            identity_http: aws::identity_http(&rules),
            guarded_http: aws::guarded_http(&rules),
            rules,
            logins: Interned::default(),
            sqs_clients: Interned::default(),
            sqs_polls: Interned::default(),
            kafka_clients: Interned::default(),
            kafka_polls: Interned::default(),
            scaler_roots: Roots::default(),
            scaler_clients: Interned::default(),
            scaler_polls: Interned::default(),
            occurrences: None,
        }
    }

    /// The pool, with somebody to count the Jobs of EventJobs.
    #[must_use]
    pub fn counting(mut self, occurrences: Arc<dyn Occurrences>) -> Self {
        self.occurrences = Some(occurrences);
        self
    }

    /// Registers the room's metrics; the caller chooses the prefix.
    pub fn register(&self, registry: &mut Registry) {
        self.metrics.register(registry);
    }

    /// The room's metrics.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// How much is held at this moment.
    pub fn live(&self) -> Live {
        Live {
            logins: self.logins.live(),
            clients: self.sqs_clients.live()
                + self.kafka_clients.live()
                + self.scaler_clients.live(),
            polls: self.sqs_polls.live() + self.kafka_polls.live() + self.scaler_polls.live(),
        }
    }

    /// The source of one trigger. Nothing is sent before the first read.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for an address that users may not send us to, for our
    /// own credentials at an address that is not AWS's, and for what this build
    /// cannot do.
    pub fn connect(&self, spec: &SourceSpec) -> Result<Arc<dyn Source>, Error> {
        match spec {
            SourceSpec::Sqs(queue) => self.connect_sqs(queue),
            SourceSpec::Kafka(group) => self.connect_kafka(group),
            SourceSpec::EventBridge(counted) => self.connect_event_job(counted),
            SourceSpec::External(scaler) => self.connect_scaler(scaler),
        }
    }

    fn connect_event_job(&self, counted: &Counted) -> Result<Arc<dyn Source>, Error> {
        let occurrences = self.occurrences.as_ref().ok_or_else(|| Error::Invalid {
            source_name: eventbridge::source_name(&counted.event_job),
            detail: "no EventJobs are looked after here".to_owned(),
        })?;
        let meter = self.metrics.meter(eventbridge::KIND);
        let jobs = eventbridge::Jobs::new(counted.clone(), Arc::clone(occurrences), meter);
        Ok(Arc::new(jobs))
    }

    fn connect_scaler(&self, scaler: &Scaler) -> Result<Arc<dyn Source>, Error> {
        let endpoint = &scaler.endpoint;
        let invalid = |detail| Error::Invalid {
            source_name: external::client::source_name(endpoint),
            detail,
        };
        self.rules.check_host(&endpoint.host).map_err(invalid)?;
        let client = self.scaler_clients.try_get_or_make(
            (&endpoint.host, endpoint.port),
            |client| client.is(endpoint),
            || {
                let rules = self.rules.clone();
                external::client::ScalerClient::new(endpoint.clone(), rules, &self.scaler_roots)
            },
        );
        let client = client.map_err(invalid)?;
        let poll = self.scaler_polls.get_or_make(
            (Arc::as_ptr(&client), &scaler.object),
            |poll| poll.is(scaler, &client),
            || {
                let meter = self.metrics.meter(external::KIND);
                external::ScalerPoll::new(scaler, Arc::clone(&client), meter)
            },
        );
        Ok(Arc::new(external::View::new(poll, scaler.pushes)))
    }

    fn connect_sqs(&self, queue: &Queue) -> Result<Arc<dyn Source>, Error> {
        self.check_sqs(queue).map_err(|detail| Error::Invalid {
            source_name: sqs::client::source_name(&queue.queue_url, &queue.region),
            detail,
        })?;
        let endpoint = queue.endpoint.as_deref();
        let client = self.sqs_clients.get_or_make(
            (&queue.region, endpoint, &queue.identity),
            |client| client.is(&queue.region, endpoint, &queue.identity),
            || {
                let endpoint = endpoint.map(|url| sqs::client::CustomEndpoint {
                    url: url.to_owned(),
                    http: self.guarded_http.clone(),
                });
                let login = self.login(&queue.identity, &queue.region);
                sqs::client::SqsClient::new(
                    queue.region.clone(),
                    endpoint,
                    queue.identity.clone(),
                    login,
                )
            },
        );
        let poll = self.sqs_polls.get_or_make(
            (Arc::as_ptr(&client), &queue.queue_url),
            |poll| poll.is(&queue.queue_url, &client),
            || {
                let meter = self.metrics.meter(sqs::KIND);
                sqs::QueuePoll::new(queue.queue_url.clone(), Arc::clone(&client), meter)
            },
        );
        Ok(Arc::new(sqs::Depth::new(poll, queue)))
    }

    fn check_sqs(&self, queue: &Queue) -> Result<(), String> {
        let ours = aws::is_ours(&queue.identity);
        if (ours || queue.endpoint.is_none()) && !address::is_region(&queue.region) {
            return Err("awsRegion must be a region's name, such as eu-west-1".to_owned());
        }
        let Some(endpoint) = &queue.endpoint else {
            return Ok(());
        };
        let (scheme, host) = web_address(endpoint).map_err(|what| format!("awsEndpoint {what}"))?;
        self.rules.check_host(&host)?;
        if !ours {
            return Ok(());
        }
        let proof = match scheme.as_str() {
            "https" => HostProof::PublicRoots,
            _ => HostProof::Nothing,
        };
        self.rules
            .check_identity(&host, address::is_sqs_of_aws(&host), proof)
            .map_err(|why| format!("awsEndpoint: {why}"))
    }

    fn connect_kafka(&self, group: &Group) -> Result<Arc<dyn Source>, Error> {
        self.check_kafka(group).map_err(|detail| Error::Invalid {
            source_name: kafka::source_name(group),
            detail,
        })?;
        let client = self.kafka_clients.get_or_make(
            &group.cluster.bootstrap_servers,
            |client| client.is(&group.cluster),
            || {
                let login = match &group.cluster.sasl {
                    Sasl::MskIam { region, identity } => Some(self.login(identity, region)),
                    _ => None,
                };
                kafka::client::KafkaClient::new(group.cluster.clone(), self.rules.clone(), login)
            },
        );
        let poll = self.kafka_polls.get_or_make(
            (Arc::as_ptr(&client), &group.group, &group.topics),
            |poll| poll.is(group, &client),
            || kafka::OffsetsPoll::new(group, Arc::clone(&client), self.metrics.meter(kafka::KIND)),
        );
        Ok(Arc::new(kafka::GroupLag::new(poll, group.rules)))
    }

    fn check_kafka(&self, group: &Group) -> Result<(), String> {
        let cluster = &group.cluster;
        let mut hosts = Vec::new();
        for server in &cluster.bootstrap_servers {
            let host = kafka::client::host_of(server).ok_or_else(|| {
                "bootstrapServers must be host:port, several separated by commas".to_owned()
            })?;
            self.rules.check_host(host)?;
            hosts.push(host);
        }
        match &cluster.sasl {
            Sasl::Gssapi => Err("this build has no Kerberos: sasl may be none, plaintext, scram_sha256, scram_sha512 or oauthbearer".to_owned()),
            Sasl::OauthBearer {
                token_endpoint,
                extensions,
                ..
            } => {
                if !extensions.is_empty() {
                    return Err("this build cannot send oauthExtensions; leave them out".to_owned());
                }
                let (_, host) = web_address(token_endpoint)
                    .map_err(|what| format!("oauthTokenEndpointUri {what}"))?;
                self.rules.check_host(&host)
            }
            Sasl::MskIam { region, identity } => {
                if !address::is_region(region) {
                    return Err("awsRegion must be a region's name, such as eu-west-1".to_owned());
                }
                if !aws::is_ours(identity) {
                    return Ok(());
                }
                let proof = kafka::config::proof(cluster.tls.as_ref());
                hosts.iter().try_for_each(|host| {
                    self.rules
                        .check_identity(host, address::is_msk_of_aws(host), proof)
                })
            }
            _ => Ok(()),
        }
    }

    fn login(&self, identity: &AwsIdentity, region: &str) -> Arc<Login> {
        let http = if aws::is_ours(identity) {
            &self.identity_http
        } else {
            &self.http
        };
        self.logins.get_or_make(
            (identity, region),
            |login| login.is(identity, region),
            || {
                Login::new(
                    identity.clone(),
                    region.to_owned(),
                    self.role_settings.clone(),
                    http.clone(),
                )
            },
        )
    }
}

impl Connect for Pool {
    fn connect(&self, spec: &SourceSpec) -> Result<Arc<dyn Source>, Error> {
        Pool::connect(self, spec)
    }
}

/// Scheme and host of an address over HTTP.
fn web_address(text: &str) -> Result<(String, String), &'static str> {
    let url = Url::parse(text).map_err(|_| "must be an address such as https://host:port")?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("must begin with http:// or https://");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not hold a user name or password");
    }
    let host = url.host_str().ok_or("must name a host")?;
    Ok((url.scheme().to_owned(), host.to_owned()))
}
