use super::*;

const BASE: Duration = Duration::from_secs(10);

fn rules() -> JobRules {
    JobRules {
        completions: Some(1),
        parallelism: 1,
        indexed: false,
        backoff_limit: 6,
        active_deadline: None,
        suspend: false,
        ttl: None,
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + second).unwrap()
}

fn pod(index: Option<u32>, phase: Phase, end: i64) -> PodFacts {
    PodFacts {
        index,
        phase,
        finished_at: (!phase.is_live()).then(|| at(end)),
    }
}

fn started() -> Decided {
    Decided {
        started_at: Some(at(0)),
        ending: None,
    }
}

fn go(start: Vec<Option<u32>>, wake: Option<Timestamp>) -> JobStep {
    JobStep::Go {
        start,
        excess: 0,
        wake,
    }
}

#[test]
fn no_more_pods_than_parallelism_and_no_more_than_completions_left() {
    let twenty = JobRules {
        completions: Some(20),
        parallelism: 4,
        ..rules()
    };
    assert_eq!(
        next(&twenty, &[], started(), at(0), BASE),
        go(vec![None; 4], None)
    );
    let mut pods = vec![pod(None, Phase::Succeeded, 1); 18];
    pods.push(pod(None, Phase::Running, 0));
    assert_eq!(
        next(&twenty, &pods, started(), at(2), BASE),
        go(vec![None; 1], None)
    );
    let wide = JobRules {
        parallelism: 1,
        ..twenty
    };
    let two = [pod(None, Phase::Running, 0); 2];
    assert_eq!(
        next(&wide, &two, started(), at(2), BASE),
        JobStep::Go {
            start: Vec::new(),
            excess: 1,
            wake: None
        }
    );
}

#[test]
fn zero_completions_are_complete_and_zero_parallelism_waits() {
    let none = JobRules {
        completions: Some(0),
        ..rules()
    };
    assert_eq!(
        next(&none, &[], started(), at(0), BASE),
        JobStep::Decide(Ending::CompletionsReached)
    );
    let held = JobRules {
        parallelism: 0,
        ..rules()
    };
    assert_eq!(next(&held, &[], started(), at(0), BASE), go(vec![], None));
}

#[test]
fn an_index_runs_again_until_it_has_succeeded_once() {
    let indexed = JobRules {
        completions: Some(4),
        parallelism: 3,
        indexed: true,
        ..rules()
    };
    let pods = [
        pod(Some(0), Phase::Succeeded, 30),
        pod(Some(1), Phase::Failed, 5),
        pod(Some(2), Phase::Running, 0),
    ];
    assert_eq!(
        next(&indexed, &pods, started(), at(40), BASE),
        go(vec![Some(1), Some(3)], None)
    );
}

#[test]
fn a_work_queue_is_done_when_one_succeeded_and_all_ended() {
    let queue = JobRules {
        completions: None,
        parallelism: 3,
        ..rules()
    };
    assert_eq!(
        next(&queue, &[], started(), at(0), BASE),
        go(vec![None; 3], None)
    );
    let winding_up = [
        pod(None, Phase::Succeeded, 1),
        pod(None, Phase::Running, 0),
        pod(None, Phase::Failed, 1),
    ];
    assert_eq!(
        next(&queue, &winding_up, started(), at(2), BASE),
        go(vec![], None)
    );
    assert_eq!(
        next(
            &queue,
            &[winding_up[0], winding_up[2]],
            started(),
            at(2),
            BASE
        ),
        JobStep::Decide(Ending::CompletionsReached)
    );
}

#[test]
fn the_pause_after_a_failure_doubles_up_to_ten_minutes_and_a_success_resets_it() {
    let job = JobRules {
        completions: Some(2),
        backoff_limit: 100,
        ..rules()
    };
    let cases = [(1, 10), (2, 20), (3, 40), (6, 320), (7, 600), (50, 600)];
    for (failures, pause) in cases {
        let pods = vec![pod(None, Phase::Failed, 0); failures];
        assert_eq!(
            next(&job, &pods, started(), at(0), BASE),
            go(vec![], Some(at(pause))),
            "{failures} failures"
        );
        assert_eq!(
            next(&job, &pods, started(), at(pause), BASE),
            go(vec![None], None)
        );
    }
    let mut pods = vec![pod(None, Phase::Failed, 0); 5];
    pods.push(pod(None, Phase::Succeeded, 1));
    assert_eq!(
        next(&job, &pods, started(), at(1), BASE),
        go(vec![None], None)
    );
    pods.push(pod(None, Phase::Failed, 2));
    assert_eq!(
        next(&job, &pods, started(), at(2), BASE),
        go(vec![], Some(at(12)))
    );
}

#[test]
fn one_failure_more_than_the_limit_ends_the_job_after_its_other_pods() {
    let job = JobRules {
        completions: Some(5),
        parallelism: 2,
        backoff_limit: 1,
        ..rules()
    };
    let pods = [
        pod(None, Phase::Failed, 1),
        pod(None, Phase::Failed, 2),
        pod(None, Phase::Running, 0),
    ];
    let decided = JobStep::Decide(Ending::BackoffLimitExceeded);
    assert_eq!(next(&job, &pods, started(), at(3), BASE), decided);
    let ending = Decided {
        ending: Some(Ending::BackoffLimitExceeded),
        ..started()
    };
    assert_eq!(next(&job, &pods, ending, at(3), BASE), JobStep::StopAll);
    assert_eq!(
        next(&job, &pods[..2], ending, at(3), BASE),
        JobStep::Finish(Ending::BackoffLimitExceeded)
    );
}

#[test]
fn the_deadline_counts_from_the_start_and_not_while_suspended() {
    let job = JobRules {
        active_deadline: Some(Duration::from_secs(30)),
        ..rules()
    };
    let running = [pod(None, Phase::Running, 0)];
    assert_eq!(
        next(&job, &running, started(), at(29), BASE),
        go(vec![], Some(at(30)))
    );
    assert_eq!(
        next(&job, &running, started(), at(30), BASE),
        JobStep::Decide(Ending::DeadlineExceeded)
    );
    let suspended = JobRules {
        suspend: true,
        ..job.clone()
    };
    assert_eq!(
        next(&suspended, &[], Decided::default(), at(99), BASE),
        go(vec![], None)
    );
    let done = [pod(None, Phase::Succeeded, 5)];
    assert_eq!(
        next(&job, &done, started(), at(99), BASE),
        JobStep::Decide(Ending::CompletionsReached)
    );
}

#[test]
fn a_suspended_job_stops_its_pods_and_they_do_not_count_as_failures() {
    let suspended = JobRules {
        suspend: true,
        backoff_limit: 0,
        ..rules()
    };
    let running = [pod(None, Phase::Running, 0)];
    assert_eq!(
        next(&suspended, &running, started(), at(1), BASE),
        JobStep::StopAll
    );
    let resumed = JobRules {
        suspend: false,
        ..suspended
    };
    let removed = [pod(None, Phase::Removed, 1)];
    assert_eq!(
        next(&resumed, &removed, started(), at(1), BASE),
        go(vec![None], None)
    );
}
