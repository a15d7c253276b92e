//! Logs and the registry of metrics.

use std::io::IsTerminal as _;

use prometheus_client::registry::Registry;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::{LogFormat, Speech};

/// Libraries that log what we handle and log ourselves (the watches), or whose details hold credentials
/// (the AWS SDK's), whatever level is asked for. Only a filter that names them wins over this.
const QUIET: &str = "kube_runtime=error,aws=info";

/// Starts logging to standard error.
///
/// # Errors
///
/// A text that says what is wrong with `--log`.
pub fn start(
    speech: &Speech,
    default_format: LogFormat,
    default_filter: &str,
) -> Result<(), String> {
    let filter = speech.log.as_deref().unwrap_or(default_filter);
    let filter = EnvFilter::try_new(format!("{QUIET},{filter}")).map_err(|error| {
        format!("--log {filter:?}: {error}; write error, warn, info, debug, trace or target=level")
    })?;
    let registry = tracing_subscriber::registry().with(filter);
    let layer = fmt::layer().with_writer(std::io::stderr);
    let started = match speech.log_format.unwrap_or(default_format) {
        LogFormat::Json => registry.with(layer.json().flatten_event(true)).try_init(),
        LogFormat::Text => registry
            .with(
                layer
                    .with_ansi(std::io::stderr().is_terminal())
                    .with_target(false),
            )
            .try_init(),
    };
    started.map_err(|error| error.to_string())
}

/// A registry whose every name begins with `slipway_`.
pub fn registry() -> Registry {
    Registry::with_prefix("slipway")
}
