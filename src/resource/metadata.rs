//! KEDA's string map, the one parser.
//!
//! A parameter is looked up in the trigger's `metadata`, in the workload's
//! environment (under the name that `…FromEnv` gives) and among the parameters
//! of the TriggerAuthentication, in the order that the parameter has; the first
//! value that is not blank counts, trimmed. Everything wrong with a trigger is
//! collected, and nothing secret is ever quoted. Which parameters there are is
//! for [`sqs`](super::sqs), [`kafka`](super::kafka) and their like.

pub mod text;

use std::collections::BTreeSet;

use secrecy::{ExposeSecret, SecretString};

use crate::resource::{Fault, Inputs, Trigger, TriggerEntry, fields};
use crate::scaling::encode;
use text::ExpectedText;

/// Where a parameter may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParameterOrigin {
    /// The trigger's own `metadata`. KEDA: `triggerMetadata`.
    Metadata,
    /// The workload's environment, under the name that metadata's `…FromEnv` gives. KEDA: `resolvedEnv`.
    Environment,
    /// The TriggerAuthentication's parameters. KEDA: `authParams`.
    Authentication,
}

/// A value that was found: trimmed, not empty.
#[derive(Clone, PartialEq, Eq)]
pub struct Parameter<'a> {
    /// The value.
    pub text: &'a str,
    /// Where it stood.
    pub origin: ParameterOrigin,
    /// The name it stood under, the one of several.
    pub name: &'a str,
}

/// The parameters of one trigger while they are being read.
///
/// A reader asks for every parameter of its type, whether it needs it or not, so
/// that what is left over is unknown. It returns nothing for a faulty value and
/// notes the fault; [`finish`](Self::finish) then refuses the trigger as a whole.
pub struct Parameters<'a> {
    entry: &'a TriggerEntry,
    inputs: &'a Inputs,
    known: BTreeSet<String>,
    faults: Vec<Fault>,
    warnings: Vec<Fault>,
}

impl<'a> Parameters<'a> {
    /// The parameters of one entry and of what it refers to.
    pub fn new(entry: &'a TriggerEntry, inputs: &'a Inputs) -> Self {
        Self {
            entry,
            inputs,
            known: BTreeSet::new(),
            faults: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// The entry that is being read.
    pub fn entry(&self) -> &'a TriggerEntry {
        self.entry
    }

    /// What the entry refers to.
    pub fn inputs(&self) -> &'a Inputs {
        self.inputs
    }

