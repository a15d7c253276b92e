//! Flags and environment → [`Config`]. Nobody else reads the environment.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Settings of `slipway run`. Each flag has an environment variable of the same name with `SLIPWAY_` before it.
#[derive(Debug, Clone, clap::Args)]
pub struct Config {
    /// Namespaces whose objects are acted on [default: the one of the kubeconfig or the Pod]
    #[arg(
        short,
        long,
        env = "SLIPWAY_NAMESPACES",
        value_delimiter = ',',
        value_name = "A,B"
    )]
    pub namespaces: Vec<String>,

    /// Act on the objects of every namespace
    #[arg(long, env = "SLIPWAY_ALL_NAMESPACES", conflicts_with = "namespaces")]
    pub all_namespaces: bool,

    /// Address for events: POST /events/{namespace}/{name}
    #[arg(long, env = "SLIPWAY_HTTP", value_name = "ADDRESS", default_value = ":8080", value_parser = address)]
    pub http: SocketAddr,

    /// Certificate chain of --http, PEM; the port then speaks TLS alone. Read again when it changes
    #[arg(
        long,
        env = "SLIPWAY_HTTP_TLS_CERT",
        value_name = "FILE",
        requires = "http_tls_key"
    )]
    pub http_tls_cert: Option<PathBuf>,

    /// Private key of --http-tls-cert, PEM
    #[arg(
        long,
        env = "SLIPWAY_HTTP_TLS_KEY",
        value_name = "FILE",
        requires = "http_tls_cert"
    )]
    pub http_tls_key: Option<PathBuf>,

    /// Address for KEDA's `external` and `external-push` triggers (gRPC)
    #[arg(long, env = "SLIPWAY_GRPC", value_name = "ADDRESS", default_value = ":6000", value_parser = address)]
    pub grpc: SocketAddr,

    /// Certificate chain of --grpc, PEM; TLS is on when it is given. Read again when it changes
    #[arg(
        long,
        env = "SLIPWAY_GRPC_TLS_CERT",
        value_name = "FILE",
        requires = "grpc_tls_key"
    )]
    pub grpc_tls_cert: Option<PathBuf>,

    /// Private key of --grpc-tls-cert, PEM
    #[arg(
        long,
        env = "SLIPWAY_GRPC_TLS_KEY",
        value_name = "FILE",
        requires = "grpc_tls_cert"
    )]
    pub grpc_tls_key: Option<PathBuf>,

    /// Certificates of authorities, PEM: callers of --grpc need a certificate of one of them. Its URI name
    /// spiffe://DOMAIN/ns/NAMESPACE proves a namespace, whose TriggerAuthentications it may then use
    #[arg(
        long,
        env = "SLIPWAY_GRPC_CLIENT_CA",
        value_name = "FILE",
        requires = "grpc_tls_cert"
    )]
    pub grpc_client_ca: Option<PathBuf>,

    /// Connections that callers of --grpc may use by name: a list of name, namespaces, metadata, authentication.
    /// Read again when it changes
    #[arg(long, env = "SLIPWAY_CONNECTIONS", value_name = "FILE")]
    pub connections: Option<PathBuf>,

    /// How long one reading serves every caller of --grpc
    #[arg(long, env = "SLIPWAY_READING_FRESHNESS", value_name = "DURATION", default_value = "5s", value_parser = duration)]
    pub reading_freshness: Duration,

    /// How long the last good reading serves them while its source cannot be read; then calls fail
    #[arg(long, env = "SLIPWAY_READING_MAX_AGE", value_name = "DURATION", default_value = "1m", value_parser = duration)]
    pub reading_max_age: Duration,

    /// Address for /livez, /readyz and /metrics
    #[arg(long, env = "SLIPWAY_HEALTH", value_name = "ADDRESS", default_value = ":9090", value_parser = address)]
    pub health: SocketAddr,

    /// Folder in which records of decisions and answers outlive the process; 64 MiB at most. For `explain` and `replay`
    #[arg(long, env = "SLIPWAY_HISTORY", value_name = "DIR")]
    pub history: Option<PathBuf>,

    /// Memory for such records, the last 100 of an object at most
    #[arg(long, env = "SLIPWAY_HISTORY_MEMORY", value_name = "SIZE", default_value = "16MiB", value_parser = size)]
    pub history_memory: usize,

    /// Address of the status page and its API, for loopback and `kubectl port-forward` [default: none]
    #[arg(long, env = "SLIPWAY_ADMIN", value_name = "ADDRESS", value_parser = address)]
    pub admin: Option<SocketAddr>,

    /// Who may ask it for what.
    #[command(flatten)]
    pub admin_access: AdminAccess,

    /// The cluster.
    #[command(flatten)]
    pub cluster: ClusterTarget,

    /// Namespace in which Secrets of a `ClusterTriggerAuthentication` lie [default: our own]
    #[arg(long, env = "SLIPWAY_CLUSTER_NAMESPACE", value_name = "NAMESPACE")]
    pub cluster_namespace: Option<String>,

    /// Host pattern (`*.internal`, `127.0.0.1`) that may be called although it is loopback, link-local or a metadata service; and that callers of --grpc may name, who may name hosts of AWS alone otherwise. May be given several times
    #[arg(
        long,
        env = "SLIPWAY_ALLOW_ADDRESS",
        value_delimiter = ',',
        value_name = "PATTERN"
    )]
    pub allow_address: Vec<String>,

    /// Host pattern that may see our own AWS identity (`*.api.aws`, `sqs.internal`), which otherwise goes only to AWS's own services under amazonaws.com and amazonaws.com.cn. TLS must verify, but on loopback. It does not let anybody call the host: that is --allow-address. May be given several times
    #[arg(
        long,
        env = "SLIPWAY_ALLOW_IDENTITY",
        value_delimiter = ',',
        value_name = "PATTERN"
    )]
    pub allow_identity: Vec<String>,

    /// How long the Job of an event stays after its event was noted down as seen; 2m at least. It must outlast a create
    /// that is still under way somewhere
    #[arg(long, env = "SLIPWAY_LEDGER_GRACE", value_name = "DURATION", default_value = "10m", value_parser = duration)]
    pub ledger_grace: Duration,

    /// Run CronJobs in place that have both `suspend: true` and the annotation slipway.dev/managed: "true". It needs rights
    /// of its own on cronjobs
    #[arg(long, env = "SLIPWAY_CRON_JOBS_IN_PLACE")]
    pub cron_jobs_in_place: bool,

    /// Lead without asking for the Lease. For tests of what happens when two do.
    #[arg(long, env = "SLIPWAY_LEAD", hide = true)]
    pub lead: bool,

    /// How long events and KEDA are served as before after the first SIGTERM, while /readyz says no: load balancers and
    /// Services need that time to send elsewhere. Then the ports close
    #[arg(long, env = "SLIPWAY_SHUTDOWN_DELAY", value_name = "DURATION", default_value = "5s", value_parser = duration)]
    pub shutdown_delay: Duration,

    /// How long to wait after that for turns and events under way
    #[arg(long, env = "SLIPWAY_DRAIN_TIMEOUT", value_name = "DURATION", default_value = "20s", value_parser = duration)]
    pub drain_timeout: Duration,

    /// How long a Job of the last round that nobody has seen counts as unfinished, and how old a finished Job is before
    /// a history limit removes it. Less than a minute is for tests: the API server may still make a Job whose create it
    /// was sent that long ago.
    #[arg(long, env = "SLIPWAY_UNSEEN_GRACE", value_name = "DURATION", default_value = "1m", value_parser = duration, hide = true)]
    pub unseen_grace: Duration,
}

