//! The world of gates: two processes that both believe they lead, all the time, and Jobs that wait.
//!
//! Versions are not counted: of each request, and of each Job as a leader sees it, it is known whether it is based on the
//! server's version. A request that is not will never be made.
//!
//! A leader is told of all that has happened up to one moment, at once. One that lags is one that pauses before its next
//! step. It is never told of less than its own changes that were answered: until they are shown it decides nothing
//! ([`slipway::launch::admission::OwnChanges`]).
//!
//! A leader that pauses takes no step, so a request that is waited for is as good as sent when it is made. The
//! others are given up at once, and made later, or never.

use slipway::resource::event_job::GatedPolicy;

use super::explore::{Kind, Step};
use super::leading::{Decided, JOBS, Job};

/// All there is, at one moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct World {
    jobs: [Job; JOBS],
    /// Requests that nobody waits for, by Job: bits by [`Request`].
    late: [u8; JOBS],
    /// Jobs that waited at some moment while nothing had room: bits.
    crowded: u8,
    leaders: [[View; JOBS]; 2],
}

/// A Job as a leader sees it.
#[derive(Debug, Clone, Copy)]
struct View {
    job: Job,
    /// It is the server's version.
    is_current: bool,
}

impl View {
    const NOTHING: Self = Self {
        job: Job::Absent,
        is_current: true,
    };
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Request {
    ClaimFirst,
    ClaimSecond,
    ClaimDead,
    Release,
    Discard,
}

const REQUESTS: [Request; 5] = [
    Request::ClaimFirst,
    Request::ClaimSecond,
    Request::ClaimDead,
    Request::Release,
    Request::Discard,
];

impl Request {
    fn bit(self) -> u8 {
        1 << (self as u8)
    }

    fn claim(leader: usize) -> Self {
        [Self::ClaimFirst, Self::ClaimSecond][leader]
    }
}

impl World {
    pub(super) fn new() -> Self {
        Self {
            jobs: [Job::Absent; JOBS],
            late: [0; JOBS],
            crowded: 0,
            leaders: [[View::NOTHING; JOBS]; 2],
        }
    }

    /// The Job is another version from now on.
    fn change(&mut self, decided: &Decided, job: usize, to: Job) {
        self.jobs[job] = to;
        if decided.rules.has_versions {
            self.late[job] = 0;
        }
        for view in &mut self.leaders {
            view[job].is_current = false;
        }
        if self.taken() >= decided.rules.limit {
            for job in 0..JOBS {
                self.crowded |= u8::from(self.jobs[job].is_waiting()) << job;
            }
        }
        // Of others nobody asks.
        for job in 0..JOBS {
            if !self.jobs[job].is_waiting() {
                self.crowded &= !(1 << job);
            }
        }
    }

    fn taken(&self) -> u32 {
        let takes_room = |job: &&Job| matches!(job, Job::Released | Job::Stopping);
        u32::try_from(self.jobs.iter().filter(takes_room).count()).unwrap()
    }

    /// The server does what it is asked.
    fn apply(
        &mut self,
        decided: &Decided,
        job: usize,
        request: Request,
    ) -> Result<(), &'static str> {
        let is = self.jobs[job];
        let to = match request {
            Request::ClaimFirst if is.is_waiting() => Job::WaitingFirst,
            Request::ClaimSecond if is.is_waiting() => Job::WaitingSecond,
            Request::ClaimDead if is.is_waiting() => Job::WaitingOther,
            Request::Release if is.is_waiting() => Job::Released,
            Request::Release if matches!(is, Job::Dropped | Job::Stopping) => {
                return Err("released after it was dropped");
            }
            Request::Discard if is.is_waiting() => {
                let had_room = self.crowded & 1 << job == 0;
                if decided.rules.policy == GatedPolicy::Forbid && had_room {
                    return Err("dropped, and there was always room");
                }
                decided.dropped()
            }
            Request::Discard if is == Job::Released => Job::Stopping,
            // Without versions it may find anything.
            _ => is,
        };
        self.change(decided, job, to);
        if self.taken() > decided.rules.most_released {
            return Err("more released than the limit");
        }
        Ok(())
    }

