//! From a pattern's tree to what is matched: conditions, and branches that each need some of them.
//!
//! A pattern without `$or` is one branch. Every `$or` multiplies the branches made so far by its own,
//! as the service does, which also settles what a repeated field means: the last one wins, in each
//! branch.

mod expression;

use std::collections::{BTreeMap, HashMap};

use super::document::EventNode;
use super::operator::address::address;
use super::operator::number::Number;
use super::operator::{FieldCondition, LeafValue, Operator};

/// Combinations of `$or` branches in one pattern. Source: EventBridge quotas.
const MOST_BRANCHES: usize = 1000;
/// Conditions in all branches together: what a pattern may cost however it is written.
const MOST_PLACES: usize = 200_000;
const OR: &str = "$or";

/// Names that mark an `$or` whose objects are not branches but operators.
/// Source: `RESERVED_FIELD_NAMES_IN_OR_RELATIONSHIP`, event-ruler.
const RESERVED: [&str; 24] = [
    "exactly",
    "equals-ignore-case",
    "prefix",
    "suffix",
    "anything-but",
    "exists",
    "wildcard",
    "numeric",
    "cidr",
    "=",
    "<",
    "<=",
    ">",
    ">=",
    "regex",
    "not-wildcard",
    "not-equals-ignore-case",
    "date-after",
    "date-on-or-after",
    "date-before",
    "date-on-or-before",
    "in-date-range",
    "ip-address-in-range",
    "ip-address-not-in-range",
];

/// A pattern taken apart.
#[derive(Debug, PartialEq)]
pub(super) struct Parsed {
    pub(super) conditions: Vec<FieldCondition>,
    /// Indices of conditions, in the order the pattern names the fields; any branch may match.
    pub(super) branches: Vec<Vec<usize>>,
    /// Path of the first `$or`.
    pub(super) first_or: Option<Box<str>>,
}

/// Why it is none.
pub(super) enum InvalidPattern {
    /// Said where `$or` is an operator; where it is a field, the pattern may still be valid.
    UnlessField(String),
    Always(String),
}

/// Takes a pattern apart.
///
/// `$or` is read as the operator first, and where that does not work as a field of that name: a
/// pattern older than the operator keeps its meaning. The errors are then those of the second reading.
pub(super) fn parse(pattern: &EventNode) -> Result<Parsed, String> {
    let EventNode::Object(members) = pattern else {
        return Err("Filter is not an object".to_owned());
    };
    match Parser::run(members, true) {
        Ok(parsed) => Ok(parsed),
        Err(InvalidPattern::Always(reason)) => Err(reason),
        Err(InvalidPattern::UnlessField(_)) => {
            Parser::run(members, false).map_err(|refused| match refused {
                InvalidPattern::Always(reason) | InvalidPattern::UnlessField(reason) => reason,
            })
        }
    }
}

/// The conditions of one branch, by the place of their path among all paths.
type PathConditions = BTreeMap<usize, usize>;

struct Parser {
    or_is_operator: bool,
    paths: HashMap<String, usize>,
    conditions: Vec<FieldCondition>,
    first_or: Option<Box<str>>,
}

impl Parser {
    fn run(
        members: &[(String, EventNode)],
        or_is_operator: bool,
    ) -> Result<Parsed, InvalidPattern> {
        let mut parser = Self {
            or_is_operator,
            paths: HashMap::new(),
            conditions: Vec::new(),
            first_or: None,
        };
        let mut branches = vec![PathConditions::new()];
        parser.object(&mut branches, None, members, false)?;
        let branches = branches.into_iter().map(BTreeMap::into_values);
        Ok(Parsed {
            conditions: parser.conditions,
            branches: branches.map(Iterator::collect).collect(),
            first_or: parser.first_or,
        })
    }