/// Who may ask the status page for what.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
pub struct AdminAccess {
    /// Name that requests to --admin may have as their Host, beside localhost and loopback addresses. May be given several times
    #[arg(
        long,
        env = "SLIPWAY_ADMIN_HOST",
        value_delimiter = ',',
        value_name = "NAME"
    )]
    pub admin_host: Vec<String>,

    /// Let the status page start Jobs: whoever has the token may trigger schedules, and run Jobs again that failed
    #[arg(long, env = "SLIPWAY_ADMIN_WRITE")]
    pub admin_write: bool,

    /// File with the token of --admin-write, 16 letters at least. Read again for each write
    #[arg(
        long,
        env = "SLIPWAY_ADMIN_TOKEN_FILE",
        value_name = "FILE",
        requires = "admin_write"
    )]
    pub admin_token_file: Option<PathBuf>,
}

impl AdminAccess {
    /// Whether the token can be known.
    ///
    /// # Errors
    ///
    /// What would be right, in words.
    pub fn check_token(&self) -> Result<(), String> {
        if self.admin_write && self.admin_token_file.is_none() {
            return Err("--admin-write needs --admin-token-file: a file with the token that writes must show".to_owned());
        }
        Ok(())
    }

    /// The token; `None` when writes are off or it is not in a file.
    ///
    /// # Errors
    ///
    /// Why it is not known, in words.
    pub fn token(&self) -> Result<Option<secrecy::SecretString>, String> {
        /// Nobody guesses so many letters.
        const SHORTEST: usize = 16;
        let Some(file) = self.admin_token_file.as_ref().filter(|_| self.admin_write) else {
            return Ok(None);
        };
        let shown = file.display();
        let text = std::fs::read_to_string(file).map_err(|error| {
            format!("the file {shown} of --admin-token-file cannot be read: {error}")
        })?;
        let token = text.trim();
        if token.len() < SHORTEST {
            return Err(format!(
                "the token in {shown} is shorter than {SHORTEST} letters"
            ));
        }
        Ok(Some(token.into()))
    }
}

