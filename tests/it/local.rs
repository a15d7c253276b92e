//! Local Jobs, with real processes: what the Job controller promises, looked at from outside.
#![expect(
    clippy::unwrap_used,
    reason = "what helpers of tests cannot do, fails the test"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use secrecy::SecretString;
use serde_json::{Value, json};
use slipway::launch::local::{Fact, JobPhase, JobView, Local, OpenError, Settings, Submitted};
use slipway::launch::{Error, Launch, Launched, Launcher as _};
use slipway::lookup::{self, Authentication, Lookup};
use slipway::resource::{Api, ObjectId, Propagation};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::support::await_until;

const SOON: Duration = Duration::from_secs(20);

/// One Secret and one ConfigMap.
struct Files;

impl Lookup for Files {
    fn forget(&self, _namespace: Option<&str>) {}

    fn secret<'a>(
        &'a self,
        id: &'a ObjectId,
    ) -> BoxFuture<'a, Result<Option<BTreeMap<String, SecretString>>, lookup::Error>> {
        let data = BTreeMap::from([("password".to_owned(), SecretString::from("s3cret"))]);
        Box::pin(std::future::ready(Ok(
            (id.name == "database").then_some(data)
        )))
    }

    fn config_map<'a>(
        &'a self,
        id: &'a ObjectId,
    ) -> BoxFuture<'a, Result<Option<BTreeMap<String, String>>, lookup::Error>> {
        let data = BTreeMap::from([("MODE".to_owned(), "fast".to_owned())]);
        Box::pin(std::future::ready(Ok(
            (id.name == "settings").then_some(data)
        )))
    }

    fn service_account_annotations<'a>(
        &'a self,
        _id: &'a ObjectId,
    ) -> BoxFuture<'a, Result<Option<BTreeMap<String, String>>, lookup::Error>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    fn authentication<'a>(
        &'a self,
        _id: &'a ObjectId,
        _cluster: bool,
        _api: Api,
    ) -> BoxFuture<'a, Result<Option<Authentication>, lookup::Error>> {
        Box::pin(std::future::ready(Ok(None)))
    }
}

/// A state folder and a folder for what Jobs leave behind.
struct Bench {
    folder: PathBuf,
}

impl Bench {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("slipway-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self { folder }
    }

    fn state(&self) -> PathBuf {
        self.folder.join("state")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn open(&self) -> Local {
        Local::open(&self.state(), settings()).unwrap()
    }

    fn lines(&self, name: &str) -> Vec<String> {
        std::fs::read_to_string(self.path(name))
            .unwrap_or_default()
            .lines()
            .map(str::to_owned)
            .collect()
    }

    fn status(&self, job: &str) -> Value {
        let path = self.state().join("default").join(job).join("status.json");
        let text = std::fs::read_to_string(path).unwrap_or_else(|_| "{}".to_owned());
        serde_json::from_str(&text).unwrap()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        // A test that fails leaves its folder for looking at.
        if !std::thread::panicking() {
            drop(std::fs::remove_dir_all(&self.folder));
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a test's own clock and path")]
fn settings() -> Settings {
    Settings {
        backoff_base: Duration::from_millis(20),
        max_processes: NonZeroU32::new(64).unwrap(),
        clock: jiff::Timestamp::now,
        environment: BTreeMap::from([("PATH".to_owned(), std::env::var("PATH").unwrap().into())]),
        lookup: Arc::new(Files),
    }
}

/// A controller that runs until it is dropped, as `kill -9` would end it: no word to its processes.
struct Running {
    local: Local,
    tasks: JoinSet<()>,
}

impl Running {
    fn start(local: Local) -> Self {
        let mut tasks = JoinSet::new();
        let running = local.clone();
        tasks.spawn(async move { running.run(CancellationToken::new()).await });
        Self { local, tasks }
    }

    async fn kill(mut self) {
        self.tasks.shutdown().await;
    }

    fn view(&self, job: &str) -> Option<JobView> {
        let jobs = self.local.jobs();
        jobs.into_iter().find(|view| view.id.name == job)
    }

    async fn until(&self, job: &str, phase: JobPhase) -> JobView {
        await_until(&format!("{job} is {phase:?}"), SOON, async || {
            self.view(job).filter(|view| view.phase == phase)
        })
        .await
    }
}

fn job(name: &str, script: &str, spec: &Value) -> Value {
    let mut job = json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {"template": {"spec": {
            "restartPolicy": "Never",
            "containers": [{"name": "main", "image": "example/image", "command": ["sh", "-c", script]}],
        }}},
    });
    for (key, value) in spec.as_object().unwrap() {
        job["spec"][key] = value.clone();
    }
    job
}

fn main_container(job: &mut Value) -> &mut Value {
    &mut job["spec"]["template"]["spec"]["containers"][0]
}

/// Process groups with this text in a command line, as `/proc` shows them: one for each container.
fn groups(marker: &str) -> BTreeSet<String> {
    let own = std::process::id().to_string();
    std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy() != own)
        .filter_map(|entry| {
            let line = std::fs::read(entry.path().join("cmdline")).ok()?;
            let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
            let group = stat.rsplit_once(')')?.1.split_whitespace().nth(2)?;
            String::from_utf8_lossy(&line)
                .contains(marker)
                .then(|| group.to_owned())
        })
        .collect()
}

fn display(path: &Path) -> String {
    path.display().to_string()
}

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
    assert_eq!(
        again.local.submit(migration).await.unwrap(),
        Submitted::AlreadyThere
    );
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
        &format!(": {marker}; sleep 0.1; echo done >>{out}"),
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
    let bench = Bench::new("queue");
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
        let jobs = running.local.jobs();
        let now: usize = jobs.iter().map(|view| view.running).sum();
        assert!(now <= 2, "{now} at once");
        jobs.iter()
            .all(|view| view.phase == JobPhase::Complete)
            .then_some(())
    })
    .await;
}

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
    let running = Running::start(bench.open());
    running
        .local
        .submit(job("lost", &script, &json!({})))
        .await
        .unwrap();
    await_until("it has started", SOON, async || {
        (bench.lines("out").len() == 1).then_some(())
    })
    .await;
    running.kill().await;
    // The shell around the command leads the group: its id is in the record.
    let pods = bench.state().join("default/lost/pods");
    let pod = std::fs::read_dir(pods).unwrap().next().unwrap().unwrap();
    let record = std::fs::read_to_string(pod.path().join("main.process")).unwrap();
    let group = record.split_whitespace().next().unwrap();
    let killed = std::process::Command::new("kill")
        .args(["-9", "--", &format!("-{group}")])
        .status()
        .unwrap();
    assert!(killed.success());
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

