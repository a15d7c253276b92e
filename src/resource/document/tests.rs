use super::*;
use serde_json::json;

fn only(text: &str) -> Document {
    let (mut documents, misread) = read(text);
    assert_eq!(misread, []);
    assert_eq!(documents.len(), 1, "{documents:?}");
    documents.remove(0)
}

const OBJECT: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: it\n";

#[test]
fn a_field_is_found_at_its_key_and_a_missing_one_at_its_parent() {
    let document = only(
        "# a comment\napiVersion: v1\nkind: Thing\nmetadata: {name: it, annotations: {a.b/c: x}}\nspec:\n  list:\n  - one\n  - deep:\n      er: 1\n",
    );
    let at = |field: &str| document.locate(field).to_string();
    assert_eq!(at("spec.list"), "6:3");
    assert_eq!(at("spec.list[1].deep.er"), "9:7");
    assert_eq!(at("spec.list[1].deep.missing[3].x"), "8:5");
    assert_eq!(at("spec.list[0]"), "7:5");
    assert_eq!(at("metadata.annotations[\"a.b/c\"]"), "4:36");
    assert_eq!(at(""), "2:1");
    assert_eq!(at("status"), "2:1");
}

#[test]
fn texts_hold_several_documents_and_lists_are_opened() {
    let text = format!(
        "{OBJECT}---\n# nothing\n---\napiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Secret\n  metadata: {{name: inner, namespace: there}}\n"
    );
    let (documents, misread) = read(&text);
    assert_eq!(misread, []);
    let ids: Vec<_> = documents
        .iter()
        .map(|document| (document.kind.as_str(), document.id.to_string()))
        .collect();
    assert_eq!(
        ids,
        [
            ("ConfigMap", "default/it".to_owned()),
            ("Secret", "there/inner".to_owned())
        ]
    );
    assert_eq!(documents[1].locate("metadata.name").to_string(), "13:14");
}

#[test]
fn line_ends_of_windows_and_a_byte_order_mark_change_nothing() {
    let document = only(&format!("\u{feff}{OBJECT}data: {{a: b}}\n").replace('\n', "\r\n"));
    assert_eq!(document.value["data"], json!({"a": "b"}));
    assert_eq!(document.locate("data").to_string(), "5:1");
}

#[test]
fn json_is_read_like_yaml() {
    let document = only(
        "{\"apiVersion\": \"v1\", \"kind\": \"ConfigMap\",\n \"metadata\": {\"name\": \"it\"}, \"data\": {\"tab\": \"a\\tb\"}}",
    );
    assert_eq!(document.value["data"], json!({"tab": "a\tb"}));
    assert_eq!(document.locate("metadata.name").to_string(), "2:15");
}

#[test]
fn scalars_keep_their_type_and_integers_are_exact() {
    let document = only(&format!(
        "{OBJECT}data:\n  text: \"10\"\n  no: no\n  yes: \"true\"\n  flag: true\n  big: 9007199254740993\n  least: -9223372036854775808\n  most: 18446744073709551615\n  mode: 0644\n  float: 1.5\n  round: 5.0\n  nothing: ~\n  time: 2026-01-01\n  block: |\n    a\n    b\n"
    ));
    assert_eq!(
        document.value["data"].to_string(),
        r#"{"text":"10","no":false,"yes":"true","flag":true,"big":9007199254740993,"least":-9223372036854775808,"most":18446744073709551615,"mode":420,"float":1.5,"round":5,"nothing":null,"time":"2026-01-01","block":"a\nb\n"}"#
    );
}

#[test]
fn anchors_and_merges_are_followed() {
    let document = only(&format!(
        "x: &base {{a: 1}}\n{OBJECT}data:\n  <<: *base\n  b: *base\n"
    ));
    assert_eq!(document.value["data"], json!({"a": 1, "b": {"a": 1}}));
}

#[test]
fn mistakes_have_a_line_and_leave_what_stands_around_them() {
    for (broken, line, words) in [
        ("a: [1\n", 6, "unclosed"),
        ("apiVersion: v1\nkind: Pod\n", 6, "metadata is missing"),
        (
            "kind: Pod\nmetadata: {name: x}\n",
            6,
            "apiVersion is missing",
        ),
        (
            "apiVersion: 1\nkind: Pod\n",
            6,
            "apiVersion is missing or no text",
        ),
        ("just words\n", 6, "having neither apiVersion nor kind"),
    ] {
        let (documents, misread) = read(&format!("{OBJECT}---\n{broken}---\n{OBJECT}"));
        assert_eq!(documents.len(), 2, "{broken}");
        assert_eq!(misread.len(), 1, "{broken}: {misread:?}");
        assert_eq!(misread[0].position.line, line, "{broken}: {misread:?}");
        assert!(misread[0].message.contains(words), "{misread:?}");
        assert!(!misread[0].message.contains("line"), "{misread:?}");
    }
}