/// Which cluster a command talks to.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
pub struct ClusterTarget {
    /// kubeconfig to use [default: $KUBECONFIG, then ~/.kube/config, then the Pod's own ServiceAccount]
    #[arg(long, env = "SLIPWAY_KUBECONFIG", value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,

    /// Context of the kubeconfig [default: its current one]
    #[arg(long, env = "SLIPWAY_CONTEXT", value_name = "NAME")]
    pub context: Option<String>,
}

impl Config {
    /// How short `--ledger-grace` may be. A replica may believe a copy of the ledger that is a minute old, and a create may
    /// be applied a minute after it was sent: a Job that goes before both are over may be made twice.
    ///
    /// # Errors
    ///
    /// What would be right, in words.
    pub fn check_ledger_grace(&self) -> Result<(), String> {
        let shortest = self.unseen_grace * 2;
        if self.ledger_grace >= shortest {
            return Ok(());
        }
        Err(format!(
            "--ledger-grace is {} s, and must be at least {} s: a Job that goes earlier may be made twice",
            self.ledger_grace.as_secs(),
            shortest.as_secs()
        ))
    }
}

/// How the program speaks, for every command.
#[derive(Debug, Clone, clap::Args)]
pub struct Speech {
    /// Log lines as JSON, or as text [default: json for `run` off a terminal, text elsewhere]
    #[arg(
        long,
        env = "SLIPWAY_LOG_FORMAT",
        value_name = "json|text",
        global = true,
        help_heading = "Logging"
    )]
    pub log_format: Option<LogFormat>,

    /// What to log: error, warn, info, debug, trace, or a filter such as `info,slipway=debug`
    #[arg(
        long,
        env = "SLIPWAY_LOG",
        value_name = "FILTER",
        global = true,
        help_heading = "Logging"
    )]
    pub log: Option<String>,

    /// More of the log: `--log info,slipway=debug`
    #[arg(short, long, global = true, conflicts_with_all = ["quiet", "log"], help_heading = "Logging")]
    pub verbose: bool,

    /// Less of the log: `--log error`
    #[arg(
        short,
        long,
        global = true,
        conflicts_with = "log",
        help_heading = "Logging"
    )]
    pub quiet: bool,
}

impl Speech {
    /// What to log, when it is said.
    pub fn filter(&self) -> Option<&str> {
        match (&self.log, self.verbose, self.quiet) {
            (Some(log), ..) => Some(log),
            (None, true, _) => Some("info,slipway=debug"),
            (None, false, true) => Some("error"),
            (None, false, false) => None,
        }
    }
}

/// `--log-format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// Lines for people.
    Text,
}

