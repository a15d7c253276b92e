//! One turn: a reading is acted on once, and nothing is launched on what is not known.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::{Just, Strategy as Generator, any, prop_assert, prop_oneof};
use proptest::{collection, proptest};
use serde_json::{Value, json};
use slipway::cycle::{Carried, Connected, Failure, TurnOutcome, Verdict, refill, turn};
use slipway::resource::{Round, RoundRecord, ScaledJob, scaled_job};

mod asked;

use crate::support::fakes::{Fate, RecordingLauncher, ScriptedSource};

/// An object with one Job a message, read each 30 s.
fn object(spec: Value) -> ScaledJob {
    let mut object = json!({
        "apiVersion": "slipway.dev/v1alpha1",
        "kind": "ScaledJob",
        "metadata": {"name": "orders", "namespace": "production", "uid": "uid-1", "generation": 1},
        "spec": {
            "jobTargetRef": {"template": {"spec": {"containers": [{"name": "worker", "image": "worker"}]}}},
            "triggers": [trigger("orders")],
        },
    });
    let Value::Object(changes) = spec else {
        unreachable!("a spec is an object")
    };
    for (field, value) in changes {
        object["spec"][field] = value;
    }
    scaled_job::parse(&object).expect("valid")
}

fn trigger(topic: &str) -> Value {
    json!({"type": "kafka", "metadata": {
        "bootstrapServers": "kafka:9092", "topic": topic, "consumerGroup": "workers",
    }})
}

type Trigger = Result<Connected, (String, Failure)>;

fn on(source: &Arc<ScriptedSource>) -> Connected {
    Connected {
        metric_name: "s0-kafka-orders".to_owned(),
        target: 1.0,
        activation: 0.0,
        source: source.clone(),
    }
}

/// One object's turns, half a minute apart, unless told otherwise.
struct Turns {
    object: ScaledJob,
    triggers: Vec<Trigger>,
    memory: Carried,
    launcher: Arc<RecordingLauncher>,
}

impl Turns {
    fn new(spec: Value, sources: &[&Arc<ScriptedSource>]) -> Self {
        Self {
            object: object(spec),
            triggers: sources.iter().map(|source| Ok(on(source))).collect(),
            memory: Carried::default(),
            launcher: RecordingLauncher::new(),
        }
    }

    /// A turn that takes the reading that is there.
    async fn again(&mut self) -> TurnOutcome {
        let interval = Duration::from_secs(30);
        let launcher = self.launcher.as_ref();
        turn(
            &self.object,
            &self.triggers,
            interval,
            &mut self.memory,
            launcher,
        )
        .await
    }

    /// A turn with a reading of its own.
    async fn next(&mut self) -> TurnOutcome {
        tokio::time::advance(Duration::from_secs(31)).await;
        self.again().await
    }

    async fn refill(&mut self) -> TurnOutcome {
        refill(&self.object, &mut self.memory, self.launcher.as_ref()).await
    }

    /// Another process takes over: it knows what is written down, and nothing else.
    fn restart(&mut self) {
        self.memory = Carried::default();
        let written = self.launcher.round(&self.object.uid);
        self.object.round = written.map(|round| RoundRecord::open(round, ""));
    }
}

#[tokio::test(start_paused = true)]
async fn a_reading_is_acted_on_once() {
    let source = ScriptedSource::new([Some(5.0)]);
    // `accurate` asks for the whole backlog again as long as no Job is pending.
    let spec = json!({"scalingStrategy": {"strategy": "accurate"}});
    let mut turns = Turns::new(spec, &[&source]);
    assert_eq!(turns.next().await.launched, 5);
    turns.launcher.finish(5);
    let second = turns.again().await;
    assert_eq!(second.launched, 0, "{second:?}");
    assert!(matches!(second.verdict, Some(Verdict::ToppedUp(_))));
    assert_eq!(turns.next().await.launched, 5, "a new reading is");
}

