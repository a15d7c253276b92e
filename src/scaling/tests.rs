use super::*;

fn policy(strategy: Strategy, min: Option<u32>, max: Option<u32>) -> Policy {
    Policy {
        strategy,
        calculation: Calculation::Max,
        bounds: Bounds { min, max },
    }
}

fn measure(label: &str, waiting: f64, target: f64) -> Measure {
    Measure {
        label: label.to_owned(),
        reading: Reading::new(waiting),
        target,
        activation: 0.0,
    }
}

fn counts(unfinished: u32, pending: u32) -> JobCounts {
    JobCounts {
        unfinished,
        pending,
    }
}

#[test]
fn custom_cannot_pass_the_cap_although_keda_does() {
    let custom = Strategy::select("custom", Some(-5), "0");
    let decision = decide(
        &policy(custom, None, Some(10)),
        &[measure("s0-q", 100.0, 1.0)],
        counts(8, 0),
    );
    assert_eq!((decision.keda, decision.launch), (10, 2));
    // 100 waiting, 5 more by the negative deduction, but no more Jobs than messages.
    assert_eq!(decision.held_back, 98);
}

#[test]
fn the_default_cap_includes_the_minimum() {
    let decision = decide(
        &policy(Strategy::Default, Some(20), None),
        &[measure("s0-q", 1000.0, 1.0)],
        counts(20, 0),
    );
    assert_eq!((decision.keda, decision.launch), (100, 80));
}

#[test]
fn the_minimum_is_kept_up_when_no_trigger_could_be_read() {
    let decision = decide(&policy(Strategy::Default, Some(5), None), &[], counts(2, 0));
    assert!(decision.active);
    assert_eq!((decision.launch, decision.held_back), (3, 0));
    assert_eq!(
        decision.reason,
        "2 unfinished is below the minimum of 5, 3 wanted before triggers are looked at; \
         cap 100 leaves 98: launching 3"
    );
}

#[test]
fn a_lowered_cap_launches_nothing_and_takes_nothing_back() {
    let decision = decide(
        &policy(Strategy::Eager, None, Some(3)),
        &[measure("s0-q", 9.0, 1.0)],
        counts(7, 0),
    );
    assert_eq!((decision.launch, decision.held_back), (0, 9));
}

