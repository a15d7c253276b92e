//! `*` for any characters, matched in time linear in the value whatever the pattern.

/// Highest score a wildcard may have. The service accepts 7 and refuses 11; its rule engine
/// recommends 10. Source: `MachineComplexityEvaluator`, event-ruler.
const HIGHEST_SCORE: usize = 10;

/// A valid wildcard.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::pattern) struct Wildcard {
    /// Literal text before the first `*`; all of it, if there is none.
    head: Box<str>,
    /// Literal texts between two `*`, none empty.
    middle: Box<[Box<str>]>,
    /// Literal text behind the last `*`; `None` if there is none.
    tail: Option<Box<str>>,
}

impl Wildcard {
    /// Reads a wildcard: `\*` and `\\` are literal.
    ///
    /// # Errors
    ///
    /// AWS's text, with the position in bytes, counted from 1.
    pub(in crate::pattern) fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = vec![String::new()];
        let mut characters = text.char_indices().peekable();
        while let Some((index, character)) = characters.next() {
            let next = characters.peek().map(|(_, next)| *next);
            match character {
                '*' if next == Some('*') => {
                    let position = index + 1;
                    return Err(format!("Consecutive wildcard characters at pos {position}"));
                }
                '*' => pieces.push(String::new()),
                '\\' => match next {
                    Some(literal @ ('*' | '\\')) => {
                        characters.next();
                        push(&mut pieces, literal);
                    }
                    _ => {
                        return Err(format!("Invalid escape character at pos {}", index + 1));
                    }
                },
                _ => push(&mut pieces, character),
            }
        }
        let mut pieces = pieces.into_iter().map(String::into_boxed_str);
        let head = pieces.next().unwrap_or_default();
        let tail = pieces.next_back();
        Ok(Self {
            head,
            middle: pieces.collect(),
            tail,
        })
    }

    /// Greedy and leftmost is enough: a later place for a piece never helps those behind it. Each
    /// search is linear (std searches with two-way), and none looks at a byte twice.
    pub(in crate::pattern) fn matches(&self, text: &str) -> bool {
        let Some(tail) = &self.tail else {
            return text == &*self.head;
        };
        let Some(rest) = text.strip_prefix(&*self.head) else {
            return false;
        };
        let Some(mut rest) = rest.strip_suffix(&**tail) else {
            return false;
        };
        for piece in &self.middle {
            match rest.find(&**piece) {
                Some(index) => rest = &rest[index + piece.len()..],
                None => return false,
            }
        }
        true
    }

    pub(in crate::pattern) fn head(&self) -> &str {
        &self.head
    }

    pub(in crate::pattern) fn tail(&self) -> Option<&str> {
        self.tail.as_deref()
    }

    /// Whether the service would refuse it.
    pub(in crate::pattern) fn is_too_complex(&self) -> bool {
        self.score() > HIGHEST_SCORE
    }

    /// How many of its prefixes, at worst, one value can be in at once: every `*` passed, and every
    /// place in the pieces behind them that the last characters of the value fit.
    ///
    /// The places are counted in the trie of the pieces, where a node's fallback is its longest
    /// proper suffix that is in the trie too (Aho and Corasick).
    fn score(&self) -> usize {
        let Some(tail) = &self.tail else {
            return 1;
        };
        // The service matches strings with their quotes, so the last piece ends in one.
        let last = format!("{tail}\"");
        let stars = self.middle.len() + 1;
        let pieces = self.middle.iter().map(|piece| &**piece).chain([&*last]);
        let mut trie = vec![WildcardPosition::default()];
        for piece in pieces {
            let mut at = 0;
            for byte in piece.bytes() {
                at = trie[at].child(byte).unwrap_or_else(|| {
                    let child = trie.len();
                    trie[at].children.push((byte, child));
                    trie.push(WildcardPosition::default());
                    child
                });
                trie[at].pieces += 1;
            }
        }
        // Breadth first, so that a fallback is counted before those that fall back to it.
        let mut queue = std::collections::VecDeque::from([0]);
        let mut most = 0;
        while let Some(at) = queue.pop_front() {
            for (byte, child) in trie[at].children.clone() {
                let mut fallback = trie[at].fallback;
                let mut from_root = at == 0;
                trie[child].fallback = loop {
                    if from_root {
                        break 0;
                    }
                    if let Some(place) = trie[fallback].child(byte) {
                        break place;
                    }
                    from_root = fallback == 0;
                    fallback = trie[fallback].fallback;
                };
                trie[child].count = trie[child].pieces + trie[trie[child].fallback].count;
                most = most.max(trie[child].count);
                queue.push_back(child);
            }
        }
        stars + most
    }
}

/// A node of the trie of pieces.
#[derive(Debug, Default)]
struct WildcardPosition {
    children: Vec<(u8, usize)>,
    fallback: usize,
    /// Pieces that pass here.
    pieces: usize,
    /// Those, and the ones that pass the fallbacks.
    count: usize,
}

impl WildcardPosition {
    fn child(&self, byte: u8) -> Option<usize> {
        let found = self.children.iter().find(|(edge, _)| *edge == byte);
        found.map(|(_, child)| *child)
    }
}

fn push(pieces: &mut [String], character: char) {
    if let Some(piece) = pieces.last_mut() {
        piece.push(character);
    }
}
