//! Which notes are told now: each once, as a Kubernetes Event.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use crate::controller::announce::Note;

/// The same words are not said again within this time.
const QUIET: Duration = Duration::from_mins(5);

/// What is to be said about an object.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::controller) struct Notes {
    /// A condition changed: said each time.
    changes: Vec<Note>,
    /// Something happened: said again only after [`QUIET`].
    happenings: Vec<Note>,
    /// Something is wrong: said when it begins, and again only after it was gone, and after [`QUIET`].
    troubles: BTreeMap<Trouble, Note>,
}

/// Reason of the Event, and what tells this trouble from others of the reason.
type Trouble = (&'static str, String);

impl Notes {
    /// A condition changed.
    pub(in crate::controller) fn change(&mut self, reason: &'static str, text: &str) {
        self.changes.push(normal(reason, text.to_owned()));
    }

    /// Something happened.
    pub(in crate::controller) fn happening(&mut self, reason: &'static str, text: String) {
        self.happenings.push(normal(reason, text));
    }

    /// Something is wrong. `what` tells one trouble from another; the text may name something new each time.
    pub(in crate::controller) fn trouble(
        &mut self,
        reason: &'static str,
        what: &str,
        text: String,
    ) {
        let note = Note {
            kind: "Warning",
            reason,
            text,
        };
        self.troubles.insert((reason, what.to_owned()), note);
    }
}

fn normal(reason: &'static str, text: String) -> Note {
    Note {
        kind: "Normal",
        reason,
        text,
    }
}

/// Remembers what was said about one object.
#[derive(Debug, Default)]
pub(in crate::controller) struct Announcer {
    standing: BTreeSet<Trouble>,
    said: BTreeMap<Trouble, Timestamp>,
}

impl Announcer {
    /// The notes that are due now, and are taken as said.
    pub(in crate::controller) fn due(&mut self, notes: Notes, now: Timestamp) -> Vec<Note> {
        self.said
            .retain(|_, at| now.duration_since(*at).unsigned_abs() < QUIET);
        let mut due = notes.changes;
        let happened = notes.happenings.into_iter().map(|note| {
            let what = (note.reason, note.text.clone());
            (what, note)
        });
        let standing = notes.troubles.keys().cloned().collect();
        let begun = notes
            .troubles
            .into_iter()
            .filter(|(trouble, _)| !self.standing.contains(trouble));
        for (what, note) in happened.chain(begun) {
            if let Entry::Vacant(unsaid) = self.said.entry(what) {
                unsaid.insert(now);
                due.push(note);
            }
        }
        self.standing = standing;
        due
    }

    /// Whether nothing that was said is remembered.
    pub(in crate::controller) fn is_silent(&self) -> bool {
        self.standing.is_empty() && self.said.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trouble_is_told_when_it_begins_and_not_again_while_it_lasts() {
        let round = |number: u32| {
            let mut notes = Notes::default();
            let text = format!("no room for orders-{number}-1");
            notes.trouble("KEDAJobCreateFailed", "Quota", text);
            notes
        };
        let now = Timestamp::UNIX_EPOCH;
        let mut announcer = Announcer::default();
        assert_eq!(announcer.due(round(1), now).len(), 1);
        assert_eq!(announcer.due(round(2), now + QUIET * 2).len(), 0);
        assert_eq!(announcer.due(Notes::default(), now).len(), 0);
        assert_eq!(announcer.due(round(3), now + QUIET * 4).len(), 1);
    }
}
