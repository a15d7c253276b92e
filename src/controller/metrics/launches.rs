//! Launches of each object, of whichever kind, by what came of them.

use super::jobs::OfObject;
use super::table::SeriesTable;

/// The counters. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Launches(SeriesTable);

impl Launches {
    /// The counters in this table.
    pub(super) fn of(table: &SeriesTable) -> Self {
        Self(table.clone())
    }

    /// So many more came to this. None at all makes the series, so that its first one is seen as a change.
    pub(in crate::controller) fn count(&self, object: &OfObject, result: &'static str, more: u64) {
        self.0.change(object, |of| {
            match of.launches.iter_mut().find(|(known, _)| *known == result) {
                Some((_, count)) => *count += more,
                None => of.launches.push((result, more)),
            }
        });
    }

    /// Drops the series of an object that is gone, or rests.
    pub(in crate::controller) fn forget(&self, object: &OfObject) {
        self.0.forget(object, |of| of.launches = Vec::new());
    }
}
