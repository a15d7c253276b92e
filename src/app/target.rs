//! Where a verb finds what it is about: in a cluster, or in a state folder.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use serde_json::Value;

use crate::app::connect;
use crate::cluster::{Call, Cluster};
use crate::config::ClusterTarget;
use crate::local::records;

/// Where it looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Where {
    /// In a cluster.
    Cluster(ClusterTarget),
    /// In a state folder of `slipway local`.
    Local(PathBuf),
}

/// One namespace of such a place, at hand.
pub(super) enum OpenPlace {
    Cluster(Cluster, String),
    Local(PathBuf, String),
}

impl OpenPlace {
    /// Without a namespace: the kubeconfig's own, or `default` in a state folder.
    pub(super) async fn open(place: &Where, namespace: Option<&str>) -> anyhow::Result<Self> {
        Ok(match place {
            Where::Cluster(target) => {
                let (cluster, own) = connect(target).await?;
                Self::Cluster(cluster, namespace.unwrap_or(&own).to_owned())
            }
            Where::Local(state) => {
                let state = state_folder(state)?;
                Self::Local(state.to_owned(), namespace.unwrap_or("default").to_owned())
            }
        })
    }

    /// The same for one Job: in a state folder without a namespace it is where the Job of that name is.
    pub(super) async fn open_at(
        place: &Where,
        namespace: Option<&str>,
        job: &str,
    ) -> anyhow::Result<Self> {
        let (None, Where::Local(state)) = (namespace, place) else {
            return Self::open(place, namespace).await;
        };
        let namespace = namespace_of(
            &format!("job {job}"),
            jobs_named(state_folder(state)?, job)?,
        )?;
        Self::open(place, namespace.as_deref()).await
    }

    /// That there is no such Job.
    pub(super) fn lacks(&self, job: &str) -> anyhow::Error {
        let namespace = self.namespace();
        let look = self.look();
        anyhow!("there is no job {job} in namespace {namespace}; see `{look}`")
    }

    /// The command that lists the Jobs of this place.
    pub(super) fn look(&self) -> String {
        match self {
            Self::Cluster(_, namespace) => format!("slipway jobs -n {namespace}"),
            Self::Local(state, _) => format!("slipway jobs --state {}", state.display()),
        }
    }

    pub(super) fn namespace(&self) -> &str {
        match self {
            Self::Cluster(_, namespace) | Self::Local(_, namespace) => namespace,
        }
    }

    /// Who does what is asked for here.
    pub(super) fn who_answers(&self) -> &'static str {
        match self {
            Self::Cluster(..) => "the leader of `slipway run` for its namespace",
            Self::Local(..) => "the `slipway local` of that folder",
        }
    }

    /// A Job with its status; `None` when there is none of that name.
    pub(super) async fn job(&self, name: &str) -> anyhow::Result<Option<Value>> {
        match self {
            Self::Cluster(cluster, namespace) => {
                let answer = cluster.send(Call::get(job_path(namespace, name))).await?;
                match answer.status {
                    404 => Ok(None),
                    _ if answer.is_success() => Ok(Some(answer.json()?)),
                    _ => bail!("job {namespace}/{name}: {}", answer.words()),
                }
            }
            Self::Local(state, namespace) => records::job(state, namespace, name)
                .with_context(|| format!("the state folder {}", state.display())),
        }
    }
}

/// A state folder, which must be there: a misspelt one has no Jobs that could be missed.
pub(super) fn state_folder(state: &Path) -> anyhow::Result<&Path> {
    if !state.is_dir() {
        let shown = state.display();
        bail!("there is no state folder {shown}: --state names that of a `slipway local`");
    }
    Ok(state)
}

/// The one namespace that has what somebody means who names none; `None` when none has it.
///
/// # Errors
///
/// Several have it.
pub(super) fn namespace_of(
    what: &str,
    mut namespaces: Vec<String>,
) -> anyhow::Result<Option<String>> {
    namespaces.sort();
    namespaces.dedup();
    if namespaces.len() > 1 {
        bail!(
            "{what} is in the namespaces {}: say which with -n",
            namespaces.join(" and ")
        );
    }
    Ok(namespaces.pop())
}

/// The namespaces of a state folder that have a Job of this name.
fn jobs_named(state: &Path, name: &str) -> anyhow::Result<Vec<String>> {
    let jobs = records::jobs(state);
    let jobs = jobs.with_context(|| format!("the state folder {}", state.display()))?;
    let named = jobs.iter().filter(|job| job["metadata"]["name"] == name);
    let namespaces = named.filter_map(|job| job["metadata"]["namespace"].as_str());
    Ok(namespaces.map(str::to_owned).collect())
}

/// Where a Job is in a cluster.
pub(super) fn job_path(namespace: &str, name: &str) -> String {
    format!("/apis/batch/v1/namespaces/{namespace}/jobs/{name}")
}
