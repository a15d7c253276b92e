//! What one value meets: operators, numbers, addresses, existence.

use super::matches;

/// `list` under the field `a`, against values of `a`.
#[track_caller]
fn check(list: &str, matching: &[&str], refused: &[&str]) {
    let pattern = format!(r#"{{"a":{list}}}"#);
    for (values, expected) in [(matching, true), (refused, false)] {
        for value in values {
            let event = format!(r#"{{"z":[{{"a":"x"}}],"a":{value}}}"#);
            assert_eq!(matches(&pattern, &event), expected, "{pattern} {event}");
        }
    }
}

#[test]
fn exact_values_are_of_one_type() {
    check(
        r#"["a", 5, true, null]"#,
        &[r#""a""#, "5", "5.0", "0.5e1", "true", "null"],
        &[
            r#""5""#,
            r#""true""#,
            r#""null""#,
            r#""""#,
            "false",
            "50",
            "1",
            r#""A""#,
        ],
    );
    check(r#"["1"]"#, &[r#""1""#], &["1", "true"]);
    check(
        r#"[{"exactly":"10.0.0.1"}]"#,
        &[r#""10.0.0.1""#],
        &[r#""010.0.0.1""#],
    );
}

#[test]
fn escapes_say_what_they_stand_for() {
    check(
        r#"["a\"\\\/\b\f\n\r\té😀"]"#,
        &[
            r#""a\"\\/\b\f\n\r\té😀""#,
            r#""\u0061\u0022\u005c\u002F\u0008\u000c\u000a\u000d\u0009\u00e9\ud83d\ude00""#,
        ],
        &[r#""a""#],
    );
    assert!(matches(
        r#"{"ab":{"c":[1]}}"#,
        r#"{"\u0061b":{"\u0063":1}}"#
    ));
    assert!(matches(r#"{"\u0061b":[1]}"#, r#"{"ab":1}"#));
}

#[test]
fn a_prefix_and_a_suffix_are_of_strings() {
    check(
        r#"[{"prefix":"ab"}]"#,
        &[r#""ab""#, r#""abc""#],
        &[r#""a""#, r#""Abc""#, r#""xab""#, "1", "null"],
    );
    check(
        r#"[{"prefix":""}]"#,
        &[r#""""#, r#""x""#],
        &["1", "null", "true"],
    );
    check(
        r#"[{"suffix":"ïve"}]"#,
        &[r#""ïve""#, r#""naïve""#],
        &[r#""ve""#, r#""naïvE""#, "5"],
    );
    check(
        r#"[{"prefix":{"equals-ignore-case":"Aß"}}]"#,
        &[r#""aß""#, r#""ASSx""#, r#""aSSe""#],
        &[r#""ass""#, r#""xaß""#],
    );
    check(
        r#"[{"suffix":{"equals-ignore-case":"ÉcolE"}}]"#,
        &[r#""école""#, r#""xÉCOLE""#],
        &[r#""ecole""#, r#""écolex""#],
    );
}

#[test]
fn case_is_that_of_the_pattern_s_characters() {
    check(
        r#"[{"equals-ignore-case":"straße"}]"#,
        &[r#""straße""#, r#""STRASSE""#, r#""Straße""#],
        &[r#""strasse""#, r#""STRASS""#, r#""STRASSEN""#],
    );
    check(
        r#"[{"equals-ignore-case":"STRASSE"}]"#,
        &[r#""strasse""#],
        &[r#""straße""#],
    );
    check(
        r#"[{"equals-ignore-case":"\u212a"}]"#,
        &[r#""k""#, "\"\u{212a}\""],
        &[r#""K""#],
    );
    check(
        r#"[{"equals-ignore-case":"😀a"}]"#,
        &[r#""😀A""#],
        &[r#""😀""#],
    );
    // Deseret has case, but beyond U+FFFF.
    check(r#"[{"equals-ignore-case":"𐐀"}]"#, &[r#""𐐀""#], &[r#""𐐨""#]);
}

#[test]
fn a_wildcard_covers_the_whole_value() {
    check(
        r#"[{"wildcard":"a*b*c"}]"#,
        &[r#""abc""#, r#""a b c""#, r#""a\nbbbc""#, r#""abcbc""#],
        &[r#""ab""#, r#""abcd""#, r#""xabc""#, r#""ac""#, "1"],
    );
    check(
        r#"[{"wildcard":"*"}]"#,
        &[r#""""#, r#""x""#],
        &["5", "null"],
    );
    check(
        r#"[{"wildcard":"ab*ba"}]"#,
        &[r#""abba""#, r#""abxba""#],
        &[r#""aba""#],
    );
    check(
        r#"[{"wildcard":"*\\**"}]"#,
        &[r#""*""#, r#""a*b""#],
        &[r#""ab""#],
    );
    check(r#"[{"wildcard":"a\\\\b"}]"#, &[r#""a\\b""#], &[r#""ab""#]);
    check(
        r#"[{"wildcard":"plain"}]"#,
        &[r#""plain""#],
        &[r#""plainer""#, r#""Plain""#],
    );
}

#[test]
fn anything_but_needs_a_value_that_is_not_excluded() {
    check(
        r#"[{"anything-but":["x","y"]}]"#,
        &[r#""z""#, "null", "1", "true", r#"["x","z"]"#],
        &[r#""x""#, r#"["x","y"]"#, "[]", "{}"],
    );
    check(
        r#"[{"anything-but":5}]"#,
        &["6", r#""5""#, "null"],
        &["5", "5.0", "50e-1"],
    );
    check(r#"[{"anything-but":[1,2]}]"#, &["3"], &["1", "2"]);
    check(
        r#"[{"anything-but":{"prefix":"ab"}}]"#,
        &[r#""a""#, "1"],
        &[r#""abc""#],
    );
    check(
        r#"[{"anything-but":{"prefix":["a","b"]}}]"#,
        &[r#""c""#],
        &[r#""a""#, r#""bc""#],
    );
    check(
        r#"[{"anything-but":{"suffix":"z"}}]"#,
        &[r#""za""#],
        &[r#""az""#],
    );
    check(
        r#"[{"anything-but":{"suffix":["y","z"]}}]"#,
        &[r#""za""#],
        &[r#""az""#],
    );
    check(
        r#"[{"anything-but":{"equals-ignore-case":["Ab","C"]}}]"#,
        &[r#""abc""#],
        &[r#""AB""#, r#""c""#],
    );
    check(
        r#"[{"anything-but":{"wildcard":"a*c"}}]"#,
        &[r#""ab""#, "null"],
        &[r#""abc""#, r#""ac""#],
    );
    check(
        r#"[{"anything-but":{"wildcard":["a*","*b"]}}]"#,
        &[r#""bc""#],
        &[r#""ac""#, r#""cb""#],
    );
}

#[test]
fn numbers_compare_by_value() {
    check(
        "[300]",
        &["300", "300.0", "3e2", "3.0E+2", "30000e-2"],
        &["301", r#""300""#],
    );
    check("[0]", &["0", "-0", "-0.0", "0e5", "0.000"], &["1e-9"]);
    check(
        "[0.1]",
        &["0.1", "1e-1", "0.10"],
        &["0.1000000000000000055511151231257827"],
    );
    check(
        "[9007199254740992]",
        &["9007199254740992", "9007199254740992.0"],
        &["9007199254740993"],
    );
    check(
        "[9007199254740993]",
        &["9007199254740993"],
        &["9007199254740992"],
    );
    check(
        "[123456789012345678901234567890]",
        &["123456789012345678901234567890"],
        &["1e29"],
    );
    check("[1e300]", &["1E300", "10e299"], &["1e301"]);
    check("[-1.5]", &["-1.5", "-15e-1"], &["1.5"]);
}

#[test]
fn numeric_ranges_are_of_numbers() {
    check(
        r#"[{"numeric":["=",3.018e2]}]"#,
        &["301.8"],
        &["301", r#""301.8""#],
    );
    check(
        r#"[{"numeric":["<",10]}]"#,
        &["9.999", "-1e300"],
        &["10", "11"],
    );
    check(r#"[{"numeric":["<=",10]}]"#, &["10", "10.0"], &["10.001"]);
    check(
        r#"[{"numeric":[">",5000000000]}]"#,
        &["1e300"],
        &["5e9", "null", "true"],
    );
    check(r#"[{"numeric":[">=",-2]}]"#, &["-2"], &["-2.1"]);
    check(
        r#"[{"numeric":[">",0,"<=",5]}]"#,
        &["5", "0.1", "[9,3]"],
        &["0", "5.1", "[]"],
    );
    check(
        r#"[{"numeric":[">=",0,"<",5]}]"#,
        &["0", "4.9"],
        &["5", "-0.1"],
    );
    // What no double says exactly is in no range.
    check(
        r#"[{"numeric":[">",0]}]"#,
        &["9007199254740992"],
        &["9007199254740993"],
    );
}

#[test]
fn addresses_compare_as_addresses() {
    check(
        r#"[{"cidr":"10.0.0.5/24"}]"#,
        &[
            r#""10.0.0.0""#,
            r#""10.0.0.255""#,
            r#""010.0.0.1""#,
            r#""::ffff:a00:1""#,
        ],
        &[
            r#""10.0.1.0""#,
            r#""10.0.0""#,
            r#""10.0.0.256""#,
            r#""::1""#,
            r#""x""#,
            "10",
        ],
    );
    check(
        r#"[{"cidr":"0.0.0.0/0"}]"#,
        &[r#""255.1.2.3""#],
        &[r#""::""#],
    );
    check(
        r#"[{"cidr":"2001:db8::/33"}]"#,
        &[r#""2001:db8::1""#, r#""2001:DB8:7fff::""#],
        &[r#""2001:db8:8000::""#, r#""10.0.0.1""#],
    );
    check(r#"[{"cidr":"::/0"}]"#, &[r#""1::""#], &[r#""1.2.3.4""#]);
    check(
        r#"["2001:db8::1"]"#,
        &[r#""2001:db8:0:0:0:0:0:1""#, r#""2001:0DB8::1""#],
        &[r#""2001:db8::2""#],
    );
    check(
        r#"["10.0.0.1"]"#,
        &[r#""10.0.0.1""#, r#""010.0.0.1""#],
        &[r#""10.0.0.10""#],
    );
    // What looks like an address and is none is a string like any other.
    check(
        r#"["300.0.0.1"]"#,
        &[r#""300.0.0.1""#],
        &[r#""0300.0.0.1""#],
    );
    check(r#"["a:b"]"#, &[r#""a:b""#], &[r#""A:B""#]);
}

#[test]
fn existence_is_of_leaves() {
    check(
        r#"[{"exists":true}]"#,
        &["null", r#""""#, "0", "[1]", "[[1]]"],
        &["{}", "[]", r#"{"b":1}"#],
    );
    check(
        r#"[{"exists":false}]"#,
        &["{}", "[]", r#"{"b":1}"#, "[{}]"],
        &["null", "0", "[1]"],
    );
    check(r#"["x",{"exists":false}]"#, &["{}", r#""x""#], &[r#""y""#]);
    assert!(matches(r#"{"a":[{"exists":false}]}"#, "{}"));
    assert!(!matches(r#"{"a":[{"exists":true}]}"#, "{}"));
    assert!(matches(r#"{"a":{"b":[{"exists":false}]}}"#, r#"{"a":1}"#));
}
