//! `source.cron`: schedules in CronJob's vocabulary, and what a due time is as an event.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::Bind;
use crate::resource::fields::Fields;
use crate::resource::metadata::text::go_duration;
use crate::resource::{ObjectId, fields};
use crate::schedule::{
    self, CatchUp, Exclude, Expression, Fold, Gap, MOST_EXPRESSIONS, Schedule, splay,
};

/// Dates that one schedule leaves out: four years of weekends.
const MOST_DATES: usize = 512;

/// What a due time's event has: the paths that `bind` may name.
const EVENT_FIELDS: [&str; 3] = ["$.scheduledTime", "$.scheduledTimeUTC", "$.scheduledDate"];

/// Parts of a spec that look at an event's sender or its words, each with why a due time has none.
const NOT_WITH_CRON: [(&str, &str); 5] = [
    (
        "pattern",
        "a due time is no event of a sender: nothing of it could differ",
    ),
    ("match", "a due time comes without headers"),
    ("idFrom", "a due time is its own identity"),
    ("rateLimit", "a schedule has its own pace"),
    (
        "deduplicateFor",
        "status.lastScheduleTime remembers due times for good",
    ),
];

/// `spec.source.cron`.
#[derive(Debug, Clone, PartialEq)]
pub struct Cron {
    /// When it is due, and by how much its starts are shifted.
    pub schedule: Schedule,
    /// `startingDeadlineSeconds`; `None` for no limit.
    pub starting_deadline: Option<Duration>,
    /// `catchUp`; [`CatchUp::Last`] by default.
    pub catch_up: CatchUp,
    /// `splay`: what the shift of its starts is below; zero for none.
    pub splay_within: Duration,
}

/// `source.cron`; `None` when it is wrong.
pub(super) fn read(fields: &Fields<'_>) -> Option<Cron> {
    let expressions = expressions(fields);
    let zone = match fields.text("timeZone") {
        Some(name) => or_fault(fields, "timeZone", schedule::zone(name)),
        None => Some(TimeZone::UTC),
    };
    let deadline = deadline(fields);
    let catch_up = match fields.choice("catchUp", &["None", "Last", "All"]) {
        Some("None") => CatchUp::None,
        Some("All") => CatchUp::All,
        _ => CatchUp::Last,
    };
    let gap = fields
        .choice("gap", &["Next", "Skip"])
        .map(|word| match word {
            "Skip" => Gap::Skip,
            _ => Gap::Next,
        });
    let fold = fields
        .choice("fold", &["First", "Both"])
        .map(|word| match word {
            "Both" => Fold::Both,
            _ => Fold::First,
        });
    let within = duration(fields, "splay");
    let exclude = fields.fields("exclude").map(|exclude| excluded(&exclude));
    let start_at = instant(fields, "startAt");
    let end_at = instant(fields, "endAt");
    if let (Some(start), Some(end)) = (start_at, end_at)
        && end < start
    {
        fields.fault("endAt", "must not be before startAt");
    }
    fields.refuse_others();
    let schedule = Schedule {
        expressions: expressions?,
        time_zone: zone?,
        gap,
        fold,
        exclude: exclude.unwrap_or_default(),
        start_at,
        end_at,
        created: Timestamp::UNIX_EPOCH,
        splay: Duration::ZERO,
    };
    if let (Some(within), Some(shortest)) = (within, schedule.shortest_interval())
        && within >= shortest
    {
        fields.fault(
            "splay",
            format!(
                "must be below the time between two due times, of which the shortest is {} s",
                shortest.as_secs()
            ),
        );
    }
    Some(Cron {
        schedule,
        starting_deadline: deadline,
        catch_up,
        splay_within: within.unwrap_or_default(),
    })
}

/// Refuses what has no meaning beside a schedule.
pub(super) fn refuse_senders(spec: &Fields<'_>) {
    for (field, why) in NOT_WITH_CRON {
        if spec.has(field) {
            spec.fault(field, format!("has no meaning with source.cron: {why}"));
        }
    }
    if let Some(concurrency) = spec.fields("concurrency")
        && concurrency.has("keyFrom")
    {
        concurrency.fault(
            "keyFrom",
            "has no meaning with source.cron: all its Jobs are of one key",
        );
    }
}

