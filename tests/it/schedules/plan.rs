//! A schedule: what goes wrong, what is edited and what is sent, and when. A pure function of its seed.

use std::fmt;
use std::time::Duration;

use super::{CAP, COUNTED, DELETED, EVENTS};
use crate::support::api_proxy::Fault;
use crate::support::chance::Chance;

/// Replicas, each behind a proxy of its own.
pub(super) const REPLICAS: usize = 2;
/// Steps begin within this time.
const STEPS_BEGIN_MS: u64 = 16_000;
/// Events are delivered first within this time, and again up to as much later.
const EVENTS_COME_MS: u64 = 12_000;
/// Events for the EventJob that is deleted.
const UNCOUNTED: usize = 10;

/// What happens between the start and the end.
#[derive(Debug, Clone)]
pub(super) struct Schedule {
    pub(super) seed: u64,
    pub(super) steps: Vec<Step>,
    pub(super) deliveries: Vec<Delivery>,
}

/// Something that happens, and when, counted from the start.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    pub(super) at: Duration,
    pub(super) trouble: Trouble,
}

/// The kinds of things that happen.
#[derive(Debug, Clone, Copy)]
pub(super) enum Trouble {
    /// `kill -9`, and a new process so much later.
    Kill { replica: usize, down: Duration },
    /// SIGSTOP, and SIGCONT so much later.
    Stop { replica: usize, lasting: Duration },
    /// So many in a hundred of a replica's calls with this method and path go wrong in this way.
    Calls {
        replica: usize,
        method: &'static str,
        path: &'static str,
        percent: u64,
        fault: Fault,
        lasting: Duration,
    },
    /// A replica's calls wait, and are carried through later, even if it has gone by then.
    Freeze { replica: usize, lasting: Duration },
    /// A replica's watches say nothing.
    Silence { replica: usize, lasting: Duration },
    /// A replica's watches end.
    CutWatches { replica: usize },
    /// The EventJob whose events are counted gets another image.
    EditEventJob { image: u64 },
    /// The ScaledJob gets another cap, at most [`CAP`].
    EditScaledJob { cap: u64 },
    /// The other EventJob is deleted, and made again so much later.
    Delete { gone: Duration },
}

/// An event that is sent until it is taken, from this time on.
#[derive(Debug, Clone)]
pub(super) struct Delivery {
    pub(super) at: Duration,
    pub(super) event_job: &'static str,
    pub(super) id: String,
    /// The replica that is tried first.
    pub(super) door: usize,
}

impl Schedule {
    /// The schedule of a seed.
    pub(super) fn of(seed: u64) -> Self {
        let mut dice = Dice(Chance::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        let mut troubles = vec![
            dice.process(),
            dice.calls("POST", "/jobs"),
            dice.any_calls(),
            dice.edit_event_job(),
            dice.edit_scaled_job(),
            dice.delete(),
        ];
        for _ in 0..3 + dice.0.below(5) {
            troubles.push(dice.trouble());
        }
        let begin = |trouble| Step {
            at: dice.within(0, STEPS_BEGIN_MS),
            trouble,
        };
        let mut steps: Vec<Step> = troubles.into_iter().map(begin).collect();
        steps.sort_by_key(|step| step.at);
        Self {
            seed,
            steps,
            deliveries: dice.deliveries(),
        }
    }

    /// Leaves out all steps but these.
    pub(super) fn keep(&mut self, wanted: &[usize]) {
        let steps = wanted.iter().map(|number| self.steps[*number]);
        self.steps = steps.collect();
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "seed {}:", self.seed)?;
        for (number, step) in self.steps.iter().enumerate() {
            let Step { at, trouble } = step;
            writeln!(formatter, "  step {number} after {at:?}: {trouble:?}")?;
        }
        Ok(())
    }
}

/// A schedule's own chances.
struct Dice(Chance);

