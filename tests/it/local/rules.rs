//! The rules of the Job controller.

use super::*;

#[tokio::test]
async fn a_migration_runs_once_with_its_environment_and_not_again_after_a_restart() {
    let bench = Bench::new("migration");
    let out = display(&bench.path("out"));
    let mut migration = job(
        "migrate",
        &format!("echo migrated; env | sort | grep -v -e PWD -e SHLVL -e ^_= >>{out}"),
        &json!({"backoffLimit": 0}),
    );
    let container = main_container(&mut migration);
    container["envFrom"] = json!([{"configMapRef": {"name": "settings"}, "prefix": "APP_"}]);
    container["env"] = json!([
        {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "database", "key": "password"}}},
        {"name": "URL", "value": "db://$(PASSWORD)@$$(HOST)"},
        {"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['job-name']"}}},
        {"name": "ABSENT", "valueFrom": {"secretKeyRef": {"name": "no", "key": "no", "optional": true}}},
    ]);
    let running = Running::start(bench.open());
    assert_eq!(
        running.local.submit(migration.clone()).await.unwrap(),
        Submitted::Created
    );
    let view = running.until("migrate", JobPhase::Complete).await;
    assert_eq!(view.image, "example/image");
    let env: Vec<String> = bench
        .lines("out")
        .into_iter()
        .filter(|line| !line.starts_with("PATH="))
        .collect();
    assert_eq!(
        env,
        [
            "APP_MODE=fast",
            "NAME=migrate",
            "PASSWORD=s3cret",
            "URL=db://s3cret@$(HOST)"
        ]
    );
    let pods = bench.state().join("default/migrate/pods");
    let pod = std::fs::read_dir(pods).unwrap().next().unwrap().unwrap();
    assert_eq!(
        std::fs::read_to_string(pod.path().join("log")).unwrap(),
        "migrated\n"
    );
    let status = bench.status("migrate");
    assert_eq!(status["succeeded"], 1);
    assert!(status["completionTime"].is_string());
    assert_eq!(status["conditions"][1]["type"], "Complete");
    assert_eq!(status["conditions"][1]["reason"], "CompletionsReached");

    running.kill().await;
    let again = Running::start(bench.open());
    let submitted = again.local.submit(migration).await.unwrap();
    let Submitted::RanBefore(story) = submitted else {
        panic!("{submitted:?}");
    };
    assert!(story.starts_with("succeeded "), "{story}");
    assert!(again.local.is_idle());
    assert_eq!(bench.lines("out").len(), env.len() + 1);
}

#[tokio::test]
async fn twenty_completions_run_four_at_a_time() {
    let bench = Bench::new("twenty");
    let out = display(&bench.path("out"));
    let marker = format!("twenty-{}", std::process::id());
    let resize = job(
        "resize",
        &format!(": {marker}; sleep 0.4; echo done >>{out}"),
        &json!({"completions": 20, "parallelism": 4}),
    );
    let running = Running::start(bench.open());
    running.local.submit(resize).await.unwrap();
    let mut most = 0;
    await_until("twenty done", SOON, async || {
        most = most.max(groups(&marker).len());
        assert!(most <= 4, "{most} at once");
        running
            .view("resize")
            .filter(|view| view.phase == JobPhase::Complete)
    })
    .await;
    assert_eq!(most, 4);
    assert_eq!(bench.lines("out").len(), 20);
    assert_eq!(bench.status("resize")["succeeded"], 20);
}

#[tokio::test]
async fn an_indexed_job_runs_each_index_to_success_once() {
    let bench = Bench::new("indexed");
    let out = display(&bench.path("out"));
    // Index 2 fails the first time.
    let script = format!(
        "test $JOB_COMPLETION_INDEX != 2 || mkdir {out}.second 2>/dev/null && test $JOB_COMPLETION_INDEX = 2 && exit 3; echo $JOB_COMPLETION_INDEX >>{out}"
    );
    let chunks = job(
        "chunks",
        &script,
        &json!({"completions": 6, "parallelism": 3, "completionMode": "Indexed"}),
    );
    let running = Running::start(bench.open());
    running.local.submit(chunks).await.unwrap();
    running.until("chunks", JobPhase::Complete).await;
    let mut indexes = bench.lines("out");
    indexes.sort();
    assert_eq!(indexes, ["0", "1", "2", "3", "4", "5"]);
    let status = bench.status("chunks");
    assert_eq!(status["completedIndexes"], "0-5");
    assert_eq!(status["failed"], 1);
}

