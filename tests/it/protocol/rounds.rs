//! The world of rounds: two processes that launch for one ScaledJob, of which the Lease names one; a network that loses
//! answers and applies creates late; watches that lag; restarts; Jobs that end and are removed.
//!
//! What a process may do about rounds is decided by [`slipway::launch::round`], and each create by [`Once`].
//!
//! A tick is a minute, [`LATEST_CREATE`]. A create without an answer is applied within its tick, or never. A process that is
//! frozen is one that does nothing for a while: each step of a turn may come at any time. So may what a watch tells.

mod tests;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use slipway::launch::once::{Once, Saw, Step as OnceStep};
use slipway::launch::round::{
    Answered, Expectations, LATEST_CREATE, ListNeed, ListedJobs, RoundOpening, expects_names,
    opening,
};
use slipway::resource::{Round, RoundRecord};

use super::explore::{Kind, Step};

pub(super) const ABOVE_CAP: &str = "more unfinished Jobs than the cap";
pub(super) const NAME_TWICE: &str = "one name for two Jobs";

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// What holds in a world of rounds, and how much there is of everything.
#[derive(Debug, Clone, Copy)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one rule, taken out alone"
)]
pub(super) struct Rules {
    /// `maxReplicaCount`.
    pub(super) cap: u32,
    /// Rounds with Jobs. To be allowed to open one more is what the work is for.
    pub(super) rounds: u64,
    /// Changes of leader, restarts, and calls without an answer, all together.
    pub(super) faults: u8,
    pub(super) opening: fn(Option<&RoundRecord>, &RoundRecord, u64) -> RoundOpening,
    /// The record is written before the first create.
    pub(super) writes_first: bool,
    /// Names count from before their create.
    pub(super) counts_names: bool,
    /// A create without a clear answer is sent again under its name.
    pub(super) keeps_name: bool,
    /// Lead and deadline are looked at after the wait, right before a create is sent.
    pub(super) checks_again: bool,
    /// A turn sends only in the term of the lead in which it counted, even if its process leads again.
    pub(super) sends_in_its_term: bool,
    /// A round is open until each of its creates is answered.
    pub(super) is_open_until_answered: bool,
    /// No round is opened while a create of an earlier one is in doubt.
    pub(super) heeds_doubt: bool,
    /// How long a name is waited for that nobody has seen.
    pub(super) grace: Duration,
    /// A finished Job is kept for a minute after it was made.
    pub(super) keeps_young: bool,
}

impl Default for Rules {
    /// As the program has them.
    fn default() -> Self {
        Self {
            cap: 1,
            rounds: 2,
            faults: 1,
            opening,
            writes_first: true,
            counts_names: true,
            keeps_name: true,
            checks_again: true,
            sends_in_its_term: true,
            is_open_until_answered: true,
            heeds_doubt: true,
            grace: LATEST_CREATE,
            keeps_young: true,
        }
    }
}

/// A round and an ordinal.
type JobName = (u64, u32);

/// All there is, at one moment.
#[derive(Debug, Clone)]
pub(super) struct RoundsWorld {
    /// `status.round` at the server.
    record: Option<RoundRecord>,
    jobs: BTreeMap<JobName, LaunchedJob>,
    /// Creates without an answer that may still be applied, sorted.
    late: Vec<JobName>,
    /// Whom the Lease names.
    leader: usize,
    /// Shared by the worlds in which they are the same.
    processes: [Arc<Process>; 2],
    /// Lives begun so far: each has a holder's name of its own.
    lives: u8,
    faults: u8,
    /// In ticks.
    now: u32,
}

