//! JSON's tokens in a text: where a string ends, what its escapes say, how far a value reaches.
//!
//! Nothing here builds a tree, recurses or allocates (an escaped string does). Wrong JSON gives
//! [`Malformed`], never a panic; not all wrong JSON is noticed, what nobody asks for is only skipped.

mod block;

use block::{Marks, WIDTH};

/// The text is not JSON, or nested deeper than anybody writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// A string as it stands in the text: between its quotes, escapes untouched.
#[derive(Debug, Clone, Copy)]
pub(super) struct RawText<'t> {
    pub(super) raw: &'t str,
    pub(super) escaped: bool,
}

/// A key of an object as it stands in the text.
#[derive(Debug, Clone, Copy)]
pub(super) struct MemberKey<'t> {
    pub(super) raw: &'t [u8],
    /// See [`head_of`].
    pub(super) head: u64,
    pub(super) escaped: bool,
}

impl<'t> MemberKey<'t> {
    pub(super) fn new(text: &'t [u8]) -> Self {
        Self {
            raw: text,
            head: head_of(text),
            escaped: false,
        }
    }
}

/// Up to eight bytes that a text starts with, as one number to be compared, zeros behind.
#[inline]
pub(super) fn head_of(text: &[u8]) -> u64 {
    if let Some(head) = text.first_chunk() {
        return u64::from_le_bytes(*head);
    }
    let mut head = [0; 8];
    head[..text.len()].copy_from_slice(text);
    u64::from_le_bytes(head)
}

/// A place in a JSON text, and what is known of the block around it.
#[derive(Debug, Clone)]
pub(super) struct BlockScanner<'t> {
    text: &'t str,
    at: usize,
    /// The first byte that no block has held yet: blocks come one after the other, as they are needed.
    ahead: usize,
    /// Of the last block, whose escaped quotes and whose brackets in strings are left out.
    marks: Marks,
    /// All ones if the next block begins inside a string.
    in_string: u64,
    /// One if an escape reaches into the next block.
    escape: u64,
}

