//! Room for bodies and for requests that wait for their answers.
//!
//! Senders who proved themselves have room of their own; strangers, and those who send where anyone may, have theirs.
//! Each is divided between namespaces, and between the EventJobs of a namespace:
//!
//! - A namespace may hold a part of what the others leave: a fifth of the requests, half of the bytes.
//! - An EventJob may hold three quarters of what its namespace may, less what its neighbours hold.
//! - Each may hold the room of its first request whenever that is free.
//!
//! Nobody waits: a full share is told at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::intake::{LARGEST_BODY, SenderKind};

/// What room for bodies is counted in. Unit: bytes.
pub(super) const UNIT: usize = 1024;

/// The room of a door.
#[derive(Debug)]
pub(super) struct DoorRoom {
    proved: Rooms,
    strangers: Rooms,
}

/// The room of one kind of sender.
#[derive(Debug)]
pub(super) struct Rooms {
    /// In [`UNIT`]s.
    pub(super) bytes: Arc<RoomShare>,
    pub(super) requests: Arc<RoomShare>,
}

/// For whom room is taken.
#[derive(Debug, Clone)]
pub(super) struct RoomOwner {
    namespace: Arc<str>,
    /// Empty for the namespace's shared door.
    event_job: Arc<str>,
}

/// So much of something, divided.
#[derive(Debug)]
pub(super) struct RoomShare {
    size: u32,
    /// A namespace may hold one of so many parts of what the others leave.
    parts: u32,
    /// What an owner may hold whenever it is free.
    first: u32,
    held: Mutex<HeldRoom>,
}

#[derive(Debug, Default)]
struct HeldRoom {
    all: u32,
    namespaces: HashMap<Arc<str>, HashMap<Arc<str>, u32>>,
}

/// Room that is held until it is dropped.
#[derive(Debug)]
pub(super) struct RoomPermit {
    share: Arc<RoomShare>,
    owner: RoomOwner,
    units: u32,
}

impl DoorRoom {
    /// Room for so many bytes of bodies, and so many requests of one namespace.
    pub(super) fn new(body_bytes: usize, requests: u32) -> Self {
        let rooms = |bytes: usize| {
            let units = bytes.max(LARGEST_BODY) / UNIT;
            let largest = u32::try_from(LARGEST_BODY / UNIT).unwrap_or(u32::MAX);
            Rooms {
                bytes: RoomShare::new(u32::try_from(units).unwrap_or(u32::MAX), 2, largest),
                requests: RoomShare::new(requests.saturating_mul(5), 5, 1),
            }
        };
        Self {
            proved: rooms(body_bytes - body_bytes / 4),
            strangers: rooms(body_bytes / 4),
        }
    }

    /// The room of a kind of sender.
    pub(super) fn of(&self, kind: SenderKind) -> &Rooms {
        match kind {
            SenderKind::Proved => &self.proved,
            SenderKind::Stranger => &self.strangers,
        }
    }
}

impl RoomOwner {
    /// Of an EventJob, or of a namespace's shared door.
    pub(super) fn new(namespace: &str, event_job: Option<&str>) -> Self {
        Self {
            namespace: namespace.into(),
            event_job: event_job.unwrap_or_default().into(),
        }
    }
}

impl RoomShare {
    fn new(size: u32, parts: u32, first: u32) -> Arc<Self> {
        Arc::new(Self {
            size,
            parts,
            first,
            held: Mutex::default(),
        })
    }

    /// Takes room, if there is some for this owner now.
    pub(super) fn take(self: &Arc<Self>, owner: &RoomOwner, units: u32) -> Option<RoomPermit> {
        let mut held = self.lock();
        let of_namespace = held.namespaces.get(&owner.namespace);
        let namespace: u32 = of_namespace.map_or(0, |held| held.values().sum());
        let event_job = of_namespace.and_then(|held| held.get(&owner.event_job).copied());
        let event_job = event_job.unwrap_or_default();
        let others = held.all - namespace;
        let most = (self.size - others) / self.parts;
        let neighbours = namespace - event_job;
        let mine = (most.saturating_sub(neighbours) * 3).div_ceil(4);
        let may = units <= self.size - held.all
            && event_job + units <= mine.max(self.first)
            && (namespace + units <= most || event_job + units <= self.first);
        may.then(|| {
            held.all += units;
            let namespace = held.namespaces.entry(Arc::clone(&owner.namespace));
            let event_jobs = namespace.or_default();
            *event_jobs.entry(Arc::clone(&owner.event_job)).or_default() += units;
            RoomPermit {
                share: Arc::clone(self),
                owner: owner.clone(),
                units,
            }
        })
    }

