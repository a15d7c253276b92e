//! Array consistency: fields below one array must be met by the same element of it.
//!
//! Elements that are objects or arrays form a tree of *scopes*, numbered as they are walked, so what is
//! below an element is one range of numbers. Two leaves can be combined unless their scopes lie in
//! different elements of one array.

use std::collections::{BTreeSet, HashSet};

use super::operator::FieldCondition;

/// An element of an array, or the event itself.
pub(super) type ArrayScope = u32;
pub(super) const ROOT_SCOPE: ArrayScope = 0;

/// Steps after which a branch counts as not met. Only an event that repeats the keys of arrays, so that
/// several arrays have one path, can need more than a few for each of its elements: without a bound,
/// such an event could ask for an exponential search.
const MOST_STEPS: usize = 1 << 20;

/// The elements of an event's arrays.
#[derive(Debug)]
pub(super) struct Scopes {
    elements: Vec<Element>,
    /// For each array, the first number behind its last element.
    array_ends: Vec<ArrayScope>,
}

#[derive(Debug, Clone, Copy)]
struct Element {
    parent: ArrayScope,
    array: u32,
    /// The first number behind what is below it.
    end: ArrayScope,
}

impl Scopes {
    pub(super) fn new() -> Self {
        Self {
            elements: Vec::new(),
            array_ends: Vec::new(),
        }
    }

    pub(super) fn open_array(&mut self) -> u32 {
        self.array_ends.push(ArrayScope::MAX);
        index(self.array_ends.len() - 1)
    }

    pub(super) fn close_array(&mut self, array: u32) {
        self.array_ends[array as usize] = self.next();
    }

    pub(super) fn open(&mut self, parent: ArrayScope, array: u32) -> ArrayScope {
        let scope = self.next();
        let end = ArrayScope::MAX;
        self.elements.push(Element { parent, array, end });
        scope
    }

    pub(super) fn close(&mut self, scope: ArrayScope) {
        let end = self.next();
        self.elements[scope as usize - 1].end = end;
    }

    /// Whether no array of the event has elements that could be told apart.
    pub(super) fn is_flat(&self) -> bool {
        self.elements.is_empty()
    }

    /// The event itself is 0 and not in the list.
    fn next(&self) -> ArrayScope {
        index(self.elements.len()) + 1
    }

    fn element(&self, scope: ArrayScope) -> Option<Element> {
        self.elements.get((scope as usize).checked_sub(1)?).copied()
    }

    fn is_below(&self, scope: ArrayScope, above: ArrayScope) -> bool {
        above <= scope
            && self
                .element(above)
                .is_none_or(|element| scope < element.end)
    }

    /// If the two lie in different elements of one array: the first scope above `other` that need be
    /// tried against `fixed` instead.
    fn conflict(&self, fixed: ArrayScope, other: ArrayScope) -> Option<ArrayScope> {
        if self.is_below(fixed, other) || self.is_below(other, fixed) {
            return None;
        }
        let fixed = self.child_apart(fixed, other);
        let other = self.child_apart(other, fixed.0);
        if fixed.1.array != other.1.array {
            return None;
        }
        Some(if other.0 < fixed.0 {
            fixed.0
        } else {
            self.array_ends[fixed.1.array as usize]
        })
    }

    /// The highest scope above (or at) `scope` that is not also above `other`. Neither is above the other.
    fn child_apart(&self, mut scope: ArrayScope, other: ArrayScope) -> (ArrayScope, Element) {
        loop {
            let element = self
                .element(scope)
                .expect("the event itself is above every scope");
            if self.is_below(other, element.parent) {
                return (scope, element);
            }
            scope = element.parent;
        }
    }
}

fn index(length: usize) -> u32 {
    u32::try_from(length).expect("an event is shorter than 4 GiB")
}

/// What an event has for one condition of a branch.
#[derive(Debug, Clone, Default)]
pub(super) struct Evidence {
    /// Scopes of the leaves that meet it.
    pub(super) met: Vec<ArrayScope>,
    /// Whether there is any leaf under its path.
    pub(super) is_present: bool,
    /// For a condition that absence meets too: scopes of all leaves under its path.
    pub(super) present: Option<Vec<ArrayScope>>,
}

impl Evidence {
    /// Nothing yet.
    pub(super) fn of(condition: &FieldCondition) -> Self {
        Self {
            present: condition.or_absent.then(Vec::new),
            ..Self::default()
        }
    }

    /// Counts one leaf under the condition's path.
    pub(super) fn add(&mut self, scope: ArrayScope, is_met: bool) {
        self.is_present = true;
        self.present
            .iter_mut()
            .for_each(|present| present.push(scope));
        if is_met {
            self.met.push(scope);
        }
    }

