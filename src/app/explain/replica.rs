//! What replicas say at their admin addresses: records, how an object stands, and the way of a Job.

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use super::folders::counted;
use super::{AskedAbout, Gathering, Sources};
use crate::cluster::{self, Call, Cluster};
use crate::explain::PageStep;
use crate::history::{HistoryFact, HistoryRecord, SubjectKind, json as wire};
use crate::resource::ObjectId;
use crate::shown::with_causes;

impl Gathering {
    /// What one replica remembers. One that does not answer is a note.
    pub(super) async fn replica(&mut self, url: &str, asked: &AskedAbout) {
        let note = match self.records_of(url, asked).await {
            Ok(records) => {
                self.heard += 1;
                let note = format!("{} of {url}", counted(records.len()));
                self.evidence.records.extend(records);
                note
            }
            Err(error) => format!("{url} was not asked: {}", with_causes(error.as_ref())),
        };
        self.evidence.asked.push(note);
    }

    async fn records_of(
        &mut self,
        url: &str,
        asked: &AskedAbout,
    ) -> anyhow::Result<Vec<HistoryRecord>> {
        let replica = replica_at(url)?;
        match asked {
            AskedAbout::Object(..) => self.records_of_object(&replica).await,
            AskedAbout::Event(id) => {
                records_at(&replica, Call::get("/api/v1/records").query("event", id)).await
            }
            AskedAbout::Job(name) => {
                records_at(&replica, Call::get("/api/v1/records").query("job", name)).await
            }
        }
    }

    async fn records_of_object(&mut self, replica: &Cluster) -> anyhow::Result<Vec<HistoryRecord>> {
        let id = self.evidence.subject.id.clone();
        let mut found = Vec::new();
        for kind in self.kinds().iter().copied() {
            let ObjectId { namespace, name } = &id;
            let path = format!("/api/v1/objects/{}/{namespace}/{name}", kind.name());
            found = records_at(replica, Call::get(format!("{path}/records"))).await?;
            let page = replica.send(Call::get(path)).await?;
            if page.is_success() {
                self.shown(&page.json().unwrap_or_default());
            }
            if page.is_success() || !found.is_empty() {
                self.is_known = true;
                self.evidence.subject.kind = kind;
                break;
            }
        }
        Ok(found)
    }

    /// Takes over how a page shows an object and its Jobs, where nobody said more.
    fn shown(&mut self, page: &Value) {
        let evidence = &mut self.evidence;
        if [SubjectKind::ScaledJob, SubjectKind::KedaScaledJob].contains(&evidence.subject.kind) {
            // Its records say it all.
            return;
        }
        if evidence.shown_status.is_null() {
            evidence.shown_status = page["status"].clone();
        }
        if !evidence.are_jobs_known && evidence.jobs.is_empty() {
            let jobs = page["jobs"].as_array().into_iter().flatten();
            evidence.jobs = jobs.map(job_on_page).collect();
        }
    }

    /// The way of a Job as a page shows it, where neither a cluster nor a folder could be asked for Jobs.
    pub(super) async fn pages_of_job(&mut self, asked: &AskedAbout, sources: &Sources) {
        if self.evidence.are_jobs_known {
            return;
        }
        let name = match asked {
            AskedAbout::Job(name) => Some(name.clone()),
            AskedAbout::Event(_) => {
                let records = self.evidence.records.iter();
                let mut jobs = records.filter_map(|record| match &record.fact {
                    HistoryFact::Answer(answer) => answer.job.as_deref(),
                    _ => None,
                });
                jobs.next().map(str::to_owned)
            }
            AskedAbout::Object(..) => None,
        };
        let Some(name) = name else { return };
        for url in &sources.admin {
            // Whether it answers has been noted.
            let Ok(steps) = steps_at(url, &self.namespace(), &name).await else {
                continue;
            };
            self.evidence.are_jobs_known = true;
            self.evidence.page_steps = steps;
            if !self.evidence.page_steps.is_empty() {
                return;
            }
        }
    }
}

fn replica_at(url: &str) -> anyhow::Result<Cluster> {
    let uri: http::Uri = url
        .parse()
        .with_context(|| "it is no address: write http://127.0.0.1:9091")?;
    Ok(Cluster::new(cluster::client(kube::Config::new(uri))?))
}

/// The steps of a Job's way; none when there is no such Job.
async fn steps_at(url: &str, namespace: &str, name: &str) -> anyhow::Result<Vec<PageStep>> {
    let path = format!("/api/v1/jobs/{namespace}/{name}");
    let answer = replica_at(url)?.send(Call::get(path)).await?;
    if answer.status == 404 {
        return Ok(Vec::new());
    }
    if !answer.is_success() {
        bail!("it answered {}", answer.status);
    }
    let story: Value = answer.json()?;
    let steps = story["steps"].as_array().into_iter().flatten();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let step = |step: &Value| PageStep {
        at: step["time"].as_str().and_then(|at| at.parse().ok()),
        what: text(&step["step"]),
        detail: text(&step["detail"]),
        waited_for: text(&step["waitedFor"]),
    };
    Ok(steps.map(step).collect())
}

/// A Job of a page's list, as a cluster has it.
fn job_on_page(line: &Value) -> Value {
    let condition = match line["state"].as_str() {
        Some("complete") => json!([{"type": "Complete", "status": "True"}]),
        Some("failed") => {
            json!([{"type": "Failed", "status": "True", "reason": line["reason"]}])
        }
        _ => json!([]),
    };
    json!({
        "metadata": {"name": line["name"], "creationTimestamp": line["creationTime"]},
        "spec": {"suspend": line["state"] == "waiting"},
        "status": {"conditions": condition},
    })
}

/// The records that a replica answers with.
async fn records_at(replica: &Cluster, call: Call) -> anyhow::Result<Vec<HistoryRecord>> {
    let answer = replica.send(call).await?;
    if !answer.is_success() {
        bail!("it answered {}", answer.status);
    }
    let answer: Value = answer.json()?;
    let records = answer["records"].as_array().into_iter().flatten();
    Ok(records.filter_map(wire::from_json).collect())
}