#[tokio::test]
async fn a_job_fails_after_one_failure_more_than_its_limit() {
    let bench = Bench::new("backoff");
    let out = display(&bench.path("out"));
    let broken = job(
        "broken",
        &format!("echo try >>{out}; exit 7"),
        &json!({"backoffLimit": 2}),
    );
    let local = bench.open();
    let mut facts = local.facts();
    let running = Running::start(local);
    running.local.submit(broken).await.unwrap();
    running.until("broken", JobPhase::Failed).await;
    assert_eq!(bench.lines("out").len(), 3);
    let conditions = &bench.status("broken")["conditions"];
    assert_eq!(conditions[1]["type"], "Failed");
    assert_eq!(conditions[1]["reason"], "BackoffLimitExceeded");
    let mut codes = Vec::new();
    while let Ok(fact) = facts.try_recv() {
        if let Fact::PodEnded { end, log, .. } = fact {
            assert!(log.exists());
            codes.push(format!("{end:?}"));
        }
    }
    assert_eq!(codes.len(), 3);
    assert!(codes[0].contains("Some(7)"), "{}", codes[0]);
}

#[tokio::test]
async fn a_missing_secret_fails_the_pod_with_its_name_in_the_log() {
    let bench = Bench::new("missing");
    let mut needy = job("needy", "true", &json!({"backoffLimit": 0}));
    main_container(&mut needy)["env"] =
        json!([{"name": "A", "valueFrom": {"secretKeyRef": {"name": "gone", "key": "k"}}}]);
    let running = Running::start(bench.open());
    running.local.submit(needy).await.unwrap();
    running.until("needy", JobPhase::Failed).await;
    let pods = bench.state().join("default/needy/pods");
    let pod = std::fs::read_dir(pods).unwrap().next().unwrap().unwrap();
    let log = std::fs::read_to_string(pod.path().join("log")).unwrap();
    assert!(log.contains("Secret default/gone"), "{log}");
}

