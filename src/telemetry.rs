//! Logs and the registry of metrics.

use std::io::{self, IsTerminal as _, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use prometheus_client::registry::Registry;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::{self, LogFormat, Speech};

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
    let filter = speech.filter().unwrap_or(default_filter);
    let filter = EnvFilter::try_new(format!("{QUIET},{filter}")).map_err(|error| {
        format!("--log {filter:?}: {error}; write error, warn, info, debug, trace or target=level")
    })?;
    let registry = tracing_subscriber::registry().with(filter);
    let layer = fmt::layer().with_writer(|| StandardError);
    let started = match speech.log_format.unwrap_or(default_format) {
        LogFormat::Json => registry.with(layer.json().flatten_event(true)).try_init(),
        LogFormat::Text => registry
            .with(
                layer
                    .with_ansi(std::io::stderr().is_terminal() && !config::is_without_colour())
                    .with_target(false),
            )
            .try_init(),
    };
    started.map_err(|error| error.to_string())
}

/// What was logged while somebody draws on the terminal; `None` when nobody does.
static HELD: Mutex<Option<Vec<u8>>> = Mutex::new(None);

fn held() -> MutexGuard<'static, Option<Vec<u8>>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

struct StandardError;

impl Write for StandardError {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match held().as_mut() {
            Some(held) => held.write(bytes),
            None => io::stderr().write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// Whoever has it shows the log in standard error's stead; the rest goes there when it is dropped.
#[derive(Debug)]
pub struct Hold(());

/// Keeps the log back from now on, if standard error is a terminal: two that write to one terminal spoil it.
pub fn hold() -> Hold {
    if io::stderr().is_terminal() {
        held().get_or_insert_default();
    }
    Hold(())
}

impl Hold {
    /// What was logged since the last time: whole lines.
    pub fn take(&self) -> String {
        let bytes = held().as_mut().map(std::mem::take).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let rest = held().take().unwrap_or_default();
        // A terminal that is gone takes no log.
        drop(io::stderr().write_all(&rest));
    }
}

/// A registry whose every name begins with `slipway_`.
pub fn registry() -> Registry {
    Registry::with_prefix("slipway")
}
