//! The shared door with EventJobs behind it that cannot take events: everybody else gets theirs, then the sender is told
//! to come again.

use serde_json::{Value, json};

use super::world::{Told, World, envelope};
use super::{FIRST, SECOND, world};
use crate::intake::SenderKind;
use crate::resource::ObjectId;

fn shared(source: &str) -> Value {
    json!({"shared": true, "pattern": {"source": [source]}})
}

/// Makes the object invalid, as an edit does.
fn break_it(world: &World, name: &str, says_shared: bool) {
    let id = ObjectId::new("production", name);
    world.catalog.set_invalid(id, name, says_shared);
}

/// Each EventJob that is named, with what is said of it.
fn results(told: &Told) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let results = told.body["results"].as_array().cloned().unwrap_or_default();
    let mut results: Vec<_> = results
        .iter()
        .map(|result| {
            let word = [&result["result"], &result["reason"]].map(text).concat();
            (text(&result["eventJob"]), word)
        })
        .collect();
    results.sort();
    results
}

fn list(results: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(name, word): &(&str, &str)| ((*name).to_owned(), (*word).to_owned());
    results.iter().map(owned).collect()
}

#[tokio::test]
async fn one_that_an_edit_made_invalid_makes_it_503_after_the_others_and_only_for_its_events() {
    let world = world();
    world.event_job("eb", "first", &shared("billing"), None);
    world.event_job("eb2", "first", &shared("billing"), None);
    world.event_job("other", "second", &shared("orders"), None);
    break_it(&world, "eb2", true);
    let told = world.post(None, FIRST, &envelope("e-1", "billing")).await;
    assert_eq!(told.status, 503);
    let both = list(&[("eb", "Created"), ("eb2", "NotReady")]);
    assert_eq!(results(&told), both);
    // A second typo in the same object forgets nothing.
    break_it(&world, "eb2", false);
    let told = world.post(None, FIRST, &envelope("e-1", "billing")).await;
    let both = list(&[("eb", "Duplicate"), ("eb2", "NotReady")]);
    assert_eq!((told.status, results(&told)), (503, both));
    // Whom another lets in is told too: nobody knows whom the edit lets in.
    let told = world.post(None, SECOND, &envelope("e-2", "billing")).await;
    assert_eq!(
        (told.status, results(&told)),
        (503, list(&[("eb2", "NotReady")]))
    );
    // What its last version did not want is no business of it.
    let told = world.post(None, SECOND, &envelope("e-3", "orders")).await;
    assert_eq!(
        (told.status, results(&told)),
        (200, list(&[("other", "Created")]))
    );
    // It lets nobody in, by its old key neither.
    let stranger = world.post(None, "wrong", "{}").await;
    assert_eq!((stranger.status, stranger.reads), (401, 0));
    assert_eq!(world.launched(), 2);
    world.event_job("eb2", "first", &shared("billing"), None);
    let told = world.post(None, FIRST, &envelope("e-1", "billing")).await;
    let both = list(&[("eb", "Duplicate"), ("eb2", "Created")]);
    assert_eq!((told.status, results(&told)), (200, both));
}

#[tokio::test]
async fn one_whose_valid_version_nobody_knows_makes_it_503_if_it_says_that_it_is_shared() {
    let world = world();
    break_it(&world, "new", true);
    // Its own key is as good as any: nobody can tell.
    let told = world.post(None, FIRST, "{}").await;
    assert_eq!(told.short(), (503, "NotReady"));
    world.event_job("good", "first", &shared("billing"), None);
    let told = world.post(None, FIRST, &envelope("e-1", "billing")).await;
    let both = list(&[("good", "Created"), ("new", "NotReady")]);
    assert_eq!((told.status, results(&told)), (503, both));
    // An object of that name that was made anew is another one.
    let id = ObjectId::new("production", "good");
    world.catalog.set_invalid(id, "another uid", false);
    break_it(&world, "new", false);
    world.event_job("last", "second", &shared("billing"), None);
    let told = world.post(None, SECOND, &envelope("e-2", "billing")).await;
    assert_eq!(
        (told.status, results(&told)),
        (200, list(&[("last", "Created")]))
    );
}

#[tokio::test]
async fn one_without_its_secret_keeps_nothing_from_the_others() {
    let world = world();
    world.event_job("good", "first", &shared("billing"), None);
    world.event_job("keyless", "missing", &shared("orders"), None);
    // The findings' input: its pattern never matches.
    let told = world.post(None, FIRST, &envelope("e-1", "billing")).await;
    assert_eq!(
        (told.status, results(&told)),
        (200, list(&[("good", "Created")]))
    );
    world.event_job("both", "first", &shared("orders"), None);
    let told = world.post(None, FIRST, &envelope("e-2", "orders")).await;
    let both = list(&[("both", "Created"), ("keyless", "Unavailable")]);
    assert_eq!((told.status, results(&told)), (503, both));
    // These may be its credentials.
    let told = world.post(None, "nobody knows", "{}").await;
    assert_eq!((told.short(), told.reads), ((503, "Unavailable"), 0));
}

#[tokio::test]
async fn what_is_no_event_to_the_broken_one_is_none_of_its_business() {
    let world = world();
    let json = json!({"shared": true, "format": "JSON", "idFrom": [{"path": "$.id"}]});
    world.event_job("json", "first", &json, None);
    world.event_job("envelopes", "first", &shared("billing"), None);
    break_it(&world, "envelopes", true);
    let told = world.post(None, FIRST, r#"{"id": "1"}"#).await;
    assert_eq!(
        (told.status, results(&told)),
        (200, list(&[("json", "Created")]))
    );
}

#[tokio::test]
async fn a_sender_that_proves_itself_has_a_senders_room_and_nobody_else_has() {
    let world = world();
    let open = json!({"auth": [{"none": {}}], "pattern": {"source": ["x"]}});
    world.event_job("open", "first", &open, None);
    world.event_job("closed", "first", &json!({}), None);
    let body = envelope("e-1", "billing");
    let told = world.post(Some("open"), "", &body).await;
    assert_eq!(
        (told.status, told.admitted),
        (200, Some(SenderKind::Stranger))
    );
    let told = world.post(Some("closed"), FIRST, &body).await;
    assert_eq!(
        (told.status, told.admitted),
        (200, Some(SenderKind::Proved))
    );
    let told = world.post(Some("closed"), SECOND, &body).await;
    assert_eq!((told.status, told.admitted), (401, None));
}
