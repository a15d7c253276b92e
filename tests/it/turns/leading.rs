//! Turns that are another process's to take.

use std::sync::atomic::{AtomicU64, Ordering};

use slipway::controller::lead::Lead;
use tokio::sync::Notify;

use super::*;

/// The lead, given and taken by a test, and how often it was given.
pub(super) struct Switch {
    term: Mutex<Option<u64>>,
    given: AtomicU64,
    told: Notify,
}

impl Switch {
    pub(super) fn new(held: bool) -> Self {
        let switch = Self {
            term: Mutex::default(),
            given: AtomicU64::new(0),
            told: Notify::new(),
        };
        switch.set(held);
        switch
    }

    pub(super) fn set(&self, held: bool) {
        let mut term = self.term.lock().unwrap();
        if term.is_some() != held {
            *term = held.then(|| self.given.fetch_add(1, Ordering::Relaxed));
            self.told.notify_waiters();
        }
    }
}

impl Lead for Switch {
    fn term(&self) -> Option<u64> {
        *self.term.lock().unwrap()
    }

    fn told(&self) -> &Notify {
        &self.told
    }
}

#[tokio::test(start_paused = true)]
async fn who_leads_no_more_reads_nothing_and_listens_to_nothing_until_it_leads_again() {
    running(async |world| {
        let source = world.source("orders", [Some(1.0)]);
        world.apply(object("orders", "1", &json!({}))).await;
        pass(1.0).await;
        assert_eq!((source.calls().len(), source.listeners()), (1, 1));
        world.lead.set(false);
        pass(1.0).await;
        assert_eq!(source.listeners(), 0);
        assert_eq!(world.series(), Vec::<String>::new());
        source.says(Some(5.0));
        source.push();
        pass(300.0).await;
        assert_eq!(source.calls().len(), 1);
        assert_eq!(world.launcher.orders().len(), 1);
        world.lead.set(true);
        pass(1.0).await;
        assert_eq!((source.calls().len(), source.listeners()), (2, 1));
        assert_eq!(world.launcher.orders().len(), 5);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_turn_sends_nothing_in_a_later_term_than_it_counted_in() {
    running(async |world| {
        world.source("orders", [Some(3.0)]);
        let wire = world.launcher.wire.acquire().await.unwrap();
        world.apply(object("orders", "1", &json!({}))).await;
        pass(1.0).await;
        assert_eq!(world.launcher.round("1").unwrap().number, 1);
        // Another led in between, and launched, for all that this process knows.
        world.lead.set(false);
        world.lead.set(true);
        drop(wire);
        pass(1.0).await;
        // The turn of the new term opens none: nobody shows it the record of the first round here.
        assert!(world.launcher.orders().is_empty());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn many_objects_begin_one_after_the_other_when_the_lead_comes() {
    const OBJECTS: usize = 1000;
    running(async |world| {
        world.source("orders", [Some(0.0)]);
        for number in 0..OBJECTS {
            let name = format!("orders-{number}");
            let mut object = object("orders", &name, &json!({}));
            object["metadata"]["name"] = name.into();
            // One is in the middle of a round.
            object["status"]["round"] =
                json!({"version": 1, "number": 1, "jobs": 1, "closed": i32::from(number != 0)});
            world.apply(object).await;
        }
        let told = || world.reports.0.lock().unwrap().len();
        pass(60.0).await;
        assert_eq!(told(), OBJECTS);
        for _ in 0..2 {
            world.lead.set(false);
            pass(1.0).await;
            assert_eq!(told(), 0, "a status that another writes is forgotten");
            world.lead.set(true);
            pass(0.001).await;
            assert!(world.reports.0.lock().unwrap().contains_key("orders-0"));
            pass(1.0).await;
            assert!(
                (100..400).contains(&told()),
                "{} in the first second",
                told()
            );
            pass(4.0).await;
            assert_eq!(told(), OBJECTS);
        }
    })
    .await;
}
