//! A shared door with hundreds of EventJobs behind it: a stranger costs about as much as at one with a single EventJob.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::super::*;
use super::world::{Pages, Sender, now, shared};
use crate::intake::auth::shared::SharedAuths;
use crate::intake::fetch::trust::Trust;
use crate::lookup::{Authentication, Error, SecretData};
use crate::resource::Api;
use crate::resource::event_job::SecretKey;

/// One Secret with very many keys, and a Secret for each number. Counts what is read.
#[derive(Default)]
struct ManySecrets {
    reads: AtomicUsize,
}

type Found<'a, T> = BoxFuture<'a, Result<Option<T>, Error>>;

impl Lookup for ManySecrets {
    fn secret<'a>(&'a self, id: &'a ObjectId) -> Found<'a, SecretData> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let keys = |number: usize| (format!("k{number}"), format!("key-{number}").into());
        let data = Arc::new((0..400).map(keys).collect());
        let is_there = !id.name.contains("gone");
        Box::pin(std::future::ready(Ok(is_there.then_some(data))))
    }

    fn config_map<'a>(&'a self, _id: &'a ObjectId) -> Found<'a, BTreeMap<String, String>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    fn service_account_annotations<'a>(
        &'a self,
        _id: &'a ObjectId,
    ) -> Found<'a, BTreeMap<String, String>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    fn authentication<'a>(
        &'a self,
        _id: &'a ObjectId,
        _cluster: bool,
        _api: Api,
    ) -> Found<'a, Authentication> {
        Box::pin(std::future::ready(Ok(None)))
    }

    fn forget(&self, _namespace: Option<&str>) {}
}

fn key(secret: &str, number: usize) -> Vec<Auth> {
    vec![Auth::ApiKey {
        header: "x-api-key".to_owned(),
        keys: vec![SecretKey {
            name: secret.to_owned(),
            key: format!("k{number}"),
        }],
    }]
}

fn door() -> (Authenticator, Arc<ManySecrets>) {
    let secrets = Arc::new(ManySecrets::default());
    let pages = Arc::new(Pages::default());
    let trust = Trust::native();
    (
        Authenticator::trusting(secrets.clone(), pages, now, trust),
        secrets,
    )
}

fn ways(lists: &[Vec<Auth>]) -> SharedAuths {
    shared(&lists.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

/// The shortest of some runs of refused requests.
async fn refused(authenticator: &Authenticator, ways: &SharedAuths) -> Duration {
    let stranger = Sender::new("").header("x-api-key", "guess");
    let mut shortest = Duration::MAX;
    for _ in 0..20 {
        let started = Instant::now();
        for _ in 0..100 {
            let asked = authenticator.with_headers_of_all("n", ways, &stranger.headers);
            let verdicts = asked.await;
            assert!(verdicts.iter().all(SenderVerdict::is_refused));
        }
        shortest = shortest.min(started.elapsed());
    }
    shortest
}

#[tokio::test]
async fn a_stranger_costs_no_more_with_four_hundred_event_jobs() {
    let (authenticator, _secrets) = door();
    // What a request costs beside this, at least: the smallest one that the wire answers takes more.
    let beside = Duration::from_micros(100) * 100;
    let single = refused(&authenticator, &ways(&[key("hook", 0)])).await;
    let one_secret: Vec<_> = (0..400).map(|number| key("hook", number)).collect();
    let own: Vec<_> = (0..400)
        .map(|number| key(&format!("s{number}"), number))
        .collect();
    for lists in [one_secret, own] {
        let many = refused(&authenticator, &ways(&lists)).await;
        assert!(
            many + beside <= 3 * (single + beside),
            "{many:?} for {single:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn secrets_are_looked_at_once_a_second_however_often_strangers_ask() {
    let (authenticator, secrets) = door();
    let own: Vec<_> = (0..400)
        .map(|number| key(&format!("s{number}"), number))
        .collect();
    let ways = ways(&own);
    refused(&authenticator, &ways).await;
    // Once, and once more because somebody was refused.
    assert_eq!(secrets.reads.load(Ordering::Relaxed), 800);
    let honest = Sender::new("").header("x-api-key", "key-7");
    let asked = authenticator.with_headers_of_all("n", &ways, &honest.headers);
    let verdicts = asked.await;
    let passed = |(_, verdict): &(usize, SenderVerdict)| *verdict == SenderVerdict::Passed;
    let passed: Vec<_> = verdicts.into_iter().enumerate().filter(passed).collect();
    assert_eq!(passed, [(7, SenderVerdict::Passed)]);
}

#[tokio::test]
async fn a_missing_secret_closes_its_own_list_alone_and_only_for_those_who_show_a_key() {
    let (authenticator, _secrets) = door();
    let ways = ways(&[key("gone", 0), key("hook", 1), vec![Auth::None]]);
    let ask = async |sender: Sender| {
        authenticator
            .with_headers_of_all("n", &ways, &sender.headers)
            .await
    };
    let verdicts = ask(Sender::new("").header("x-api-key", "key-1")).await;
    assert!(matches!(verdicts[0], SenderVerdict::Unavailable(_)));
    assert_eq!(
        verdicts[1..],
        [SenderVerdict::Passed, SenderVerdict::Passed]
    );
    let verdicts = ask(Sender::new("")).await;
    assert!(verdicts[..2].iter().all(SenderVerdict::is_refused));
}