#[tokio::test(start_paused = true)]
async fn an_edit_with_the_same_reading_launches_only_what_was_held_back() {
    let source = ScriptedSource::new([Some(10.0)]);
    let mut turns = Turns::new(json!({"maxReplicaCount": 2}), &[&source]);
    assert_eq!(turns.next().await.launched, 2);
    turns.object = object(json!({"maxReplicaCount": 6}));
    assert_eq!(turns.again().await.launched, 4);
    turns.object = object(json!({"maxReplicaCount": 100}));
    assert_eq!(turns.again().await.launched, 4);
    assert_eq!(turns.again().await.launched, 0);
    assert_eq!(turns.launcher.orders().len(), 10);
}

#[tokio::test(start_paused = true)]
async fn what_was_held_back_for_one_trigger_is_not_launched_for_another() {
    let (orders, invoices) = (
        ScriptedSource::new([Some(100.0)]),
        ScriptedSource::new([Some(0.0)]),
    );
    let mut turns = Turns::new(json!({"maxReplicaCount": 2}), &[&orders]);
    tokio::time::advance(Duration::from_mins(1)).await;
    // Somebody else reads the other topic first, so its reading is the older one.
    let reading = slipway::source::Source::read(invoices.as_ref(), Duration::ZERO).await;
    reading.expect("a reading");
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(turns.again().await.launched, 2);
    turns.launcher.finish(2);
    turns.object = object(json!({"maxReplicaCount": 2, "triggers": [trigger("invoices")]}));
    turns.triggers = vec![Ok(on(&invoices))];
    assert_eq!(turns.again().await.launched, 0);
    assert_eq!(turns.next().await.launched, 0);
}

#[tokio::test(start_paused = true)]
async fn a_finished_job_launches_at_most_the_remainder() {
    let source = ScriptedSource::new([Some(5.0)]);
    let mut turns = Turns::new(json!({"maxReplicaCount": 3}), &[&source]);
    assert_eq!(turns.next().await.launched, 3);
    assert!(turns.memory.holds_back());
    assert_eq!(turns.refill().await.launched, 0, "the cap is reached");
    turns.launcher.finish(3);
    assert_eq!(turns.refill().await.launched, 2);
    assert!(!turns.memory.holds_back());
    turns.launcher.finish(2);
    assert_eq!(turns.refill().await.launched, 0);
}

