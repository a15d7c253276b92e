//! How Jobs look: a table for a terminal, lines for everything else. Pure.

use jiff::Timestamp;

use crate::app::local::{ObjectNews, ObjectState};
use crate::cli::counted;
use crate::launch::JobOutcome;
use crate::launch::delivered::Gate;
use crate::local::{Fact, JobPhase, JobView, PodEnd};
use crate::resource::ObjectId;
use crate::shown::on_one_line;

/// Everything a table shows, at one instant.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// The instant.
    pub now: Timestamp,
    /// One row each, in this order.
    pub scaled_jobs: Vec<ObjectState>,
    /// EventJobs, and where each takes events or why not. One row each, in this order.
    pub event_jobs: Vec<(ObjectId, String)>,
    /// Every Job, in any order.
    pub jobs: Vec<JobView>,
}

/// The table. No line is wider than `width` characters, and there are no more than `height` lines:
/// what does not fit is counted, and the last one has the totals.
pub fn render(snapshot: &Snapshot, width: usize, height: usize) -> String {
    let mut lines = Vec::new();
    if !snapshot.scaled_jobs.is_empty() {
        lines.extend(columns(
            ["SCALEDJOB", "BACKLOG", "RUNNING", "LAST DECISION"],
            snapshot.scaled_jobs.iter().map(|row| {
                [
                    row.id.to_string(),
                    row.backlog
                        .map_or_else(|| "?".to_owned(), |backlog| backlog.to_string()),
                    unfinished(snapshot, &row.id).to_string(),
                    row.reason.clone(),
                ]
            }),
        ));
        lines.push(String::new());
    }
    if !snapshot.event_jobs.is_empty() {
        lines.extend(columns(
            ["EVENTJOB", "WAITING", "RUNNING", ""],
            snapshot.event_jobs.iter().map(|(id, text)| {
                let (waiting, running) = of_event_job(snapshot, id);
                [
                    id.to_string(),
                    waiting.to_string(),
                    running.to_string(),
                    text.clone(),
                ]
            }),
        ));
        lines.push(String::new());
    }
    let mut jobs: Vec<&JobView> = snapshot.jobs.iter().collect();
    jobs.sort_by_key(|job| (place(job), job.id.clone()));
    lines.extend(columns(
        ["JOB", "PHASE", "TIME", "PODS"],
        jobs.iter().map(|job| {
            [
                job.id.to_string(),
                phase(job).to_owned(),
                age(job.created_at, job.finished_at.unwrap_or(snapshot.now)),
                pods(job),
            ]
        }),
    ));
    let totals = totals(&jobs);
    let mut lines: Vec<String> = lines.iter().flat_map(|line| wrapped(line, width)).collect();
    if lines.len() + 1 > height {
        let room = height.saturating_sub(2);
        let hidden = lines.len() - room.min(lines.len());
        lines.truncate(room);
        lines.push(cut(&format!("and {hidden} lines more"), width));
    }
    lines.push(cut(&totals, width));
    lines.truncate(height);
    lines
        .iter()
        .fold(String::new(), |text, line| text + line + "\n")
}

/// What runs comes first, the longest at the top; then what runs next; then what ended, the last at the top.
fn place(job: &JobView) -> (u8, i64) {
    let second = |moment: Timestamp| moment.as_second();
    match (job.finished_at, job.phase) {
        (Some(at), _) => (2, -second(at)),
        (None, JobPhase::Running) => (0, second(job.created_at)),
        (None, _) => (1, second(job.created_at)),
    }
}

/// `4 Jobs: 1 Running, 2 Queued, 1 Failed`.
fn totals(jobs: &[&JobView]) -> String {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for job in jobs {
        let phase = phase(job);
        match counts.iter_mut().find(|(known, _)| *known == phase) {
            Some((_, count)) => *count += 1,
            None => counts.push((phase, 1)),
        }
    }
    let counts: Vec<String> = counts
        .iter()
        .map(|(phase, count)| format!("{count} {phase}"))
        .collect();
    match jobs.len() {
        0 => "no Jobs yet".to_owned(),
        all => format!("{}: {}", counted(all, "Job"), counts.join(", ")),
    }
}