impl Dice {
    fn within(&mut self, from_ms: u64, to_ms: u64) -> Duration {
        Duration::from_millis(from_ms + self.0.below(to_ms - from_ms))
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.index(all.len())]
    }

    fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.0.below(length as u64)).unwrap()
    }

    fn trouble(&mut self) -> Trouble {
        let replica = self.index(REPLICAS);
        match self.0.below(12) {
            0..3 => self.process(),
            3..8 => self.any_calls(),
            8 => Trouble::Freeze {
                replica,
                lasting: self.within(500, 4_000),
            },
            9 => Trouble::Silence {
                replica,
                lasting: self.within(1_000, 8_000),
            },
            10 => Trouble::CutWatches { replica },
            _ => match self.0.below(2) {
                0 => self.edit_event_job(),
                _ => self.edit_scaled_job(),
            },
        }
    }

    fn process(&mut self) -> Trouble {
        let replica = self.index(REPLICAS);
        match self.0.below(4) {
            0 | 1 => Trouble::Kill {
                replica,
                down: self.within(0, 3_000),
            },
            2 => Trouble::Stop {
                replica,
                lasting: self.within(1_000, 8_000),
            },
            // Longer than a Lease takes to run out.
            _ => Trouble::Stop {
                replica,
                lasting: self.within(17_000, 20_000),
            },
        }
    }

    fn any_calls(&mut self) -> Trouble {
        let (method, path) = self.one_of(&[
            ("POST", "/jobs"),
            ("GET", "/jobs"),
            ("POST", "/secrets"),
            ("PATCH", "/secrets/"),
            ("GET", "/secrets/"),
            ("POST", "/configmaps"),
            ("PUT", "/configmaps/"),
            ("GET", "/configmaps"),
            ("PATCH", "/status"),
            ("PUT", "/leases/"),
            ("PATCH", "/leases/"),
            ("DELETE", "/jobs/"),
        ]);
        self.calls(method, path)
    }

    /// No create comes later than the processes believe possible: [`world`](super::world) says when.
    fn calls(&mut self, method: &'static str, path: &'static str) -> Trouble {
        let late = self.within(200, 3_000);
        let fault = self.one_of(&[
            Fault::SlowDown(1),
            Fault::Refuse(503),
            Fault::Refuse(504),
            Fault::AppliedThen(504),
            Fault::AppliedThen(500),
            Fault::Cut,
            Fault::Late(late),
            Fault::Delay(late),
            Fault::DelayAnswer(late),
        ]);
        // A watch is no call that can be late or cut: there are steps for that.
        let is_read = method == "GET";
        Trouble::Calls {
            replica: self.index(REPLICAS),
            method,
            path,
            percent: 20 + self.0.below(70),
            fault: if is_read { Fault::Refuse(503) } else { fault },
            lasting: self.within(2_000, 10_000),
        }
    }

    fn edit_event_job(&mut self) -> Trouble {
        let image = 2 + self.0.below(100);
        Trouble::EditEventJob { image }
    }

    fn edit_scaled_job(&mut self) -> Trouble {
        let cap = 3 + self.0.below(CAP as u64 - 2);
        Trouble::EditScaledJob { cap }
    }

    fn delete(&mut self) -> Trouble {
        let gone = self.within(0, 4_000);
        Trouble::Delete { gone }
    }

    fn deliveries(&mut self) -> Vec<Delivery> {
        let mut deliveries = Vec::new();
        for (event_job, events) in [(COUNTED, EVENTS), (DELETED, UNCOUNTED)] {
            for number in 0..events {
                let first = self.within(0, EVENTS_COME_MS);
                // Some copies come at the same moment.
                let again = first + self.one_of(&[0, 1, 1, 1]) * self.within(0, EVENTS_COME_MS);
                for at in [first, again] {
                    deliveries.push(Delivery {
                        at,
                        event_job,
                        id: format!("{event_job}-{number}"),
                        door: self.index(REPLICAS),
                    });
                }
            }
        }
        deliveries
    }
}
