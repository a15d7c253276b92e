//! The world of launching: replicas that take one event several times, a network that loses, delays and
//! reorders, a ledger, and all who remove Jobs.
//!
//! Time is counted in ticks of half a minute. What is as good as atomic is atomic: a read whose answer comes later is
//! a read, and a replica that pauses. Looking into the ledger and sending are one step: that is the promise's assumption, and
//! [`Rules::flight`](super::decisions::Rules) counts from there.

use slipway::launch::Launched;
use slipway::launch::once::{NotLaunched, Saw, Step as OnceStep};

use super::decisions::{Decided, OLDEST, OURS};
use super::explore::{Kind, Step};

/// A process that is no more.
const NOBODY: u8 = 2;

/// All there is, at one moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct World {
    /// By name.
    jobs: [Option<Job>; 2],
    /// Jobs that were ever made, by event.
    made: [u8; 2],
    /// The ledger at the server: ticks since the event's key is there.
    keys: [Option<u8>; 2],
    replicas: [Replica; 2],
    flights: [Option<Flight>; 3],
}

#[derive(Debug, Clone, Copy)]
struct Job {
    event: u8,
    is_finished: bool,
}

/// What a process has in memory.
#[derive(Debug, Clone, Copy, Default)]
struct Replica {
    run: Option<Run>,
    /// Keys in its copy of the ledger, by event.
    has: [bool; 2],
    /// Ticks since its copy was confirmed; `None` when that is too long ago, or was never.
    confirmed: Option<u8>,
}

/// A delivery under way.
#[derive(Debug, Clone, Copy)]
struct Run {
    event: u8,
    name: u8,
    /// Its number among those of [`Decided`].
    state: u8,
    /// A create of this run was applied.
    has_made: bool,
}

/// A create on its way to the server.
#[derive(Debug, Clone, Copy)]
struct Flight {
    age: u8,
    event: u8,
    name: u8,
    /// Whose run sent it; [`NOBODY`] when that run is over.
    from: u8,
    /// Somebody waits for its answer.
    is_awaited: bool,
}

impl Replica {
    fn code(self) -> u128 {
        let run = self.run.map_or(0, |run| {
            let flags =
                u128::from(run.event) << 2 | u128::from(run.name) << 1 | u128::from(run.has_made);
            1 + (u128::from(run.state) << 3 | flags)
        });
        let has = u128::from(self.has[0]) << 1 | u128::from(self.has[1]);
        run << 4 | has << 2 | self.confirmed.map_or(0, |age| 1 + u128::from(age))
    }
}

fn flight_code(flight: Option<Flight>) -> u128 {
    flight.map_or(0, |flight| {
        let which = u128::from(flight.event) << 2
            | u128::from(flight.name) << 1
            | u128::from(flight.is_awaited);
        1 + (u128::from(flight.age) << 5 | u128::from(flight.from) << 3 | which)
    })
}

impl World {
    pub(super) fn new() -> Self {
        Self {
            jobs: [None; 2],
            made: [0; 2],
            keys: [None; 2],
            replicas: [Replica::default(); 2],
            flights: [None; 3],
        }
    }

    /// The same world, told in one way: which replica is the first makes no difference, nor does which create is.
    fn told(mut self) -> Self {
        if self.replicas[0].code() > self.replicas[1].code() {
            self.replicas.swap(0, 1);
            for flight in self.flights.iter_mut().flatten() {
                flight.from = [1, 0, NOBODY][usize::from(flight.from)];
            }
        }
        for (one, other) in [(0, 1), (1, 2), (0, 1)] {
            if flight_code(self.flights[one]) < flight_code(self.flights[other]) {
                self.flights.swap(one, other);
            }
        }
        self
    }

    fn replica(&mut self, who: u8) -> &mut Replica {
        &mut self.replicas[usize::from(who)]
    }

    /// The run saw something, and does what comes next as far as it is done at once.
    fn saw(mut self, decided: &Decided, who: u8, saw: Saw) -> (Kind, Result<Self, &'static str>) {
        let mut run = self.replicas[usize::from(who)]
            .run
            .expect("only a run sees");
        run.state = decided.next(run.state, saw);
        let mut at = decided.step(run.state);
        if decided.rules.takes_another_name && saw == Saw::Exists {
            (run.name, at) = (1, OnceStep::Create);
        }
        self.replica(who).run = Some(run);
        match at {
            OnceStep::Create => {
                let free = self.flights[..decided.rules.flights]
                    .iter()
                    .position(Option::is_none);
                self.flights[free.expect("asked before")] = Some(Flight {
                    age: 0,
                    event: run.event,
                    name: run.name,
                    from: who,
                    is_awaited: true,
                });
                (Kind::Work, Ok(self))
            }
            OnceStep::End(ended) => self.end(who, run, ended),
            _ => (Kind::Work, Ok(self)),
        }
    }

