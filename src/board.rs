//! What one process knows of its objects, for those who look: how they stand, and how it was over the last twenty minutes.
//!
//! Objects come from whoever watches them, Jobs from whoever has seen them ([`JobsAtHand`]). Nobody decides by what stands
//! here. It is bounded: so many objects, so many samples of each; the rest is counted as left out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::watch;

use crate::page::job::{JobTally, NewestJobs, PageJob};
use crate::page::object::{PageKey, PageKind, PageObject};
use crate::page::plot::{Plots, SAMPLE_SECONDS, SAMPLES};
use crate::page::rows::PageRow;
use crate::resource::ObjectId;

/// Objects that are kept. Each takes some 5 KiB with its plots, and 16 KiB at most: its own text is the largest part.
pub const MOST_OBJECTS: usize = 5_000;

/// Jobs as somebody saw them last.
pub trait JobsAtHand: Send + Sync {
    /// Shows each Job of an object. False when they have not been seen. Must be quick: the board waits.
    fn each(&self, object: &PageKey, see: &mut dyn FnMut(&PageJob<'_>)) -> bool;
}

/// The objects of this process.
pub struct Board {
    jobs: Box<dyn JobsAtHand>,
    state: Mutex<BoardState>,
    /// Told when something is new.
    changes: watch::Sender<u64>,
}

#[derive(Default)]
struct BoardState {
    rows: BTreeMap<PageKey, PageRow>,
    left_out: usize,
    /// The sample that was taken last.
    sampled: i64,
}

impl Board {
    /// An empty one.
    pub fn new(jobs: Box<dyn JobsAtHand>) -> Self {
        Self {
            jobs,
            state: Mutex::default(),
            changes: watch::Sender::new(0),
        }
    }

    /// An object was read, for the first time or anew.
    pub fn apply(&self, object: &Value) {
        if let Some(object) = PageObject::of(object) {
            self.show(object);
        }
    }

    /// An object as it is to be shown.
    pub fn show(&self, object: PageObject) {
        let mut state = self.lock();
        let is_full = state.rows.len() >= MOST_OBJECTS;
        if let Some(row) = state.rows.get_mut(&object.key) {
            let object = object.counting(running(row));
            if *row.object == object {
                return;
            }
            row.object = Arc::new(object);
        } else if is_full {
            state.left_out += 1;
        } else {
            let row = PageRow {
                object: Arc::new(object),
                tally: None,
                plots: Arc::default(),
            };
            state.rows.insert(row.object.key.clone(), row);
        }
        drop(state);
        self.tell();
    }

    /// An object is gone, or not ours any more.
    pub fn remove(&self, key: &PageKey) {
        let mut state = self.lock();
        let was_there = state.rows.remove(key).is_some();
        if !was_there {
            // One that was left out went; which of them there are is not kept.
            state.left_out = state.left_out.saturating_sub(1);
        }
        drop(state);
        self.tell();
    }

    /// Looks at the Jobs of every object; takes a sample when the time of one has come.
    pub fn look(&self, now: Timestamp) {
        let keys: Vec<PageKey> = self.lock().rows.keys().cloned().collect();
        // Not under the lock: whoever has seen the Jobs has one of its own.
        let tallies: Vec<Option<Arc<JobTally>>> =
            keys.iter().map(|key| self.tally(key, now)).collect();
        let sample = now.as_second().div_euclid(SAMPLE_SECONDS);
        let mut state = self.lock();
        let is_due = sample > state.sampled;
        // Of a time in which nobody looked, nothing is known.
        let unseen = match state.sampled {
            0 => 0,
            before => usize::try_from(sample - before - 1)
                .unwrap_or(0)
                .min(SAMPLES),
        };
        state.sampled = state.sampled.max(sample);
        let mut is_new = is_due;
        for (key, tally) in keys.iter().zip(tallies) {
            let Some(row) = state.rows.get_mut(key) else {
                continue;
            };
            is_new |= row.tally != tally;
            row.tally = tally;
            if key.kind == PageKind::CronJob {
                row.object = Arc::new(PageObject::clone(&row.object).counting(running(row)));
            }
            if is_due {
                let plots = next(row, unseen);
                row.plots = plots;
            }
            raise(row);
        }
        drop(state);
        if is_new {
            self.tell();
        }
    }

    fn tally(&self, key: &PageKey, now: Timestamp) -> Option<Arc<JobTally>> {
        let mut tally = JobTally::default();
        let is_seen = self.jobs.each(key, &mut |job| tally.add(job, now));
        tally.settle();
        is_seen.then(|| Arc::new(tally))
    }

    /// Every object.
    pub fn rows(&self) -> Vec<PageRow> {
        self.lock().rows.values().cloned().collect()
    }

    /// One object.
    pub fn row(&self, key: &PageKey) -> Option<PageRow> {
        self.lock().rows.get(key).cloned()
    }

    /// The Jobs of one object; `None` when they have not been seen.
    pub fn jobs(&self, key: &PageKey) -> Option<NewestJobs> {
        let mut newest = NewestJobs::default();
        let is_seen = self.jobs.each(key, &mut |job| newest.add(job));
        newest.settle();
        is_seen.then_some(newest)
    }

    /// The Jobs of this name, one a namespace, `most` at most.
    pub fn find_jobs(&self, name: &str, most: usize) -> Vec<ObjectId> {
        let keys: Vec<PageKey> = self.lock().rows.keys().cloned().collect();
        let mut found = Vec::new();
        for key in keys {
            if found.len() >= most {
                break;
            }
            let mut is_there = false;
            self.jobs
                .each(&key, &mut |job| is_there |= job.name == name);
            if is_there {
                found.push(ObjectId::new(&key.id.namespace, name));
            }
        }
        found
    }

    /// Objects that are not kept, because there are too many.
    pub fn left_out(&self) -> usize {
        self.lock().left_out
    }

    /// Hears of changes from now on.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn tell(&self) {
        self.changes
            .send_modify(|version| *version = version.wrapping_add(1));
    }

    fn lock(&self) -> MutexGuard<'_, BoardState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The plots with one sample more.
fn next(row: &PageRow, unseen: usize) -> Arc<Plots> {
    let mut plots = Plots::clone(&row.plots);
    for _ in 0..unseen {
        for series in [
            &mut plots.backlog,
            &mut plots.running,
            &mut plots.waiting,
            &mut plots.launched,
            &mut plots.failed,
        ] {
            series.push(None);
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "a plot of some pixels")]
    let number = |count: Option<u64>| count.map(|count| count as f64);
    plots.backlog.push(row.object.backlog);
    plots.running.push(number(row.running()));
    plots.waiting.push(number(row.waiting()));
    let none = row.tally.as_ref().map(|_| 0.0);
    plots.launched.push(none);
    plots.failed.push(none);
    Arc::new(plots)
}

/// Jobs that run, as far as they have been seen.
fn running(row: &PageRow) -> u64 {
    row.tally.as_ref().map_or(0, |tally| tally.running)
}

/// Puts launches and failures where they happened: a Job may be seen late, and may be gone soon.
fn raise(row: &mut PageRow) {
    let Some(tally) = row.tally.clone() else {
        return;
    };
    if tally.launched.is_empty() && tally.failed.is_empty() {
        return;
    }
    let mut plots = Plots::clone(&row.plots);
    for (back, count) in &tally.launched {
        plots.launched.raise(*back, f64::from(*count));
    }
    for (back, count) in &tally.failed {
        plots.failed.raise(*back, f64::from(*count));
    }
    if plots != *row.plots {
        row.plots = Arc::new(plots);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::page::job::PageJobState;

    /// How a Job stands, and when it ended.
    type KnownJob = (PageJobState, i64);

    /// Jobs that a test sets.
    #[derive(Default, Clone)]
    struct Known(Arc<Mutex<Option<Vec<KnownJob>>>>);

    impl JobsAtHand for Known {
        fn each(&self, _object: &PageKey, see: &mut dyn FnMut(&PageJob<'_>)) -> bool {
            let known = self.0.lock().unwrap();
            for (state, ended) in known.iter().flatten() {
                see(&PageJob {
                    name: "j",
                    state: *state,
                    reason: "",
                    created_at: None,
                    ended_at: Some(at(*ended)),
                });
            }
            known.is_some()
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn object(name: &str, backlog: i64) -> Value {
        json!({
            "apiVersion": "slipway.dev/v1alpha1", "kind": "ScaledJob",
            "metadata": {"name": name, "namespace": "n"}, "status": {"backlog": backlog},
        })
    }

    #[test]
    fn what_is_new_is_told_and_what_is_not_is_not() {
        let board = Board::new(Box::new(Known::default()));
        let mut changes = board.changes();
        board.apply(&object("a", 1));
        assert!(changes.has_changed().unwrap());
        changes.mark_unchanged();
        board.apply(&object("a", 1));
        assert!(!changes.has_changed().unwrap(), "the same again");
        board.apply(&json!({"kind": "Pod", "metadata": {"name": "p"}}));
        assert!(!changes.has_changed().unwrap(), "no kind of ours");
        board.apply(&object("a", 2));
        assert!(changes.has_changed().unwrap());
        let key = PageKey::of(&object("a", 0)).unwrap();
        assert_eq!(board.row(&key).unwrap().object.backlog, Some(2.0));
        board.remove(&key);
        assert!(board.rows().is_empty());
    }

    #[test]
    fn samples_are_taken_when_their_time_comes_and_failures_where_they_were() {
        let known = Known::default();
        let board = Board::new(Box::new(known.clone()));
        board.apply(&object("a", 5));
        let key = PageKey::of(&object("a", 0)).unwrap();
        board.look(at(1000));
        assert!(
            board.row(&key).unwrap().tally.is_none(),
            "nothing has been seen"
        );
        *known.0.lock().unwrap() = Some(vec![
            (PageJobState::Running, 0),
            (PageJobState::Failed, 1001),
            (PageJobState::Failed, 985),
        ]);
        board.look(at(1005));
        let row = board.row(&key).unwrap();
        assert_eq!((row.running(), row.failed()), (Some(1), 2));
        assert_eq!(
            row.plots.running.values().flatten().count(),
            0,
            "no sample was due"
        );
        board.look(at(1010));
        let row = board.row(&key).unwrap();
        assert_eq!(row.plots.running.values().last(), Some(Some(1.0)));
        assert_eq!(row.plots.backlog.values().last(), Some(Some(5.0)));
        assert_eq!(row.failed(), 2, "a failure is counted once");
        // The history limits removed them; the plot remembers.
        *known.0.lock().unwrap() = Some(Vec::new());
        board.look(at(1020));
        assert_eq!(board.row(&key).unwrap().failed(), 2);
        for sample in 0..130 {
            board.look(at(1030 + 10 * sample));
        }
        assert_eq!(
            board.row(&key).unwrap().failed(),
            0,
            "it was more than twenty minutes ago"
        );
    }

    #[test]
    fn more_objects_than_fit_are_counted() {
        let board = Board::new(Box::new(Known::default()));
        for index in 0..MOST_OBJECTS + 3 {
            board.apply(&object(&format!("o{index}"), 0));
        }
        assert_eq!((board.rows().len(), board.left_out()), (MOST_OBJECTS, 3));
        let gone = PageKey::of(&object(&format!("o{}", MOST_OBJECTS + 1), 0)).unwrap();
        board.remove(&gone);
        assert_eq!(board.left_out(), 2);
    }
}
