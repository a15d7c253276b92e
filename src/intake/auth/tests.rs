//! Who may send, from outside: what each way in asks for, and what it never takes.

use super::*;

#[test]
fn the_way_in_that_leads_further_counts() {
    let trouble = || Verdict::Unavailable(String::new());
    for (left, right, expected) in [
        (Verdict::Refused, Verdict::Passed, Verdict::Passed),
        (trouble(), Verdict::Passed, Verdict::Passed),
        (Verdict::NeedsBody, trouble(), Verdict::NeedsBody),
        (Verdict::Refused, trouble(), trouble()),
        (trouble(), Verdict::Refused, trouble()),
        (Verdict::Refused, Verdict::Refused, Verdict::Refused),
    ] {
        assert_eq!(left.or(right), expected);
    }
}
