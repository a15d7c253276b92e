//! What an event says reaches its Job as it is said, and changes nothing else: over 100,000 made-up cases.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use slipway::event::{self, Attributes, Event, Opened};
use slipway::launch::delivered::Delivery;
use slipway::resource::ObjectId;
use slipway::resource::event_job::{
    Auth, Bind, Concurrency, CountBinding, EnvBinding, EventJob, FileBinding, Format,
    MetadataBinding, Origin, Webhook,
};
use slipway::resource::expansion::expand;
use slipway::resource::query::Query;

const OBJECTS: u64 = 5_000;
/// Of each object: 100,000 cases together.
const EVENTS: usize = 20;
const GRACE: Duration = Duration::from_secs(600);
const FIELDS: [&str; 6] = ["a", "b-b", "c c", "d'd", "é", ""];

/// A small generator of numbers: the same cases each time, each found again by its number.
/// Source: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", SplitMix64.
struct Dice(u64);

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
                container["env"] = json!([{"name": "OWN", "value": "$(BOUND0)"}, {"name": "BOUND1", "value": "default"}])
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
        origin: Origin::Path(query(dice)),
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
            origin: Origin::Path(query(dice)),
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

fn event_job(dice: &mut Dice) -> EventJob {
    EventJob {
        id: ObjectId::new("ns", "job"),
        uid: "uid".to_owned(),
        generation: 1,
        webhook: Webhook {
            format: Format::EventBridge,
            shared: false,
            auth: vec![Auth::None],
        },
        pattern: None,
        id_from: Vec::new(),
        bind: bind(dice),
        concurrency: Concurrency::Allow,
        rate_limit: None,
        deduplicate_for: Duration::from_secs(90_000),
        suspend: false,
        history: None,
        job_template: template(dice),
    }
}

/// An event, and the texts its fields have as values: found here without any of the code under test.
fn event(dice: &mut Dice) -> (Event, Map<String, Value>) {
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
    let mut attributes = Attributes::new();
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

/// Every place where two values differ. Lists of variables count by name, less those named in `apart`.
fn differences(
    one: &Value,
    other: &Value,
    path: &str,
    apart: &BTreeSet<String>,
    found: &mut BTreeSet<String>,
) {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            let absent = Value::from("absent");
            let keys: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
            for key in keys {
                let (one, other) = (
                    one.get(key).unwrap_or(&absent),
                    other.get(key).unwrap_or(&absent),
                );
                // The same is the same all the way down.
                if one == other {
                    continue;
                }
                let path = format!("{path}/{key}");
                if key == "env" {
                    if rest(one, apart) != rest(other, apart) {
                        found.insert(path);
                    }
                } else {
                    differences(one, other, &path, apart, found);
                }
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (index, (one, other)) in one.iter().zip(other).enumerate() {
                differences(one, other, &format!("{path}/{index}"), apart, found);
            }
        }
        _ => {
            if one != other {
                found.insert(path.to_owned());
            }
        }
    }
}

/// A list of variables without some; a missing one and null have none.
fn rest<'a>(env: &'a Value, apart: &BTreeSet<String>) -> Vec<&'a Value> {
    let env = env.as_array().into_iter().flatten();
    env.filter(|entry| !apart.contains(entry["name"].as_str().unwrap()))
        .collect()
}

/// Where a binding, and the event's being another, may show.
fn allowed(bind: &Bind, manifest: &Value) -> BTreeSet<String> {
    let mut allowed: BTreeSet<String> = [
        "/metadata/name",
        "/metadata/annotations/slipway.dev/occurrence",
        "/metadata/annotations/slipway.dev/payload",
        "/metadata/annotations/slipway.dev/received-at",
    ]
    .map(str::to_owned)
    .into();
    for (kind, bindings) in [("labels", &bind.labels), ("annotations", &bind.annotations)] {
        for binding in bindings {
            let name = &binding.name;
            allowed.insert(format!("/metadata/{kind}/{name}"));
            allowed.insert(format!("/spec/template/metadata/{kind}/{name}"));
        }
    }
    allowed.extend(
        bind.completions
            .iter()
            .map(|_| "/spec/completions".to_owned()),
    );
    allowed.extend(
        bind.parallelism
            .iter()
            .map(|_| "/spec/parallelism".to_owned()),
    );
    if bind.file.is_some() {
        let volumes = manifest["spec"]["template"]["spec"]["volumes"]
            .as_array()
            .unwrap();
        let last = volumes.len() - 1;
        allowed.insert(format!(
            "/spec/template/spec/volumes/{last}/secret/secretName"
        ));
    }
    allowed
}

