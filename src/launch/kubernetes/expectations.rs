//! What is expected of each object's Jobs: the [`Expectations`] of all objects, by UID.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use crate::launch::round::Expectations;

/// Expectations by the UID of their ScaledJob. No call looks at more than one object, and those that are leaving.
#[derive(Debug)]
pub(super) struct AllExpectations {
    /// [`LATEST_CREATE`](crate::launch::round::LATEST_CREATE), except in tests.
    pub(super) grace: Duration,
    objects: HashMap<String, Object>,
    /// Objects that went with names in doubt, by when they went.
    leaving: VecDeque<(Instant, String)>,
}

#[derive(Debug, Default)]
struct Object {
    expectations: Expectations,
    /// Nobody asks for the object any more. It may come back under its UID (a definition that was away for a moment, an
    /// annotation taken off and put on again) and without its record, so its names stay until no create can be under way.
    leaving_since: Option<Instant>,
}

impl AllExpectations {
    pub(super) fn new(grace: Duration) -> Self {
        Self {
            grace,
            objects: HashMap::new(),
            leaving: VecDeque::new(),
        }
    }

    /// An object that is counted, or launched for.
    pub(super) fn of(&mut self, uid: &str) -> &mut Expectations {
        let object = self.objects.entry(uid.to_owned()).or_default();
        object.leaving_since = None;
        &mut object.expectations
    }

    /// An object that may not be known.
    pub(super) fn known(&mut self, uid: &str) -> Option<&mut Expectations> {
        let object = self.objects.get_mut(uid)?;
        Some(&mut object.expectations)
    }

    /// Drops an object that is gone, now or once its names are old.
    pub(super) fn forget(&mut self, uid: &str, now: Instant) {
        let grace = self.grace;
        let is_old = |(at, _): &mut (Instant, String)| now.saturating_duration_since(*at) >= grace;
        while let Some((at, uid)) = self.leaving.pop_front_if(is_old) {
            let object = self.objects.get(&uid);
            if object.is_some_and(|object| object.leaving_since == Some(at)) {
                self.objects.remove(&uid);
            }
        }
        let Some(object) = self.objects.get_mut(uid) else {
            return;
        };
        if object.expectations.names().next().is_none() {
            self.objects.remove(uid);
        } else if object.leaving_since.is_none() {
            object.leaving_since = Some(now);
            self.leaving.push_back((now, uid.to_owned()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::launch::round::LATEST_CREATE;
    use crate::resource::{Round, RoundRecord};

    fn with_round(now: Instant) -> AllExpectations {
        let mut expected = AllExpectations::new(LATEST_CREATE);
        let record = RoundRecord::open(Round { number: 1, jobs: 1 }, "me");
        let name = ("a".to_owned(), "hash".to_owned());
        expected.of("uid").opened(record, [name], now);
        expected
    }

    #[test]
    fn an_object_that_is_gone_leaves_nothing_behind() {
        let now = Instant::now();
        let mut expected = with_round(now);
        expected.forget("uid", now);
        assert_eq!(expected.objects.len(), 1, "it may come back");
        expected.forget("another", now + LATEST_CREATE);
        assert!(expected.objects.is_empty() && expected.leaving.is_empty());
    }

    #[test]
    fn an_object_that_comes_back_still_has_its_names() {
        let now = Instant::now();
        let mut expected = with_round(now);
        expected.forget("uid", now);
        assert_eq!(expected.of("uid").names().count(), 1);
        expected.forget("another", now + LATEST_CREATE);
        assert_eq!(expected.of("uid").names().count(), 1);
    }
}