#[derive(Debug, Clone, Copy)]
struct LaunchedJob {
    life: JobLife,
    /// Made in this tick.
    is_young: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum JobLife {
    Running,
    Finished,
    Removed,
}

/// What a process has in memory.
#[derive(Debug, Clone)]
struct Process {
    holder: String,
    expectations: Expectations,
    /// What its watch of the object has shown.
    told: Option<RoundRecord>,
    /// What its watch of Jobs has shown.
    shown: BTreeMap<JobName, JobLife>,
    /// The last round of its turns.
    carried: u64,
    turn: TurnStage,
    /// Its turn counted in an earlier term of the lead.
    is_of_earlier_term: bool,
}

/// How far a turn has come.
#[derive(Debug, Clone, Copy)]
enum TurnStage {
    /// Between turns.
    Rests,
    /// Decided: so many Jobs, with the number of the record that the count knew.
    Decided { jobs: u32, told: u64 },
    /// Launches the Jobs of a round one after the other.
    Launches {
        round: Round,
        ordinal: u32,
        attempt: Option<Attempt>,
    },
}

#[derive(Debug, Clone, Copy)]
struct Attempt {
    once: Once,
    step: OnceStep,
    name: JobName,
    /// It began in an earlier tick: its deadline, shorter than a minute, is over.
    is_late: bool,
}

impl Process {
    fn new(life: u8, record: Option<RoundRecord>, shown: BTreeMap<JobName, JobLife>) -> Self {
        Self {
            holder: format!("life {life}"),
            expectations: Expectations::default(),
            told: record,
            shown,
            carried: 0,
            turn: TurnStage::Rests,
            is_of_earlier_term: false,
        }
    }

    fn caches(&self, name: JobName) -> bool {
        matches!(
            self.shown.get(&name),
            Some(JobLife::Running | JobLife::Finished)
        )
    }

    /// Jobs that its watch shows unfinished, and the names that count beside them.
    fn unfinished(&self) -> u32 {
        let running = self
            .shown
            .values()
            .filter(|life| **life == JobLife::Running);
        let expected = self.expectations.names().map(|(text, _)| parsed(text));
        let unseen = expected.filter(|name| !self.caches(*name));
        u32::try_from(running.count() + unseen.count()).unwrap()
    }

    /// The newest round on the object and on its Jobs, as it knows them.
    fn last_round(&self) -> u64 {
        let cached = self.shown.keys().filter(|name| self.caches(**name));
        let expected = self.expectations.names();
        let rounds = cached.map(|(round, _)| *round);
        let rounds = rounds.chain(expected.map(|(_, expected)| expected.round));
        let told = self.told.as_ref().map(|record| record.round.number);
        rounds.chain(told).max().unwrap_or(0).max(self.carried)
    }
}

/// The reserved names of a round, with the hashes behind them.
fn reserved(round: Round) -> Vec<(String, String)> {
    let name = |ordinal| text((round.number, ordinal));
    let names = (0..round.jobs).map(name);
    names.map(|name| (name, String::new())).collect()
}

fn moment(ticks: u32) -> Instant {
    *START + LATEST_CREATE * ticks
}

fn text((round, ordinal): JobName) -> String {
    format!("{round}-{ordinal}")
}

fn parsed(text: &str) -> JobName {
    let (round, ordinal) = text.split_once('-').unwrap();
    (round.parse().unwrap(), ordinal.parse().unwrap())
}

impl RoundsWorld {
    pub(super) fn new(rules: &Rules) -> Self {
        let process = |life| Arc::new(Process::new(life, None, BTreeMap::new()));
        Self {
            record: None,
            jobs: BTreeMap::new(),
            late: Vec::new(),
            leader: 0,
            processes: [process(0), process(1)],
            lives: 2,
            faults: rules.faults,
            now: 0,
        }
    }

    fn may_send(&self, rules: &Rules, who: usize) -> bool {
        let is_over = rules.sends_in_its_term && self.processes[who].is_of_earlier_term;
        self.leader == who && !is_over
    }

    fn is_there(&self, name: JobName) -> bool {
        let life = self.jobs.get(&name).map(|job| job.life);
        matches!(life, Some(JobLife::Running | JobLife::Finished))
    }

