//! What is accepted, what is refused and with which words, and what surprises.

use super::*;

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn mistakes_say_which_field_what_was_found_and_what_would_be_right() {
    for (text, wanted) in [
        (
            "",
            "is empty: write five fields (minute, hour, day of month, month, day of week), or @daily and its kin",
        ),
        (
            "   ",
            "is empty: write five fields (minute, hour, day of month, month, day of week), or @daily and its kin",
        ),
        (
            "0 0 * *",
            "has 4 fields, not five (minute, hour, day of month, month, day of week)",
        ),
        (
            "0 0 0 * * *",
            "has 6 fields, not five (minute, hour, day of month, month, day of week): a sixth field for seconds is other programs'; CronJob's schedules begin with the minute",
        ),
        (
            "0 0 * * 7",
            "day of week: \"7\" is not one of 0 to 6: Sunday is 0",
        ),
        (
            "0 0 * * 0-7",
            "day of week: \"0-7\" has 7, which is not one of 0 to 6: Sunday is 0",
        ),
        (
            "0 24 * * *",
            "hour: \"24\" is not one of 0 to 23: midnight is hour 0",
        ),
        ("60 * * * *", "minute: \"60\" is not one of 0 to 59"),
        (
            "0 0 * * fri-mon",
            "day of week: \"fri-mon\" ends before it starts; write 5-6,0-1, as Sunday is 0",
        ),
        (
            "0 0 * * mon-sun",
            "day of week: \"mon-sun\" ends before it starts; write 1-6,0, as Sunday is 0",
        ),
        (
            "10-1 * * * *",
            "minute: \"10-1\" ends before it starts; write 10-59,0-1",
        ),
        (
            "*/0 * * * *",
            "minute: \"*/0\" has the step 0; 1 is the least",
        ),
        (
            "*/-1 * * * *",
            "minute: \"*/-1\" has the step \"-1\", which is no number",
        ),
        (
            "1/2/3 * * * *",
            "minute: \"1/2/3\" has two steps; one is the most",
        ),
        (
            "1-2-3 * * * *",
            "minute: \"1-2-3\" has two hyphens; a range has one",
        ),
        ("-5 * * * *", "minute: \"-5\" misses a number from 0 to 59"),
        (
            "0 0 L * *",
            "day of month: \"L\" is Quartz's; CronJob's schedules have no L, W and #. Write numbers",
        ),
        (
            "0 0 * * 5#2",
            "day of week: \"5#2\" is Quartz's; CronJob's schedules have no L, W and #. Write numbers",
        ),
        (
            "H H * * *",
            "minute: \"H\" is Jenkins'; CronJob's schedules have no H. Write a number, and splay to spread the starts",
        ),
        (
            "0 0 1 january *",
            "month: \"january\" has a long name; names have three letters: jan",
        ),
        (
            "0 0 1 foo *",
            "month: \"foo\" is no number from 1 to 12 or a name from jan to dec, and no range, list or step of them",
        ),
        (
            "1.5 * * * *",
            "minute: \"1.5\" is no number from 0 to 59, and no range, list or step of them",
        ),
        (
            "@reboot",
            "\"@reboot\" is not known: nothing boots here; a Job that runs once is a Job, without a schedule",
        ),
        (
            "@Daily",
            "\"@Daily\" is not known: write @daily, in lower case and with nothing behind it",
        ),
        (
            "@daily ",
            "\"@daily \" is not known: write @daily, in lower case and with nothing behind it",
        ),
        (
            "@every",
            "\"@every\" is not known: write a duration behind it, such as @every 90m",
        ),
        (
            "@every 1d",
            "@every needs a duration such as 90m or 1h30m, and \"1d\" is none: there is no unit d; a day is 24h",
        ),
        (
            "@every 5",
            "@every needs a duration such as 90m or 1h30m, and \"5\" is none: a unit is missing: s, m or h",
        ),
        (
            "TZ=0",
            "\"0\" is not a time zone: and no schedule follows it; write the zone in timeZone, and the schedule alone",
        ),
        (
            "TZ=Asia/Calcuta 0 0 * * *",
            "\"Asia/Calcuta\" is not a time zone: did you mean Asia/Calcutta?",
        ),
    ] {
        let error = Expression::parse(text).unwrap_err().to_string();
        assert_eq!(error, wanted, "{text:?}");
    }
    let long = "0,".repeat(129);
    assert_eq!(
        Expression::parse(&long).unwrap_err().to_string(),
        "has 258 bytes, and 256 are the most"
    );
}

#[test]
fn no_text_makes_the_parser_panic() {
    let pieces = [
        "@every ",
        "@",
        "TZ=",
        "CRON_TZ=",
        "*",
        "/",
        "-",
        ",",
        "0",
        "59",
        "18446744073709551615",
        "9223372036854775807",
        " ",
        "\t",
        "\u{b5}s",
        "é",
        "İ",
        "mon",
        "L",
        "#",
        "h",
        ".",
        "1h",
        "999999999999h",
        "\0",
        "+",
        "Local ",
        "UTC ",
    ];
    // A generator that any reader can run by hand.
    let mut state = 88_172_645_463_325_252_u64;
    for _ in 0..20_000 {
        let mut text = String::new();
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let mut rest = state;
        for _ in 0..(state >> 60) {
            let at = usize::try_from(rest % pieces.len() as u64).unwrap();
            text.push_str(pieces[at]);
            rest = rest.rotate_left(11) ^ state;
        }
        if let Ok(expression) = Expression::parse(&text) {
            expression.traps();
            expression.refusal();
            let schedule = Schedule::new(expression, TimeZone::UTC, Timestamp::UNIX_EPOCH);
            if state.is_multiple_of(64) {
                let _next = schedule.first_after(Timestamp::UNIX_EPOCH);
                let _last = schedule.last_at_or_before(Timestamp::MAX);
            }
        }
    }
}

