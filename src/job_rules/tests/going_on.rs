//! Which Pods a Job that goes on starts and stops, and when.

use super::*;

#[test]
fn no_more_pods_than_parallelism_and_no_more_than_completions_left() {
    let mut twenty = World::new(&json!({"completions": 20, "parallelism": 4}));
    for pod in 0..18 {
        assert_eq!(twenty.active().len(), 4.min(20 - pod));
        twenty.exit(pod, &[0]);
    }
    assert_eq!(twenty.active().len(), 2);
    twenty.rules.parallelism = 1;
    let step = twenty.step();
    assert_eq!(step.stop, [(19, Stopped::Uncounted)]);
    twenty.settle();
    assert_eq!(twenty.told(), "active 1; succeeded 18");
}

#[test]
fn pods_too_many_that_do_not_run_yet_are_stopped_first() {
    let mut job = World::new(&json!({"completions": 4, "parallelism": 4}));
    job.pods[0].phase = Phase::Pending;
    job.rules.parallelism = 2;
    assert_eq!(
        job.step().stop,
        [(0, Stopped::Uncounted), (3, Stopped::Uncounted)]
    );
}

#[test]
fn an_index_runs_again_until_it_has_succeeded_once_and_a_narrower_job_has_fewer() {
    let mut job =
        World::new(&json!({"completions": 4, "parallelism": 3, "completionMode": "Indexed"}));
    assert_eq!(job.active(), [Some(0), Some(1), Some(2)]);
    job.exit(1, &[1]);
    assert_eq!(job.active(), [Some(0), Some(2), Some(1)]);
    job.exit(0, &[0]);
    assert_eq!(job.active(), [Some(2), Some(1), Some(3)]);
    job.rules.completions = Some(2);
    job.rules.parallelism = 2;
    job.settle();
    assert_eq!(job.active(), [Some(1)]);
    assert_eq!(
        job.told(),
        "active 1; succeeded 1; failed 1; completedIndexes 0"
    );
}

#[test]
fn a_work_queue_is_wound_up_after_one_success() {
    let mut queue = World::new(&json!({"parallelism": 3}));
    queue.exit(0, &[0]).exit(1, &[1]);
    assert_eq!(queue.told(), "active 1; succeeded 1; failed 1");
    queue.exit(2, &[1]);
    assert_eq!(queue.told(), format!("succeeded 1; failed 2; {COMPLETE}"));
}

#[test]
fn the_pause_after_a_failure_doubles_up_to_ten_minutes_and_a_success_resets_it() {
    let cases = [(1, 10), (2, 20), (3, 40), (6, 320), (7, 600), (50, 600)];
    for (failures, pause) in cases {
        let mut job = World::new(&json!({"completions": 2, "backoffLimit": 100}));
        job.pods = vec![ended(Phase::Failed, 0); failures];
        let step = job.step();
        assert_eq!(
            (step.start.len(), step.wake),
            (0, Some(at(pause))),
            "{failures} failures"
        );
        job.now = at(pause);
        assert_eq!(job.step().start.len(), 1);
    }
    let mut job = World::new(&json!({"completions": 2, "backoffLimit": 100}));
    job.pods = vec![ended(Phase::Failed, 0); 5];
    job.pods.push(ended(Phase::Succeeded, 1));
    job.now = at(1);
    assert_eq!(job.step().start.len(), 1);
    job.pods.push(ended(Phase::Failed, 2));
    job.now = at(2);
    assert_eq!(job.step().wake, Some(at(12)));
}

fn ended(phase: Phase, second: i64) -> PodFacts {
    let mut pod = PodFacts::new("pod".to_owned(), NewPod::default());
    pod.phase = phase;
    pod.finished_at = Some(at(second));
    pod
}

#[test]
fn an_index_has_its_own_pause_which_grows_with_ignored_failures_too() {
    let ignore =
        json!({"rules": [{"action": "Ignore", "onExitCodes": {"operator": "In", "values": [9]}}]});
    let mut job = World::new(
        &json!({"completions": 2, "parallelism": 2, "completionMode": "Indexed", "backoffLimitPerIndex": 1, "podFailurePolicy": ignore}),
    );
    job.exit(0, &[9]);
    assert_eq!(
        job.pods[2].before,
        IndexFailures {
            counted: 0,
            ignored: 1
        }
    );
    let pod = &mut job.pods[2];
    pod.phase = Phase::Failed;
    pod.exits[..].clone_from_slice(&[]);
    pod.finished_at = Some(at(0));
    // Two failures: twenty seconds, and until the next Pod is there neither is counted that stands for it.
    assert_eq!(job.settle().wake, Some(at(20)));
    assert_eq!(job.told(), "active 1");
    job.now = at(20);
    job.settle();
    assert_eq!(job.told(), "active 2; failed 1");
    assert_eq!(
        job.pods[3].before,
        IndexFailures {
            counted: 1,
            ignored: 1
        }
    );
    job.exit(3, &[1]);
    assert_eq!(job.told(), "active 1; failed 2; failedIndexes 0");
}

