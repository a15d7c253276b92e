use super::*;

#[test]
fn the_manifest_is_one_that_can_be_read_and_names_the_program_safely() {
    let program = Path::new("/opt/it's here/slipway");
    let text = manifest("127.0.0.1:9092", program, Path::new("/tmp/done"));
    let document: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
    assert_eq!(document["kind"], "ScaledJob");
    assert_eq!(
        document["spec"]["triggers"][0]["metadata"]["lagThreshold"],
        "5"
    );
    let command = document
        .pointer("/spec/jobTargetRef/template/metadata/annotations/slipway.dev~1local-command")
        .unwrap();
    let command = command.as_str().unwrap();
    assert!(
        command.starts_with(r"exec '/opt/it'\''s here/slipway' demo-worker --brokers"),
        "{command}"
    );
}

#[test]
fn the_manifest_calls_the_worker_with_arguments_that_it_takes() {
    #[derive(clap::Parser)]
    struct WorkerCommand {
        #[command(flatten)]
        args: worker::Args,
    }
    let text = manifest("127.0.0.1:9092", Path::new("slipway"), Path::new("done"));
    let (_, words) = text.split_once("'slipway' ").unwrap();
    let (words, _) = words.split_once("\"\n").unwrap();
    let args = <WorkerCommand as clap::Parser>::parse_from(words.split_whitespace()).args;
    assert_eq!(args.topic, TOPIC);
    assert_eq!(args.partitions, PARTITIONS);
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_of_one_group_work_the_backlog_off() {
    let folder = std::env::temp_dir().join(format!("slipway-demo-{}", std::process::id()));
    let stage = Stage::set_up(&folder, Path::new("slipway")).await.unwrap();
    assert!(stage.manifest().is_file());
    let args = worker::Args {
        brokers: stage.cluster.brokers().to_owned(),
        topic: TOPIC.to_owned(),
        partitions: PARTITIONS,
        group: GROUP.to_owned(),
        messages: PER_JOB,
        work_milliseconds: 10,
        done: stage.done(),
    };
    let start = tokio::time::Instant::now();
    let mut done = 0;
    // As Jobs would: as many workers as partitions, and then the next ones.
    while done < MESSAGES {
        let workers = (0..PARTITIONS).map(|_| worker::run(&args));
        let ends = futures::future::try_join_all(workers).await.unwrap();
        done += ends.iter().sum::<u32>();
    }
    let summary = stage.summary(&[], start.elapsed()).unwrap();
    assert_eq!(
        summary.done,
        usize::try_from(MESSAGES).unwrap(),
        "{summary}"
    );
    assert_eq!(summary.duplicates, 0, "{summary}");
    // Nobody delivered an event.
    assert!(!summary.is_success(), "{summary}");
    drop(stage);
    assert!(!folder.exists());
}

#[test]
fn both_manifests_are_right() {
    let manifest = renewals::manifest(&RenewalKey::new(), Path::new("/tmp/it's/renewed"));
    let orders = super::manifest("127.0.0.1:9092", Path::new("slipway"), Path::new("done"));
    let texts = [
        ("renewals.yaml", manifest.as_str()),
        ("orders.yaml", &orders),
    ];
    let manifests = crate::manifest::Manifests::from_texts(texts);
    assert!(manifests.faults.is_empty(), "{:?}", manifests.faults);
    assert_eq!(manifests.event_jobs.len(), 1);
    assert_eq!(manifests.scaled_jobs.len(), 1);
}
