//! What an external scaler answers: a number, or an error.
//!
//! Input: a byte that chooses the message, and the message as it is on the wire.
#![no_main]

use libfuzzer_sys::fuzz_target;
use prost::Message as _;
use slipway::externalscaler::{GetMetricSpecResponse, GetMetricsResponse};
use slipway::source::external::answer;

fuzz_target!(|input: &[u8]| {
    let Some((choice, wire)) = input.split_first() else {
        return;
    };
    if choice % 2 == 0 {
        let Ok(response) = GetMetricSpecResponse::decode(wire) else {
            return;
        };
        if let Ok((name, target)) = answer::spec(&response.metric_specs) {
            assert!(!name.chars().any(char::is_control));
            assert!(target.is_finite(), "{target}");
        }
    } else {
        let Ok(response) = GetMetricsResponse::decode(wire) else {
            return;
        };
        if let Ok(value) = answer::value(&response) {
            assert!(value >= 0.0, "{value}");
            assert!(!response.metric_values.is_empty(), "nothing is no number");
            let waiting = answer::together("queue".to_owned(), 1.0, value, true);
            assert!(waiting.reading.waiting() >= 0.0);
        }
    }
});