/// Refuses bindings of what a due time does not have.
pub(super) fn refuse_bindings(spec: &Fields<'_>, bind: &Bind) {
    let Some(fields) = spec.fields("bind") else {
        return;
    };
    for field in ["completions", "parallelism", "file"] {
        if fields.has(field) {
            fields.fault(
                field,
                "has no meaning with source.cron: a due time is no number, and says no more than env can hold",
            );
        }
    }
    let env = bind.env.iter().map(|binding| &binding.origin);
    let labels = bind.labels.iter().map(|binding| &binding.origin);
    let annotations = bind.annotations.iter().map(|binding| &binding.origin);
    let lists = [
        ("env", env.collect::<Vec<_>>()),
        ("labels", labels.collect()),
        ("annotations", annotations.collect()),
    ];
    for (list, origins) in lists {
        for (index, origin) in origins.into_iter().enumerate() {
            let there = EVENT_FIELDS.join(", ");
            for path in origin.paths() {
                if !EVENT_FIELDS.contains(&path.to_string().as_str()) {
                    let message = format!("names {path}, and a due time has {there}");
                    fields.fault(&format!("{list}[{index}]"), message);
                }
            }
            for (field, header) in origin.headers() {
                let message = format!("names the header {header}, and a due time has {there}");
                fields.fault(&format!("{list}[{index}].{field}"), message);
            }
        }
    }
}

fn expressions(fields: &Fields<'_>) -> Option<Vec<Expression>> {
    match (fields.get("schedule"), fields.get("schedules")) {
        (Some(_), None) => {
            let expression = expression(fields, "schedule", fields.text("schedule")?)?;
            Some(vec![expression])
        }
        (None, Some(_)) => {
            let texts = fields.texts("schedules");
            if !(1..=MOST_EXPRESSIONS).contains(&texts.len()) {
                let message = format!("must have 1 to {MOST_EXPRESSIONS} entries");
                fields.fault("schedules", message);
            }
            let read = texts.iter().enumerate();
            let read =
                read.map(|(index, text)| expression(fields, &format!("schedules[{index}]"), text));
            // All of them, so that all mistakes are told.
            let read: Vec<_> = read.collect();
            read.into_iter().collect()
        }
        _ => {
            fields.fault("", "must have exactly one of schedule and schedules");
            None
        }
    }
}

/// An expression that an object may have.
fn expression(fields: &Fields<'_>, key: &str, text: &str) -> Option<Expression> {
    let expression = or_fault(fields, key, Expression::parse(text))?;
    if let Some(refusal) = expression.refusal() {
        fields.fault(key, refusal.to_string());
        return None;
    }
    Some(expression)
}

fn or_fault<T>(fields: &Fields<'_>, key: &str, read: Result<T, schedule::Error>) -> Option<T> {
    read.map_err(|error| fields.fault(key, error.to_string()))
        .ok()
}

/// `startingDeadlineSeconds`.
fn deadline(fields: &Fields<'_>) -> Option<Duration> {
    if fields.whole()["startingDeadlineSeconds"] == 0 {
        fields.get("startingDeadlineSeconds");
        fields.fault(
            "startingDeadlineSeconds",
            "is 0, and with 0 nothing ever runs: every start is later than that; leave it out for no deadline",
        );
        return None;
    }
    let seconds = fields.count("startingDeadlineSeconds", 1)?;
    Some(Duration::from_secs(u64::from(seconds)))
}

fn duration(fields: &Fields<'_>, key: &'static str) -> Option<Duration> {
    let text = fields.text(key)?;
    let read = go_duration(text).map(Duration::from_nanos);
    let read = read.filter(|duration| (1..=86_400).contains(&duration.as_secs()));
    if read.is_none() {
        fields.fault(key, "must be a duration such as 10m, from 1s to 24h");
    }
    read
}

fn instant(fields: &Fields<'_>, key: &'static str) -> Option<Timestamp> {
    // The API server wants the T, too.
    let text = fields.text(key)?;
    let read = text
        .parse()
        .ok()
        .filter(|_| text.as_bytes().get(10) == Some(&b'T'));
    if read.is_none() {
        fields.fault(
            key,
            "must be an instant such as 2026-12-01T00:00:00Z, with its offset from UTC",
        );
    }
    read
}