#[test]
fn deep_nesting_is_refused_and_what_is_allowed_fits_the_stack() {
    let nested = |levels: usize| format!("{}1{}", "{a: ".repeat(levels), "}".repeat(levels));
    let (documents, misread) = read(&format!("{OBJECT}data: {}\n", nested(60)));
    assert_eq!((documents.len(), misread), (1, vec![]));
    for levels in [70, 5_000] {
        let (documents, misread) = read(&format!("{OBJECT}data: {}\n", nested(levels)));
        assert!(documents.is_empty());
        assert_eq!(
            misread[0].message,
            "mappings and lists are nested too deeply: 64 levels are the most"
        );
    }
}

#[test]
fn what_the_library_says_of_its_options_is_not_repeated() {
    let (_, misread) = read(&format!("{OBJECT}data: &x {{a: *x}}\n"));
    let message = "an alias (*name) stands inside of its own anchor (&name)";
    assert_eq!(misread[0].message, message);
}

#[test]
fn of_a_key_that_is_written_twice_the_last_counts_and_the_place_is_known() {
    let document = only(&format!("{OBJECT}data: {{a: '1', b: '2', a: '3'}}\n"));
    assert_eq!(document.value["data"], json!({"a": "3", "b": "2"}));
    let [(position, key)] = &document.repeated_keys()[..] else {
        panic!("{:?}", document.repeated_keys());
    };
    assert_eq!(
        (position.to_string(), key.as_str()),
        ("5:24".to_owned(), "a")
    );
    let settings = read_plain("a: 1\na: 2\n").unwrap_err();
    assert_eq!(
        settings.message,
        "a is written twice in one mapping: keep one of them"
    );
}

#[test]
fn lists_of_every_kind_are_opened() {
    let list = "apiVersion: keda.sh/v1alpha1\nkind: ScaledJobList\nitems:\n- metadata: {name: a}\n";
    let document = only(list);
    assert_eq!(document.value["kind"], "ScaledJob");
    assert_eq!(
        (document.api_version.as_str(), document.kind.as_str()),
        ("keda.sh/v1alpha1", "ScaledJob")
    );
    for items in ["null", "[]"] {
        let (documents, misread) = read(&format!("apiVersion: v1\nkind: List\nitems: {items}\n"));
        assert_eq!((documents.len(), misread), (0, vec![]));
    }
}

#[test]
fn a_hundred_aliases_of_one_anchor_are_no_bomb() {
    let item = "- {apiVersion: v1, kind: ConfigMap, metadata: {name: x, labels: *l}}\n";
    let text = format!(
        "x: &l {{a: b}}\napiVersion: v1\nkind: List\nitems:\n{}",
        item.repeat(200)
    );
    let (documents, misread) = read(&text);
    assert_eq!((documents.len(), misread), (200, vec![]));
}

#[test]
fn directives_comments_and_markers_with_content_are_no_documents_of_their_own() {
    let text = format!("%YAML 1.1\n# head\n---\n{OBJECT}--- # next\n{OBJECT}---\n");
    let (documents, misread) = read(&text);
    assert_eq!((documents.len(), misread), (2, vec![]));
    assert_eq!(documents[1].locate("kind").to_string(), "10:1");
}

#[test]
fn a_job_may_have_its_name_generated() {
    let job = "apiVersion: batch/v1\nkind: Job\nmetadata: {generateName: load-}\n";
    assert_eq!(&*only(job).id.name, "load-");
    let (documents, _) = read(&job.replace("Job", "ConfigMap"));
    assert!(documents.is_empty());
}

#[test]
fn a_bundle_of_thousands_is_read() {
    let (documents, misread) = read(&format!("{OBJECT}---\n").repeat(3_000));
    assert_eq!((documents.len(), misread), (3_000, vec![]));
}

#[test]
fn an_oversized_or_exploding_text_is_refused() {
    let (documents, misread) = read(&"#".repeat(MAX_BYTES + 1));
    assert!(documents.is_empty() && misread[0].message.contains("split it"));
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..9 {
        let before = level - 1;
        let aliases = [format!("*a{before}").as_str(); 10].join(", ");
        bomb = [bomb, format!("a{level}: &a{level} [{aliases}]\n")].concat();
    }
    let (documents, misread) = read(&bomb);
    assert!(documents.is_empty());
    assert_eq!(misread.len(), 1, "{misread:?}");
}

#[test]
fn paths_are_read_as_faults_write_them() {
    assert_eq!(
        steps("a.b[0][\"c.d\"].e"),
        [
            FieldStep::Key("a".into()),
            FieldStep::Key("b".into()),
            FieldStep::Index(0),
            FieldStep::Key("c.d".into()),
            FieldStep::Key("e".into())
        ]
    );
    assert_eq!(steps("a[x].b"), [FieldStep::Key("a".into())]);
    assert_eq!(steps(""), []);
}