/// A line that is wider than the terminal goes on below, a little to the right: what a row ends with is what one looks for.
fn wrapped(line: &str, width: usize) -> Vec<String> {
    let mut left: Vec<char> = line.chars().collect();
    let mut lines = Vec::new();
    while left.len() > width {
        let indent = if lines.is_empty() { 0 } else { GOES_ON.len() };
        if width <= indent + 1 {
            break;
        }
        let rest = left.split_off(width);
        lines.push(left.into_iter().collect());
        left = GOES_ON.chars().chain(rest).collect();
    }
    lines.push(cut(&left.into_iter().collect::<String>(), width));
    lines
}

/// Before what goes on from the line above.
const GOES_ON: &str = "    ";

/// One fact, as one line without its end.
pub fn line(fact: &Fact) -> String {
    match fact {
        Fact::Decided { scaled_job, reason } => {
            format!("scaledjob {scaled_job}: {}", on_one_line(reason))
        }
        Fact::Accepted { job } => format!("job {job} launched"),
        Fact::PodStarted { job, pod } => format!("job {job} pod {pod} started"),
        Fact::ContainerRestarts {
            job,
            pod,
            container,
            exit_code,
            restarts,
            pause,
            log,
        } => {
            let how = exit_code.map_or_else(
                || "was lost".to_owned(),
                |code| format!("exited with {code}"),
            );
            let when = if pause.is_zero() {
                "now".to_owned()
            } else {
                format!("in {} s", pause.as_secs_f64().ceil())
            };
            let log = log.display();
            format!(
                "job {job} pod {pod} container {container} {how}: restart {restarts} {when}; log {log}"
            )
        }
        Fact::PodEnded { job, pod, end, log } => match end {
            PodEnd::Succeeded => format!("job {job} pod {pod} succeeded; log {}", log.display()),
            PodEnd::Removed => format!("job {job} pod {pod} removed"),
            PodEnd::Failed {
                exit_code,
                reason,
                message,
            } => {
                let code = exit_code.map_or_else(String::new, |code| format!(" exit code {code},"));
                let log = log.display();
                format!("job {job} pod {pod} failed:{code} {reason}: {message}; log {log}")
            }
        },
        Fact::Finished {
            job,
            outcome,
            reason,
            ..
        } => match outcome {
            JobOutcome::Complete => format!("job {job} complete"),
            JobOutcome::Failed => format!("job {job} failed: {reason}"),
        },
        Fact::Turned { job, gate } => match gate {
            Gate::Waiting => format!("job {job} waits"),
            Gate::Released => format!("job {job} released"),
            Gate::Dropped => format!("job {job} dropped"),
        },
        Fact::Removed { job } => format!("job {job} removed"),
    }
}

/// What became known about an object, as one line without its end.
pub fn news(news: &ObjectNews) -> String {
    let ObjectNews { kind, id, text } = news;
    format!("{kind} {id}: {}", on_one_line(text))
}

/// Text that draws `table` over the one of `drawn` lines before it, and leaves `above` standing above it.
pub fn redraw(table: &str, drawn: usize, above: &str) -> String {
    // Up to the first line, clear to the end of the screen.
    match drawn {
        0 => format!("{above}{table}"),
        lines => format!("\x1b[{lines}F\x1b[J{above}{table}"),
    }
}

fn unfinished(snapshot: &Snapshot, id: &ObjectId) -> usize {
    snapshot
        .jobs
        .iter()
        .filter(|job| job.finished_at.is_none() && job.scaled_job.as_ref() == Some(id))
        .count()
}

