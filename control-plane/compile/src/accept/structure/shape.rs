//! An operator apart from its operands.

use emac_core::journey::{Alternative, Choice, Expr, Join, Probability};
use emac_core::units::{Millis, Ratio};

/// Kind and parameters.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum OperatorShape {
    Series,
    Parallel(Join),
    Race(Millis),
    Fallback,
    Branch,
    Retry(u32, Option<Millis>),
    Timeout(Millis),
    Repeat(u32),
    Async,
}

/// What an operand has besides itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Attribute {
    Weight(Ratio),
    Probability(Probability),
}

/// An operand with its probability or weight; none is needed but in a branch.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Operand {
    pub(super) attribute: Option<Attribute>,
    pub(super) expr: Expr,
}

impl Operand {
    pub(super) fn plain(expr: Expr) -> Self {
        Self { attribute: None, expr }
    }
}

impl OperatorShape {
    /// Whether it is of the same kind, whatever the parameters.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }

    /// Whether it takes one operand.
    pub(super) fn is_unary(&self) -> bool {
        matches!(self, Self::Retry(..) | Self::Timeout(_) | Self::Repeat(_) | Self::Async)
    }

    /// Whether the order of its operands has a meaning.
    pub(super) fn is_ordered(&self) -> bool {
        match self {
            Self::Series | Self::Fallback => true,
            Self::Race(delay) => delay.0 > 0,
            _ => false,
        }
    }

    /// Whether an operator of it in the place of some of its operands means the same.
    pub(super) fn is_flat(&self) -> bool {
        matches!(self, Self::Series | Self::Parallel(Join::All) | Self::Race(Millis(0)))
    }
}

/// An operator's parts; `None` for a component.
pub(super) fn split(expr: &Expr) -> Option<(OperatorShape, Vec<Operand>)> {
    let plain = |all: &[Expr]| all.iter().cloned().map(Operand::plain).collect();
    let one = |body: &Expr| vec![Operand::plain(body.clone())];
    Some(match expr {
        Expr::Leaf(_) => return None,
        Expr::Series(steps) => (OperatorShape::Series, plain(steps)),
        Expr::Parallel { join, branches } => (OperatorShape::Parallel(*join), plain(branches)),
        Expr::Race { delay, branches } => (OperatorShape::Race(*delay), plain(branches)),
        Expr::Fallback { primary, alternates } => {
            let alternates = alternates.iter().map(|one| Operand {
                attribute: Some(Attribute::Weight(one.weight)),
                expr: one.expr.clone(),
            });
            // The first one asked weighs as much as an equal, so that it may change places with one.
            let first = Operand { attribute: Some(Attribute::Weight(Ratio::ONE)), expr: (**primary).clone() };
            (OperatorShape::Fallback, std::iter::once(first).chain(alternates).collect())
        }
        Expr::Branch(choices) => {
            let choices = choices.iter().map(|one| Operand {
                attribute: Some(Attribute::Probability(one.probability)),
                expr: one.expr.clone(),
            });
            (OperatorShape::Branch, choices.collect())
        }
        Expr::Retry { attempts, per_try_timeout, body } => {
            (OperatorShape::Retry(*attempts, *per_try_timeout), one(body))
        }
        Expr::Timeout { after, body } => (OperatorShape::Timeout(*after), one(body)),
        Expr::Repeat { count, body } => (OperatorShape::Repeat(*count), one(body)),
        Expr::Async(body) => (OperatorShape::Async, one(body)),
    })
}

/// The operator over operands; the operand itself when there is only one where several are meant.
///
/// # Errors
/// Why these operands cannot stand under it.
pub(super) fn join(shape: &OperatorShape, mut operands: Vec<Operand>) -> Result<Expr, String> {
    if operands.is_empty() {
        return Err("an operator has no operands left".to_owned());
    }
    if operands.len() == 1 && !shape.is_unary() {
        return Ok(operands.swap_remove(0).expr);
    }
    if shape.is_unary() {
        return Ok(over(shape, operands.swap_remove(0).expr));
    }
    match shape {
        OperatorShape::Branch => {
            Ok(Expr::Branch(operands.into_iter().map(choice).collect::<Result<_, _>>()?))
        }
        OperatorShape::Fallback => {
            let alternates = operands.split_off(1).into_iter().map(alternate).collect();
            Ok(Expr::Fallback { primary: Box::new(operands.swap_remove(0).expr), alternates })
        }
        shape => {
            let branches = operands.into_iter().map(|operand| operand.expr).collect();
            Ok(match shape {
                OperatorShape::Parallel(join) => Expr::Parallel { join: *join, branches },
                OperatorShape::Race(delay) => Expr::Race { delay: *delay, branches },
                _ => Expr::Series(branches),
            })
        }
    }
}

fn over(shape: &OperatorShape, expr: Expr) -> Expr {
    let body = Box::new(expr);
    match *shape {
        OperatorShape::Retry(attempts, per_try_timeout) => Expr::Retry { attempts, per_try_timeout, body },
        OperatorShape::Timeout(after) => Expr::Timeout { after, body },
        OperatorShape::Repeat(count) => Expr::Repeat { count, body },
        _ => Expr::Async(body),
    }
}

fn choice(operand: Operand) -> Result<Choice, String> {
    match operand.attribute {
        Some(Attribute::Probability(probability)) => Ok(Choice { probability, expr: operand.expr }),
        _ => Err(format!("the probability of the branch to {} is unknown", operand.expr)),
    }
}

fn alternate(operand: Operand) -> Alternative {
    let weight = match operand.attribute {
        Some(Attribute::Weight(weight)) => weight,
        _ => Ratio::ONE,
    };
    Alternative { weight, expr: operand.expr }
}
