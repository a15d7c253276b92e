//! Times as people read them.

use jiff::{SignedDuration, Timestamp};

/// `12 ms`, `3.4 s`, `5 min 12 s`, `2 h 5 min`, `3 days 4 h`.
pub(super) fn length(duration: SignedDuration) -> String {
    let milliseconds = duration.as_millis();
    if milliseconds < 1000 {
        return format!("{} ms", milliseconds.max(0));
    }
    if milliseconds < 60_000 {
        let seconds = format!("{:.1}", duration.as_secs_f64());
        return format!("{} s", seconds.trim_end_matches(".0"));
    }
    let seconds = duration.as_secs();
    let (large, small) = match seconds {
        ..3_600 => ((seconds / 60, "min"), (seconds % 60, "s")),
        3_600..86_400 => ((seconds / 3_600, "h"), (seconds % 3_600 / 60, "min")),
        _ => ((seconds / 86_400, "days"), (seconds % 86_400 / 3_600, "h")),
    };
    match small {
        (0, _) => format!("{} {}", large.0, large.1),
        (number, unit) => format!("{} {} {number} {unit}", large.0, large.1),
    }
}

/// A time, and how long ago that is, or how long until then.
pub(super) fn beside(at: Timestamp, now: Timestamp) -> String {
    let ago = now.duration_since(at);
    if ago.is_negative() {
        format!("{at:.0}, in {}", length(-ago))
    } else {
        format!("{at:.0}, {} ago", length(ago))
    }
}
