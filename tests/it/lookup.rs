//! What triggers refer to, in the real API server.

use secrecy::ExposeSecret;
use serde_json::json;
use slipway::cluster::Cluster;
use slipway::lookup::kubernetes::KubernetesLookup;
use slipway::lookup::{Error, Lookup};
use slipway::resource::{Api, ObjectId};

use crate::support::api_proxy::{Fault, Rule};
use crate::support::world::World;

fn lookup(world: &World) -> KubernetesLookup {
    KubernetesLookup::new(
        Cluster::new(world.proxy.client()),
        Some("slipway-system".to_owned()),
    )
}

async fn make_secret(world: &World) -> ObjectId {
    let path = format!("/api/v1/namespaces/{}/secrets", world.namespace);
    let body = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"},
        // "wrong" is not UTF-8.
        "data": {"id": "c2VzYW1l", "wrong": "/w=="},
    });
    world.post(&path, body).await;
    ObjectId::new(&world.namespace, "keys")
}

#[tokio::test]
async fn a_secret_is_read_once_until_it_is_forgotten() {
    let world = World::new("secret").await;
    let lookup = lookup(&world);
    let id = make_secret(&world).await;
    let mut first = None;
    for _ in 0..3 {
        let secret = lookup
            .secret(&id)
            .await
            .expect("an answer")
            .expect("the secret");
        assert_eq!(secret["id"].expose_secret(), "sesame");
        assert!(!secret.contains_key("wrong"));
        // Nobody has a copy of a Secret's own.
        let first = first.get_or_insert_with(|| secret.clone());
        assert!(std::sync::Arc::ptr_eq(first, &secret));
    }
    assert_eq!(world.proxy.calls("GET", "/secrets/keys"), 1);
    assert!(!format!("{lookup:?}").contains("sesame"));

    let path = format!("/api/v1/namespaces/{}/secrets/keys", world.namespace);
    world
        .patch(&path, json!({"stringData": {"id": "rotated"}}))
        .await;
    lookup.forget(Some(&world.namespace));
    let secret = lookup
        .secret(&id)
        .await
        .expect("an answer")
        .expect("the secret");
    assert_eq!(secret["id"].expose_secret(), "rotated");
}

#[tokio::test]
async fn absence_is_no_error_and_trouble_is_no_absence() {
    let world = World::new("absent").await;
    let lookup = lookup(&world);
    let id = ObjectId::new(&world.namespace, "keys");
    assert!(lookup.secret(&id).await.expect("an answer").is_none());
    make_secret(&world).await;
    // What came to nothing serves those who ask at that moment, so each has its own lookup.
    for (code, transient) in [(403, false), (401, false), (500, true), (429, true)] {
        world
            .proxy
            .fault(Rule::on("GET", "/secrets/keys", Fault::Refuse(code)));
        let error = self::lookup(&world)
            .secret(&id)
            .await
            .expect_err("no answer");
        assert_eq!(error.is_transient(), transient, "{code}: {error}");
        world.proxy.heal();
    }
    lookup.forget(None);
    assert!(lookup.secret(&id).await.expect("an answer").is_some());
}

#[tokio::test]
async fn config_maps_and_service_accounts_are_read() {
    let world = World::new("config").await;
    let lookup = lookup(&world);
    let core = format!("/api/v1/namespaces/{}", world.namespace);
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "urls"}, "data": {"queue": "orders"}});
    world.post(&format!("{core}/configmaps"), map).await;
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": {"name": "worker", "annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/worker"}}});
    world
        .post(&format!("{core}/serviceaccounts"), account)
        .await;

    let id = ObjectId::new(&world.namespace, "urls");
    let map = lookup
        .config_map(&id)
        .await
        .expect("an answer")
        .expect("the map");
    assert_eq!(map["queue"], "orders");
    let id = ObjectId::new(&world.namespace, "worker");
    let annotations = lookup
        .service_account_annotations(&id)
        .await
        .expect("an answer");
    let annotations = annotations.expect("the account");
    assert_eq!(
        annotations["eks.amazonaws.com/role-arn"],
        "arn:aws:iam::1:role/worker"
    );
}

#[tokio::test]
async fn an_authentication_of_the_other_group_serves_too() {
    let world = World::new("authentication").await;
    let lookup = lookup(&world);
    let body = json!({
        "apiVersion": "slipway.dev/v1alpha1", "kind": "TriggerAuthentication",
        "metadata": {"name": "aws"}, "spec": {"podIdentity": {"provider": "aws"}},
    });
    let path = world.path("slipway.dev", "triggerauthentications");
    world.post(&path, body).await;
    let id = ObjectId::new(&world.namespace, "aws");
    for api in [Api::Slipway, Api::Keda] {
        let found = lookup
            .authentication(&id, false, api)
            .await
            .expect("an answer");
        let found = found.expect("the authentication");
        assert_eq!(found.spec["podIdentity"]["provider"], "aws");
        assert_eq!(found.namespace, world.namespace);
    }
    let nothing = ObjectId::new(&world.namespace, "nothing");
    let found = lookup.authentication(&nothing, false, Api::Slipway).await;
    assert_eq!(found.expect("an answer"), None);

    lookup.forget(None);
    // Not allowed in its own group is an error, even where the other group has none.
    world
        .proxy
        .fault(Rule::on("GET", "/apis/slipway.dev", Fault::Refuse(403)));
    let error = lookup.authentication(&nothing, false, Api::Slipway).await;
    assert!(matches!(error, Err(Error::Forbidden { .. })), "{error:?}");
}
