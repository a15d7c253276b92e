//! Places for what is under way at once, divided between namespaces so that each can be slow for itself.
//!
//! - A namespace may take a place while it holds less than a quarter of those that are free. So one namespace
//!   alone gets a fifth of them, the next one a fifth of the rest, and after ten a tenth is still free.
//! - A namespace that holds none gets its first place whenever one is free.
//! - A namespace whose last two calls of a kind came to nothing in time is *slow* for that kind: it gets one place at
//!   a time until a call is answered. All slow ones together hold at most half.
//! - Those who wait are served in turn, one namespace after the other.
//!
//! `Places` is the arithmetic, and knows no clock. `Room` is what callers wait for.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

/// A call that ends without an answer, or with a 5xx, after this time has waited for something that hangs.
/// Webhooks and the server's own `timeout=4s` take longer; an API server that is well does not.
const HANGS_AFTER: Duration = Duration::from_secs(2);
/// So many calls in a row that hang make a namespace slow.
const SLOW_AFTER: u8 = 2;
/// Idle namespaces that are remembered only because a call of theirs hung, some 200 bytes each. Beyond it they are forgotten.
const MOST_REMEMBERED: usize = 4096;

/// Who asks for a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Whose namespace; empty for what lies in none.
    pub namespace: Arc<str>,
    /// Which kind of call, below [`KINDS`].
    pub kind: usize,
}

/// Kinds of calls of one namespace. What hangs, hangs on some kinds: a read that is answered says nothing about creates.
pub const KINDS: usize = 4;

/// What came of a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// An answer: the namespace is well.
    Answered,
    /// Nothing, for a long time.
    Hung,
    /// Nothing that says anything: not sent, or a connection that failed at once.
    Nothing,
}

/// The places, and who waits for one. `W` is how a waiter is told.
#[derive(Debug)]
struct Places<W> {
    size: u32,
    free: u32,
    /// Held by calls of slow kinds.
    slow: u32,
    namespaces: HashMap<Arc<str>, Namespace<W>>,
    /// The namespaces in which somebody waits, the next one first.
    turns: VecDeque<Arc<str>>,
    tickets: u64,
}

#[derive(Debug)]
struct Namespace<W> {
    held: u32,
    kinds: [Kind<W>; KINDS],
}

#[derive(Debug)]
struct Kind<W> {
    held: u32,
    hung: u8,
    /// By ticket, the lowest first.
    waiting: VecDeque<(u64, W)>,
}

impl<W> Default for Namespace<W> {
    fn default() -> Self {
        Self {
            held: 0,
            kinds: std::array::from_fn(|_| Kind {
                held: 0,
                hung: 0,
                waiting: VecDeque::new(),
            }),
        }
    }
}

impl<W> Namespace<W> {
    fn waits(&self) -> bool {
        self.kinds.iter().any(|kind| !kind.waiting.is_empty())
    }

    fn is_idle(&self) -> bool {
        self.held == 0 && !self.waits()
    }
}

impl<W> Kind<W> {
    fn is_slow(&self) -> bool {
        self.hung >= SLOW_AFTER
    }
}

impl<W> Places<W> {
    fn new(size: u32) -> Self {
        Self {
            size,
            free: size,
            slow: 0,
            namespaces: HashMap::new(),
            turns: VecDeque::new(),
            tickets: 0,
        }
    }

    /// Takes a place, if there is one for this caller now.
    fn take(&mut self, caller: &Caller) -> bool {
        let namespace = self.namespaces.get(&caller.namespace);
        let is_first = namespace.is_none_or(|it| it.kinds[caller.kind].waiting.is_empty());
        let may = is_first && self.may_take(&caller.namespace, caller.kind);
        if may {
            self.hold(caller);
        }
        may
    }

    /// Waits for a place. The ticket is for [`Places::leave`].
    fn wait(&mut self, caller: &Caller, waiter: W) -> u64 {
        self.tickets += 1;
        let namespace = self.entry(caller);
        let is_in_line = namespace.waits();
        let ticket = self.tickets;
        let kind = &mut self.entry(caller).kinds[caller.kind];
        kind.waiting.push_back((ticket, waiter));
        if !is_in_line {
            self.turns.push_back(caller.namespace.clone());
        }
        ticket
    }

    /// Waits no more.
    fn leave(&mut self, caller: &Caller, ticket: u64) {
        let namespace = self.entry(caller);
        let waiting = &mut namespace.kinds[caller.kind].waiting;
        // Thousands may wait, and those who leave have mostly waited for longest.
        if let Ok(index) = waiting.binary_search_by_key(&ticket, |(ticket, _)| *ticket) {
            waiting.remove(index);
        }
        if !namespace.waits() {
            self.turns.retain(|turn| *turn != caller.namespace);
        }
        self.tidy(caller);
    }

    /// Gives a place back.
    fn give_back(&mut self, caller: &Caller, outcome: Outcome) {
        self.free += 1;
        let namespace = self.entry(caller);
        namespace.held -= 1;
        let kind = &mut namespace.kinds[caller.kind];
        let before = if kind.is_slow() { kind.held } else { 0 };
        kind.held -= 1;
        match outcome {
            Outcome::Answered => kind.hung = 0,
            Outcome::Hung => kind.hung = kind.hung.saturating_add(1),
            Outcome::Nothing => {}
        }
        let after = if kind.is_slow() { kind.held } else { 0 };
        self.slow = self.slow + after - before;
        self.tidy(caller);
    }