#[test]
fn every_reads_durations_as_go_does() {
    for (text, seconds) in [
        ("1h30m", 5_400),
        ("1.5h", 5_400),
        (".5m", 30),
        ("90s", 90),
        ("1m0.9s", 60),
        ("+2m", 120),
        ("0", 1),
        ("-1h", 1),
        ("1us", 1),
        ("60000ms", 60),
        ("1\u{b5}s", 1),
    ] {
        let expression = Expression::parse(&format!("@every {text}")).unwrap();
        assert_eq!(
            expression.every(),
            Some(Duration::from_secs(seconds)),
            "{text}"
        );
    }
    for text in [
        "",
        " 1h",
        "1h ",
        "1 h",
        "h",
        "1h30",
        "--1h",
        "1e3s",
        "9999999999h",
        "1.h.",
        "1.1.1h",
    ] {
        assert!(
            Expression::parse(&format!("@every {text}")).is_err(),
            "{text}"
        );
    }
}

#[test]
fn traps_are_told() {
    for (text, wanted) in [
        ("0 2 * * *", &[][..]),
        ("*/5 9-17 * * 1-5", &[]),
        ("@daily", &[]),
        (
            "0 0 */2 * 1",
            &[
                "is due when the day of month (*/2) or the day of week (1) fits, not only when both do, because */2 does not count as *",
            ],
        ),
        (
            "0 0 1-7 * 1",
            &[
                "is due when the day of month (1-7) or the day of week (1) fits, not only when both do",
            ],
        ),
        ("0 0 *,1 * 1", &[]),
        (
            ", * * * *",
            &["is never due: the field minute names nothing"],
        ),
        ("0 0 , * *", &["is never due: its day fields name nothing"]),
        (
            "0 0 31 2 *",
            &["is never due: none of its months has such a day"],
        ),
        (
            "0 0 31 4,6,9,11 *",
            &["is never due: none of its months has such a day"],
        ),
        ("0 0 29 2 *", &["is due in leap years only"]),
        ("0 0 31 * *", &["leaves out the months that have no day 31"]),
        ("0 0 29 * *", &["leaves out February in most years"]),
        (
            "*/100 * * * *",
            &["minute: */100 names only 0, as the step is larger than the field"],
        ),
        (
            "*/7 * * * *",
            &["minute: */7 starts anew at 0: 4 minutes lie between 56 and 0, not 7"],
        ),
        (
            "0 */5 * * *",
            &["hour: */5 starts anew at 0: 4 hours lie between 20 and 0, not 5"],
        ),
        (
            "*-5 * * * *",
            &["minute: *-5 is a *; what stands behind the hyphen is not looked at"],
        ),
        (
            "5,,7 * * * *",
            &["minute: the list 5,,7 has an empty place, which names nothing"],
        ),
        (
            "010 * * * *",
            &["minute: 010 is 10: a leading zero changes nothing"],
        ),
        (
            "* 2 * * *",
            &[
                "is due in every minute of the hours 2: for once an hour write a number in the first field",
            ],
        ),
    ] {
        assert_eq!(Expression::parse(text).unwrap().traps(), wanted, "{text}");
    }
}

#[test]
fn zones_are_taken_as_kubernetes_takes_them() {
    for name in [
        "UTC",
        "Etc/UTC",
        "Asia/Kolkata",
        "America/Argentina/ComodRivadavia",
        "Etc/GMT+5",
        "EST5EDT",
    ] {
        assert!(zone(name).is_ok(), "{name}");
    }
    for (name, wanted) in [
        (
            "",
            "\"\" is not a time zone: leave timeZone out for UTC, or write a name such as Asia/Kolkata",
        ),
        (
            "Local",
            "\"Local\" is not a time zone: it would be whatever the machine is set to; write a name such as Asia/Kolkata",
        ),
        (
            "Asia/Calcuta",
            "\"Asia/Calcuta\" is not a time zone: did you mean Asia/Calcutta?",
        ),
        (
            "Kolkata",
            "\"Kolkata\" is not a time zone: did you mean Asia/Kolkata?",
        ),
        (
            "europe/berlin",
            "\"europe/berlin\" is not a time zone: capital letters count; write Europe/Berlin",
        ),
        (
            "Europe/New York",
            "\"Europe/New York\" is not a time zone: did you mean America/New_York?",
        ),
        (
            "Mars/Base",
            "\"Mars/Base\" is not a time zone: write a name of the tz database (2026f), such as Asia/Kolkata",
        ),
        (
            "../etc/passwd",
            "\"../etc/passwd\" is not a time zone: write a name of the tz database (2026f), such as Asia/Kolkata",
        ),
    ] {
        assert_eq!(zone(name).unwrap_err().to_string(), wanted);
    }
}

#[test]
fn splay_is_fixed_by_the_name_and_below_its_limit() {
    let minute = Duration::from_mins(1);
    assert_eq!(splay("a", minute), splay("a", minute));
    let shifts: BTreeSet<Duration> = (0..200)
        .map(|name| splay(&name.to_string(), minute))
        .collect();
    assert!(shifts.len() > 50 && shifts.iter().all(|shift| *shift < minute));
    assert_eq!(splay("a", Duration::ZERO), Duration::ZERO);
    // Recorded: another number moves every start at an upgrade.
    assert_eq!(
        splay("default/report", Duration::from_hours(1)),
        Duration::from_secs(SPLAY)
    );
}

const SPLAY: u64 = 1_000;
