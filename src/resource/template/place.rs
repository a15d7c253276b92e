//! A value and where it stands, for rules to say what is wrong there.

use std::cell::RefCell;

use serde_json::Value;

use crate::resource::Fault;
use crate::resource::fields::join;

/// What has been found, one fault a field: the first says enough.
pub(super) struct FieldFaults(RefCell<Vec<Fault>>);

impl FieldFaults {
    pub(super) fn new(found: Vec<Fault>) -> Self {
        Self(RefCell::new(found))
    }

    pub(super) fn into_vec(self) -> Vec<Fault> {
        self.0.into_inner()
    }

    fn add(&self, fault: Fault) {
        let mut faults = self.0.borrow_mut();
        if faults.iter().all(|earlier| earlier.field != fault.field) {
            faults.push(fault);
        }
    }
}

/// A value, perhaps null, which is as good as absent.
#[derive(Clone)]
pub(super) struct TemplatePlace<'a> {
    value: &'a Value,
    path: String,
    faults: &'a FieldFaults,
}

impl<'a> TemplatePlace<'a> {
    pub(super) fn new(value: &'a Value, path: &str, faults: &'a FieldFaults) -> Self {
        Self {
            value,
            path: path.to_owned(),
            faults,
        }
    }

    /// A field of this mapping.
    pub(super) fn at(&self, key: &str) -> Self {
        Self::new(&self.value[key], &join(&self.path, key), self.faults)
    }

    /// The entries of this list.
    pub(super) fn items(&self) -> Vec<Self> {
        let items = self.value.as_array().into_iter().flatten().enumerate();
        items
            .map(|(index, item)| Self::new(item, &format!("{}[{index}]", self.path), self.faults))
            .collect()
    }

    /// The fields of this mapping that are there.
    pub(super) fn entries(&self) -> Vec<(&'a str, Self)> {
        let entries = self.value.as_object().into_iter().flatten();
        entries
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| {
                let place = Self::new(value, &join(&self.path, key), self.faults);
                (key.as_str(), place)
            })
            .collect()
    }

    pub(super) fn is_there(&self) -> bool {
        !self.value.is_null()
    }

    /// The text here, if it is one and says something: the API server takes the empty one for none.
    pub(super) fn text(&self) -> Option<&'a str> {
        self.value.as_str().filter(|text| !text.is_empty())
    }

    /// The empty text is here, which some rules tell from none.
    pub(super) fn is_empty_text(&self) -> bool {
        self.value.as_str() == Some("")
    }

    pub(super) fn number(&self) -> Option<i64> {
        self.value.as_i64()
    }

    pub(super) fn is_true(&self) -> bool {
        self.value == &Value::Bool(true)
    }

    pub(super) fn is_false(&self) -> bool {
        self.value == &Value::Bool(false)
    }

    pub(super) fn value(&self) -> &'a Value {
        self.value
    }

    /// The API server refuses what is here.
    pub(super) fn refuse(&self, message: impl Into<String>) {
        self.faults
            .add(Fault::at(self.path.clone(), message.into()));
    }

    /// A text must be here; gives it.
    pub(super) fn require_text(&self) -> Option<&'a str> {
        let text = self.text();
        if text.is_none() {
            self.refuse("is required");
        }
        text
    }

    /// A text that is here must have a form.
    pub(super) fn form(&self, is_right: impl Fn(&str) -> bool, expected: &str) {
        if self.text().is_some_and(|text| !is_right(text)) {
            self.refuse(format!("must be {expected}"));
        }
    }

    /// A text that is here must be one of these.
    pub(super) fn one_of(&self, words: &[&str]) {
        self.form(
            |text| words.contains(&text),
            &format!("one of {}", words.join(", ")),
        );
    }

    /// A number that is here must lie in a range.
    pub(super) fn range(&self, least: i64, most: i64) {
        if let Some(number) = self
            .number()
            .filter(|number| !(least..=most).contains(number))
        {
            self.refuse(format!("must be {least} to {most}, not {number}"));
        }
    }

    /// A number that is here must not be negative.
    pub(super) fn not_negative(&self) {
        if let Some(number) = self.number().filter(|number| *number < 0) {
            self.refuse(format!("must be 0 or more, not {number}"));
        }
    }

    /// A list that is here may have only so many entries.
    pub(super) fn at_most(&self, most: usize) {
        if self.items().len() > most {
            self.refuse(format!("must have at most {most} entries"));
        }
    }
}
