//! The rule engine's recorded answers about event patterns: verdicts and error texts.

use slipway::pattern::{Matcher, Pattern};

use crate::support::vectors::{assert_keys, assert_lists, rows, text};

const HEAD: &str = "Event pattern is not valid. Reason: ";

#[test]
fn pattern_vector_probes() {
    assert_lists("pattern_probes", &["probes"]);
    for row in rows("pattern_probes", "probes") {
        assert_keys(&row, &["name", "event", "pattern", "answer", "error"]);
        let (event, pattern) = (text(&row["event"]), text(&row["pattern"]));
        let expected = match text(&row["answer"]) {
            "match" => Ok(true),
            "no match" => Ok(false),
            "invalid" => Err(format!("{HEAD}{}", text(&row["error"]))),
            other => panic!("unknown answer {other}: {row}"),
        };
        let pattern = Pattern::parse(pattern);
        let verdict = pattern.as_ref().map(|pattern| pattern.matches(event));
        assert_eq!(verdict.map_err(ToString::to_string), expected, "{row}");
        let Ok(pattern) = pattern else { continue };
        // An explanation, and a matcher of one, say the same.
        assert_eq!(
            pattern.refusal(event).is_none(),
            expected == Ok(true),
            "{row}"
        );
        let matcher = Matcher::new([("it", pattern)]);
        let keys: &[&str] = if expected == Ok(true) { &["it"] } else { &[] };
        assert_eq!(matcher.matches(event), keys, "{row}");
    }
}