/// The bound text: the event's, or the default.
fn text_of(
    origin: &Origin,
    default: Option<&String>,
    texts: &Map<String, Value>,
) -> Option<String> {
    let Origin::Path(path) = origin else {
        unreachable!("only paths are made")
    };
    let field = FIELDS
        .iter()
        .find(|field| path.to_string() == format!("$.detail[{}]", Value::from(**field)))
        .unwrap();
    let found = texts
        .get(*field)
        .map(|text| text.as_str().unwrap().to_owned());
    found.or(default.cloned())
}

/// Whether the event cannot be bound, by a reading of the rules of its own.
fn must_be_refused(object: &EventJob, event: &Event, id: &str, texts: &Map<String, Value>) -> bool {
    let bind = &object.bind;
    let pod = &object.job_template["spec"]["template"]["spec"];
    let lists = [&pod["containers"], &pod["initContainers"]];
    let containers: usize = lists
        .iter()
        .map(|list| list.as_array().map_or(0, Vec::len))
        .sum();
    let mut values = vec![(Some(id.to_owned()), containers)];
    for binding in &bind.env {
        let text = text_of(&binding.origin, binding.default.as_ref(), texts);
        values.push((
            text,
            if binding.container.is_some() {
                1
            } else {
                containers
            },
        ));
    }
    for binding in bind.labels.iter().chain(&bind.annotations) {
        values.push((text_of(&binding.origin, binding.default.as_ref(), texts), 2));
    }
    let is_wrong = |text: &Option<String>| {
        text.as_ref()
            .is_none_or(|text| text.contains('\0') || text.len() > 32_768)
    };
    let total: usize = values
        .iter()
        .map(|(text, times)| text.as_ref().map_or(0, String::len) * times)
        .sum();
    let is_no_label = |binding: &MetadataBinding| {
        let text = text_of(&binding.origin, binding.default.as_ref(), texts).unwrap_or_default();
        let letters = text.trim_matches(|letter: char| letter.is_ascii_alphanumeric());
        let inner = text
            .trim_start_matches(['-', '_', '.'])
            .trim_end_matches(['-', '_', '.'])
            == text;
        text.len() > 63
            || !inner
            || letters
                .contains(|letter: char| !letter.is_ascii_alphanumeric() && !"-_.".contains(letter))
    };
    let is_no_count = |binding: &CountBinding| {
        let value = binding.path.find(&event.value);
        !value
            .and_then(Value::as_u64)
            .is_some_and(|number| number <= 100)
    };
    values.iter().any(|(text, _)| is_wrong(text))
        || total > 131_072
        || bind.labels.iter().any(is_no_label)
        || bind
            .completions
            .iter()
            .chain(&bind.parallelism)
            .any(is_no_count)
        || (bind.file.is_some() && event.text.len() > 1 << 20)
}

/// What a container sees in a variable once Kubernetes has expanded it; of several entries the last counts.
fn seen(manifest: &Value, container: &str, name: &str) -> Option<Option<String>> {
    let pod = &manifest["spec"]["template"]["spec"];
    let lists = [&pod["containers"], &pod["initContainers"]];
    let mut containers = lists.into_iter().filter_map(Value::as_array).flatten();
    let found = containers.find(|found| found["name"] == container)?;
    let mut entries = found["env"].as_array()?.iter().rev();
    let entry = entries.find(|entry| entry["name"] == name);
    Some(entry.and_then(|entry| {
        assert!(entry.get("valueFrom").is_none() || entry.get("value").is_none());
        let value = entry["value"].as_str()?;
        Some(expand(value, |_| Some("LEAKED".to_owned())))
    }))
}

