//! Many bytes of a text at once: which of them are one of a few.
//!
//! Written so that the compiler turns it into vector instructions where there are some; none are named.

/// Bytes of a block.
pub(super) const WIDTH: usize = 64;

const QUOTE: u8 = 1;
const BRACKET: u8 = 2;
const BACKSLASH: u8 = 4;

/// The places of three things in a block, bit 0 for its first byte.
#[derive(Debug, Clone, Copy)]
pub(super) struct Marks {
    pub(super) quotes: u64,
    /// Brackets and braces, open and closed.
    pub(super) brackets: u64,
    pub(super) has_backslash: bool,
}

/// Looks at a block.
#[inline]
pub(super) fn marks(block: &[u8; WIDTH]) -> Marks {
    let kinds = block.map(|byte| {
        // `[` and `{`, `]` and `}` differ in one bit.
        let folded = byte | 0x20;
        (u8::from(byte == b'"') * QUOTE)
            | (u8::from(folded == b'{') * BRACKET)
            | (u8::from(folded == b'}') * BRACKET)
            | (u8::from(byte == b'\\') * BACKSLASH)
    });
    let (mut quotes, mut brackets, mut all) = (0, 0, 0);
    for (index, word) in kinds.as_chunks::<8>().0.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        all |= word;
        quotes |= gather(word) << (index * 8);
        brackets |= gather(word >> 1) << (index * 8);
    }
    Marks {
        quotes,
        brackets,
        has_backslash: all & repeat(BACKSLASH) != 0,
    }
}

/// The lowest bits of eight bytes as one byte.
const fn gather(word: u64) -> u64 {
    (word & repeat(1)).wrapping_mul(0x0102_0408_1020_4080) >> 56
}

/// How far the first quote or backslash is; `None` if there is none.
#[inline]
pub(super) fn string_end(bytes: &[u8]) -> Option<usize> {
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let found = ends(*word);
        if found != 0 {
            return Some(index * 8 + (found.trailing_zeros() / 8) as usize);
        }
    }
    // Zeros behind the end are never looked for.
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let found = ends(last);
    (found != 0).then(|| words.len() * 8 + (found.trailing_zeros() / 8) as usize)
}

#[inline]
const fn ends(bytes: [u8; 8]) -> u64 {
    let word = u64::from_le_bytes(bytes);
    zero_bytes(word ^ repeat(b'"')) | zero_bytes(word ^ repeat(b'\\'))
}

const fn repeat(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// The high bit of each byte that is zero. A byte above a zero byte may be marked too; the lowest
/// mark is always right.
#[inline]
const fn zero_bytes(word: u64) -> u64 {
    word.wrapping_sub(repeat(0x01)) & !word & repeat(0x80)
}

#[cfg(test)]
mod tests {
    use super::{WIDTH, marks, string_end};

    #[test]
    fn every_byte_at_every_place_is_told_apart() {
        for byte in 0..=u8::MAX {
            for place in 0..WIDTH {
                let mut block = [b'x'; WIDTH];
                block[place] = byte;
                let found = marks(&block);
                let bit = 1 << place;
                assert_eq!(found.quotes, if byte == b'"' { bit } else { 0 });
                let is_bracket = b"[]{}".contains(&byte);
                assert_eq!(found.brackets, if is_bracket { bit } else { 0 }, "{byte}");
                assert_eq!(found.has_backslash, byte == b'\\');
                let is_end = byte == b'"' || byte == b'\\';
                assert_eq!(string_end(&block[..=place]), is_end.then_some(place));
            }
        }
    }
}
