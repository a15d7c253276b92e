//! A container as processes that outlive this one.
//!
//! Each runs under a few lines of `sh` in a process group of its own. The shell
//! writes down its own id before it starts the command, and the command's exit
//! code after it; so whoever comes after a `kill -9` can tell what became of it.
//!
//! The log is the shell's standard output, and is locked when it is handed over:
//! the lock belongs to the open file, so it is held from the fork on for as long
//! as any of the processes lives, and by nobody afterwards. No process id, which
//! another process may have taken over, is asked whether it is alive.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::process::{Child, Command};
use tokio::time::Instant;

use super::environment::Invocation;

/// A log above this is moved to `….1`, so that a Pod keeps at most twice as much.
const LOG_BYTES: u64 = 64 << 20;

/// How often files and processes that are not our children are looked at.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How long SIGKILL may take; a process that left the group and holds the log is not waited for any longer.
const STRAGGLERS: Duration = Duration::from_secs(5);

/// `$1` and `$2`: the files for the ids and the exit code. The trap keeps the
/// shell alive through SIGTERM, so that it can tell how the command took it; a
/// command does not inherit it. A command that cannot be written down is not started.
const SHELL: &str = r#"trap : TERM INT HUP
{ read -r __slipway_stat </proc/$$/stat; } 2>/dev/null
printf '%s\n' "$$ $__slipway_stat" >"$1" || exit 125
__slipway_exit=$2
shift 2
"$@"
set -- $?
printf '%s\n' "$1" >"$__slipway_exit"
exit "$1"
"#;

/// The files of one container, at one of its attempts: a container that is restarted in its
/// Pod has a record of each, and one log.
#[derive(Debug, Clone)]
pub(super) struct ProcessFiles {
    /// Standard output and error.
    pub(super) log: PathBuf,
    /// How often it was restarted before.
    pub(super) attempt: u32,
    /// The path of its records, without their endings.
    stem: PathBuf,
    /// Process id, and on Linux its line in `/proc`.
    process: PathBuf,
    /// Exit code and a line feed.
    exit: PathBuf,
}

/// What is known of a container from its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ProcessState {
    /// Its command was never started.
    Fresh,
    /// It runs.
    Running,
    /// Its command ended with this code; 128 and the signal's number if one ended it.
    Exited(i32),
    /// It was started, does not run, and nobody knows how it ended.
    Lost,
}

impl ProcessFiles {
    /// The files of a container in a Pod's folder; the first container's log is `log`.
    pub(super) fn new(pod: &Path, container: &str, first: bool) -> Self {
        let log = if first {
            "log".to_owned()
        } else {
            format!("{container}.log")
        };
        Self::of(pod.join(log), pod.join(container), 0)
    }

    fn of(log: PathBuf, stem: PathBuf, attempt: u32) -> Self {
        let record = |ending: &str| {
            let number = match attempt {
                0 => String::new(),
                _ => format!(".{attempt}"),
            };
            let mut path = stem.clone().into_os_string();
            path.push(format!("{number}.{ending}"));
            PathBuf::from(path)
        };
        Self {
            log,
            attempt,
            process: record("process"),
            exit: record("exit"),
            stem,
        }
    }

    /// The files of the next attempt.
    pub(super) fn next(&self) -> Self {
        Self::of(
            self.log.clone(),
            self.stem.clone(),
            self.attempt.saturating_add(1),
        )
    }

    /// The files of the last attempt that was begun.
    pub(super) fn latest(self) -> Self {
        let mut latest = self;
        loop {
            let next = latest.next();
            if !next.process.exists() && !next.exit.exists() {
                return latest;
            }
            latest = next;
        }
    }

    /// When the command's exit code was written.
    pub(super) fn ended_at(&self) -> Option<jiff::Timestamp> {
        let modified = std::fs::metadata(&self.exit).ok()?.modified().ok()?;
        jiff::Timestamp::try_from(modified).ok()
    }

    /// What became of the container.
    ///
    /// # Errors
    ///
    /// Files that cannot be read.
    pub(super) fn state(&self) -> io::Result<ProcessState> {
        if let Some(code) = self.exit_code()? {
            return Ok(ProcessState::Exited(code));
        }
        if self.is_locked()? && !self.is_provably_gone()? {
            return Ok(ProcessState::Running);
        }
        // It may have ended between the two looks.
        if let Some(code) = self.exit_code()? {
            return Ok(ProcessState::Exited(code));
        }
        Ok(if self.process.try_exists()? {
            ProcessState::Lost
        } else {
            ProcessState::Fresh
        })
    }

    fn exit_code(&self) -> io::Result<Option<i32>> {
        Ok(read(&self.exit)?.and_then(|text| text.strip_suffix('\n')?.parse().ok()))
    }

    /// Does a process hold the log?
    fn is_locked(&self) -> io::Result<bool> {
        let log = match OpenOptions::new().append(true).open(&self.log) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            log => log?,
        };
        match log.try_lock() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// On Linux: has the shell's id ended, or gone to another process, while a
    /// straggler holds the log? Elsewhere never: the lock alone decides.
    fn is_provably_gone(&self) -> io::Result<bool> {
        let Some(line) = read(&self.process)? else {
            return Ok(false);
        };
        let Some((id, then)) = line.split_once(' ') else {
            return Ok(false);
        };
        let Some(then) = start_time(then) else {
            return Ok(false);
        };
        let now = read(&PathBuf::from(format!("/proc/{id}/stat")))?;
        Ok(now.is_none_or(|now| start_time(&now) != Some(then)))
    }

