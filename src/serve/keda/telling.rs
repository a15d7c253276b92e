//! How much of the log callers can fill: so many lines a minute, and a word about the others.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Lines in a minute. Each distinct trigger that cannot be read is worth one, and callers make up triggers.
const LINES: u32 = 60;
const MINUTE: Duration = Duration::from_mins(1);

/// Counts the lines.
#[derive(Debug, Default)]
pub(super) struct LogBudget(Mutex<Option<(Instant, u32)>>);

impl LogBudget {
    /// Whether one more line may be written now.
    pub(super) fn allows(&self) -> bool {
        let mut minute = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let (began, lines) = minute
            .filter(|(began, _)| now < *began + MINUTE)
            .unwrap_or((now, 0));
        *minute = Some((began, lines.saturating_add(1)));
        if lines == LINES {
            tracing::warn!(
                "callers of KEDA's port cause more than {LINES} lines a minute; the others are left out"
            );
        }
        lines < LINES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_minute_has_so_many_lines_and_the_next_one_as_many_again() {
        let budget = LogBudget::default();
        for _ in 0..2 {
            let allowed = (0..1_000).filter(|_| budget.allows()).count();
            assert_eq!(allowed, 60);
            tokio::time::advance(MINUTE).await;
        }
    }
}
