//! What a controller finds when another one was here before it.

use std::cell::Cell;

use super::*;

#[tokio::test]
async fn processes_outlive_the_controller_and_are_taken_up_by_the_next() {
    let bench = Bench::new("orphans");
    let out = display(&bench.path("out"));
    let script = format!("echo start >>{out}; until test -e {out}.go; do sleep 0.02; done; exit 0");
    let running = Running::start(bench.open());
    for name in ["ends-before", "ends-after"] {
        let script = script.replace(".go", &format!(".{name}"));
        let job = job(name, &script, &json!({"backoffLimit": 0}));
        running.local.submit(job).await.unwrap();
    }
    await_until("both have started", SOON, async || {
        (bench.lines("out").len() == 2).then_some(())
    })
    .await;
    running.kill().await;
    // One ends while nobody looks, one under the next controller.
    std::fs::write(bench.path("out.ends-before"), "").unwrap();
    let exit = bench.state().join("default/ends-before/pods");
    await_until("its exit is written", SOON, async || {
        let pod = std::fs::read_dir(&exit).ok()?.next()?.ok()?;
        pod.path().join("main.exit").exists().then_some(())
    })
    .await;
    let again = Running::start(bench.open());
    again.until("ends-before", JobPhase::Complete).await;
    again.until("ends-after", JobPhase::Running).await;
    std::fs::write(bench.path("out.ends-after"), "").unwrap();
    again.until("ends-after", JobPhase::Complete).await;
    assert_eq!(bench.lines("out").len(), 2, "nothing started twice");
}

#[tokio::test]
async fn a_pod_that_vanished_with_its_controller_counts_as_failed_and_is_tried_again() {
    let bench = Bench::new("lost");
    let out = display(&bench.path("out"));
    let script = format!("echo $$ >>{out}; test $(wc -l <{out}) -gt 1 || sleep 60");
    let running = bench.wrote(job("lost", &script, &json!({})), 1).await;
    running.kill().await;
    // The shell around the command leads the group: its id is in the record.
    let pods = bench.state().join("default/lost/pods");
    let pod = std::fs::read_dir(pods).unwrap().next().unwrap().unwrap();
    let record = std::fs::read_to_string(pod.path().join("main.process")).unwrap();
    let group = record.split_whitespace().next().unwrap();
    kill_group(group);
    let again = Running::start(bench.open());
    again.until("lost", JobPhase::Complete).await;
    assert_eq!(bench.lines("out").len(), 2);
    assert_eq!(bench.status("lost")["failed"], 1);
}

#[tokio::test]
async fn controllers_that_are_killed_again_and_again_run_every_job_once() {
    let bench = Bench::new("killed");
    let out = display(&bench.path("out"));
    for round in 0..12 {
        let running = Running::start(bench.open());
        for number in 0..20 {
            let name = format!("job-{number}");
            let script = format!("sleep 0.0{}; echo {name} >>{out}", number % 10);
            let job = job(&name, &script, &json!({}));
            running.local.submit(job).await.unwrap();
            if number == round {
                break;
            }
        }
        // Somewhere in the middle: as soon as one more line is there.
        let before = bench.lines("out").len();
        await_until("one more", SOON, async || {
            (bench.lines("out").len() > before || running.local.is_idle()).then_some(())
        })
        .await;
        running.kill().await;
    }
    let running = Running::start(bench.open());
    await_until("all done", SOON, async || {
        running.local.is_idle().then_some(())
    })
    .await;
    let mut lines = bench.lines("out");
    lines.sort();
    let mut expected: Vec<String> = (0..12).map(|number| format!("job-{number}")).collect();
    expected.sort();
    assert_eq!(lines, expected);
}

#[tokio::test]
async fn ended_processes_start_anew_and_count_for_nothing() {
    let bench = Bench::new("terminate");
    let out = display(&bench.path("out"));
    let script = format!("echo start >>{out}; test $(wc -l <{out}) -gt 1 || sleep 60");
    let local = bench.open();
    let running = Running::start(local.clone());
    let job = job("patient", &script, &json!({"backoffLimit": 0}));
    running.local.submit(job).await.unwrap();
    await_until("it has started", SOON, async || {
        (bench.lines("out").len() == 1).then_some(())
    })
    .await;
    running.kill().await;
    local.terminate().await;
    drop(local);
    let again = Running::start(bench.open());
    again.until("patient", JobPhase::Complete).await;
    assert_eq!(bench.lines("out").len(), 2);
    assert_eq!(bench.status("patient")["failed"], 0);
}

#[tokio::test]
async fn one_state_folder_has_one_controller() {
    let bench = Bench::new("lock");
    let first = bench.open();
    let second = Local::open(&bench.state(), settings());
    assert!(matches!(second.map(drop), Err(OpenError::InUse { .. })));
    drop(first);
    bench.open();
}

#[tokio::test]
async fn a_panic_over_one_job_stays_with_that_job_until_it_changes() {
    thread_local! {
        /// Of the thread that Jobs are driven on; who submits one reads the clock on another.
        static PLANTED: Cell<bool> = const { Cell::new(false) };
    }
    let clock = || {
        assert!(!PLANTED.take(), "planted by a test");
        (settings().clock)()
    };
    let bench = Bench::new("panic");
    let settings = LocalSettings {
        clock,
        ..settings()
    };
    let running = Running::start(Local::open(&bench.state(), settings).unwrap());
    let submit = async |name: &str, spec: Value| {
        let submitted = running.local.submit(job(name, "true", &spec));
        submitted.await.unwrap()
    };
    submit("bad", json!({"suspend": true})).await;
    await_until("it has been looked at", SOON, async || {
        (bench.status("bad")["conditions"][0]["type"] == "Suspended").then_some(())
    })
    .await;
    PLANTED.set(true);
    submit("bad", json!({"suspend": false})).await;
    await_until("it has panicked", SOON, async || {
        (!PLANTED.get()).then_some(())
    })
    .await;
    submit("good", json!({})).await;
    running.until("good", JobPhase::Complete).await;
    assert_eq!(running.view("bad").unwrap().phase, JobPhase::Waiting);
    submit("bad", json!({"suspend": false, "backoffLimit": 1})).await;
    running.until("bad", JobPhase::Complete).await;
}
