//! What an address asks for.

use super::actions::is_name;
use super::views::AdminView;
use crate::page::html::decoded;
use crate::page::object::{PageKey, PageKind};
use crate::page::rows::RowFilter;
use crate::resource::ObjectId;

/// What is sought is no longer: an event's id may be an address.
const LONGEST_SOUGHT: usize = 1024;

/// What an address asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum AdminRoute {
    /// A page.
    View(AdminView),
    /// The changes of a page.
    Stream(AdminView),
    /// Where an event or a Job is.
    Find(String),
    Style,
    Script,
    Icon,
    /// `/api/v1/objects`
    Objects,
    /// `/api/v1/objects/{kind}/{namespace}/{name}`
    Object(PageKey),
    /// `/api/v1/objects/{kind}/{namespace}/{name}/records`
    RecordsOf(PageKey),
    /// `/api/v1/records?event=ID`
    RecordsOfEvent(String),
    /// `/api/v1/records?job=NAME`
    RecordsOfJob(String),
    /// `/api/v1/jobs/{namespace}/{name}`
    Job(ObjectId),
    /// `/api/v1/actions`
    Actions,
}

impl AdminRoute {
    /// What a path and a query ask for; `None` for nothing that is here.
    pub(super) fn of(path: &str, query: &str) -> Option<Self> {
        let segments: Vec<String> = path
            .strip_prefix('/')?
            .split('/')
            .map(|segment| decoded(segment, false))
            .collect::<Option<_>>()?;
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        Some(match segments.as_slice() {
            [""] => Self::View(AdminView::Overview(RowFilter::parse(query))),
            ["page.css"] => Self::Style,
            ["page.js"] => Self::Script,
            ["icon.svg"] => Self::Icon,
            ["find"] => Self::Find(
                parameter(query, "q")?
                    .chars()
                    .take(LONGEST_SOUGHT)
                    .collect(),
            ),
            ["objects", kind, namespace, name] => {
                Self::View(AdminView::Object(key(kind, namespace, name)?))
            }
            ["jobs", namespace, name] => Self::View(AdminView::Job(id(namespace, name)?)),
            ["api", "v1", "stream"] => Self::Stream(AdminView::Overview(RowFilter::parse(query))),
            ["api", "v1", "stream", "objects", kind, namespace, name] => {
                Self::Stream(AdminView::Object(key(kind, namespace, name)?))
            }
            ["api", "v1", "stream", "jobs", namespace, name] => {
                Self::Stream(AdminView::Job(id(namespace, name)?))
            }
            ["api", "v1", "objects"] => Self::Objects,
            ["api", "v1", "objects", kind, namespace, name] => {
                Self::Object(key(kind, namespace, name)?)
            }
            ["api", "v1", "objects", kind, namespace, name, "records"] => {
                Self::RecordsOf(key(kind, namespace, name)?)
            }
            ["api", "v1", "records"] => {
                match (parameter(query, "event"), parameter(query, "job")) {
                    (Some(event), None) => Self::RecordsOfEvent(event),
                    (None, Some(job)) => Self::RecordsOfJob(job),
                    _ => return None,
                }
            }
            ["api", "v1", "jobs", namespace, name] => Self::Job(id(namespace, name)?),
            ["api", "v1", "actions"] => Self::Actions,
            _ => return None,
        })
    }
}

fn key(kind: &str, namespace: &str, name: &str) -> Option<PageKey> {
    Some(PageKey {
        id: id(namespace, name)?,
        kind: PageKind::parse(kind)?,
    })
}

fn id(namespace: &str, name: &str) -> Option<ObjectId> {
    (is_name(namespace) && is_name(name)).then(|| ObjectId::new(namespace, name))
}

/// The first value of a parameter of a query.
pub(super) fn parameter(query: &str, wanted: &str) -> Option<String> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(name, _)| *name == wanted)?;
    decoded(value, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_asks_for_one_thing() {
        let object = || key("EventJob", "n", "a.b").unwrap();
        let rows = [
            (
                "/",
                "page=2",
                Some(AdminRoute::View(AdminView::Overview(
                    RowFilter::default().at(1),
                ))),
            ),
            (
                "/objects/eventjob/n/a.b",
                "",
                Some(AdminRoute::View(AdminView::Object(object()))),
            ),
            (
                "/objects/EventJob/n/a%2Eb",
                "",
                Some(AdminRoute::View(AdminView::Object(object()))),
            ),
            ("/objects/Pod/n/a", "", None),
            ("/objects/EventJob/n/a%2Fb", "", None),
            ("/objects/EventJob/n/..", "", None),
            ("/objects/EventJob/n/A", "", None),
            (
                "/jobs/n/j",
                "",
                Some(AdminRoute::View(AdminView::Job(ObjectId::new("n", "j")))),
            ),
            (
                "/find",
                "q=a%2Fb+c",
                Some(AdminRoute::Find("a/b c".to_owned())),
            ),
            ("/find", "", None),
            ("/api/v1/objects", "", Some(AdminRoute::Objects)),
            (
                "/api/v1/objects/eventjob/n/a.b",
                "",
                Some(AdminRoute::Object(object())),
            ),
            (
                "/api/v1/stream/jobs/n/j",
                "",
                Some(AdminRoute::Stream(AdminView::Job(ObjectId::new("n", "j")))),
            ),
            (
                "/api/v1/objects/eventjob/n/a.b/records",
                "",
                Some(AdminRoute::RecordsOf(object())),
            ),
            (
                "/api/v1/records",
                "event=a%2Fb",
                Some(AdminRoute::RecordsOfEvent("a/b".to_owned())),
            ),
            (
                "/api/v1/records",
                "job=j",
                Some(AdminRoute::RecordsOfJob("j".to_owned())),
            ),
            ("/api/v1/records", "", None),
            ("/api/v1/actions", "", Some(AdminRoute::Actions)),
            ("/api/v2/objects", "", None),
            ("//", "", None),
            ("*", "", None),
            ("/%ff", "", None),
        ];
        for (path, query, route) in rows {
            assert_eq!(AdminRoute::of(path, query), route, "{path}?{query}");
        }
    }
}
