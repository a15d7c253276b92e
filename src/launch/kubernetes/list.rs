//! Consistent lists of what belongs to one object: asked for without a
//! `resourceVersion`, so never older than the question.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Kubernetes, label_of, names, unavailable, unreadable};
use crate::cluster::{Budget, Call, Cluster};
use crate::launch::Error;
use crate::resource::ScaledJob;

/// Objects in one page of a list.
const PAGE: &str = "500";

impl Kubernetes {
    /// A consistent list of everything with the object's label.
    pub(super) async fn list<T: DeserializeOwned>(
        &self,
        path: &str,
        scaled_job: &ScaledJob,
        object: &str,
    ) -> Result<Vec<T>, Error> {
        let value = names::label_value(&scaled_job.id.name);
        let selector = format!("{}={value}", label_of(scaled_job.api));
        let call = Call::get(path).query("labelSelector", selector);
        let cluster = self.cluster.clone().with(Budget::Reads);
        pages(&cluster, call, object).await
    }
}

/// All that a list holds, page by page.
///
/// # Errors
///
/// [`Error::Unavailable`] or [`Error::Forbidden`]; never a part of it.
pub(super) async fn pages<T: DeserializeOwned>(
    cluster: &Cluster,
    call: Call,
    object: &str,
) -> Result<Vec<T>, Error> {
    let mut items = Vec::new();
    let mut next = None;
    loop {
        let (page, more) = page(cluster, call.clone(), object, next).await?;
        items.extend(page);
        next = more;
        if next.is_none() {
            return Ok(items);
        }
    }
}

/// One page of a list, and where the next one begins. `from`: where this one does; `None` for the first.
///
/// # Errors
///
/// [`Error::Unavailable`] or [`Error::Forbidden`], about `object`.
pub async fn page<T: DeserializeOwned>(
    cluster: &Cluster,
    call: Call,
    object: &str,
    from: Option<String>,
) -> Result<(Vec<T>, Option<String>), Error> {
    let mut call = call.query("limit", PAGE);
    if let Some(token) = from {
        call = call.query("continue", token);
    }
    let answer = cluster
        .send(call)
        .await
        .map_err(|error| unavailable(object, &error))?;
    if !answer.is_success() {
        return Err(unreadable(object, &answer));
    }
    let page: Page<T> = answer.json().map_err(|error| unavailable(object, &error))?;
    let next = page.metadata.next.filter(|token| !token.is_empty());
    Ok((page.items.unwrap_or_default(), next))
}

#[derive(Deserialize)]
struct Page<T> {
    #[serde(default)]
    metadata: PageMetadata,
    /// `null` in a list of metadata that holds nothing.
    items: Option<Vec<T>>,
}

#[derive(Default, Deserialize)]
struct PageMetadata {
    #[serde(default, rename = "continue")]
    next: Option<String>,
}
