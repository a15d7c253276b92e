//! Texts with holes: `v0:{timestamp}:{body}`. A brace that is meant is written twice.

/// A piece of a text with holes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// Text as it is, with twice-written braces made one.
    Text(String),
    /// What stands between two braces.
    Hole(&'a str),
}

/// Takes a text apart. No two texts stand side by side, and none is empty.
///
/// # Errors
///
/// A brace that is neither closed nor written twice.
pub(super) fn pieces(text: &str) -> Result<Vec<Piece<'_>>, String> {
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        plain.push_str(&rest[..at]);
        let brace = &rest[at..=at];
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix(brace) {
            plain.push_str(brace);
            rest = after;
        } else if brace == "}" {
            return Err("has a } that closes nothing; one that is meant is written }}".to_owned());
        } else {
            let Some((hole, after)) = rest.split_once('}') else {
                return Err(
                    "has a { that is not closed; one that is meant is written {{".to_owned(),
                );
            };
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
            }
            pieces.push(Piece::Hole(hole));
            rest = after;
        }
    }
    plain.push_str(rest);
    if !plain.is_empty() {
        pieces.push(Piece::Text(plain));
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_make_holes_and_two_make_one() {
        let text = |text: &str| Piece::Text(text.to_owned());
        for (written, expected) in [
            ("", vec![]),
            ("a", vec![text("a")]),
            ("{a}", vec![Piece::Hole("a")]),
            ("{a}{b}", vec![Piece::Hole("a"), Piece::Hole("b")]),
            (
                "v0:{a}:é{b}",
                vec![text("v0:"), Piece::Hole("a"), text(":é"), Piece::Hole("b")],
            ),
            ("{{a}}", vec![text("{a}")]),
            ("{{{a}}}", vec![text("{"), Piece::Hole("a"), text("}")]),
            ("{}", vec![Piece::Hole("")]),
        ] {
            assert_eq!(pieces(written), Ok(expected), "{written}");
        }
        for written in ["{", "a{b", "}", "a}b", "{a}}", "{{a}"] {
            assert!(pieces(written).is_err(), "{written}");
        }
    }
}
