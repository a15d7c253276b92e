//! A view, cut into the parts that change by themselves: sent whole at first, and then only where it differs.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use serde_json::{Map, Value, json};

use crate::page::html::Html;

/// One element with an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Region {
    /// Its `id`.
    pub id: String,
    /// The element.
    pub html: Html,
}

/// What a view shows now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Regions {
    /// Elements that are always there.
    pub parts: Vec<Region>,
    /// Rows of the table, in their order: they come and go.
    pub rows: Vec<Region>,
}

impl Regions {
    /// Adds an element that is always there.
    pub fn part(&mut self, id: &str, html: Html) {
        let id = id.to_owned();
        self.parts.push(Region { id, html });
    }

    /// The element of this id; empty when there is none.
    pub fn get(&self, id: &str) -> Html {
        let part = self.parts.iter().find(|part| part.id == id);
        part.map(|part| part.html.clone()).unwrap_or_default()
    }
}

fn digest(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// What tells one state of a view from another, within this process.
pub fn fingerprint(regions: &Regions) -> String {
    let mut hasher = DefaultHasher::new();
    for region in regions.parts.iter().chain(&regions.rows) {
        (&region.id, region.html.as_str()).hash(&mut hasher);
    }
    format!("{:016x}", hasher.finish())
}

/// What somebody has been sent of a view: an id and a hash for each element.
#[derive(Debug, Default)]
pub struct SentRegions {
    hashes: HashMap<String, u64>,
    order: Vec<String>,
}

impl SentRegions {
    /// What is to be sent so that they see `now`; `None` when they see it. What is sent is taken as seen.
    ///
    /// `changed`: the elements that differ, by id. `rows`: the order of the rows, when that differs.
    pub fn difference(&mut self, now: &Regions) -> Option<Value> {
        let mut changed = Map::new();
        let mut hashes = HashMap::new();
        for region in now.parts.iter().chain(&now.rows) {
            let hash = digest(region.html.as_str());
            if self.hashes.get(&region.id) != Some(&hash) {
                changed.insert(region.id.clone(), region.html.as_str().into());
            }
            hashes.insert(region.id.clone(), hash);
        }
        self.hashes = hashes;
        let order: Vec<String> = now.rows.iter().map(|row| row.id.clone()).collect();
        let is_moved = order != self.order;
        if changed.is_empty() && !is_moved {
            return None;
        }
        let mut message = json!({"changed": changed});
        if is_moved {
            message["rows"] = json!(order);
            self.order = order;
        }
        Some(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn html(text: &str) -> Html {
        let mut html = Html::new();
        html.text(text);
        html
    }

    fn regions(part: &str, rows: &[(&str, &str)]) -> Regions {
        let rows = rows.iter().map(|(id, text)| Region {
            id: (*id).to_owned(),
            html: html(text),
        });
        let mut regions = Regions {
            rows: rows.collect(),
            ..Regions::default()
        };
        regions.part("summary", html(part));
        regions
    }

    #[test]
    fn only_what_differs_is_sent() {
        let mut sent = SentRegions::default();
        let first = regions("s", &[("a", "1"), ("b", "2")]);
        assert_eq!(
            sent.difference(&first),
            Some(json!({"changed": {"summary": "s", "a": "1", "b": "2"}, "rows": ["a", "b"]}))
        );
        assert_eq!(sent.difference(&first), None);
        let second = regions("s", &[("a", "1"), ("b", "3")]);
        assert_eq!(
            sent.difference(&second),
            Some(json!({"changed": {"b": "3"}}))
        );
        let moved = regions("t", &[("b", "3"), ("c", "4")]);
        assert_eq!(
            sent.difference(&moved),
            Some(json!({"changed": {"summary": "t", "c": "4"}, "rows": ["b", "c"]}))
        );
        let back = regions("t", &[("a", "1"), ("b", "3")]);
        let difference = sent.difference(&back).unwrap();
        assert_eq!(
            difference["changed"],
            json!({"a": "1"}),
            "what went is not taken as seen"
        );
    }
}
