//! The decisions of launching, each of which a test may take out, and the tables of what the real ones decide:
//! there is little to ask, and a world asks it a million times.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use slipway::launch::JobOutcome;
use slipway::launch::ledger::{Entry, Key, Ledger};
use slipway::launch::once::{Once, Saw, Step};
use slipway::launch::ports::DeliveredJob;
use slipway::launch::retention::{Keep, removable};
use slipway::resource::HistoryLimits;

use crate::support::fixtures::{as_seen, delivered};

/// Half a [`slipway::launch::ledger::FRESH_FOR`].
pub(super) const TICK: Duration = Duration::from_secs(30);
/// Ages, in ticks, above this are all the same.
pub(super) const OLDEST: u8 = 4;

/// What holds in a world of launching.
#[derive(Clone)]
pub(super) struct Rules {
    /// Events that are delivered, again and again: one or two, of one name.
    pub(super) events: u8,
    /// Creates under way at once, at most: three.
    pub(super) flights: usize,
    /// The step after what was seen.
    pub(super) next: fn(&mut Once, Saw) -> Step,
    /// What a copy of the ledger says: whether it has the key, and how many ticks ago it was confirmed.
    pub(super) look: fn(bool, Option<u8>) -> Saw,
    /// For how long a key is known to be in the ledger that has been there for so many ticks.
    pub(super) remembered_for: fn(Option<u8>) -> Option<Duration>,
    /// `--ledger-grace`, in ticks.
    pub(super) grace: u8,
    /// A create is applied at most this many ticks after the look before it.
    pub(super) flight: u8,
    /// How long a key is in the ledger before somebody else, or the TTL, deletes its Job. `None`: it need not be there.
    pub(super) deleted_after: Option<u8>,
    /// A taken name is given up for another.
    pub(super) takes_another_name: bool,
}

impl Default for Rules {
    /// As the program has them.
    fn default() -> Self {
        Self {
            events: 1,
            flights: 3,
            next: Once::next,
            look,
            remembered_for,
            // More than a copy's age, one tick, and a create's, another.
            grace: 3,
            flight: 1,
            deleted_after: Some(3),
            takes_another_name: false,
        }
    }
}

/// All that a run can see.
const SAWS: [Saw; 12] = [
    Saw::LedgerStale,
    Saw::LedgerHasKey,
    Saw::LedgerHasNot,
    Saw::Created,
    Saw::Exists,
    Saw::Unclear,
    Saw::NotDone,
    Saw::Refused,
    OURS,
    Saw::Foreign,
    Saw::Absent,
    Saw::Unreadable,
];
pub(super) const OURS: Saw = Saw::Ours {
    payload_differs: false,
};

/// The rules, and what they say to everything that can be asked.
pub(super) struct Decided {
    pub(super) rules: Rules,
    looks: [[Saw; 3]; 2],
    removable: [bool; 6],
    /// Every state of a run there is, and what follows from it on what is seen.
    runs: Vec<(Once, Step)>,
    nexts: Vec<[u8; SAWS.len()]>,
}

impl Decided {
    pub(super) fn new(rules: Rules) -> Self {
        let looks =
            [false, true].map(|has| [Some(0), Some(1), None].map(|age| (rules.look)(has, age)));
        for (has, row) in [false, true].into_iter().zip(looks) {
            // Which is why a copy of two ticks counts as none.
            assert_eq!((rules.look)(has, Some(2)), row[2]);
        }
        let ages = [Some(0), Some(1), Some(2), Some(3), Some(OLDEST), None];
        let removable = ages.map(|age| is_removable(&rules, age));
        let once = Once::new(true);
        let (mut runs, mut nexts) = (vec![(once, once.begin())], Vec::new());
        while let Some((once, _)) = runs.get(nexts.len()).copied() {
            nexts.push(SAWS.map(|saw| {
                let mut once = once;
                let step = (rules.next)(&mut once, saw);
                number(&mut runs, (once, step))
            }));
        }
        Self {
            rules,
            looks,
            removable,
            runs,
            nexts,
        }
    }

    /// The first state of a run.
    pub(super) const BEGIN: u8 = 0;

