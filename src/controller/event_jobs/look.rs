//! Whether there is an EventJob, for those who ask for one that was not read: by a consistent read.

use std::time::Duration;

use futures::future::BoxFuture;
use serde_json::Value;

use crate::catalog::says_shared;
use crate::cluster::{Answer, Budget, Call, Cluster, Scope};
use crate::intake::webhook::Look;
use crate::launch::kubernetes::{event_job_path, event_jobs_path};
use crate::resource::ObjectId;

/// A sender waits for it.
const DEADLINE: Duration = Duration::from_secs(3);

/// Looks in the cluster.
#[derive(Debug)]
pub struct Looker {
    cluster: Cluster,
    scope: Scope,
}

impl Looker {
    /// A look at the namespaces of a scope; elsewhere is nothing of ours.
    pub fn new(cluster: Cluster, scope: Scope) -> Self {
        Self {
            cluster: cluster.with(Budget::Reads),
            scope,
        }
    }

    /// `None` for 404.
    async fn get(&self, path: String) -> Result<Option<Answer>, String> {
        let call = Call::get(path).within(DEADLINE);
        let answer = self
            .cluster
            .send(call)
            .await
            .map_err(|error| error.detail)?;
        match answer.status {
            404 => Ok(None),
            200..300 => Ok(Some(answer)),
            _ => Err(answer.words()),
        }
    }
}

impl Look for Looker {
    fn is_ours(&self, namespace: &str) -> bool {
        match &self.scope {
            Scope::All => true,
            Scope::Namespaces(names) => names.iter().any(|name| name == namespace),
        }
    }

    fn exists<'a>(&'a self, id: &'a ObjectId) -> BoxFuture<'a, Result<bool, String>> {
        Box::pin(async move {
            if !self.is_ours(&id.namespace) || !is_name(&id.name) {
                return Ok(false);
            }
            Ok(self.get(event_job_path(id)).await?.is_some())
        })
    }

    fn any_shared<'a>(&'a self, namespace: &'a str) -> BoxFuture<'a, Result<bool, String>> {
        Box::pin(async move {
            if !self.is_ours(namespace) || !is_name(namespace) {
                return Ok(false);
            }
            let Some(answer) = self.get(event_jobs_path(namespace)).await? else {
                return Ok(false);
            };
            let list: Value = answer.json().map_err(|error| error.detail)?;
            let mut items = list["items"].as_array().into_iter().flatten();
            Ok(items.any(|item| {
                says_shared(item) && item["metadata"].get("deletionTimestamp").is_none()
            }))
        })
    }
}

/// Whether it can be a name at all: what strangers write goes into no other path.
fn is_name(text: &str) -> bool {
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    let is_allowed = |byte: &u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.')
    };
    text.len() <= 253
        && edge(bytes.first())
        && edge(bytes.last())
        && bytes.iter().all(is_allowed)
        && !text.contains("..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_a_name_is_nowhere() {
        for name in ["invoice", "a.b-c", "0"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "..", "a/b", "a..b", "A", "-a", "a%2fb", "a?x=1", "é"] {
            assert!(!is_name(name), "{name}");
        }
    }
}
