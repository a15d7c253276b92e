//! Objects that triggers refer to: which of their changes anybody needs to hear of.

use std::collections::{BTreeSet, HashMap};

use kube::core::{DynamicObject, PartialObjectMeta};
use kube::runtime::watcher::Event;

use super::feed::id_of;
use crate::resource::ObjectId;

/// What is remembered of one: another UID or generation is another specification. A status or a label changes neither.
type Version = (Option<String>, Option<i64>);

/// The objects of one watch, as they were last seen.
#[derive(Default)]
pub(super) struct WatchedReferences {
    known: HashMap<ObjectId, Version>,
    /// The list under way.
    listed: HashMap<ObjectId, Version>,
    /// The first list is done: what it shows is no change, because whoever needs it reads it then.
    is_listed: bool,
}

impl WatchedReferences {
    /// The namespaces in which something changed; `None` for the whole cluster.
    pub(super) fn take(
        &mut self,
        event: Event<PartialObjectMeta<DynamicObject>>,
    ) -> BTreeSet<Option<String>> {
        let mut changed = BTreeSet::new();
        match event {
            Event::Init => self.listed.clear(),
            Event::InitApply(object) => {
                let (id, version) = seen(&object);
                self.listed.insert(id, version);
            }
            Event::InitDone => {
                let before = std::mem::replace(&mut self.known, std::mem::take(&mut self.listed));
                if std::mem::replace(&mut self.is_listed, true) {
                    let differs = |id: &&ObjectId| before.get(*id) != self.known.get(*id);
                    let ids = before.keys().chain(self.known.keys()).filter(differs);
                    changed.extend(ids.map(namespace));
                }
            }
            Event::Apply(object) => {
                let (id, version) = seen(&object);
                if self.known.get(&id) != Some(&version) {
                    changed.insert(namespace(&id));
                    self.known.insert(id, version);
                }
            }
            Event::Delete(object) => {
                let (id, _) = seen(&object);
                self.known.remove(&id);
                changed.insert(namespace(&id));
            }
        }
        changed
    }
}

fn seen(object: &PartialObjectMeta<DynamicObject>) -> (ObjectId, Version) {
    let metadata = &object.metadata;
    (id_of(metadata), (metadata.uid.clone(), metadata.generation))
}

fn namespace(id: &ObjectId) -> Option<String> {
    (!id.namespace.is_empty()).then(|| id.namespace.to_string())
}

#[cfg(test)]
mod tests {
    use kube::core::{ObjectMeta, PartialObjectMetaExt as _};

    use super::*;

    fn object(
        name: &str,
        generation: i64,
        resource_version: &str,
    ) -> PartialObjectMeta<DynamicObject> {
        let metadata = ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some("n".to_owned()),
            uid: Some("u".to_owned()),
            generation: Some(generation),
            resource_version: Some(resource_version.to_owned()),
            ..ObjectMeta::default()
        };
        metadata.into_response_partial()
    }

    fn list(references: &mut WatchedReferences, objects: &[(&str, i64)]) -> usize {
        references.take(Event::Init);
        for (name, generation) in objects {
            references.take(Event::InitApply(object(name, *generation, "9")));
        }
        references.take(Event::InitDone).len()
    }

    #[test]
    fn a_status_of_what_triggers_refer_to_wakes_nobody() {
        let mut references = WatchedReferences::default();
        assert_eq!(
            list(&mut references, &[("a", 1)]),
            0,
            "the first list is no change"
        );
        let mut apply = |generation, version| {
            let applied = Event::Apply(object("a", generation, version));
            !references.take(applied).is_empty()
        };
        assert!(!apply(1, "10"), "a status");
        assert!(apply(2, "11"), "an edit");
        assert!(!apply(2, "12"), "a label");
    }

    #[test]
    fn what_changed_or_went_while_the_watch_was_away_is_told() {
        let mut references = WatchedReferences::default();
        list(&mut references, &[("a", 1), ("b", 1)]);
        assert_eq!(list(&mut references, &[("a", 1), ("b", 1)]), 0);
        assert_eq!(list(&mut references, &[("a", 2), ("b", 1)]), 1);
        assert_eq!(list(&mut references, &[("a", 2)]), 1);
        let gone = references.take(Event::Delete(object("a", 2, "9")));
        assert_eq!(gone, BTreeSet::from([Some("n".to_owned())]));
    }
}
