//! Honest stand-ins for the loop's ports: what they promise is what the ports promise.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use slipway::launch::{
    Error, Guard, JobOutcome, JobState, Launch, Launched, Launcher, ROUND_ANNOTATION,
};
use slipway::resource::requests::{RequestAnswer, add_answer};
use slipway::resource::{ObjectId, Propagation, Round, ScaledJob};
use slipway::scaling::Reading;
use slipway::source::{self, Source, Taken};
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

/// A source that answers as the script says; its last line stands for ever.
pub(crate) struct ScriptedSource {
    script: Mutex<VecDeque<Option<f64>>>,
    last: Mutex<Option<Taken>>,
    calls: Mutex<Vec<Instant>>,
    pushes: watch::Sender<()>,
}

impl ScriptedSource {
    /// `None` is a read that fails.
    pub(crate) fn new(script: impl IntoIterator<Item = Option<f64>>) -> Arc<Self> {
        Arc::new(Self {
            script: Mutex::new(script.into_iter().collect()),
            last: Mutex::default(),
            calls: Mutex::default(),
            pushes: watch::Sender::new(()),
        })
    }

    /// From now on this is what waits.
    pub(crate) fn says(&self, waiting: Option<f64>) {
        *self.script.lock().unwrap() = VecDeque::from([waiting]);
    }

    /// Says by itself that there is something new.
    pub(crate) fn push(&self) {
        self.pushes.send_replace(());
    }

    /// How many listen for pushes.
    pub(crate) fn listeners(&self) -> usize {
        self.pushes.receiver_count()
    }

    /// When it was asked.
    pub(crate) fn calls(&self) -> Vec<Instant> {
        self.calls.lock().unwrap().clone()
    }

    fn ask(&self, freshness: Duration) -> Result<Taken, source::Error> {
        let mut last = self.last.lock().unwrap();
        if let Some(taken) = last.clone()
            && Instant::now().into_std().duration_since(taken.at) <= freshness
        {
            return Ok(taken);
        }
        self.calls.lock().unwrap().push(Instant::now());
        let mut script = self.script.lock().unwrap();
        let line = if script.len() > 1 {
            script.pop_front()
        } else {
            script.front().copied()
        };
        *last = line.flatten().map(|waiting| Taken {
            reading: Reading::new(waiting),
            at: Instant::now().into_std(),
            terms: None,
            warning: None,
        });
        last.clone().ok_or_else(|| source::Error::Unreachable {
            source_name: "the script".to_owned(),
            detail: "it says so".to_owned(),
        })
    }
}

impl Source for ScriptedSource {
    fn read(&self, freshness: Duration) -> BoxFuture<'_, Result<Taken, source::Error>> {
        async move { self.ask(freshness) }.boxed()
    }

    fn pushed(&self) -> BoxFuture<'static, ()> {
        let mut pushes = self.pushes.subscribe();
        async move {
            if pushes.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
        .boxed()
    }
}

/// What becomes of one create.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is made.
    Made,
    /// It is refused, for good.
    Refused,
    /// It is made, and the answer is lost.
    MadeUnheard,
    /// No answer; it may land later.
    Lost,
}

/// Remembers orders, makes each name once, and counts what may be under way as unfinished.
pub(crate) struct RecordingLauncher {
    state: Mutex<State>,
    /// Held while a round is being opened: a test that takes the permit stops the world there.
    pub(crate) door: Semaphore,
    /// Held while a create goes out.
    pub(crate) wire: Semaphore,
}

#[derive(Default)]
struct State {
    jobs: BTreeMap<String, JobState>,
    /// Names that ever had a Job.
    made: BTreeSet<String>,
    /// Names whose create had no answer, with the Job they would be.
    under_way: BTreeMap<String, JobState>,
    rounds: BTreeMap<String, Round>,
    answers: Vec<RequestAnswer>,
    orders: Vec<String>,
    fates: VecDeque<Fate>,
    count_fails: bool,
    forgotten: Vec<String>,
}

