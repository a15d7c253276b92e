//! Each turn is written down once, with what it was decided from.

use serde_json::json;
use slipway::controller::Change;
use slipway::history::{
    HistoryFact, HistoryRecord, ObjectStanding, SharedHistory, Subject, TurnRecord, TurnStep,
    WakeWord,
};
use slipway::resource::{Api, ObjectId};

use super::{World, object, pass, running};

/// Decides every record of a scenario again: the same, to the last bit.
pub(super) fn decide_again(history: &SharedHistory) {
    for subject in history.subjects() {
        for record in history.of_object(&subject, None) {
            let HistoryFact::Turn(turn) = &record.fact else {
                continue;
            };
            let again = turn.step.again().map(|(result, _)| result);
            assert_eq!(again, turn.step.result(), "{record:?}");
        }
    }
}

fn records(world: &World) -> Vec<HistoryRecord> {
    let id = ObjectId::new("production", "orders");
    let subject = Subject::scaled_job(Api::Slipway, &id);
    world.history.of_object(&subject, None)
}

fn turns(world: &World) -> Vec<TurnRecord> {
    let records = records(world).into_iter();
    let turns = records.filter_map(|record| match record.fact {
        HistoryFact::Turn(turn) => Some(turn),
        _ => None,
    });
    turns.collect()
}

#[tokio::test(start_paused = true)]
async fn every_turn_is_one_record_and_its_jobs_are_found_in_it() {
    running(async |world| {
        world.source("orders", [Some(8.0), Some(8.0), Some(0.0), Some(0.0)]);
        world
            .apply(object("orders", "1", &json!({"maxReplicaCount": 5})))
            .await;
        pass(0.5).await;
        world.launcher.finish(2);
        world
            .tell(Change::JobFinished(ObjectId::new("production", "orders")))
            .await;
        pass(0.5).await;
        let orders = world.launcher.orders();
        assert_eq!(orders.len(), 7);
        let turns = turns(world);
        assert_eq!(turns.len(), 2);
        let wakes: Vec<WakeWord> = turns.iter().map(|turn| turn.wake).collect();
        assert_eq!(wakes, [WakeWord::Began, WakeWord::JobFinished]);
        let launched: u32 = turns.iter().map(|turn| turn.launched).sum();
        assert_eq!(launched, 7);
        assert!(matches!(
            turns[1].step,
            TurnStep::ToppedUp { held_back: 3, .. }
        ));
        assert!(turns[0].next_look.is_some());
        for order in orders {
            let found = world.history.of_job(&order);
            assert_eq!(found.len(), 1, "{order}");
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_keeps_an_object_from_turns_is_written_down_too() {
    running(async |world| {
        world.source("orders", [None]);
        world.launcher.count_fails(true);
        world.apply(object("orders", "1", &json!({}))).await;
        pass(0.5).await;
        let turn = &turns(world)[0];
        assert_eq!(turn.step, TurnStep::Uncounted);
        assert_eq!(&*turn.unread[0].name, "s0-kafka-orders");
        assert!(turn.trouble.is_some());
        let mut paused = object("orders", "1", &json!({}));
        paused["metadata"]["annotations"] = json!({"slipway.dev/paused": "true"});
        let mut invalid = object("orders", "1", &json!({}));
        invalid["spec"]["triggers"] = json!([]);
        for (read, expected) in [
            (paused, ObjectStanding::Paused),
            (
                invalid,
                ObjectStanding::Invalid(
                    "spec.triggers: no triggers defined in the ScaledObject/ScaledJob".into(),
                ),
            ),
        ] {
            world.apply(read).await;
            pass(0.5).await;
            let last = records(world).pop().unwrap();
            assert_eq!(last.fact, HistoryFact::Standing(expected));
        }
        world.lead.set(false);
        pass(0.5).await;
        let last = records(world).pop().unwrap();
        assert_eq!(last.fact, HistoryFact::Standing(ObjectStanding::StandsBy));
    })
    .await;
}
