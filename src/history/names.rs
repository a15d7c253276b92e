//! Which Jobs a turn made, by their names: these are made of the object's UID, the round and an ordinal.

use super::record::{Subject, SubjectKind, TurnRecord};
use crate::launch::job::name;
use crate::resource::Round;

/// Whether a turn of this object may have made a Job of this name.
pub(super) fn may_have_job(subject: &Subject, job: &str) -> bool {
    let is_counted = matches!(
        subject.kind,
        SubjectKind::ScaledJob | SubjectKind::KedaScaledJob
    );
    is_counted && job.starts_with(&name::prefix(&subject.id.name))
}

/// Whether a Job of this name is of this turn.
pub(super) fn is_of_turn(subject: &Subject, turn: &TurnRecord, job: &str) -> bool {
    let (Some(first), Some(result)) = (turn.round, turn.step.result()) else {
        return false;
    };
    let prefix = name::prefix(&subject.id.name);
    if !job.starts_with(&prefix) {
        return false;
    }
    let mut left = result.launch;
    let mut round = first;
    while left > 0 {
        let jobs = left.min(Round::LARGEST);
        let is_of_round =
            |ordinal: u32| name::counted(&prefix, &turn.uid, round, ordinal).name == job;
        if (0..jobs).any(is_of_round) {
            return true;
        }
        left -= jobs;
        round = round.saturating_add(1);
        // A turn has ten rounds at most.
        if round > first.saturating_add(10) {
            return false;
        }
    }
    false
}