/// Unfinished Jobs of an EventJob: those that wait for their turn, and those that have had it.
fn of_event_job(snapshot: &Snapshot, id: &ObjectId) -> (usize, usize) {
    let ours = snapshot
        .jobs
        .iter()
        .filter(|job| job.finished_at.is_none() && job.event_job.as_ref() == Some(id));
    let (waiting, others): (Vec<_>, Vec<_>) = ours.partition(|job| job.gate == Some(Gate::Waiting));
    let running = others.iter().filter(|job| job.gate != Some(Gate::Dropped));
    (waiting.len(), running.count())
}

fn phase(job: &JobView) -> &'static str {
    match job.phase {
        JobPhase::Waiting => "Waiting",
        JobPhase::Running => "Running",
        JobPhase::Suspended if job.gate == Some(Gate::Waiting) => "Queued",
        JobPhase::Suspended if job.gate == Some(Gate::Dropped) => "Dropped",
        JobPhase::Suspended => "Suspended",
        JobPhase::Complete => "Complete",
        JobPhase::Failed => "Failed",
    }
}

/// `3/20 done, 4 running, 1 failed`.
fn pods(job: &JobView) -> String {
    let mut text = match job.completions {
        Some(completions) => format!("{}/{completions} done", job.succeeded),
        None => format!("{} done", job.succeeded),
    };
    for (count, what) in [
        (job.running, "running"),
        (job.pending, "pending"),
        (job.failed, "failed"),
    ] {
        if count > 0 {
            text.extend([", ", &count.to_string(), " ", what]);
        }
    }
    if job.phase == JobPhase::Failed {
        text.extend(job.reason.map(|reason| format!("; {reason}")));
        text.extend(
            job.log
                .as_ref()
                .map(|log| format!("; log {}", log.display())),
        );
    }
    text
}