/// What the AWS web identity of a Pod is, as its webhook put it into the environment (IRSA).
pub fn web_identity_token_file() -> Option<PathBuf> {
    variable("AWS_WEB_IDENTITY_TOKEN_FILE").map(PathBuf::from)
}

/// `HTTPS_PROXY` with `NO_PROXY`, in capitals or not, when there is a proxy.
pub fn https_proxy() -> Option<(String, String)> {
    let proxy = variable("HTTPS_PROXY").or_else(|| variable("https_proxy"))?;
    let except = variable("NO_PROXY").or_else(|| variable("no_proxy"));
    Some((proxy, except.unwrap_or_default()))
}

/// A variable of this process that an operator names in a connection.
pub fn secret(name: &str) -> Option<secrecy::SecretString> {
    variable(name).map(secrecy::SecretString::from)
}

/// Whether the terminal cannot move its cursor.
pub fn is_plain_terminal() -> bool {
    variable("TERM").is_some_and(|term| term == "dumb")
}

/// Whether nobody wants colours: <https://no-color.org>.
pub fn is_without_colour() -> bool {
    is_plain_terminal() || variable("NO_COLOR").is_some()
}

/// What this process is called where several of it run: the Pod's name.
pub fn instance() -> String {
    variable("HOSTNAME").unwrap_or_else(|| format!("slipway-{}", std::process::id()))
}

/// The values of those variables that are set.
pub fn values(names: &[&str]) -> BTreeMap<String, OsString> {
    let value = |name: &&str| Some(((*name).to_owned(), std::env::var_os(name)?));
    names.iter().filter_map(value).collect()
}

#[expect(
    clippy::disallowed_methods,
    reason = "this room is the one that reads the environment"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// A Go-style duration: `10s`, `1m30s`, `500ms`.
///
/// # Errors
///
/// A text that says what would have been right.
pub fn duration(text: &str) -> Result<Duration, String> {
    let parsed: jiff::SignedDuration = text
        .parse()
        .map_err(|_| format!("{text:?} is not a duration: write 10s, 1m30s or 500ms"))?;
    Duration::try_from(parsed)
        .map_err(|_| format!("{text:?} is negative: write 10s, 1m30s or 500ms"))
}

/// A number of bytes: `16MiB`, `512KiB`, `1048576`.
///
/// # Errors
///
/// A text that says what would have been right.
pub fn size(text: &str) -> Result<usize, String> {
    let wrong = || format!("{text:?} is not a size: write 16MiB, 512KiB or a number of bytes");
    let units = [("GiB", 30), ("MiB", 20), ("KiB", 10), ("", 0)];
    let (number, bits) = units
        .into_iter()
        .find_map(|(unit, bits)| Some((text.strip_suffix(unit)?, bits)))
        .ok_or_else(wrong)?;
    let number: usize = number.trim().parse().map_err(|_| wrong())?;
    number.checked_mul(1 << bits).ok_or_else(wrong)
}

/// `host:port`, or `:port` for every address.
///
/// # Errors
///
/// A text that says what would have been right.
pub fn address(text: &str) -> Result<SocketAddr, String> {
    let whole = if text.starts_with(':') {
        format!("0.0.0.0{text}")
    } else {
        text.to_owned()
    };
    whole
        .parse()
        .map_err(|_| format!("{text:?} is not an address: write :9090 or 127.0.0.1:9090"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_gos_and_never_negative() {
        assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert!(duration("-1s").unwrap_err().contains("negative"));
        assert!(duration("soon").unwrap_err().contains("write 10s"));
    }

    #[test]
    fn sizes_are_in_powers_of_two() {
        assert_eq!(size("16MiB"), Ok(16 << 20));
        assert_eq!(size("512 KiB"), Ok(512 << 10));
        assert_eq!(size("77"), Ok(77));
        assert!(size("16MB").unwrap_err().contains("16MiB"));
        assert!(size("99999999999GiB").is_err());
    }

    #[test]
    fn a_port_alone_listens_everywhere() {
        assert_eq!(address(":9090").unwrap(), "0.0.0.0:9090".parse().unwrap());
        assert_eq!(
            address("127.0.0.1:0").unwrap(),
            "127.0.0.1:0".parse().unwrap()
        );
        assert!(address("nine").is_err());
    }
}