    fn object(
        &mut self,
        branches: &mut Vec<PathConditions>,
        prefix: Option<&str>,
        members: &[(String, EventNode)],
        in_or: bool,
    ) -> Result<(), InvalidPattern> {
        if members.is_empty() {
            return refuse("Empty objects are not allowed");
        }
        for (key, value) in members {
            if key == OR && self.or_is_operator {
                self.or(branches, prefix, value)?;
                continue;
            }
            if in_or && RESERVED.contains(&key.as_str()) {
                return refuse(format!(
                    "{key} is Ruler reserved fieldName which cannot be used inside $or."
                ));
            }
            let path = join(prefix, key);
            match value {
                EventNode::Object(members) => self.object(branches, Some(&path), members, in_or)?,
                EventNode::Array(items) => self.field(branches, path, items, value)?,
                _ => return refuse(format!("\"{key}\" must be an object or an array")),
            }
        }
        Ok(())
    }

    fn or(
        &mut self,
        branches: &mut Vec<PathConditions>,
        prefix: Option<&str>,
        value: &EventNode,
    ) -> Result<(), InvalidPattern> {
        let EventNode::Array(alternatives) = value else {
            return refuse("It must be an Array followed with $or.");
        };
        self.first_or
            .get_or_insert_with(|| join(prefix, OR).into_boxed_str());
        let before = std::mem::take(branches);
        for alternative in alternatives {
            let EventNode::Object(members) = alternative else {
                return refuse("Only JSON object is allowed in array of $or relationship.");
            };
            let mut forked = before.clone();
            self.object(&mut forked, prefix, members, true)?;
            branches.append(&mut forked);
            bounded(branches)?;
        }
        if alternatives.len() < 2 {
            return refuse("There must have at least 2 Objects in $or relationship.");
        }
        Ok(())
    }

    fn field(
        &mut self,
        branches: &mut [PathConditions],
        path: String,
        items: &[EventNode],
        written: &EventNode,
    ) -> Result<(), InvalidPattern> {
        let mut any = Vec::with_capacity(items.len());
        let mut or_absent = false;
        for item in items {
            match item {
                EventNode::Object(members) => match expression::parse(members)? {
                    Some(operator) => any.push(operator),
                    None => or_absent = true,
                },
                EventNode::Text(text) => any.push(match address(text) {
                    Some(address) => Operator::EqualsAddress(address),
                    None => Operator::Equals(text.as_str().into()),
                }),
                EventNode::Number(text) => any.push(Operator::EqualsNumber(Number::new(text))),
                EventNode::Bool(true) => any.push(Operator::EqualsLiteral(LeafValue::True)),
                EventNode::Bool(false) => any.push(Operator::EqualsLiteral(LeafValue::False)),
                EventNode::Null => any.push(Operator::EqualsLiteral(LeafValue::Null)),
                EventNode::Array(_) => {
                    return refuse("Match value must be String, number, true, false, or null");
                }
            }
        }
        if items.is_empty() {
            return refuse("Empty arrays are not allowed");
        }
        let condition = self.conditions.len();
        self.conditions.push(FieldCondition {
            path: path.as_str().into(),
            written: written.to_string().into(),
            any: any.into(),
            or_absent,
        });
        let next = self.paths.len();
        let place = *self.paths.entry(path).or_insert(next);
        for branch in branches.iter_mut() {
            branch.insert(place, condition);
        }
        bounded(branches)
    }
}

fn bounded(branches: &[PathConditions]) -> Result<(), InvalidPattern> {
    let places = branches.iter().map(BTreeMap::len).sum::<usize>();
    if branches.len() > MOST_BRANCHES || places > MOST_PLACES {
        return Err(InvalidPattern::Always(format!(
            "Rule is too complex - $or makes more than {MOST_BRANCHES} combinations"
        )));
    }
    Ok(())
}

fn join(prefix: Option<&str>, key: &str) -> String {
    prefix.map_or_else(|| key.to_owned(), |prefix| format!("{prefix}.{key}"))
}

fn refuse<T>(reason: impl Into<String>) -> Result<T, InvalidPattern> {
    Err(InvalidPattern::UnlessField(reason.into()))
}
