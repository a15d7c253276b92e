//! The decisions of admission, each of which a test may take out, asked as the world of gates tells them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::num::NonZeroU32;
use std::time::Duration;

use jiff::Timestamp;
use slipway::launch::Outcome;
use slipway::launch::admission::{Act, InDoubt, Step, next};
use slipway::launch::delivered::Gate;
use slipway::launch::event_launcher::DeliveredJob;
use slipway::resource::ObjectId;
use slipway::resource::event_job::{Concurrency, GatedPolicy};

/// Jobs of the world; the first is the first to have come.
pub(super) const JOBS: usize = 3;

/// What holds in a world of gates.
#[derive(Clone, Copy)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one thing that a test takes out"
)]
pub(super) struct Rules {
    pub(super) policy: GatedPolicy,
    pub(super) limit: u32,
    /// The promise: the same as the limit.
    pub(super) most_released: u32,
    /// How many Jobs there are to be: at most [`JOBS`].
    pub(super) jobs: usize,
    /// Whether processes die.
    pub(super) crashes: bool,
    /// Whether one Job's changes may reach a leader before another's earlier ones: worse than a watch.
    pub(super) reorders: bool,
    /// Changes that may be on their way, given up, at once.
    pub(super) late: u32,
    /// Changes are based on a version.
    pub(super) has_versions: bool,
    /// A count is void after a claim.
    pub(super) recounts: bool,
    /// Gates are claimed at all.
    pub(super) claims: bool,
    /// What has no answer is not claimed.
    pub(super) doubts: bool,
}

impl Rules {
    /// As the program has them, with one Job at a time.
    pub(super) fn new(policy: GatedPolicy) -> Self {
        Self {
            policy,
            limit: 1,
            most_released: 1,
            jobs: JOBS,
            crashes: false,
            reorders: false,
            late: 1,
            has_versions: true,
            recounts: true,
            claims: true,
            doubts: true,
        }
    }
}

/// A Job, at the server or as somebody saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(super) enum Job {
    /// Not made yet.
    Absent,
    /// Claimed by nobody, or by a process that is no more. As a leader sees it: not by itself, or that is in doubt.
    Waiting,
    /// Claimed by the first leader.
    WaitingFirst,
    /// Claimed by the second leader.
    WaitingSecond,
    Released,
    /// Dropped, and its Pods are not gone yet.
    Stopping,
    Dropped,
    /// Has run, or was deleted.
    Over,
}

impl Job {
    pub(super) fn is_waiting(self) -> bool {
        self.claimer().is_some()
    }

    /// By whom it is claimed, if it waits; nobody's name is empty.
    fn claimer(self) -> Option<&'static str> {
        match self {
            Self::Waiting => Some(""),
            Self::WaitingFirst => Some("first"),
            Self::WaitingSecond => Some("second"),
            Self::Absent | Self::Released | Self::Stopping | Self::Dropped | Self::Over => None,
        }
    }
}

/// What a leader does next: Jobs by their bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Claim(u8),
    Count,
    Act { releases: u8, discards: u8 },
}

/// A leader, as a question: which it is, how it sees each Job, whether it counted.
type Question = (usize, [Job; JOBS], bool);

/// The rules, and what was decided by them so far.
pub(super) struct Decided {
    pub(super) rules: Rules,
    known: RefCell<HashMap<Question, Next>>,
}

impl Decided {
    pub(super) fn new(rules: Rules) -> Self {
        // Which is why the world tells a Job in doubt as one that is not claimed.
        let mut in_doubt = InDoubt::default();
        let mut jobs = [job(0, Job::WaitingFirst).unwrap()];
        in_doubt.sending(&jobs[0]);
        in_doubt.unclaim(&mut jobs);
        assert_eq!(Some(&jobs[0]), job(0, Job::Waiting).as_ref());
        Self {
            rules,
            known: RefCell::default(),
        }
    }

    /// What a dropped Job without Pods is: with versions, nothing that was sent is done to it any more.
    pub(super) fn dropped(&self) -> Job {
        if self.rules.has_versions {
            Job::Over
        } else {
            Job::Dropped
        }
    }

    /// What the leader does next.
    pub(super) fn next(&self, question: Question) -> Next {
        *self
            .known
            .borrow_mut()
            .entry(question)
            .or_insert_with(|| self.ask(question))
    }

    fn ask(&self, (leader, view, is_counted): Question) -> Next {
        let holder = ["first", "second"][leader];
        let (mut jobs, mut numbers) = (Vec::new(), Vec::new());
        for (number, seen) in view.into_iter().enumerate() {
            let Some(mut job) = job(number, seen) else {
                continue;
            };
            if !self.rules.claims {
                job.claimed_by = Some(holder.to_owned());
            }
            jobs.push(job);
            numbers.push(number);
        }
        let concurrency = Concurrency::Gated {
            policy: self.rules.policy,
            limit: NonZeroU32::new(self.rules.limit).unwrap(),
            key_from: None,
            max_waiting: 1_000,
        };
        let bits = |indexes: &mut dyn Iterator<Item = usize>| {
            indexes.fold(0_u8, |bits, index| bits | 1 << numbers[index])
        };
        match next(
            holder,
            &concurrency,
            &jobs,
            is_counted || !self.rules.recounts,
        ) {
            Step::Claim(indexes) => Next::Claim(bits(&mut indexes.into_iter())),
            Step::Count => Next::Count,
            Step::Act(acts) => Next::Act {
                releases: bits(&mut acts.iter().filter_map(|act| match act {
                    Act::Release(index) => Some(*index),
                    Act::Discard(_) => None,
                })),
                discards: bits(&mut acts.iter().filter_map(|act| match act {
                    Act::Discard(index) => Some(*index),
                    Act::Release(_) => None,
                })),
            },
        }
    }
}

/// The Job of that number as the program sees it.
fn job(number: usize, seen: Job) -> Option<DeliveredJob> {
    let gate = match seen {
        Job::Absent => return None,
        Job::Released | Job::Over => Gate::Released,
        Job::Stopping | Job::Dropped => Gate::Dropped,
        _ => Gate::Waiting,
    };
    let name = format!("invoice-{number}");
    let at = Timestamp::from_second(i64::try_from(number).unwrap()).unwrap();
    Some(DeliveredJob {
        id: ObjectId::new("production", &name),
        uid: name,
        version: "1".to_owned(),
        event_job: ObjectId::new("production", "invoices"),
        occurrence: String::new(),
        gate: Some(gate),
        is_suspended: gate != Gate::Released,
        claimed_by: seen
            .claimer()
            .filter(|name| !name.is_empty())
            .map(str::to_owned),
        key: String::new(),
        received_at: at,
        created_at: at,
        ended: (seen == Job::Over).then_some((Outcome::Complete, at)),
        is_going: false,
        active_pods: u32::from(matches!(seen, Job::Released | Job::Stopping)),
        ready_pods: 0,
        remember_for: Duration::from_hours(25),
    })
}
