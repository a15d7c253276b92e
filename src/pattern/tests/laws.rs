//! Random patterns on random events: one pattern, many at once, and a third reading that is as plain as
//! the documentation, all of the same mind.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Matcher, Pattern};

const KEYS: [&str; 3] = ["a", "b", "a.b"];

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        prop_oneof![
            Just("x"),
            Just("xy"),
            Just("Xy"),
            Just("yx"),
            Just(""),
            Just("ß"),
            Just("SS"),
            Just("10.0.0.1")
        ]
        .prop_map(Value::from),
        (0..4_i64).prop_map(Value::from),
        Just(json!(1.5)),
        Just(json!(true)),
        Just(Value::Null),
    ]
}

/// Objects in arrays in objects, over few keys and values, so that much is met by chance.
fn event() -> impl Strategy<Value = Value> {
    let value = scalar().prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((prop::sample::select(&KEYS[..]), inner), 0..3).prop_map(object),
        ]
    });
    vec((prop::sample::select(&KEYS[..]), value), 0..4).prop_map(object)
}

fn object(members: Vec<(&'static str, Value)>) -> Value {
    Value::Object(
        members
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect(),
    )
}

fn text() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&["x", "xy", "Xy", "y", "ß", "ss"][..])
}

fn item() -> impl Strategy<Value = Value> {
    let wildcard = prop::sample::select(&["*", "x*", "*x", "x*y", "*y*", "x", "*x*y*"][..]);
    let number = 0..3_i64;
    prop_oneof![
        4 => scalar(),
        1 => text().prop_map(|text| json!({"prefix": text})),
        1 => text().prop_map(|text| json!({"suffix": text})),
        1 => text().prop_map(|text| json!({"prefix": {"equals-ignore-case": text}})),
        1 => text().prop_map(|text| json!({"suffix": {"equals-ignore-case": text}})),
        1 => text().prop_map(|text| json!({"equals-ignore-case": text})),
        1 => wildcard.clone().prop_map(|text| json!({"wildcard": text})),
        1 => (number.clone(), 1..3_i64).prop_map(|(low, size)| json!({"numeric": [">", low, "<=", low + size]})),
        1 => number.clone().prop_map(|top| json!({"numeric": ["<", top]})),
        1 => number.prop_map(|number| json!({"anything-but": [number]})),
        1 => vec(text(), 1..3).prop_map(|texts| json!({"anything-but": texts})),
        1 => wildcard.prop_map(|text| json!({"anything-but": {"wildcard": text}})),
        1 => text().prop_map(|text| json!({"anything-but": {"prefix": text}})),
        1 => any::<bool>().prop_map(|exists| json!({"exists": exists})),
        1 => (0..32_u8).prop_map(|mask| json!({"cidr": format!("10.0.0.0/{mask}")})),
    ]
}

fn fields() -> impl Strategy<Value = Value> {
    let list = vec(item(), 1..3).prop_map(Value::from);
    let inner = list.prop_recursive(2, 8, 3, |inner| {
        vec((prop::sample::select(&KEYS[..]), inner), 1..3).prop_map(object)
    });
    vec((prop::sample::select(&KEYS[..]), inner), 1..3).prop_map(object)
}

fn rule() -> impl Strategy<Value = Value> {
    prop_oneof![
        3 => fields(),
        1 => (fields(), vec(fields(), 2..4)).prop_map(|(mut rule, branches)| {
            rule["$or"] = branches.into();
            rule
        }),
    ]
}

/// A leaf with its path and the array elements above it.
type AnyLeaf<'e> = (String, &'e Value, Vec<(usize, usize)>);

fn flatten<'e>(
    value: &'e Value,
    path: Option<String>,
    above: &[(usize, usize)],
    arrays: &mut usize,
    leaves: &mut Vec<AnyLeaf<'e>>,
) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                let path = path
                    .as_ref()
                    .map_or_else(|| key.clone(), |path| format!("{path}.{key}"));
                flatten(value, Some(path), above, arrays, leaves);
            }
        }
        Value::Array(items) => {
            let array = *arrays;
            *arrays += 1;
            for (index, item) in items.iter().enumerate() {
                let mut above = above.to_vec();
                if item.is_object() || item.is_array() {
                    above.push((array, index));
                }
                flatten(item, path.clone(), &above, arrays, leaves);
            }
        }
        _ => leaves.push((path.unwrap_or_default(), value, above.to_vec())),
    }
}

fn agree(left: &[(usize, usize)], right: &[(usize, usize)]) -> bool {
    left.iter().all(|(array, index)| {
        right
            .iter()
            .all(|(other, place)| array != other || index == place)
    })
}

