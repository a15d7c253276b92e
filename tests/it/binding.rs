//! What an event says reaches its Job as it is said, and changes nothing else: over 100,000 made-up cases.

mod cases;

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value};
use slipway::event::Event;
use slipway::launch::delivered::Delivery;
use slipway::resource::event_job::{Bind, BindSource, CountBinding, EventJob, MetadataBinding};
use slipway::resource::expansion::expand;

use cases::{Dice, FIELDS, event, event_job};

const OBJECTS: u64 = 5_000;
/// Of each object: 100,000 cases together.
const EVENTS: usize = 20;
const GRACE: Duration = Duration::from_mins(10);

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
    origin: &BindSource,
    default: Option<&String>,
    texts: &Map<String, Value>,
) -> Option<String> {
    let BindSource::Path(path) = origin else {
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
    let template = object.job_template.value();
    let pod = &template["spec"]["template"]["spec"];
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
        // Digits in a text are a number too.
        let digits = value
            .and_then(Value::as_str)
            .and_then(|text| text.parse::<u64>().ok());
        let number = value.and_then(Value::as_u64).or(digits);
        number.is_none_or(|number| number > 100)
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

/// A container of a manifest, or of a template.
fn container<'a>(manifest: &'a Value, name: &str) -> Option<&'a Value> {
    let pod = &manifest["spec"]["template"]["spec"];
    let lists = [&pod["containers"], &pod["initContainers"]];
    let mut containers = lists.into_iter().filter_map(Value::as_array).flatten();
    containers.find(|container| container["name"] == name)
}

/// What a container sees in a variable once Kubernetes has expanded it; of several entries the last counts.
fn seen(container: &Value, name: &str) -> Option<String> {
    let mut entries = container["env"].as_array()?.iter().rev();
    let entry = entries.find(|entry| entry["name"] == name)?;
    assert!(entry.get("valueFrom").is_none() || entry.get("value").is_none());
    let value = entry["value"].as_str()?;
    Some(expand(value, |_| Some("LEAKED".to_owned())))
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
    let template = object.job_template.value();
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

    for name in ["main", "side", "init"] {
        let Some(of_event) = container(manifest, name) else {
            continue;
        };
        let id = seen(of_event, "SLIPWAY_EVENT_ID");
        assert_eq!(id.as_ref(), Some(&identity.id), "case {case}");
        let of_template = container(&template, name).unwrap();
        let mut bound = Map::new();
        for binding in &bind.env {
            let only = binding.container.as_deref();
            if only.is_none_or(|only| only == name) {
                let text = text_of(&binding.origin, binding.default.as_ref(), &texts).unwrap();
                bound.insert(binding.name.clone(), text.into());
            }
        }
        for binding in &bind.env {
            let wanted = match bound.get(&binding.name) {
                Some(text) => text.as_str().map(str::to_owned),
                // Bound in another container; here it is as the template has it.
                None => seen(of_template, &binding.name),
            };
            let told = seen(of_event, &binding.name);
            assert_eq!(told, wanted, "case {case}: {}", binding.name);
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