impl<'t> BlockScanner<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self {
            text,
            at: 0,
            ahead: 0,
            marks: Marks::default(),
            in_string: 0,
            escape: 0,
        }
    }

    /// The next byte that is no white space; it is not consumed.
    #[inline]
    pub(super) fn peek(&mut self) -> Result<u8, Malformed> {
        match self.text.as_bytes().get(self.at) {
            Some(&byte) if byte > b' ' => Ok(byte),
            _ => self.peek_over_space(),
        }
    }

    #[inline(never)]
    fn peek_over_space(&mut self) -> Result<u8, Malformed> {
        let rest = self.text.as_bytes().get(self.at..).ok_or(Malformed)?;
        let is_space = |byte: &u8| matches!(byte, b' ' | b'\n' | b'\r' | b'\t');
        let spaces = rest.iter().take_while(|byte| is_space(byte)).count();
        self.at += spaces;
        rest.get(spaces).copied().ok_or(Malformed)
    }

    /// Consumes the byte that [`BlockScanner::peek`] showed.
    #[inline]
    pub(super) fn bump(&mut self) {
        self.at += 1;
    }

    /// Consumes `byte`, which must come next.
    #[inline]
    pub(super) fn expect(&mut self, byte: u8) -> Result<(), Malformed> {
        if self.peek()? != byte {
            return Err(Malformed);
        }
        self.at += 1;
        Ok(())
    }

    /// Consumes a comma (true) or the closing `end` (false).
    #[inline]
    pub(super) fn more(&mut self, end: u8) -> Result<bool, Malformed> {
        let byte = self.peek()?;
        self.at += 1;
        match byte {
            b',' => Ok(true),
            _ if byte == end => Ok(false),
            _ => Err(Malformed),
        }
    }

    /// Consumes a string, whose opening quote comes next.
    #[inline]
    pub(super) fn string(&mut self) -> Result<RawText<'t>, Malformed> {
        let (start, may_be_escaped) = self.pass_string()?;
        let raw = self.text.get(start..self.at - 1).ok_or(Malformed)?;
        let escaped = may_be_escaped && raw.contains('\\');
        Ok(RawText { raw, escaped })
    }

    /// Consumes a string like [`BlockScanner::string`], as a key to be looked up.
    #[expect(
        clippy::inline_always,
        reason = "a key returned through memory stalls who reads it"
    )]
    #[inline(always)]
    pub(super) fn key(&mut self) -> Result<MemberKey<'t>, Malformed> {
        let (start, may_be_escaped) = self.pass_string()?;
        let bytes = self.text.as_bytes();
        let raw = bytes.get(start..self.at - 1).ok_or(Malformed)?;
        let escaped = may_be_escaped && raw.contains(&b'\\');
        let head = match bytes.get(start..start + 8) {
            // What follows the key is cut off.
            Some(head) if raw.len() < 8 => head_of(head) & !(u64::MAX << (raw.len() * 8)),
            _ => head_of(raw),
        };
        Ok(MemberKey { raw, head, escaped })
    }

    /// Consumes a number, `true`, `false` or `null`.
    #[inline]
    pub(super) fn bare(&mut self) -> Result<&'t str, Malformed> {
        let bytes = self.text.as_bytes();
        let start = self.at;
        while let Some(b'0'..=b'9' | b'a'..=b'z' | b'E' | b'+' | b'-' | b'.') = bytes.get(self.at) {
            self.at += 1;
        }
        if start == self.at {
            return Err(Malformed);
        }
        self.text.get(start..self.at).ok_or(Malformed)
    }

    /// Consumes a value without looking into it.
    #[inline]
    pub(super) fn skip(&mut self) -> Result<(), Malformed> {
        match self.peek()? {
            b'"' => self.pass_string().map(|_| ()),
            b'{' | b'[' => self.skip_nested(),
            _ => self.bare().map(|_| ()),
        }
    }

    /// Counts brackets instead of recursing: any depth is skipped in one loop.
    fn skip_nested(&mut self) -> Result<(), Malformed> {
        let bytes = self.text.as_bytes();
        self.at += 1;
        self.reach()?;
        let mut brackets = self.marks.brackets & from(self.at);
        let mut depth = 1_usize;
        loop {
            while brackets != 0 {
                let place = self.ahead - WIDTH + brackets.trailing_zeros() as usize;
                brackets &= brackets - 1;
                if matches!(bytes[place], b'{' | b'[') {
                    depth += 1;
                } else {
                    depth -= 1;
                    if depth == 0 {
                        self.at = place + 1;
                        return Ok(());
                    }
                }
            }
            self.next_block()?;
            brackets = self.marks.brackets;
        }
    }

    /// Consumes a string, whose opening quote comes next: where its content starts, and false if
    /// there is no escape in it for certain.
    #[expect(clippy::inline_always, reason = "the same, several times in a key")]
    #[inline(always)]
    fn pass_string(&mut self) -> Result<(usize, bool), Malformed> {
        self.expect(b'"')?;
        let start = self.at;
        self.reach()?;
        let mut quotes = self.marks.quotes & from(self.at);
        let mut backslashes = self.marks.backslashes;
        while quotes == 0 {
            self.next_block()?;
            quotes = self.marks.quotes;
            backslashes |= self.marks.backslashes;
        }
        self.at = self.ahead - WIDTH + quotes.trailing_zeros() as usize + 1;
        Ok((start, backslashes != 0))
    }

    /// Makes sure that the block around the current place is known.
    #[inline]
    fn reach(&mut self) -> Result<(), Malformed> {
        while self.at >= self.ahead {
            self.next_block()?;
        }
        Ok(())
    }

    #[inline(never)]
    fn next_block(&mut self) -> Result<(), Malformed> {
        let rest = self.text.as_bytes().get(self.ahead..);
        let rest = rest.filter(|rest| !rest.is_empty()).ok_or(Malformed)?;
        let last;
        let block = if let Some(block) = rest.first_chunk() {
            block
        } else {
            last = padded(rest);
            &last
        };
        let mut marks = block::marks(block);
        if marks.backslashes | self.escape != 0 {
            marks.quotes &= !self.escaped(marks.backslashes);
        }
        // Each bit becomes the parity of the quotes up to it: what lies in strings.
        let mut inside = marks.quotes;
        for shift in [1, 2, 4, 8, 16, 32] {
            inside ^= inside << shift;
        }
        inside ^= self.in_string;
        marks.brackets &= !inside;
        self.in_string = if inside >> 63 == 0 { 0 } else { u64::MAX };
        self.marks = marks;
        self.ahead += WIDTH;
        Ok(())
    }

    /// The bytes behind a backslash that is not itself escaped.
    #[cold]
    fn escaped(&mut self, backslashes: u64) -> u64 {
        let mut escaped = self.escape;
        let mut rest = backslashes & !escaped;
        self.escape = 0;
        while rest != 0 {
            let bit = rest & rest.wrapping_neg();
            escaped |= bit << 1;
            self.escape = bit >> 63;
            rest &= !(bit | bit << 1);
        }
        escaped
    }
}

/// The bits of a block from a place of the text on.
#[inline]
const fn from(place: usize) -> u64 {
    u64::MAX << (place % WIDTH)
}

/// The last bytes of a text, with zeros behind, which are never looked for.
#[cold]
fn padded(rest: &[u8]) -> [u8; WIDTH] {
    let mut block = [0; WIDTH];
    let length = rest.len().min(WIDTH);
    block[..length].copy_from_slice(&rest[..length]);
    block
}

/// What a string's escapes stand for. A lone surrogate becomes U+FFFD.
pub(super) fn unescape(raw: &str) -> Result<String, Malformed> {
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(index) = rest.find('\\') {
        text.push_str(&rest[..index]);
        let mut escape = rest[index + 1..].chars();
        let name = escape.next().ok_or(Malformed)?;
        rest = escape.as_str();
        text.push(match name {
            '"' | '\\' | '/' => name,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let unit = hex_unit(rest).ok_or(Malformed)?;
                rest = &rest[4..];
                let low = rest.strip_prefix("\\u").and_then(hex_unit);
                let pair = char::decode_utf16([unit].into_iter().chain(low)).next();
                match pair {
                    Some(Ok(character)) => {
                        if u32::from(character) > 0xFFFF {
                            rest = &rest[6..];
                        }
                        character
                    }
                    _ => char::REPLACEMENT_CHARACTER,
                }
            }
            _ => return Err(Malformed),
        });
    }
    text.push_str(rest);
    Ok(text)
}

fn hex_unit(text: &str) -> Option<u16> {
    let digits = text.get(..4)?;
    let hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    hex.then(|| u16::from_str_radix(digits, 16).ok()).flatten()
}
