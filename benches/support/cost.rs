//! What some work costs, for each unit of it: processor time by process, and calls to the API server by kind.

use std::collections::BTreeMap;

use slipway::cluster::Cluster;

use crate::usage::Usage;

/// Processes whose time is taken, by what they are called here.
pub(crate) struct Costs {
    cluster: Cluster,
    processes: Vec<(&'static str, Usage)>,
}

/// How things stood at some time.
pub(crate) struct Standing {
    seconds: Vec<f64>,
    calls: BTreeMap<String, f64>,
}

impl Costs {
    /// Of these, and of the servers of the tests.
    pub(crate) fn of(cluster: Cluster, folder: &str, own: &[(&'static str, Usage)]) -> Self {
        let server = |name: &'static str| (name, Usage::of_server(folder, name));
        let servers = ["kube-apiserver", "etcd", "kube-controller-manager"].map(server);
        Self {
            cluster,
            processes: own.iter().copied().chain(servers).collect(),
        }
    }

    /// Now.
    pub(crate) async fn now(&self) -> Standing {
        let seconds = self.processes.iter().map(|(_, usage)| usage.cpu_seconds());
        Standing {
            seconds: seconds.collect(),
            calls: self.calls().await,
        }
    }

    /// What came since, for each unit: two lines.
    pub(crate) async fn since(&self, before: &Standing, units: usize) -> String {
        let now = self.now().await;
        let units = f64::from(u32::try_from(units).expect("a few thousand"));
        let times = self
            .processes
            .iter()
            .zip(before.seconds.iter().zip(&now.seconds));
        let times = times.map(|((name, _), (before, now))| {
            format!("{name} {:.0}", (now - before) / units * 1e6)
        });
        let calls = now.calls.iter().filter_map(|(kind, now)| {
            let each = (now - before.calls.get(kind).unwrap_or(&0.0)) / units;
            (each >= 0.0005).then(|| format!("{kind} {each:.3}"))
        });
        let (times, calls): (Vec<_>, Vec<_>) = (times.collect(), calls.collect());
        format!(
            "    CPU, µs each: {}\n    calls, each:  {}",
            times.join(", "),
            calls.join(", ")
        )
    }

    /// Calls that the API server has answered, whoever made them.
    async fn calls(&self) -> BTreeMap<String, f64> {
        let request = http::Request::get("/metrics").body(Vec::new());
        let request = request.expect("a request");
        let metrics = self.cluster.client().request_text(request).await;
        let metrics = metrics.expect("the API server's metrics");
        let mut calls = BTreeMap::new();
        for line in metrics.lines() {
            let Some(rest) = line.strip_prefix("apiserver_request_total{") else {
                continue;
            };
            let (labels, count) = rest.rsplit_once("} ").expect("a series");
            let label = |name: &str| {
                let (_, after) = labels.split_once(&format!("{name}=\""))?;
                after.split('"').next()
            };
            let words = ["verb", "resource", "subresource"].map(|name| label(name).unwrap_or(""));
            let kind = words.join(" ").trim_end().to_owned();
            *calls.entry(kind).or_default() += count.parse::<f64>().expect("a number");
        }
        calls
    }
}
