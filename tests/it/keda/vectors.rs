//! Recorded answers of KEDA: what our numbers come to when KEDA has read them.

use serde_json::Value;
use slipway::scaling::encode;
use slipway::serve::keda::encode::{Encoded, target, value};

use super::*;
use crate::support::fakes::ScriptedSource;
use crate::support::vectors::{assert_keys, float, integer, list, load, rows, text};

/// KEDA's choice between the two fields. Source: `buildMetricSpecs` and `GetMetricsAndActivity` in `external_scaler.go`.
fn newer(encoded: Encoded) -> f64 {
    if encoded.float > 0.0 {
        encoded.float
    } else {
        older(encoded)
    }
}

/// What a KEDA without the float fields reads.
#[expect(clippy::cast_precision_loss, reason = "KEDA does the same")]
fn older(encoded: Encoded) -> f64 {
    encoded.whole as f64
}

/// A target as KEDA writes it down: floats with three places, whole numbers as they are.
fn quantity(encoded: Encoded) -> f64 {
    if encoded.float > 0.0 {
        encode::read_back(encoded.float)
    } else {
        older(encoded)
    }
}

fn assert_same(actual: f64, expected: f64, row: &Value) {
    assert_eq!(actual.to_bits(), expected.to_bits(), "{actual}: {row}");
}

#[test]
fn metric_encoding_vector_as_it_arrives() {
    for row in rows("metric_encoding", "zeroCases") {
        // Readings are finite and not negative by construction; these are what that makes of them.
        let reading = slipway::scaling::Reading::new(float(&row));
        let encoded = value(reading.waiting());
        assert_eq!((encoded.whole, encoded.float), (0, 0.0), "{row}");
    }
    for row in rows("metric_encoding", "encodeFloat") {
        let reading = slipway::scaling::Reading::new(float(&row["in"]));
        let encoded = value(reading.waiting());
        let expected = float(&row["asApproximateFloat64"]);
        assert_same(encode::read_back(newer(encoded)), expected, &row);
        if expected.fract() == 0.0 && float(&row["in"]).fract() == 0.0 {
            assert_same(encode::read_back(older(encoded)), expected, &row);
        } else {
            // Little work is never none to an older one.
            assert_eq!(older(encoded) > 0.0, expected > 0.0, "{row}");
            assert!(older(encoded) < expected + 1.0, "{row}");
        }
        let written = float(&row["in"]);
        if written > 0.0 {
            assert_same(quantity(target(written)), expected, &row);
        }
    }
    for row in rows("metric_encoding", "floatRoundingTraps") {
        let milli = |key: &str| f64::from(i32::try_from(integer(&row[key])).unwrap()) / 1_000.0;
        let queue_length = encode::read_back(newer(value(milli("valueMilli"))));
        assert_same(queue_length, float(&row["queueLengthFloat"]), &row);
        let average = quantity(target(milli("targetMilli")));
        assert_same(average, float(&row["targetAverageFloat"]), &row);
        assert_same(queue_length / average, float(&row["maxValueFloat"]), &row);
    }
}

