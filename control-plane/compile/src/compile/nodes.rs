//! Bounds of every operator, so that a number can be followed from leaf to journey.

use emac_core::bound::{Facts, Interval, Unbound, View, any_dependence, independent, shared_fate};
use emac_core::journey::{Expr, Journey};

/// Bounds of one operator by itself.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeBounds {
    /// Which operand, from the root: `[1, 0]` is the first operand of the root's second.
    pub path: Vec<usize>,
    /// Its canonical text.
    pub expression: String,
    /// Components fail independently.
    pub independent: Interval,
    /// Components that share a domain fail somewhere between independently and together.
    pub domain_envelope: Interval,
    /// Whatever the dependence.
    pub any_dependence: Interval,
    /// One of several has to answer: what shared fate takes away here is redundancy.
    pub redundant: bool,
}

impl NodeBounds {
    /// What sharing domains may cost here: the lower end without it less the lower end with it.
    pub fn shared_fate_loss(&self) -> f64 {
        self.independent.lo() - self.domain_envelope.lo()
    }
}

/// Every operator, outermost first, in reading order.
pub(super) fn of(structure: &Journey, facts: &Facts) -> Result<Vec<NodeBounds>, Unbound> {
    let mut nodes = Vec::new();
    let mut open = vec![(Vec::new(), structure.root())];
    while let Some((path, expr)) = open.pop() {
        if matches!(expr, Expr::Leaf(_)) {
            continue;
        }
        // A part of a checked expression is one.
        if let Ok(part) = Journey::new(expr.clone()) {
            nodes.push(bounds(path.clone(), expr, &part, facts)?);
        }
        for (place, child) in expr.children().into_iter().enumerate().rev() {
            let mut path = path.clone();
            path.push(place);
            open.push((path, child));
        }
    }
    Ok(nodes)
}

fn bounds(path: Vec<usize>, expr: &Expr, part: &Journey, facts: &Facts) -> Result<NodeBounds, Unbound> {
    Ok(NodeBounds {
        path,
        expression: expr.to_string(),
        independent: independent(part, facts, View::Immediate)?.interval,
        domain_envelope: shared_fate(part, facts, View::Immediate)?.interval,
        any_dependence: any_dependence(part, facts, View::Immediate)?.interval,
        redundant: is_redundant(expr),
    })
}

/// Whether one of several operands has to answer.
pub(crate) fn is_redundant(expr: &Expr) -> bool {
    use emac_core::journey::Join;
    match expr {
        Expr::Race { .. } | Expr::Fallback { .. } => true,
        Expr::Parallel { join: Join::AtLeast(k), branches } => (*k as usize) < branches.len(),
        _ => false,
    }
}

/// Whether a part is not waited for.
pub(super) fn has_async(expr: &Expr) -> bool {
    matches!(expr, Expr::Async(_)) || expr.children().into_iter().any(has_async)
}
