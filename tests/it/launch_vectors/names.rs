//! Names and label values, for every name an object can have.

use std::collections::HashSet;

use proptest::prelude::{Strategy as Generator, prop_assert, prop_assert_eq, proptest};
use slipway::launch::Launch;
use slipway::launch::job::name::label_value;
use slipway::resource::Round;

use super::scaled_job;
use crate::support::vectors::text;

/// Names of objects that the API server takes: dots and dashes only between letters and digits.
fn object_name() -> impl Generator<Value = String> {
    proptest::string::string_regex(
        "[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?(\\.[a-z0-9]([a-z0-9-]{0,40}[a-z0-9])?){0,8}",
    )
    .expect("a regular expression")
    .prop_map(|mut name| {
        name.truncate(253);
        name.trim_end_matches(['.', '-']).to_owned()
    })
}

/// A DNS subdomain name, as the API server checks names of Jobs.
fn is_subdomain(name: &str) -> bool {
    let alphanumeric =
        |character: char| character.is_ascii_lowercase() || character.is_ascii_digit();
    !name.is_empty()
        && name.split('.').all(|label| {
            label.starts_with(alphanumeric)
                && label.ends_with(alphanumeric)
                && label
                    .chars()
                    .all(|character| character == '-' || alphanumeric(character))
        })
}

proptest! {
    #[test]
    fn every_object_name_gives_valid_and_different_job_names(
        name in object_name(),
        number in 1..u64::MAX,
        jobs in 1_u32..20,
    ) {
        let object = scaled_job(&name);
        let mut seen = HashSet::new();
        for round in [Round { number, jobs }, Round { number: number - 1, jobs }] {
            for launch in Launch::counted(&object, round) {
                let job = &launch.id.name;
                prop_assert!(job.len() <= 57, "{job}");
                prop_assert!(is_subdomain(job), "{job}");
                let metadata = &launch.manifest["metadata"];
                prop_assert_eq!(text(&metadata["name"]), &**job);
                let prefix = text(&metadata["generateName"]);
                prop_assert!(job.starts_with(prefix) && prefix.len() + 10 == job.len());
                // The API server checks a prefix as a name, with a dash at its end masked.
                prop_assert!(!prefix.ends_with('.'), "{prefix}");
                prop_assert!(seen.insert(job.clone()), "twice: {job}");
            }
        }
    }

    #[test]
    fn every_object_name_has_a_valid_label_value(name in object_name()) {
        let value = label_value(&name);
        prop_assert!(value.len() <= 63, "{value}");
        prop_assert!(value.starts_with(|first: char| first.is_ascii_alphanumeric()));
        prop_assert!(value.ends_with(|last: char| last.is_ascii_alphanumeric()));
        prop_assert_eq!(value == name, name.len() <= 63);
    }
}