    /// The sender gets its answer.
    fn end(
        mut self,
        who: u8,
        run: Run,
        ended: Result<Launched, NotLaunched>,
    ) -> (Kind, Result<Self, &'static str>) {
        let may_come = self
            .flights
            .iter()
            .flatten()
            .any(|flight| flight.from == who);
        self.forget_run(who);
        match ended {
            Ok(_) => {
                if self.made[usize::from(run.event)] == 0 {
                    return (Kind::Goal, Err("2xx without a Job"));
                }
                (Kind::Goal, Ok(self))
            }
            Err(NotLaunched::Refused) if run.has_made || may_come => {
                (Kind::Work, Err("a clear no, and a Job"))
            }
            Err(_) => (Kind::Work, Ok(self)),
        }
    }

    fn forget_run(&mut self, who: u8) {
        self.replica(who).run = None;
        for flight in self.flights.iter_mut().flatten() {
            if flight.from == who {
                (flight.from, flight.is_awaited) = (NOBODY, false);
            }
        }
    }

    /// A create reaches the server; what it is answered.
    fn apply(&mut self, at: usize) -> Result<Saw, &'static str> {
        let flight = self.flights[at].take().expect("there is one");
        let job = &mut self.jobs[usize::from(flight.name)];
        if job.is_some() {
            return Ok(Saw::Exists);
        }
        *job = Some(Job {
            event: flight.event,
            is_finished: false,
        });
        self.made[usize::from(flight.event)] += 1;
        if let Some(replica) = self.replicas.get_mut(usize::from(flight.from)) {
            replica.run.as_mut().expect("it is of this run").has_made = true;
        }
        if self.made[usize::from(flight.event)] > 1 {
            return Err("two Jobs for one event");
        }
        Ok(Saw::Created)
    }
}

/// Collects what can happen.
struct Steps<'a> {
    decided: &'a Decided,
    steps: &'a mut Vec<Step<World>>,
}

