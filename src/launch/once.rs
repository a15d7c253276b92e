//! The steps that make one Job for one occurrence, and never a second. Pure: what was seen in, what to do next out.
//!
//! | seen | what is done |
//! | --- | --- |
//! | the ledger has the key | it had its Job: done |
//! | our copy of the ledger is stale | read it, before anything is sent |
//! | 201 | made |
//! | 409 `AlreadyExists` | read it: same occurrence, made before (also while it is being deleted); another, never another name |
//! | no clear answer | read it by name: absent, send again. The name makes it safe |
//! | a clear "no" | the end, unless an earlier try may still be applied: then nobody knows |
//!
//! Whoever drives it does what it says, one step at a time, and may stop after any
//! of them. The same steps are explored by `tests/it/protocol.rs`.

use crate::launch::Launched;

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// Look into our copy of the ledger, right before sending.
    LookIntoLedger,
    /// Read the ledger consistently, then look into it.
    ReadLedger,
    /// Send the create.
    Create,
    /// Read the Job by its name, consistently.
    Read,
    /// Nothing more.
    End(Result<Launched, NotLaunched>),
}

/// What was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Saw {
    /// Our copy of the ledger was confirmed too long ago to tell.
    LedgerStale,
    /// Our copy of the ledger is fresh, and has the key.
    LedgerHasKey,
    /// Our copy of the ledger is fresh, and does not have the key.
    LedgerHasNot,
    /// The create was answered 201.
    Created,
    /// The create was answered 409 `AlreadyExists`.
    Exists,
    /// The create has no clear answer: it may be applied, now or later.
    Unclear,
    /// The create was clearly not done, and may be sent again: 429.
    NotDone,
    /// The create was refused for good.
    Refused,
    /// Read: a Job of this occurrence, with this payload or with another.
    Ours {
        /// It was made with another payload.
        payload_differs: bool,
    },
    /// Read: a Job of another occurrence.
    Foreign,
    /// Read: no Job.
    Absent,
    /// The read has no clear answer.
    Unreadable,
}

/// Why no Job is known of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NotLaunched {
    /// The name belongs to another occurrence.
    NameTaken,
    /// Refused, and nothing was made.
    Refused,
    /// Refused, but an earlier try may be applied still.
    Unknown,
}

/// One launch under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Once {
    /// Whether a ledger outlives this occurrence's Job.
    has_ledger: bool,
    /// A try of ours may have been applied, or may be yet.
    is_unclear: bool,
    /// The last create said that the name is taken.
    is_taken: bool,
}

impl Once {
    /// A launch that has not begun.
    pub fn new(has_ledger: bool) -> Self {
        Self {
            has_ledger,
            is_unclear: false,
            is_taken: false,
        }
    }

    /// The first step, and the one before each create.
    pub fn begin(&self) -> Step {
        if self.has_ledger {
            Step::LookIntoLedger
        } else {
            Step::Create
        }
    }

    /// Whether stopping here leaves the Job's existence unknown.
    pub fn is_unclear(&self) -> bool {
        self.is_unclear || self.is_taken
    }

    /// The step after what was seen.
    pub fn next(&mut self, saw: Saw) -> Step {
        match saw {
            Saw::LedgerStale => Step::ReadLedger,
            Saw::LedgerHasKey => Step::End(Ok(Launched::Remembered)),
            Saw::LedgerHasNot => Step::Create,
            Saw::Created => Step::End(Ok(Launched::Created)),
            Saw::Exists => {
                self.is_taken = true;
                Step::Read
            }
            Saw::Unclear => {
                self.is_unclear = true;
                self.is_taken = false;
                Step::Read
            }
            Saw::NotDone => self.begin(),
            Saw::Refused if self.is_unclear => Step::End(Err(NotLaunched::Unknown)),
            Saw::Refused => Step::End(Err(NotLaunched::Refused)),
            Saw::Ours { payload_differs } => Step::End(Ok(self.ours(payload_differs))),
            Saw::Foreign => Step::End(Err(NotLaunched::NameTaken)),
            Saw::Absent => self.absent(),
            Saw::Unreadable => Step::Read,
        }
    }

    fn ours(self, payload_differs: bool) -> Launched {
        // A try of this very call that had no clear answer made it, as far as anyone can tell.
        if self.is_unclear && !payload_differs {
            Launched::Created
        } else {
            Launched::AlreadyThere { payload_differs }
        }
    }

    /// Gone since we were told that it is there, or never made.
    fn absent(&mut self) -> Step {
        match (std::mem::take(&mut self.is_taken), self.has_ledger) {
            // What is removed is in the ledger; what is not there was another's.
            (true, true) => Step::ReadLedger,
            // A name is as good as unique to its occurrence, so it was ours, and has run.
            (true, false) => Step::End(Ok(self.ours(false))),
            (false, _) => self.begin(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Drives a launch through what it sees; the steps it asked for.
    fn steps(has_ledger: bool, seen: &[Saw]) -> Vec<Step> {
        let mut once = Once::new(has_ledger);
        let mut steps = vec![once.begin()];
        steps.extend(seen.iter().map(|saw| once.next(*saw)));
        steps
    }

    const OURS: Saw = Saw::Ours {
        payload_differs: false,
    };
    const BEFORE: Step = Step::End(Ok(Launched::AlreadyThere {
        payload_differs: false,
    }));

    #[test]
    fn a_stale_copy_of_the_ledger_sends_nothing() {
        let seen = [Saw::LedgerStale, Saw::LedgerHasNot, Saw::Created];
        let made = Step::End(Ok(Launched::Created));
        assert_eq!(
            steps(true, &seen),
            [Step::LookIntoLedger, Step::ReadLedger, Step::Create, made]
        );
        assert_eq!(
            steps(true, &[Saw::LedgerHasKey]),
            [Step::LookIntoLedger, Step::End(Ok(Launched::Remembered))]
        );
    }

    #[test]
    fn an_answer_that_never_came_is_looked_for_before_it_is_asked_again() {
        let seen = [
            Saw::Unclear,
            Saw::Unreadable,
            Saw::Absent,
            Saw::Exists,
            OURS,
        ];
        let made = Step::End(Ok(Launched::Created));
        assert_eq!(
            steps(false, &seen),
            [
                Step::Create,
                Step::Read,
                Step::Read,
                Step::Create,
                Step::Read,
                made
            ]
        );
    }

    #[test]
    fn a_taken_name_is_ours_or_nobody_s_to_replace() {
        assert_eq!(steps(false, &[Saw::Exists, OURS])[2], BEFORE);
        let taken = steps(false, &[Saw::Exists, Saw::Foreign]);
        assert_eq!(taken[2], Step::End(Err(NotLaunched::NameTaken)));
    }

    #[test]
    fn a_job_that_went_while_we_looked_is_looked_for_in_the_ledger() {
        let seen = [Saw::LedgerHasNot, Saw::Exists, Saw::Absent];
        assert_eq!(steps(true, &seen)[3], Step::ReadLedger);
        assert_eq!(steps(false, &[Saw::Exists, Saw::Absent])[2], BEFORE);
    }

    #[test]
    fn a_no_after_a_try_without_an_answer_says_nothing_about_that_try() {
        assert_eq!(
            steps(false, &[Saw::Refused])[1],
            Step::End(Err(NotLaunched::Refused))
        );
        let seen = [Saw::Unclear, Saw::Absent, Saw::Refused];
        assert_eq!(steps(false, &seen)[3], Step::End(Err(NotLaunched::Unknown)));
    }
}
