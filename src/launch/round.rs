//! What may be done about rounds of counted launches. Pure: it is handed records, lists and the clock.
//!
//! Seven rules keep the cap through lost answers, late creates, restarts and changes of leader:
//!
//! 1. A round is written down before its first Job ([`opening`]), and every name of it counts from then on ([`Expectations::opened`]).
//! 2. Only who has counted the last written round may write the next one ([`opening`]).
//! 3. A record names one round. So none is opened while a create of the last one is in doubt ([`Expectations::in_doubt`]).
//! 4. A name that nobody has seen stops counting when a consistent list lacks it, if that list was asked for at least
//!    [`LATEST_CREATE`] after the round's last create was sent ([`Expectations::settle`]).
//! 5. A round is said closed once every create of it was answered clearly ([`Expectations::to_close`]). Another process waits
//!    for the names of an open round only ([`expects_names`]).
//! 6. A turn opens rounds and creates only in the term of the lead in which it counted. The caller sees to this.
//! 7. A finished Job is kept until no create of its name can be under way ([`surplus`](super::history::surplus)). A removal by
//!    somebody else, or by its TTL, within [`LATEST_CREATE`] of a create without an answer is not provided for.
//!
//! The explorer of `tests/it/protocol` takes these away one by one.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::resource::RoundRecord;

/// A create that was sent this long ago is applied, or never will be: the API
/// server's handlers end after 34 s, its requests after 60 s.
pub const LATEST_CREATE: Duration = Duration::from_mins(1);

/// Time between two consistent lists for one object: a name that stays open is not asked about each turn.
const BETWEEN_LISTS: Duration = Duration::from_secs(10);

/// What to do about the record that stands on an object, for who wants to open a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoundOpening {
    /// The wanted record stands there: an earlier write of ours was applied.
    Written,
    /// Nobody has written a round since: write it, with the version of the object that was read.
    Write,
    /// Another round was written since.
    Conflict,
}

/// Whether `wanted` may be written over `written`. `counted`: the newest round that the decision behind it counted with.
///
/// A record older than that is what somebody left who replaced the object, and our record with it.
pub fn opening(written: Option<&RoundRecord>, wanted: &RoundRecord, counted: u64) -> RoundOpening {
    let Some(written) = written else {
        return RoundOpening::Write;
    };
    if (written.round, &written.holder) == (wanted.round, &wanted.holder) {
        return RoundOpening::Written;
    }
    let number = written.round.number;
    if number > counted || number >= wanted.round.number {
        return RoundOpening::Conflict;
    }
    RoundOpening::Write
}

/// Whether names of a record that `holder` did not open in this life may have Jobs that no list shows yet.
///
/// Of a closed round every Job is there to be listed. A record of our own that we did not open is one whose write
/// was unclear: none of its creates was ever sent.
pub fn expects_names(record: &RoundRecord, holder: &str) -> bool {
    record.open && record.holder != holder
}

/// Jobs of one object that its watch does not show, and that exist, or may come to exist.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expectations {
    /// The newest round that this process has counted with; 0 before the first.
    counted: u64,
    last: Option<OpenRound>,
    /// Another process opened a round, and no consistent list was had since.
    needs_list: bool,
    listed_at: Option<Instant>,
}

/// The last round, for as long as there is something to expect of it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct OpenRound {
    record: RoundRecord,
    /// When its latest create was sent; when the round became known, before that.
    last_sent: Instant,
    /// Its names that nobody has seen, and those of earlier rounds that the server has confirmed.
    names: BTreeMap<String, ExpectedJob>,
}

/// One reserved name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpectedJob {
    /// The hash behind the name.
    pub occurrence: String,
    /// The round it belongs to.
    pub round: u64,
    create: Create,
}

/// What is known of the create of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Create {
    /// This process has sent none yet.
    Unsent,
    /// The first one is under way.
    Sent,
    /// One was sent, by whomever, and nobody knows what became of it.
    Unclear,
    /// The server has said that the Job is there.
    Confirmed,
}

