use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};

use futures::future::BoxFuture;
use serde_json::json;
use tokio::task::JoinSet;

use super::*;
use crate::catalog::CatalogEntry;
use crate::controller::lead::Switch;
use crate::controller::scheduling;
use crate::launch::attempt::{FailedJob, RerunRequest};
use crate::launch::delivered::Gate;
use crate::launch::fixtures::delivered;
use crate::launch::ports::DeliveredJob;
use crate::launch::{Error, JobOutcome};
use crate::resource::HistoryLimits;
use crate::resource::event_job::{
    Auth, Bind, Concurrency, EventJob, EventSource, Format, GatedPolicy, Split, WebhookSource,
};

/// Jobs in memory, with versions, a ledger and a grace, as the port promises them.
#[derive(Default)]
struct Fake {
    state: Mutex<State>,
    news: Notify,
}

#[derive(Default)]
struct State {
    jobs: BTreeMap<ObjectId, DeliveredJob>,
    keys: HashMap<ObjectId, Instant>,
    removed: Vec<ObjectId>,
    changed: BTreeSet<ObjectId>,
    calls: usize,
    /// EventJobs whose Jobs nobody can see, and those whose changes never end.
    broken: BTreeSet<ObjectId>,
    stuck: BTreeSet<ObjectId>,
    /// Changes that are made, or not, and have no answer.
    unanswered: VecDeque<bool>,
}

impl Fake {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn put(&self, job: DeliveredJob) {
        let mut state = self.state();
        state.changed.insert(job.event_job.clone());
        state.jobs.insert(job.id.clone(), job);
        drop(state);
        self.news.notify_one();
    }

    fn apply(
        &self,
        seen: &DeliveredJob,
        change: impl FnOnce(&mut DeliveredJob),
    ) -> Result<(), Error> {
        let mut state = self.state();
        state.calls += 1;
        let object = seen.id.to_string();
        let Some(job) = state.jobs.get(&seen.id) else {
            return Err(Error::Gone { object });
        };
        if job.version != seen.version {
            return Err(Error::Conflict { object });
        }
        let mut changed = job.clone();
        change(&mut changed);
        changed.version = format!("{}+", changed.version);
        let unanswered = state.unanswered.pop_front();
        if unanswered != Some(false) {
            state.changed.insert(changed.event_job.clone());
            state.jobs.insert(changed.id.clone(), changed);
            self.news.notify_one();
        }
        match unanswered {
            None => Ok(()),
            Some(_) => Err(Error::Unknown {
                object,
                detail: "no answer".to_owned(),
            }),
        }
    }

    fn of(&self, event_job: &ObjectId) -> Vec<Arc<DeliveredJob>> {
        let state = self.state();
        let jobs = state
            .jobs
            .values()
            .filter(|job| job.event_job == *event_job);
        jobs.cloned().map(Arc::new).collect()
    }
}

fn ready<T: Send + 'static>(value: T) -> BoxFuture<'static, T> {
    Box::pin(std::future::ready(value))
}

impl DeliveredJobs for Fake {
    fn seen(&self, event_job: &ObjectId) -> Result<Vec<Arc<DeliveredJob>>, Error> {
        if self.state().broken.contains(event_job) {
            return Err(Error::Unavailable {
                object: event_job.to_string(),
                detail: "broken".to_owned(),
            });
        }
        Ok(self.of(event_job))
    }

    fn changed(&self) -> BoxFuture<'_, BTreeSet<ObjectId>> {
        Box::pin(async {
            loop {
                let changed = std::mem::take(&mut self.state().changed);
                if !changed.is_empty() {
                    return changed;
                }
                self.news.notified().await;
            }
        })
    }

    fn appeared(&self, _event_job: &ObjectId) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}

impl Gates for Fake {
    fn open(&self, event_job: &ObjectId) -> Result<Vec<Arc<DeliveredJob>>, Error> {
        let mut jobs = self.seen(event_job)?;
        jobs.retain(|job| job.is_open());
        Ok(jobs)
    }

    fn change<'a>(&'a self, job: &'a DeliveredJob, gate: Gate) -> BoxFuture<'a, Result<(), Error>> {
        if self.state().stuck.contains(&job.event_job) {
            return Box::pin(std::future::pending());
        }
        ready(self.apply(job, |job| {
            job.gate = Some(gate);
            job.is_suspended = gate != Gate::Released;
            if gate == Gate::Waiting {
                job.claimed_by = Some("us".to_owned());
            }
        }))
    }
}

/// Nobody asks for reruns.
pub(in crate::controller) struct NoReruns;

impl Reruns for NoReruns {
    fn read<'a>(&'a self, job: &'a DeliveredJob) -> BoxFuture<'a, Result<FailedJob, Error>> {
        let object = job.id.to_string();
        ready(Err(Error::Gone { object }))
    }

    fn write<'a>(
        &'a self,
        job: &'a DeliveredJob,
        _version: &'a str,
        _request: &'a RerunRequest,
    ) -> BoxFuture<'a, Result<String, Error>> {
        let object = job.id.to_string();
        ready(Err(Error::Gone { object }))
    }
}

