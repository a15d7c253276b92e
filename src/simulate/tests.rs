use super::*;
use crate::scaling::{Bounds, Calculation};

const STRATEGIES: [Strategy; 4] = [
    Strategy::Default,
    Strategy::Custom {
        deduction: 0,
        running_percentage: 0.5,
    },
    Strategy::Accurate,
    Strategy::Eager,
];

fn supposition(max: u32, seconds: f64) -> Supposition {
    Supposition {
        policy: Policy {
            strategy: Strategy::Default,
            calculation: Calculation::Max,
            bounds: Bounds {
                min: None,
                max: Some(max),
            },
        },
        target: 1.0,
        activation: 0.0,
        polling_seconds: 30.0,
        seconds,
        world: SupposedWorld {
            job_seconds: 60.0,
            start_seconds: 5.0,
            units_per_job: 1,
            counts_taken: true,
        },
    }
}

#[test]
fn a_burst_of_ten_takes_ten_jobs_and_waits_for_the_next_poll() {
    // At second 10: seen at the poll at 30, taken at 35.
    let arrivals = Arrivals::of_series("0,0\n10,10\n", 30.0).unwrap();
    let run = run(&supposition(100, 600.0), Strategy::Default, &arrivals);
    assert_eq!((run.started, run.wasted, run.peak), (10, 0, 10));
    assert_eq!((run.arrived, run.left), (10, 0));
    let expected = WaitSummary {
        mean: 25.0,
        half: 25.0,
        most: 25.0,
        longest: 25.0,
    };
    assert_eq!(run.waits, expected);
    // Ten Jobs for 65 s of 600 s.
    assert!((run.mean - 650.0 / 600.0).abs() < 1e-9, "{}", run.mean);
    assert_eq!(run.jobs.last(), Some(&(600.0, 0.0)));
}

#[test]
fn what_the_cap_keeps_back_starts_when_a_job_ends() {
    let arrivals = Arrivals::of_series("0,4", 30.0).unwrap();
    let mut supposed = supposition(2, 300.0);
    supposed.world.job_seconds = 20.0;
    let run = run(&supposed, Strategy::Default, &arrivals);
    // Two at 0, which end at 25; the other two then, not at the poll at 30.
    let starts: Vec<f64> = run
        .jobs
        .windows(2)
        .filter(|pair| pair[1].1 > pair[0].1)
        .map(|pair| pair[1].0)
        .collect();
    assert_eq!(starts, [0.0, 25.0]);
    assert_eq!((run.started, run.wasted, run.peak), (4, 0, 2));
}

#[test]
fn accurate_wastes_starts_where_the_source_counts_what_is_worked_on_and_default_starves_where_it_does_not()
 {
    let arrivals = Arrivals::steady(0.2, 3600.0);
    let counted = supposition(100, 3600.0);
    let wasted = |strategy| run(&counted, strategy, &arrivals).wasted;
    assert_eq!(wasted(Strategy::Default), 0);
    assert!(wasted(Strategy::Accurate) > 100);
    let mut uncounted = counted.clone();
    uncounted.world.counts_taken = false;
    let wait = |strategy| run(&uncounted, strategy, &arrivals).waits.mean;
    assert!(
        wait(Strategy::Default) > 2.0 * wait(Strategy::Accurate),
        "{} and {}",
        wait(Strategy::Default),
        wait(Strategy::Accurate)
    );
}

#[test]
fn every_strategy_keeps_the_cap_and_loses_no_unit_and_says_the_same_twice() {
    for (max, rate) in [(1, 3.0), (7, 0.5), (100, 10.0), (100, 0.001)] {
        let arrivals = Arrivals::steady(rate, 7200.0);
        for strategy in STRATEGIES {
            let supposed = supposition(max, 7200.0);
            let once = run(&supposed, strategy, &arrivals);
            assert!(once.peak <= max, "{strategy:?}: {}", once.peak);
            assert!(once.left <= once.arrived);
            assert!(once.wasted <= once.started);
            assert_eq!(once, run(&supposed, strategy, &arrivals));
            let taken = once.arrived - once.left;
            assert!(taken <= once.started - once.wasted, "a Job takes one unit");
        }
    }
}

#[test]
fn a_day_is_2880_polls() {
    let day = 86_400.0 - 30.0;
    let run = run(
        &supposition(100, day),
        Strategy::Default,
        &Arrivals::steady(0.1, day),
    );
    assert_eq!(run.waiting.len(), 2880);
}

#[test]
fn a_series_is_read_in_each_of_its_forms() {
    let by_polls = Arrivals::of_series("units\n0\n5\n2\n6\n", 30.0).unwrap();
    let by_seconds = Arrivals::of_series("# of a dashboard\n0,0\n30,5\n\n60,2\n90,6", 1.0).unwrap();
    let by_durations = Arrivals::of_series("0s,0\n30s,5\n1m,2\n1m30s,6", 1.0).unwrap();
    let by_instants = Arrivals::of_series(
        "time,units\n2026-11-30T09:00:00Z,0\n2026-11-30T09:00:30Z,5\n2026-11-30T09:01:00Z,2\n2026-11-30T09:01:30Z,6",
        1.0,
    )
    .unwrap();
    for arrivals in [&by_seconds, &by_durations, &by_instants] {
        assert_eq!(*arrivals, by_polls);
    }
    // The fall from 5 to 2 was work that was done; the rise to 6 is four more.
    let by = [29.0, 30.0, 89.0, 90.0].map(|at| by_polls.by(at));
    assert_eq!(by, [0, 5, 5, 9]);
    for (unit, second) in [(1, 30.0), (5, 30.0), (6, 90.0), (9, 90.0)] {
        assert!((by_polls.when(unit) - second).abs() < 1e-9, "{unit}");
    }
}

#[test]
fn a_wrong_line_is_named_with_what_would_be_right() {
    let wrong = |text: &str| Arrivals::of_series(text, 30.0).unwrap_err();
    assert!(wrong("1\nmany\n").contains("line 2") && wrong("1\nmany\n").contains("30s,120"));
    assert!(wrong("1\n-4\n").contains("line 2"));
    assert!(wrong("60,1\n30,2\n").contains("before"));
    assert!(wrong("units\n").contains("no line"));
    assert!(wrong("1\nNaN").contains("line 2"));
}

#[test]
fn a_steady_rate_arrives_evenly() {
    let arrivals = Arrivals::steady(10.0, 100.0);
    assert_eq!(
        [0.0, 0.1, 0.35, 50.0, 1e9].map(|at| arrivals.by(at)),
        [0, 1, 3, 500, 1000]
    );
    assert!((arrivals.when(500) - 50.0).abs() < 1e-9);
}
