//! Jobs that somebody asked for: one for each request, under the cap, whoever leads.

use jiff::Timestamp;
use serde_json::{Value, json};
use slipway::cycle::asked::{AskedOutcome, answer};
use slipway::launch::Error;
use slipway::resource::requests::{self, RequestAnswer};

use super::Turns;
use crate::support::fakes::{Fate, ScriptedSource};

impl Turns {
    /// Somebody asks: these ids, each for one Job.
    fn ask(&mut self, ids: &[&str]) {
        let requests = ids.iter();
        let requests =
            requests.map(|id| json!({"id": id, "time": "2026-11-30T09:00:00Z", "do": "Trigger"}));
        self.ask_so(&requests.collect::<Value>().to_string());
    }

    fn ask_so(&mut self, text: &str) {
        self.object.requests = requests::parse(text);
    }

    async fn look(&mut self) -> AskedOutcome {
        let now = Timestamp::from_second(1_796_000_000).unwrap();
        answer(&self.object, now, &mut self.memory, &*self.launcher).await
    }

    /// Another process takes over, and the object shows what was answered.
    fn hand_over(&mut self) {
        self.restart();
        self.object.answers = self.launcher.answers();
    }

    /// Results, and the Jobs that they name.
    fn told(&self) -> Vec<(String, Option<String>)> {
        let answers = self.launcher.answers().into_iter();
        answers.map(|answer| (answer.result, answer.job)).collect()
    }
}

fn turns(most: u32) -> Turns {
    let source = ScriptedSource::new([Some(0.0)]);
    Turns::new(json!({ "maxReplicaCount": most }), &[&source])
}

#[tokio::test(start_paused = true)]
async fn a_request_makes_one_job_however_often_it_is_looked_at() {
    let mut turns = turns(5);
    turns.ask(&["a"]);
    assert_eq!(turns.look().await.launched, 1);
    let job = turns.launcher.orders().remove(0);
    let done = vec![("Done".to_owned(), Some(job))];
    assert_eq!(turns.told(), done);
    // The object does not show the answer yet.
    assert_eq!(turns.look().await.launched, 0);
    turns.hand_over();
    assert_eq!(turns.look().await.launched, 0);
    // Its Job is gone, and somebody wrote the request again.
    turns.launcher.finish(1);
    turns.launcher.sweep();
    assert_eq!(turns.look().await.launched, 0);
    assert_eq!((turns.told(), turns.launcher.orders().len()), (done, 1));
}

#[tokio::test(start_paused = true)]
async fn the_cap_counts_what_is_asked_for_and_a_finished_job_makes_room() {
    let mut turns = turns(2);
    turns.ask(&["a", "b", "c"]);
    assert_eq!(turns.look().await.launched, 2);
    assert!(turns.memory.holds_back(), "a finished Job starts a look");
    assert_eq!(turns.look().await.launched, 0);
    // A turn counts them too.
    let source = ScriptedSource::new([Some(9.0)]);
    turns.triggers = vec![Ok(super::on(&source))];
    assert_eq!(turns.next().await.launched, 0);
    assert_eq!(turns.launcher.unfinished(), 2);
    turns.launcher.finish(1);
    assert_eq!(turns.look().await.launched, 1);
    assert_eq!(turns.launcher.unfinished(), 2);
    assert_eq!(turns.told().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_create_without_an_answer_is_looked_for_and_not_made_again() {
    let mut turns = turns(5);
    turns.launcher.fates([Fate::MadeUnheard]);
    turns.ask(&["a"]);
    let first = turns.look().await;
    assert!(matches!(first.left, Some(Error::Unknown { .. })));
    let named = turns.told()[0].1.clone();
    assert_eq!(turns.told()[0].0, "Creating");
    // Whoever comes next finds it.
    turns.hand_over();
    let second = turns.look().await;
    assert_eq!((second.launched, second.left.is_none()), (0, true));
    assert_eq!(turns.told(), [("Done".to_owned(), named)]);
    assert_eq!(turns.launcher.orders().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_nobody_finds_is_told_and_not_made_again() {
    let mut turns = turns(5);
    turns.launcher.fates([Fate::MadeUnheard]);
    turns.ask(&["a"]);
    turns.look().await;
    turns.launcher.finish(1);
    turns.launcher.sweep();
    turns.hand_over();
    assert!(turns.look().await.left.is_none());
    let RequestAnswer {
        result, message, ..
    } = turns.launcher.answers().remove(0);
    assert_eq!(result, "Failed");
    assert!(
        message.contains("nobody knows whether it was created"),
        "{message}"
    );
    assert_eq!(turns.launcher.orders().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_done_is_answered_and_the_others_are_done() {
    let mut turns = turns(5);
    turns.launcher.fates([Fate::Refused]);
    turns.ask(&["a", "b"]);
    assert_eq!(turns.look().await.launched, 1);
    let answers = turns.launcher.answers();
    assert_eq!(
        (&*answers[0].result, &*answers[1].result),
        ("Failed", "Done")
    );
    assert!(
        answers[0].message.contains("a quota is used up"),
        "{answers:?}"
    );

    turns.ask_so(
        r#"[{"id":"c","time":"2026-11-30T09:00:00Z","do":"Backfill","from":"2026-11-01","to":"2026-11-02"}]"#,
    );
    turns.look().await;
    turns.object.paused = true;
    turns.ask(&["d"]);
    turns.look().await;
    turns.ask_so("now!");
    turns.look().await;
    turns.look().await;
    let words: Vec<_> = turns.launcher.answers()[2..]
        .iter()
        .map(|answer| (answer.result.clone(), answer.message.clone()))
        .collect();
    assert_eq!(words.len(), 3, "{words:?}");
    for ((result, message), part) in
        words
            .iter()
            .zip(["no due times", "is paused", "no list of requests"])
    {
        assert!(result == "Failed" && message.contains(part), "{message}");
    }
    assert_eq!(turns.launcher.orders().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_uncounted_object_makes_none() {
    let mut turns = turns(5);
    turns.launcher.count_fails(true);
    turns.ask(&["a"]);
    let look = turns.look().await;
    assert!(look.left.is_some() && look.launched == 0);
    assert_eq!(turns.launcher.round("uid-1"), None);
    turns.launcher.count_fails(false);
    assert_eq!(turns.look().await.launched, 1);
}
