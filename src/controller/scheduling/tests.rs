//! Replicas that take the lead from each other, before a server that loses answers: a Job for each due time, and no second.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use futures::future::{BoxFuture, pending, ready};
use jiff::SignedDuration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::chance::Chance;
use super::*;
use crate::catalog::CatalogEntry;
use crate::controller::admission;
use crate::controller::lead::Switch;
use crate::launch::delivered::{Delivery, Gate};
use crate::launch::fixtures::delivered;
use crate::launch::ports::{Deliver, DeliveredJobs, Gates, Remember};
use crate::launch::schedule_record::ScheduleRecord;
use crate::launch::{JobOutcome, Launched};
use crate::resource::{document, event_job};

// The chances of the tests in `tests/it`.
#[path = "../../../tests/it/support/chance.rs"]
mod chance;

const MINUTE: Duration = Duration::from_mins(1);
const GRACE: Duration = Duration::from_mins(10);
/// 2026-11-30T00:00:00Z.
const BEGIN: i64 = 1_796_000_400 / 86_400 * 86_400;

thread_local! {
    static STARTED: Cell<Option<Instant>> = const { Cell::new(None) };
    /// Seconds by which somebody has set the clock.
    static SET: Cell<i64> = const { Cell::new(0) };
}

/// The wall clock: goes with the runtime's, unless somebody sets it.
fn clock() -> Timestamp {
    let started = STARTED.get().expect("a test has begun");
    let passed = SignedDuration::try_from(started.elapsed()).unwrap();
    Timestamp::from_second(BEGIN + SET.get()).unwrap() + passed
}

/// An API server that may fail.
#[derive(Default)]
struct Server(Mutex<State>);

#[derive(Default)]
struct State {
    jobs: BTreeMap<ObjectId, DeliveredJob>,
    /// How often a Job was made for a due time.
    made: BTreeMap<Timestamp, usize>,
    record: ScheduleRecord,
    written: u64,
    /// Creates are refused.
    is_refusing: bool,
    /// Calls in a hundred that fail.
    failing: u64,
    chance: Chance,
}

impl State {
    fn fails(&mut self) -> bool {
        let failing = self.failing;
        self.chance.below(100) < failing
    }
}

impl Server {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    async fn wire(&self) {
        let millis = self.lock().chance.below(3_000);
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }

    fn no_answer<T>() -> Result<T, launch::Error> {
        Err(launch::Error::Unknown {
            object: "it".to_owned(),
            detail: "no answer".to_owned(),
        })
    }
}

impl Deliver for Server {
    fn prove<'a>(&'a self, _: &'a EventJob) -> BoxFuture<'a, Result<(), launch::Error>> {
        Box::pin(ready(Ok(())))
    }

    fn find<'a>(
        &'a self,
        _: &'a Delivery,
        _: Duration,
    ) -> BoxFuture<'a, Result<Option<Launched>, launch::Error>> {
        Box::pin(ready(Ok(None)))
    }

    fn launch<'a>(
        &'a self,
        delivery: &'a Delivery,
        _: Duration,
        may: Guard,
    ) -> BoxFuture<'a, Result<Launched, launch::Error>> {
        Box::pin(async move {
            self.wire().await;
            let mut state = self.lock();
            if !may.may_send() || state.is_refusing || state.fails() {
                return Err(launch::Error::Unavailable {
                    object: "it".to_owned(),
                    detail: "not sent".to_owned(),
                });
            }
            let is_there = state.jobs.contains_key(&delivery.launch.id);
            if !is_there {
                let due = delivery.due.unwrap();
                let ended = Some((JobOutcome::Complete, clock()));
                let job = DeliveredJob {
                    id: delivery.launch.id.clone(),
                    event_job: delivery.event_job.clone(),
                    due: Some(due),
                    ended,
                    ..delivered("any", 0)
                };
                state.jobs.insert(job.id.clone(), job);
                *state.made.entry(due).or_default() += 1;
            }
            if state.fails() {
                return Self::no_answer();
            }
            let payload_differs = false;
            Ok(if is_there {
                Launched::AlreadyThere { payload_differs }
            } else {
                Launched::Created
            })
        })
    }
}

