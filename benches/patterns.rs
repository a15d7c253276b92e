//! Events per second against sets of event patterns, on one thread: `cargo bench --bench patterns`.
//!
//! Beside ours stands the `quamina` crate, on the same events in the same process. Both must find as many
//! matches where both know the operators; neither is held to a time.
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]
#![expect(clippy::unwrap_used, reason = "a bench may end at what is wrong")]

use std::fmt::Write as _;
use std::hint::black_box;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use quamina::Quamina;
use slipway::pattern::{Matcher, Pattern};

/// As many as the peers were measured on.
const EVENTS: usize = 50_000;
const TIME: Duration = Duration::from_secs(3);

fn main() {
    let events = events();
    let bytes: usize = events.iter().map(String::len).sum();
    println!("{EVENTS} events, mean {} B, one thread\n", bytes / EVENTS);
    println!(
        "{:<22} {:>12} {:>12} {:>7} {:>14}",
        "rules", "ours", "quamina", "ratio", "matches/event"
    );
    for (name, rules) in rule_sets() {
        let patterns = rules.iter().enumerate();
        let patterns = patterns.map(|(number, rule)| (number, Pattern::parse(rule).unwrap()));
        let matcher = Matcher::new(patterns);
        let ours = rate(&events, |event| matcher.matches(event).len());
        // A panic is an answer here, so it need not be printed.
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        let theirs = catch_unwind(AssertUnwindSafe(|| {
            let mut quamina = Quamina::new();
            for (number, rule) in rules.iter().enumerate() {
                quamina.add_pattern(number, rule).unwrap();
            }
            rate(&events, |event| {
                quamina.matches_for_event(event.as_bytes()).unwrap().len()
            })
        }));
        std::panic::set_hook(hook);
        #[expect(clippy::cast_precision_loss, reason = "a figure to be read")]
        let share = ours.matches as f64 / EVENTS as f64;
        match theirs {
            Ok(theirs) => {
                assert!(
                    ours.matches == theirs.matches,
                    "{name}: we find {} matches, quamina {}",
                    ours.matches,
                    theirs.matches
                );
                println!(
                    "{name:<22} {:>12.0} {:>12.0} {:>7.2} {share:>14.3}",
                    ours.events_per_second,
                    theirs.events_per_second,
                    ours.events_per_second / theirs.events_per_second
                );
            }
            Err(_) => println!(
                "{name:<22} {:>12.0} {:>12} {:>7} {share:>14.3}",
                ours.events_per_second, "panics", "-"
            ),
        }
    }
}

struct Rate {
    events_per_second: f64,
    /// In one pass over the events.
    matches: usize,
}

/// One pass to warm up and count, then passes for some seconds.
fn rate(events: &[String], mut matches: impl FnMut(&str) -> usize) -> Rate {
    let total = events.iter().map(|event| matches(event)).sum();
    let (start, start_of_thread) = (Instant::now(), thread_time());
    let mut seen = 0_u32;
    while start.elapsed() < TIME {
        for event in events.iter().take(1000) {
            black_box(matches(black_box(event)));
        }
        for event in &events[seen as usize % (EVENTS - 4000)..][..4000] {
            black_box(matches(black_box(event)));
        }
        seen += 5000;
    }
    let elapsed = match (start_of_thread, thread_time()) {
        (Some(start), Some(end)) => end.saturating_sub(start),
        _ => start.elapsed(),
    };
    Rate {
        events_per_second: f64::from(seen) / elapsed.as_secs_f64(),
        matches: total,
    }
}

/// How long this thread has run, where the system says so: what else runs then does not count.
/// Source: Linux, Documentation/scheduler/sched-stats.rst.
fn thread_time() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanoseconds = text.split_whitespace().next()?.parse().ok()?;
    Some(Duration::from_nanos(nanoseconds))
}

const SOURCES: [&str; 10] = [
    "com.shop.billing",
    "com.shop.orders",
    "com.shop.shipping",
    "com.shop.catalog",
    "com.shop.customers",
    "org.warehouse.stock",
    "org.warehouse.robots",
    "aws.s3",
    "aws.ec2",
    "aws.ecs",
];
const TYPES: [&str; 12] = [
    "subscription.renewed",
    "subscription.cancelled",
    "Order Placed",
    "Order Shipped",
    "Order Returned",
    "Object Created",
    "Object Deleted",
    "EC2 Instance State-change Notification",
    "ECS Task State Change",
    "Stock Level Changed",
    "Customer Updated",
    "Payment Failed",
];
const STATES: [&str; 6] = [
    "pending",
    "running",
    "shutting-down",
    "stopped",
    "terminated",
    "failed",
];
const REGIONS: [&str; 4] = ["eu-central-1", "eu-west-1", "us-east-1", "ap-southeast-2"];
const TIERS: [&str; 4] = ["free", "silver", "Gold", "platinum"];

