use super::*;

fn texts(findings: &[Finding]) -> Vec<String> {
    findings.iter().map(Finding::to_string).collect()
}

#[test]
fn faults_of_all_files_come_together_with_their_places() {
    let manifests = Manifests::from_texts([
        (
            "a.yaml",
            "apiVersion: slipway.dev/v1alpha1\nkind: ScaledJob\nmetadata: {name: one}\nspec:\n  jobTargetRef: {}\n  triggers: []\n",
        ),
        (
            "b.yaml",
            "apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: shop}\ndata:\n  key: '%'\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: shop}\n---\n[1\n",
        ),
        ("c.yaml", "# nothing\n"),
        (
            "d.yaml",
            "apiVersion: slipway.dev/v1alpha1\nkind: EventThing\nmetadata: {name: e}\n---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\n---\napiVersion: batch/v1\nkind: Job\nmetadata: {name: j}\n",
        ),
    ]);
    assert_eq!(
        texts(&manifests.faults),
        [
            "a.yaml:5:3: ScaledJob default/one: spec.jobTargetRef.template: is required",
            "b.yaml:5:3: Secret shop/s: data[\"key\"]: must be base64: write plain text under stringData instead",
            "b.yaml:11:1: unclosed bracket '['",
            "d.yaml:2:1: EventThing default/e: kind: slipway.dev/v1alpha1 EventThing is not supported by this version; there are ScaledJob, EventJob, TriggerAuthentication and ClusterTriggerAuthentication of slipway.dev/v1alpha1",
        ]
    );
    assert_eq!(
        texts(&manifests.warnings),
        ["b.yaml:9:12: Secret shop/s: metadata.name: is in b.yaml:1:1 already"]
    );
    assert_eq!(
        texts(&manifests.notes),
        [
            "c.yaml:1:1: holds no document",
            "d.yaml:5:1: Deployment default/d: apps/v1 Deployment is not read",
        ]
    );
    assert_eq!(manifests.jobs, [5]);
    assert!(manifests.scaled_jobs.is_empty());
}

#[test]
fn what_is_nothing_for_us_is_a_note_and_what_nobody_knows_is_a_fault() {
    let manifests = Manifests::from_texts([
        ("kustomization.yaml", "resources: [a.yaml]\n"),
        (
            "k2.yaml",
            "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n",
        ),
        (
            "policy.json",
            "{\"Version\": \"2012-10-17\", \"Statement\": []}",
        ),
        (
            "two.yaml",
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\n---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\n",
        ),
        (
            "cron.yaml",
            "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: c}\nspec: {schedule: '@daily', jobTemplate: {spec: {}}}\n",
        ),
        (
            "old.yaml",
            "apiVersion: batch/v1beta1\nkind: CronJob\nmetadata: {name: c}\n",
        ),
        (
            "jobs.yaml",
            "apiVersion: batch/v1\nkind: Jobs\nmetadata: {name: j}\n",
        ),
        (
            "core.yaml",
            "apiVersion: v1\nkind: Job\nmetadata: {name: j}\n",
        ),
        (
            "keda.yaml",
            "apiVersion: keda.sh/v1alpha1\nkind: Scaledjob\nmetadata: {name: s}\n",
        ),
    ]);
    let files = |findings: &[Finding]| -> Vec<String> {
        findings
            .iter()
            .map(|finding| finding.file.clone())
            .collect()
    };
    let not_ours = [
        "kustomization.yaml",
        "k2.yaml",
        "policy.json",
        "two.yaml",
        "two.yaml",
    ];
    assert_eq!(files(&manifests.notes), not_ours);
    assert_eq!(manifests.warnings, []);
    assert_eq!(manifests.cron_jobs.len(), 1);
    let unknown = ["old.yaml", "jobs.yaml", "core.yaml", "keda.yaml"];
    assert_eq!(files(&manifests.faults), unknown);
    assert_eq!(manifests.unread, 5);
}

#[tokio::test]
async fn folders_are_read_by_name_and_what_is_missing_is_a_fault() {
    let folder = std::env::temp_dir().join(format!("slipway-manifest-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("empty")).unwrap();
    std::fs::create_dir_all(folder.join("sub/.git")).unwrap();
    let object = |kind: &str| format!("apiVersion: v1\nkind: {kind}\nmetadata: {{name: x}}\n");
    std::fs::write(folder.join("b.yml"), object("Secret")).unwrap();
    std::fs::write(folder.join("a.yaml"), object("ConfigMap")).unwrap();
    std::fs::write(folder.join("readme.md"), "words").unwrap();
    std::fs::write(folder.join("sub/deep.YAML"), object("ServiceAccount")).unwrap();
    std::fs::write(folder.join("sub/.git/hidden.yaml"), object("Pod")).unwrap();
    let manifests = load(&[
        folder.clone(),
        folder.join("empty"),
        folder.join("absent.yaml"),
    ])
    .await;
    std::fs::remove_dir_all(&folder).unwrap();
    let kinds: Vec<_> = manifests
        .entries
        .iter()
        .map(|entry| entry.document.kind.as_str())
        .collect();
    assert_eq!(kinds, ["ConfigMap", "Secret", "ServiceAccount"]);
    let faults = texts(&manifests.faults);
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert!(faults[0].ends_with("empty:1:1: holds no *.yaml, *.yml or *.json file"));
    assert!(faults[1].contains("absent.yaml:1:1: cannot be read: "));
}
