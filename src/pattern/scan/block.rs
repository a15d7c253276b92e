//! Sixty-four bytes of a text at once: where in them JSON's few telling bytes are.
//!
//! Written so that the compiler turns it into vector instructions where there are some; none are named.

/// Bytes of a block.
pub(super) const WIDTH: usize = 64;

/// Places in a block, bit 0 for its first byte.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Marks {
    pub(super) quotes: u64,
    /// Brackets and braces, open and closed.
    pub(super) brackets: u64,
    pub(super) backslashes: u64,
}

/// Looks at a block.
#[inline]
pub(super) fn marks(block: &[u8; WIDTH]) -> Marks {
    let is_bracket = |byte| {
        // `[` and `{`, `]` and `}` differ in one bit.
        let folded = byte | 0x20;
        folded == b'{' || folded == b'}'
    };
    let has_backslash = block
        .iter()
        .fold(0, |found, byte| found | u8::from(*byte == b'\\'))
        != 0;
    Marks {
        quotes: places(block, |byte| byte == b'"'),
        brackets: places(block, is_bracket),
        // Most blocks have none.
        backslashes: if has_backslash {
            places(block, |byte| byte == b'\\')
        } else {
            0
        },
    }
}

/// For the byte in row `r` of eight: bit `r`.
const BIT_OF_ROW: [u8; WIDTH] = {
    let mut bits = [0; WIDTH];
    let mut index = 0;
    while index < WIDTH {
        bits[index] = 1 << (index / 8);
        index += 1;
    }
    bits
};

/// Where the bytes are that `is` says yes to.
///
/// The block is a square of eight rows of eight bytes. Each yes becomes its row's bit, and the rows are
/// laid over each other: a square of bits, turned by one transposition into the order of the bytes.
#[inline]
fn places(block: &[u8; WIDTH], is: impl Fn(u8) -> bool) -> u64 {
    let mut found = [0; WIDTH];
    for ((found, byte), bit) in found.iter_mut().zip(block).zip(&BIT_OF_ROW) {
        *found = if is(*byte) { *bit } else { 0 };
    }
    let two_rows = found.as_chunks::<16>().0.iter();
    let laid = two_rows.fold(0, |laid, rows| laid | u128::from_le_bytes(*rows));
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the half that is cut off stands beside it"
    )]
    transposed((laid | laid >> 64) as u64)
}

/// A square of eight by eight bits, mirrored at its diagonal: by single bits, then by squares of two,
/// then of four. Source: Warren, Hacker's Delight, 7-3.
#[inline]
const fn transposed(mut square: u64) -> u64 {
    let swap = (square ^ (square >> 7)) & 0x00AA_00AA_00AA_00AA;
    square ^= swap ^ (swap << 7);
    let swap = (square ^ (square >> 14)) & 0x0000_CCCC_0000_CCCC;
    square ^= swap ^ (swap << 14);
    let swap = (square ^ (square >> 28)) & 0x0000_0000_F0F0_F0F0;
    square ^ swap ^ (swap << 28)
}

#[cfg(test)]
mod tests {
    use super::{WIDTH, marks};

    #[test]
    fn every_byte_at_every_place_is_told_apart() {
        for byte in 0..=u8::MAX {
            for place in 0..WIDTH {
                let mut block = [b'x'; WIDTH];
                block[place] = byte;
                let found = marks(&block);
                let bit = 1 << place;
                let expected = |is: bool| if is { bit } else { 0 };
                assert_eq!(found.quotes, expected(byte == b'"'), "{byte}");
                assert_eq!(found.brackets, expected(b"[]{}".contains(&byte)), "{byte}");
                assert_eq!(found.backslashes, expected(byte == b'\\'), "{byte}");
            }
        }
    }
}