#[test]
fn external_scaler_vector_choices() {
    let file = load("external_scaler");
    let derived = &file["derived"];
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
    for row in list(&derived["valueChoice"]) {
        assert_keys(row, &["metricValue", "metricValueFloat", "value"]);
        let sent = Encoded {
            whole: integer(&row["metricValue"]),
            float: float(&row["metricValueFloat"]),
        };
        // This is KEDA's reading as the other tests of this file assume it.
        let expected = float(&row["value"]);
        assert_same(encode::read_back(newer(sent)), expected, row);
        let ours = value(expected);
        assert_same(encode::read_back(newer(ours)), expected, row);
        assert!(ours.whole >= 0 && ours.float >= 0.0, "{row}");
    }
    for row in list(&derived["targetChoice"]) {
        assert_keys(row, &["targetSize", "targetSizeFloat", "target"]);
        let sent = Encoded {
            whole: integer(&row["targetSize"]),
            float: float(&row["targetSizeFloat"]),
        };
        let word = text(&row["target"]).split(' ').next().unwrap();
        let expected = match word.strip_suffix('m') {
            Some(milli) => encode::read_back(milli.parse::<f64>().unwrap() / 1_000.0),
            None => word.parse().unwrap(),
        };
        assert_same(quantity(sent), expected, row);
        let ours = target(newer(sent));
        assert_same(quantity(ours), expected, row);
        assert_eq!(ours.whole > 0, expected > 0.0, "older ones too: {row}");
    }
    let conversion = &file["metricSpecConversion"];
    assert_keys(conversion, &["triggerIndex", "metricType", "in", "expect"]);
    let pairs = list(&conversion["in"])
        .iter()
        .zip(list(&conversion["expect"]));
    for (sent, expected) in pairs {
        assert_keys(sent, &["metricName", "targetSize", "targetSizeFloat"]);
        let index = usize::try_from(integer(&conversion["triggerIndex"])).unwrap();
        let name = encode::with_index(index, text(&sent["metricName"]));
        assert_eq!(name, text(&expected["name"]));
        let wanted = sent
            .get("targetSizeFloat")
            .or(sent.get("targetSize"))
            .map(float);
        let wanted = wanted.unwrap();
        let average = text(&expected["averageValue"]);
        let milli = average
            .strip_suffix('m')
            .map(|milli| milli.parse::<f64>().unwrap());
        let average = milli.map_or_else(|| average.parse().unwrap(), |milli| milli / 1_000.0);
        assert_same(quantity(target(wanted)), encode::read_back(average), sent);
    }
}

#[tokio::test]
async fn external_scaler_vector_calls() {
    let file = load("external_scaler");
    let port = Port::open(ScriptedSource::new([Some(3.0)]), Choice::default()).await;
    let mut client = port.client().await;
    // What KEDA forwards is taken as it comes: its own keys are passed over, spaces trimmed, resolved values used.
    for row in list(&file["derived"]["forwardedMetadata"]) {
        let forwarded = row["expectScalerMetadata"].as_object().unwrap();
        let mut of = sqs("https://sqs.eu-west-1.amazonaws.com/1/orders");
        for (key, sent) in forwarded {
            of.scaler_metadata
                .insert(key.clone(), text(sent).to_owned());
        }
        of.scaler_metadata
            .insert("queueLength".to_owned(), " 7 ".to_owned());
        let url = of.scaler_metadata.remove("queueURL").unwrap();
        of.scaler_metadata.insert("queueURLFromEnv".to_owned(), url);
        assert_eq!(spec(&mut client, &of).await.unwrap().target_size, 7);
    }
    let of = sqs("https://sqs.eu-west-1.amazonaws.com/1/orders");
    for call in list(&file["derived"]["scaledJobPollCallOrder"]) {
        match text(call).split('(').next().unwrap() {
            "GetMetricSpec" => drop(spec(&mut client, &of).await.unwrap()),
            "GetMetrics" => assert_eq!(value_of(&mut client, &of).await, 3),
            "IsActive" => assert!(is_active(&mut client, &of).await.unwrap()),
            other => panic!("unknown call {other}"),
        }
    }
    // One current spec at once, and no message without one.
    let row = &list(&file["streamMetricSpec"])[0];
    assert!(text(&row["expect"]).contains("one update"), "{row}");
    let stream = client.stream_metric_spec(of.clone()).await;
    let first = stream
        .unwrap()
        .into_inner()
        .message()
        .await
        .unwrap()
        .unwrap();
    assert_eq!(first.metric_specs, [spec(&mut client, &of).await.unwrap()]);
    port.close().await;
}

async fn value_of(client: &mut Client, of: &ScaledObjectRef) -> i64 {
    super::value(client, of).await.unwrap().metric_value
}

#[test]
fn metric_encoding_vector_pipeline_over_grpc() {
    let file = load("metric_encoding");
    let rows = list(&file["pipeline"]["rows"]);
    assert!(!rows.is_empty());
    for row in rows {
        let queue_length = encode::read_back(newer(value(float(&row[0]))));
        assert_same(queue_length, float(&row[4]), row);
        let average = quantity(target(float(&row[1])));
        assert_same(average, float(&row[5]), row);
        let most = f64::from(i32::try_from(integer(&row[3])).unwrap());
        let replicas = if average == 0.0 {
            0.0
        } else {
            (queue_length / average).min(most)
        };
        assert_same(replicas, float(&row[6]), row);
    }
}