impl Steps<'_> {
    fn add(&mut self, what: &'static str, who: u8, kind: Kind, world: World) {
        self.checked(what, who, kind, Ok(world));
    }

    fn checked(
        &mut self,
        what: &'static str,
        who: u8,
        kind: Kind,
        then: Result<World, &'static str>,
    ) {
        self.steps.push(Step {
            what: (what, who),
            kind,
            then: then.map(World::told),
        });
    }

    /// Somebody's run goes on.
    fn run(&mut self, world: &World, who: u8) {
        let replica = world.replicas[usize::from(who)];
        let Some(run) = replica.run else {
            for event in 0..self.decided.rules.events {
                let mut next = *world;
                next.replica(who).run = Some(Run {
                    event,
                    name: 0,
                    state: Decided::BEGIN,
                    has_made: false,
                });
                self.add("an event is delivered to", who, Kind::Work, next);
            }
            return;
        };
        match self.decided.step(run.state) {
            OnceStep::LookIntoLedger => {
                let has = replica.has[usize::from(run.event)];
                let saw = self.decided.look(has, replica.confirmed);
                if saw == Saw::LedgerHasNot && !self.has_room(world) {
                    return;
                }
                let (kind, then) = world.saw(self.decided, who, saw);
                self.checked(
                    "the ledger is looked into, and what follows done, by",
                    who,
                    kind,
                    then,
                );
            }
            OnceStep::ReadLedger => {
                let mut next = *world;
                next.read_ledger(who);
                let state = self.decided.has_read(run.state);
                next.replica(who).run = Some(Run { state, ..run });
                self.add("the ledger is read by", who, Kind::Work, next);
            }
            OnceStep::Read => {
                let saw = match world.jobs[usize::from(run.name)] {
                    None => Saw::Absent,
                    Some(job) if job.event == run.event => OURS,
                    Some(_) => Saw::Foreign,
                };
                // A rule that creates without a look needs room too.
                if self.has_room(world) || saw != Saw::Absent {
                    let (kind, then) = world.saw(self.decided, who, saw);
                    self.checked("the Job is read by", who, kind, then);
                }
            }
            OnceStep::Create | OnceStep::End(_) => {}
        }
        let mut next = *world;
        next.forget_run(who);
        self.add("the deadline passes for", who, Kind::Fault, next);
    }

    fn has_room(&self, world: &World) -> bool {
        world.flights[..self.decided.rules.flights]
            .iter()
            .any(Option::is_none)
    }

    /// The network does what it likes with a create.
    fn network(&mut self, world: &World, at: usize, flight: Flight) {
        let who = flight.from;
        let mut applied = *world;
        let answer = match applied.apply(at) {
            Ok(answer) => answer,
            Err(promise) => {
                return self.checked("a create is applied of", who, Kind::Work, Err(promise));
            }
        };
        let mut dropped = *world;
        dropped.flights[at] = None;
        if !flight.is_awaited {
            self.add("a late create is applied of", who, Kind::Work, applied);
            self.add("a late create is lost of", who, Kind::Work, dropped);
            return;
        }
        let mut waiting = *world;
        let still = waiting.flights[at].as_mut().expect("there is one");
        still.is_awaited = false;
        let another_try = self.decided.rules.takes_another_name && answer == Saw::Exists;
        if !another_try || self.has_room(&applied) {
            let (kind, then) = applied.saw(self.decided, who, answer);
            self.checked("a create is applied and answered to", who, kind, then);
        }
        for (what, world, saw) in [
            // Then it may be applied, or lost.
            (
                "a create is given up, and may come, of",
                waiting,
                Saw::Unclear,
            ),
            ("a create is put off (429) of", dropped, Saw::NotDone),
            ("a create is refused of", dropped, Saw::Refused),
        ] {
            let (kind, then) = world.saw(self.decided, who, saw);
            let kind = if kind == Kind::Work {
                Kind::Fault
            } else {
                kind
            };
            self.checked(what, who, kind, then);
        }
    }

    /// What else a process does, besides runs; whether it leads does not matter.
    fn background(&mut self, world: &World, who: u8) {
        let mut crashed = *world;
        crashed.forget_run(who);
        *crashed.replica(who) = Replica::default();
        self.add("a crash of", who, Kind::Fault, crashed);

        let mut read = *world;
        read.read_ledger(who);
        self.add("the ledger is read again by", who, Kind::Work, read);

        for name in 0..2 {
            let Some(job) = world.jobs[name] else {
                continue;
            };
            let event = usize::from(job.event);
            if world.keys[event].is_none() {
                let mut lost = *world;
                lost.keys[event] = Some(0);
                let mut written = lost;
                written.replica(who).has[event] = true;
                self.add("the key is written by", who, Kind::Work, written);
                self.add(
                    "the key is written, and the answer lost, by",
                    who,
                    Kind::Fault,
                    lost,
                );
            }
            // The longest it can have known it: since it is there.
            let known = world.keys[event].filter(|_| world.replicas[usize::from(who)].has[event]);
            if job.is_finished && self.decided.is_removable(known) {
                let mut removed = *world;
                removed.jobs[name] = None;
                self.add("the finished Job is removed by", who, Kind::Work, removed);
            }
        }
    }

    /// What others do to Jobs.
    fn others(&mut self, world: &World) {
        for name in 0..2_u8 {
            let Some(job) = world.jobs[usize::from(name)] else {
                continue;
            };
            let mut next = *world;
            next.jobs[usize::from(name)] = Some(Job {
                is_finished: true,
                ..job
            });
            self.add("a Job finishes:", name, Kind::Work, next);
            let key = world.keys[usize::from(job.event)];
            let may = match self.decided.rules.deleted_after {
                Some(ticks) => key.is_some_and(|age| age >= ticks),
                None => job.is_finished,
            };
            if may {
                next.jobs[usize::from(name)] = None;
                self.add("a Job is deleted by hand or TTL:", name, Kind::Fault, next);
            }
        }
    }

    fn tick(&mut self, world: &World) {
        let mut next = *world;
        for flight in next.flights.iter_mut().flatten() {
            // No create is applied later: first it is applied or lost.
            if flight.age == self.decided.rules.flight {
                return;
            }
            flight.age += 1;
        }
        for age in next.keys.iter_mut().flatten() {
            *age = OLDEST.min(*age + 1);
        }
        for replica in &mut next.replicas {
            replica.confirmed = replica.confirmed.filter(|age| *age == 0).map(|age| age + 1);
        }
        self.add("half a minute passes:", 0, Kind::Work, next);
    }
}

impl World {
    fn read_ledger(&mut self, who: u8) {
        let keys = self.keys;
        let replica = self.replica(who);
        replica.has = keys.map(|key| key.is_some());
        replica.confirmed = Some(0);
    }
}

impl super::explore::World for World {
    type Rules = Decided;

    fn code(&self) -> u128 {
        let mut code = 0;
        for at in 0..2 {
            let job = self.jobs[at].map_or(0, |job| {
                1 + (u128::from(job.event) << 1 | u128::from(job.is_finished))
            });
            let key = self.keys[at].map_or(0, |age| 1 + u128::from(age));
            code = code << 8 | job << 5 | u128::from(self.made[at]) << 3 | key;
            code = code << 16 | self.replicas[at].code();
        }
        for flight in self.flights {
            code = code << 8 | flight_code(flight);
        }
        code
    }

    fn steps(&self, decided: &Decided, steps: &mut Vec<Step<Self>>) {
        let mut steps = Steps { decided, steps };
        for who in 0..2 {
            steps.run(self, who);
            steps.background(self, who);
        }
        for (at, flight) in self.flights.iter().enumerate() {
            if let Some(flight) = flight {
                steps.network(self, at, *flight);
            }
        }
        steps.others(self);
        steps.tick(self);
    }
}