impl Schedules for Server {
    fn read<'a>(&'a self, _: &'a EventJob) -> BoxFuture<'a, Result<ScheduleRecord, launch::Error>> {
        Box::pin(async {
            self.wire().await;
            let mut state = self.lock();
            if state.fails() {
                return Self::no_answer();
            }
            let version = state.written.to_string();
            Ok(ScheduleRecord {
                version,
                ..state.record.clone()
            })
        })
    }

    fn write<'a>(
        &'a self,
        _: &'a EventJob,
        record: &'a ScheduleRecord,
    ) -> BoxFuture<'a, Result<String, launch::Error>> {
        Box::pin(async {
            self.wire().await;
            let mut state = self.lock();
            // Somebody writes another part of the status.
            if state.fails() {
                state.written += 1;
            }
            if record.version != state.written.to_string() {
                let object = "it".to_owned();
                return Err(launch::Error::Conflict { object });
            }
            if !state.fails() {
                state.record = record.clone();
                state.written += 1;
            }
            if state.fails() {
                return Self::no_answer();
            }
            if state.record.last != record.last {
                return Self::no_answer();
            }
            Ok(state.written.to_string())
        })
    }
}

impl DeliveredJobs for Server {
    fn seen(&self, _: &ObjectId) -> Result<Vec<Arc<DeliveredJob>>, launch::Error> {
        Ok(self.lock().jobs.values().cloned().map(Arc::new).collect())
    }

    fn changed(&self) -> BoxFuture<'_, BTreeSet<ObjectId>> {
        Box::pin(pending())
    }

    fn appeared(&self, _: &ObjectId) -> BoxFuture<'static, ()> {
        Box::pin(pending())
    }
}

impl Gates for Server {
    fn open(&self, _: &ObjectId) -> Result<Vec<Arc<DeliveredJob>>, launch::Error> {
        Ok(Vec::new())
    }

    fn change<'a>(
        &'a self,
        _: &'a DeliveredJob,
        _: Gate,
    ) -> BoxFuture<'a, Result<(), launch::Error>> {
        unreachable!("no Job is gated")
    }
}

impl Remember for Server {
    fn remember<'a>(
        &'a self,
        _: &'a [Arc<DeliveredJob>],
    ) -> BoxFuture<'a, Result<(), launch::Error>> {
        unreachable!("a schedule needs no keys")
    }

    fn remembered_for(&self, _: &DeliveredJob) -> Option<Duration> {
        unreachable!("a schedule needs no keys")
    }

    fn remove<'a>(&'a self, job: &'a DeliveredJob) -> BoxFuture<'a, Result<(), launch::Error>> {
        self.lock().jobs.remove(&job.id);
        Box::pin(ready(Ok(())))
    }
}

/// For tests in which nothing has a schedule.
pub(in crate::controller) fn none() -> SchedulePorts {
    let server = Arc::new(Server::default());
    SchedulePorts {
        deliveries: Arc::new(Deliveries::new(
            server.clone(),
            server.clone(),
            GRACE,
            clock,
        )),
        schedules: server,
        record: Arc::new(()),
        rush: Arc::default(),
    }
}

fn report(cron: &str) -> EventJob {
    let text = format!(
        "apiVersion: slipway.dev/v1alpha1\nkind: EventJob\nmetadata: {{name: report, generation: 1, creationTimestamp: '2026-11-30T00:00:00Z'}}\n\
         spec:\n  source: {{cron: {cron}}}\n  successfulJobsHistoryLimit: 0\n  jobTemplate: {{spec: {{template: {{spec: {{restartPolicy: Never, containers: [{{name: a, image: a}}]}}}}}}}}\n"
    );
    let (documents, misread) = document::read(&text);
    assert!(misread.is_empty());
    event_job::parse(&documents[0].value).unwrap()
}

