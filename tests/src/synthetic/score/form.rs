//! One spelling for what means the same, so that a discovery is judged by what it says and not by how.
//!
//! On top of the language's normal form:
//! - A timeout is dropped: it is a parameter of a call.
//! - 1 of n is a race; all at once and one after the other are one kind.
//! - What all choices of a branch begin with stands before the branch: `Branch(p Series(a, b), q a)` is `Series(a, Branch(p b, q -))`.
//! - A choice that is only a component that is certain anyway (`Series(a, Branch(p b, q a))`) is nothing, "-".
//! - Operators over one operand that are not about repeating are that operand.

use std::collections::{BTreeMap, BTreeSet};

use emac_core::journey::{Expr, Join, Probability};
use emac_core::units::Millis;

/// Kinds of inner nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// One after the other.
    Series,
    /// At the same time, all needed.
    Parallel,
    /// At the same time, so many needed.
    AtLeast(u32),
    /// The first good answer.
    Race,
    /// The next after a failure.
    Fallback,
    /// One of them.
    Branch,
    /// Again after a failure.
    Retry,
    /// Again.
    Repeat,
    /// Not waited for.
    Async,
}

impl Kind {
    /// Its operands stand in for each other.
    pub const fn stands_in(self) -> bool {
        matches!(self, Self::AtLeast(_) | Self::Race | Self::Fallback)
    }
}

/// An inner node as it is compared: kind and leaves.
pub type Node = (Kind, BTreeSet<String>);

/// Probability of each choice of a branch, by the choice's leaves.
pub(super) type Choices = BTreeMap<BTreeSet<String>, Probability>;

/// An expression in the spelling that is compared.
#[derive(Clone, Debug, PartialEq)]
pub enum Form {
    /// A component.
    Leaf(String),
    /// Nothing happens.
    Nothing,
    /// An operator.
    Of(Kind, Vec<Self>),
    /// A branch.
    Choice(Vec<(Probability, Self)>),
}

impl Form {
    /// The form of an expression.
    pub fn of(root: &Expr) -> Self {
        of(root, &BTreeSet::new())
    }

    /// Leaves below.
    pub fn leaves(&self) -> BTreeSet<String> {
        match self {
            Self::Leaf(name) => [name.clone()].into(),
            Self::Nothing => BTreeSet::new(),
            other => other.children().into_iter().flat_map(Self::leaves).collect(),
        }
    }

    /// Direct operands.
    pub fn children(&self) -> Vec<&Self> {
        match self {
            Self::Leaf(_) | Self::Nothing => Vec::new(),
            Self::Of(_, all) => all.iter().collect(),
            Self::Choice(choices) => choices.iter().map(|(_, form)| form).collect(),
        }
    }

    /// The kind of an inner node.
    pub const fn kind(&self) -> Option<Kind> {
        match self {
            Self::Leaf(_) | Self::Nothing => None,
            Self::Of(kind, _) => Some(*kind),
            Self::Choice(_) => Some(Kind::Branch),
        }
    }

    /// The node as it is compared.
    pub fn node(&self) -> Option<Node> {
        self.kind().map(|kind| (kind, self.leaves()))
    }

    /// Every inner node.
    pub fn nodes(&self) -> BTreeSet<Node> {
        self.all().into_iter().filter_map(Self::node).collect()
    }

    /// Every node, itself first.
    pub(super) fn all(&self) -> Vec<&Self> {
        let mut all = vec![self];
        all.extend(self.children().into_iter().flat_map(Self::all));
        all
    }

    /// Branches by their leaves: the probability of each choice by its leaves.
    pub(super) fn branches(&self) -> Vec<(BTreeSet<String>, Choices)> {
        let choices = |form: &Self| match form {
            Self::Choice(all) => {
                Some((form.leaves(), all.iter().map(|(p, form)| (form.leaves(), *p)).collect()))
            }
            _ => None,
        };
        self.all().into_iter().filter_map(choices).collect()
    }
}