    /// The leader is shown the Job as it is.
    fn see(&mut self, leader: usize, job: usize) {
        let view = &mut self.leaders[leader][job];
        if !view.is_current {
            let others = [Job::WaitingSecond, Job::WaitingFirst][leader];
            let is = self.jobs[job];
            *view = View {
                job: if is == others { Job::WaitingOther } else { is },
                is_current: true,
            };
        }
    }

    /// The same world with the leaders' names changed by `name`.
    fn renamed(mut self, name: impl Fn(Job) -> Job, request: impl Fn(Request) -> Request) -> Self {
        self.jobs = self.jobs.map(&name);
        for late in &mut self.late {
            let renamed = REQUESTS.iter().filter(|known| *late & known.bit() != 0);
            *late = renamed.fold(0, |bits, known| bits | request(*known).bit());
        }
        for view in self.leaders.as_flattened_mut() {
            view.job = name(view.job);
        }
        self
    }

    /// What tells it from others, with the leaders' names swapped or not.
    fn code_as(&self, is_swapped: bool) -> u128 {
        let name = |job| match job {
            Job::WaitingFirst if is_swapped => Job::WaitingSecond,
            Job::WaitingSecond if is_swapped => Job::WaitingFirst,
            other => other,
        };
        let mut code = u128::from(self.crowded);
        for (job, late) in self.jobs.iter().zip(self.late) {
            let claims = late & 3;
            let claims = if is_swapped {
                claims >> 1 | (claims & 1) << 1
            } else {
                claims
            };
            code = code << 9 | (name(*job) as u128) << 5 | u128::from(late & !3 | claims);
        }
        for at in 0..2 {
            let leader = &self.leaders[if is_swapped { 1 - at } else { at }];
            for view in leader {
                code = code << 5 | (name(view.job) as u128) << 1 | u128::from(view.is_current);
            }
        }
        code
    }

    /// Another process takes its place; what it sent is under way still.
    fn crashed(mut self, decided: &Decided, who: usize) -> Self {
        for (view, job) in self.leaders[who].iter_mut().zip(self.jobs) {
            *view = View {
                job: Job::Absent,
                is_current: job == Job::Absent,
            };
        }
        if !decided.rules.renames {
            return self;
        }
        let (claimed, claim) = [
            (Job::WaitingFirst, Request::ClaimFirst),
            (Job::WaitingSecond, Request::ClaimSecond),
        ][who];
        self.renamed(
            |job| {
                if job == claimed {
                    Job::WaitingOther
                } else {
                    job
                }
            },
            |request| {
                if request == claim {
                    Request::ClaimDead
                } else {
                    request
                }
            },
        )
    }
}

/// Collects what can happen.
struct Steps<'a> {
    decided: &'a Decided,
    steps: &'a mut Vec<Step<World>>,
}