impl Remember for Fake {
    fn remember<'a>(&'a self, jobs: &'a [Arc<DeliveredJob>]) -> BoxFuture<'a, Result<(), Error>> {
        let mut state = self.state();
        for job in jobs {
            let id = job.id.clone();
            state.keys.entry(id).or_insert_with(Instant::now);
        }
        ready(Ok(()))
    }

    fn remembered_for(&self, job: &DeliveredJob) -> Option<Duration> {
        let written = *self.state().keys.get(&job.id)?;
        Some(written.elapsed())
    }

    fn remove<'a>(&'a self, job: &'a DeliveredJob) -> BoxFuture<'a, Result<(), Error>> {
        let mut state = self.state();
        state.jobs.remove(&job.id);
        state.removed.push(job.id.clone());
        ready(Ok(()))
    }
}

pub(super) fn event_job(name: &str, concurrency: Concurrency) -> EventJob {
    EventJob {
        id: ObjectId::new("n", name),
        uid: name.to_owned(),
        generation: 1,
        created: String::new(),
        source: EventSource::Webhook(WebhookSource {
            format: Format::Json,
            shared: false,
            split: Split::No,
            allowed_origins: Vec::new(),
            confirm_topic_arns: Vec::new(),
            auth: vec![Auth::None],
        }),
        pattern: None,
        cron_job: None,
        header_pattern: None,
        expected_interval: None,
        requests: Ok(Vec::new()),
        id_from: Vec::new(),
        bind: Bind::default(),
        concurrency,
        rate_limit: None,
        deduplicate_for: Duration::from_hours(25),
        suspend: false,
        history: Some(HistoryLimits {
            successful: 1,
            failed: 1,
        }),
        job_template: json!({}).into(),
    }
}

/// The Job number so and so of an EventJob: unfinished, or ended.
fn job(event_job: &str, number: i64, gate: Option<Gate>, ended: bool) -> DeliveredJob {
    let name = format!("{event_job}-{number}");
    let job = delivered(&name, 1_700_000_000 + number);
    DeliveredJob {
        end_reason: "",
        id: ObjectId::new("n", name),
        event_job: ObjectId::new("n", event_job),
        occurrence: format!("{number:064}"),
        gate,
        is_suspended: gate == Some(Gate::Waiting),
        ended: ended.then_some((JobOutcome::Complete, job.created_at)),
        active_pods: 0,
        ready_pods: 0,
        ..job
    }
}

struct Bench {
    launcher: Arc<Fake>,
    leads: Arc<Switch>,
    tasks: JoinSet<()>,
}

impl Bench {
    /// The loop over these EventJobs, each with an Allow policy or as given.
    fn start(event_jobs: impl IntoIterator<Item = EventJob>, leads: bool) -> Self {
        let catalog = Arc::new(Catalog::default());
        for event_job in event_jobs {
            let id = event_job.id.clone();
            let entry = CatalogEntry {
                event_job: Arc::new(event_job),
                not_ready: None,
            };
            catalog.set(id, Listing::Valid(entry));
        }
        let launcher = Arc::new(Fake::default());
        let leads = Arc::new(Switch::new(leads.then_some(1)));
        let mut tasks = JoinSet::new();
        let ports = Ports {
            jobs: launcher.clone(),
            gates: launcher.clone(),
            reruns: Arc::new(NoReruns),
            ledger: launcher.clone(),
            schedules: scheduling::tests::none(),
            clock: || Timestamp::UNIX_EPOCH,
            holder: "us".to_owned(),
            grace: Duration::from_mins(1),
        };
        let lead = leads.clone();
        tasks.spawn(run(ports, catalog, lead, CancellationToken::new()));
        Self {
            launcher,
            leads,
            tasks,
        }
    }

