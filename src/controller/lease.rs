//! Who leads: one Lease object, and clocks that nobody shares.
//!
//! Leading spares others work; it is no lock. What must not happen twice is guarded
//! by versions and names where it happens.
//!
//! A time in the record is for people: it is written and never compared. Who holds
//! the Lease believes so by its own clock, counted from *before* it asked for the
//! last renewal that was granted. Who wants it waits until it has itself seen the
//! record unchanged for longer than that. Clocks may differ by any amount, and run
//! apart by a third, before two believe to lead.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use self::record::{LeaseRecord, LeaseSeen};
use crate::cluster::{Answer, Budget, Call, Cluster, NoAnswer};
use crate::controller::lead::Lead;

mod record;

/// How long things take. Tests have shorter ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// How long a record must be seen unchanged before it is taken.
    pub duration: Duration,
    /// How long a renewal is believed in. What `duration` is longer is for clocks that run apart.
    pub belief: Duration,
    /// Between two renewals.
    pub renewal: Duration,
    /// Between two looks of one who does not hold it: so long after a release it may take until another leads.
    pub look: Duration,
    /// Between two tries when the API server does not answer, or not as it should.
    pub retry: Duration,
    /// The longest a call may take.
    pub call: Duration,
}

impl Default for Times {
    /// client-go's 15 s and 10 s, which operators know. A renewal every 5 s, less than half as many writes as its 2 s: one may take
    /// all of a call's 2 s and fail, and so may the try after it, before the belief ends.
    fn default() -> Self {
        Self {
            duration: Duration::from_secs(15),
            belief: Duration::from_secs(10),
            renewal: Duration::from_secs(5),
            look: Duration::from_secs(2),
            retry: Duration::from_secs(1),
            call: Duration::from_secs(2),
        }
    }
}

/// The clock that belief is counted by: time since the machine was started, the time it slept included.
pub type LeaseClock = Arc<dyn Fn() -> Duration + Send + Sync>;

/// One candidate for a Lease.
pub struct Lease {
    cluster: Cluster,
    namespace: String,
    name: String,
    holder: String,
    times: Times,
    clock: LeaseClock,
    wall: fn() -> Timestamp,
    state: Mutex<State>,
    /// For those who wait for a change.
    told: Notify,
    held: Gauge,
    transitions: Counter,
}

#[derive(Debug, Default)]
struct State {
    /// Until when this process believes to hold it, by its clock.
    until: Option<Duration>,
    /// How often it was gained. It counts as gained anew by a process that did not believe to hold it for a moment.
    term: u64,
    /// The term that was last told of.
    told: Option<u64>,
    /// The object as our last write left it.
    ours: Option<LeaseRecord>,
    /// The record of somebody else, and since when it has stood as it does.
    seen: Option<LeaseSeen>,
    /// The last call failed, and that was said.
    is_troubled: bool,
}

/// What one turn came to.
enum Turn {
    /// Something is to be asked again now: the record was not what we thought.
    Again,
    /// Nothing to do until then.
    Wait(Duration),
}

impl fmt::Display for Lease {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.namespace, self.name)
    }
}

impl Lease {
    /// A candidate under a name that no other process has, and no earlier life of this one: it is how a write whose
    /// answer was lost is known again.
    pub fn new(
        cluster: Cluster,
        namespace: impl Into<String>,
        name: impl Into<String>,
        holder: impl Into<String>,
        times: Times,
        clock: LeaseClock,
        wall: fn() -> Timestamp,
    ) -> Self {
        Self {
            cluster: cluster.with(Budget::Lease),
            namespace: namespace.into(),
            name: name.into(),
            holder: holder.into(),
            times,
            clock,
            wall,
            state: Mutex::default(),
            told: Notify::new(),
            held: Gauge::default(),
            transitions: Counter::default(),
        }
    }