/// What became of a launch, for whoever expects its Job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answered {
    /// The Job is there.
    Exists,
    /// The server refused it for good, or nothing was sent.
    Refused,
    /// Nobody knows.
    Unclear,
}

/// Whether a consistent list of an object's Jobs is called for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListNeed {
    /// The watch and the expected names are enough.
    None,
    /// It could settle old names; without it they go on counting.
    Useful,
    /// Another process opened rounds: without it Jobs could be missing from the count.
    Needed,
}

/// The Jobs of an object in one consistent list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListedJobs {
    /// Names, and the hashes behind them.
    pub unfinished: BTreeMap<String, String>,
    /// Names.
    pub finished: BTreeSet<String>,
}

impl Expectations {
    /// Whether a record tells of a round that this process neither opened nor counted with.
    pub fn is_news(&self, record: &RoundRecord) -> bool {
        record.round.number > self.counted
    }

    /// Counts with a round that is news from now on. `unseen`: names and occurrences of it
    /// that the watch does not show, if it [expects names](expects_names).
    pub fn learnt(
        &mut self,
        record: RoundRecord,
        unseen: impl IntoIterator<Item = (String, String)>,
        now: Instant,
    ) {
        // Rounds before this one may have gone by unseen, too.
        self.needs_list = true;
        self.begin(record, unseen, Create::Unclear, now);
    }

    /// This process has written the round down: each of its names counts.
    pub fn opened(
        &mut self,
        record: RoundRecord,
        names: impl IntoIterator<Item = (String, String)>,
        now: Instant,
    ) {
        self.begin(record, names, Create::Unsent, now);
    }

    fn begin(
        &mut self,
        record: RoundRecord,
        names: impl IntoIterator<Item = (String, String)>,
        create: Create,
        now: Instant,
    ) {
        let round = record.round.number;
        self.counted = self.counted.max(round);
        let mut kept = self
            .last
            .take()
            .map_or_else(BTreeMap::new, |last| last.names);
        // What is left unsent of an earlier round is not sent any more: one round is launched after the other.
        kept.retain(|_, expected| expected.create != Create::Unsent);
        for (name, occurrence) in names {
            kept.entry(name).or_insert(ExpectedJob {
                occurrence,
                round,
                create,
            });
        }
        self.last = Some(OpenRound {
            record,
            last_sent: now,
            names: kept,
        });
    }

    /// A create of this name is about to be sent.
    pub fn sending(&mut self, name: &str, now: Instant) {
        if let Some(last) = &mut self.last
            && last.names.contains_key(name)
        {
            last.last_sent = now;
        }
    }

    /// A launch of this name begins. After an earlier one a refusal says nothing: that may still come.
    pub fn launching(&mut self, name: &str) {
        if let Some(expected) = self.expected_mut(name) {
            expected.create = match expected.create {
                Create::Unsent => Create::Sent,
                Create::Sent | Create::Unclear => Create::Unclear,
                Create::Confirmed => Create::Confirmed,
            };
        }
    }

    /// A launch of this name has ended.
    pub fn answered(&mut self, name: &str, answered: Answered) {
        let Some(expected) = self.expected_mut(name) else {
            return;
        };
        match answered {
            Answered::Exists => expected.create = Create::Confirmed,
            Answered::Unclear if expected.create != Create::Confirmed => {
                expected.create = Create::Unclear;
            }
            Answered::Refused if expected.create == Create::Sent => self.seen(name),
            Answered::Unclear | Answered::Refused => {}
        }
    }

    /// The Job was seen, living or going: from here on the watch tells of it.
    pub fn seen(&mut self, name: &str) {
        if let Some(last) = &mut self.last {
            last.names.remove(name);
        }
        self.tidy();
    }

    /// The newest round that this process has counted with; 0 before the first.
    pub fn counted(&self) -> u64 {
        self.counted
    }

    /// Names of which nobody can say whether their Jobs are there, or will be. While there are any, no round is opened.
    pub fn in_doubt(&self) -> usize {
        let in_doubt = |(_, expected): &(&String, &ExpectedJob)| {
            matches!(expected.create, Create::Sent | Create::Unclear)
        };
        self.names().filter(in_doubt).count()
    }

