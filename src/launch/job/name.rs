//! Names: fixed before the first try, the same in every process.

use sha2::{Digest, Sha256};

/// Kubernetes' own alphabet for generated names: no vowels and nothing that looks like one, so no words.
/// Source: `k8s.io/apimachinery/pkg/util/rand`.
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// Letters after the prefix: 27^10, 2 × 10^14 names.
const LETTERS: usize = 10;

/// Characters of a name before its letters: leaves 57 in all, within the 63 of the `job-name` label
/// and of a Pod's name that carries an index.
const PREFIX_LENGTH: usize = 47;

/// Characters of a label value. Source: Kubernetes, `validation.LabelValueMaxLength`.
const LABEL_LENGTH: usize = 63;

/// A name that is taken before its Job exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reserved {
    /// The Job's name: at most 57 characters, a DNS subdomain name.
    pub name: String,
    /// The hash behind it, 64 hexadecimal digits.
    pub occurrence: String,
}

/// What an object's Jobs begin with, and their `generateName`: the object's name and a dash, cut to 47 characters.
///
/// A cut behind a dot would not be valid as `generateName`; the dot becomes a dash.
pub fn prefix(object_name: &str) -> String {
    cut(&format!("{object_name}-"))
}

/// The same from a `generateName` that somebody wrote.
pub fn cut(generate_name: &str) -> String {
    let mut prefix: String = generate_name.chars().take(PREFIX_LENGTH).collect();
    if prefix.ends_with('.') {
        prefix.pop();
        prefix.push('-');
    }
    prefix
}

/// The name of one counted launch. The UID, not the object's name, keeps an object from meeting the
/// Jobs of an earlier object of its name.
pub fn counted(prefix: &str, object_uid: &str, round: u64, ordinal: u32) -> Reserved {
    reserved(
        prefix,
        &[object_uid, &round.to_string(), &ordinal.to_string()],
    )
}

/// The name of the launch that these parts tell from every other.
pub fn reserved(prefix: &str, parts: &[&str]) -> Reserved {
    let hash = hash(parts);
    Reserved {
        name: format!("{prefix}{}", letters(&hash)),
        occurrence: hexadecimal(&hash),
    }
}

/// The hash of a list of parts, 64 hexadecimal digits; no two lists run into each other.
pub fn hash_of(parts: &[&str]) -> String {
    hexadecimal(&hash(parts))
}

/// An object's name as a label value; whoever selects Jobs by label must use it too.
///
/// Names up to 63 characters are themselves. Longer ones, which are valid for objects but not for labels,
/// are cut to 52 characters, a dash and 10 letters of their hash.
pub fn label_value(object_name: &str) -> String {
    if object_name.len() <= LABEL_LENGTH {
        return object_name.to_owned();
    }
    let start: String = object_name
        .chars()
        .take(LABEL_LENGTH - LETTERS - 1)
        .collect();
    format!("{start}-{}", letters(&hash(&[object_name])))
}

/// SHA-256 over the parts, each with its length in front (8 bytes, the highest first), so that no
/// two lists of parts are the same bytes.
fn hash(parts: &[&str]) -> [u8; 32] {
    let mut digest = Sha256::new();
    for part in parts {
        let length = u64::try_from(part.len()).expect("a length fits 64 bits");
        digest.update(length.to_be_bytes());
        digest.update(part);
    }
    digest.finalize().into()
}

/// Ten digits in base 27 of the first 128 bits, the lowest first.
///
/// 2^128 is not a multiple of 27^10, so some names are likelier than others: by less than one part in 2^80.
/// A byte modulo 27 a letter would have been off by a tenth.
fn letters(hash: &[u8; 32]) -> String {
    let (first, _) = hash.split_at(16);
    let mut number = u128::from_be_bytes(first.try_into().expect("16 bytes are 128 bits"));
    let mut letters = String::with_capacity(LETTERS);
    for _ in 0..LETTERS {
        let digit = usize::try_from(number % 27).expect("less than 27");
        letters.push(char::from(ALPHABET[digit]));
        number /= 27;
    }
    letters
}

fn hexadecimal(hash: &[u8; 32]) -> String {
    use std::fmt::Write as _;

    let mut text = String::with_capacity(64);
    for byte in hash {
        write!(text, "{byte:02x}").expect("a String takes all");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_a_promise_and_do_not_change() {
        // Another release must give a round the same names, or it launches it twice.
        let reserved = counted(&prefix("orders"), "0b6a9c3e", 7, 0);
        assert_eq!(reserved.name, "orders-cfgp2qrqpj");
        assert_eq!(
            reserved.occurrence,
            "574d0418da322a523ea0e7df262eaa148e395af5617b061027b2cf54606c4256"
        );
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_ne!(hash(&["ab", "c"]), hash(&["a", "bc"]));
        assert_ne!(hash(&["a", ""]), hash(&["a"]));
    }

    #[test]
    fn a_long_name_is_cut_and_a_dot_at_the_cut_is_a_dash() {
        assert_eq!(prefix("orders"), "orders-");
        assert_eq!(prefix(&"a".repeat(253)), "a".repeat(47));
        let dotted = format!("{}.b", "a".repeat(46));
        assert_eq!(prefix(&dotted), format!("{}-", "a".repeat(46)));
    }

    #[test]
    fn long_names_have_different_label_values() {
        let (one, other) = ("a".repeat(64), "a".repeat(65));
        assert_eq!(label_value(&one).len(), 63);
        assert_ne!(label_value(&one), label_value(&other));
        assert_eq!(label_value(&"a".repeat(63)), "a".repeat(63));
    }

    #[test]
    fn every_letter_of_the_alphabet_comes_equally_often() {
        let mut seen = [0_u32; 256];
        for ordinal in 0..10_000 {
            let name = counted("", "uid", 1, ordinal).name;
            for letter in name.bytes() {
                seen[usize::from(letter)] += 1;
            }
        }
        // 100 000 letters, 3704 of each; 5 standard deviations are 300.
        for letter in ALPHABET {
            let count = seen[usize::from(*letter)];
            assert!((3404..=4004).contains(&count), "{letter}: {count}");
        }
    }
}