    /// Registers what is counted; the caller chooses the prefix.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "lease_held",
            "1 while this replica launches for ScaledJobs, lets waiting Jobs start and tidies up",
            self.held.clone(),
        );
        registry.register(
            "lease_transitions",
            "How often this replica began or ceased to lead",
            self.transitions.clone(),
        );
    }

    /// As [`Lead::term`]. There is one only until [`Times::belief`] after the start of the last renewal that was
    /// granted, whether or not [`Lease::run`] gets to run.
    pub fn term(&self) -> Option<u64> {
        self.held().map(|(term, _)| term)
    }

    /// Whether this process leads at this moment.
    pub fn is_held(&self) -> bool {
        self.term().is_some()
    }

    /// Waits until [`Lease::term`] is no longer `known`.
    pub async fn changed(&self, known: Option<u64>) {
        loop {
            let told = self.told.notified();
            let held = self.held();
            if held.map(|(term, _)| term) != known {
                return;
            }
            // An end of belief comes by the clock, whoever tells of it.
            let wait = held.map_or(self.times.duration, |(_, left)| left);
            drop(tokio::time::timeout(wait, told).await);
        }
    }

    /// Tries to hold it until `stop`, and then lets it go, so that another need not wait. What was done
    /// in its name should have ended before `stop` comes.
    pub async fn run(&self, stop: CancellationToken) {
        tokio::select! {
            () = self.turns(&stop) => {}
            () = self.tell_of_ends() => {}
        }
        self.release().await;
    }

    async fn turns(&self, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            let turn = tokio::select! {
                // A write that is cut off here is looked for when the Lease is let go.
                () = stop.cancelled() => break,
                turn = self.turn() => turn,
            };
            self.tell();
            if let Turn::Wait(wait) = turn {
                tokio::select! {
                    () = stop.cancelled() => break,
                    () = tokio::time::sleep(wait) => {}
                }
            }
        }
    }

    /// An end of belief comes by the clock, whatever a call waits for. Never done.
    async fn tell_of_ends(&self) {
        loop {
            let told = self.lock().told;
            self.changed(told).await;
            self.tell();
        }
    }

    /// Renews, takes, or looks.
    async fn turn(&self) -> Turn {
        let ours = self.lock().ours.clone();
        let record = match ours {
            Some(ours) => ours,
            None => match self.look().await {
                Ok(Some(record)) => record,
                Ok(None) => return Turn::Wait(jittered(self.patience())),
                Err(why) => return self.failed(&why),
            },
        };
        let (started, now) = ((self.clock)(), (self.wall)());
        let next = record.held_by(&self.holder, now, self.times.duration);
        let call = if next.is_new() {
            Call::post(self.collection(), next.object())
        } else {
            Call::put(self.path(), next.object())
        };
        match self.cluster.send(call.within(self.times.call)).await {
            Err(why) => self.failed(&why),
            Ok(answer) if answer.is_success() => match LeaseRecord::parse(&answer) {
                Ok(record) => {
                    let mut state = self.lock();
                    if state.left((self.clock)()).is_none() {
                        state.term += 1;
                    }
                    state.until = Some(started + self.times.belief);
                    state.ours = Some(record);
                    state.seen = None;
                    state.is_troubled = false;
                    Turn::Wait(jittered(self.times.renewal))
                }
                Err(why) => self.failed(&why),
            },
            // Somebody wrote, or removed, what we know: look before anything else. Belief goes on until then.
            Ok(answer) if matches!(answer.status, 404 | 409) => {
                let was_ours = self.lock().ours.take().is_some();
                if was_ours {
                    Turn::Again
                } else {
                    Turn::Wait(jittered(self.times.retry))
                }
            }
            Ok(answer) => self.failed(&refused(&answer)),
        }
    }

    /// The record that may be written over now; `None` while it is another's.
    async fn look(&self) -> Result<Option<LeaseRecord>, NoAnswer> {
        let answer = self
            .cluster
            .send(Call::get(self.path()).within(self.times.call))
            .await?;
        let record = match answer.status {
            404 => LeaseRecord::new(&self.namespace, &self.name),
            _ if answer.is_success() => LeaseRecord::parse(&answer)?,
            _ => return Err(refused(&answer)),
        };
        // After the answer: what was read may have been written at any time before.
        let now = (self.clock)();
        let mut state = self.lock();
        state.is_troubled = false;
        if record.holder() == Some(&self.holder) {
            // A write of ours whose answer was lost.
            return Ok(Some(record));
        }
        // Another's, or nobody's: whatever we believed.
        state.until = None;
        if record.holder().is_none() {
            return Ok(Some(record));
        }
        let seen = LeaseSeen::again(state.seen.take(), &record, now);
        let is_over = seen.is_over(now, self.times.duration);
        state.seen = Some(seen);
        Ok(is_over.then_some(record))
    }

    /// How long until there is something to look for.
    fn patience(&self) -> Duration {
        let now = (self.clock)();
        let state = self.lock();
        let left = state
            .seen
            .as_ref()
            .map(|seen| seen.left(now, self.times.duration));
        left.map_or(self.times.look, |left| {
            left.clamp(Duration::from_millis(100), self.times.look)
        })
    }

    fn failed(&self, why: &NoAnswer) -> Turn {
        let was_said = std::mem::replace(&mut self.lock().is_troubled, true);
        if was_said {
            debug!(lease = %self, "the Lease still cannot be read or written: {why}");
        } else {
            warn!(lease = %self, "the Lease cannot be read or written; trying again: {why}");
        }
        Turn::Wait(jittered(self.times.retry))
    }

    /// Lets it go, if it is ours; no longer than two calls take.
    async fn release(&self) {
        let held = {
            let mut state = self.lock();
            state.until = None;
            state.ours = None;
            state.seen = None;
            state.told.is_some()
        };
        self.tell();
        // What we know may be older than a write that was cut off.
        let answer = self
            .cluster
            .send(Call::get(self.path()).within(self.times.call))
            .await;
        let Ok(record) = answer.and_then(|answer| LeaseRecord::parse(&answer)) else {
            return;
        };
        if record.holder() != Some(&self.holder) {
            return;
        }
        let call = Call::put(self.path(), record.let_go((self.wall)()).object());
        match self.cluster.send(call.within(self.times.call)).await {
            Ok(answer) if answer.is_success() => {
                if held {
                    info!(lease = %self, "the Lease is let go");
                }
            }
            Ok(_) | Err(_) => {
                debug!(lease = %self, "the Lease could not be let go: it lapses");
            }
        }
    }

    /// Tells those who wait, the log and the metrics, when something changed.
    fn tell(&self) {
        let term = self.term();
        if std::mem::replace(&mut self.lock().told, term) == term {
            return;
        }
        self.told.notify_waiters();
        let held = term.is_some();
        self.held.set(held.into());
        self.transitions.inc();
        if held {
            info!(lease = %self, "this process leads");
        } else {
            info!(lease = %self, "this process leads no more");
        }
    }

    /// The term, and how long it is believed to be held; `None` when it is not.
    fn held(&self) -> Option<(u64, Duration)> {
        let state = self.lock();
        // The clock is read last: whatever pause lies between is in it.
        let left = state.left((self.clock)())?;
        Some((state.term, left))
    }

    fn collection(&self) -> String {
        format!(
            "/apis/coordination.k8s.io/v1/namespaces/{}/leases",
            self.namespace
        )
    }

    fn path(&self) -> String {
        format!("{}/{}", self.collection(), self.name)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// How long it is believed to be held from now on; `None` when it is not.
    fn left(&self, now: Duration) -> Option<Duration> {
        let left = self.until?.checked_sub(now);
        left.filter(|left| !left.is_zero())
    }
}

impl Lead for Lease {
    fn term(&self) -> Option<u64> {
        Lease::term(self)
    }

    fn told(&self) -> &Notify {
        &self.told
    }
}

fn refused(answer: &Answer) -> NoAnswer {
    NoAnswer::unclear(answer.words())
}

/// Less up to a fifth: candidates that woke together do not ask together for ever.
fn jittered(duration: Duration) -> Duration {
    use std::hash::{BuildHasher as _, RandomState};
    let random = RandomState::new().hash_one(0_u8) % 1000;
    duration.mul_f64(1.0 - f64::from(u32::try_from(random).unwrap_or_default()) / 5000.0)
}