/// Tries every choice of leaves, one path after the other.
fn plainly(
    branch: &[(String, Vec<Value>)],
    leaves: &[AnyLeaf<'_>],
    chosen: &[(usize, usize)],
) -> bool {
    let Some(((path, list), rest)) = branch.split_first() else {
        return true;
    };
    let mut there = leaves
        .iter()
        .filter(|(at, _, above)| at == path && agree(above, chosen));
    let absent = list.contains(&json!({"exists": false}));
    if absent && there.clone().next().is_none() && plainly(rest, leaves, chosen) {
        return true;
    }
    there.any(|(_, value, above)| {
        list.iter().any(|item| meets(item, value))
            && plainly(rest, leaves, &[chosen, above].concat())
    })
}

fn meets(item: &Value, value: &Value) -> bool {
    let Some((name, operand)) = item.as_object().and_then(|object| object.iter().next()) else {
        return match (item.as_f64(), value.as_f64()) {
            (Some(left), Some(right)) => left.total_cmp(&right).is_eq(),
            _ => item == value,
        };
    };
    let text = value.as_str();
    let with = |meets: &dyn Fn(&str, &str) -> bool| {
        let operands = operand
            .as_array()
            .map_or(std::slice::from_ref(operand), Vec::as_slice);
        text.is_some_and(|text| {
            operands
                .iter()
                .any(|operand| meets(text, operand.as_str().unwrap()))
        })
    };
    match name.as_str() {
        "exists" => *operand == json!(true),
        "prefix" | "suffix" if operand.is_object() => {
            let wanted = operand["equals-ignore-case"].as_str().unwrap();
            let forms = forms(wanted);
            let is_prefix = name == "prefix";
            text.is_some_and(|text| {
                forms.iter().any(|form| {
                    if is_prefix {
                        text.starts_with(form)
                    } else {
                        text.ends_with(form)
                    }
                })
            })
        }
        "prefix" => with(&|text, prefix| text.starts_with(prefix)),
        "suffix" => with(&|text, suffix| text.ends_with(suffix)),
        "equals-ignore-case" => with(&|text, wanted| forms(wanted).iter().any(|form| form == text)),
        "wildcard" => with(&|text, wildcard| wild(wildcard.as_bytes(), text.as_bytes())),
        "cidr" => {
            // The only address of these events.
            let mask: u32 = operand
                .as_str()
                .unwrap()
                .rsplit('/')
                .next()
                .unwrap()
                .parse()
                .unwrap();
            text == Some("10.0.0.1") && mask < 32
        }
        "numeric" => value.as_f64().is_some_and(|value| {
            operand.as_array().unwrap().chunks(2).all(|bound| {
                let limit = bound[1].as_f64().unwrap();
                match bound[0].as_str().unwrap() {
                    ">" => value > limit,
                    "<" => value < limit,
                    _ => value <= limit,
                }
            })
        }),
        "anything-but" => match operand {
            Value::Array(items) => !items.iter().any(|item| meets(item, value)),
            _ => !meets(operand, value),
        },
        other => panic!("{other}"),
    }
}

/// Every way to write a text in lower and upper case, a character at a time.
fn forms(text: &str) -> Vec<String> {
    text.chars().fold(vec![String::new()], |forms, character| {
        let cases = [
            character.to_lowercase().to_string(),
            character.to_uppercase().to_string(),
        ];
        forms
            .iter()
            .flat_map(|form| cases.iter().map(move |case| format!("{form}{case}")))
            .collect()
    })
}

fn wild(wildcard: &[u8], text: &[u8]) -> bool {
    match wildcard.split_first() {
        None => text.is_empty(),
        Some((b'*', rest)) => (0..=text.len()).any(|skipped| wild(rest, &text[skipped..])),
        Some((byte, rest)) => text.first() == Some(byte) && wild(rest, &text[1..]),
    }
}

/// Every branch as lists by path, in the order of paths.
fn branches(
    rule: &Value,
    prefix: Option<&str>,
    mut done: Vec<Vec<(String, Vec<Value>)>>,
) -> Vec<Vec<(String, Vec<Value>)>> {
    for (key, value) in rule.as_object().unwrap() {
        if key == "$or" {
            let fork = |branch: &Value| branches(branch, prefix, done.clone());
            done = value.as_array().unwrap().iter().flat_map(fork).collect();
            continue;
        }
        let path = prefix.map_or_else(|| key.clone(), |prefix| format!("{prefix}.{key}"));
        if value.is_object() {
            done = branches(value, Some(&path), done);
            continue;
        }
        for branch in &mut done {
            branch.retain(|(other, _)| *other != path);
            branch.push((path.clone(), value.as_array().unwrap().clone()));
            branch.sort_by(|left, right| left.0.cmp(&right.0));
        }
    }
    done
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn one_many_and_a_plain_reading_agree(rules in vec(rule(), 1..24), events in vec(event(), 1..6)) {
        let patterns: Vec<Pattern> = rules.iter().map(|rule| Pattern::from_value(rule).unwrap()).collect();
        let matcher = Matcher::new(patterns.iter().cloned().enumerate());
        for event in events {
            let text = event.to_string();
            let mut leaves = Vec::new();
            flatten(&event, None, &[], &mut 0, &mut leaves);
            let mut expected = Vec::new();
            for (number, rule) in rules.iter().enumerate() {
                let is_met = branches(rule, None, vec![Vec::new()])
                    .iter()
                    .any(|branch| plainly(branch, &leaves, &[]));
                prop_assert_eq!(patterns[number].matches(&text), is_met, "{} {}", rule, text);
                prop_assert_eq!(patterns[number].refusal(&text).is_none(), is_met, "{} {}", rule, text);
                if is_met {
                    expected.push(number);
                }
            }
            prop_assert_eq!(matcher.matches(&text), expected, "{:?} {}", rules, text);
        }
    }
}