    /// The server makes a Job, unless its name is taken.
    fn apply(&mut self, rules: &Rules, name: JobName) -> Result<(), &'static str> {
        if self.is_there(name) {
            return Ok(());
        }
        let job = LaunchedJob {
            life: JobLife::Running,
            is_young: true,
        };
        if self.jobs.insert(name, job).is_some() {
            return Err(NAME_TWICE);
        }
        let unfinished = self.jobs.values();
        let unfinished = unfinished.filter(|job| job.life == JobLife::Running);
        if unfinished.count() > usize::try_from(rules.cap).unwrap() {
            return Err(ABOVE_CAP);
        }
        Ok(())
    }

    /// A consistent list of the object's Jobs, taken in.
    fn settle(&mut self, rules: &Rules, who: usize) {
        let mut listed = ListedJobs::default();
        for (name, job) in &self.jobs {
            match job.life {
                JobLife::Running => {
                    listed.unfinished.insert(text(*name), String::new());
                }
                JobLife::Finished => {
                    listed.finished.insert(text(*name));
                }
                JobLife::Removed => {}
            }
        }
        let now = moment(self.now);
        let process = Arc::make_mut(&mut self.processes[who]);
        let shown = process.shown.clone();
        let is_seen = |name: &str| {
            let life = shown.get(&parsed(name));
            matches!(life, Some(JobLife::Running | JobLife::Finished))
        };
        process
            .expectations
            .settle(&listed, is_seen, now, rules.grace);
    }

    fn close(&mut self, who: usize) {
        let process = Arc::make_mut(&mut self.processes[who]);
        let Some(record) = process.expectations.to_close() else {
            return;
        };
        if let Some(written) = &mut self.record
            && (written.round.number, &written.holder) == (record.round.number, &record.holder)
        {
            written.open = false;
        }
        process.expectations.closed();
    }

    /// Counts, and decides. `closes`: whether the patch that says a round closed comes through.
    fn count(&mut self, rules: &Rules, who: usize, closes: bool) {
        let now = moment(self.now);
        let process = Arc::make_mut(&mut self.processes[who]);
        let is_news = |record: &&RoundRecord| process.expectations.is_news(record);
        if let Some(record) = process.told.clone().as_ref().filter(is_news) {
            let mut names = Vec::new();
            if expects_names(record, &process.holder) {
                names = reserved(record.round);
                names.retain(|(name, _)| !process.caches(parsed(name)));
            }
            process.expectations.learnt(record.clone(), names, now);
        }
        if process.expectations.list(now, rules.grace) != ListNeed::None {
            self.settle(rules, who);
        }
        if closes {
            self.close(who);
        }
        let process = Arc::make_mut(&mut self.processes[who]);
        let free = rules.cap.saturating_sub(process.unfinished());
        process.carried = process.last_round();
        process.is_of_earlier_term = false;
        process.turn = match free {
            0 => TurnStage::Rests,
            jobs => TurnStage::Decided {
                jobs,
                told: process
                    .told
                    .as_ref()
                    .map_or(0, |record| record.round.number),
            },
        };
    }

    /// Opens a round; whether the work has come to its goal.
    fn open(&mut self, rules: &Rules, who: usize, (jobs, told): (u32, u64), answers: bool) -> bool {
        let now = moment(self.now);
        Arc::make_mut(&mut self.processes[who]).turn = TurnStage::Rests;
        if rules.heeds_doubt && self.processes[who].expectations.in_doubt() > 0 {
            self.settle(rules, who);
            if self.processes[who].expectations.in_doubt() > 0 {
                return false;
            }
        }
        let process = Arc::make_mut(&mut self.processes[who]);
        let number = process.carried + 1;
        let round = Round { number, jobs };
        let mut record = RoundRecord::open(round, process.holder.clone());
        record.open = rules.is_open_until_answered;
        let counted = process.expectations.counted().max(told);
        match (rules.opening)(self.record.as_ref(), &record, counted) {
            RoundOpening::Conflict => return false,
            RoundOpening::Write | RoundOpening::Written if number > rules.rounds => return true,
            RoundOpening::Write if rules.writes_first => self.record = Some(record.clone()),
            RoundOpening::Write | RoundOpening::Written => {}
        }
        if !answers {
            return false;
        }
        process.carried = number;
        if rules.counts_names {
            process.expectations.opened(record, reserved(round), now);
        }
        process.turn = TurnStage::Launches {
            round,
            ordinal: 0,
            attempt: None,
        };
        false
    }