#[tokio::test]
async fn a_deadline_ends_the_whole_process_group() {
    let bench = Bench::new("deadline");
    let marker = format!("61.{}", std::process::id());
    // The first ignores SIGTERM, and so does the child that it leaves behind.
    let stubborn = job(
        "stubborn",
        &format!("trap '' TERM; sleep {marker} & sleep {marker}"),
        &json!({"activeDeadlineSeconds": 1, "backoffLimit": 0}),
    );
    let mut stubborn = stubborn;
    stubborn["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = json!(0);
    let running = Running::start(bench.open());
    running.local.submit(stubborn).await.unwrap();
    running.until("stubborn", JobPhase::Running).await;
    running.until("stubborn", JobPhase::Failed).await;
    let conditions = &bench.status("stubborn")["conditions"];
    assert_eq!(conditions[0]["type"], "FailureTarget");
    assert_eq!(conditions[1]["reason"], "DeadlineExceeded");
    await_until("nothing is left", SOON, async || {
        (groups(&marker).is_empty()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn sigterm_comes_first_and_a_pod_may_end_well_on_it() {
    let bench = Bench::new("grace");
    let out = display(&bench.path("out"));
    let polite = job(
        "polite",
        &format!(
            "trap 'echo bye >>{out}; exit 0' TERM; echo up >>{out}; while :; do sleep 0.05; done"
        ),
        &json!({"activeDeadlineSeconds": 1}),
    );
    let running = Running::start(bench.open());
    running.local.submit(polite).await.unwrap();
    running.until("polite", JobPhase::Failed).await;
    assert_eq!(bench.lines("out"), ["up", "bye"]);
}

#[tokio::test]
async fn a_suspended_job_waits_and_one_that_is_suspended_later_starts_anew() {
    let bench = Bench::new("suspend");
    let out = display(&bench.path("out"));
    let script = format!("echo started >>{out}; test -e {out}.go || sleep 60");
    let mut gated = job(
        "gated",
        &script,
        &json!({"suspend": true, "backoffLimit": 0}),
    );
    let running = Running::start(bench.open());
    running.local.submit(gated.clone()).await.unwrap();
    running.until("gated", JobPhase::Suspended).await;
    await_until("the condition", SOON, async || {
        (bench.status("gated")["conditions"][0]["type"] == "Suspended").then_some(())
    })
    .await;
    assert!(running.local.is_idle());
    assert!(bench.lines("out").is_empty());

    gated["spec"]["suspend"] = json!(false);
    assert_eq!(
        running.local.submit(gated.clone()).await.unwrap(),
        Submitted::Updated
    );
    await_until("the first start", SOON, async || {
        (bench.lines("out").len() == 1).then_some(())
    })
    .await;
    gated["spec"]["suspend"] = json!(true);
    running.local.submit(gated.clone()).await.unwrap();
    running.until("gated", JobPhase::Suspended).await;
    assert_eq!(bench.status("gated")["failed"], 0);

    std::fs::write(bench.path("out.go"), "").unwrap();
    gated["spec"]["suspend"] = json!(false);
    running.local.submit(gated.clone()).await.unwrap();
    running.until("gated", JobPhase::Complete).await;
    assert_eq!(bench.lines("out").len(), 2);

    gated["spec"]["template"]["spec"]["containers"][0]["command"] = json!(["true"]);
    let refused = running.local.submit(gated).await.unwrap_err();
    assert!(matches!(refused, Error::Rejected { .. }), "{refused}");
}

#[tokio::test]
async fn a_finished_job_goes_when_its_ttl_has_passed() {
    let bench = Bench::new("ttl");
    let running = Running::start(bench.open());
    let mut facts = running.local.facts();
    let brief = job("brief", "true", &json!({"ttlSecondsAfterFinished": 0}));
    running.local.submit(brief).await.unwrap();
    await_until("it is gone", SOON, async || {
        running.view("brief").is_none().then_some(())
    })
    .await;
    assert!(!bench.state().join("default/brief").exists());
    let mut finished = 0;
    while let Ok(fact) = facts.try_recv() {
        finished += usize::from(matches!(fact, Fact::Finished { .. }));
    }
    assert_eq!(finished, 1);
}

#[tokio::test]
async fn a_work_queue_ends_when_one_succeeded_and_all_have_ended() {
    let bench = Bench::new("work-queue");
    let out = display(&bench.path("out"));
    // The first to make the folder is the one that succeeds at once.
    let script = format!("echo one >>{out}; mkdir {out}.first || sleep 0.2");
    let queue = job("queue", &script, &json!({"parallelism": 3}));
    let running = Running::start(bench.open());
    running.local.submit(queue).await.unwrap();
    running.until("queue", JobPhase::Complete).await;
    assert_eq!(bench.lines("out").len(), 3);
}

#[tokio::test]
async fn init_containers_come_first_and_containers_run_together() {
    let bench = Bench::new("containers");
    let out = display(&bench.path("out"));
    // Each main container waits for the other one's folder.
    let mut pair = job(
        "pair",
        &format!("echo a >>{out}; until test -d {out}.b; do sleep 0.02; done; mkdir {out}.a"),
        &json!({}),
    );
    let pod = &mut pair["spec"]["template"]["spec"];
    pod["initContainers"] = json!([
        {"name": "first", "command": ["sh", "-c", format!("sleep 0.1; echo first >>{out}")]},
        {"name": "second", "command": ["sh", "-c", format!("echo second >>{out}")]},
    ]);
    let other = format!("mkdir {out}.b; until test -d {out}.a; do sleep 0.02; done");
    pod["containers"]
        .as_array_mut()
        .unwrap()
        .push(json!({"name": "other", "command": ["sh", "-c", other]}));
    let running = Running::start(bench.open());
    running.local.submit(pair).await.unwrap();
    running.until("pair", JobPhase::Complete).await;
    assert_eq!(bench.lines("out"), ["first", "second", "a"]);
}

#[tokio::test]
async fn no_more_processes_than_allowed_whatever_the_jobs_ask_for() {
    let bench = Bench::new("processes");
    let mut settings = settings();
    settings.max_processes = NonZeroU32::new(2).unwrap();
    let running = Running::start(Local::open(&bench.state(), settings).unwrap());
    for number in 0..5 {
        let wide = job(
            &format!("wide-{number}"),
            "sleep 0.05",
            &json!({"completions": 3, "parallelism": 3}),
        );
        running.local.submit(wide).await.unwrap();
    }
    await_until("all done", SOON, async || {
        let jobs = running.local.views();
        let now: usize = jobs.iter().map(|view| view.running).sum();
        assert!(now <= 2, "{now} at once");
        jobs.iter()
            .all(|view| view.phase == JobPhase::Complete)
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_pods_own_deadline_fails_the_pod_and_not_yet_the_job() {
    let bench = Bench::new("pod-deadline");
    let out = display(&bench.path("out"));
    let script = format!("echo try >>{out}; test $(wc -l <{out}) -gt 1 || sleep 60");
    let mut slow = job("slow", &script, &json!({}));
    slow["spec"]["template"]["spec"]["activeDeadlineSeconds"] = json!(1);
    let running = Running::start(bench.open());
    running.local.submit(slow).await.unwrap();
    let view = running.until("slow", JobPhase::Complete).await;
    assert_eq!((view.succeeded, view.failed), (1, 1));
}