/// A sequence that is the same in every run (Knuth's MMIX constants).
struct Sequence(u64);

impl Sequence {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }

    fn of<'t>(&mut self, texts: &[&'t str]) -> &'t str {
        texts[self.below(texts.len())]
    }
}

/// EventBridge envelopes with the details of a shop.
fn events() -> Vec<String> {
    let mut sequence = Sequence(20_261_128);
    (0..EVENTS)
        .map(|number| event(number, &mut sequence))
        .collect()
}

fn event(number: usize, sequence: &mut Sequence) -> String {
    let account = 100_000_000_000 + sequence.below(50);
    let region = sequence.of(&REGIONS);
    let mut event = format!(
        r#"{{"version":"0","id":"{:08x}-4d1c-4f6e-9a0b-{number:012x}","detail-type":"{}","source":"{}","account":"{account}","time":"2026-11-{:02}T{:02}:{:02}:{:02}Z","region":"{region}","resources":["arn:aws:ec2:{region}:{account}:instance/i-{:017x}"],"detail":{{"#,
        sequence.below(1 << 30),
        sequence.of(&TYPES),
        sequence.of(&SOURCES),
        1 + sequence.below(28),
        sequence.below(24),
        sequence.below(60),
        sequence.below(60),
        sequence.below(1 << 30),
    );
    write!(
        event,
        r#""state":"{}","attempt":{},"customer":{{"id":"cust-{:06}","tier":"{}","email":"someone{}@example.com"}},"order":{{"id":"ord-{number:08}","amount":{}.{:02},"currency":"EUR","items":["#,
        sequence.of(&STATES),
        sequence.below(6),
        sequence.below(10_000),
        sequence.of(&TIERS),
        sequence.below(9999),
        sequence.below(2000),
        sequence.below(100),
    )
    .unwrap();
    for index in 0..sequence.below(4) {
        let comma = if index == 0 { "" } else { "," };
        write!(
            event,
            r#"{comma}{{"sku":"SKU-{:05}","quantity":{},"price":{}.5}}"#,
            sequence.below(99_999),
            1 + sequence.below(9),
            sequence.below(300)
        )
        .unwrap();
    }
    write!(
        event,
        r#"]}},"source-ip":"10.{}.{}.{}","object":{{"bucket":"uploads-{region}","key":"incoming/2026/{}/image-{:05}.{}","size":{}}},"user-agent":"Mozilla/5.0 (X11; Linux x86_64)","tags":["{}","team-{}"]}}}}"#,
        sequence.below(16),
        sequence.below(256),
        sequence.below(256),
        sequence.below(12),
        sequence.below(99_999),
        sequence.of(&["png", "jpg", "pdf", "csv"]),
        sequence.below(5_000_000),
        sequence.of(&["blue", "green"]),
        sequence.below(8),
    )
    .unwrap();
    event
}