    /// A launch of one name has ended.
    fn answered(&mut self, who: usize, name: JobName, answered: Answered) {
        let process = Arc::make_mut(&mut self.processes[who]);
        process.expectations.answered(&text(name), answered);
        let TurnStage::Launches { round, ordinal, .. } = process.turn else {
            unreachable!("only a launch ends");
        };
        process.turn = TurnStage::Launches {
            round,
            ordinal: ordinal + 1,
            attempt: None,
        };
        if ordinal + 1 == round.jobs {
            process.turn = TurnStage::Rests;
            self.close(who);
        }
    }

    /// Stops a launch in the middle.
    fn stop(&mut self, who: usize, attempt: Attempt) {
        let answered = if attempt.once.is_unclear() {
            Answered::Unclear
        } else {
            Answered::Refused
        };
        self.answered(who, attempt.name, answered);
    }

    fn saw(&mut self, rules: &Rules, who: usize, mut attempt: Attempt, saw: Saw) {
        attempt.step = attempt.once.next(saw);
        if saw == Saw::Absent && !rules.keeps_name {
            attempt.name.1 += 10;
        }
        if let OnceStep::End(ended) = attempt.step {
            let answered = match ended {
                Ok(_) => Answered::Exists,
                Err(_) => Answered::Unclear,
            };
            self.answered(who, attempt.name, answered);
        } else if let TurnStage::Launches { attempt: place, .. } =
            &mut Arc::make_mut(&mut self.processes[who]).turn
        {
            *place = Some(attempt);
        }
    }
}

impl super::explore::World for RoundsWorld {
    type Rules = Rules;

    fn code(&self) -> u128 {
        let mut told = format!("{:?}{:?}{}", self.record, self.late, self.faults);
        for (name, job) in &self.jobs {
            write!(told, "{name:?}{:?}{}", job.life, job.is_young).unwrap();
        }
        for (who, process) in self.processes.iter().enumerate() {
            write!(told, "{}{process:?}", self.leader == who).unwrap();
        }
        for (who, process) in self.processes.iter().enumerate() {
            told = told.replace(&process.holder, ["one", "other"][who]);
        }
        let told = with_ages(&told, &format!("{:?}", moment(self.now)));
        let [low, high] = [0_u8, 1].map(|half| {
            let mut hasher = DefaultHasher::new();
            (half, &told).hash(&mut hasher);
            u128::from(hasher.finish())
        });
        high << 64 | low
    }