struct World {
    server: Arc<Server>,
    replicas: Vec<Arc<Switch>>,
    catalog: Arc<Catalog>,
    tasks: JoinSet<()>,
    terms: u64,
}

impl World {
    /// Two replicas, none of which leads.
    fn new(cron: &str, seed: u64, failing: u64) -> Self {
        assert_eq!(
            Timestamp::from_second(BEGIN).unwrap().to_string(),
            "2026-11-30T00:00:00Z"
        );
        STARTED.set(Some(Instant::now()));
        SET.set(0);
        let server = Arc::new(Server::default());
        {
            let mut state = server.lock();
            (state.chance, state.failing) = (Chance::new(seed), failing);
        }
        let catalog = Arc::new(Catalog::default());
        let mut world = Self {
            server,
            replicas: Vec::new(),
            catalog,
            tasks: JoinSet::new(),
            terms: 0,
        };
        world.serve(report(cron));
        for _ in 0..2 {
            world.begin();
        }
        world
    }

    fn serve(&self, event_job: EventJob) {
        let id = event_job.id.clone();
        let entry = CatalogEntry {
            event_job: Arc::new(event_job),
            not_ready: None,
        };
        self.catalog.set(id, Listing::Valid(entry));
    }

    fn begin(&mut self) {
        let server = &self.server;
        let deliveries = Deliveries::new(server.clone(), server.clone(), GRACE, clock);
        let ports = Ports {
            jobs: server.clone(),
            gates: server.clone(),
            reruns: Arc::new(admission::tests::NoReruns),
            ledger: server.clone(),
            schedules: SchedulePorts {
                deliveries: Arc::new(deliveries),
                schedules: server.clone(),
                record: Arc::new(()),
                rush: Arc::default(),
            },
            clock,
            holder: "us".to_owned(),
            grace: GRACE,
        };
        let lead = Arc::new(Switch::new(None));
        self.replicas.push(lead.clone());
        let stop = CancellationToken::new();
        let run = admission::run(ports, self.catalog.clone(), lead, stop);
        self.tasks.spawn(run);
    }

    /// Now this replica leads, or none.
    fn lead(&mut self, leader: Option<usize>) {
        self.terms += 1;
        for (index, replica) in self.replicas.iter().enumerate() {
            let term = (leader == Some(index)).then_some(self.terms);
            replica.set(term);
        }
    }