#[test]
fn what_the_cap_held_back_is_launched_as_jobs_finish_and_no_more() {
    let bounds = Bounds {
        min: None,
        max: Some(4),
    };
    let first = top_up(bounds, 3, counts(2, 0));
    assert_eq!((first.launch, first.held_back), (2, 1));
    assert_eq!(
        first.reason,
        "3 held back by the last decision; 2 unfinished; cap 4 leaves 2: launching 2, 1 held back"
    );
    let second = top_up(bounds, first.held_back, counts(0, 0));
    assert_eq!((second.launch, second.held_back), (1, 0));
    assert_eq!(top_up(bounds, 5, counts(9, 0)).launch, 0);
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of reasons")]
fn reasons_read_without_the_source() {
    let orders = [measure("s0-aws-sqs-orders", 1000.0, 10.0)];
    let both = [
        measure("s0-aws-sqs-orders", 1000.0, 10.0),
        measure("s1-kafka-refunds", 20.0, 5.0),
    ];
    let quiet = [measure("s0-aws-sqs-orders", 0.0, 10.0)];
    let sum = Policy {
        calculation: Calculation::Sum,
        ..policy(Strategy::Default, None, None)
    };
    let custom = Strategy::select("custom", Some(5), "0.5");
    let rows: [(Policy, &[Measure], JobCounts, &str); 13] = [
        (
            policy(Strategy::Default, None, Some(7)),
            &both,
            counts(3, 1),
            "1000 waiting / 10 per Job = 100 wanted (max of 2 triggers: s0-aws-sqs-orders), the maximum allows 7; \
             3 unfinished; default: 7 - 3 = 4; cap 7 leaves 4: launching 4, 93 held back",
        ),
        (
            policy(Strategy::Default, None, None),
            &orders,
            counts(0, 0),
            "1000 waiting / 10 per Job = 100 wanted; 0 unfinished; default: 100 - 0 = 100; cap 100 leaves 100: launching 100",
        ),
        (
            policy(Strategy::Default, Some(2), Some(7)),
            &orders,
            counts(3, 0),
            "1000 waiting / 10 per Job = 100 wanted, the maximum allows 5 above the minimum of 2; 3 unfinished; \
             default: 5 - (3 - 2 of the minimum) = 4; cap 7 leaves 4: launching 4, 95 held back",
        ),
        (
            sum,
            &both,
            counts(90, 0),
            "104 wanted (sum of 2 active of 2 triggers: s0-aws-sqs-orders 1000 waiting / 10 per Job, \
             s1-kafka-refunds 20 waiting / 5 per Job), the maximum allows 100; 90 unfinished; \
             default: 100 - 90 = 10; cap 100 leaves 10: launching 10, 4 held back",
        ),
        (
            policy(custom, None, None),
            &orders,
            counts(10, 0),
            "1000 waiting / 10 per Job = 100 wanted; 10 unfinished; \
             custom: 100 - 5 deducted - 5 (0.5 of 10 running) = 90; cap 100 leaves 90: launching 90",
        ),
        (
            policy(Strategy::Accurate, None, None),
            &orders,
            counts(20, 30),
            "1000 waiting / 10 per Job = 100 wanted; 20 unfinished, 30 pending; \
             accurate: 100 - 30 pending = 70; cap 100 leaves 80: launching 70",
        ),
        (
            policy(Strategy::Accurate, None, None),
            &orders,
            counts(20, 0),
            "1000 waiting / 10 per Job = 100 wanted; 20 unfinished, 0 pending; \
             accurate: 100 - 20 = 80 free; cap 100 leaves 80: launching 80, 20 held back",
        ),
        (
            policy(Strategy::Eager, None, Some(10)),
            &orders,
            counts(4, 1),
            "1000 waiting / 10 per Job = 100 wanted, the maximum allows 10; 4 unfinished, 1 pending; \
             eager: the less of 10 and 10 - 4 - 1 pending = 5; cap 10 leaves 6: launching 5, 95 held back",
        ),
        (
            policy(Strategy::Default, None, None),
            &[measure("s0-q", 3.0, 0.5)],
            counts(0, 0),
            "3 waiting / 0.5 per Job = 6 wanted; 0 unfinished; default: 6 - 0 = 6, but only 3 waiting; \
             cap 100 leaves 100: launching 3",
        ),
        (
            policy(Strategy::Default, None, None),
            &[measure("s0-q", 3.0, 0.0)],
            counts(1, 0),
            "3 waiting / 0 per Job = 0 wanted, because a target of 0 disables scaling; 1 unfinished; \
             default: 0 - 1 = -1; cap 100 leaves 99: launching 0",
        ),
        (
            policy(Strategy::Default, None, None),
            &quiet,
            counts(1, 0),
            "0 waiting, active only above 0: launching 0",
        ),
        (
            policy(Strategy::Default, Some(1), None),
            &quiet,
            counts(1, 0),
            "0 waiting, active only above 0; 1 unfinished; default: 0 - (1 - 1 of the minimum) = 0; \
             cap 100 leaves 99: launching 0",
        ),
        (
            policy(Strategy::Default, None, None),
            &[],
            counts(1, 0),
            "no trigger could be read: launching 0",
        ),
    ];
    for (policy, measures, counts, reason) in rows {
        assert_eq!(decide(&policy, measures, counts).reason, reason);
    }
}

// KEDA holds each trigger to the maximum before it takes the mean.
#[test]
fn a_trigger_far_above_the_maximum_weighs_no_more_than_the_maximum() {
    let policy = Policy {
        calculation: Calculation::Avg,
        ..policy(Strategy::Default, None, Some(20))
    };
    let measures = [measure("s0-a", 1000.0, 1.0), measure("s1-b", 10.0, 1.0)];
    let decision = decide(&policy, &measures, counts(0, 0));
    assert_eq!((decision.launch, decision.held_back), (15, 505 - 15));
}

#[test]
fn the_numbers_alone_are_those_of_the_decision_and_of_the_top_up() {
    let policy = policy(Strategy::Default, None, Some(8));
    let (measures, counts) = ([measure("s0-a", 11.0, 1.0)], counts(2, 0));
    let decision = decide(&policy, &measures, counts);
    let numbers = DecisionResult {
        active: true,
        keda: decision.keda,
        launch: 6,
        held_back: decision.held_back,
    };
    assert!(decision.keda > 0 && decision.held_back > 0, "{decision:?}");
    assert_eq!(DecisionResult::of(&decision), numbers);
    assert_eq!(decide_numbers(&policy, &measures, counts), numbers);
    let top_up = top_up(policy.bounds, 9, counts);
    let numbers = DecisionResult::of_top_up(&top_up);
    assert_eq!((numbers.launch, numbers.held_back), (6, 3));
}

#[test]
fn a_reason_says_why_nothing_is_active() {
    let policy = policy(Strategy::Default, None, None);
    let reason = |measures: &[Measure]| decide(&policy, measures, counts(0, 0)).reason;
    let idle = [measure("s0-a", 0.0, 5.0), measure("s1-b", 0.0, 5.0)];
    let both = reason(&idle);
    assert!(both.starts_with("none of 2 triggers is active"), "{both}");
    let one = reason(&idle[..1]);
    assert!(one.starts_with("0 waiting, active only above 0"), "{one}");
    let asleep = Measure {
        activation: f64::INFINITY,
        ..measure("s0-a", 3.0, 5.0)
    };
    let scaler = reason(&[asleep]);
    assert!(
        scaler.starts_with("3 waiting, not active by the word of its scaler"),
        "{scaler}"
    );
}