    fn steps(&self, rules: &Rules, steps: &mut Vec<Step<Self>>) {
        for who in 0..2 {
            self.turns(rules, who, steps);
            self.watches(who, steps);
        }
        let mut push = |what, kind, then| steps.push(Step { what, kind, then });
        let mut next = self.clone();
        next.now += 1;
        next.late.clear();
        for process in &mut next.processes {
            if let TurnStage::Launches {
                attempt: Some(_), ..
            } = process.turn
                && let TurnStage::Launches {
                    attempt: Some(attempt),
                    ..
                } = &mut Arc::make_mut(process).turn
            {
                attempt.is_late = true;
            }
        }
        for job in next.jobs.values_mut() {
            job.is_young = false;
        }
        push(("a minute goes by", 0), Kind::Work, Ok(next));
        for (name, job) in &self.jobs {
            let may_go = !(rules.keeps_young && job.is_young);
            let (what, kind, life) = match job.life {
                JobLife::Running => ("ends", Kind::Work, JobLife::Finished),
                JobLife::Finished if may_go => ("is removed", Kind::Fault, JobLife::Removed),
                _ => continue,
            };
            let mut next = self.clone();
            next.jobs.get_mut(name).unwrap().life = life;
            push((what, number(*name)), kind, Ok(next));
        }
        for (index, name) in self.late.iter().enumerate() {
            let mut next = self.clone();
            next.late.remove(index);
            let then = next.apply(rules, *name).map(|()| next);
            push(
                ("a late create is applied", number(*name)),
                Kind::Fault,
                then,
            );
        }
        let Some(faults) = self.faults.checked_sub(1) else {
            return;
        };
        for who in 0..2_usize {
            let mut next = Self {
                faults,
                ..self.clone()
            };
            let shown = self.jobs.iter().map(|(name, job)| (*name, job.life));
            let process = Process::new(self.lives, self.record.clone(), shown.collect());
            next.processes[who] = Arc::new(process);
            next.lives += 1;
            push(
                ("restarts", u8::try_from(who).unwrap()),
                Kind::Fault,
                Ok(next),
            );
        }
        let mut next = Self {
            faults,
            leader: 1 - self.leader,
            ..self.clone()
        };
        let process = &mut next.processes[self.leader];
        if !matches!(process.turn, TurnStage::Rests) {
            Arc::make_mut(process).is_of_earlier_term = true;
        }
        push(("the other leads", 0), Kind::Fault, Ok(next));
    }
}

/// All that matters of a moment is whether it is a minute ago.
fn with_ages(text: &str, now: &str) -> String {
    let (before, _) = now.split_once('{').expect("the moment's name");
    let mut parts = text.split(before);
    let mut told = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (moment, rest) = part.split_once('}').expect("a moment");
        let is_now = now[before.len()..].starts_with(moment);
        told.push_str(if is_now { "now" } else { "before" });
        told.push_str(rest);
    }
    told
}

/// For people: round and ordinal in one.
fn number((round, ordinal): JobName) -> u8 {
    u8::try_from(round * 10 + u64::from(ordinal)).unwrap_or(u8::MAX)
}

impl RoundsWorld {
    /// What a process does next in its turn.
    fn turns(&self, rules: &Rules, who: usize, steps: &mut Vec<Step<Self>>) {
        let id = u8::try_from(who).unwrap();
        let mut push = |what, kind, then| {
            steps.push(Step {
                what: (what, id),
                kind,
                then,
            });
        };
        let faulty = self.faults.checked_sub(1).map(|faults| Self {
            faults,
            ..self.clone()
        });
        let mut next = self.clone();
        match self.processes[who].turn {
            TurnStage::Rests if self.leader != who => {}
            TurnStage::Rests => {
                next.count(rules, who, true);
                push("counts", Kind::Work, Ok(next));
                if let Some(mut next) = faulty {
                    next.count(rules, who, false);
                    push(
                        "counts, and cannot say a round closed",
                        Kind::Fault,
                        Ok(next),
                    );
                }
            }
            TurnStage::Decided { jobs, told } => {
                let is_goal = next.open(rules, who, (jobs, told), true);
                let kind = if is_goal { Kind::Goal } else { Kind::Work };
                push("opens a round", kind, Ok(next));
                if let Some(mut next) = faulty {
                    next.open(rules, who, (jobs, told), false);
                    push("opens a round without an answer", Kind::Fault, Ok(next));
                }
            }
            TurnStage::Launches {
                round,
                ordinal,
                attempt: None,
            } => {
                let name = (round.number, ordinal);
                Arc::make_mut(&mut next.processes[who])
                    .expectations
                    .launching(&text(name));
                let once = Once::new(false);
                let attempt = Attempt {
                    once,
                    step: once.begin(),
                    name,
                    is_late: false,
                };
                if self.may_send(rules, who) {
                    let attempt = Some(attempt);
                    Arc::make_mut(&mut next.processes[who]).turn = TurnStage::Launches {
                        round,
                        ordinal,
                        attempt,
                    };
                } else {
                    next.stop(who, attempt);
                }
                push("begins a launch", Kind::Work, Ok(next));
            }
            TurnStage::Launches {
                attempt: Some(attempt),
                ..
            } => self.attempts(rules, who, attempt, steps),
        }
    }

