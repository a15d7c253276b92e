//! A watch that goes on whatever happens, and says when it fails and when it works again.

use futures::StreamExt as _;
use kube::core::{ApiResource, DynamicResourceScope};
use kube::runtime::{WatchStreamExt as _, watcher};
use serde::de::DeserializeOwned;
use tracing::{info, warn};

use crate::cluster::Cluster;

/// Seconds after which the server ends a watch by itself; the client then knows that the connection lives.
const WATCH_SECONDS: u32 = 110;

/// Why a watch fails: the server's code, if there was one, and words.
pub(super) type WatchTrouble = (Option<u16>, String);

/// What a watch shows.
pub(super) enum Shown<K> {
    /// The objects, one by one.
    Event(watcher::Event<K>),
    /// It fails (`Some`), or works again.
    Trouble(Option<WatchTrouble>),
}

/// Watches objects with a label, for ever.
pub(super) async fn objects<K>(
    cluster: &Cluster,
    resource: &ApiResource,
    label: &str,
    scope: Option<&str>,
    mut show: impl FnMut(Shown<K>),
) where
    K: kube::Resource<DynamicType = ApiResource, Scope = DynamicResourceScope>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned
        + Send
        + 'static,
{
    let client = cluster.client().clone();
    let objects: kube::Api<K> = match scope {
        None => kube::Api::all_with(client, resource),
        Some(namespace) => kube::Api::namespaced_with(client, namespace, resource),
    };
    let config = watcher::Config::default()
        .labels(label)
        .timeout(WATCH_SECONDS);
    let mut events = watcher(objects, config).default_backoff().boxed();
    let place = scope.unwrap_or("all namespaces");
    let kind = &resource.plural;
    let mut failing = false;
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => {
                // `Init` comes before the list that may fail.
                let works = !matches!(event, watcher::Event::Init);
                if works && std::mem::take(&mut failing) {
                    info!(label, "{kind} in {place} can be watched again");
                    show(Shown::Trouble(None));
                }
                show(Shown::Event(event));
            }
            Err(error) => {
                show(Shown::Trouble(Some(trouble(&error))));
                // Once per change of state; the watcher goes on, with a back-off.
                if !std::mem::replace(&mut failing, true) {
                    warn!(
                        label,
                        error = &error as &dyn std::error::Error,
                        "cannot list or watch {kind} in {place}; trying again"
                    );
                }
            }
        }
    }
}

/// The server's code and words, or the innermost cause.
fn trouble(error: &watcher::Error) -> WatchTrouble {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => (Some(status.code), status.message.clone()),
        other => {
            let mut cause: &dyn std::error::Error = other;
            while let Some(deeper) = cause.source() {
                cause = deeper;
            }
            (None, cause.to_string())
        }
    }
}