/// `exclude`.
fn excluded(fields: &Fields<'_>) -> Exclude {
    let mut dates = BTreeSet::new();
    let written = fields.texts("dates");
    if written.len() > MOST_DATES {
        let message =
            format!("must have at most {MOST_DATES} entries; a schedule can leave out more");
        fields.fault("dates", message);
    }
    for (index, text) in written.iter().enumerate() {
        match text.parse::<Date>() {
            Ok(date) if text.len() == 10 => {
                dates.insert(date);
            }
            _ => fields.fault(
                &format!("dates[{index}]"),
                "must be a date such as 2026-12-25",
            ),
        }
    }
    let written = fields.texts("schedules");
    if written.len() > MOST_EXPRESSIONS {
        let message = format!("must have at most {MOST_EXPRESSIONS} entries");
        fields.fault("schedules", message);
    }
    let mut expressions = Vec::new();
    for (index, text) in written.iter().enumerate() {
        let key = format!("schedules[{index}]");
        let Some(read) = expression(fields, &key, text) else {
            continue;
        };
        if read.every().is_some() {
            let message = "is @every, which names no minutes of the wall clock to leave out; write five fields";
            fields.fault(&key, message);
        }
        expressions.push(read);
    }
    if !fields.has("dates") && !fields.has("schedules") {
        fields.fault("", "must have dates or schedules");
    }
    fields.refuse_others();
    Exclude { dates, expressions }
}

impl Cron {
    /// Fills in what the object's head decides: what `@every` counts from, and how much later this one starts.
    pub(super) fn of_object(mut self, id: &ObjectId, created: &str) -> Self {
        if let Ok(created) = created.parse() {
            self.schedule.created = created;
        }
        self.schedule.splay = splay(&id.to_string(), self.splay_within);
        self
    }

    /// The event that a due time is: what `bind` looks at.
    ///
    /// `scheduledTime` is RFC 3339 in the schedule's zone, as CronJob annotates it; `scheduledTimeUTC` the same in UTC;
    /// `scheduledDate` the local date.
    pub fn event(&self, due: Timestamp) -> Value {
        let local = due.to_zoned(self.schedule.time_zone.clone());
        json!({
            "scheduledTime": self.scheduled_time(due),
            "scheduledTimeUTC": due.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            "scheduledDate": local.strftime("%F").to_string(),
        })
    }

    /// A due time as RFC 3339 in the schedule's zone: the text of `batch.kubernetes.io/cronjob-scheduled-timestamp`.
    pub fn scheduled_time(&self, due: Timestamp) -> String {
        let local = due.to_zoned(self.schedule.time_zone.clone());
        if local.offset().is_zero() {
            return local.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        }
        local.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
    }

    /// A hash of what decides its due times, for `status.schedule.hash`: an edit of anything else counts as none.
    ///
    /// 16 letters, the same in every release.
    pub fn fingerprint(&self) -> String {
        let schedule = &self.schedule;
        let texts = |expressions: &[Expression]| -> Vec<String> {
            expressions.iter().map(ToString::to_string).collect()
        };
        let dates: Vec<String> = schedule.exclude.dates.iter().map(Date::to_string).collect();
        let text = json!([
            texts(&schedule.expressions),
            schedule.time_zone.iana_name(),
            schedule.gap.map(|gap| gap == Gap::Next),
            schedule.fold.map(|fold| fold == Fold::First),
            dates,
            texts(&schedule.exclude.expressions),
            schedule.start_at.map(|at| at.to_string()),
            schedule.end_at.map(|at| at.to_string()),
        ]);
        let hash = Sha256::digest(text.to_string().as_bytes());
        let mut number = [0; 8];
        number.copy_from_slice(&hash[..8]);
        format!("{:016x}", u64::from_be_bytes(number))
    }
}

/// The field that one of the expressions stands in.
pub fn field_of_schedule(index: usize, written: &Value) -> String {
    let cron = "spec.source.cron";
    if written["spec"]["source"]["cron"]["schedules"].is_array() {
        fields::join(cron, &format!("schedules[{index}]"))
    } else {
        fields::join(cron, "schedule")
    }
}
