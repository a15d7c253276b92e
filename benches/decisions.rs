//! Decisions per second, on one thread: `cargo bench --bench decisions`.
//!
//! Beside it stands one allocation and formatting of a line of the same length,
//! because a decision explains itself: what the words cost is part of it.
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use slipway::scaling::{self, Bounds, Calculation, JobCounts, Measure, Policy, Reading, Strategy};

const TIME: Duration = Duration::from_secs(2);

fn main() {
    let strategies = [
        ("default", Strategy::Default),
        (
            "custom",
            Strategy::Custom {
                deduction: 1,
                running_percentage: 0.5,
            },
        ),
        ("accurate", Strategy::Accurate),
        ("eager", Strategy::Eager),
    ];
    let words = rate(|number| {
        black_box(format!(
            "{number} waiting / 10 per Job = {} wanted (s0-aws-sqs-orders), 3 unfinished",
            number / 10
        ));
    });
    println!(
        "{:<10} {:>14} {:>24}",
        "strategy", "decisions/s", "of bare formatting"
    );
    for (name, strategy) in strategies {
        let policy = Policy {
            strategy,
            calculation: Calculation::Max,
            bounds: Bounds {
                min: None,
                max: Some(50),
            },
        };
        let decisions = rate(|number| {
            let measure = Measure {
                label: "s0-aws-sqs-orders".to_owned(),
                reading: Reading::new(f64::from(number)),
                target: 10.0,
                activation: 0.0,
            };
            black_box(scaling::decide(
                &policy,
                &[measure],
                JobCounts {
                    unfinished: 3,
                    pending: 1,
                },
            ));
        });
        println!("{name:<10} {decisions:>14.0} {:>24.2}", decisions / words);
    }
}

/// Calls per second.
fn rate(mut call: impl FnMut(u32)) -> f64 {
    let start = Instant::now();
    let mut calls = 0_u32;
    while start.elapsed() < TIME {
        for _ in 0..1000 {
            call(calls % 1000);
            calls += 1;
        }
    }
    f64::from(calls) / start.elapsed().as_secs_f64()
}
