//! The dashboard: every query can be asked, and every metric in it is one of the program.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::{Folder, promtool};

pub(super) fn dashboard() -> Value {
    let file = "charts/slipway/files/monitoring/dashboard.json";
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file));
    serde_json::from_str(&text.unwrap()).unwrap()
}

/// The panels that show something.
fn panels(dashboard: &Value) -> impl Iterator<Item = &Value> {
    let panels = dashboard["panels"].as_array().unwrap().iter();
    panels.filter(|panel| panel["type"] != "row")
}

/// Title and query of every target, as Grafana would ask for everything.
pub(crate) fn queries() -> Vec<(String, String)> {
    let dashboard = dashboard();
    let mut queries = Vec::new();
    for panel in panels(&dashboard) {
        for target in panel["targets"].as_array().unwrap() {
            let query = target["expr"].as_str().unwrap();
            let mut query = query.replace("$__rate_interval", "5m");
            for variable in ["namespace", "kind", "name", "job", "instance"] {
                query = query.replace(&format!("\"${variable}\""), "\".*\"");
            }
            assert!(!query.contains('$'), "{query}");
            queries.push((panel["title"].as_str().unwrap().to_owned(), query));
        }
    }
    assert!(queries.len() > 25, "{}", queries.len());
    queries
}

/// Words of a query that begin as our metrics do.
fn metrics(query: &str) -> impl Iterator<Item = &str> {
    let words = query.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    words.filter(|word| word.starts_with("slipway_"))
}

/// The names in the reference's table; histograms have three.
fn known() -> BTreeSet<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference.md");
    let reference = fs::read_to_string(file).unwrap();
    let rows = reference
        .lines()
        .filter_map(|line| line.strip_prefix("| `slipway_"));
    let mut known = BTreeSet::new();
    for row in rows {
        let (name, rest) = row.split_once("` | ").unwrap();
        if rest.starts_with("histogram") {
            for part in ["bucket", "sum", "count"] {
                known.insert(format!("slipway_{name}_{part}"));
            }
        } else {
            known.insert(format!("slipway_{name}"));
        }
    }
    assert!(known.len() > 40, "{}", known.len());
    known
}

#[test]
fn every_query_is_valid_and_asks_for_metrics_that_there_are() {
    let known = known();
    let mut rules = Vec::new();
    for (title, query) in queries() {
        let mut count = 0;
        for metric in metrics(&query) {
            assert!(known.contains(metric), "{title}: {metric}");
            count += 1;
        }
        assert!(count > 0, "{title}: {query}");
        rules.push(json!({"record": format!("panel:{}", rules.len()), "expr": query}));
    }
    let rules = json!({"groups": [{"name": "panels", "rules": rules}]});
    let folder = Folder::new();
    let file = folder.file("panels.yaml");
    fs::write(&file, rules.to_string()).unwrap();
    promtool(&["check", "rules"], &file);
    // So do the alerts.
    let text = fs::read_to_string(super::rules()).unwrap();
    for metric in metrics(&text) {
        assert!(known.contains(metric), "{metric}");
    }
}

#[test]
fn every_panel_is_as_a_dashboard_that_is_shipped_should_be() {
    let dashboard = dashboard();
    assert_eq!(dashboard["editable"], false);
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    assert_eq!(variables[0]["type"], "datasource");
    let mut titles = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for panel in panels(&dashboard) {
        let title = panel["title"].as_str().unwrap();
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title}");
        // The same number at a glance and over time.
        titles.insert((title, panel["type"].as_str().unwrap()));
        assert!(
            !panel["description"].as_str().unwrap().is_empty(),
            "{title}"
        );
        let unit = panel["fieldConfig"]["defaults"]["unit"].as_str();
        assert!(!unit.unwrap().is_empty(), "{title}");
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
        for target in panel["targets"].as_array().unwrap() {
            let query = target["expr"].as_str().unwrap();
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{title}");
            // Whoever has several clusters or releases chooses.
            let selectors = query.matches('{').count();
            for chosen in ["job=~\"$job\"", "instance=~\"$instance\""] {
                assert_eq!(query.matches(chosen).count(), selectors, "{query}");
            }
            // A counter by itself says nothing.
            for (at, _) in query.match_indices("_total{") {
                assert!(query[..at].contains("rate("), "{query}");
                assert!(query[at..].contains("[$__rate_interval]"), "{query}");
            }
        }
    }
    assert_eq!(titles.len(), panels(&dashboard).count());
    // None lies over another.
    let mut taken = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        let place = |field: &str| panel["gridPos"][field].as_u64().unwrap();
        for x in place("x")..place("x") + place("w") {
            for y in place("y")..place("y") + place("h") {
                assert!(x < 24 && taken.insert((x, y)), "{}", panel["title"]);
            }
        }
    }
}

#[test]
fn the_chart_brings_it_where_grafana_looks() {
    let objects = crate::chart::render(&json!({"metrics": {"dashboard": {"enabled": true}}}));
    let found = crate::chart::only(&objects, "ConfigMap", "slipway-dashboard");
    assert_eq!(found["metadata"]["labels"]["grafana_dashboard"], "1");
    let text = found["data"]["slipway.json"].as_str().unwrap();
    let brought: Value = serde_json::from_str(text).unwrap();
    assert_eq!(brought, dashboard());
}