/// `3s`, `5m12s`, `2h7m`, `4d`.
fn age(from: Timestamp, to: Timestamp) -> String {
    let seconds = to.duration_since(from).as_secs().max(0);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m{}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h{}m", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// A header and rows, each column as wide as its widest cell; the last as it comes.
fn columns(header: [&str; 4], rows: impl Iterator<Item = [String; 4]>) -> Vec<String> {
    let mut cells = vec![header.map(str::to_owned)];
    cells.extend(rows.map(|row| row.map(|cell| on_one_line(&cell))));
    let widths: [usize; 4] = std::array::from_fn(|column| {
        let widths = cells.iter().map(|row| row[column].chars().count());
        widths.max().unwrap_or(0)
    });
    cells
        .iter()
        .map(|[first, second, third, last]| {
            let [a, b, c, _] = widths;
            format!("{first:a$}  {second:b$}  {third:c$}  {last}")
                .trim_end()
                .to_owned()
        })
        .collect()
}

fn cut(line: &str, width: usize) -> String {
    if line.chars().count() <= width {
        return line.to_owned();
    }
    let mut short: String = line.chars().take(width.saturating_sub(1)).collect();
    if width > 0 {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    fn job(name: &str, phase: JobPhase, finished: Option<i64>) -> JobView {
        JobView {
            id: ObjectId::new("default", name),
            scaled_job: Some(ObjectId::new("default", "orders")),
            event_job: None,
            gate: None,
            image: String::new(),
            phase,
            completions: Some(1),
            running: usize::from(phase == JobPhase::Running),
            pending: 0,
            succeeded: usize::from(phase == JobPhase::Complete),
            failed: usize::from(phase == JobPhase::Failed),
            created_at: at(0),
            finished_at: finished.map(at),
            reason: (phase == JobPhase::Failed).then_some("BackoffLimitExceeded"),
            log: (phase == JobPhase::Failed).then(|| "state/log".into()),
        }
    }

    fn snapshot() -> Snapshot {
        Snapshot {
            now: at(75),
            scaled_jobs: vec![ObjectState {
                id: ObjectId::new("default", "orders"),
                backlog: Some(35.0),
                reason: "35 waiting,\n5 a job: 7, at most 6".to_owned(),
            }],
            event_jobs: Vec::new(),
            jobs: vec![
                job("orders-a", JobPhase::Complete, Some(9)),
                job("orders-b", JobPhase::Failed, Some(12)),
                job("orders-c", JobPhase::Running, None),
            ],
        }
    }

    #[test]
    fn what_runs_comes_first_and_then_what_ended_last() {
        let expected = "\
SCALEDJOB       BACKLOG  RUNNING  LAST DECISION
default/orders  35       1        35 waiting, 5 a job: 7, at most 6

JOB               PHASE     TIME   PODS
default/orders-c  Running   1m15s  0/1 done, 1 running
default/orders-b  Failed    12s    0/1 done, 1 failed; BackoffLimitExceeded; log
     state/log
default/orders-a  Complete  9s     1/1 done
3 Jobs: 1 Running, 1 Failed, 1 Complete
";
        assert_eq!(render(&snapshot(), 80, 24), expected);
    }

    #[test]
    fn an_event_job_has_a_row_with_those_that_wait_and_those_that_run() {
        let id = ObjectId::new("default", "renewals");
        let mut snapshot = snapshot();
        snapshot.scaled_jobs.clear();
        snapshot.jobs = [Some(Gate::Waiting), Some(Gate::Dropped), None]
            .into_iter()
            .map(|gate| {
                let phase = gate.map_or(JobPhase::Running, |_| JobPhase::Suspended);
                JobView {
                    event_job: Some(id.clone()),
                    gate,
                    ..job(gate.map_or("free", Gate::name), phase, None)
                }
            })
            .collect();
        snapshot.event_jobs = vec![(id, "takes events".to_owned())];
        let expected = "\
EVENTJOB          WAITING  RUNNING
default/renewals  1        1        takes events

JOB              PHASE    TIME   PODS
default/free     Running  1m15s  0/1 done, 1 running
default/dropped  Dropped  1m15s  0/1 done
default/waiting  Queued   1m15s  0/1 done
3 Jobs: 1 Running, 1 Dropped, 1 Queued
";
        assert_eq!(render(&snapshot, 80, 24), expected);
    }

    #[test]
    fn a_table_fits_its_terminal() {
        for width in 0..60 {
            for height in 1..8 {
                let table = render(&snapshot(), width, height);
                assert!(table.lines().count() <= height);
                assert!(table.lines().all(|line| line.chars().count() <= width));
            }
        }
        let five = render(&snapshot(), 80, 5);
        assert!(five.contains("\nand 5 lines more\n"), "{five}");
        assert!(
            five.ends_with("\n3 Jobs: 1 Running, 1 Failed, 1 Complete\n"),
            "{five}"
        );
    }

    #[test]
    fn a_restart_is_told_with_its_cause_and_its_pause() {
        let fact = |pause| Fact::ContainerRestarts {
            job: ObjectId::new("default", "a"),
            pod: "a-x".to_owned(),
            container: "main".to_owned(),
            exit_code: Some(3),
            restarts: 2,
            pause,
            log: "state/log".into(),
        };
        assert_eq!(
            line(&fact(Duration::from_secs(10))),
            "job default/a pod a-x container main exited with 3: restart 2 in 10 s; log state/log"
        );
        assert!(line(&fact(Duration::ZERO)).contains("restart 2 now"));
    }

    #[test]
    fn a_failed_pod_is_told_with_its_exit_code_and_log() {
        let fact = Fact::PodEnded {
            job: ObjectId::new("default", "a"),
            pod: "a-x".to_owned(),
            end: PodEnd::Failed {
                exit_code: Some(3),
                reason: "Error".to_owned(),
                message: "container main exited with 3".to_owned(),
            },
            log: "state/log".into(),
        };
        assert_eq!(
            line(&fact),
            "job default/a pod a-x failed: exit code 3, Error: container main exited with 3; log state/log"
        );
    }
}