impl Steps<'_> {
    fn add(
        &mut self,
        what: &'static str,
        who: usize,
        kind: Kind,
        then: Result<World, &'static str>,
    ) {
        let who = u8::try_from(who).unwrap();
        self.steps.push(Step {
            what: (what, who),
            kind,
            then,
        });
    }

    /// A leader decides, and sends. What it decided on one view it sends in any order, or not all of it.
    fn decide(&mut self, world: &World, who: usize) {
        let view = world.leaders[who].map(|view| view.job);
        let next = self.decided.next((who, view));
        self.send(world, who, next.claims, Request::claim(who));
        self.send(world, who, next.releases, Request::Release);
        self.send(world, who, next.discards, Request::Discard);
    }

    /// A leader is told of what has happened.
    fn tell(&mut self, world: &World, who: usize) {
        let mut all = *world;
        for (job, view) in world.leaders[who].iter().enumerate() {
            if !view.is_current {
                all.see(who, job);
                let mut one = *world;
                one.see(who, job);
                if !self.decided.rules.is_ordered {
                    self.add("it is told of one Job leader", who, Kind::Work, Ok(one));
                }
            }
        }
        self.add("it is told of all changes leader", who, Kind::Work, Ok(all));
    }

    /// The network does what it likes with each request, and with its answer.
    fn send(&mut self, world: &World, who: usize, jobs: u8, request: Request) {
        for job in (0..JOBS).filter(|job| jobs & 1 << job != 0) {
            if self.decided.rules.has_versions && !world.leaders[who][job].is_current {
                // A conflict is answered, and nothing is done.
                continue;
            }
            let [done, given_up] = match request {
                Request::Release => [
                    "a release is done by leader",
                    "a release is given up by leader",
                ],
                Request::Discard => [
                    "a discard is done by leader",
                    "a discard is given up by leader",
                ],
                _ => ["a claim is done by leader", "a claim is given up by leader"],
            };
            let mut answered = *world;
            let then = answered.apply(self.decided, job, request).map(|()| {
                if !self.decided.rules.ignores_answers {
                    answered.see(who, job);
                }
                answered
            });
            self.add(done, who, Kind::Work, then);
            let late: u32 = world.late.iter().map(|late| late.count_ones()).sum();
            if late == self.decided.rules.late {
                continue;
            }
            let mut unclear = *world;
            let view = &mut unclear.leaders[who][job];
            if self.decided.rules.doubts && view.job.is_waiting() {
                view.job = Job::WaitingOther;
            }
            unclear.late[job] |= request.bit();
            self.add(given_up, who, Kind::Fault, Ok(unclear));
        }
    }

    /// Requests that nobody waits for.
    fn late(&mut self, world: &World, job: usize) {
        for request in REQUESTS {
            if world.late[job] & request.bit() == 0 {
                continue;
            }
            let mut next = *world;
            next.late[job] &= !request.bit();
            self.add("a late change is lost of Job", job, Kind::Work, Ok(next));
            let done = next.apply(self.decided, job, request).map(|()| next);
            self.add("a late change is done of Job", job, Kind::Work, done);
        }
    }

    /// What becomes of Jobs by themselves, or by hand.
    fn live(&mut self, world: &World, job: usize) {
        let (what, kind, to) = match world.jobs[job] {
            Job::Absent if job < self.decided.rules.jobs => {
                ("an event makes Job", Kind::Work, Job::Waiting)
            }
            Job::Released => ("its end comes to Job", Kind::Work, Job::Over),
            Job::Stopping => (
                "its Pods are gone of Job",
                Kind::Work,
                self.decided.dropped(),
            ),
            waiting if waiting.is_waiting() => ("by hand is deleted Job", Kind::Fault, Job::Over),
            _ => return,
        };
        let mut next = *world;
        next.change(self.decided, job, to);
        self.add(what, job, kind, Ok(next));
    }
}

impl super::explore::World for World {
    type Rules = Decided;

    fn code(&self) -> u128 {
        // Which leader is the first makes no difference.
        self.code_as(false).min(self.code_as(true))
    }

    fn steps(&self, decided: &Decided, steps: &mut Vec<Step<Self>>) {
        let mut steps = Steps { decided, steps };
        for who in 0..2 {
            steps.decide(self, who);
            steps.tell(self, who);
            if decided.rules.crashes {
                steps.add(
                    "it dies and begins anew leader",
                    who,
                    Kind::Fault,
                    Ok(self.crashed(decided, who)),
                );
            }
        }
        for job in 0..JOBS {
            steps.late(self, job);
            steps.live(self, job);
        }
        let is_over = |job: &Job| matches!(job, Job::Over | Job::Dropped);
        if self.jobs[..decided.rules.jobs].iter().all(is_over) {
            steps.add("all has come to its end", 0, Kind::Goal, Ok(*self));
        }
    }
}
