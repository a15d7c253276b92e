//! Made-up objects and hostile events, the same each time, each found again by its number.

use std::time::Duration;

use serde_json::{Map, Value, json};
use slipway::event::{self, Attributes, Event, Opened};
use slipway::resource::ObjectId;
use slipway::resource::event_job::{
    Auth, Bind, BindSource, Concurrency, CountBinding, EnvBinding, EventJob, EventSource,
    FileBinding, Format, MetadataBinding, Split, WebhookSource,
};
use slipway::resource::query::Query;

/// The members of an event's `detail`.
pub(super) const FIELDS: [&str; 4] = ["a", "b-b", "d'd", ""];

/// A small generator of numbers: the same cases each time, each found again by its number.
/// Source: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", SplitMix64.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        usize::try_from(mixed % u64::try_from(sides).unwrap()).unwrap()
    }

    fn one_in(&mut self, sides: usize) -> bool {
        self.roll(sides) == 0
    }

    fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.roll(list.len())]
    }

    fn some<T>(&mut self, most: usize, mut make: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let length = self.roll(most + 1);
        (0..length).map(|_| make(self)).collect()
    }
}

/// Texts that somebody would send to see what happens.
fn hostile_text(dice: &mut Dice) -> String {
    const PIECES: [&str; 26] = [
        "$(SECRET)",
        "$$",
        "$",
        "$(",
        ")",
        "$(SLIPWAY_EVENT_ID)",
        "\"",
        "'",
        "\\",
        "\n",
        "\r\n",
        "{{ .Values.x }}",
        "${A}",
        "`id`",
        ": ",
        "- ",
        "#",
        "---\n",
        "é",
        "😀",
        "\u{202e}",
        "a",
        "x-1",
        "null",
        "\u{1b}[2J",
        "%s",
    ];
    match dice.roll(20_000) {
        0 => "x".repeat(1 << 20),
        1..4 => "x".repeat(32 * 1024 + dice.roll(2)),
        4..7 => "$$(".repeat(11_000 - dice.roll(2) * 1_000),
        7..500 => "\0".to_owned(),
        500..2_000 => "x".repeat(63 + dice.roll(2)),
        2_000..7_000 => (*dice.pick(&["plain", "5", "v1.2-3_x", "", "current"])).to_owned(),
        _ => dice.some(6, |dice| *dice.pick(&PIECES)).concat(),
    }
}

/// A value, as JSON text.
fn hostile_value(dice: &mut Dice, depth: usize) -> String {
    match dice.roll(if depth > 2 { 8 } else { 10 }) {
        0..5 => Value::from(hostile_text(dice)).to_string(),
        5 => (*dice.pick(&[
            "0",
            "1",
            "7",
            "101",
            "-1",
            "1.10",
            "1e2",
            "12345678901234567890123",
            "1.0",
            "4294967296",
        ]))
        .to_owned(),
        6 => (*dice.pick(&["true", "false"])).to_owned(),
        7 => "null".to_owned(),
        8 => format!(
            "[{}]",
            dice.some(3, |dice| hostile_value(dice, depth + 1))
                .join(", ")
        ),
        _ => {
            let members = dice.some(3, |dice| {
                let name = Value::from(*dice.pick(&FIELDS));
                format!("{name} : {}", hostile_value(dice, depth + 1))
            });
            format!("{{{}}}", members.join(","))
        }
    }
}