#[test]
fn a_suspended_job_stops_its_pods_for_nothing_and_starts_anew() {
    let mut job = World::new(&json!({"backoffLimit": 0, "activeDeadlineSeconds": 30}));
    assert_eq!(job.conditions.started_at, Some(at(0)));
    job.rules.suspend = true;
    job.now = at(99);
    let step = job.settle();
    assert_eq!(step.wake, None);
    assert_eq!(job.told(), "Suspended=True JobSuspended");
    assert_eq!(job.conditions.started_at, None);
    job.rules.suspend = false;
    job.now = at(200);
    let step = job.settle();
    assert_eq!(job.told(), "active 1; Suspended=False JobResumed");
    assert_eq!(step.wake, Some(at(230)));
    job.exit(1, &[0]);
    assert_eq!(
        job.told(),
        format!("succeeded 1; Suspended=False JobResumed; {COMPLETE}")
    );
}

#[test]
fn a_pod_that_is_being_stopped_keeps_its_place_only_under_the_policy_failed() {
    for (policy, active) in [("TerminatingOrFailed", 2), ("Failed", 0)] {
        let mut job = World::new(
            &json!({"completions": 2, "parallelism": 2, "completionMode": "Indexed", "podReplacementPolicy": policy}),
        );
        job.rules.suspend = true;
        job.settle_with(false);
        assert_eq!(job.status()["terminating"], 2);
        job.rules.suspend = false;
        job.settle_with(false);
        assert_eq!(job.active().len(), active, "{policy}");
        job.vanish(0);
        job.vanish(1);
        job.settle();
        assert_eq!(job.active(), [Some(0), Some(1)], "{policy}");
    }
}

#[test]
fn a_job_is_finished_when_its_last_pod_has_gone() {
    let mut job = World::new(&json!({"completions": 3, "parallelism": 2, "backoffLimit": 0}));
    job.pods[0].phase = Phase::Failed;
    job.settle_with(false);
    assert_eq!(
        job.told(),
        "terminating 1; failed 2; FailureTarget=True BackoffLimitExceeded"
    );
    // However it ends.
    job.pods[1].phase = Phase::Succeeded;
    job.settle();
    assert_eq!(
        job.told(),
        format!("failed 2; {}", failed("BackoffLimitExceeded"))
    );
}

#[test]
fn work_that_is_done_is_done_even_when_nobody_looked_in_time() {
    let mut job = World::new(&json!({"activeDeadlineSeconds": 30}));
    job.now = at(99);
    job.exit(0, &[0]);
    assert_eq!(job.told(), format!("succeeded 1; {COMPLETE}"));
}

#[test]
fn a_job_is_failed_by_a_rule_before_anything_else() {
    let policy = json!({"rules": [{"action": "FailJob", "onExitCodes": {"operator": "In", "values": [42]}}]});
    let mut job = World::new(
        &json!({"backoffLimit": 0, "activeDeadlineSeconds": 1, "podFailurePolicy": policy}),
    );
    job.now = at(5);
    job.exit(0, &[42]);
    assert_eq!(
        job.told(),
        format!("failed 1; {}", failed("PodFailurePolicy"))
    );
}

#[test]
fn an_ignored_exit_of_a_pod_that_still_runs_is_not_counted_when_the_job_fails() {
    let policy = json!({"rules": [
        {"action": "Ignore", "onExitCodes": {"operator": "In", "values": [9]}},
    ]});
    let mut job = World::new(
        &json!({"completions": 2, "parallelism": 2, "backoffLimit": 0, "podFailurePolicy": policy}),
    );
    job.pods[1].exits = vec![ContainerExit {
        container: "c".to_owned(),
        is_init: false,
        code: 9,
    }];
    job.exit(0, &[1]);
    assert_eq!(
        job.told(),
        format!("failed 1; {}", failed("BackoffLimitExceeded"))
    );
}

#[test]
fn init_containers_are_looked_at_after_the_others() {
    let policy = json!({"rules": [{"action": "FailJob", "onExitCodes": {"operator": "NotIn", "values": [1]}}]});
    let mut job = World::new(&json!({"podFailurePolicy": policy}));
    let exit = |container: &str, is_init, code| ContainerExit {
        container: container.to_owned(),
        is_init,
        code,
    };
    job.pods[0].exits = vec![exit("proxy", true, 143), exit("c", false, 7)];
    job.pods[0].phase = Phase::Failed;
    job.step();
    assert!(job.message().contains("Container c "), "{}", job.message());
}
