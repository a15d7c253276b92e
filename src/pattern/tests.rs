//! The language row by row, through the public face.

use super::{Matcher, Pattern};

mod errors;
mod hostile;
mod laws;
mod many;
mod structure;
mod verdicts;

/// A pattern that must be valid.
#[track_caller]
pub(super) fn pattern(text: &str) -> Pattern {
    Pattern::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Whether an event matches, asked in every way there is.
#[track_caller]
pub(super) fn matches(text: &str, event: &str) -> bool {
    let pattern = pattern(text);
    let verdict = pattern.matches(event);
    assert_eq!(
        pattern.refusal(event).is_none(),
        verdict,
        "refusal: {text} {event}"
    );
    let matcher = Matcher::new([((), pattern)]);
    assert_eq!(
        !matcher.matches(event).is_empty(),
        verdict,
        "matcher: {text} {event}"
    );
    verdict
}