#[tokio::test(start_paused = true)]
async fn jobs_that_cannot_be_counted_launch_nothing_and_keep_the_reading() {
    let source = ScriptedSource::new([Some(5.0)]);
    let mut turns = Turns::new(json!({"minReplicaCount": 1}), &[&source]);
    turns.launcher.count_fails(true);
    let outcome = turns.next().await;
    assert!(outcome.jobs.is_err() && outcome.verdict.is_none() && !outcome.acted);
    assert!(turns.refill().await.jobs.is_err());
    assert!(turns.launcher.orders().is_empty());
    turns.launcher.count_fails(false);
    assert!(turns.again().await.launched > 0, "the same reading serves");
    assert_eq!(source.calls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_reading_that_failed_is_left_out_and_never_zero() {
    let (works, fails) = (
        ScriptedSource::new([Some(6.0)]),
        ScriptedSource::new([None]),
    );
    for calculation in ["min", "avg", "sum", "max"] {
        let spec = json!({
            "triggers": [trigger("orders"), trigger("invoices")],
            "scalingStrategy": {"multipleScalersCalculation": calculation},
        });
        let mut turns = Turns::new(spec, &[&works, &fails]);
        let outcome = turns.next().await;
        assert_eq!(
            outcome.launched, 6,
            "{calculation}: with a 0 it would be less"
        );
        assert!(outcome.triggers[1].result.is_err());
        assert!(outcome.polled_at.is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn with_every_source_failing_the_minimum_is_kept_up_and_no_more() {
    let source = ScriptedSource::new([None]);
    let mut turns = Turns::new(json!({"minReplicaCount": 2}), &[&source]);
    let outcome = turns.next().await;
    assert_eq!((outcome.launched, outcome.polled_at), (2, None));
    assert_eq!(turns.next().await.launched, 0);
    turns.launcher.finish(1);
    assert_eq!(turns.next().await.launched, 1);
    source.says(Some(1.0));
    turns.next().await;
    assert_eq!(turns.launcher.unfinished(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_conflict_launches_nothing_and_the_next_turn_recovers() {
    let source = ScriptedSource::new([Some(4.0)]);
    let mut turns = Turns::new(json!({}), &[&source]);
    let theirs = Round { number: 7, jobs: 1 };
    turns.launcher.write_round("uid-1", Some(theirs));
    let outcome = turns.next().await;
    assert_eq!((outcome.errors.len(), outcome.acted), (1, false));
    assert!(turns.launcher.orders().is_empty());
    // The watch brings what was written meanwhile.
    turns.object.round = Some(RoundRecord::open(theirs, "they"));
    let outcome = turns.again().await;
    assert_eq!(outcome.launched, 4, "{outcome:?}");
    assert_eq!(turns.launcher.round("uid-1").unwrap().number, 8);
}

#[tokio::test(start_paused = true)]
async fn launches_that_fail_wait_for_the_next_reading() {
    let source = ScriptedSource::new([Some(4.0)]);
    let mut turns = Turns::new(json!({}), &[&source]);
    turns
        .launcher
        .fates([Fate::Made, Fate::Refused, Fate::Lost, Fate::MadeUnheard]);
    let outcome = turns.next().await;
    assert_eq!((outcome.launched, outcome.errors.len()), (1, 3));
    assert!(outcome.acted && !turns.memory.holds_back());
    assert_eq!(turns.again().await.launched, 0);
    // Of the three that may exist none is asked for again; the refused one is.
    assert_eq!(turns.next().await.launched, 1);
    turns.launcher.settle(false);
    assert_eq!(turns.next().await.launched, 1, "the lost one is given up");
}

#[tokio::test(start_paused = true)]
async fn a_record_that_somebody_removed_gives_no_number_twice() {
    let source = ScriptedSource::new([Some(1.0)]);
    let mut turns = Turns::new(json!({}), &[&source]);
    for round in 1..=3 {
        assert_eq!(turns.next().await.launched, 1, "round {round}");
        turns.launcher.finish(1);
    }
    turns.launcher.write_round("uid-1", None);
    assert_eq!(turns.next().await.launched, 1, "the process remembers");
    turns.launcher.finish(1);
    turns.launcher.write_round("uid-1", None);
    turns.restart();
    assert_eq!(turns.next().await.launched, 1, "the Jobs remember");
    assert_eq!(turns.launcher.round("uid-1").unwrap().number, 5);
    assert_eq!(turns.launcher.unfinished(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_decision_for_more_than_a_round_takes_takes_several_and_stays_one() {
    let source = ScriptedSource::new([Some(2_500.0)]);
    let mut turns = Turns::new(json!({"maxReplicaCount": 2_400}), &[&source]);
    let outcome = turns.next().await;
    assert_eq!((outcome.launched, outcome.errors.len()), (2_400, 0));
    let last = Round {
        number: 3,
        jobs: 400,
    };
    assert_eq!(turns.launcher.round("uid-1"), Some(last));
    turns.launcher.finish(500);
    assert_eq!(turns.again().await.launched, 100, "the reading is used up");
}

#[tokio::test(start_paused = true)]
async fn a_turn_ends_although_its_decision_never_would() {
    let source = ScriptedSource::new([Some(4_000_000_000.0)]);
    let spec = json!({"maxReplicaCount": 2_000_000_000, "pollingInterval": 30});
    let mut turns = Turns::new(spec, &[&source]);
    let outcome = turns.next().await;
    assert_eq!((outcome.launched, outcome.errors.len()), (10_000, 0));
    assert!(outcome.acted && turns.memory.holds_back());
}

#[tokio::test(start_paused = true)]
async fn a_round_that_failed_is_not_followed_by_another_of_its_decision() {
    let source = ScriptedSource::new([Some(2_500.0)]);
    let mut turns = Turns::new(json!({"maxReplicaCount": 2_400}), &[&source]);
    turns.launcher.fates([Fate::Refused]);
    let outcome = turns.next().await;
    assert_eq!((outcome.launched, outcome.errors.len()), (999, 1));
    assert_eq!(turns.again().await.launched, 100, "what the cap kept back");
}

#[tokio::test(start_paused = true)]
async fn a_round_at_the_end_of_numbers_is_an_error_of_that_object() {
    let source = ScriptedSource::new([Some(1.0)]);
    let mut turns = Turns::new(json!({}), &[&source]);
    let last = Round {
        number: u64::MAX,
        jobs: 1,
    };
    turns.launcher.write_round("uid-1", Some(last));
    turns.restart();
    let outcome = turns.next().await;
    assert_eq!((outcome.launched, outcome.errors.len()), (0, 1));
}

/// What may happen to an object.
#[derive(Debug, Clone)]
enum Event {
    /// So much waits now.
    Backlog(u32),
    /// A turn, with a reading of its own or with the one there is.
    Turn {
        new_reading: bool,
    },
    JobFinished(usize),
    Sweep,
    CountFails(bool),
    SourceFails,
    Fates(Vec<Fate>),
    /// Creates under way land, or are found absent.
    Settle {
        land: bool,
    },
    Restart,
}

fn event() -> impl Generator<Value = Event> {
    let fate = prop_oneof![
        Just(Fate::Made),
        Just(Fate::Refused),
        Just(Fate::MadeUnheard),
        Just(Fate::Lost)
    ];
    prop_oneof![
        3 => (0_u32..40).prop_map(Event::Backlog),
        6 => any::<bool>().prop_map(|new_reading| Event::Turn { new_reading }),
        4 => (1_usize..5).prop_map(Event::JobFinished),
        1 => Just(Event::Sweep),
        1 => any::<bool>().prop_map(Event::CountFails),
        1 => Just(Event::SourceFails),
        2 => collection::vec(fate, 1..6).prop_map(Event::Fates),
        2 => any::<bool>().prop_map(|land| Event::Settle { land }),
        1 => Just(Event::Restart),
    ]
}

/// What is still owed to the last reading.
struct Budget {
    jobs: usize,
    ordered: usize,
}

impl Budget {
    /// Takes in a turn; the orders that went beyond what was decided for its reading.
    fn excess(&mut self, outcome: &TurnOutcome, orders: usize) -> usize {
        if let Some(Verdict::Decided(decision)) = &outcome.verdict
            && outcome.acted
        {
            self.jobs = usize::try_from(decision.launch + decision.held_back).unwrap();
        }
        let now = orders - self.ordered;
        self.ordered = orders;
        let excess = now.saturating_sub(self.jobs);
        self.jobs = self.jobs.saturating_sub(now);
        excess
    }
}

proptest! {
    #[test]
    fn whatever_happens_the_cap_holds_and_no_name_or_reading_is_used_twice(
        strategy in prop_oneof![Just("default"), Just("accurate"), Just("eager")],
        (min, cap) in (0_u32..3, 1_u32..9),
        events in collection::vec(event(), 1..80),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let source = ScriptedSource::new([Some(0.0)]);
        let spec = json!({
            "minReplicaCount": min, "maxReplicaCount": cap, "scalingStrategy": {"strategy": strategy},
        });
        let mut turns = Turns::new(spec, &[&source]);
        let launcher = turns.launcher.clone();
        let cap = usize::try_from(cap).unwrap();
        let mut budget = Budget { jobs: 0, ordered: 0 };
        for event in events {
            let outcome = match event {
                Event::Backlog(waiting) => { source.says(Some(f64::from(waiting))); None }
                Event::SourceFails => { source.says(None); None }
                Event::Turn { new_reading: true } => Some(runtime.block_on(turns.next())),
                Event::Turn { new_reading: false } => Some(runtime.block_on(turns.again())),
                Event::JobFinished(count) => {
                    launcher.finish(count);
                    Some(runtime.block_on(turns.refill()))
                }
                Event::Sweep => { launcher.sweep(); None }
                Event::CountFails(fails) => { launcher.count_fails(fails); None }
                Event::Fates(fates) => { launcher.fates(fates); None }
                Event::Settle { land } => { launcher.settle(land); None }
                Event::Restart => { turns.restart(); None }
            };
            if let Some(outcome) = outcome {
                let excess = budget.excess(&outcome, launcher.orders().len());
                prop_assert!(excess == 0, "{excess} more than decided: {outcome:?}");
            }
            prop_assert!(launcher.unfinished() <= cap, "{} of {cap}", launcher.unfinished());
        }
        let orders = launcher.orders();
        let names: std::collections::BTreeSet<_> = orders.iter().collect();
        prop_assert!(names.len() == orders.len(), "a name was ordered twice");
    }
}
