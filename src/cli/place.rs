//! Where the verbs about Jobs look: their common options.

use std::path::PathBuf;

use crate::app::target::Where;
use crate::config::ClusterTarget;

/// A namespace of a cluster, or a state folder.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct PlaceOptions {
    /// Namespace [default: the kubeconfig's own; with --state the one that has what is named, and every one for `jobs`]
    #[arg(short, long, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// State folder of `slipway local`, in place of a cluster
    #[arg(long, value_name = "DIR", conflicts_with_all = ["kubeconfig", "context"])]
    state: Option<PathBuf>,
    #[command(flatten)]
    cluster: ClusterTarget,
}

impl PlaceOptions {
    /// The place.
    pub fn place(&self) -> Where {
        match &self.state {
            Some(state) => Where::Local(state.clone()),
            None => Where::Cluster(self.cluster.clone()),
        }
    }
}