    /// Whether the condition, looked at alone, can be met.
    pub(super) fn is_possible(&self, scopes: &Scopes) -> bool {
        let may_be_absent = self.present.is_some() && !(self.is_present && scopes.is_flat());
        !self.met.is_empty() || may_be_absent
    }

    fn sort(&mut self) {
        for scopes in std::iter::once(&mut self.met).chain(&mut self.present) {
            scopes.sort_unstable();
            scopes.dedup();
        }
    }
}

/// Whether one choice of leaves meets all conditions, which come in the order of their paths.
///
/// Absence is judged beside the elements chosen for the paths before it, as the service does: `x.b` is
/// absent next to `x.a` if the element that met `x.a` has no `b`.
pub(super) fn consistent(scopes: &Scopes, conditions: &mut [Evidence]) -> bool {
    let mut steps = 0;
    // What a state has chosen: scopes that can be combined, none above another.
    let mut states = HashSet::from([Vec::new()]);
    conditions.iter_mut().for_each(Evidence::sort);
    for index in 0..conditions.len() {
        let condition = &conditions[index];
        let later = arrays_of(scopes, &conditions[index + 1..]);
        let mut next = HashSet::new();
        for state in &states {
            steps += 1;
            let absent = condition.present.as_ref().is_some_and(|present| {
                let mut present = Candidates::new(scopes, present, state);
                present.next(&mut steps).is_none()
            });
            if absent {
                next.insert(project(scopes, state.iter().copied(), &later));
            }
            let mut met = Candidates::new(scopes, &condition.met, state);
            while let Some(scope) = met.next(&mut steps) {
                let chosen = state.iter().copied().chain([scope]);
                next.insert(project(scopes, chosen, &later));
            }
            if steps > MOST_STEPS {
                return false;
            }
        }
        states = next;
    }
    !states.is_empty()
}

/// The arrays that the conditions have anything to do with.
fn arrays_of(scopes: &Scopes, conditions: &[Evidence]) -> BTreeSet<u32> {
    let mut arrays = BTreeSet::new();
    let mut seen = HashSet::new();
    for condition in conditions {
        for scope in condition
            .met
            .iter()
            .chain(condition.present.iter().flatten())
        {
            let mut at = *scope;
            while let Some(element) = scopes.element(at) {
                if !seen.insert(at) {
                    break;
                }
                arrays.insert(element.array);
                at = element.parent;
            }
        }
    }
    arrays
}

/// A choice without what no later condition can tell apart, so that equal choices are one.
fn project(
    scopes: &Scopes,
    chosen: impl Iterator<Item = ArrayScope>,
    later: &BTreeSet<u32>,
) -> Vec<ArrayScope> {
    let mut state: Vec<ArrayScope> = Vec::new();
    for scope in chosen {
        let mut at = scope;
        while let Some(element) = scopes.element(at) {
            if later.contains(&element.array) {
                state.push(at);
                break;
            }
            at = element.parent;
        }
    }
    state.sort_unstable();
    state.dedup();
    // Numbers grow downwards: who has one of the next ones below it is implied by that one.
    let covered = |index: usize, scope: ArrayScope| {
        let next = state.get(index + 1);
        next.is_some_and(|next| scopes.is_below(*next, scope))
    };
    let apart = state.iter().enumerate();
    let apart = apart.filter(|(index, scope)| !covered(*index, **scope));
    apart.map(|(_, scope)| *scope).collect()
}

/// Those of some sorted scopes that can be combined with a state; runs that cannot are jumped over.
struct Candidates<'a> {
    scopes: &'a Scopes,
    sorted: &'a [ArrayScope],
    state: &'a [ArrayScope],
}

impl<'a> Candidates<'a> {
    fn new(scopes: &'a Scopes, sorted: &'a [ArrayScope], state: &'a [ArrayScope]) -> Self {
        Self {
            scopes,
            sorted,
            state,
        }
    }

    fn next(&mut self, steps: &mut usize) -> Option<ArrayScope> {
        loop {
            let scope = *self.sorted.first()?;
            *steps += 1;
            let conflict = |fixed: &ArrayScope| self.scopes.conflict(*fixed, scope);
            let Some(jump) = self.state.iter().find_map(conflict) else {
                self.sorted = &self.sorted[1..];
                return Some(scope);
            };
            let passed = self.sorted.partition_point(|scope| *scope < jump);
            self.sorted = &self.sorted[passed.max(1)..];
        }
    }
}