    /// One create, or a read after it.
    fn attempts(&self, rules: &Rules, who: usize, attempt: Attempt, steps: &mut Vec<Step<Self>>) {
        let id = u8::try_from(who).unwrap();
        let mut push = |what, kind, then| {
            steps.push(Step {
                what: (what, id),
                kind,
                then,
            });
        };
        let name = attempt.name;
        let mut next = self.clone();
        if attempt.step == OnceStep::Read {
            let saw = if self.is_there(name) {
                Saw::Ours {
                    payload_differs: false,
                }
            } else {
                Saw::Absent
            };
            next.saw(rules, who, attempt, saw);
            push("reads the Job", Kind::Work, Ok(next));
            let mut next = self.clone();
            next.stop(who, attempt);
            push("gives a launch up", Kind::Fault, Ok(next));
            return;
        }
        if rules.checks_again && (!self.may_send(rules, who) || attempt.is_late) {
            next.stop(who, attempt);
            push("may not send any more", Kind::Work, Ok(next));
            return;
        }
        let now = moment(self.now);
        let sending = |world: &mut Self| {
            let process = Arc::make_mut(&mut world.processes[who]);
            process.expectations.sending(&text(name), now);
        };
        sending(&mut next);
        let saw = if self.is_there(name) {
            Saw::Exists
        } else {
            Saw::Created
        };
        let then = next.apply(rules, name).map(|()| {
            next.saw(rules, who, attempt, saw);
            next
        });
        push("creates", Kind::Work, then);
        if let Some(faults) = self.faults.checked_sub(1) {
            let mut next = Self {
                faults,
                ..self.clone()
            };
            sending(&mut next);
            next.late.push(name);
            next.late.sort_unstable();
            next.saw(rules, who, attempt, Saw::Unclear);
            push("creates without an answer", Kind::Fault, Ok(next));
        }
    }

    /// What the watches of a process tell it. They matter when it counts or opens a round, so they tell it then: one thing
    /// after the other, however late.
    fn watches(&self, who: usize, steps: &mut Vec<Step<Self>>) {
        let id = u8::try_from(who).unwrap();
        let process = &self.processes[who];
        let is_awaited = match process.turn {
            TurnStage::Rests => self.leader == who,
            TurnStage::Decided { .. } => true,
            TurnStage::Launches { .. } => false,
        };
        if !is_awaited {
            return;
        }
        if process.told != self.record {
            let mut next = self.clone();
            Arc::make_mut(&mut next.processes[who])
                .told
                .clone_from(&self.record);
            let what = ("is shown the record", id);
            let (kind, then) = (Kind::Work, Ok(next));
            steps.push(Step { what, kind, then });
        }
        for (name, job) in &self.jobs {
            let shown = process.shown.get(name).copied();
            if shown == Some(job.life) {
                continue;
            }
            let life = match shown {
                None => JobLife::Running,
                Some(JobLife::Running) => JobLife::Finished,
                Some(JobLife::Finished | JobLife::Removed) => JobLife::Removed,
            };
            let mut next = self.clone();
            let process = Arc::make_mut(&mut next.processes[who]);
            process.shown.insert(*name, life);
            process.expectations.seen(&text(*name));
            let what = ("is shown a Job", id);
            let (kind, then) = (Kind::Work, Ok(next));
            steps.push(Step { what, kind, then });
        }
    }
}
