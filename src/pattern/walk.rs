//! One walk over an event's text: every leaf that some pattern asks for, once, in order.

use std::borrow::Cow;

use super::arrays::{ArrayScope, ROOT_SCOPE, Scopes};
use super::operator::LeafValue;
use super::paths::{Paths, ROOT};
use super::scan::{BlockScanner, Malformed, MemberKey, RawText, unescape};

/// Deepest nesting that is followed; serde_json, which checks events at the door, has the same limit.
const DEEPEST: usize = 128;

/// A leaf of the event under a field that patterns ask for.
#[derive(Debug)]
pub(super) struct Leaf<'e> {
    /// Number of the path among [`Paths`].
    pub(super) field: usize,
    /// The array element it belongs to.
    pub(super) scope: ArrayScope,
    pub(super) value: LeafValue<'e>,
}

/// Hands every leaf under one of `paths` to `found`, and says which array elements there were.
///
/// Objects and arrays that lead to no path are passed over. A repeated key counts each time, so there
/// is no point before the end at which all is known.
///
/// # Errors
///
/// [`Malformed`] if the event is no JSON object.
pub(super) fn walk<'e>(
    event: &'e str,
    paths: &Paths,
    found: impl FnMut(Leaf<'e>),
) -> Result<Scopes, Malformed> {
    let mut walker = Walker {
        scanner: BlockScanner::new(event),
        paths,
        scopes: Scopes::new(),
        found,
    };
    if walker.scanner.peek()? != b'{' {
        return Err(Malformed);
    }
    walker.object(ROOT, ROOT_SCOPE, 0)?;
    Ok(walker.scopes)
}

struct Walker<'e, 'p, F> {
    scanner: BlockScanner<'e>,
    paths: &'p Paths,
    scopes: Scopes,
    found: F,
}

impl<'e, F: FnMut(Leaf<'e>)> Walker<'e, '_, F> {
    fn object(&mut self, node: usize, scope: ArrayScope, depth: usize) -> Result<(), Malformed> {
        self.scanner.expect(b'{')?;
        if self.scanner.peek()? == b'}' {
            self.scanner.bump();
            return Ok(());
        }
        loop {
            let key = self.scanner.key()?;
            let next = if key.escaped {
                let raw = std::str::from_utf8(key.raw).map_err(|_| Malformed)?;
                let key = unescape(raw)?;
                self.paths.step(node, MemberKey::new(key.as_bytes()))
            } else {
                self.paths.step(node, key)
            };
            self.scanner.expect(b':')?;
            match next {
                Some(next) => self.value(next, scope, depth + 1)?,
                None => self.scanner.skip()?,
            }
            if !self.scanner.more(b'}')? {
                return Ok(());
            }
        }
    }

    fn value(&mut self, node: usize, scope: ArrayScope, depth: usize) -> Result<(), Malformed> {
        if depth > DEEPEST {
            return Err(Malformed);
        }
        match self.scanner.peek()? {
            b'{' if self.paths.has_children(node) => self.object(node, scope, depth),
            b'{' => self.scanner.skip(),
            b'[' => self.array(node, scope, depth),
            _ => self.leaf(node, scope),
        }
    }

    /// Elements that hold others are scopes: what is met in one cannot be combined with what is met in
    /// its neighbour. Scalars belong to what the array belongs to.
    fn array(&mut self, node: usize, scope: ArrayScope, depth: usize) -> Result<(), Malformed> {
        self.scanner.expect(b'[')?;
        if self.scanner.peek()? == b']' {
            self.scanner.bump();
            return Ok(());
        }
        let array = self.scopes.open_array();
        loop {
            match self.scanner.peek()? {
                b'{' | b'[' => {
                    let element = self.scopes.open(scope, array);
                    self.value(node, element, depth + 1)?;
                    self.scopes.close(element);
                }
                _ => self.leaf(node, scope)?,
            }
            if !self.scanner.more(b']')? {
                self.scopes.close_array(array);
                return Ok(());
            }
        }
    }

    fn leaf(&mut self, node: usize, scope: ArrayScope) -> Result<(), Malformed> {
        let Some(field) = self.paths.field(node) else {
            return self.scanner.skip();
        };
        let value = if self.scanner.peek()? == b'"' {
            let RawText { raw, escaped } = self.scanner.string()?;
            LeafValue::Text(if escaped {
                Cow::Owned(unescape(raw)?)
            } else {
                Cow::Borrowed(raw)
            })
        } else {
            match self.scanner.bare()? {
                "true" => LeafValue::True,
                "false" => LeafValue::False,
                "null" => LeafValue::Null,
                number => LeafValue::Number(number),
            }
        };
        (self.found)(Leaf {
            field,
            scope,
            value,
        });
        Ok(())
    }
}
