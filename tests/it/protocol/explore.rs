//! Every world that can be reached, breadth first, so that the trace to a broken one is as short as any.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasherDefault, Hasher};
use std::time::Instant;

/// What can happen to a world.
pub(super) trait World: Clone {
    /// What stays the same: the rules, and how much there is of everything.
    type Rules;

    /// Tells it from every other.
    fn code(&self) -> u128;

    /// All that can happen next.
    fn steps(&self, rules: &Self::Rules, steps: &mut Vec<Step<Self>>);
}

/// One thing that can happen.
#[derive(Debug)]
pub(super) struct Step<W> {
    /// What happens, and to whom.
    pub(super) what: (&'static str, u8),
    pub(super) kind: Kind,
    /// The world after it, or the promise that it breaks.
    pub(super) then: Result<W, &'static str>,
}

/// Why it happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Somebody does its work.
    Work,
    /// And reaches what the work is for.
    Goal,
    /// Something goes wrong.
    Fault,
}

/// What was found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) states: usize,
    pub(super) transitions: usize,
    /// The promise that is broken, and how it comes to that.
    pub(super) broken: Option<(&'static str, Vec<String>)>,
    /// States from which no path of work alone reaches a goal.
    pub(super) stuck: usize,
    seconds: f32,
}

impl Found {
    /// Says how much was explored; to be seen with `--nocapture`.
    #[expect(clippy::print_stdout, reason = "figures are read by people")]
    pub(super) fn print(&self, name: &str) {
        let Self {
            states,
            transitions,
            seconds,
            ..
        } = self;
        print!("{name}: {states} states, {transitions} transitions, {seconds:.1} s");
        match &self.broken {
            Some((promise, trace)) => {
                println!("; {promise}, after {}: {}", trace.len(), trace.join("; "));
            }
            None => println!("; {} stuck", self.stuck),
        }
    }
}

/// Explores until a promise is broken or nothing is new.
pub(super) fn explore<W: World>(rules: &W::Rules, first: W) -> Found {
    explore_nearest(usize::MAX, rules, first)
}

/// As [`explore`], and no further than so many states, the nearest ones. What is stuck is not known then.
pub(super) fn explore_nearest<W: World>(most: usize, rules: &W::Rules, first: W) -> Found {
    let started = Instant::now();
    let mut seen: HashMap<u128, u32, BuildHasherDefault<Mix>> = HashMap::default();
    let mut worlds = vec![first];
    let mut came: Vec<(u32, (&'static str, u8))> = vec![(0, ("", 0))];
    let mut work: Vec<(u32, u32)> = Vec::new();
    let mut at_goal: Vec<u32> = Vec::new();
    seen.insert(worlds[0].code(), 0);
    let (mut transitions, mut at, mut steps) = (0, 0, Vec::new());
    let mut broken = None;
    'worlds: while at < worlds.len().min(most) {
        let from = u32::try_from(at).unwrap();
        worlds[at].steps(rules, &mut steps);
        for step in steps.drain(..) {
            transitions += 1;
            let world = match step.then {
                Ok(world) => world,
                Err(promise) => {
                    let mut trace = vec![text(step.what)];
                    let mut at = from;
                    while at != 0 {
                        let (before, what) = came[usize::try_from(at).unwrap()];
                        trace.push(text(what));
                        at = before;
                    }
                    trace.reverse();
                    broken = Some((promise, trace));
                    break 'worlds;
                }
            };
            let to = match seen.entry(world.code()) {
                Entry::Occupied(known) => *known.get(),
                Entry::Vacant(new) => {
                    let to = u32::try_from(worlds.len()).unwrap();
                    new.insert(to);
                    worlds.push(world);
                    came.push((from, step.what));
                    to
                }
            };
            match step.kind {
                Kind::Work => work.push((from, to)),
                Kind::Goal => at_goal.push(from),
                Kind::Fault => {}
            }
        }
        at += 1;
    }
    Found {
        states: worlds.len(),
        transitions,
        stuck: worlds.len() - can_reach(worlds.len(), &work, at_goal),
        broken,
        seconds: started.elapsed().as_secs_f32(),
    }
}

/// How many states can reach one of these along the edges.
fn can_reach(states: usize, edges: &[(u32, u32)], mut these: Vec<u32>) -> usize {
    let index = |state: u32| usize::try_from(state).unwrap();
    // The edges into each state lie side by side, and begin at `first`.
    let mut first = vec![0; states + 1];
    for (_, to) in edges {
        first[index(*to)] += 1;
    }
    for state in 0..states {
        first[state + 1] += first[state];
    }
    let mut from = vec![0; edges.len()];
    for (before, to) in edges {
        let place = &mut first[index(*to)];
        *place -= 1;
        from[*place] = *before;
    }
    let mut can = vec![false; states];
    let mut count = 0;
    while let Some(state) = these.pop() {
        let state = index(state);
        if !std::mem::replace(&mut can[state], true) {
            count += 1;
            these.extend_from_slice(&from[first[state]..first[state + 1]]);
        }
    }
    count
}

fn text((what, who): (&'static str, u8)) -> String {
    format!("{what} {who}")
}

/// Codes are well mixed by one multiplication; the standard hasher takes most of the time without optimisation.
#[derive(Default)]
struct Mix(u64);

impl Hasher for Mix {
    fn write(&mut self, _bytes: &[u8]) {
        unreachable!("codes are numbers")
    }

    fn write_u128(&mut self, number: u128) {
        let folded = number ^ (number >> 61);
        let [low, high] =
            [folded, folded >> 64].map(|half| (half & u128::from(u64::MAX)).to_le_bytes());
        let (low, high) = (low.first_chunk().unwrap(), high.first_chunk().unwrap());
        let mixed = u64::from_le_bytes(*low) ^ u64::from_le_bytes(*high).rotate_left(29);
        self.0 = mixed
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(32)
            .wrapping_mul(0xd6e8_feb8_6659_fd93);
    }

    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
}
