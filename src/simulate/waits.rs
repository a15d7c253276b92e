//! How long units of work waited: gathered in groups that a batch of Jobs took together.

/// How long units of work waited until a Job took them. Unit: seconds.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct WaitSummary {
    /// On average.
    pub mean: f64,
    /// Half of them no longer than this.
    pub half: f64,
    /// 95 of 100 no longer than this.
    pub most: f64,
    /// The longest.
    pub longest: f64,
}

/// Waits of units that were taken together: from the first one's to the last one's, evenly.
#[derive(Debug, Default)]
pub(super) struct Waits {
    /// The wait in the middle of a part of a group, and how many units.
    parts: Vec<(f64, u64)>,
    longest: f64,
}

/// Parts into which a group is cut.
const PARTS: u64 = 4;

impl Waits {
    /// A batch took so many units; the first had waited so long, the last so long.
    pub(super) fn add(&mut self, first: f64, last: f64, units: u64) {
        self.longest = self.longest.max(first);
        let parts = PARTS.min(units);
        for part in 0..parts {
            let share = units / parts + u64::from(part < units % parts);
            let middle = (small(part) + 0.5) / small(parts);
            self.parts.push((first + (last - first) * middle, share));
        }
    }

    pub(super) fn summary(mut self) -> WaitSummary {
        let count: u64 = self.parts.iter().map(|part| part.1).sum();
        if count == 0 {
            return WaitSummary::default();
        }
        self.parts.sort_by(|one, other| one.0.total_cmp(&other.0));
        let total: f64 = self.parts.iter().map(|part| part.0 * small(part.1)).sum();
        let up_to = |part_of_all: f64| {
            let wanted = small(count) * part_of_all;
            let mut seen = 0_u64;
            let reached = self.parts.iter().find(|part| {
                seen += part.1;
                small(seen) >= wanted
            });
            reached.map_or(0.0, |part| part.0)
        };
        WaitSummary {
            mean: total / small(count),
            half: up_to(0.5),
            most: up_to(0.95),
            longest: self.longest,
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "units of work of a simulation are far below 2^53"
)]
fn small(units: u64) -> f64 {
    units as f64
}
