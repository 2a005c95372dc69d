//! How much of the truth a sample of requests shows at all: nobody can find a fallback that was never asked.

use std::collections::BTreeMap;

use emac_core::journey::{self, Alternative, Choice, Expr, Probability};
use emac_core::units::Ratio;

use super::world::World;

/// What the sampled requests of one journey did.
#[derive(Clone, Debug, Default)]
struct Seen {
    /// Requests in which a service took part.
    services: BTreeMap<String, u64>,
    /// Requests in which it was tried again.
    again: BTreeMap<String, u64>,
}

impl World {
    /// The truth of a journey without what fewer than `least` of its sampled requests show: services that took no part, retries
    /// that never tried again. `None` when nothing is left.
    pub fn exhibited(&self, journey: usize, least: u64) -> Option<journey::Journey> {
        let seen = self.seen(journey);
        let expr = seen.prune(self.journeys[journey].truth.root(), least.max(1))?;
        journey::Journey::new(expr).ok()
    }

    fn seen(&self, journey: usize) -> Seen {
        let mut seen = Seen::default();
        let sampled = self.requests().filter(|r| r.journey == journey && self.is_sampled(r.trace));
        for request in sampled {
            let mut part: BTreeMap<&str, bool> = BTreeMap::new();
            for act in request.run.acts.iter().filter(|act| act.happened) {
                *part.entry(&self.services[act.service].name).or_default() |= act.attempt > 1;
            }
            for (name, again) in part {
                *seen.services.entry(name.to_owned()).or_default() += 1;
                *seen.again.entry(name.to_owned()).or_default() += u64::from(again);
            }
        }
        seen
    }
}

impl Seen {
    fn prune(&self, expr: &Expr, least: u64) -> Option<Expr> {
        let all = |list: &[Expr]| {
            let kept: Vec<Expr> = list.iter().filter_map(|e| self.prune(e, least)).collect();
            (!kept.is_empty()).then_some(kept)
        };
        let one = |body: &Expr| self.prune(body, least).map(Box::new);
        let count = |of: &BTreeMap<String, u64>, name: &str| of.get(name).copied().unwrap_or(0);
        Some(match expr {
            Expr::Leaf(name) if count(&self.services, name.as_str()) >= least => expr.clone(),
            Expr::Leaf(_) => return None,
            Expr::Series(steps) => Expr::Series(all(steps)?),
            Expr::Parallel { join, branches } => Expr::Parallel { join: *join, branches: all(branches)? },
            Expr::Race { delay, branches } => Expr::Race { delay: *delay, branches: all(branches)? },
            Expr::Fallback { primary, alternates } => {
                let alternates = alternates.iter().filter_map(|a| {
                    self.prune(&a.expr, least).map(|expr| Alternative { weight: a.weight, expr })
                });
                let (primary, alternates) = (one(primary)?, alternates.collect::<Vec<_>>());
                if alternates.is_empty() { *primary } else { Expr::Fallback { primary, alternates } }
            }
            Expr::Branch(choices) => self.branch(choices, least)?,
            Expr::Retry { attempts, per_try_timeout, body } => {
                let shown = body.leaves().iter().any(|name| count(&self.again, name.as_str()) >= least);
                let body = one(body)?;
                let (attempts, per_try_timeout) = (*attempts, *per_try_timeout);
                if shown { Expr::Retry { attempts, per_try_timeout, body } } else { *body }
            }
            Expr::Timeout { after, body } => Expr::Timeout { after: *after, body: one(body)? },
            Expr::Repeat { count, body } => Expr::Repeat { count: *count, body: one(body)? },
            Expr::Async(body) => Expr::Async(one(body)?),
        })
    }

    /// What was not taken gives its probability to the first that was.
    fn branch(&self, choices: &[Choice], least: u64) -> Option<Expr> {
        let mut kept: Vec<(f64, Expr)> = Vec::new();
        let mut lost = 0.0;
        for choice in choices {
            match self.prune(&choice.expr, least) {
                Some(expr) => kept.push((choice.probability.lo(), expr)),
                None => lost += choice.probability.lo(),
            }
        }
        kept.first_mut()?.0 += lost;
        let choice = |(p, expr)| Choice {
            probability: Probability::exactly(Ratio::new(p).unwrap_or(Ratio::ONE)),
            expr,
        };
        Some(Expr::Branch(kept.into_iter().map(choice).collect()))
    }
}
