//! What requests take until they are answered: one budget for all connections.
//!
//! Whoever reaches the port can begin a request, and leave it unfinished. Where the budget is full, the connection with
//! most of that makes room: it is closed. Honest callers send a request in one go, so they have next to nothing unfinished.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::HeaderMap;
use tokio_util::sync::CancellationToken;

/// What a request takes beside its bytes: its stream, its task. Unit: bytes.
const STREAM: usize = 1 << 10;

/// The budget.
pub(super) struct RequestBudget {
    most: usize,
    state: Mutex<BudgetState>,
}

#[derive(Default)]
struct BudgetState {
    taken: usize,
    next: u64,
    peers: BTreeMap<u64, PeerShare>,
}

struct PeerShare {
    /// Of requests that have not come to their end.
    unfinished: usize,
    close: CancellationToken,
}

/// One connection's part of the budget. It is given back when it is dropped, after its requests.
pub(super) struct PeerBudget {
    budget: Arc<RequestBudget>,
    id: u64,
    /// Cancelled when the connection has to make room.
    pub(super) close: CancellationToken,
}

/// What one request has taken; given back when it is dropped.
pub(super) struct RequestCharge {
    peer: Arc<PeerBudget>,
    bytes: usize,
    is_whole: bool,
}

impl RequestBudget {
    /// A budget of so many bytes.
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            state: Mutex::default(),
        })
    }

    /// A new connection's part.
    pub(super) fn peer(self: &Arc<Self>) -> Arc<PeerBudget> {
        let close = CancellationToken::new();
        let mut state = self.lock();
        let id = state.next;
        state.next += 1;
        let share = PeerShare {
            unfinished: 0,
            close: close.clone(),
        };
        state.peers.insert(id, share);
        Arc::new(PeerBudget {
            budget: Arc::clone(self),
            id,
            close,
        })
    }

    /// Whether there is room for so much of that connection. If not, and another one has more unfinished, that one goes.
    fn take(&self, id: u64, bytes: usize) -> bool {
        let mut state = self.lock();
        let own = state.peers.get(&id).map_or(0, |own| own.unfinished) + bytes;
        if state.taken + bytes > self.most {
            let greediest = state.peers.values().max_by_key(|peer| peer.unfinished);
            match greediest {
                Some(peer) if peer.unfinished > own => peer.close.cancel(),
                _ => return false,
            }
        }
        state.taken += bytes;
        if let Some(peer) = state.peers.get_mut(&id) {
            peer.unfinished = own;
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, BudgetState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PeerBudget {
    /// Takes what the head of a request needs; nothing where there is no room for it.
    pub(super) fn begin(self: &Arc<Self>, headers: &HeaderMap) -> Option<RequestCharge> {
        let head: usize = headers
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len())
            .sum();
        let bytes = STREAM + head;
        self.budget.take(self.id, bytes).then(|| RequestCharge {
            peer: Arc::clone(self),
            bytes,
            is_whole: false,
        })
    }
}

impl Drop for PeerBudget {
    fn drop(&mut self) {
        self.budget.lock().peers.remove(&self.id);
    }
}

impl RequestCharge {
    /// Takes more, for a part of the body. False where there is no room for it.
    pub(super) fn add(&mut self, bytes: usize) -> bool {
        let has_room = self.peer.budget.take(self.peer.id, bytes);
        self.bytes += if has_room { bytes } else { 0 };
        has_room
    }

    /// The request has come to its end.
    pub(super) fn whole(&mut self) {
        let peer = Arc::clone(&self.peer);
        self.finish(&mut peer.budget.lock());
    }

    fn finish(&mut self, state: &mut BudgetState) {
        if !self.is_whole
            && let Some(peer) = state.peers.get_mut(&self.peer.id)
        {
            peer.unfinished -= self.bytes;
        }
        self.is_whole = true;
    }
}

impl Drop for RequestCharge {
    fn drop(&mut self) {
        let peer = Arc::clone(&self.peer);
        let mut state = peer.budget.lock();
        self.finish(&mut state);
        state.taken -= self.bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_the_budget_is_full_whoever_has_most_unfinished_goes() {
        let budget = RequestBudget::new(10 * STREAM);
        let [greedy, modest] = [budget.peer(), budget.peer()];
        let none = HeaderMap::new();
        let unfinished: Vec<_> = (0..9).map_while(|_| greedy.begin(&none)).collect();
        let mut honest = modest.begin(&none).unwrap();
        assert_eq!(unfinished.len(), 9);
        assert!(greedy.begin(&none).is_none(), "it makes no room for itself");
        assert!(!greedy.close.is_cancelled());
        assert!(
            honest.add(100),
            "a little more than there is, until the other is gone"
        );
        assert!(greedy.close.is_cancelled() && !modest.close.is_cancelled());
        drop((unfinished, greedy));
        honest.whole();
        drop((honest, modest));
        let state = budget.lock();
        assert_eq!((state.taken, state.peers.len()), (0, 0));
    }

    #[test]
    fn whole_requests_take_room_and_close_nobody() {
        let budget = RequestBudget::new(10 * STREAM);
        let [busy, newcomer] = [budget.peer(), budget.peer()];
        let none = HeaderMap::new();
        let mut whole: Vec<_> = (0..10).map_while(|_| busy.begin(&none)).collect();
        whole.iter_mut().for_each(RequestCharge::whole);
        assert!(newcomer.begin(&none).is_none());
        assert!(!busy.close.is_cancelled());
        whole.pop();
        assert!(newcomer.begin(&none).is_some());
    }
}