/// `sure`: components that are certain where this stands.
fn of(expr: &Expr, sure: &BTreeSet<String>) -> Form {
    let all = |list: &[Expr]| list.iter().map(|e| of(e, sure)).collect::<Vec<_>>();
    match expr {
        Expr::Leaf(name) => Form::Leaf(name.to_string()),
        Expr::Series(steps) => series(steps, sure),
        Expr::Parallel { join: Join::All, branches } => at_once(all(branches)),
        Expr::Parallel { join: Join::AtLeast(1), branches } => several(Kind::Race, all(branches)),
        Expr::Parallel { join: Join::AtLeast(k), branches } => Form::Of(Kind::AtLeast(*k), all(branches)),
        Expr::Race { delay: Millis(0), branches } => several(Kind::Race, all(branches)),
        Expr::Race { branches, .. } => Form::Of(Kind::Race, all(branches)),
        Expr::Fallback { primary, alternates } => {
            let all = std::iter::once(&**primary).chain(alternates.iter().map(|a| &a.expr));
            Form::Of(Kind::Fallback, all.map(|e| of(e, sure)).collect())
        }
        Expr::Branch(choices) => {
            branch(choices.iter().map(|c| (c.probability, of(&c.expr, sure))).collect(), sure)
        }
        Expr::Timeout { body, .. } => of(body, sure),
        Expr::Retry { body, .. } => Form::Of(Kind::Retry, vec![of(body, sure)]),
        Expr::Repeat { body, .. } => Form::Of(Kind::Repeat, vec![of(body, sure)]),
        Expr::Async(body) => Form::Of(Kind::Async, vec![of(body, sure)]),
    }
}

fn series(steps: &[Expr], sure: &BTreeSet<String>) -> Form {
    let leaf = |step: &Expr| if let Expr::Leaf(name) = step { Some(name.to_string()) } else { None };
    let sure: BTreeSet<String> = sure.iter().cloned().chain(steps.iter().filter_map(leaf)).collect();
    several(Kind::Series, steps.iter().map(|step| of(step, &sure)).collect())
}

/// An operator in which nesting and nothing mean nothing.
fn several(kind: Kind, operands: Vec<Form>) -> Form {
    let mut flat = Vec::with_capacity(operands.len());
    for operand in operands {
        match operand {
            Form::Nothing => {}
            Form::Of(inner, nested) if inner == kind => flat.extend(nested),
            other => flat.push(other),
        }
    }
    match flat.len() {
        0 => Form::Nothing,
        1 => flat.swap_remove(0),
        _ => Form::Of(kind, flat),
    }
}

/// Branches at the same time. What nobody waits for, alone or as the first step of a branch, begins before them and means the same there.
fn at_once(branches: Vec<Form>) -> Form {
    let (mut before, mut rest) = (Vec::new(), Vec::new());
    for branch in branches {
        let mut steps = steps(branch);
        let is_awaited = |step: &Form| step.kind() != Some(Kind::Async);
        let later = steps.split_off(steps.iter().position(is_awaited).unwrap_or(steps.len()));
        before.extend(steps);
        rest.push(several(Kind::Series, later));
    }
    before.push(several(Kind::Parallel, rest));
    several(Kind::Series, before)
}

fn steps(form: Form) -> Vec<Form> {
    match form {
        Form::Of(Kind::Series, steps) => steps,
        Form::Nothing => Vec::new(),
        other => vec![other],
    }
}

fn branch(choices: Vec<(Probability, Form)>, sure: &BTreeSet<String>) -> Form {
    let mut ways: Vec<(Probability, Vec<Form>)> =
        choices.into_iter().map(|(p, form)| (p, steps(form))).collect();
    let is_sure = |step: &Form| matches!(step, Form::Leaf(name) if sure.contains(name));
    ways.iter_mut().for_each(|(_, steps)| steps.retain(|step| !is_sure(step)));
    let mut before = Vec::new();
    while let Some(first) = ways.first().and_then(|(_, steps)| steps.first()).cloned() {
        if ways.iter().any(|(_, steps)| steps.first() != Some(&first)) {
            break;
        }
        ways.iter_mut().for_each(|(_, steps)| drop(steps.remove(0)));
        before.push(first);
    }
    if ways.iter().any(|(_, steps)| !steps.is_empty()) {
        let ways = ways.into_iter().map(|(p, steps)| (p, several(Kind::Series, steps)));
        let mut ways: Vec<(Probability, Form)> = ways.collect();
        ways.sort_by_cached_key(|(p, form)| (form.leaves(), p.lo().to_bits()));
        before.push(Form::Choice(ways));
    }
    several(Kind::Series, before)
}

/// The form of every node that an expression writes, by the node's own text.
pub(super) fn by_text(root: &Expr) -> BTreeMap<String, Form> {
    let mut found = BTreeMap::new();
    let mut open = vec![(root, BTreeSet::new())];
    while let Some((expr, sure)) = open.pop() {
        found.insert(expr.to_string(), of(expr, &sure));
        let mut inner = sure;
        if let Expr::Series(steps) = expr {
            inner.extend(steps.iter().filter(|e| matches!(e, Expr::Leaf(_))).map(ToString::to_string));
        }
        open.extend(expr.children().into_iter().map(|child| (child, inner.clone())));
    }
    found
}