/// One object and its events; how many of them were bound.
fn check_object(number: u64) -> usize {
    let mut dice = Dice(number.wrapping_mul(0x2545_f491_4f6c_dd1d));
    let object = event_job(&mut dice);
    let sample = Delivery::sample(&object, GRACE).manifest;
    (0..EVENTS)
        .filter(|event| check(&object, &sample, &mut dice, &format!("{number}.{event}")))
        .count()
}

/// One case; whether the event was bound.
fn check(object: &EventJob, sample: &Value, dice: &mut Dice, case: &str) -> bool {
    let (event, texts) = event(dice);
    let identity = event.identity(&[]).unwrap();
    let delivery = Delivery::new(object, &event, &identity, Timestamp::UNIX_EPOCH, GRACE);
    let refuse = must_be_refused(object, &event, &identity.id, &texts);
    let Ok(delivery) = delivery else {
        assert!(refuse, "case {case}: was refused");
        return false;
    };
    assert!(!refuse, "case {case}: was not refused");

    let manifest = &delivery.launch.manifest;
    let bind = &object.bind;
    let mut apart: BTreeSet<String> = bind
        .env
        .iter()
        .map(|binding| binding.name.clone())
        .collect();
    apart.extend(["SLIPWAY_EVENT_ID", "TRACEPARENT"].map(str::to_owned));
    let mut found = BTreeSet::new();
    differences(sample, manifest, "", &apart, &mut found);
    let allowed = allowed(bind, manifest);
    let more: Vec<_> = found.difference(&allowed).collect();
    assert!(more.is_empty(), "case {case}: {more:?} changed");

    for container in ["main", "side", "init"] {
        let of_event = |name: &str| seen(manifest, container, name);
        let Some(id) = of_event("SLIPWAY_EVENT_ID") else {
            continue;
        };
        assert_eq!(id.as_ref(), Some(&identity.id), "case {case}");
        let mut bound = Map::new();
        for binding in &bind.env {
            if binding
                .container
                .as_ref()
                .is_none_or(|only| only == container)
            {
                let text = text_of(&binding.origin, binding.default.as_ref(), &texts).unwrap();
                bound.insert(binding.name.clone(), text.into());
            }
        }
        for (name, text) in &bound {
            assert_eq!(
                of_event(name).unwrap().as_deref(),
                text.as_str(),
                "case {case}: {name}"
            );
        }
        // Bound elsewhere, it is as the template has it.
        for binding in bind
            .env
            .iter()
            .filter(|binding| !bound.contains_key(&binding.name))
        {
            assert_eq!(
                of_event(&binding.name),
                seen(
                    &json!({"spec": object.job_template["spec"]}),
                    container,
                    &binding.name
                )
                .or(Some(None)),
                "case {case}"
            );
        }
    }
    for (kind, bindings) in [("labels", &bind.labels), ("annotations", &bind.annotations)] {
        for (index, binding) in bindings.iter().enumerate() {
            if bindings[index + 1..]
                .iter()
                .any(|later| later.name == binding.name)
            {
                continue;
            }
            let text = text_of(&binding.origin, binding.default.as_ref(), &texts).unwrap();
            for place in [
                &manifest["metadata"],
                &manifest["spec"]["template"]["metadata"],
            ] {
                assert_eq!(place[kind][&binding.name], text.as_str(), "case {case}");
            }
        }
    }
    true
}

#[test]
fn a_job_differs_from_its_template_only_where_a_binding_says_so() {
    let threads = 2;
    let bound: usize = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|worker| {
                scope.spawn(move || {
                    let objects = (0..OBJECTS).filter(|object| object % threads == worker);
                    objects.map(check_object).sum::<usize>()
                })
            })
            .collect();
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap())
            .sum()
    });
    // Neither all refused nor all taken, or the cases say little.
    assert!((20_000..80_000).contains(&bound), "{bound} were bound");
}
