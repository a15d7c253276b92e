//! The whole of launching once, as worlds small enough to look at everything that can happen in them.
//!
//! The decisions are the program's own: [`Once`], the ledger's look and memory, `retention`, `admission`. A test that takes
//! one out must find what it is there for. `--nocapture` shows how much was explored, and the shortest way to each broken promise.

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
        reorders: true,
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
}

#[test]
fn two_leaders_that_forbid_release_no_more_than_the_limit() {
    two_leaders_agree(GatedPolicy::Forbid, 0);
}

#[test]
fn two_leaders_that_replace_release_no_more_than_the_limit() {
    two_leaders_agree(GatedPolicy::Replace, 0);
}

#[test]
fn without_any_part_of_admission_two_leaders_release_too_many() {
    let of_two = |policy| leading::Rules {
        jobs: 2,
        ..leading::Rules::new(policy)
    };
    let (queue, forbid) = (of_two(GatedPolicy::Queue), of_two(GatedPolicy::Forbid));
    let rows = [
        (
            "a gate is changed whatever its version",
            TOO_MANY,
            leading::Rules {
                has_versions: false,
                ..queue
            },
        ),
        (
            "a gate is changed whatever its version, and one leader drops",
            RELEASED_AGAIN,
            leading::Rules {
                has_versions: false,
                most_released: 9,
                ..forbid
            },
        ),
        (
            "claimed, and not counted again",
            TOO_MANY,
            leading::Rules {
                recounts: false,
                ..queue
            },
        ),
        (
            "counted, and not claimed",
            TOO_MANY,
            leading::Rules {
                claims: false,
                ..queue
            },
        ),
        (
            "what has no answer counts as claimed",
            TOO_MANY,
            leading::Rules {
                doubts: false,
                ..queue
            },
        ),
    ];
    for (name, promise, rules) in rows {
        let (rules, world) = gates(rules);
        breaks(name, &rules, world, promise);
    }
}