/// The templates that people write, and some that they should not.
fn template(dice: &mut Dice) -> Value {
    let mut container = |name: &str| {
        let mut container = json!({"name": name, "image": "i", "args": ["$(BOUND0)", "--x"]});
        match dice.roll(4) {
            0 => {}
            1 => container["env"] = Value::Null,
            2 => {
                container["env"] = json!([{"name": "OWN", "value": "$(BOUND0)"}, {"name": "BOUND1", "value": "default"}]);
            }
            _ => {
                container["env"] = json!([
                    {"name": "BOUND0", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
                    {"name": "SECRET", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
                    {"name": "BOUND0", "value": "twice"},
                ]);
            }
        }
        container
    };
    let main = container("main");
    let mut pod =
        json!({"restartPolicy": "Never", "containers": [main], "serviceAccountName": "own"});
    let (side, init) = (container("side"), container("init"));
    if dice.one_in(2) {
        pod["containers"].as_array_mut().unwrap().push(side);
    }
    if dice.one_in(2) {
        pod["initContainers"] = json!([init]);
    }
    if dice.one_in(3) {
        pod["volumes"] = json!([{"name": "v", "emptyDir": {}}]);
        pod["containers"][0]["volumeMounts"] = json!([{"name": "v", "mountPath": "/v"}]);
    }
    let mut template =
        json!({"spec": {"backoffLimit": 3, "unknownToUs": [1.5], "template": {"spec": pod}}});
    if dice.one_in(2) {
        template["metadata"] =
            json!({"labels": {"own": "l", "bound0": "l"}, "annotations": {"own": "a"}});
        template["spec"]["template"]["metadata"] =
            json!({"labels": {"own": "l"}, "annotations": {"bound0": "a"}});
    }
    template
}

fn query(dice: &mut Dice) -> Query {
    let name = Value::from(*dice.pick(&FIELDS));
    Query::parse(&format!("$.detail[{name}]")).unwrap()
}

fn bind(dice: &mut Dice) -> Bind {
    let default = |dice: &mut Dice| dice.one_in(2).then(|| "default".to_owned());
    let metadata = |dice: &mut Dice| MetadataBinding {
        name: format!("bound{}", dice.roll(2)),
        origin: BindSource::Path(query(dice)),
        default: default(dice),
    };
    let count = |dice: &mut Dice| {
        dice.one_in(8).then(|| CountBinding {
            path: query(dice),
            max: 100,
        })
    };
    Bind {
        env: dice.some(3, |dice| EnvBinding {
            name: format!("BOUND{}", dice.roll(3)),
            origin: BindSource::Path(query(dice)),
            default: default(dice),
            container: dice
                .one_in(4)
                .then(|| (*dice.pick(&["main", "init"])).to_owned()),
        }),
        labels: if dice.one_in(3) {
            dice.some(2, metadata)
        } else {
            Vec::new()
        },
        annotations: dice.some(2, metadata),
        completions: count(dice),
        parallelism: count(dice),
        file: dice.one_in(3).then(|| FileBinding {
            path: "/e/event.json".to_owned(),
        }),
    }
}

pub(super) fn event_job(dice: &mut Dice) -> EventJob {
    EventJob {
        id: ObjectId::new("ns", "job"),
        uid: "uid".to_owned(),
        generation: 1,
        created: String::new(),
        source: EventSource::Webhook(WebhookSource {
            format: Format::EventBridge,
            shared: false,
            split: Split::No,
            allowed_origins: Vec::new(),
            confirm_topic_arns: Vec::new(),
            auth: vec![Auth::None],
        }),
        pattern: None,
        cron_job: None,
        header_pattern: None,
        expected_interval: None,
        requests: Ok(Vec::new()),
        id_from: Vec::new(),
        bind: bind(dice),
        concurrency: Concurrency::Allow,
        rate_limit: None,
        deduplicate_for: Duration::from_hours(25),
        suspend: false,
        history: None,
        job_template: template(dice).into(),
    }
}

/// An event, and the texts its fields have as values: found here without any of the code under test.
pub(super) fn event(dice: &mut Dice) -> (Event, Map<String, Value>) {
    let mut members = Vec::new();
    let mut texts = Map::new();
    for field in FIELDS {
        if dice.one_in(4) {
            continue;
        }
        let written = hostile_value(dice, 0);
        let value: Value = serde_json::from_str(&written).unwrap();
        let text = match &value {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            Value::Array(_) | Value::Object(_) => Some(without_space(&written)),
            _ => Some(written.clone()),
        };
        texts.extend(text.map(|text| (field.to_owned(), Value::from(text))));
        members.push(format!("{}:{written}", Value::from(field)));
    }
    let id = if dice.one_in(20) {
        hostile_text(dice)
    } else {
        "e1".to_owned()
    };
    let id = if id.is_empty() { "e2".to_owned() } else { id };
    let body = format!(
        r#"{{"id":{},"source":"s","account":"1","region":"r","detail":{{{}}}}}"#,
        Value::from(id),
        members.join(",")
    );
    let mut attributes = Attributes::default();
    if dice.one_in(2) {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        attributes.insert("traceparent".to_owned(), parent.to_owned());
    }
    match event::open(Format::EventBridge, &attributes, body.as_bytes()) {
        Ok(Opened::One(event)) => (*event, texts),
        _ => panic!("was not opened: {body}"),
    }
}

/// What the generator puts between parts is taken out again; strings have no quote that is not escaped.
fn without_space(json: &str) -> String {
    let mut is_string = false;
    let mut is_escaped = false;
    json.chars()
        .filter(|letter| {
            let keep = is_string || *letter != ' ';
            if is_string && !is_escaped && *letter == '\\' {
                is_escaped = true;
            } else {
                is_string ^= *letter == '"' && !is_escaped;
                is_escaped = false;
            }
            keep
        })
        .collect()
}
