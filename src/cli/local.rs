//! `slipway local`: the same engine with no cluster, Jobs as processes.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use jiff::SignedDuration;

/// Run Jobs and ScaledJobs from files, as processes on this machine.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct Args {
    /// Files or folders with ScaledJobs, Jobs, TriggerAuthentications, Secrets and ConfigMaps
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Folder that remembers Jobs between runs
    #[arg(
        long,
        value_name = "DIR",
        default_value = ".slipway",
        env = "SLIPWAY_STATE"
    )]
    pub state: PathBuf,
    /// End when nothing is left to do; exit 0 only if every Job succeeded
    #[arg(long, env = "SLIPWAY_UNTIL_IDLE")]
    pub until_idle: bool,
    /// Pause after the first failed Pod; doubles up to 10m
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "10s",
        value_parser = duration,
        env = "SLIPWAY_BACKOFF_BASE"
    )]
    pub backoff_base: Duration,
    /// Containers that run at once [default: 4 for each core]
    #[arg(long, value_name = "N", env = "SLIPWAY_MAX_PROCESSES")]
    pub max_processes: Option<NonZeroU32>,
}

impl Args {
    /// `--max-processes`, or four for each core: Jobs wait more than they compute.
    pub fn max_processes(&self) -> NonZeroU32 {
        self.max_processes.unwrap_or_else(|| {
            let cores = std::thread::available_parallelism()
                .ok()
                .and_then(|cores| NonZeroU32::try_from(cores).ok())
                .unwrap_or(NonZeroU32::MIN);
            cores.saturating_mul(NonZeroU32::MIN.saturating_add(3))
        })
    }
}

/// A duration as Go writes it: `10s`, `1m30s`, `500ms`.
fn duration(text: &str) -> Result<Duration, String> {
    let right = "must be a duration such as 10s, 1m30s or 500ms";
    let duration: SignedDuration = text.parse().map_err(|_| right.to_owned())?;
    Duration::try_from(duration).map_err(|_| right.to_owned())
}

pub mod show;
pub mod table;

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Command {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn durations_are_written_as_in_go_and_are_not_negative() {
        let parsed = |text: &str| {
            let words = ["local", "a.yaml", "--backoff-base", text];
            Command::try_parse_from(words).map(|command| command.args.backoff_base)
        };
        assert_eq!(parsed("1m30s").unwrap(), Duration::from_secs(90));
        assert_eq!(parsed("50ms").unwrap(), Duration::from_millis(50));
        for wrong in ["-1s", "5", "soon", ""] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn files_are_needed_and_the_rest_has_defaults() {
        assert!(Command::try_parse_from(["local"]).is_err());
        let args = Command::try_parse_from(["local", "a.yaml"]).unwrap().args;
        assert_eq!(args.state, PathBuf::from(".slipway"));
        assert!(!args.until_idle);
        assert_eq!(args.backoff_base, Duration::from_secs(10));
        assert!(args.max_processes().get() >= 4);
    }
}