    /// Lets so much time pass, and everything happen that happens in it.
    async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
        assert!(!self.tasks.is_empty());
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_key_that_was_left_out_is_written_after_a_while() {
    let bench = Bench::start([event_job("a", Concurrency::Allow)], true);
    bench.launcher.put(job("a", 1, None, true));
    bench.launcher.put(job("a", 2, None, true));
    bench.pass(3 * SECOND).await;
    // Whoever launched them may be about to.
    assert!(bench.launcher.state().keys.is_empty());
    bench.pass(30 * SECOND).await;
    assert_eq!(bench.launcher.state().keys.len(), 2);
    assert!(bench.launcher.state().removed.is_empty());
}

#[tokio::test(start_paused = true)]
async fn who_does_not_lead_does_nothing_and_begins_with_all_when_it_does() {
    let bench = Bench::start([event_job("a", Concurrency::Allow)], false);
    bench.launcher.put(job("a", 1, None, true));
    bench.pass(60 * SECOND).await;
    assert!(bench.launcher.state().keys.is_empty());
    bench.leads.set(Some(1));
    bench.pass(30 * SECOND).await;
    assert_eq!(bench.launcher.state().keys.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn broken_event_jobs_hold_up_no_other_and_are_tried_again() {
    let names: Vec<String> = (0..50).map(|number| format!("broken-{number}")).collect();
    let all = names.iter().map(String::as_str).chain(["good"]);
    let bench = Bench::start(all.map(|name| event_job(name, Concurrency::Allow)), true);
    for name in &names {
        let id = ObjectId::new("n", name);
        bench.launcher.state().broken.insert(id);
        bench.launcher.put(job(name, 1, None, false));
    }
    bench.launcher.put(job("good", 1, None, false));
    bench.pass(15 * SECOND).await;
    let keys = |name: &str| {
        let id = ObjectId::new("n", format!("{name}-1"));
        bench.launcher.state().keys.contains_key(&id)
    };
    assert!(keys("good") && !keys("broken-7"));
    bench.launcher.state().broken.clear();
    bench.pass(60 * SECOND).await;
    assert!(keys("broken-7"));
}

fn gated(policy: GatedPolicy) -> EventJob {
    event_job(
        "a",
        Concurrency::Gated {
            policy,
            limit: NonZeroU32::MIN,
            key_from: None,
            max_waiting: 100,
        },
    )
}

/// The gates of Jobs 1, 2 and so on, dropped ones that went already included.
fn gates(bench: &Bench) -> Vec<&'static str> {
    let jobs = bench.launcher.of(&ObjectId::new("n", "a"));
    let gate = |job: &Arc<DeliveredJob>| job.gate.unwrap().name();
    jobs.iter().map(gate).collect()
}

fn finish(bench: &Bench, number: i64) {
    let id = ObjectId::new("n", format!("a-{number}"));
    let mut job = bench.launcher.state().jobs[&id].clone();
    job.ended = Some((JobOutcome::Complete, job.created_at));
    bench.launcher.put(job);
}

#[tokio::test(start_paused = true)]
async fn a_policy_decides_who_runs_and_who_never_will() {
    let rows = [
        (GatedPolicy::Queue, ["released", "waiting", "waiting"]),
        (GatedPolicy::Forbid, ["released", "dropped", "dropped"]),
        (GatedPolicy::Replace, ["dropped", "dropped", "released"]),
    ];
    for (policy, expected) in rows {
        let bench = Bench::start([gated(policy)], true);
        for number in 1..=3 {
            let waiting = job("a", number, Some(Gate::Waiting), false);
            bench.launcher.put(waiting);
        }
        bench.pass(SECOND).await;
        assert_eq!(gates(&bench), expected, "{policy:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_queue_goes_on_whatever_becomes_of_the_answers() {
    let bench = Bench::start([gated(GatedPolicy::Queue)], true);
    for number in 1..=4 {
        let waiting = job("a", number, Some(Gate::Waiting), false);
        bench.launcher.put(waiting);
    }
    // Claims and releases, some of them made.
    bench.launcher.state().unanswered = [true, false, false, true, false, true].into();
    for number in 1..=4 {
        // Each failure doubles the pause.
        bench.pass(90 * SECOND).await;
        let jobs = bench.launcher.of(&ObjectId::new("n", "a"));
        let runs =
            |job: &&Arc<DeliveredJob>| job.gate == Some(Gate::Released) && job.ended.is_none();
        let running: Vec<&str> = jobs.iter().filter(runs).map(|job| &*job.id.name).collect();
        assert_eq!(running, [format!("a-{number}")]);
        finish(&bench, number);
    }
    assert!(bench.launcher.state().unanswered.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_change_that_never_ends_holds_up_no_other() {
    let mut other = gated(GatedPolicy::Queue);
    other.id.name = "b".into();
    let bench = Bench::start([gated(GatedPolicy::Queue), other], true);
    let stuck = ObjectId::new("n", "a");
    bench.launcher.state().stuck.insert(stuck);
    for name in ["a", "b"] {
        bench.launcher.put(job(name, 1, Some(Gate::Waiting), false));
    }
    bench.pass(SECOND).await;
    let gate = |name: &str| bench.launcher.state().jobs[&ObjectId::new("n", name)].gate;
    assert_eq!(gate("b-1"), Some(Gate::Released));
    assert_eq!(gate("a-1"), Some(Gate::Waiting));
    bench.launcher.state().stuck.clear();
    bench.pass(60 * SECOND).await;
    assert_eq!(gate("a-1"), Some(Gate::Released));
}

#[tokio::test(start_paused = true)]
async fn a_job_beyond_the_history_goes_when_its_key_is_old_enough() {
    let bench = Bench::start([event_job("a", Concurrency::Allow)], true);
    bench.launcher.put(job("a", 1, None, true));
    bench.launcher.put(job("a", 2, None, true));
    bench.pass(60 * SECOND).await;
    assert!(bench.launcher.state().removed.is_empty());
    bench.pass(60 * SECOND).await;
    assert_eq!(bench.launcher.state().removed, [ObjectId::new("n", "a-1")]);
}
