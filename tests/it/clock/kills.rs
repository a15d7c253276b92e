//! Sixty schedules over a minute, two replicas, and a `kill -9` each 20 s: none lost, none doubled.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::{by_due_time, now, scheduled, seen};
use crate::events::slipway;
use crate::support::await_until;
use crate::support::cluster::Cluster;

const SCHEDULES: usize = 60;
const EVERY: Duration = Duration::from_secs(20);
/// For whoever takes over, and for what came due meanwhile.
const PATIENCE: Duration = Duration::from_mins(3);

/// How many kills; 200 by `make kills`.
#[expect(clippy::disallowed_methods, reason = "a setting of this test")]
fn kills() -> usize {
    let kills = std::env::var("SLIPWAY_KILLS").ok();
    kills.map_or(10, |kills| {
        kills.parse().expect("SLIPWAY_KILLS is a number")
    })
}

#[tokio::test]
async fn sixty_schedules_lose_and_double_nothing_under_a_kill_each_twenty_seconds() {
    let cluster = Cluster::new("clock-kills").await;
    // What came due while nobody led is made too.
    let cron = json!({"schedule": "* * * * *", "splay": "59s", "catchUp": "All"});
    let names: Vec<String> = (0..SCHEDULES)
        .map(|number| format!("report-{number}"))
        .collect();
    for name in &names {
        cluster.create(scheduled(name, &cron, &json!({}))).await;
    }
    let mut replicas = [slipway(&cluster, &[]).await, slipway(&cluster, &[]).await];
    for name in &names {
        seen(&cluster, name).await;
    }
    let began = now();
    for kill in 0..kills() {
        let before = tokio::time::Instant::now();
        // Each of them is the leader now and then.
        let replica = &mut replicas[kill % 2];
        replica.kill();
        *replica = slipway(&cluster, &[]).await;
        tokio::time::sleep_until(before + EVERY).await;
    }
    let minute = |at: Timestamp| at.as_second().div_euclid(60);
    let (first, last) = (minute(began) + 1, minute(now()));
    let expected = names.len() * usize::try_from(last - first + 1).unwrap();
    let within = |due: Timestamp| (first..=last).contains(&minute(due));
    let counts = await_until("every due time has its Job", PATIENCE, async || {
        let counts = by_due_time(&cluster.jobs().await);
        let made = counts.keys().filter(|(_, due)| within(*due)).count();
        (made >= expected).then_some(counts)
    })
    .await;
    let doubled: Vec<_> = counts.iter().filter(|(_, count)| **count != 1).collect();
    assert!(doubled.is_empty(), "{doubled:?}");
    assert_eq!(
        counts.keys().filter(|(_, due)| within(*due)).count(),
        expected
    );
    // No Job is of a time that was not due.
    let off =
        |due: &Timestamp| due.as_second() % 60 != 0 || *due < began - SignedDuration::from_mins(2);
    assert!(!counts.keys().any(|(_, due)| off(due)));
    cluster.remove().await;
}
