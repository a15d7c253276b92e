//! What is said about patterns that are none.

use super::Pattern;

#[track_caller]
fn check(text: &str, reason: &str) {
    let error = Pattern::parse(text).expect_err(text).to_string();
    assert_eq!(
        error,
        format!("Event pattern is not valid. Reason: {reason}"),
        "{text}"
    );
}

#[test]
fn structure_is_objects_down_to_lists() {
    check("[]", "Filter is not an object");
    check(r#""a""#, "Filter is not an object");
    check("{}", "Empty objects are not allowed");
    check(r#"{"a":{}}"#, "Empty objects are not allowed");
    check(r#"{"a":[]}"#, "Empty arrays are not allowed");
    check(r#"{"int":5}"#, r#""int" must be an object or an array"#);
    check(
        r#"{"a":{"string":"x"}}"#,
        r#""string" must be an object or an array"#,
    );
    check(
        r#"{"a":[["x"]]}"#,
        "Match value must be String, number, true, false, or null",
    );
    check(r#"{"a":[{}]}"#, "Match expression name not found");
    check(
        r#"{"a":[{"EXISTS":true}]}"#,
        "Unrecognized match type EXISTS",
    );
    check(
        r#"{"a":[{"NUMERIC":[">",1]}]}"#,
        "Unrecognized match type NUMERIC",
    );
}

#[test]
fn a_text_that_is_no_json_is_named_with_its_place() {
    check(r#"{"a":["#, "EOF while parsing a list at line 1 column 6");
    check("{\"a\":\n x}", "expected value at line 2 column 2");
    assert!(Pattern::parse(&"[".repeat(100_000)).is_err());
    assert!(Pattern::parse(&r#"{"a":"#.repeat(100_000)).is_err());
}

#[test]
fn operands_are_of_their_type() {
    for (expression, reason) in [
        (r#""exactly":1"#, "exact match pattern must be a string"),
        (r#""prefix":1"#, "prefix match pattern must be a string"),
        (r#""prefix":["a"]"#, "prefix match pattern must be a string"),
        (r#""prefix":{}"#, "Prefix expression name not found"),
        (
            r#""prefix":{"suffix":"a"}"#,
            "Unsupported prefix pattern: suffix",
        ),
        (
            r#""prefix":{"equals-ignore-case":1}"#,
            "equals-ignore-case match pattern must be a string",
        ),
        (r#""suffix":null"#, "suffix match pattern must be a string"),
        (r#""suffix":{}"#, "Suffix expression name not found"),
        (
            r#""suffix":{"prefix":"a"}"#,
            "Unsupported suffix pattern: prefix",
        ),
        (
            r#""suffix":{"equals-ignore-case":["a"]}"#,
            "equals-ignore-case match pattern must be a string",
        ),
        (
            r#""equals-ignore-case":["a"]"#,
            "equals-ignore-case match pattern must be a string",
        ),
        (
            r#""equals-ignore-case":{"prefix":"a"}"#,
            "equals-ignore-case match pattern must be a string",
        ),
        (r#""wildcard":1"#, "wildcard match pattern must be a string"),
        (r#""cidr":1"#, "prefix match pattern must be a string"),
        (
            r#""exists":"true""#,
            "exists match pattern must be either true or false.",
        ),
        (r#""numeric":5"#, "Value of numeric must be an array."),
        (
            r#""prefix":"a","suffix":"c""#,
            "Only one key allowed in match expression",
        ),
        (
            r#""exists":true,"x":1"#,
            "Only one key allowed in match expression",
        ),
        (
            r#""numeric":["=",1],"x":1"#,
            "Too many elements in numeric expression",
        ),
        (
            r#""anything-but":"a","x":1"#,
            "Too many elements in numeric expression",
        ),
    ] {
        check(&format!(r#"{{"a":[{{{expression}}}]}}"#), reason);
    }
}

#[test]
fn anything_but_takes_strings_or_numbers() {
    for (operand, reason) in [
        (
            "true",
            "Value of anything-but must be an array or single string/number value.",
        ),
        (
            "null",
            "Value of anything-but must be an array or single string/number value.",
        ),
        (
            "[null]",
            "Inside anything but list, start|null|boolean is not supported.",
        ),
        (
            r#"[["x"]]"#,
            "Inside anything but list, start|null|boolean is not supported.",
        ),
        (
            r#"["x",1]"#,
            "Inside anything but list, either all values are number or string, mixed type is not supported",
        ),
        (
            "[]",
            "Inside anything but list, either all values are number or string, mixed type is not supported",
        ),
        ("{}", "Anything-But expression name not found"),
        (
            r#"{"numeric":["=",5]}"#,
            "Unsupported anything-but pattern: numeric",
        ),
        (
            r#"{"exists":true}"#,
            "Unsupported anything-but pattern: exists",
        ),
        (r#"{"prefix":""}"#, "Null prefix/suffix not allowed"),
        (r#"{"suffix":["a",""]}"#, "Null prefix/suffix not allowed"),
        (
            r#"{"prefix":1}"#,
            "prefix/suffix match pattern must be a string",
        ),
        (
            r#"{"suffix":[null]}"#,
            "prefix/suffix match pattern must be a string",
        ),
        (
            r#"{"prefix":{"equals-ignore-case":"a"}}"#,
            "Value of anything-but must be an array or single string/number value.",
        ),
        (
            r#"{"equals-ignore-case":["a",1]}"#,
            "Inside anything-but/equals-ignore-case list, number|start|null|boolean is not supported.",
        ),
        (
            r#"{"wildcard":1}"#,
            "wildcard match pattern must be a string",
        ),
        (
            r#"{"wildcard":["a**"]}"#,
            "Consecutive wildcard characters at pos 2",
        ),
        (r#"{"prefix":[]}"#, "Empty arrays are not allowed"),
        (
            r#"{"prefix":"a","x":1}"#,
            "Too many elements in numeric expression",
        ),
        ("1e999", "Cannot compare number : 1e999"),
    ] {
        let text = format!(r#"{{"a":[{{"anything-but":{operand}}}]}}"#);
        if operand == "1e999" {
            // The JSON parser has the first word.
            assert!(
                Pattern::parse(&text)
                    .unwrap_err()
                    .to_string()
                    .contains("number out of range")
            );
            continue;
        }
        check(&text, reason);
    }
    check(
        r#"{"a":[{"anything-but":9007199254740993}]}"#,
        "Cannot compare number : 9007199254740993",
    );
}

#[test]
fn numeric_is_one_bound_or_the_lower_then_the_upper() {
    for (terms, reason) in [
        ("[]", "Invalid member in numeric match: ]"),
        ("[1]", "Invalid member in numeric match: 1"),
        (r#"["!=",1]"#, "Unrecognized numeric range operator: !="),
        (r#"["="]"#, "Value of equals must be numeric"),
        (r#"["=","1"]"#, "Value of equals must be numeric"),
        (r#"["<","5"]"#, "Value of < must be numeric"),
        (r#"["<=",null]"#, "Value of <= must be numeric"),
        (r#"[">"]"#, "Value of > must be numeric"),
        (r#"[">=",true]"#, "Value of >= must be numeric"),
        (r#"["=",1,2]"#, "Too many elements in numeric expression"),
        (
            r#"["<",5,">",1]"#,
            "Too many elements in numeric expression",
        ),
        (r#"[">",1,2]"#, "Bad value in numeric range: 2"),
        (r#"[">",1,">",2]"#, "Bad numeric range operator: >"),
        (r#"[">",1,"<"]"#, "Value of < must be numeric"),
        (r#"[">",1,"<","2"]"#, "Value of < must be numeric"),
        (
            r#"[">",1,"<",2,3]"#,
            "Too many terms in numeric range expression",
        ),
        (r#"[">",5,"<",1]"#, "Bottom must be less than top"),
        (r#"[">=",5,"<=",5]"#, "Bottom must be less than top"),
        (
            r#"[">",9007199254740993]"#,
            "Cannot compare number : 9007199254740993",
        ),
    ] {
        check(&format!(r#"{{"a":[{{"numeric":{terms}}}]}}"#), reason);
    }
}

#[test]
fn a_network_has_an_address_and_a_mask() {
    for (network, reason) in [
        ("10.0.0.0", "Malformed CIDR, one '/' required"),
        ("10.0.0.0/", "Malformed CIDR, one '/' required"),
        ("10.0.0.0/8/8", "Malformed CIDR, one '/' required"),
        ("10.0.0.0/x", "Malformed CIDR, mask bits must be an integer"),
        (
            "10.0.0.0/-1",
            "Malformed CIDR, mask bits must not be negative",
        ),
        ("10.0.0.0/32", "IPv4 mask bits must be < 32"),
        ("::1/128", "IPv6 mask bits must be < 128"),
        ("xx.11.xx/8", "Nonstandard IP address: xx.11.xx"),
        (
            "xxxx:db8:1234:1a00::/64",
            "Nonstandard IP address: xxxx:db8:1234:1a00::",
        ),
        ("300.0.0.1/8", "Invalid IP address: 300.0.0.1"),
        ("/8", "Nonstandard IP address: "),
    ] {
        check(&format!(r#"{{"a":[{{"cidr":"{network}"}}]}}"#), reason);
    }
}

#[test]
fn wildcards_are_bounded() {
    for (wildcard, reason) in [
        (
            "arn:aws:events:us-east-1:**",
            "Consecutive wildcard characters at pos 26",
        ),
        (r"a\\x", "Invalid escape character at pos 2"),
        (r"a\\", "Invalid escape character at pos 2"),
        (r"é\\x", "Invalid escape character at pos 3"),
        (
            "*:*:*:*:*:event-bus/*",
            "Rule is too complex - try using fewer wildcard characters or fewer repeating character sequences \
             after a wildcard character",
        ),
    ] {
        check(&format!(r#"{{"a":[{{"wildcard":"{wildcard}"}}]}}"#), reason);
    }
    for wildcard in ["*:*:*:event-bus/*", "*a*b*c*d*", "abcabcabc*", "*aaaaaaaa"] {
        super::pattern(&format!(r#"{{"a":[{{"wildcard":"{wildcard}"}}]}}"#));
    }
}

#[test]
fn an_or_that_is_no_or_is_read_as_a_field() {
    check(r#"{"$or":[]}"#, "Empty arrays are not allowed");
    check(r#"{"$or":[{"a":[1]}]}"#, "Unrecognized match type a");
    check(
        r#"{"$or":[{"prefix":["x"]},{"a":[1]}]}"#,
        "prefix match pattern must be a string",
    );
    check(r#"{"$or":"x"}"#, r#""$or" must be an object or an array"#);
    check(r#"{"$or":[{"a":[1]},2]}"#, "Unrecognized match type a");
    check(
        r#"{"$or":[{"a":[1]},{"b":[{"cidr":"x"}]}]}"#,
        "Malformed CIDR, one '/' required",
    );
}

#[test]
fn an_or_makes_a_thousand_combinations_at_most() {
    let tens = |count: usize| {
        let or: Vec<String> = (0..10)
            .map(|index| format!(r#"{{"f":[{index}]}}"#))
            .collect();
        let level = |index: usize| format!(r#""l{index}":{{"$or":[{}]}}"#, or.join(","));
        let levels: Vec<String> = (0..count).map(level).collect();
        format!("{{{}}}", levels.join(","))
    };
    super::pattern(&tens(3));
    for count in [4, 400] {
        check(
            &tens(count),
            "Rule is too complex - $or makes more than 1000 combinations",
        );
    }
}