    fn give_back(&self, owner: &RoomOwner, units: u32) {
        let mut held = self.lock();
        held.all -= units;
        let Some(event_jobs) = held.namespaces.get_mut(&owner.namespace) else {
            return;
        };
        if let Some(event_job) = event_jobs.get_mut(&owner.event_job) {
            *event_job -= units;
        }
        event_jobs.retain(|_, units| *units > 0);
        if event_jobs.is_empty() {
            held.namespaces.remove(&owner.namespace);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HeldRoom> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RoomPermit {
    /// How much it is.
    pub(super) fn units(&self) -> u32 {
        self.units
    }

    /// Makes it larger, if there is room.
    pub(super) fn grow(&mut self, units: u32) -> bool {
        let more = self.share.take(&self.owner, units);
        more.is_some_and(|mut more| {
            self.units += std::mem::take(&mut more.units);
            true
        })
    }
}

impl Drop for RoomPermit {
    fn drop(&mut self) {
        if self.units > 0 {
            self.share.give_back(&self.owner, self.units);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(
        share: &Arc<RoomShare>,
        namespace: &str,
        event_job: &str,
        units: u32,
    ) -> Vec<RoomPermit> {
        let owner = RoomOwner::new(namespace, Some(event_job));
        std::iter::from_fn(|| share.take(&owner, units)).collect()
    }

    #[test]
    fn nobody_can_take_the_room_of_all() {
        let room = DoorRoom::new(64 << 20, 256);
        let requests = &room.of(SenderKind::Proved).requests;
        let mut held = Vec::new();
        let mut counts = Vec::new();
        for namespace in ["a", "b"] {
            for event_job in ["one", "two", "three"] {
                let taken = fill(requests, namespace, event_job, 1);
                counts.push(taken.len());
                held.push(taken);
            }
        }
        assert_eq!(counts, [192, 48, 12, 154, 39, 9]);
        for namespace in 0..20 {
            let taken = fill(requests, &namespace.to_string(), "one", 1);
            assert!(!taken.is_empty(), "{namespace} has its first");
            held.push(taken);
        }
        drop(held);
        assert_eq!(requests.lock().all, 0);
        assert!(requests.lock().namespaces.is_empty());
    }

    #[test]
    fn strangers_bodies_take_nothing_from_senders_and_little_from_other_event_jobs() {
        let room = DoorRoom::new(64 << 20, 256);
        let largest = u32::try_from(LARGEST_BODY / UNIT).unwrap();
        let strangers = &room.of(SenderKind::Stranger).bytes;
        // The flood of the findings: 31 that hold a large body, 320 that hold a small one.
        let large = fill(strangers, "prod", "none", largest);
        let small = fill(strangers, "prod", "none", 8);
        assert!((1..=3).contains(&large.len()), "{}", large.len());
        let all = u32::try_from(small.len()).unwrap() * 8 + largest * 3;
        assert!(all <= strangers.size / 2);
        for (namespace, event_job) in [("prod", "other"), ("other", "none")] {
            assert!(!fill(strangers, namespace, event_job, 8).is_empty());
        }
        let proved = fill(&room.of(SenderKind::Proved).bytes, "prod", "api", largest);
        assert_eq!(proved.len(), 9);
    }

    #[test]
    fn room_grows_and_goes_back_whole() {
        let room = DoorRoom::new(0, 1);
        let bytes = &room.of(SenderKind::Stranger).bytes;
        let owner = RoomOwner::new("n", None);
        let mut permit = bytes.take(&owner, 8).unwrap();
        assert!(permit.grow(8) && !permit.grow(bytes.size));
        assert_eq!((permit.units(), bytes.lock().all), (16, 16));
        drop(permit);
        assert_eq!(bytes.lock().all, 0);
    }
}
