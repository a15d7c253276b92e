//! Volumes.

use std::collections::BTreeSet;

use super::container::{has_no_way_up, is_descending};
use super::place::TemplatePlace;
use super::quantity;
use crate::resource::names::is_label;

/// Looks at them; gives the names by which they may be mounted.
pub(super) fn rules<'a>(volumes: &TemplatePlace<'a>) -> BTreeSet<&'a str> {
    let mut names = BTreeSet::new();
    for volume in volumes.items() {
        let name = volume.at("name");
        if let Some(text) = name.require_text()
            && !names.insert(text)
        {
            name.refuse("is the name of another volume of this Pod");
        }
        name.form(
            is_label,
            "lower-case letters, digits and dashes, at most 63",
        );
        let kinds = volume.entries();
        let kinds = kinds.iter().filter(|(key, _)| *key != "name");
        // None at all is an emptyDir.
        if kinds.count() > 1 {
            volume.refuse("must have one kind");
        }
        kind(&volume);
    }
    names
}

fn kind(volume: &TemplatePlace<'_>) {
    for (kind, field) in [
        ("secret", "secretName"),
        ("configMap", "name"),
        ("persistentVolumeClaim", "claimName"),
        ("hostPath", "path"),
        ("csi", "driver"),
        ("nfs", "server"),
    ] {
        let place = volume.at(kind);
        if place.is_there() {
            place.at(field).require_text();
        }
    }
    for kind in ["secret", "configMap"] {
        files(&volume.at(kind));
    }
    let host = volume.at("hostPath");
    host.at("path").form(has_no_way_up, "a path without ..");
    host.at("type").one_of(&[
        "BlockDevice",
        "CharDevice",
        "Directory",
        "DirectoryOrCreate",
        "File",
        "FileOrCreate",
        "Socket",
    ]);
    let share = volume.at("nfs");
    if share.is_there() {
        let path = share.at("path");
        path.require_text();
        path.form(|path| path.starts_with('/'), "an absolute path");
    }
    let size = volume.at("emptyDir").at("sizeLimit");
    if quantity::of(&size).is_some_and(quantity::Quantity::is_negative) {
        size.refuse("must not be negative");
    }
    let projected = volume.at("projected");
    projected.at("defaultMode").range(0, 0o777);
    for source in projected.at("sources").items() {
        if source.entries().len() > 1 {
            source.refuse("must have one kind");
        }
        for kind in ["secret", "configMap"] {
            let place = source.at(kind);
            if place.is_there() {
                place.at("name").require_text();
                files(&place);
            }
        }
    }
}

/// Which keys become which files.
fn files(source: &TemplatePlace<'_>) {
    source.at("defaultMode").range(0, 0o777);
    for item in source.at("items").items() {
        item.at("key").require_text();
        let path = item.at("path");
        path.require_text();
        path.form(
            |path| is_descending(path) && !path.starts_with(".."),
            "a relative path without .. at its start or within",
        );
        item.at("mode").range(0, 0o777);
    }
}