fn rule_sets() -> Vec<(&'static str, Vec<String>)> {
    let owned = |rules: &[&str]| rules.iter().map(ToString::to_string).collect::<Vec<_>>();
    let exact = owned(&[
        r#"{"source":["com.shop.billing"]}"#,
        r#"{"detail-type":["Order Placed","Order Shipped"]}"#,
        r#"{"detail":{"state":["failed"]}}"#,
        r#"{"region":["eu-west-1"]}"#,
        r#"{"detail":{"customer":{"id":["cust-000042"]}}}"#,
    ]);
    let prefix = owned(&[
        r#"{"source":[{"prefix":"com.shop."}]}"#,
        r#"{"detail-type":[{"prefix":"subscription."}]}"#,
        r#"{"detail":{"object":{"key":[{"prefix":"incoming/2026/3/"}]}}}"#,
        r#"{"detail":{"customer":{"id":[{"prefix":"cust-0001"}]}}}"#,
        r#"{"region":[{"prefix":"eu-"}]}"#,
    ]);
    let suffix = owned(&[
        r#"{"detail":{"object":{"key":[{"suffix":".png"}]}}}"#,
        r#"{"source":[{"suffix":".billing"}]}"#,
        r#"{"detail-type":[{"suffix":"Notification"}]}"#,
        r#"{"detail":{"customer":{"email":[{"suffix":"7@example.com"}]}}}"#,
        r#"{"region":[{"suffix":"-1"}]}"#,
    ]);
    let ignore_case = owned(&[
        r#"{"detail":{"customer":{"tier":[{"equals-ignore-case":"GOLD"}]}}}"#,
        r#"{"source":[{"equals-ignore-case":"COM.SHOP.BILLING"}]}"#,
        r#"{"detail-type":[{"equals-ignore-case":"order placed"}]}"#,
        r#"{"detail":{"state":[{"equals-ignore-case":"Failed"}]}}"#,
        r#"{"region":[{"equals-ignore-case":"EU-WEST-1"}]}"#,
    ]);
    let wildcard = owned(&[
        r#"{"detail":{"object":{"key":[{"wildcard":"incoming/*/image-1*.png"}]}}}"#,
        r#"{"source":[{"wildcard":"com.*.billing"}]}"#,
        r#"{"detail-type":[{"wildcard":"*State*"}]}"#,
        r#"{"resources":[{"wildcard":"arn:aws:ec2:*:instance/*"}]}"#,
        r#"{"detail":{"customer":{"email":[{"wildcard":"someone1*@example.com"}]}}}"#,
    ]);
    let numeric = owned(&[
        r#"{"detail":{"order":{"amount":[{"numeric":[">",1500]}]}}}"#,
        r#"{"detail":{"attempt":[{"numeric":["=",3]}]}}"#,
        r#"{"detail":{"object":{"size":[{"numeric":[">=",1000,"<",100000]}]}}}"#,
        r#"{"detail":{"order":{"amount":[{"numeric":["<",10]}]}}}"#,
        r#"{"detail":{"attempt":[{"numeric":[">=",1,"<=",2]}]}}"#,
    ]);
    let anything_but = owned(&[
        r#"{"detail":{"state":[{"anything-but":"running"}]}}"#,
        r#"{"source":[{"anything-but":["aws.s3","aws.ec2","aws.ecs"]}]}"#,
        r#"{"region":[{"anything-but":"us-east-1"}]}"#,
        r#"{"detail":{"customer":{"tier":[{"anything-but":["free","silver"]}]}}}"#,
        r#"{"detail-type":[{"anything-but":["Order Placed","Payment Failed"]}]}"#,
    ]);
    let cidr = owned(&[
        r#"{"detail":{"source-ip":[{"cidr":"10.1.0.0/16"}]}}"#,
        r#"{"detail":{"source-ip":[{"cidr":"10.2.128.0/17"}]}}"#,
        r#"{"detail":{"source-ip":[{"cidr":"10.0.0.0/12"}]}}"#,
        r#"{"detail":{"source-ip":[{"cidr":"10.3.4.0/24"}]}}"#,
        r#"{"detail":{"source-ip":[{"cidr":"192.168.0.0/16"}]}}"#,
    ]);
    let multi_field = owned(&[
        r#"{"source":["com.shop.billing"],"detail-type":["subscription.renewed"],"detail":{"state":["running"]}}"#,
        r#"{"source":[{"prefix":"com.shop."}],"detail":{"customer":{"tier":["Gold","platinum"]},"attempt":[0]}}"#,
        r#"{"region":["eu-west-1"],"detail":{"order":{"amount":[{"numeric":[">",1000]}]},"state":["pending"]}}"#,
        r#"{"detail-type":["Object Created"],"detail":{"object":{"key":[{"suffix":".csv"}]}}}"#,
        r#"{"source":["aws.ec2"],"detail-type":[{"prefix":"EC2"}],"detail":{"state":["terminated","stopped"]}}"#,
    ]);
    let of_five = [
        &exact,
        &prefix,
        &suffix,
        &ignore_case,
        &wildcard,
        &numeric,
        &anything_but,
        &multi_field,
    ];
    let mixed = of_five
        .iter()
        .flat_map(|rules| rules.iter().cloned())
        .collect();
    vec![
        ("5 exact", exact.clone()),
        ("5 prefix", prefix.clone()),
        ("5 suffix", suffix.clone()),
        ("5 equals-ignore-case", ignore_case.clone()),
        ("5 wildcard", wildcard.clone()),
        ("5 numeric", numeric.clone()),
        ("5 anything-but", anything_but.clone()),
        ("5 cidr", cidr),
        ("5 multi-field", multi_field.clone()),
        ("40 mixed", mixed),
        ("1,000 exact, 3 fields", three_fields(1000)),
        ("10,000 exact, 3 fields", three_fields(10_000)),
    ]
}

fn three_fields(count: usize) -> Vec<String> {
    let rule = |number: usize| {
        format!(
            r#"{{"source":["{}"],"detail-type":["{}"],"detail":{{"customer":{{"id":["cust-{number:06}"]}}}}}}"#,
            SOURCES[number % SOURCES.len()],
            TYPES[number / SOURCES.len() % TYPES.len()],
        )
    };
    (0..count).map(rule).collect()
}
