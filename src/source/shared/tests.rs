use std::sync::atomic::{AtomicU32, Ordering};

use futures::future::join_all;

use super::*;
use crate::source::metrics::Metrics;

const DEADLINE: Duration = Duration::from_secs(10);
const FRESH: Duration = Duration::from_secs(5);

/// A shared call that takes `seconds`, and how often it was begun. It fails while `fails` is above 0.
fn counted(seconds: u64, fails: u32) -> (Arc<SharedCall<u32>>, Arc<AtomicU32>) {
    let begun = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&begun);
    let meter = Metrics::default().meter("fake");
    let shared = SharedCall::new("fake".to_owned(), DEADLINE, meter, move || {
        let number = count.fetch_add(1, Ordering::SeqCst) + 1;
        async move {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            if number <= fails {
                return Err(Error::Throttled {
                    source_name: "fake".to_owned(),
                    detail: "slow down".to_owned(),
                });
            }
            Ok(number)
        }
        .boxed()
    });
    (Arc::new(shared), begun)
}

#[tokio::test(start_paused = true)]
async fn fifty_askers_at_once_are_one_call() {
    let (shared, begun) = counted(1, 0);
    let answers = join_all((0..50).map(|_| shared.ask(FRESH))).await;
    let moments: Vec<Instant> = answers.into_iter().map(|a| a.unwrap().1).collect();
    assert_eq!(moments.len(), 50);
    assert!(moments.iter().all(|at| *at == moments[0]));
    assert_eq!(begun.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn an_answer_serves_until_it_is_older_than_asked() {
    let (shared, begun) = counted(1, 0);
    shared.ask(FRESH).await.unwrap();
    tokio::time::advance(Duration::from_secs(4)).await;
    assert_eq!(*shared.ask(FRESH).await.unwrap().0, 1);
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(*shared.ask(FRESH).await.unwrap().0, 2);
    assert_eq!(begun.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn others_go_on_when_the_first_asker_is_dropped() {
    let (shared, begun) = counted(2, 0);
    let mut first = Box::pin(shared.ask(FRESH));
    assert!(futures::poll!(first.as_mut()).is_pending());
    let mut second = Box::pin(shared.ask(FRESH));
    assert!(futures::poll!(second.as_mut()).is_pending());
    drop(first);
    assert_eq!(*second.await.unwrap().0, 1);
    assert_eq!(begun.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_nobody_waits_for_is_dropped_and_not_taken_up_again() {
    let (shared, begun) = counted(2, 0);
    let mut only = Box::pin(shared.ask(FRESH));
    assert!(futures::poll!(only.as_mut()).is_pending());
    drop(only);
    tokio::time::advance(Duration::from_mins(1)).await;
    assert_eq!(*shared.ask(FRESH).await.unwrap().0, 2);
    assert_eq!(begun.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_call_without_an_answer_ends_at_the_deadline() {
    let (shared, _) = counted(3600, 0);
    let start = Instant::now();
    let error = shared.ask(FRESH).await.unwrap_err();
    assert_eq!(error.reason(), "Unreachable");
    assert_eq!(start.elapsed().as_secs(), DEADLINE.as_secs());
}

#[tokio::test(start_paused = true)]
async fn an_error_is_shared_for_a_second_and_then_forgotten() {
    let (shared, begun) = counted(0, 1);
    let answers = join_all((0..50).map(|_| shared.ask(FRESH))).await;
    assert!(answers.iter().all(Result::is_err));
    assert!(shared.ask(FRESH).await.is_err());
    assert_eq!(begun.load(Ordering::SeqCst), 1);
    tokio::time::advance(ERROR_HELD).await;
    assert_eq!(*shared.ask(FRESH).await.unwrap().0, 2);
}

#[tokio::test(start_paused = true)]
async fn a_failed_call_is_not_covered_by_an_older_answer() {
    let (shared, _) = counted(0, 0);
    shared.ask(FRESH).await.unwrap();
    let failing = SharedCall::new(
        "fake".to_owned(),
        DEADLINE,
        Metrics::default().meter("fake"),
        || futures::future::pending::<Result<u32, Error>>().boxed(),
    );
    *failing.slot.lock().unwrap() = CallSlot {
        last: shared.slot.lock().unwrap().last.take(),
        flight: None,
    };
    assert!(failing.ask(FRESH).await.is_ok());
    tokio::time::advance(FRESH * 2).await;
    assert!(failing.ask(FRESH).await.is_err());
}

#[test]
fn what_nobody_holds_is_made_anew() {
    let interned = Interned::default();
    let get = |number| interned.get_or_make(number, |one| *one == number, || number);
    let first = get(7);
    let again = get(7);
    assert!(Arc::ptr_eq(&first, &again));
    assert_eq!(interned.live(), 1);
    drop((first, again));
    assert_eq!(interned.live(), 0);
    // Their places go too.
    for number in 0..1_000 {
        drop(get(number));
        assert!(interned.known.lock().unwrap().entries <= FEW);
    }
}

#[test]
fn ten_thousand_distinct_ones_are_not_compared_with_each_other() {
    let interned = Interned::default();
    let compared = AtomicU32::new(0);
    let all = || -> Vec<Arc<u32>> {
        let get = |number: u32| {
            let is = |one: &u32| {
                compared.fetch_add(1, Ordering::Relaxed);
                *one == number
            };
            interned.get_or_make(number, is, || number)
        };
        (0..10_000).map(get).collect()
    };
    let made = all();
    assert_eq!(compared.load(Ordering::Relaxed), 0);
    assert_eq!(all(), made);
    assert_eq!(compared.load(Ordering::Relaxed), 10_000);
    assert_eq!(interned.live(), 10_000);
}
