//! What was scraped, as series that promtool reads.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// What a replica showed, and when.
pub(super) struct Scrape {
    /// Seconds since 1970.
    pub(super) at: f64,
    pub(super) text: String,
}

impl Scrape {
    /// The value of the one series with that name and these labels.
    pub(super) fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let written = labels
            .iter()
            .map(|(label, value)| format!("{label}=\"{value}\""));
        let written: Vec<String> = written.collect();
        let mut found = samples(&self.text).filter(|(series, _)| {
            let (of, within) = series.split_once('{').unwrap_or((series, ""));
            of == name && written.iter().all(|label| within.contains(label))
        });
        found.next().map(|(_, value)| value)
    }
}

/// Series and values of an exposition.
fn samples(text: &str) -> impl Iterator<Item = (&str, f64)> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| {
        let (series, value) = line.rsplit_once(' ').expect("a series and a value");
        (series, value.parse().expect("a number"))
    })
}

/// A scrape that holds for some minutes of the test.
pub(super) struct Phase {
    scrape: Scrape,
    /// Which replica showed it: Prometheus's own label.
    instance: &'static str,
    minutes: usize,
}

impl Phase {
    pub(super) fn new(scrape: Scrape, instance: &'static str, minutes: usize) -> Self {
        Self {
            scrape,
            instance,
            minutes,
        }
    }

    /// How many series of that name it has.
    pub(super) fn count(&self, name: &str) -> usize {
        let of = |(series, _): &(&str, f64)| series.split('{').next() == Some(name);
        samples(&self.scrape.text).filter(of).count()
    }

    /// The series by name, labels and instance. The test's clock begins at 0: a time that is shown is as far from the
    /// beginning of its phase as it was from the scrape.
    fn series(&self, begins_at: f64) -> impl Iterator<Item = (String, f64)> {
        samples(&self.scrape.text).map(move |(series, value)| {
            let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
            let value = if name.ends_with("_timestamp_seconds") {
                value - self.scrape.at + begins_at
            } else {
                value
            };
            let comma = if labels == "}" { "" } else { "," };
            let instance = self.instance;
            (
                format!("{name}{{instance=\"{instance}\"{comma}{labels}"),
                value,
            )
        })
    }
}

/// The `input_series` of a test: one value a minute.
pub(super) fn series(phases: &[Phase]) -> Vec<Value> {
    let mut all: BTreeMap<String, Vec<Option<f64>>> = BTreeMap::new();
    let mut begins_at = 0.0;
    for (index, phase) in phases.iter().enumerate() {
        for (series, value) in phase.series(begins_at) {
            let values = all
                .entry(series)
                .or_insert_with(|| vec![None; phases.len()]);
            values[index] = Some(value);
        }
        begins_at += 60.0 * f64::from(u32::try_from(phase.minutes).unwrap());
    }
    let written = |values: &[Option<f64>]| {
        let parts = values.iter().zip(phases).map(|(value, phase)| match value {
            Some(value) => format!("{value}+0x{}", phase.minutes - 1),
            None => format!("_x{}", phase.minutes),
        });
        parts.collect::<Vec<_>>().join(" ")
    };
    let all = all.iter();
    all.map(|(series, values)| json!({"series": series, "values": written(values)}))
        .collect()
}