fn launch(name: &str, occurrence: &str, script: &str) -> Launch {
    let mut manifest = job(name, script, &json!({}));
    manifest["metadata"]["labels"] = json!({"slipway.dev/scaledjob": "orders"});
    Launch {
        id: ObjectId::new("default", name),
        occurrence: occurrence.to_owned(),
        manifest,
    }
}

#[tokio::test]
async fn a_name_is_made_once_by_its_occurrence_and_by_no_other() {
    let bench = Bench::new("names");
    let local = bench.open();
    let first = launch("orders-x", "one", "true");
    let racing = futures::future::join_all((0..8).map(|_| local.launch(&first))).await;
    let made = racing
        .iter()
        .filter(|result| matches!(result, Ok(Launched::Created)))
        .count();
    assert_eq!(made, 1);
    assert_eq!(local.launch(&first).await.unwrap(), Launched::AlreadyThere);
    let other = launch("orders-x", "two", "true");
    let taken = local.launch(&other).await.unwrap_err();
    assert!(matches!(taken, Error::NameTaken { .. }));
    drop(local);
    let again = bench.open();
    assert_eq!(again.launch(&first).await.unwrap(), Launched::AlreadyThere);
    let taken = again.launch(&other).await.unwrap_err();
    assert!(matches!(taken, Error::NameTaken { .. }));
    for name in ["../x", "a/b", ".new", "A", ""] {
        let refused = again.launch(&launch(name, "three", "true")).await;
        assert!(matches!(refused, Err(Error::Rejected { .. })), "{name}");
    }
}

#[tokio::test]
async fn a_deleted_job_is_gone_at_once_and_its_processes_soon_after() {
    let bench = Bench::new("delete");
    let marker = format!("62.{}", std::process::id());
    let running = Running::start(bench.open());
    let launch = launch("orders-y", "one", &format!("sleep {marker}"));
    running.local.launch(&launch).await.unwrap();
    running.until("orders-y", JobPhase::Running).await;
    let stored = bench.state().join("default/orders-y/job.json");
    let stored: Value = serde_json::from_slice(&std::fs::read(stored).unwrap()).unwrap();
    let uid = stored["metadata"]["uid"].as_str().unwrap();
    let delete = async |uid: &str| {
        running
            .local
            .delete(&launch.id, uid, Propagation::Background)
            .await
            .unwrap();
    };
    delete("another").await;
    assert!(running.view("orders-y").is_some());
    await_until("it runs", SOON, async || {
        (!groups(&marker).is_empty()).then_some(())
    })
    .await;
    delete(uid).await;
    delete(uid).await;
    assert!(running.view("orders-y").is_none());
    await_until("its processes are gone", SOON, async || {
        (groups(&marker).is_empty()).then_some(())
    })
    .await;
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
