//! KEDA's recorded answers about external scalers, as far as they speak of its client.

use serde_json::Value;
use slipway::externalscaler::{GetMetricsResponse, MetricSpec, MetricValue};
use slipway::resource::Trigger;
use slipway::resource::external::Scaler as Described;
use slipway::scaling::encode;
use slipway::source::external::answer;

use super::*;
use crate::support::vectors::{HEAD, assert_keys, list, load, text};

fn strings(value: &Value) -> BTreeMap<String, String> {
    let map = value.as_object().into_iter().flatten();
    map.map(|(key, value)| (key.clone(), text(value).to_owned()))
        .collect()
}

fn parsed(row: &Value) -> Option<Trigger> {
    let secrets = |key: &str| {
        let values = strings(&row[key]).into_iter();
        values
            .map(|(key, value)| (key, SecretString::from(value)))
            .collect()
    };
    let entry = TriggerEntry {
        index: 0,
        kind: TriggerKind::External,
        name: None,
        metadata: strings(&row["triggerMetadata"]).into(),
        authentication: None,
    };
    let inputs = Inputs {
        auth_params: secrets("authParams"),
        env: secrets("resolvedEnv"),
        ..Inputs::default()
    };
    parse_trigger(&entry, &inputs, &ObjectId::new("shop", "resize")).ok()
}

fn scaler(trigger: Trigger) -> Described {
    match trigger.source {
        SourceSpec::External(scaler) => scaler,
        other => panic!("{other:?}"),
    }
}

#[test]
fn external_scaler_vectors_hold_nothing_that_is_not_looked_at() {
    let all = load("external_scaler");
    // `streamMetricSpec` is of a stream that a ScaledJob has no use for; the others are looked at here,
    // `scaledJobPollCallOrder` and `streamIsActiveBackoffSeconds` beside what they are about.
    let lists = [
        "parse",
        "connectionPoolKey",
        "connectionPoolKeyFields",
        "metricSpecConversion",
        "streamMetricSpec",
        "derived",
    ];
    assert_keys(&all, &[&HEAD[..], &lists[..]].concat());
    let derived = &all["derived"];
    assert_keys(
        derived,
        &[
            "forwardedMetadata",
            "targetChoice",
            "valueChoice",
            "scaledJobPollCallOrder",
            "streamIsActiveBackoffSeconds",
            "tlsUsedWhen",
        ],
    );
    let order: Vec<&str> = list(&derived["scaledJobPollCallOrder"])
        .iter()
        .map(text)
        .collect();
    let ours = ["GetMetricSpec", "GetMetrics", "IsActive"];
    assert!(
        order
            .iter()
            .zip(ours)
            .all(|(row, ours)| row.starts_with(ours)),
        "{order:?}"
    );
    let pauses = list(&derived["streamIsActiveBackoffSeconds"]["sequenceOnError"]);
    assert_eq!(pauses, [2, 4, 8, 16, 32, 60, 60]);
}

#[test]
fn external_scaler_vectors_parse() {
    for row in list(&load("external_scaler")["parse"]) {
        assert_keys(row, &["triggerMetadata", "authParams", "expect"]);
        let expect = &row["expect"];
        let parsed = parsed(row).map(scaler);
        assert_eq!(parsed.is_none(), expect["error"] == true, "{row}");
        if let Some(scaler) = parsed {
            let tls = scaler.endpoint.tls;
            assert_eq!(tls.is_some(), expect["enableTLS"] == true, "{row}");
            let skips = tls.is_some_and(|tls| tls.skip_verification);
            assert_eq!(skips, expect["unsafeSsl"] == true, "{row}");
        }
    }
}

#[test]
fn external_scaler_vectors_connection_pool_key() {
    let fields: Vec<Value> = list(&load("external_scaler")["connectionPoolKeyFields"]).to_vec();
    let base = serde_json::json!({
        "triggerMetadata": {"scalerAddress": "a:1", "enableTLS": "true", "unsafeSsl": "false"},
        "authParams": {"caCert": "a", "tlsClientCert": "a", "tlsClientKey": "a"},
    });
    let endpoint = |row: &Value| scaler(parsed(row).unwrap()).endpoint;
    assert_eq!(endpoint(&base), endpoint(&base));
    for field in &fields {
        let field = text(field);
        let mut other = base.clone();
        for (place, key) in [("triggerMetadata", field), ("authParams", field)] {
            if other[place].get(key).is_some() {
                other[place][key] = match key {
                    "scalerAddress" => "b:1".into(),
                    // With TLS through the certificates this is the same connection; KEDA makes two.
                    "enableTLS" => continue,
                    "unsafeSsl" => "true".into(),
                    _ => "b".into(),
                };
                assert_ne!(endpoint(&base), endpoint(&other), "{field}");
            }
        }
    }
    let plain = serde_json::json!({"triggerMetadata": {"scalerAddress": "a:1"}});
    assert_ne!(endpoint(&base), endpoint(&plain));
}

#[test]
fn external_scaler_vectors_metric_spec_conversion() {
    let all = load("external_scaler");
    let rows = &all["metricSpecConversion"];
    let index = usize::try_from(rows["triggerIndex"].as_u64().unwrap()).unwrap();
    for (given, expect) in list(&rows["in"]).iter().zip(list(&rows["expect"])) {
        let spec = metric(given);
        let (name, target) = answer::spec(std::slice::from_ref(&spec)).unwrap();
        assert_eq!(encode::with_index(index, &name), text(&expect["name"]));
        assert_eq!(target, quantity(text(&expect["averageValue"])));
    }
}

#[test]
fn external_scaler_vectors_choice_of_targets_and_values() {
    let derived = load("external_scaler")["derived"].clone();
    for row in list(&derived["targetChoice"]) {
        let (_, target) = answer::spec(&[metric(row)]).unwrap();
        assert_eq!(target, quantity(text(&row["target"])), "{row}");
    }
    for row in list(&derived["valueChoice"]) {
        let value = MetricValue {
            metric_name: String::new(),
            metric_value: row["metricValue"].as_i64().unwrap(),
            metric_value_float: row["metricValueFloat"].as_f64().unwrap(),
        };
        let response = GetMetricsResponse {
            metric_values: vec![value],
        };
        let value = answer::value(&response).unwrap();
        assert_eq!(Some(value), row["value"].as_f64(), "{row}");
    }
}

#[test]
fn external_scaler_vectors_forwarded_metadata() {
    for row in list(&load("external_scaler")["derived"]["forwardedMetadata"]) {
        let scaler = scaler(parsed(row).unwrap());
        let forwarded: BTreeMap<String, String> = scaler
            .metadata
            .exposed()
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        assert_eq!(forwarded, strings(&row["expectScalerMetadata"]), "{row}");
    }
}

fn metric(row: &Value) -> MetricSpec {
    MetricSpec {
        metric_name: row["metricName"].as_str().unwrap_or_default().to_owned(),
        target_size: row["targetSize"].as_i64().unwrap_or_default(),
        target_size_float: row["targetSizeFloat"].as_f64().unwrap_or_default(),
    }
}

/// `50` and `1500m`, with a remark after it perhaps.
fn quantity(text: &str) -> f64 {
    let number = text.split(' ').next().unwrap();
    match number.strip_suffix('m') {
        Some(thousandths) => thousandths.parse::<f64>().unwrap() / 1000.0,
        None => number.parse().unwrap(),
    }
}
