//! The 22 Jobs that were measured on the real kube-controller-manager 1.36.3, the kubelet played.

use super::*;

fn exit_codes(action: &str, operator: &str, values: &[i32]) -> Value {
    json!({"rules": [{"action": action, "onExitCodes": {"operator": operator, "values": values}}]})
}

#[test]
fn completions_are_reached() {
    let mut one = World::new(&json!({}));
    one.exit(0, &[0]);
    assert_eq!(one.told(), format!("succeeded 1; {COMPLETE}"));
    assert_eq!(one.message(), "Reached expected number of succeeded pods");

    let mut five = World::new(&json!({"completions": 5, "parallelism": 3}));
    for pod in 0..5 {
        assert_eq!(five.active().len(), 3.min(5 - pod));
        five.exit(pod, &[0]);
    }
    assert_eq!(five.told(), format!("succeeded 5; {COMPLETE}"));

    let mut queue = World::new(&json!({"parallelism": 3}));
    for pod in 0..3 {
        assert_eq!(queue.active().len(), 3 - pod);
        queue.exit(pod, &[0]);
    }
    assert_eq!(queue.told(), format!("succeeded 3; {COMPLETE}"));

    assert_eq!(World::new(&json!({"completions": 0})).told(), COMPLETE);
}

#[test]
fn the_backoff_limit_is_exceeded() {
    let mut none = World::new(&json!({"backoffLimit": 0}));
    none.exit(0, &[1]);
    let reason = failed("BackoffLimitExceeded");
    assert_eq!(none.told(), format!("failed 1; {reason}"));
    assert_eq!(
        none.message(),
        "Job has reached the specified backoff limit"
    );

    let mut one = World::new(&json!({"backoffLimit": 1}));
    one.exit(0, &[1]).exit(1, &[1]);
    assert_eq!(one.told(), format!("failed 2; {reason}"));

    let mut again = World::new(&json!({"backoffLimit": 3}));
    again.exit(0, &[1]).exit(1, &[0]);
    assert_eq!(again.told(), format!("succeeded 1; failed 1; {COMPLETE}"));
}

#[test]
fn a_rule_fails_the_job_and_pods_that_run_count() {
    let policy = exit_codes("FailJob", "In", &[42]);
    let mut one = World::new(&json!({"podFailurePolicy": policy}));
    one.exit(0, &[42]);
    let reason = failed("PodFailurePolicy");
    assert_eq!(one.told(), format!("failed 1; {reason}"));
    assert_eq!(
        one.message(),
        "Container c for pod ns/pod-0 failed with exit code 42 matching FailJob rule at index 0"
    );

    let mut three = World::new(
        &json!({"podFailurePolicy": policy, "completions": 3, "parallelism": 3, "completionMode": "Indexed"}),
    );
    three.exit(0, &[42]);
    assert_eq!(three.told(), format!("failed 3; {reason}"));
}

#[test]
fn a_rule_may_be_about_one_container() {
    let mut policy = exit_codes("FailJob", "In", &[3]);
    policy["rules"][0]["onExitCodes"]["containerName"] = json!("side");
    let mut other = World::new(&json!({"podFailurePolicy": policy, "backoffLimit": 0}));
    other.exit(0, &[3, 0]);
    assert_eq!(
        other.told(),
        format!("failed 1; {}", failed("BackoffLimitExceeded"))
    );
    let mut job = World::new(&json!({"podFailurePolicy": policy}));
    job.exit(0, &[0, 3]);
    assert_eq!(
        job.told(),
        format!("failed 1; {}", failed("PodFailurePolicy"))
    );
    assert!(job.message().starts_with("Container side for pod"));
}

