//! Reruns with a server that loses answers and with leaders that come and go.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures::future::{BoxFuture, ready};
use jiff::Timestamp;
use serde_json::json;

use crate::controller::admission::pass::{Pass, PassNotes};
use crate::controller::admission::{Ports, tests};
use crate::controller::schedule_progress::ScheduleProgress;
use crate::controller::scheduling::{self, SchedulePorts};
use crate::cycle::delivery::Deliveries;
use crate::launch::attempt::{FailedJob, RERUN_ANNOTATION, RerunRequest};
use crate::launch::delivered::{Delivery, Gate};
use crate::launch::fixtures::delivered;
use crate::launch::ports::{Deliver, DeliveredJob, DeliveredJobs, Gates, Remember, Reruns};
use crate::launch::{Error, Guard, JobOutcome, Launched};
use crate::resource::ObjectId;
use crate::resource::event_job::{Concurrency, EventJob};

const GRACE: Duration = Duration::from_mins(10);

/// Jobs in memory; every so many calls are done and have no answer, or are not done.
#[derive(Default)]
struct Server(Mutex<State>);

#[derive(Default)]
struct State {
    jobs: BTreeMap<String, DeliveredJob>,
    requests: BTreeMap<String, (u64, String)>,
    /// Names that had a Job, each time.
    made: Vec<String>,
    calls: usize,
    /// Each call of this number fails, before or after it was done.
    failing: usize,
}

impl Server {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Whether this call is done, and whether it is answered.
    fn fate(state: &mut State) -> (bool, bool) {
        state.calls += 1;
        match state.failing {
            0 => (true, true),
            each if state.calls.is_multiple_of(each) => (state.calls.is_multiple_of(2), false),
            _ => (true, true),
        }
    }

    fn answer<T: Send + 'static>(value: Option<T>) -> BoxFuture<'static, Result<T, Error>> {
        Box::pin(ready(value.ok_or_else(|| Error::Unknown {
            object: "it".to_owned(),
            detail: "no answer".to_owned(),
        })))
    }

    fn put(&self, attempt: u32, first: Option<&str>, name: &str, outcome: Option<JobOutcome>) {
        let job = DeliveredJob {
            occurrence: name.to_owned(),
            first: first.map(str::to_owned),
            attempt,
            ended: outcome.map(|outcome| (outcome, Timestamp::UNIX_EPOCH)),
            event_job: ObjectId::new("n", "a"),
            ..delivered(name, 0)
        };
        self.lock().jobs.insert(name.to_owned(), job);
    }

    fn ask(&self, name: &str) {
        let text = RerunRequest::new(Timestamp::UNIX_EPOCH).to_text();
        let mut state = self.lock();
        let request = state.requests.entry(name.to_owned()).or_default();
        *request = (request.0 + 1, text);
        state.jobs.get_mut(name).unwrap().wants_rerun = true;
    }

    fn answered(&self, name: &str) -> RerunRequest {
        RerunRequest::parse(&self.lock().requests[name].1).unwrap()
    }
}

impl Reruns for Server {
    fn read<'a>(&'a self, job: &'a DeliveredJob) -> BoxFuture<'a, Result<FailedJob, Error>> {
        let mut state = self.lock();
        let (_, is_answered) = Self::fate(&mut state);
        let name = &*job.id.name;
        let (version, text) = state.requests.get(name).cloned().unwrap_or_default();
        let mut annotations = json!({
            "slipway.dev/occurrence": job.occurrence, RERUN_ANNOTATION: text,
        });
        if let Some(first) = &job.first {
            annotations["slipway.dev/first-occurrence"] = first.as_str().into();
        }
        Self::answer(is_answered.then(|| FailedJob {
            manifest: json!({"metadata": {"name": name, "annotations": annotations}, "spec": {}}),
            version: version.to_string(),
            file: None,
        }))
    }

    fn write<'a>(
        &'a self,
        job: &'a DeliveredJob,
        version: &'a str,
        request: &'a RerunRequest,
    ) -> BoxFuture<'a, Result<String, Error>> {
        let mut state = self.lock();
        let (is_done, is_answered) = Self::fate(&mut state);
        let name = job.id.name.to_string();
        let now = state.requests[&name].0;
        if now.to_string() != version {
            let object = name;
            return Box::pin(ready(Err(Error::Conflict { object })));
        }
        if is_done {
            state
                .requests
                .insert(name.clone(), (now + 1, request.to_text()));
            state.jobs.get_mut(&name).unwrap().wants_rerun = request.is_open();
        }
        Self::answer(is_answered.then(|| (now + 1).to_string()))
    }
}

impl Deliver for Server {
    fn prove<'a>(&'a self, _: &'a EventJob) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(ready(Ok(())))
    }

    fn find<'a>(
        &'a self,
        delivery: &'a Delivery,
        _: Duration,
    ) -> BoxFuture<'a, Result<Option<Launched>, Error>> {
        let mut state = self.lock();
        let (_, is_answered) = Self::fate(&mut state);
        let name = &*delivery.launch.id.name;
        let found = if state.jobs.contains_key(name) {
            Some(Launched::AlreadyThere {
                payload_differs: false,
            })
        } else {
            let had = state.made.iter().any(|made| made == name);
            had.then_some(Launched::Remembered)
        };
        Self::answer(is_answered.then_some(found))
    }

    fn launch<'a>(
        &'a self,
        delivery: &'a Delivery,
        _: Duration,
        may: Guard,
    ) -> BoxFuture<'a, Result<Launched, Error>> {
        assert!(may.may_send());
        let name = delivery.launch.id.name.to_string();
        let annotations = &delivery.launch.manifest["metadata"]["annotations"];
        let first = annotations["slipway.dev/first-occurrence"].as_str();
        let attempt = annotations["slipway.dev/attempt"].as_str().unwrap();
        let had = self.lock().made.contains(&name);
        let (is_done, is_answered) = Self::fate(&mut self.lock());
        if is_done && !had {
            self.put(attempt.parse().unwrap(), first, &name, None);
            self.lock().made.push(name);
        }
        Self::answer(is_answered.then_some(if had {
            Launched::Remembered
        } else {
            Launched::Created
        }))
    }
}