impl RecordingLauncher {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            door: Semaphore::new(1),
            wire: Semaphore::new(1),
        })
    }

    /// What becomes of the next creates; afterwards all are made.
    pub(crate) fn fates(&self, fates: impl IntoIterator<Item = Fate>) {
        self.state().fates = fates.into_iter().collect();
    }

    pub(crate) fn count_fails(&self, fails: bool) {
        self.state().count_fails = fails;
    }

    /// Names that were ordered, in order.
    pub(crate) fn orders(&self) -> Vec<String> {
        self.state().orders.clone()
    }

    /// UIDs of objects that were forgotten.
    pub(crate) fn forgotten(&self) -> Vec<String> {
        self.state().forgotten.clone()
    }

    /// The round that is written down for an object.
    pub(crate) fn round(&self, uid: &str) -> Option<Round> {
        self.state().rounds.get(uid).copied()
    }

    /// What became of requests.
    pub(crate) fn answers(&self) -> Vec<RequestAnswer> {
        self.state().answers.clone()
    }

    /// Somebody else writes a round, or takes the record away.
    pub(crate) fn write_round(&self, uid: &str, round: Option<Round>) {
        let mut state = self.state();
        match round {
            Some(round) => state.rounds.insert(uid.to_owned(), round),
            None => state.rounds.remove(uid),
        };
    }

    /// Jobs that exist and are not finished.
    pub(crate) fn unfinished(&self) -> usize {
        let state = self.state();
        let living = state.jobs.values().filter(|job| job.outcome.is_none());
        living.count()
    }

    /// Finishes some unfinished Jobs.
    pub(crate) fn finish(&self, count: usize) {
        let mut state = self.state();
        let living = state.jobs.values_mut().filter(|job| job.outcome.is_none());
        for job in living.take(count) {
            job.outcome = Some(JobOutcome::Complete);
            job.created_at = jiff::Timestamp::from_second(1_000).ok();
            job.finished_at = jiff::Timestamp::from_second(1_030).ok();
        }
    }

    /// Removes finished Jobs, as a TTL does.
    pub(crate) fn sweep(&self) {
        self.state().jobs.retain(|_, job| job.outcome.is_none());
    }

    /// Creates that were under way land, or are known to be lost.
    pub(crate) fn settle(&self, land: bool) {
        let mut state = self.state();
        let under_way = std::mem::take(&mut state.under_way);
        if land {
            for (name, job) in under_way {
                state.make(name, job);
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl State {
    fn make(&mut self, name: String, job: JobState) {
        assert!(self.made.insert(name.clone()), "{name} was made twice");
        self.jobs.insert(name, job);
    }

    fn launch(&mut self, launch: &Launch) -> Result<Launched, Error> {
        let name = launch.id.name.to_string();
        let object = format!("job {}", launch.id);
        self.orders.push(name.clone());
        if self.jobs.contains_key(&name) {
            return Ok(Launched::AlreadyThere {
                payload_differs: false,
            });
        }
        let metadata = &launch.manifest["metadata"];
        let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
        let round = text(&metadata["annotations"][ROUND_ANNOTATION]).expect("a round");
        let job = JobState {
            end_reason: "",
            name: name.clone(),
            uid: Some(format!("uid of {name}")),
            owner_uid: text(&metadata["ownerReferences"][0]["uid"]),
            annotations: BTreeMap::from([(ROUND_ANNOTATION.to_owned(), round)]),
            outcome: None,
            created_at: None,
            finished_at: None,
            pods: Vec::new(),
        };
        let unknown = Error::Unknown {
            object: object.clone(),
            detail: "no answer".to_owned(),
        };
        match self.fates.pop_front().unwrap_or(Fate::Made) {
            Fate::Made => self.make(name, job),
            Fate::Refused => {
                let detail = "a quota is used up".to_owned();
                return Err(Error::Forbidden { object, detail });
            }
            Fate::MadeUnheard => {
                self.make(name, job);
                return Err(unknown);
            }
            Fate::Lost => {
                self.under_way.insert(name, job);
                return Err(unknown);
            }
        }
        Ok(Launched::Created)
    }
}

impl Launcher for RecordingLauncher {
    fn jobs<'a>(
        &'a self,
        scaled_job: &'a ScaledJob,
    ) -> BoxFuture<'a, Result<Vec<JobState>, Error>> {
        async move {
            let state = self.state();
            if state.count_fails {
                return Err(Error::Unavailable {
                    object: format!("jobs of {}", scaled_job.id),
                    detail: "the server is away".to_owned(),
                });
            }
            let all = state.jobs.values().chain(state.under_way.values());
            let own = all.filter(|job| job.owner_uid.as_ref() == Some(&scaled_job.uid));
            Ok(own.cloned().collect())
        }
        .boxed()
    }

    fn open_round_for<'a>(
        &'a self,
        scaled_job: &'a ScaledJob,
        round: Round,
        answer: Option<&'a RequestAnswer>,
    ) -> BoxFuture<'a, Result<(), Error>> {
        async move {
            let _permit = self.door.acquire().await.expect("never closed");
            let mut state = self.state();
            let written = state.rounds.get(&scaled_job.uid);
            let is_answered = |answer: &RequestAnswer| {
                let mut answers = state.answers.iter();
                answers.any(|before| before.id == answer.id)
            };
            if written.is_some_and(|written| written.number >= round.number)
                || answer.is_some_and(is_answered)
            {
                let object = format!("scaledjob {}", scaled_job.id);
                return Err(Error::Conflict { object });
            }
            state.rounds.insert(scaled_job.uid.clone(), round);
            if let Some(answer) = answer {
                add_answer(&mut state.answers, answer.clone());
            }
            Ok(())
        }
        .boxed()
    }

    fn answer<'a>(
        &'a self,
        _scaled_job: &'a ScaledJob,
        answer: &'a RequestAnswer,
    ) -> BoxFuture<'a, Result<(), Error>> {
        async move {
            add_answer(&mut self.state().answers, answer.clone());
            Ok(())
        }
        .boxed()
    }

    fn launch_while<'a>(
        &'a self,
        launch: &'a Launch,
        may: Guard,
    ) -> BoxFuture<'a, Result<Launched, Error>> {
        async move {
            let _permit = self.wire.acquire().await.expect("never closed");
            if !may.may_send() {
                return Err(Error::Unavailable {
                    object: format!("job {}", launch.id),
                    detail: "not sent".to_owned(),
                });
            }
            self.state().launch(launch)
        }
        .boxed()
    }

    fn delete<'a>(
        &'a self,
        job: &'a ObjectId,
        _uid: &'a str,
        _propagation: Propagation,
    ) -> BoxFuture<'a, Result<(), Error>> {
        async move {
            self.state().jobs.remove(&*job.name);
            Ok(())
        }
        .boxed()
    }

    fn forget(&self, uid: &str) {
        self.state().forgotten.push(uid.to_owned());
    }
}
