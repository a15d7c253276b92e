//! The chart's alerts and its dashboard, held against what the program shows.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::json;

use self::fires::{Expected, Trouble};
use self::scrape::Phase;
use crate::support::cluster::unique;
use crate::support::servers;

pub(crate) mod dashboard;
mod fires;
pub(crate) mod prometheus;
mod scrape;

/// For what takes several looks at a busy server.
const SOON: Duration = Duration::from_mins(1);

/// The rules as Prometheus reads them: what the chart puts into a PrometheusRule.
fn rules() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/slipway/files/monitoring/rules.yaml")
}

/// A folder that is gone with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("slipway-alerts-{}", unique()));
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// Runs promtool, and says what it said when it finds a fault.
#[track_caller]
fn promtool(arguments: &[&str], file: &Path) {
    let output = Command::new(servers::named("TEST_PROMTOOL"))
        .args(arguments)
        .arg(file)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Each alert fires for the trouble that it is about, and for no other, and not before or after it. The series are what two
/// replicas showed, one after the other, each scrape held for some time.
#[tokio::test]
async fn every_alert_fires_in_its_trouble_and_clears_after_it() {
    let trouble = Trouble::set_up().await;
    let quiet = trouble.quiet().await;
    let troubled = trouble.troubled().await;
    let (leaderless, well) = trouble.after_the_leaders_end().await;
    // What was scraped first holds for twenty minutes, and so on. An hour is the interval of a success.
    let phases = [
        Phase::new(quiet, "one", 20),
        Phase::new(troubled, "one", 200),
        Phase::new(leaderless, "two", 20),
        Phase::new(well, "two", 60),
    ];
    let duration_series = phases[1].count("slipway_job_duration_seconds_bucket");
    assert!(duration_series > 0);

    let named = Expected::of(&trouble);
    let mut alerts: Vec<String> = named
        .iter()
        .map(|expected| expected.alert.clone())
        .collect();
    alerts.sort();
    alerts.dedup();
    let rules = fs::read_to_string(rules()).unwrap();
    let mut written: Vec<&str> = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
        .collect();
    written.sort_unstable();
    assert_eq!(alerts, written, "every alert is tried");

    let mut looks = vec![look(19, &[]), look(299, &[])];
    for minute in [23, 219, 235] {
        let firing: Vec<&Expected> = named.iter().filter(|of| of.minute == minute).collect();
        assert!(!firing.is_empty());
        looks.push(look(minute, &firing));
    }
    looks.push(json!({
        "expr": "count(job_duration_seconds_bucket)",
        "eval_time": "219m",
        "exp_samples": [{"labels": "{}", "value": duration_series}],
    }));
    looks.push(json!({
        "expr": "job_duration_seconds_bucket unless slipway_job_duration_seconds_bucket",
        "eval_time": "219m",
        "exp_samples": [],
    }));
    let folder = Folder::new();
    let test = json!({
        "rule_files": [self::rules()],
        "evaluation_interval": "1m",
        "tests": [{
            "interval": "1m",
            "input_series": scrape::series(&phases),
            "promql_expr_test": looks,
        }],
    });
    let file = folder.file("test.yaml");
    fs::write(&file, test.to_string()).unwrap();
    promtool(&["test", "rules"], &file);
    trouble.remove().await;
}

/// What fires in that minute of the test.
fn look(minute: u32, firing: &[&Expected]) -> serde_json::Value {
    let samples = firing.iter().map(|of| {
        json!({
            "labels": of.labels,
            "value": 1,
        })
    });
    json!({
        "expr": "count by (alertname, namespace, kind, name) (ALERTS{alertstate=\"firing\"})",
        "eval_time": format!("{minute}m"),
        "exp_samples": samples.collect::<Vec<_>>(),
    })
}

/// The chart's own copy of the rules says the same.
#[test]
fn the_prometheus_rule_has_every_rule_and_leaves_out_what_it_is_told_to() {
    let text = fs::read_to_string(rules()).unwrap();
    let written: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
    let rule = |values| {
        let objects = crate::chart::render(&values);
        crate::chart::only(&objects, "PrometheusRule", "slipway")["spec"].clone()
    };
    let enabled = json!({"metrics": {"rules": {"enabled": true}}});
    assert_eq!(rule(enabled)["groups"], written["groups"]);
    let changed = rule(json!({"metrics": {"rules": {
        "enabled": true, "disabled": ["SlipwayNoLeader"], "alertLabels": {"severity": "page"},
    }}}));
    let alerts = changed["groups"][1]["rules"].as_array().unwrap();
    let before = written["groups"][1]["rules"].as_array().unwrap();
    assert_eq!(alerts.len(), before.len() - 1);
    for alert in alerts {
        assert_ne!(alert["alert"], "SlipwayNoLeader");
        assert_eq!(alert["labels"]["severity"], "page");
    }
}

#[test]
fn what_to_do_for_each_alert_is_written() {
    let operating = include_str!("../../docs/operating.md");
    let (_, section) = operating.split_once("\n## Alarms\n").expect("a section");
    let section = section.split("\n## ").next().unwrap();
    let rules = fs::read_to_string(rules()).unwrap();
    let alerts = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "));
    for alert in alerts {
        assert!(section.contains(&format!("| `{alert}` |")), "{alert}");
    }
    promtool(&["check", "rules"], &self::rules());
}