    async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
        assert_eq!(self.tasks.len(), self.replicas.len(), "no task ends");
    }

    /// How often a Job was made, by minutes since the start.
    fn made(&self) -> BTreeMap<i64, usize> {
        let made = self.server.lock().made.clone();
        made.into_iter()
            .map(|(due, count)| ((due.as_second() - BEGIN) / 60, count))
            .collect()
    }

    fn once_each(&self, minutes: impl IntoIterator<Item = i64>) {
        let expected: BTreeMap<_, _> = minutes.into_iter().map(|minute| (minute, 1)).collect();
        let made = self.made();
        let differs = |minute: &&i64| made.get(*minute) != expected.get(*minute);
        let wrong: BTreeSet<_> = made.keys().chain(expected.keys()).filter(differs).collect();
        assert!(wrong.is_empty(), "minutes {wrong:?} of {made:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_due_time_has_one_job_whatever_fails_and_whoever_leads() {
    for seed in 0..4 {
        let mut world = World::new("{schedule: '* * * * *', catchUp: All}", seed, 20);
        let mut minutes = 0;
        while minutes < 150 {
            let (leader, time) = {
                let mut state = world.server.lock();
                (state.chance.below(3), state.chance.below(20))
            };
            world.lead(match leader {
                0 => None,
                leader => Some(usize::try_from(leader).unwrap() - 1),
            });
            world
                .pass(MINUTE * u32::try_from(time).unwrap() + Duration::from_secs(7))
                .await;
            minutes += time;
        }
        // What was left open is made good.
        world.server.lock().failing = 0;
        world.lead(Some(0));
        world.pass(3 * MINUTE).await;
        let into = u64::try_from(clock().as_second() % 60).unwrap();
        world.pass(Duration::from_secs(90 - into)).await;
        let now = (clock().as_second() - BEGIN) / 60;
        world.once_each(1..=now);
        // All but those of the last minutes are gone again.
        world.pass(GRACE + MINUTE).await;
        assert!(
            world.server.lock().jobs.len() < 15,
            "{}",
            world.server.lock().jobs.len()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn no_job_goes_before_its_schedule_has_been_past_it_for_the_grace() {
    let mut world = World::new("{schedule: '0 * * * *'}", 1, 0);
    world.lead(Some(0));
    world.pass(61 * MINUTE).await;
    assert_eq!(world.server.lock().jobs.len(), 1);
    world.pass(8 * MINUTE).await;
    assert_eq!(world.server.lock().jobs.len(), 1);
    // Who leads next has known it for no time at all.
    world.lead(Some(1));
    world.pass(9 * MINUTE).await;
    assert_eq!(world.server.lock().jobs.len(), 1);
    world.pass(2 * MINUTE).await;
    assert_eq!(world.server.lock().jobs.len(), 0);
    world.once_each([60]);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_makes_none_twice() {
    let mut world = World::new("{schedule: '*/10 * * * *'}", 1, 0);
    world.lead(Some(0));
    world.pass(25 * MINUTE).await;
    world.once_each([10, 20]);
    // Back by 20 minutes: those that come again are made already.
    SET.set(-20 * 60);
    world.pass(20 * MINUTE).await;
    world.once_each([10, 20]);
    world.pass(10 * MINUTE).await;
    world.once_each([10, 20, 30]);
    // Forth by three hours: noticed within a minute, and the newest is made.
    SET.set((3 * 60 - 20) * 60);
    world.pass(2 * MINUTE).await;
    let made: Vec<_> = world.made().into_keys().collect();
    assert_eq!(made, [10, 20, 30, 210]);
}

#[tokio::test(start_paused = true)]
async fn an_edited_schedule_counts_from_the_edit_and_a_pause_holds_it() {
    let mut world = World::new("{schedule: '0 * * * *'}", 1, 0);
    world.lead(Some(0));
    world.pass(70 * MINUTE).await;
    world.once_each([60]);
    // 00:30 and 01:05 are past, 01:30 is not.
    world.serve(report("{schedules: ['30 * * * *', '5 * * * *']}"));
    world.pass(25 * MINUTE).await;
    world.once_each([60, 90]);
    let mut suspended = report("{schedules: ['30 * * * *', '5 * * * *']}");
    suspended.suspend = true;
    world.serve(suspended);
    world.pass(100 * MINUTE).await;
    world.once_each([60, 90]);
    assert_eq!(world.server.lock().record.next, []);
    world.serve(report("{schedules: ['30 * * * *', '5 * * * *']}"));
    world.pass(MINUTE).await;
    world.once_each([60, 90, 185]);
}

#[tokio::test(start_paused = true)]
async fn a_missed_due_time_is_told_once_however_often_the_newest_is_tried() {
    let mut world = World::new("{schedule: '* * * * *'}", 1, 0);
    world.pass(10 * MINUTE + MINUTE / 2).await;
    world.server.lock().is_refusing = true;
    world.lead(Some(0));
    world.pass(3 * MINUTE).await;
    world.once_each([]);
    world.server.lock().is_refusing = false;
    world.pass(MINUTE).await;
    let made: Vec<_> = world.made().into_keys().collect();
    let missed: u64 = world
        .server
        .lock()
        .record
        .missed
        .iter()
        .map(|missed| missed.count)
        .sum();
    // Each due time so far is one or the other.
    assert_eq!((made.len() as u64 + missed, made.last()), (14, Some(&14)));
}
