use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::join_all;

use super::*;

#[test]
fn words_are_cut_at_a_character() {
    let text = "é".repeat(LONGEST_WORDS);
    assert_eq!(shortened(&text).len(), LONGEST_WORDS);
    assert_eq!(shortened(&format!("x{text}")).len(), LONGEST_WORDS - 1);
}

#[test]
fn a_selector_is_escaped_in_the_query() {
    let call = Call::get("/api/v1/pods").query("labelSelector", "a/b=c,d");
    let request = call.request().expect("a valid request");
    assert_eq!(request.uri(), "/api/v1/pods?labelSelector=a%2Fb%3Dc%2Cd");
}

fn silent(asked: &Arc<AtomicUsize>, answers_after: Option<Duration>) -> Cluster {
    let asked = asked.clone();
    let service = tower::service_fn(move |_: Request<kube::client::Body>| {
        asked.fetch_add(1, Ordering::Relaxed);
        async move {
            match answers_after {
                Some(time) => tokio::time::sleep(time).await,
                None => std::future::pending().await,
            }
            Ok::<_, Infallible>(http::Response::new(kube::client::Body::empty()))
        }
    });
    Cluster::new(kube::Client::new(service, ""))
}

#[tokio::test(start_paused = true)]
async fn calls_behind_those_that_hang_are_not_sent_in_the_moment_when_their_time_is_up() {
    let asked = Arc::default();
    let cluster = silent(&asked, None).with(Budget::Statuses);
    let path = "/apis/slipway.dev/v1alpha1/namespaces/a/eventjobs/a/status";
    let calls = (0..100).map(|_| cluster.send(Call::merge_patch(path, Value::Null)));
    let answers = join_all(calls).await;
    let is_unsent =
        |answer: &&Result<Answer, NoAnswer>| answer.as_ref().is_err_and(|error| error.is_unsent);
    let unsent = answers.iter().filter(is_unsent).count();
    assert_eq!((asked.load(Ordering::Relaxed), unsent), (16, 84));
}

#[tokio::test(start_paused = true)]
async fn calls_in_turn_wait_as_long_as_it_takes() {
    let asked = Arc::default();
    let cluster = silent(&asked, Some(Duration::from_secs(1))).with(Budget::DryRuns);
    let path = "/apis/batch/v1/namespaces/a/jobs";
    let calls = (0..100).map(async |_| {
        let turn = cluster.turn(&Method::POST, path).await;
        turn.send(Call::post(path, Value::Null)).await
    });
    let answers = join_all(calls).await;
    assert!(answers.iter().all(Result::is_ok), "13 s, 8 at once");
}