#[test]
fn disruptions_are_ignored_where_a_rule_says_so() {
    let policy =
        json!({"rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}]});
    let mut job = World::new(&json!({"podFailurePolicy": policy, "backoffLimit": 0}));
    job.disrupt(0).exit(1, &[0]);
    assert_eq!(job.told(), format!("succeeded 1; {COMPLETE}"));

    let fails = json!({"rules": [{"action": "FailJob", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]});
    let mut job = World::new(&json!({"podFailurePolicy": fails}));
    job.disrupt(0);
    assert_eq!(
        job.message(),
        "Pod ns/pod-0 has condition DisruptionTarget matching FailJob rule at index 0"
    );
}

#[test]
fn what_a_rule_counts_is_counted() {
    let policy = exit_codes("Count", "NotIn", &[5]);
    let mut job = World::new(&json!({"podFailurePolicy": policy, "backoffLimit": 0}));
    job.exit(0, &[1]);
    assert_eq!(
        job.told(),
        format!("failed 1; {}", failed("BackoffLimitExceeded"))
    );
}

fn indexed(more: &Value) -> World {
    let mut spec = json!({"completions": 3, "parallelism": 3, "completionMode": "Indexed"});
    for (key, value) in more.as_object().unwrap() {
        spec[key] = value.clone();
    }
    World::new(&spec)
}

#[test]
fn a_failed_index_fails_the_job_when_all_are_done() {
    let mut job = indexed(&json!({"backoffLimitPerIndex": 0}));
    job.exit(1, &[1]).exit(0, &[0]);
    assert_eq!(
        job.told(),
        "active 1; succeeded 1; failed 1; completedIndexes 0; failedIndexes 1"
    );
    job.exit(2, &[0]);
    let reason = failed("FailedIndexes");
    assert_eq!(
        job.told(),
        format!("succeeded 2; failed 1; completedIndexes 0,2; failedIndexes 1; {reason}")
    );
    assert_eq!(job.message(), "Job has failed indexes");
}

#[test]
fn too_many_failed_indexes_fail_the_job_at_once() {
    let mut job = indexed(&json!({"backoffLimitPerIndex": 0, "maxFailedIndexes": 1}));
    job.exit(0, &[1]).exit(1, &[1]);
    // The Pod of index 2 runs, and is a failure with the Job; its index is not.
    assert_eq!(
        job.told(),
        format!(
            "failed 3; failedIndexes 0,1; {}",
            failed("MaxFailedIndexesExceeded")
        )
    );
    assert_eq!(
        job.message(),
        "Job has exceeded the specified maximal number of failed indexes"
    );
}

#[test]
fn a_rule_fails_an_index_without_another_try() {
    let policy = exit_codes("FailIndex", "In", &[7]);
    let mut job = World::new(
        &json!({"completions": 2, "parallelism": 2, "completionMode": "Indexed", "backoffLimitPerIndex": 2, "podFailurePolicy": policy}),
    );
    job.exit(0, &[7]);
    assert_eq!(job.active(), [Some(1)]);
    job.exit(1, &[0]);
    assert_eq!(
        job.told(),
        format!(
            "succeeded 1; failed 1; completedIndexes 1; failedIndexes 0; {}",
            failed("FailedIndexes")
        )
    );
}

#[test]
fn a_success_policy_ends_the_job_and_what_runs_counts_for_nothing() {
    let mut leader = indexed(&json!({"successPolicy": {"rules": [{"succeededIndexes": "0"}]}}));
    leader.exit(1, &[0]);
    assert_eq!(leader.active().len(), 2);
    leader.exit(0, &[0]);
    assert_eq!(
        leader.told(),
        format!("succeeded 2; completedIndexes 0,1; {SUCCESS_POLICY}")
    );
    assert_eq!(leader.message(), "Matched rules at index 0");

    let rule = json!({"succeededIndexes": "1-3", "succeededCount": 2});
    let mut some = World::new(
        &json!({"completions": 4, "parallelism": 4, "completionMode": "Indexed", "successPolicy": {"rules": [rule]}}),
    );
    some.exit(1, &[0]).exit(3, &[0]);
    assert_eq!(
        some.told(),
        format!("succeeded 2; completedIndexes 1,3; {SUCCESS_POLICY}")
    );
}

#[test]
fn a_job_that_runs_too_long_fails_with_its_pods() {
    let mut job = World::new(&json!({"activeDeadlineSeconds": 4}));
    assert_eq!(job.settle().wake, Some(at(4)));
    job.now = at(4);
    job.settle();
    assert_eq!(
        job.told(),
        format!("failed 1; {}", failed("DeadlineExceeded"))
    );
    assert_eq!(
        job.message(),
        "Job was active longer than specified deadline"
    );
}

#[test]
fn restarts_in_place_count_towards_the_limit() {
    let reason = failed("BackoffLimitExceeded");
    let mut twice = World::new(&json!({"backoffLimit": 2, "template": on_failure()}));
    twice.restart(0, 1);
    assert_eq!(twice.told(), "active 1");
    twice.restart(0, 1);
    assert_eq!(twice.told(), format!("failed 1; {reason}"));

    let mut none = World::new(&json!({"backoffLimit": 0, "template": on_failure()}));
    assert_eq!(none.told(), "active 1");
    none.restart(0, 1);
    assert_eq!(none.told(), format!("failed 1; {reason}"));

    let mut ended =
        World::new(&json!({"backoffLimit": 2, "completions": 2, "template": on_failure()}));
    ended.restart(0, 1).exit(0, &[0]).restart(1, 1);
    assert_eq!(ended.told(), "active 1; succeeded 1");
    let mut never = World::new(&json!({"backoffLimit": 1}));
    never.restart(0, 5);
    assert_eq!(never.told(), "active 1");
}

#[test]
fn no_parallelism_no_pod() {
    let held = World::new(&json!({"parallelism": 0, "completions": 1}));
    assert_eq!((held.told().as_str(), held.pods.len()), ("", 0));
}
