//! KEDA's four conditions, as a list in a status.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// The four, in KEDA's order, with what each is before anything is known.
const INITIAL: [(&str, State); 4] = [
    ("Ready", State::Unknown),
    ("Active", State::Unknown),
    ("Fallback", State::Unknown),
    ("Paused", State::False),
];

/// A condition's status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    True,
    False,
    Unknown,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KedaCondition {
    state: State,
    reason: String,
    message: String,
}

/// Conditions by type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Conditions(BTreeMap<&'static str, KedaCondition>);

impl Conditions {
    /// Those of a status; the initial four when one of them is missing, as in KEDA.
    pub(super) fn of(status: &Value) -> Self {
        let read = |name| Some((name, find(status, name).and_then(KedaCondition::read)?));
        let found: Option<BTreeMap<_, _>> = INITIAL.iter().map(|(name, _)| read(*name)).collect();
        Self(found.unwrap_or_else(|| {
            let initial =
                |(name, state): &(&'static str, State)| (*name, KedaCondition::new(*state));
            INITIAL.iter().map(initial).collect()
        }))
    }

    pub(super) fn set(&mut self, name: &'static str, state: State, reason: &str, message: &str) {
        let condition = KedaCondition {
            state,
            reason: reason.to_owned(),
            message: message.to_owned(),
        };
        self.0.insert(name, condition);
    }

    pub(super) fn is(&self, name: &str, state: State) -> bool {
        self.0
            .get(name)
            .is_some_and(|condition| condition.state == state)
    }

    /// A condition that says so, as it stands.
    pub(super) fn with_reason(&self, name: &str, reason: &str) -> Option<KedaCondition> {
        let condition = self.0.get(name)?;
        (condition.reason == reason).then(|| condition.clone())
    }

    /// Lets a condition stand as it stood.
    pub(super) fn restore(&mut self, name: &'static str, condition: KedaCondition) {
        self.0.insert(name, condition);
    }

    /// The list; with times of the last transition when `now` is given. A time stays while the status does.
    pub(super) fn into_value(self, previous: &Value, now: Option<&str>) -> Value {
        let list = INITIAL.iter().filter_map(|(name, _)| {
            let condition = self.0.get(name)?;
            let mut value = json!({"type": name, "status": condition.state.as_str()});
            if !condition.reason.is_empty() {
                value["reason"] = condition.reason.as_str().into();
            }
            if !condition.message.is_empty() {
                value["message"] = condition.message.as_str().into();
            }
            if let Some(now) = now {
                let before = find(previous, name)
                    .filter(|before| before["status"] == value["status"])
                    .and_then(|before| before["lastTransitionTime"].as_str());
                value["lastTransitionTime"] = before.unwrap_or(now).into();
            }
            Some(value)
        });
        list.collect()
    }
}

impl KedaCondition {
    fn new(state: State) -> Self {
        Self {
            state,
            reason: String::new(),
            message: String::new(),
        }
    }

    fn read(value: &Value) -> Option<Self> {
        let text = |field: &str| value[field].as_str().unwrap_or_default().to_owned();
        Some(Self {
            state: State::parse(value["status"].as_str()?)?,
            reason: text("reason"),
            message: text("message"),
        })
    }
}

impl State {
    fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::True, Self::False, Self::Unknown]
            .into_iter()
            .find(|state| state.as_str() == text)
    }
}

fn find<'a>(status: &'a Value, name: &str) -> Option<&'a Value> {
    let conditions = status["conditions"].as_array()?;
    conditions
        .iter()
        .find(|condition| condition["type"] == name)
}