    /// The state of a run after what it saw.
    pub(super) fn next(&self, state: u8, saw: Saw) -> u8 {
        let saw = SAWS.iter().position(|known| *known == saw).unwrap();
        self.nexts[usize::from(state)][saw]
    }

    /// What a run in this state does.
    pub(super) fn step(&self, state: u8) -> Step {
        self.runs[usize::from(state)].1
    }

    /// The state of a run that was to read the ledger, and has.
    pub(super) fn has_read(&self, state: u8) -> u8 {
        let looks = (self.runs[usize::from(state)].0, Step::LookIntoLedger);
        let state = self.runs.iter().position(|run| *run == looks);
        u8::try_from(state.expect("it has looked before")).unwrap()
    }

    /// What a copy of the ledger says.
    pub(super) fn look(&self, has: bool, confirmed: Option<u8>) -> Saw {
        self.looks[usize::from(has)][confirmed.map_or(2, usize::from)]
    }

    /// Whether a finished Job may be removed by one who has known its key for so long.
    pub(super) fn is_removable(&self, key: Option<u8>) -> bool {
        self.removable[key.map_or(5, usize::from)]
    }
}

fn number(runs: &mut Vec<(Once, Step)>, run: (Once, Step)) -> u8 {
    let known = runs.iter().position(|known| *known == run);
    let number = known.unwrap_or_else(|| {
        runs.push(run);
        runs.len() - 1
    });
    u8::try_from(number).unwrap()
}

fn is_removable(rules: &Rules, key: Option<u8>) -> bool {
    let jobs = as_seen([finished_job()]);
    let history = HistoryLimits {
        successful: 0,
        failed: 0,
    };
    let remembered_for = |_: &DeliveredJob| (rules.remembered_for)(key);
    let grace = TICK * u32::from(rules.grace);
    let keep = Keep {
        history: Some(history),
        ttl: None,
    };
    !removable(keep, &jobs, remembered_for, grace, Timestamp::UNIX_EPOCH).is_empty()
}

const SERVER_SECONDS: u32 = 1_800_000_000;
/// Boot time of every look.
const BOOT: Duration = Duration::from_hours(1);

fn occurrence() -> String {
    "574d0418da322a523ea0e7df262eaa14".repeat(2)
}

/// A real ledger whose copy has the key or not, confirmed so many ticks ago, or never.
fn ledger(has: bool, confirmed: Option<u8>, since: u8) -> Ledger {
    let mut ledger = Ledger::new("holder");
    let before = |ticks: u8| BOOT.saturating_sub(TICK * u32::from(ticks));
    if has {
        let made = Timestamp::from_second(i64::from(SERVER_SECONDS)).unwrap();
        let entry = Entry::new(&occurrence(), made, Duration::from_hours(25), 0).unwrap();
        let write = ledger.plan(&[entry]).unwrap();
        ledger.written(write, "1", before(since));
    }
    if let Some(age) = confirmed {
        let shards: BTreeMap<_, _> = if has {
            [("slipway-ledger-holder-0".to_owned(), "1".to_owned())].into()
        } else {
            BTreeMap::new()
        };
        let listing = ledger.listed(&shards, before(age), SERVER_SECONDS);
        assert!(ledger.confirm(&listing));
    }
    ledger
}

fn look(has: bool, confirmed: Option<u8>) -> Saw {
    let key = Key::of(&occurrence()).unwrap();
    ledger(has, confirmed, 0).look(key, BOOT, SERVER_SECONDS)
}

fn remembered_for(since: Option<u8>) -> Option<Duration> {
    let key = Key::of(&occurrence()).unwrap();
    ledger(since.is_some(), None, since.unwrap_or(0)).remembered_for(key, BOOT)
}

fn finished_job() -> DeliveredJob {
    let job = delivered("invoice", i64::from(SERVER_SECONDS));
    DeliveredJob {
        end_reason: "",
        occurrence: occurrence(),
        ended: Some((JobOutcome::Complete, job.created_at)),
        active_pods: 0,
        ready_pods: 0,
        ..job
    }
}
