use serde::de::IgnoredAny;
use serde_json::json;

use super::*;

type Shape = Watched<IgnoredAny, IgnoredAny>;

#[derive(Debug, Clone, PartialEq)]
struct Thing {
    id: ObjectId,
    owner: ObjectId,
    uid: String,
    version: u64,
}

impl Kept for Thing {
    fn id(&self) -> &ObjectId {
        &self.id
    }

    fn owner(&self) -> &ObjectId {
        &self.owner
    }

    fn uid(&self) -> &str {
        &self.uid
    }

    fn version(&self) -> u64 {
        self.version
    }
}

fn keep(object: Shape) -> Option<Thing> {
    let labels = object.metadata.labels.clone().unwrap_or_default();
    let id = object.id();
    Some(Thing {
        owner: ObjectId::new(&id.namespace, labels.get("owner")?),
        uid: object.metadata.uid.unwrap_or_default(),
        version: version_number(object.metadata.resource_version.as_deref()),
        id,
    })
}

fn object(name: &str, owner: &str, version: u64) -> Shape {
    serde_json::from_value(json!({
        "metadata": {
            "name": name, "namespace": "production", "uid": format!("uid of {name}"),
            "resourceVersion": version.to_string(), "labels": {"owner": owner},
        },
        "spec": {},
    }))
    .expect("an object")
}

fn take(informer: &mut Informer<Thing>, event: watcher::Event<Shape>) -> Vec<String> {
    let mut told = Vec::new();
    informer.take(
        Some("production"),
        Shown::Event(event),
        keep,
        |(before, now)| {
            let name = |thing: &Thing| format!("{}@{}", thing.id.name, thing.version);
            told.push(match (before, now) {
                (None, Some(now)) => format!("+{}", name(now)),
                (Some(_), Some(now)) => format!("~{}", name(now)),
                (Some(before), None) => format!("-{}", name(before)),
                (None, None) => unreachable!("nothing changed"),
            });
        },
    );
    told.sort();
    told
}

fn list(informer: &mut Informer<Thing>, objects: Vec<Shape>) -> Vec<String> {
    take(informer, watcher::Event::Init);
    for object in objects {
        take(informer, watcher::Event::InitApply(object));
    }
    take(informer, watcher::Event::InitDone)
}

fn names(informer: &Informer<Thing>, owner: &str) -> Vec<String> {
    let owner = ObjectId::new("production", owner);
    let mut names: Vec<String> = informer
        .of(&owner)
        .map(|thing| thing.id.name.to_string())
        .collect();
    names.sort();
    names
}

#[test]
fn nothing_is_known_before_the_first_list_is_complete() {
    let mut informer = Informer::default();
    take(&mut informer, watcher::Event::Init);
    take(
        &mut informer,
        watcher::Event::InitApply(object("a", "x", 1)),
    );
    assert!(informer.check_synced("production", "things").is_err());
    take(&mut informer, watcher::Event::InitDone);
    assert!(informer.is_synced("production") && !informer.is_synced("staging"));
    assert_eq!(names(&informer, "x"), ["a"]);
}

#[test]
fn a_new_list_replaces_what_was_known_only_when_it_is_complete() {
    let mut informer = Informer::default();
    take(&mut informer, watcher::Event::Apply(object("a", "x", 1)));
    take(&mut informer, watcher::Event::Apply(object("b", "x", 2)));
    take(&mut informer, watcher::Event::Init);
    take(
        &mut informer,
        watcher::Event::InitApply(object("c", "x", 3)),
    );
    assert_eq!(names(&informer, "x"), ["a", "b"]);
    let told = take(&mut informer, watcher::Event::InitDone);
    assert_eq!(told, ["+c@3", "-a@1", "-b@2"]);
    assert_eq!(names(&informer, "x"), ["c"]);
}

#[test]
fn a_list_counts_although_its_versions_are_lower_than_before() {
    let mut informer = Informer::default();
    list(&mut informer, vec![object("a", "x", 900)]);
    // The server's store was restored from a backup.
    assert_eq!(list(&mut informer, vec![object("a", "y", 7)]), ["~a@7"]);
    assert_eq!(names(&informer, "y"), ["a"]);
    let told = take(&mut informer, watcher::Event::Apply(object("a", "y", 8)));
    assert_eq!(told, ["~a@8"]);
    let same = list(&mut informer, vec![object("a", "y", 8)]);
    assert!(same.is_empty(), "a list that shows nothing new is no news");
}

#[test]
fn between_lists_an_older_version_is_no_news() {
    let mut informer = Informer::default();
    take(&mut informer, watcher::Event::Apply(object("a", "x", 5)));
    let old = keep(object("a", "x", 4)).expect("kept");
    assert!(!informer.apply(old, |_| {}));
    let mut another = keep(object("a", "x", 4)).expect("kept");
    another.uid = "another of that name".to_owned();
    assert!(informer.apply(another, |_| {}));
}

#[test]
fn an_object_that_changes_its_owner_leaves_nothing_behind() {
    let mut informer = Informer::default();
    take(&mut informer, watcher::Event::Apply(object("a", "x", 1)));
    take(&mut informer, watcher::Event::Apply(object("a", "y", 2)));
    assert!(
        names(&informer, "x").is_empty()
            && !informer
                .objects
                .contains_key(&ObjectId::new("production", "x"))
    );
    assert_eq!(names(&informer, "y"), ["a"]);
    let gone = take(&mut informer, watcher::Event::Delete(object("a", "y", 3)));
    assert_eq!(gone, ["-a@2"]);
    assert!(informer.objects.is_empty() && informer.owners.is_empty());
}

#[test]
fn a_watch_that_fails_is_said_and_what_must_be_fresh_is_not_told() {
    let mut informer = Informer::default();
    list(&mut informer, vec![object("a", "x", 1)]);
    let trouble = Shown::<Shape>::Trouble(Some((Some(403), "cannot watch".to_owned())));
    assert!(informer.take(Some("production"), trouble, keep, |_| {}));
    assert!(informer.check_synced("production", "things").is_ok());
    let error = informer.check_fresh("production", "things");
    assert!(matches!(error, Err(Error::Forbidden { .. })), "{error:?}");
    informer.take(Some("production"), Shown::Trouble(None), keep, |_| {});
    assert!(informer.check_fresh("production", "things").is_ok());
}
