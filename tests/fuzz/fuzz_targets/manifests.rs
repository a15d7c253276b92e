//! A file that people wrote: it is read, or each of its faults has a place in it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use slipway::manifest::Manifests;
use slipway::resource::connection;

fuzz_target!(|text: &str| {
    let manifests = Manifests::from_texts([("file.yaml", text)]);
    let lines = u64::try_from(text.split(['\n', '\r']).count()).expect("not that many");
    for finding in manifests.faults.iter().chain(&manifests.warnings) {
        let _ = finding.to_string();
        assert!(finding.position.line <= lines, "{finding}");
    }
    for (index, scaled_job) in &manifests.scaled_jobs {
        assert_eq!(manifests.entries[*index].document.id, scaled_job.id);
    }
    let again = Manifests::from_texts([("file.yaml", text)]);
    assert_eq!(again.faults, manifests.faults);
    let _ = connection::parse(text);
});