    /// The next who waits and may have a place, which is then held. To be asked until there is none.
    fn next(&mut self) -> Option<W> {
        for _ in 0..self.turns.len() {
            let name = self.turns.pop_front()?;
            let namespace = self.namespaces.get(&name)?;
            let oldest = (0..KINDS)
                .filter(|kind| self.may_take(&name, *kind))
                .filter_map(|kind| Some((namespace.kinds[kind].waiting.front()?.0, kind)))
                .min();
            let Some((_, kind)) = oldest else {
                self.turns.push_back(name);
                continue;
            };
            let caller = Caller {
                namespace: name,
                kind,
            };
            self.hold(&caller);
            let namespace = self.entry(&caller);
            let (_, waiter) = namespace.kinds[kind].waiting.pop_front()?;
            if namespace.waits() {
                self.turns.push_back(caller.namespace);
            }
            return Some(waiter);
        }
        None
    }

    fn may_take(&self, namespace: &Arc<str>, kind: usize) -> bool {
        let Some(namespace) = self.namespaces.get(namespace) else {
            return self.free > 0;
        };
        let kind = &namespace.kinds[kind];
        let is_in_turn = !kind.is_slow() || (kind.held == 0 && self.slow < self.size / 2);
        let has_share = namespace.held == 0 || namespace.held < self.free / 4;
        self.free > 0 && is_in_turn && has_share
    }

    fn hold(&mut self, caller: &Caller) {
        self.free -= 1;
        let namespace = self.entry(caller);
        namespace.held += 1;
        let kind = &mut namespace.kinds[caller.kind];
        kind.held += 1;
        if kind.is_slow() {
            self.slow += 1;
        }
    }

    fn entry(&mut self, caller: &Caller) -> &mut Namespace<W> {
        self.namespaces.entry(caller.namespace.clone()).or_default()
    }

    /// Forgets what need not be known.
    fn tidy(&mut self, caller: &Caller) {
        let namespace = self.entry(caller);
        if namespace.is_idle() && namespace.kinds.iter().all(|kind| kind.hung == 0) {
            self.namespaces.remove(&caller.namespace);
        }
        if self.namespaces.len() > MOST_REMEMBERED {
            self.namespaces.retain(|_, namespace| !namespace.is_idle());
        }
    }
}

/// Places to be waited for.
#[derive(Debug)]
pub struct Room(Mutex<Places<oneshot::Sender<()>>>);

impl Room {
    /// So many places. One namespace alone gets a fifth: n while n - 1 < (size - (n - 1)) / 4.
    pub fn new(size: u32) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Places::new(size))))
    }

    /// A place, if there is one now.
    pub fn try_place(self: &Arc<Self>, caller: Caller) -> Option<Place> {
        let is_taken = self.lock().take(&caller);
        is_taken.then(|| Place::new(self, caller))
    }

    /// Waits for a place. Whoever stops waiting has none and leaves no trace.
    pub async fn place(self: &Arc<Self>, caller: Caller) -> Place {
        let waiting = {
            let mut places = self.lock();
            if places.take(&caller) {
                None
            } else {
                let (sender, receiver) = oneshot::channel();
                Some((places.wait(&caller, sender), receiver))
            }
        };
        if let Some((ticket, given)) = waiting {
            let mut waiter = Waiter {
                room: self,
                caller: &caller,
                ticket,
                given,
                is_done: false,
            };
            // The sender is among the places until it has told.
            waiter.is_done = (&mut waiter.given).await.is_ok();
        }
        Place::new(self, caller)
    }

    fn lock(&self) -> MutexGuard<'_, Places<oneshot::Sender<()>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give_back(&self, caller: &Caller, outcome: Outcome) {
        let mut places = self.lock();
        places.give_back(caller, outcome);
        while let Some(waiter) = places.next() {
            let hears = waiter.send(());
            debug_assert!(hears.is_ok(), "who stops waiting leaves under the lock");
        }
    }
}

struct Waiter<'a> {
    room: &'a Room,
    caller: &'a Caller,
    ticket: u64,
    given: oneshot::Receiver<()>,
    is_done: bool,
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        if self.is_done {
            return;
        }
        let mut places = self.room.lock();
        let was_given = self.given.try_recv().is_ok();
        if !was_given {
            places.leave(self.caller, self.ticket);
        }
        drop(places);
        if was_given {
            self.room.give_back(self.caller, Outcome::Nothing);
        }
    }
}

/// A place for one call. Dropping it gives it back.
#[derive(Debug)]
pub struct Place {
    room: Arc<Room>,
    caller: Caller,
    /// When the call was sent.
    since: Option<Instant>,
    outcome: Option<Outcome>,
}

impl Place {
    fn new(room: &Arc<Room>, caller: Caller) -> Self {
        Self {
            room: room.clone(),
            caller,
            since: None,
            outcome: None,
        }
    }

    /// The call is sent now.
    pub fn sent(&mut self) {
        self.since = Some(Instant::now());
    }

    /// The call was answered with this status.
    pub fn answered(&mut self, status: u16) {
        // A webhook that hangs is told of by the server, as 500 or 504, when its time is up.
        let is_quick = self.since.is_some_and(|it| it.elapsed() < HANGS_AFTER);
        if status < 500 || is_quick {
            self.outcome = Some(Outcome::Answered);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let outcome = self.outcome.unwrap_or_else(|| match self.since {
            Some(since) if since.elapsed() >= HANGS_AFTER => Outcome::Hung,
            _ => Outcome::Nothing,
        });
        self.room.give_back(&self.caller, outcome);
    }
}

#[cfg(test)]
mod tests;
