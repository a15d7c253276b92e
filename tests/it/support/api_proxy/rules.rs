//! Which calls go wrong, and how. Knows nothing of HTTP but methods and paths.

use std::time::Duration;

use axum::http::Method;
use regex_lite::Regex;

use crate::support::chance::Chance;

/// What goes wrong with a call.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// The call is not forwarded; the answer has this code.
    Refuse(u16),
    /// As `Refuse(429)`, with `Retry-After` in seconds.
    SlowDown(u64),
    /// The call is forwarded, and its answer replaced by one with this code.
    AppliedThen(u16),
    /// The call is forwarded, and the connection cut in the middle of its answer.
    Cut,
    /// The answer is 504 at once; the call is forwarded this much later.
    Late(Duration),
    /// The call is forwarded this much later, even if the caller has gone by then.
    Delay(Duration),
    /// The call is forwarded at once, and its answer passed on this much later.
    DelayAnswer(Duration),
    /// The call is forwarded, and the answer held back for ever.
    Hang,
}

/// Which calls a fault strikes.
pub(crate) struct Rule {
    method: &'static str,
    path: Path,
    fault: Fault,
    when: When,
}

enum Path {
    Contains(String),
    Matches(Regex),
}

enum When {
    Always,
    Times(usize),
    Percent(u64),
}

impl Rule {
    /// Every call with this method whose path (with its query) contains `path`.
    pub(crate) fn on(method: &'static str, path: impl Into<String>, fault: Fault) -> Self {
        Self::new(method, Path::Contains(path.into()), fault)
    }

    /// Every call with this method whose path (with its query) has a match of the regular expression.
    pub(crate) fn matching(method: &'static str, expression: &str, fault: Fault) -> Self {
        let expression = Regex::new(expression).expect("a regular expression");
        Self::new(method, Path::Matches(expression), fault)
    }

    /// Every call with this method for objects of this namespace, whatever their kind.
    pub(crate) fn in_namespace(method: &'static str, namespace: &str, fault: Fault) -> Self {
        Self::on(method, format!("/namespaces/{namespace}/"), fault)
    }

    fn new(method: &'static str, path: Path, fault: Fault) -> Self {
        Self {
            method,
            path,
            fault,
            when: When::Always,
        }
    }

    /// Only the first so many.
    pub(crate) fn times(mut self, times: usize) -> Self {
        self.when = When::Times(times);
        self
    }

    /// So many in a hundred, by a fixed series of chances.
    pub(crate) fn percent(mut self, percent: u64) -> Self {
        self.when = When::Percent(percent);
        self
    }

    fn strikes(&mut self, method: &Method, path: &str, chance: &mut Chance) -> bool {
        let is_meant = match &self.path {
            Path::Contains(part) => path.contains(part),
            Path::Matches(expression) => expression.is_match(path),
        };
        if method.as_str() != self.method || !is_meant {
            return false;
        }
        match &mut self.when {
            When::Always => true,
            When::Times(0) => false,
            When::Times(left) => {
                *left -= 1;
                true
            }
            When::Percent(percent) => chance.below(100) < *percent,
        }
    }
}

/// Takes one rule off again: [`ApiProxy::lift`](super::ApiProxy::lift).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RuleHandle(usize);

/// The rules of a proxy, in the order in which they are tried.
pub(super) struct Rules {
    ordered: Vec<(RuleHandle, Rule)>,
    next: usize,
    chance: Chance,
}

impl Rules {
    /// None. Equal seeds make equal chances.
    pub(super) fn new(seed: u64) -> Self {
        Self {
            ordered: Vec::new(),
            next: 0,
            chance: Chance::new(seed),
        }
    }

    /// From now on the chances of another seed.
    pub(super) fn reseed(&mut self, seed: u64) {
        self.chance = Chance::new(seed);
    }

    pub(super) fn add(&mut self, rule: Rule) -> RuleHandle {
        let handle = RuleHandle(self.next);
        self.next += 1;
        self.ordered.push((handle, rule));
        handle
    }

    pub(super) fn remove(&mut self, handle: RuleHandle) {
        self.ordered.retain(|(known, _)| *known != handle);
    }

    pub(super) fn clear(&mut self) {
        self.ordered.clear();
    }

    /// The fault of the first rule that strikes this call.
    pub(super) fn strike(&mut self, method: &Method, path: &str) -> Option<Fault> {
        let Self {
            ordered, chance, ..
        } = self;
        ordered
            .iter_mut()
            .find_map(|(_, rule)| rule.strikes(method, path, chance).then_some(rule.fault))
    }
}
