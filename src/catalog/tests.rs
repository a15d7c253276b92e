use serde_json::json;

use super::*;
use crate::resource::event_job;

fn event_job(name: &str, shared: bool, pattern: bool) -> Arc<EventJob> {
    let mut object = json!({
        "apiVersion": "slipway.dev/v1alpha1",
        "kind": "EventJob",
        "metadata": {"namespace": "n", "name": name, "uid": name, "generation": 1},
        "spec": {
            "source": {"webhook": {"shared": shared, "auth": [{"none": {}}]}},
            "jobTemplate": {"spec": {"template": {"spec": {
                "restartPolicy": "Never",
                "containers": [{"name": "main", "image": "example.com/worker:1"}],
            }}}},
        },
    });
    if pattern {
        object["spec"]["pattern"] = json!({"source": ["billing"]});
    }
    Arc::new(event_job::parse(&object).unwrap())
}

fn set(catalog: &Catalog, event_job: &Arc<EventJob>, not_ready: Option<&str>) {
    let entry = CatalogEntry {
        event_job: Arc::clone(event_job),
        not_ready: not_ready.map(str::to_owned),
    };
    catalog.set(event_job.id.clone(), Listing::Valid(entry));
}

#[tokio::test]
async fn proving_an_object_compiles_no_pattern_anew() {
    let catalog = Catalog::default();
    let (a, b) = (event_job("a", true, true), event_job("b", true, false));
    set(&catalog, &a, Some("its template is being proved"));
    set(&catalog, &b, None);
    let before = catalog.shared("n").await.unwrap();
    assert!(before.every.iter().eq([&b.id]));
    set(&catalog, &a, None);
    let proved = catalog.shared("n").await.unwrap();
    assert!(proved.entries[&a.id].entry.not_ready.is_none());
    assert!(Arc::ptr_eq(&before.matcher, &proved.matcher));
    // What is not shared is no business of the shared door.
    set(&catalog, &event_job("c", false, true), None);
    assert!(Arc::ptr_eq(&proved, &catalog.shared("n").await.unwrap()));
    set(&catalog, &event_job("a", true, true), None);
    let edited = catalog.shared("n").await.unwrap();
    assert!(!Arc::ptr_eq(&edited.matcher, &proved.matcher));
}

#[tokio::test]
async fn the_shared_door_leaves_out_what_is_being_deleted() {
    let catalog = Catalog::default();
    let (a, b) = (event_job("a", true, true), event_job("b", true, false));
    set(&catalog, &a, None);
    set(&catalog, &b, None);
    catalog.set(b.id.clone(), Listing::Deleting);
    assert!(
        catalog
            .shared("n")
            .await
            .unwrap()
            .entries
            .keys()
            .eq([&a.id])
    );
    assert!(catalog.all().iter().eq([&a.id]));
    catalog.remove(&a.id);
    assert!(catalog.shared("n").await.is_none());
    catalog.remove(&b.id);
    assert!(catalog.get(&b.id).is_none());
}

#[test]
fn a_namespace_is_complete_on_its_own() {
    let catalog = Catalog::default();
    catalog.complete(Some("n"));
    assert!(catalog.is_complete("n") && !catalog.is_complete("m"));
    catalog.complete(None);
    assert!(catalog.is_complete("m"));
}

#[tokio::test]
async fn the_newest_is_crowded_out_where_bodies_would_be_tried_with_too_many_keys() {
    let catalog = Catalog::default();
    // The older ones come last: what counts is when they were made.
    for number in (0..40).rev() {
        let mut event_job = (*event_job(&format!("e{number:02}"), true, true)).clone();
        event_job.created = format!("2026-11-29T00:00:{number:02}Z");
        let key = |name: String| event_job::SecretKey {
            name,
            key: "k".to_owned(),
        };
        let event_job::EventSource::Webhook(webhook) = &mut event_job.source else {
            panic!("no webhook");
        };
        webhook.auth = vec![event_job::Auth::Hmac {
            scheme: event_job::signature::HmacScheme::known("GitHub").unwrap(),
            // One that all share, and one of its own.
            keys: vec![key("all".to_owned()), key(format!("s{number}"))],
        }];
        set(&catalog, &Arc::new(event_job), None);
    }
    set(&catalog, &event_job("header", true, true), None);
    let shared = catalog.shared("n").await.unwrap();
    assert_eq!((shared.entries.len(), shared.auths.len()), (41, 32));
    let crowded = shared.crowded.iter().map(|id| &*id.name);
    let expected: Vec<String> = (31..40).map(|number| format!("e{number}")).collect();
    assert!(crowded.eq(expected.iter().map(String::as_str)));
    for id in &shared.crowded {
        let entry = &shared.entries[id];
        assert!(entry.is_invalid && entry.auth.is_none() && entry.entry.not_ready.is_some());
    }
}