    /// The first value, by origin and then by name, that is not blank.
    pub fn find(&mut self, names: &[&'a str], order: &[ParameterOrigin]) -> Option<Parameter<'a>> {
        for name in names {
            self.know(name, order);
        }
        let found = order.iter().find_map(|&origin| {
            names.iter().find_map(|&name| {
                let text = self.value(name, origin)?.trim();
                (!text.is_empty()).then_some(Parameter { text, origin, name })
            })
        });
        if found.is_none() && order.contains(&ParameterOrigin::Environment) {
            for name in names {
                self.warn_of_unset_variable(name);
            }
        }
        found
    }

    /// A text; nothing when it is absent.
    pub fn text(&mut self, name: &'a str, order: &[ParameterOrigin]) -> Option<String> {
        self.find(&[name], order).map(|found| found.text.to_owned())
    }

    /// A secret of the TriggerAuthentication; nothing when it is absent.
    pub fn secret(&mut self, name: &'a str) -> Option<SecretString> {
        self.find(&[name], &[ParameterOrigin::Authentication])
            .map(|found| SecretString::from(found.text))
    }

    /// A secret that has to be there; nothing, and a fault, when it is not.
    pub fn required_secret(&mut self, name: &'a str) -> Option<SecretString> {
        self.required(name, &[ParameterOrigin::Authentication])
            .map(|found| SecretString::from(found.text))
    }

    /// A value in its form; nothing when it is absent, nothing and a fault when it has another form.
    pub fn read<T>(
        &mut self,
        name: &'a str,
        order: &[ParameterOrigin],
        parse: impl FnOnce(&'a str) -> Result<T, ExpectedText>,
    ) -> Option<T> {
        let found = self.find(&[name], order)?;
        self.parsed(&found, parse)
    }

    /// A value that has to be there; nothing, and a fault, when it is not.
    pub fn required(&mut self, name: &'a str, order: &[ParameterOrigin]) -> Option<Parameter<'a>> {
        let found = self.find(&[name], order);
        if found.is_none() {
            let fault = self.missing(name, order);
            self.faults.push(fault);
        }
        found
    }

    /// A found value in its form; nothing, and a fault, when it has another.
    pub fn parsed<T>(
        &mut self,
        found: &Parameter<'a>,
        parse: impl FnOnce(&'a str) -> Result<T, ExpectedText>,
    ) -> Option<T> {
        match parse(found.text) {
            Ok(value) => Some(value),
            Err(expected) => {
                self.refuse(found, expected.as_str());
                None
            }
        }
    }

    /// Notes that a found value is wrong, quoting it only where that gives no secret away.
    pub fn refuse(&mut self, found: &Parameter<'a>, expected: &str) {
        let fault = match found.origin {
            ParameterOrigin::Metadata if !holds_secret(found.name) => Fault::at(
                self.field(found.name),
                format!("expected {expected}, found {:?}", found.text),
            ),
            ParameterOrigin::Metadata => {
                Fault::at(self.field(found.name), format!("expected {expected}"))
            }
            ParameterOrigin::Environment => Fault::at(
                self.field(&from_env(found.name)),
                format!("expected the variable to hold {expected}"),
            ),
            ParameterOrigin::Authentication => Fault::at(
                self.authentication_field(),
                format!("parameter {}: expected {expected}", found.name),
            ),
        };
        self.faults.push(fault);
    }

    /// Notes a fault at a key of `metadata`.
    pub fn fault(&mut self, name: &str, message: impl Into<String>) {
        self.faults.push(Fault::at(self.field(name), message));
    }

    /// Notes a fault in what the TriggerAuthentication gives.
    pub fn fault_in_authentication(&mut self, message: impl Into<String>) {
        self.faults
            .push(Fault::at(self.authentication_field(), message));
    }

    /// Every key of `metadata` has a meaning to somebody: none is unknown.
    pub fn know_all(&mut self) {
        self.known
            .extend(self.entry.metadata.keys().map(ToOwned::to_owned));
    }

    /// Notes something at a key of `metadata` that is valid and yet surprises.
    pub fn warn(&mut self, name: &str, message: impl Into<String>) {
        self.warnings.push(Fault::at(self.field(name), message));
    }

    /// Notes something in what the TriggerAuthentication gives that is valid and yet surprises.
    pub fn warn_in_authentication(&mut self, message: impl Into<String>) {
        self.warnings
            .push(Fault::at(self.authentication_field(), message));
    }

    /// The trigger with its warnings, among them one for each key of `metadata` that nobody asked for.
    ///
    /// # Errors
    ///
    /// Everything that was noted as wrong, in the order it was found.
    ///
    /// # Panics
    ///
    /// When there is neither a trigger nor a fault: a reader gave up without saying why.
    pub fn finish(mut self, trigger: Option<Trigger>) -> Result<Trigger, Vec<Fault>> {
        if self.faults.is_empty() {
            self.warn_of_unknown();
        }
        let warnings = std::mem::take(&mut self.warnings);
        let trigger = self.finish_quietly(trigger)?;
        Ok(Trigger {
            warnings,
            ..trigger
        })
    }

    /// The trigger without warnings.
    ///
    /// # Errors
    ///
    /// Those of [`finish`](Self::finish).
    ///
    /// # Panics
    ///
    /// As [`finish`](Self::finish) does.
    pub fn finish_quietly(self, trigger: Option<Trigger>) -> Result<Trigger, Vec<Fault>> {
        if !self.faults.is_empty() {
            return Err(self.faults);
        }
        Ok(trigger.expect("a reader that gives nothing has noted a fault"))
    }

    fn warn_of_unknown(&mut self) {
        let entry = self.entry;
        for key in entry.metadata.keys() {
            if !self.known.contains(key) {
                let mut message = format!(
                    "{} does not use this parameter; it is ignored",
                    entry.kind.name()
                );
                let known: Vec<&str> = self.known.iter().map(String::as_str).collect();
                fields::suggest(&mut message, key, &known);
                self.warn(key, message);
            }
        }
    }

    /// KEDA takes a variable that has no value as if it were not asked for.
    fn warn_of_unset_variable(&mut self, name: &str) {
        let key = from_env(name);
        if let Some(variable) = self.entry.metadata.get(&key) {
            let message = format!(
                "the container's environment has no value for {variable:?}; taken as if {name} were not given"
            );
            self.warn(&key, message);
        }
    }

    fn know(&mut self, name: &str, order: &[ParameterOrigin]) {
        if order.contains(&ParameterOrigin::Metadata) {
            self.known.insert(name.to_owned());
        }
        if order.contains(&ParameterOrigin::Environment) {
            self.known.insert(from_env(name));
        }
    }

    fn value(&self, name: &str, origin: ParameterOrigin) -> Option<&'a str> {
        match origin {
            ParameterOrigin::Metadata => self.entry.metadata.get(name),
            ParameterOrigin::Environment => {
                let variable = self.entry.metadata.get(&from_env(name))?;
                self.inputs
                    .env
                    .get(variable)
                    .map(ExposeSecret::expose_secret)
            }
            ParameterOrigin::Authentication => self
                .inputs
                .auth_params
                .get(name)
                .map(ExposeSecret::expose_secret),
        }
    }

    fn missing(&self, name: &str, order: &[ParameterOrigin]) -> Fault {
        let variable = self.entry.metadata.get(&from_env(name));
        if let Some(variable) = variable.filter(|_| order.contains(&ParameterOrigin::Environment)) {
            return Fault::at(
                self.field(&from_env(name)),
                format!(
                    "the container's environment has no value for {variable:?}; set it there, or give {name}"
                ),
            );
        }
        let ways: Vec<String> = order
            .iter()
            .map(|origin| match origin {
                ParameterOrigin::Metadata => format!("{name} in metadata"),
                ParameterOrigin::Environment => format!("{} in metadata", from_env(name)),
                ParameterOrigin::Authentication => format!("{name} in the TriggerAuthentication"),
            })
            .collect();
        let hint = self.similar(name).map_or_else(String::new, |similar| {
            format!("; {similar:?} is not the same: case counts")
        });
        let message = format!("{name} is missing; give {}{hint}", ways.join(" or "));
        if order == [ParameterOrigin::Authentication] {
            Fault::at(self.authentication_field(), message)
        } else {
            Fault::at(self.field(name), message)
        }
    }

    /// A key that differs from `name` by nothing but case.
    fn similar(&self, name: &str) -> Option<&'a str> {
        let metadata = self.entry.metadata.keys();
        let authentication = self.inputs.auth_params.keys();
        metadata
            .chain(authentication.map(String::as_str))
            .find(|key| key.eq_ignore_ascii_case(name) && *key != name)
    }

    fn field(&self, name: &str) -> String {
        format!("spec.triggers[{}].metadata.{name}", self.entry.index)
    }

    fn authentication_field(&self) -> String {
        format!("spec.triggers[{}].authenticationRef", self.entry.index)
    }
}

fn from_env(name: &str) -> String {
    format!("{name}FromEnv")
}

/// Whether a key of `metadata`, which should hold no secrets, probably holds one.
fn holds_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["password", "secret", "token", "key", "credential"]
        .iter()
        .any(|word| name.contains(word))
}

/// A trigger's metric name: its position and the base, in the characters KEDA allows.
///
/// Source: KEDA's `GenerateMetricNameWithIndex` and `NormalizeString`.
pub(super) fn metric_name(index: usize, base: &str) -> String {
    encode::with_index(index, &encode::normalize(base))
}

/// A threshold as the number that decisions are made with.
#[expect(
    clippy::cast_precision_loss,
    reason = "KEDA too compares thresholds as float64; above 2^53 units of work both are off by less than one part in 10^15"
)]
pub(super) fn number(threshold: i64) -> f64 {
    threshold as f64
}

#[cfg(test)]
mod tests;
