//! What calls to the API server are for, and how many of each may be under way.
//!
//! Each purpose has places of its own, so that statuses cannot take those of launches. How places are divided between
//! namespaces is `places`' rule.

use http::Method;

use crate::places::Caller;

/// What a call is for. Calls of one purpose never wait for those of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Budget {
    /// The Lease. It waits for nobody.
    Lease,
    /// Lists and lookups.
    Reads,
    /// Statuses and Kubernetes Events.
    Statuses,
    /// Dry runs that prove Job templates.
    DryRuns,
    /// Shards of the ledger.
    Ledger,
    /// Jobs of events, and their Secrets.
    Events,
    /// Jobs of rounds, the rounds themselves, gates, and Jobs that are removed.
    Launches,
}

impl Budget {
    /// Those that have places, in the order of [`Budget::index`].
    pub(super) const DIVIDED: [Self; 6] = [
        Self::Reads,
        Self::Statuses,
        Self::DryRuns,
        Self::Ledger,
        Self::Events,
        Self::Launches,
    ];

    /// Where it stands in [`Budget::DIVIDED`]; `None` for the Lease, which has no places and needs none.
    pub(super) fn index(self) -> Option<usize> {
        Self::DIVIDED.iter().position(|budget| *budget == self)
    }

    /// Calls under way at once. One namespace alone gets a fifth: n places while n - 1 < (size - (n - 1)) / 4.
    ///
    /// A turn has 32 creates in flight, with which a server on two cores is busy: 5 * 32 = 160. A connection takes some
    /// 60 kB, so all budgets full take 34 MB. That needs many namespaces busy with everything at once; one namespace
    /// busy with everything takes 7 MB.
    pub(super) const fn size(self) -> u32 {
        match self {
            Self::Lease => 0,
            Self::Events | Self::Launches => 160,
            // 16 for one namespace: calls of 5 ms make 3,200 a second.
            Self::Reads | Self::Statuses => 80,
            // 8 for one namespace: each dry run goes through every webhook; each shard is up to 1 MB.
            Self::DryRuns | Self::Ledger => 40,
        }
    }
}

/// Whose call it is, read off the call.
pub(super) fn caller(method: &Method, path: &str) -> Caller {
    let mut parts = path.split('/').skip_while(|part| *part != "namespaces");
    let kind = match *method {
        Method::POST => 1,
        Method::PUT | Method::PATCH => 2,
        Method::DELETE => 3,
        _ => 0,
    };
    Caller {
        namespace: parts.nth(1).unwrap_or_default().into(),
        kind,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::places::Room;

    #[test]
    fn the_namespace_is_found_in_the_path() {
        let namespace = |path: &str| caller(&Method::GET, path).namespace.to_string();
        assert_eq!(namespace("/apis/batch/v1/namespaces/ns/jobs/a"), "ns");
        assert_eq!(namespace("/api/v1/namespaces/ns"), "ns");
        assert_eq!(namespace("/apis/slipway.dev/v1alpha1/scaledjobs"), "");
    }

    #[test]
    fn one_busy_namespace_has_32_creates_in_flight() {
        for budget in [Budget::Launches, Budget::Events] {
            let room = Room::new(budget.size());
            let caller = caller(&Method::POST, "/apis/batch/v1/namespaces/busy/jobs");
            let mut places = Vec::new();
            while let Some(place) = room.try_place(caller.clone()) {
                places.push(place);
            }
            assert_eq!(places.len(), 32);
        }
    }
}
