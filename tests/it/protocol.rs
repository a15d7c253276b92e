//! The protocols that hold whatever happens, each as a world small enough to look at everything that can happen in it.
//!
//! # How to read a world
//!
//! A **state** ([`explore::World`]) is all there is at one moment: the objects at the API server, what each process knows,
//! and the requests that are under way. It holds no clock and no counter that grows: a moment is kept as what still
//! matters of it ("this copy is older than a minute", "this is the server's version"). So there are finitely many states.
//! [`explore::World::code`] packs a state into a number; two states with one number are one state.
//!
//! A **step** ([`explore::Step`]) is one thing that can happen next, and to whom. Processes take steps in any order
//! and may pause for ever between two. A step is of one [`explore::Kind`]:
//!
//! | kind | examples |
//! | --- | --- |
//! | `Work` | a request is made and answered; a watch shows what happened; a Job ends |
//! | `Goal` | all Jobs have come to their end |
//! | `Fault` | a process dies; a request has no answer, and is made later or never; somebody deletes a Job |
//!
//! A **promise** is a sentence that no step may make false: "two Jobs for one event". A step that would is `Err` with it.
//!
//! [`explore::explore`] visits every state that can be reached, the nearest first. It finds the shortest way to a broken
//! promise, and the states from which work alone never reaches a goal. `--nocapture` prints both, and the number of states.
//!
//! # The worlds
//!
//! | world | its objects | its processes | its promises |
//! | --- | --- | --- | --- |
//! | `launching` | events, their Jobs, the ledger | two replicas that create, a leader that removes | one Job an event; a 2xx has a Job; a clear no has none |
//! | `gates` | Jobs of one key that wait for their turn | two leaders, both all the time | no more released than the limit; dropped is for good; `Forbid` drops nothing that had room |
//! | `rounds` | the record of a ScaledJob, its Jobs, creates without an answer | two processes, of which the Lease names one | no more unfinished Jobs than the cap; no name for two Jobs |
//!
//! The decisions are the program's own: [`Once`], the ledger's look and memory, `retention`, `admission`; `decisions` and
//! `leading` ask them and remember the answers. `Rules` in those files say what holds in a world. A test takes one rule
//! out, and the explorer must find the promise that it is there for.

use slipway::launch::Launched;
use slipway::launch::once::{NotLaunched, Once, Saw, Step};
use slipway::resource::event_job::GatedPolicy;

use self::decisions::{Decided, Rules, TICK};
use self::explore::explore;

mod decisions;
mod explore;
mod gates;
mod launching;
mod leading;
mod rounds;

/// With these rules every promise holds, and the work always comes to its goal when nothing goes wrong any more.
fn holds<W: explore::World>(name: &str, rules: &W::Rules, world: W) {
    let found = explore(rules, world);
    found.print(name);
    assert_eq!(found.broken, None, "{name}");
    assert_eq!(found.stuck, 0, "{name}");
}

/// With these rules a promise is broken.
fn breaks<W: explore::World>(name: &str, rules: &W::Rules, world: W, promise: &str) {
    let found = explore(rules, world);
    found.print(name);
    let broken = found.broken.map(|(promise, _)| promise);
    assert_eq!(broken, Some(promise), "{name}");
}

fn launching_holds(name: &str, rules: Rules) {
    holds(name, &Decided::new(rules), launching::World::new());
}

fn launching_breaks(name: &str, promise: &str, rules: Rules) {
    breaks(name, &Decided::new(rules), launching::World::new(), promise);
}

const TWO_JOBS: &str = "two Jobs for one event";
const NO_JOB: &str = "2xx without a Job";
const UNTRUE_NO: &str = "a clear no, and a Job";

#[test]
fn an_event_is_one_job_whatever_happens() {
    launching_holds(
        "one event, two replicas, three creates at once",
        Rules::default(),
    );
}

#[test]
fn two_events_of_one_name_are_told_apart() {
    let rules = Rules {
        events: 2,
        flights: 1,
        // Nothing is removed: the name stays taken.
        grace: 9,
        deleted_after: Some(9),
        ..Rules::default()
    };
    let found = explore(&Decided::new(rules), launching::World::new());
    found.print("two events, one name, two replicas");
    assert_eq!(found.broken, None);
}

#[test]
fn without_the_409_check_an_event_gets_another_s_job_or_two() {
    let next = |once: &mut Once, saw| match saw {
        Saw::Exists => Step::End(Ok(Launched::AlreadyThere {
            payload_differs: false,
        })),
        _ => once.next(saw),
    };
    let rules = Rules {
        events: 2,
        next,
        ..Rules::default()
    };
    launching_breaks("409 is taken as ours unread", NO_JOB, rules);
    let rules = Rules {
        takes_another_name: true,
        ..Rules::default()
    };
    launching_breaks("409 is answered by another name", TWO_JOBS, rules);
}

#[test]
fn with_a_ledger_written_after_the_job_is_deleted_there_is_a_second() {
    let rules = Rules {
        remembered_for: |_| Some(TICK * 100),
        ..Rules::default()
    };
    launching_breaks("deleted, then written", TWO_JOBS, rules);
}

#[test]
fn without_the_whole_grace_there_is_a_second_job() {
    for (grace, name) in ["no grace", "a grace of 30 s", "a grace of 60 s"]
        .into_iter()
        .enumerate()
    {
        let rules = Rules {
            grace: u8::try_from(grace).unwrap(),
            ..Rules::default()
        };
        launching_breaks(name, TWO_JOBS, rules);
    }
}

