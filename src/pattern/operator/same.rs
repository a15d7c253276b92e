//! Whether two texts are the same. Most are a few bytes long, for which the call of a function that
//! compares memory costs more than comparing it.

/// Whether the bytes of two texts are the same.
#[inline]
pub(in crate::pattern) fn same(left: &[u8], right: &[u8]) -> bool {
    if left.len() != right.len() {
        return false;
    }
    // The last eight (or four) may lap over what was compared before.
    let (words, rest) = left.as_chunks::<8>();
    if words.is_empty() {
        return match (left.first_chunk::<4>(), left.last_chunk::<4>()) {
            (Some(first), Some(last)) => {
                right.first_chunk() == Some(first) && right.last_chunk() == Some(last)
            }
            _ => rest.iter().eq(right),
        };
    }
    left.last_chunk::<8>() == right.last_chunk() && words.iter().eq(right.as_chunks::<8>().0)
}

#[cfg(test)]
mod tests {
    use super::same;

    #[test]
    fn one_byte_makes_the_difference_at_any_length() {
        for length in 0..40 {
            let text = vec![b'x'; length];
            assert!(same(&text, &text.clone()));
            assert!(!same(&text, &[text.clone(), vec![b'x']].concat()));
            for place in 0..length {
                let mut other = text.clone();
                other[place] = b'y';
                assert!(!same(&text, &other), "{place} of {length}");
            }
        }
    }
}
