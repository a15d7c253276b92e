//! The decisions of admission, each of which a test may take out, asked as the world of gates tells them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use slipway::launch::JobOutcome;
use slipway::launch::admission::{OwnChanges, next};
use slipway::launch::delivered::Gate;
use slipway::launch::ports::DeliveredJob;
use slipway::resource::event_job::{Concurrency, GatedPolicy};

use crate::support::fixtures::{as_seen, delivered};

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
    /// Changes that may be on their way, given up, at once.
    pub(super) late: u32,
    /// Changes are based on a version.
    pub(super) has_versions: bool,
    /// What a leader is told of comes in the order in which it happened, and a list at once.
    pub(super) is_ordered: bool,
    /// Nothing is released that is not claimed.
    pub(super) claims: bool,
    /// Nothing is released beside a claim of another.
    pub(super) minds_others: bool,
    /// What has no answer counts as claimed by another.
    pub(super) doubts: bool,
    /// An answer is no news: only what is shown counts.
    pub(super) ignores_answers: bool,
    /// A process that begins anew has another name.
    pub(super) renames: bool,
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
            late: 1,
            has_versions: true,
            is_ordered: true,
            claims: true,
            minds_others: true,
            doubts: true,
            ignores_answers: true,
            renames: true,
        }
    }
}

/// A Job, at the server or as somebody saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(super) enum Job {
    /// Not made yet.
    Absent,
    /// Claimed by nobody.
    Waiting,
    /// Claimed by a process that is no more. As a leader sees it: by another, or a change of its own has no answer.
    WaitingOther,
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
        self == Self::Waiting || self.claimant().is_some()
    }

    /// By whom it is claimed.
    fn claimant(self) -> Option<&'static str> {
        match self {
            Self::WaitingOther => Some("other"),
            Self::WaitingFirst => Some("first"),
            Self::WaitingSecond => Some("second"),
            _ => None,
        }
    }
}

/// What a leader changes next: Jobs by their bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Next {
    pub(super) claims: u8,
    pub(super) releases: u8,
    pub(super) discards: u8,
}

/// A leader, as a question: which it is, and how it sees each Job.
type Question = (usize, [Job; JOBS]);

/// The rules, and what was decided by them so far.
pub(super) struct Decided {
    pub(super) rules: Rules,
    known: RefCell<HashMap<Question, Next>>,
}

impl Decided {
    pub(super) fn new(rules: Rules) -> Self {
        // Which is why the world shows a Job in doubt as one that another has claimed.
        let mut own = OwnChanges::default();
        let ours = as_seen(job(0, Job::WaitingFirst));
        own.sending(&ours[0]);
        let of_another = as_seen(job(0, Job::WaitingOther));
        let queue = gated(GatedPolicy::Queue, 1);
        assert_eq!(
            next("first", &queue, &ours, &own),
            next("first", &queue, &of_another, &OwnChanges::default()),
        );
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

    fn ask(&self, (leader, view): Question) -> Next {
        let holder = ["first", "second"][leader];
        let (mut jobs, mut numbers) = (Vec::new(), Vec::new());
        for (number, seen) in view.into_iter().enumerate() {
            let Some(mut job) = job(number, seen) else {
                continue;
            };
            if !self.rules.claims {
                job.claimed_by = Some(holder.to_owned());
            }
            if !self.rules.minds_others {
                job.claimed_by = job.claimed_by.filter(|by| by == holder);
            }
            jobs.push(Arc::new(job));
            numbers.push(number);
        }
        let concurrency = gated(self.rules.policy, self.rules.limit);
        let mut all = Next {
            claims: 0,
            releases: 0,
            discards: 0,
        };
        for (index, gate) in next(holder, &concurrency, &jobs, &OwnChanges::default()) {
            let bits = match gate {
                Gate::Waiting => &mut all.claims,
                Gate::Released => &mut all.releases,
                Gate::Dropped => &mut all.discards,
            };
            *bits |= 1 << numbers[index];
        }
        all
    }
}

fn gated(policy: GatedPolicy, limit: u32) -> Concurrency {
    Concurrency::Gated {
        policy,
        limit: NonZeroU32::new(limit).unwrap(),
        key_from: None,
        max_waiting: 1_000,
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
    let received_at = i64::try_from(number).unwrap();
    let job = delivered(&format!("invoice-{number}"), received_at);
    Some(DeliveredJob {
        end_reason: "",
        gate: Some(gate),
        is_suspended: gate != Gate::Released,
        claimed_by: seen.claimant().map(str::to_owned),
        ended: (seen == Job::Over).then_some((JobOutcome::Complete, job.created_at)),
        active_pods: u32::from(matches!(seen, Job::Released | Job::Stopping)),
        ready_pods: 0,
        ..job
    })
}
