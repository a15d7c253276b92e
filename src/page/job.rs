//! A Job as somebody saw it, and what the Jobs of an object come to.

use jiff::Timestamp;

use crate::page::plot::{SAMPLE_SECONDS, SAMPLES};

/// Where a Job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PageJobState {
    /// It has Pods, or is about to.
    Running,
    /// It waits for its turn.
    Waiting,
    /// It is suspended, or was dropped.
    Stopped,
    /// It ended well.
    Complete,
    /// It ended badly.
    Failed,
}

impl PageJobState {
    /// One word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Stopped => "stopped",
            Self::Complete => "complete",
            Self::Failed => "failed",
        }
    }
}

/// A Job of an object, seen for a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageJob<'a> {
    /// Its name, in the namespace of its object.
    pub name: &'a str,
    /// Where it stands.
    pub state: PageJobState,
    /// Why it ended; empty while it has not.
    pub reason: &'a str,
    /// When it was made.
    pub created_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

/// The same, kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobLine {
    /// Its name, in the namespace of its object.
    pub name: String,
    /// Where it stands.
    pub state: PageJobState,
    /// Why it ended; empty while it has not.
    pub reason: String,
    /// When it was made.
    pub created_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

impl From<PageJob<'_>> for JobLine {
    fn from(job: PageJob<'_>) -> Self {
        Self {
            name: job.name.to_owned(),
            state: job.state,
            reason: job.reason.to_owned(),
            created_at: job.created_at,
            ended_at: job.ended_at,
        }
    }
}

/// What the Jobs of an object come to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobTally {
    /// Jobs that run, or are about to.
    pub running: u64,
    /// Jobs that wait for their turn.
    pub waiting: u64,
    /// Jobs that were made, by how many samples ago. Those that are no longer there are not among them.
    pub launched: Vec<(usize, u32)>,
    /// Jobs that failed, likewise.
    pub failed: Vec<(usize, u32)>,
}

impl JobTally {
    /// Counts a Job. `now`: the moment of the newest sample.
    pub fn add(&mut self, job: &PageJob<'_>, now: Timestamp) {
        count(&mut self.launched, job.created_at, now);
        match job.state {
            PageJobState::Running => self.running += 1,
            PageJobState::Waiting => self.waiting += 1,
            PageJobState::Stopped | PageJobState::Complete => {}
            PageJobState::Failed => count(&mut self.failed, job.ended_at, now),
        }
    }

    /// Brings the counts in order, so that equal ones are equal.
    pub fn settle(&mut self) {
        self.launched.sort_unstable();
        self.failed.sort_unstable();
    }
}

/// Counts something that happened at a moment.
fn count(counts: &mut Vec<(usize, u32)>, moment: Option<Timestamp>, now: Timestamp) {
    let Some(back) = moment.and_then(|moment| samples_back(moment, now)) else {
        return;
    };
    match counts.iter_mut().find(|(at, _)| *at == back) {
        Some((_, count)) => *count = count.saturating_add(1),
        None => counts.push((back, 1)),
    }
}

/// Which sample a moment belongs to; `None` for one that is plotted no more. Clocks differ: the future is now.
fn samples_back(moment: Timestamp, now: Timestamp) -> Option<usize> {
    let sample = |at: Timestamp| at.as_second().div_euclid(SAMPLE_SECONDS);
    let back = usize::try_from((sample(now) - sample(moment)).max(0)).ok()?;
    (back < SAMPLES).then_some(back)
}

/// The newest of some Jobs.
#[derive(Debug, Default)]
pub struct NewestJobs {
    /// The newest first.
    pub lines: Vec<JobLine>,
    /// How many there are in all.
    pub total: usize,
}

impl NewestJobs {
    /// So many are shown.
    pub const MOST: usize = 50;

    /// Takes a Job in.
    pub fn add(&mut self, job: &PageJob<'_>) {
        self.total += 1;
        self.lines.push((*job).into());
        if self.lines.len() >= 2 * Self::MOST {
            self.settle();
        }
    }

    /// Brings them in order, and leaves the older ones out.
    pub fn settle(&mut self) {
        self.lines.sort_by(|one, other| {
            (other.created_at, &other.name).cmp(&(one.created_at, &one.name))
        });
        self.lines.truncate(Self::MOST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn job(name: &str, state: PageJobState, ended: Option<i64>) -> PageJob<'_> {
        PageJob {
            name,
            state,
            reason: "",
            created_at: name.parse().ok().map(at),
            ended_at: ended.map(at),
        }
    }

    #[test]
    fn failures_are_counted_where_they_happened() {
        let mut tally = JobTally::default();
        for (state, ended) in [
            (PageJobState::Running, None),
            (PageJobState::Waiting, None),
            (PageJobState::Complete, Some(100_000)),
            (PageJobState::Failed, Some(100_000)),
            (PageJobState::Failed, Some(100_009)),
            (PageJobState::Failed, Some(99_999)),
            (PageJobState::Failed, Some(200_000)),
            (PageJobState::Failed, Some(98_000)),
            (PageJobState::Failed, None),
        ] {
            tally.add(&job("x", state, ended), at(100_005));
        }
        assert_eq!((tally.running, tally.waiting), (1, 1));
        assert_eq!(tally.failed, [(0, 3), (1, 1)]);
    }

    #[test]
    fn the_newest_jobs_stay() {
        let mut newest = NewestJobs::default();
        for second in 0..500 {
            let name = second.to_string();
            newest.add(&job(&name, PageJobState::Complete, None));
        }
        newest.settle();
        assert_eq!((newest.total, newest.lines.len()), (500, NewestJobs::MOST));
        assert_eq!(newest.lines[0].name, "499");
        assert_eq!(newest.lines[49].name, "450");
    }
}
