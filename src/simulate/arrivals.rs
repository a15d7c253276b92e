//! When units of work arrive: how many by each moment, as a line of pieces that never falls.

/// Units of work over time.
#[derive(Debug, Clone, PartialEq)]
pub struct Arrivals {
    /// Seconds and units that have arrived by then, both never falling. The first is at 0.
    pieces: Vec<(f64, f64)>,
}

/// Lines of a series at most.
const MOST_LINES: usize = 1_000_000;
/// Units that may arrive in all: a float counts them exactly.
const MOST_UNITS: f64 = 1e15;

impl Arrivals {
    /// So many a second, from the beginning on.
    pub fn steady(per_second: f64, seconds: f64) -> Self {
        let total = (per_second * seconds).min(MOST_UNITS);
        Self {
            pieces: vec![(0.0, 0.0), (seconds, total)],
        }
    }

    /// From a backlog that somebody wrote down: `UNITS` a line, one for each poll, or `TIME,UNITS`.
    ///
    /// Each rise is work that arrives. A fall is work that was done then, and says nothing about what arrives.
    ///
    /// # Errors
    ///
    /// The line, and what would be right there.
    pub fn of_series(text: &str, polling_seconds: f64) -> Result<Self, String> {
        let mut pieces = vec![(0.0, 0.0)];
        let (mut before, mut total, mut read) = (0.0_f64, 0.0_f64, 0_usize);
        let mut origin = None;
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let wrong = || {
                format!(
                    "line {}: {line:?} is neither UNITS nor TIME,UNITS: write 120, or 30s,120, or 2026-11-30T09:00:00Z,120",
                    index + 1
                )
            };
            let (time, units) = match line.split_once([',', '\t', ';']) {
                Some((time, units)) => (Some(time.trim()), units.trim()),
                None => (None, line),
            };
            let units: f64 = match units.parse() {
                Ok(units) if (0.0..=MOST_UNITS).contains(&units) => units,
                // What spreadsheets write above their columns.
                Err(_) if read == 0 && index == 0 => continue,
                _ => return Err(wrong()),
            };
            let at = match time {
                None => float(read) * polling_seconds,
                Some(time) => seconds(time, &mut origin).ok_or_else(wrong)?,
            };
            let last = pieces.last().map_or(0.0, |piece| piece.0);
            if at < last {
                return Err(format!(
                    "line {}: its time is before that of the line above",
                    index + 1
                ));
            }
            read += 1;
            if read > MOST_LINES {
                return Err(format!("there are more than {MOST_LINES} lines"));
            }
            let rise = (units - before).max(0.0);
            before = units;
            pieces.push((at, total));
            total = (total + rise).min(MOST_UNITS);
            pieces.push((at, total));
        }
        if read == 0 {
            return Err("there is no line with a number in it".to_owned());
        }
        Ok(Self { pieces })
    }

    /// When the last of them arrives. Unit: seconds.
    pub fn end(&self) -> f64 {
        self.pieces.last().map_or(0.0, |piece| piece.0)
    }

    /// Whole units that have arrived by a moment.
    pub fn by(&self, at: f64) -> u64 {
        let after = self.pieces.partition_point(|piece| piece.0 <= at);
        let Some(before) = after.checked_sub(1).map(|index| self.pieces[index]) else {
            return 0;
        };
        let units = match self.pieces.get(after) {
            Some(next) if next.0 > before.0 => {
                before.1 + (next.1 - before.1) * (at - before.0) / (next.0 - before.0)
            }
            _ => before.1,
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "not negative, and below 2^53"
        )]
        // What is whole but for the last bit of a division is whole.
        let whole = (units + 1e-9 * units.max(1.0)).floor() as u64;
        whole
    }

    /// When the unit of this number arrived, counted from 1. Unit: seconds.
    pub fn when(&self, unit: u64) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
        let unit = unit as f64;
        let reached = self.pieces.partition_point(|piece| piece.1 < unit);
        let Some(next) = self.pieces.get(reached) else {
            return self.end();
        };
        let Some(before) = reached.checked_sub(1).map(|index| self.pieces[index]) else {
            return next.0;
        };
        let rise = next.1 - before.1;
        before.0 + (next.0 - before.0) * (unit - before.1) / rise
    }
}

/// Seconds of `90`, `1m30s`, or an instant, which counts from the first one.
fn seconds(text: &str, origin: &mut Option<jiff::Timestamp>) -> Option<f64> {
    if let Ok(seconds) = text.parse::<f64>() {
        return (seconds.is_finite() && seconds >= 0.0).then_some(seconds);
    }
    if let Ok(instant) = text.parse::<jiff::Timestamp>() {
        let origin = *origin.get_or_insert(instant);
        return Some(instant.duration_since(origin).as_secs_f64()).filter(|since| *since >= 0.0);
    }
    let duration: jiff::SignedDuration = text.parse().ok()?;
    Some(duration.as_secs_f64()).filter(|seconds| *seconds >= 0.0)
}

fn float(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