    fn group(&self) -> io::Result<Option<Pid>> {
        Ok(read(&self.process)?
            .and_then(|line| line.split_whitespace().next()?.parse().ok())
            .and_then(Pid::from_raw))
    }

    /// Starts the command. It goes on when this process ends.
    ///
    /// # Errors
    ///
    /// No process can be made, or the log cannot be written. [`io::ErrorKind::WouldBlock`] when somebody
    /// holds the log after all: a fork of ours that has not executed yet, or a container that runs.
    pub(super) fn start(
        &self,
        invocation: Invocation,
        inherited: &BTreeMap<String, OsString>,
        working_dir: Option<&str>,
    ) -> io::Result<Child> {
        let log = OpenOptions::new()
            .append(true)
            .create(true)
            .open(&self.log)?;
        match log.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(io::ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let mut command = Command::new("sh");
        command
            .args(["-c", SHELL, "sh"])
            .args([&self.process, &self.exit])
            .args(invocation.words)
            .env_clear()
            .envs(inherited)
            .envs(invocation.env)
            .stdin(Stdio::null())
            .stderr(Stdio::from(log.try_clone()?))
            .stdout(Stdio::from(log))
            .process_group(0);
        // `workingDir` is meant for the image; here it counts if there is such a folder.
        if let Some(folder) = working_dir.map(Path::new).filter(|folder| folder.is_dir()) {
            command.current_dir(folder);
        }
        command.spawn()
    }

    /// Waits for the container to end, `child` being ours or, without it, somebody's.
    ///
    /// # Errors
    ///
    /// Files that cannot be read.
    pub(super) async fn ended(&self, child: Option<Child>) -> io::Result<ProcessState> {
        let Some(mut child) = child else {
            loop {
                match self.state()? {
                    ProcessState::Running => tokio::time::sleep(LOOK_EVERY).await,
                    state => return Ok(state),
                }
                self.bound_log();
            }
        };
        let status = loop {
            tokio::select! {
                status = child.wait() => break status?,
                () = tokio::time::sleep(LOOK_EVERY * 10) => self.bound_log(),
            }
        };
        Ok(match self.exit_code()? {
            Some(code) => ProcessState::Exited(code),
            None => match status.code() {
                // The record could not be written; the shell says it again.
                Some(code) => ProcessState::Exited(code),
                None => ProcessState::Lost,
            },
        })
    }

    /// SIGTERM to the whole group, SIGKILL after `grace`; returns when nothing runs.
    pub(super) async fn terminate(&self, grace: Duration) {
        let deadline = Instant::now() + grace;
        let mut told = false;
        // A state that cannot be read is not one that can be waited for.
        while matches!(self.state(), Ok(ProcessState::Running)) {
            let late = Instant::now() >= deadline;
            if Instant::now() >= deadline + STRAGGLERS {
                break;
            }
            if late || !told {
                told |= self.signal(if late { Signal::KILL } else { Signal::TERM });
            }
            tokio::time::sleep(LOOK_EVERY / 4).await;
        }
        self.sweep();
    }

    /// Ends what a container left behind: with its first process, a container is gone.
    pub(super) fn sweep(&self) {
        if matches!(self.is_locked(), Ok(true)) {
            self.signal(Signal::KILL);
        }
    }

    /// Whether the group is known and was told.
    fn signal(&self, signal: Signal) -> bool {
        match self.group() {
            Ok(Some(group)) => rustix::process::kill_process_group(group, signal).is_ok(),
            _ => false,
        }
    }

    /// Moves a log that has grown too long aside. The processes append, so they go on at the new end.
    fn bound_log(&self) {
        let long = std::fs::metadata(&self.log).is_ok_and(|log| log.len() > LOG_BYTES);
        if long && let Err(error) = rotate(&self.log) {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the log {} is long and cannot be moved aside",
                self.log.display()
            );
        }
    }
}

fn rotate(log: &Path) -> io::Result<()> {
    let mut older = log.as_os_str().to_owned();
    older.push(".1");
    std::fs::copy(log, &older)?;
    let file = File::options().write(true).open(log)?;
    file.set_len(0)
}

/// Field 22 of `/proc/PID/stat`, in clock ticks since boot; `None` for a zombie, and for text of another form.
///
/// Source: proc_pid_stat(5). The second field is in parentheses and may hold anything.
fn start_time(stat: &str) -> Option<&str> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace();
    let state = fields.next()?;
    (state != "Z").then(|| fields.nth(18)).flatten()
}

fn read(path: &Path) -> io::Result<Option<String>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        // The process ended while its line was read.
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_is_moved_aside_goes_on_at_its_new_end() {
        let folder = std::env::temp_dir().join(format!("slipway-log-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("log");
        let mut log = OpenOptions::new()
            .append(true)
            .create(true)
            .open(&path)
            .unwrap();
        io::Write::write_all(&mut log, b"older").unwrap();
        rotate(&path).unwrap();
        io::Write::write_all(&mut log, b"newer").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"newer");
        assert_eq!(std::fs::read(folder.join("log.1")).unwrap(), b"older");
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn the_start_time_is_found_behind_any_program_name() {
        let stat = "42 (a ) (b) S 1 42 42 0 -1 4194304 100 0 0 0 1 2 3 4 20 0 1 0 98765 1 2";
        assert_eq!(start_time(stat), Some("98765"));
        assert_eq!(start_time(&stat.replace(" S ", " Z ")), None);
        assert_eq!(start_time(""), None);
    }
}