impl DeliveredJobs for Server {
    fn seen(&self, _: &ObjectId) -> Result<Vec<Arc<DeliveredJob>>, Error> {
        Ok(self.lock().jobs.values().cloned().map(Arc::new).collect())
    }

    fn changed(&self) -> BoxFuture<'_, std::collections::BTreeSet<ObjectId>> {
        Box::pin(std::future::pending())
    }

    fn appeared(&self, _: &ObjectId) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}

impl Gates for Server {
    fn open(&self, _: &ObjectId) -> Result<Vec<Arc<DeliveredJob>>, Error> {
        Ok(Vec::new())
    }

    fn change<'a>(&'a self, _: &'a DeliveredJob, _: Gate) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(ready(Ok(())))
    }
}

impl Remember for Server {
    fn remember<'a>(&'a self, _: &'a [Arc<DeliveredJob>]) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(ready(Ok(())))
    }

    fn remembered_for(&self, _: &DeliveredJob) -> Option<Duration> {
        Some(Duration::ZERO)
    }

    fn remove<'a>(&'a self, _: &'a DeliveredJob) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(ready(Ok(())))
    }
}

/// One pass of a process that has just begun to lead: it knows nothing but what the server says.
async fn pass(server: &Arc<Server>) -> Result<(), Error> {
    let event_job = tests::event_job("a", Concurrency::Allow);
    let clock = || Timestamp::UNIX_EPOCH;
    let deliveries = Deliveries::new(server.clone(), server.clone(), GRACE, clock);
    let ports = Ports {
        jobs: server.clone(),
        gates: server.clone(),
        reruns: server.clone(),
        ledger: server.clone(),
        holder: "us".to_owned(),
        schedules: SchedulePorts {
            deliveries: Arc::new(deliveries),
            ..scheduling::tests::none()
        },
        clock,
        grace: GRACE,
    };
    let pass = Pass {
        ports: &ports,
        event_job: &event_job,
        progress: &ScheduleProgress::default(),
        is_leader: &|| true,
        may: Guard::always(),
    };
    pass.run(&mut PassNotes::default()).await.map(drop)
}

#[tokio::test(start_paused = true)]
async fn one_request_is_one_attempt_whatever_is_lost_on_the_way() {
    for failing in (0..40).filter(|each| ![1, 2].contains(each)) {
        let server = Arc::new(Server::default());
        server.put(1, None, "first", Some(JobOutcome::Failed));
        server.ask("first");
        server.lock().failing = failing;
        for _ in 0..40 {
            drop(pass(&server).await);
            // The attempt fails at once: a second look must not make a third of it.
            let made = server.lock().made.clone();
            for name in made {
                if let Some(job) = server.lock().jobs.get_mut(&name) {
                    job.ended = Some((JobOutcome::Failed, Timestamp::UNIX_EPOCH));
                }
            }
        }
        assert_eq!(server.lock().made.len(), 1, "failing each {failing}");
        let answer = server.answered("first");
        assert_eq!(
            answer.result.as_deref(),
            Some("Done"),
            "{failing}: {answer:?}"
        );
        assert_eq!(answer.attempt, Some(2));
        assert_eq!(answer.job.as_ref(), server.lock().made.first());
    }
}

#[tokio::test(start_paused = true)]
async fn two_who_ask_get_one_job_and_who_asks_later_gets_the_next() {
    let server = Arc::new(Server::default());
    server.put(1, None, "first", Some(JobOutcome::Failed));
    server.ask("first");
    pass(&server).await.unwrap();
    // It has not ended: whoever asks again is told of it.
    server.ask("first");
    pass(&server).await.unwrap();
    let second = server.lock().made[0].clone();
    assert_eq!(server.lock().made.len(), 1);
    assert_eq!(server.answered("first").job.as_ref(), Some(&second));

    // Both failed, and somebody asks about each.
    let failed = Some((JobOutcome::Failed, Timestamp::UNIX_EPOCH));
    server.lock().jobs.get_mut(&second).unwrap().ended = failed;
    server.ask("first");
    server.ask(&second);
    pass(&server).await.unwrap();
    assert_eq!(server.lock().made.len(), 2);
    let third = server.lock().made[1].clone();
    for asked in ["first", &second] {
        let answer = server.answered(asked);
        assert_eq!(answer.job.as_ref(), Some(&third), "{asked}: {answer:?}");
    }

    // The third is gone: only the ledger knows that it was.
    server.lock().jobs.remove(&third);
    server.ask(&second);
    pass(&server).await.unwrap();
    assert_eq!(server.answered(&second).attempt, Some(4));
}

#[tokio::test(start_paused = true)]
async fn what_did_not_fail_does_not_run_again() {
    let server = Arc::new(Server::default());
    server.put(1, None, "good", Some(JobOutcome::Complete));
    server.put(1, None, "running", None);
    server.ask("good");
    server.ask("running");
    pass(&server).await.unwrap();
    for name in ["good", "running"] {
        let answer = server.answered(name);
        assert_eq!(answer.result.as_deref(), Some("Failed"), "{answer:?}");
    }
    assert!(server.lock().made.is_empty());
}
