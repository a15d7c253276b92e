//! JSON's tokens in a text: where a string ends, what its escapes say, how far a value reaches.
//!
//! Nothing here builds a tree, recurses or allocates (an escaped string does). Wrong JSON gives
//! [`Malformed`], never a panic; not all wrong JSON is noticed, what nobody asks for is only skipped.

mod block;

/// The text is not JSON, or nested deeper than anybody writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// A string as it stands in the text: between its quotes, escapes untouched.
#[derive(Debug, Clone, Copy)]
pub(super) struct RawText<'t> {
    pub(super) raw: &'t str,
    pub(super) escaped: bool,
}

/// A place in a JSON text.
#[derive(Debug, Clone)]
pub(super) struct Scanner<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Scanner<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, at: 0 }
    }

    /// The next byte that is no white space; it is not consumed.
    #[inline]
    pub(super) fn peek(&mut self) -> Result<u8, Malformed> {
        let bytes = self.text.as_bytes();
        loop {
            match bytes.get(self.at) {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                Some(&byte) => return Ok(byte),
                None => return Err(Malformed),
            }
        }
    }

    /// Consumes the byte that [`Scanner::peek`] showed.
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
        self.expect(b'"')?;
        let start = self.at;
        let escaped = self.pass_string()?;
        let raw = self.text.get(start..self.at - 1).ok_or(Malformed)?;
        Ok(RawText { raw, escaped })
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
            b'"' => {
                self.at += 1;
                self.pass_string().map(|_| ())
            }
            b'{' | b'[' => self.skip_nested(),
            _ => self.bare().map(|_| ()),
        }
    }

    /// Counts brackets instead of recursing, sixty-four bytes at a time: any depth is skipped in one loop.
    fn skip_nested(&mut self) -> Result<(), Malformed> {
        let bytes = self.text.as_bytes();
        let mut depth = 0_usize;
        // All ones while a block begins inside a string.
        let mut in_string = 0_u64;
        loop {
            let rest = bytes
                .get(self.at..)
                .filter(|rest| !rest.is_empty())
                .ok_or(Malformed)?;
            let marks = match rest.first_chunk() {
                Some(block) => block::marks(block),
                None => block::marks(&padded(rest)),
            };
            if marks.has_backslash {
                // An escape may reach over the block's end: this one goes byte by byte.
                if self.skip_slowly(&mut depth, &mut in_string)? {
                    return Ok(());
                }
                continue;
            }
            // Each bit becomes the parity of the quotes up to it: what lies in strings.
            let mut inside = marks.quotes;
            for shift in [1, 2, 4, 8, 16, 32] {
                inside ^= inside << shift;
            }
            inside ^= in_string;
            let mut brackets = marks.brackets & !inside;
            while brackets != 0 {
                let place = brackets.trailing_zeros() as usize;
                brackets &= brackets - 1;
                if matches!(rest[place], b'{' | b'[') {
                    depth += 1;
                } else {
                    depth -= 1;
                    if depth == 0 {
                        self.at += place + 1;
                        return Ok(());
                    }
                }
            }
            in_string = if inside >> 63 == 0 { 0 } else { u64::MAX };
            self.at += block::WIDTH;
        }
    }

    /// The same for at least one block, until behind an escape; true at the value's end.
    #[cold]
    fn skip_slowly(&mut self, depth: &mut usize, in_string: &mut u64) -> Result<bool, Malformed> {
        let bytes = self.text.as_bytes();
        let stop = self.at + block::WIDTH;
        while self.at < stop {
            let byte = *bytes.get(self.at).ok_or(Malformed)?;
            self.at += 1;
            match byte {
                b'"' => *in_string = !*in_string,
                b'\\' if *in_string != 0 => self.at += 1,
                b'{' | b'[' if *in_string == 0 => *depth += 1,
                b'}' | b']' if *in_string == 0 => {
                    *depth -= 1;
                    if *depth == 0 {
                        return Ok(true);
                    }
                }
                _ => {}
            }
        }
        Ok(false)
    }

    /// Consumes up to and with the closing quote; true if there were escapes.
    #[inline]
    fn pass_string(&mut self) -> Result<bool, Malformed> {
        let bytes = self.text.as_bytes();
        let mut escaped = false;
        loop {
            let rest = bytes.get(self.at..).ok_or(Malformed)?;
            self.at += block::string_end(rest).ok_or(Malformed)?;
            if bytes[self.at] == b'"' {
                self.at += 1;
                return Ok(escaped);
            }
            escaped = true;
            self.at += 2;
        }
    }
}

/// The last bytes of a text, with zeros behind, which are never looked for.
#[cold]
fn padded(rest: &[u8]) -> [u8; block::WIDTH] {
    let mut block = [0; block::WIDTH];
    let length = rest.len().min(block::WIDTH);
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