    /// The record to say closed: every create of the round was answered clearly.
    pub fn to_close(&self) -> Option<&RoundRecord> {
        let last = self.last.as_ref().filter(|last| last.record.open)?;
        let mut names = last.names.values();
        let is_answered = names.all(|expected| expected.create == Create::Confirmed);
        (is_answered && !self.needs_list).then_some(&last.record)
    }

    /// The record says so, or somebody else has written another: nothing more is to be said of this round.
    pub fn closed(&mut self) {
        if let Some(last) = &mut self.last {
            last.record.open = false;
        }
        self.tidy();
    }

    /// Every expected name. Each counts as one unfinished Job.
    pub fn names(&self) -> impl Iterator<Item = (&String, &ExpectedJob)> {
        self.last.iter().flat_map(|last| &last.names)
    }

    /// Whether to ask for a consistent list of the object's Jobs now. `grace`: [`LATEST_CREATE`], except in tests.
    pub fn list(&self, now: Instant, grace: Duration) -> ListNeed {
        if self.needs_list {
            return ListNeed::Needed;
        }
        let rested = self
            .listed_at
            .is_none_or(|at| now.saturating_duration_since(at) >= BETWEEN_LISTS);
        match &self.last {
            Some(last) if rested && !last.names.is_empty() && last.is_old(now, grace) => {
                ListNeed::Useful
            }
            _ => ListNeed::None,
        }
    }

    /// Names that a list by label should hold and does not, although the server has confirmed them. Their Jobs are gone,
    /// or somebody took our label off: each is to be read by its name before [`Self::settle`] drops it.
    pub fn missing(&self, listed: &ListedJobs, asked_at: Instant, grace: Duration) -> Vec<String> {
        let last = self.last.as_ref();
        if !last.is_some_and(|last| last.is_old(asked_at, grace)) {
            return Vec::new();
        }
        let is_missing = |(name, expected): &(&String, &ExpectedJob)| {
            let is_listed =
                listed.unfinished.contains_key(*name) || listed.finished.contains(*name);
            expected.create == Create::Confirmed && !is_listed
        };
        let missing = self.names().filter(is_missing);
        missing.map(|(name, _)| name.clone()).collect()
    }

    /// Takes in a consistent list that was asked for at `asked_at`: a name that is old enough by then and is
    /// not unfinished will not become so. What was read by name counts as listed. `is_seen`: whether the watch shows a name.
    pub fn settle(
        &mut self,
        listed: &ListedJobs,
        is_seen: impl Fn(&str) -> bool,
        asked_at: Instant,
        grace: Duration,
    ) {
        self.listed_at = Some(asked_at);
        self.needs_list = false;
        let Some(last) = &mut self.last else {
            return;
        };
        let is_old = last.is_old(asked_at, grace);
        last.names.retain(|name, _| {
            !listed.finished.contains(name) && (!is_old || listed.unfinished.contains_key(name))
        });
        // Jobs of the rounds before, which the watch does not show yet, count as well.
        let round = last.record.round.number;
        for (name, occurrence) in &listed.unfinished {
            if is_seen(name) {
                last.names.remove(name);
                continue;
            }
            let expected = last
                .names
                .entry(name.clone())
                .or_insert_with(|| ExpectedJob {
                    occurrence: occurrence.clone(),
                    round,
                    create: Create::Confirmed,
                });
            expected.create = Create::Confirmed;
        }
        self.tidy();
    }

    fn expected_mut(&mut self, name: &str) -> Option<&mut ExpectedJob> {
        self.last.as_mut()?.names.get_mut(name)
    }

    fn tidy(&mut self) {
        let is_over = |last: &mut OpenRound| last.names.is_empty() && !last.record.open;
        self.last.take_if(is_over);
    }
}

impl OpenRound {
    fn is_old(&self, now: Instant, grace: Duration) -> bool {
        now.saturating_duration_since(self.last_sent) >= grace
    }
}

#[cfg(test)]
mod tests;