#[test]
fn without_the_freshness_of_the_ledger_there_is_a_second_job() {
    let look = |has, _| {
        if has {
            Saw::LedgerHasKey
        } else {
            Saw::LedgerHasNot
        }
    };
    let rules = Rules {
        look,
        ..Rules::default()
    };
    launching_breaks("a copy of any age is good", TWO_JOBS, rules);
}

#[test]
fn without_a_look_before_every_create_there_is_a_second_job() {
    let next = |once: &mut Once, saw| match (saw, once.next(saw)) {
        (Saw::Absent, _) => Step::Create,
        (_, step) => step,
    };
    let rules = Rules {
        next,
        ..Rules::default()
    };
    launching_breaks("one look for all creates", TWO_JOBS, rules);
}

#[test]
fn a_no_after_an_unclear_try_says_nothing_about_that_try() {
    let next = |once: &mut Once, saw| match saw {
        Saw::Refused => Step::End(Err(NotLaunched::Refused)),
        _ => once.next(saw),
    };
    let rules = Rules {
        next,
        ..Rules::default()
    };
    launching_breaks("a no is a no", UNTRUE_NO, rules);
}

/// What the promise assumes: that a create is not applied later than the grace allows after the look before it, and that
/// nobody else, a TTL neither, deletes a Job before its key has been in the ledger for longer than copies and creates are under way.
#[test]
fn without_what_the_promise_assumes_there_is_a_second_job() {
    let late = Rules {
        flight: 2,
        ..Rules::default()
    };
    launching_breaks("a create is applied 60 s after the look", TWO_JOBS, late);
    let rows = [
        (None, "a TTL that knows no ledger"),
        (Some(0), "deleted by hand as soon as the key is there"),
        (Some(1), "deleted by hand 30 s after"),
        (Some(2), "deleted by hand 60 s after"),
    ];
    for (deleted_after, name) in rows {
        let rules = Rules {
            deleted_after,
            ..Rules::default()
        };
        launching_breaks(name, TWO_JOBS, rules);
    }
}

const TOO_MANY: &str = "more released than the limit";
const RELEASED_AGAIN: &str = "released after it was dropped";

fn gates(rules: leading::Rules) -> (leading::Decided, gates::World) {
    (leading::Decided::new(rules), gates::World::new())
}

/// Two Jobs, and everything that can go wrong; three, and so many late changes at once.
fn two_leaders_agree(policy: GatedPolicy, late: u32) {
    let (rules, world) = gates(leading::Rules {
        jobs: 2,
        crashes: true,
        late: 9,
        ..leading::Rules::new(policy)
    });
    holds(&format!("{policy:?}, two leaders, two Jobs"), &rules, world);
    let (rules, world) = gates(leading::Rules {
        late,
        ..leading::Rules::new(policy)
    });
    holds(
        &format!("{policy:?}, two leaders, three Jobs"),
        &rules,
        world,
    );
}

#[test]
fn two_leaders_of_a_queue_release_no_more_than_the_limit() {
    two_leaders_agree(GatedPolicy::Queue, 1);
    let (rules, world) = gates(leading::Rules {
        limit: 2,
        most_released: 2,
        late: 0,
        ..leading::Rules::new(GatedPolicy::Queue)
    });
    holds("Queue of two at once, three Jobs", &rules, world);
}

#[test]
fn two_leaders_that_forbid_release_no_more_than_the_limit_and_drop_nothing_that_had_room() {
    two_leaders_agree(GatedPolicy::Forbid, 0);
}

#[test]
fn two_leaders_that_replace_release_no_more_than_the_limit() {
    two_leaders_agree(GatedPolicy::Replace, 0);
}

#[test]
fn without_any_part_of_admission_two_leaders_release_too_many() {
    use GatedPolicy::{Forbid, Queue};
    let rules = |policy, change: fn(&mut leading::Rules)| {
        let mut rules = leading::Rules::new(policy);
        rules.jobs = 2;
        change(&mut rules);
        rules
    };
    let rows: [(&str, &str, leading::Rules); 8] = [
        (
            "a gate is changed whatever its version",
            TOO_MANY,
            rules(Queue, |rules| rules.has_versions = false),
        ),
        (
            "a gate is changed whatever its version, and one leader drops",
            RELEASED_AGAIN,
            rules(Forbid, |rules| {
                (rules.has_versions, rules.most_released) = (false, 9);
            }),
        ),
        (
            "released, and not claimed",
            TOO_MANY,
            rules(Queue, |rules| rules.claims = false),
        ),
        (
            "released beside a claim of another",
            TOO_MANY,
            rules(Queue, |rules| rules.minds_others = false),
        ),
        (
            "an answered claim counts before it is shown",
            TOO_MANY,
            rules(Queue, |rules| rules.ignores_answers = false),
        ),
        (
            "a claim is shown before what happened earlier, as in half a list",
            TOO_MANY,
            rules(Queue, |rules| rules.is_ordered = false),
        ),
        (
            "what has no answer counts as claimed",
            TOO_MANY,
            rules(Queue, |rules| rules.doubts = false),
        ),
        (
            "a process that begins anew keeps its name",
            TOO_MANY,
            rules(Queue, |rules| {
                (rules.crashes, rules.renames) = (true, false);
            }),
        ),
    ];
    for (name, promise, rules) in rows {
        let (rules, world) = gates(rules);
        breaks(name, &rules, world, promise);
    }
}
