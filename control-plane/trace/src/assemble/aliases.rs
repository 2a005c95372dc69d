//! Two names of one service.
//!
//! A sidecar reports in the name of its workload, as Istio writes it (`cart.shop`), and the application beside it by its own (`cart`). Both are
//! one, as long as sidecars know but one namespace with a workload of that name; `cart.shop` and `cart.bank` leave `cart` by itself. Without a
//! proxy's word nothing is joined: `orders` and `orders.v2` may be two. What a person states goes first.

use std::collections::{HashMap, HashSet};

use super::SpanRecord;
use crate::{Symbol, Symbols};

/// See the module. Bounded by the names kept apart ([`Symbols::MAX`]).
#[derive(Clone, Debug, Default)]
pub(crate) struct Aliases {
    stated: HashMap<Symbol, Symbol>,
    /// By what applications may call themselves; none where several workloads have the name.
    by_short: HashMap<Symbol, Option<Symbol>>,
    learned: HashSet<Symbol>,
}

/// Stated names that are followed one after the other; more is a circle.
const CHAIN_MAX: usize = 8;

impl Aliases {
    /// A person says that `name` is `of`.
    pub(crate) fn state(&mut self, name: Symbol, of: Symbol) {
        self.stated.insert(name, of);
    }

    /// A proxy reports as `workload`. O(1) but for the first time.
    pub(crate) fn learn(&mut self, workload: Symbol, symbols: &mut Symbols) {
        if !self.learned.insert(workload) {
            return;
        }
        let parts: Vec<&str> = symbols.text(workload).split('.').collect();
        let &[short, namespace] = parts.as_slice() else { return };
        if short.is_empty() || namespace.is_empty() {
            return;
        }
        let short = short.to_owned();
        let known = self.by_short.entry(symbols.of(&short)).or_insert(Some(workload));
        *known = known.filter(|&known| known == workload);
    }

    /// Whether every name stands for itself.
    pub(crate) fn is_empty(&self) -> bool {
        self.stated.is_empty() && self.by_short.is_empty()
    }

    /// The one name of a service.
    pub(crate) fn resolve(&self, name: Symbol) -> Symbol {
        let mut name = name;
        for _ in 0..CHAIN_MAX {
            let learned = || self.by_short.get(&name).copied().flatten();
            match self.stated.get(&name).copied().or_else(learned) {
                Some(next) if next != name => name = next,
                _ => break,
            }
        }
        name
    }

    /// Gives the spans of a request their one names.
    pub(crate) fn apply(&self, records: &mut [SpanRecord]) {
        if self.is_empty() {
            return;
        }
        for record in records {
            record.service = self.resolve(record.service);
            record.peer = self.resolve(record.peer);
        }
    }
}
