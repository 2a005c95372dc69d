//! Several names of one service, and one name of several.
//!
//! A sidecar reports in the name of its workload, as Istio writes it (`cart.shop`), and the application beside it by its own (`cart`). Both are
//! one, as long as sidecars know but one namespace with a workload of that name; `cart.shop` and `cart.bank` leave `cart` by itself. Without a
//! proxy's word nothing is joined: `orders` and `orders.v2` may be two. What a person states goes first.
//!
//! An application may say in which namespace it is (`service.namespace`, `k8s.namespace.name`). As long as one namespace has a service of its
//! name it is known by that name alone; where two have one, each is `<name>.<namespace>`, and whom a caller asks by the name alone
//! is the one of its own namespace.

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
    /// By name and namespace: the name with its namespace.
    whole: HashMap<(Symbol, Symbol), Symbol>,
    /// By the name with its namespace: both.
    parts: HashMap<Symbol, (Symbol, Symbol)>,
    /// Of each name, in how many namespaces there is one.
    namespaces: HashMap<Symbol, u32>,
    /// What each name was found to stand for, by its index; what is learned makes it void.
    resolved: Vec<Option<Symbol>>,
}

/// Stated names that are followed one after the other; more is a circle.
const CHAIN_MAX: usize = 8;

impl Aliases {
    /// A person says that `name` is `of`.
    pub(crate) fn state(&mut self, name: Symbol, of: Symbol) {
        self.stated.insert(name, of);
        self.resolved.clear();
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
        self.resolved.clear();
    }

    /// An application says that it is in `namespace`; the name under which its spans are kept until all are known. O(1) but for the
    /// first time.
    pub(crate) fn within(&mut self, service: Symbol, namespace: &str, symbols: &mut Symbols) -> Symbol {
        let key = (service, symbols.of(namespace));
        if let Some(&whole) = self.whole.get(&key) {
            return whole;
        }
        let suffix = format!(".{namespace}");
        let text = symbols.text(service);
        // Istio's own names end with it.
        let whole = if text.ends_with(&suffix) { service } else { symbols.of(&format!("{text}{suffix}")) };
        self.whole.insert(key, whole);
        if whole != service {
            self.parts.insert(whole, key);
            *self.namespaces.entry(service).or_default() += 1;
        }
        self.resolved.clear();
        whole
    }

    /// Whether every name stands for itself.
    pub(crate) fn is_empty(&self) -> bool {
        self.stated.is_empty() && self.by_short.is_empty() && self.parts.is_empty()
    }

    /// The one name of a service.
    pub(crate) fn resolve(&self, name: Symbol) -> Symbol {
        let mut name = name;
        for _ in 0..CHAIN_MAX {
            match self.stated.get(&name).copied().or_else(|| self.learned_name(name)) {
                Some(next) if next != name => name = next,
                _ => break,
            }
        }
        name
    }

    fn learned_name(&self, name: Symbol) -> Option<Symbol> {
        if let Some(workload) = self.by_short.get(&name) {
            return *workload;
        }
        let (short, _) = self.parts.get(&name)?;
        let alone = self.namespaces.get(short).is_none_or(|&count| count < 2);
        // A sidecar of that very name goes on being called so.
        (alone && !self.learned.contains(&name)).then_some(*short)
    }

    /// The one name of whom a service calls `peer`.
    fn resolve_peer(&self, caller: Symbol, peer: Symbol) -> Symbol {
        let several = self.namespaces.get(&peer).is_some_and(|&count| count > 1);
        let near = || self.whole.get(&(peer, self.parts.get(&caller)?.1)).copied();
        let peer = if several { near().unwrap_or(peer) } else { peer };
        self.resolve(peer)
    }

    /// Gives the spans of a request their one names.
    pub(crate) fn apply(&mut self, records: &mut [SpanRecord]) {
        if self.is_empty() {
            return;
        }
        let clash = self.namespaces.values().any(|&count| count > 1);
        for record in records {
            let caller = record.service;
            record.service = self.known(caller);
            record.peer =
                if clash { self.resolve_peer(caller, record.peer) } else { self.known(record.peer) };
        }
    }

    /// As [`resolve`](Self::resolve), which is asked once a name.
    fn known(&mut self, name: Symbol) -> Symbol {
        if name.index() >= self.resolved.len() {
            self.resolved.resize(name.index() + 1, None);
        }
        if let Some(found) = self.resolved.get(name.index()).copied().flatten() {
            return found;
        }
        let found = self.resolve(name);
        if let Some(place) = self.resolved.get_mut(name.index()) {
            *place = Some(found);
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SpanKind;

    fn record(service: Symbol, peer: Symbol) -> SpanRecord {
        SpanRecord { peer, ..SpanRecord::new(SpanKind::Client, service, 0, 0) }
    }

    #[test]
    fn two_namespaces_have_two_services_of_one_name() {
        let (mut symbols, mut aliases) = (Symbols::default(), Aliases::default());
        let [front, cart] = ["front", "cart"].map(|name| symbols.of(name));
        let front_of = |aliases: &mut Aliases, namespace: &str, symbols: &mut Symbols| {
            aliases.within(front, namespace, symbols)
        };
        let of_shop = front_of(&mut aliases, "shop", &mut symbols);
        let mut records = [record(of_shop, cart)];
        aliases.apply(&mut records);
        assert_eq!((records[0].service, records[0].peer), (front, cart), "one namespace: names stay");
        let cart_shop = aliases.within(cart, "shop", &mut symbols);
        let cart_bank = aliases.within(cart, "bank", &mut symbols);
        let of_bank = front_of(&mut aliases, "bank", &mut symbols);
        let mut records = [record(of_shop, cart), record(of_bank, cart), record(cart_bank, Symbol::NONE)];
        aliases.apply(&mut records);
        let names = records.map(|record| (symbols.text(record.service), symbols.text(record.peer)));
        assert_eq!(names, [("front.shop", "cart.shop"), ("front.bank", "cart.bank"), ("cart.bank", "")]);
        assert_eq!(symbols.text(cart_shop), "cart.shop");
    }

    #[test]
    fn a_sidecar_and_an_application_that_says_its_namespace_are_one() {
        let (mut symbols, mut aliases) = (Symbols::default(), Aliases::default());
        let (sidecar, cart) = (symbols.of("cart.shop"), symbols.of("cart"));
        aliases.learn(sidecar, &mut symbols);
        let application = aliases.within(cart, "shop", &mut symbols);
        assert_eq!([sidecar, cart, application].map(|name| aliases.resolve(name)), [sidecar; 3]);
        assert_eq!(aliases.within(sidecar, "shop", &mut symbols), sidecar, "it says so already");
    }

    #[test]
    fn what_is_stated_goes_first() {
        let (mut symbols, mut aliases) = (Symbols::default(), Aliases::default());
        let (cart, basket) = (symbols.of("cart"), symbols.of("basket"));
        aliases.state(cart, basket);
        let whole = aliases.within(cart, "shop", &mut symbols);
        let mut records = [record(whole, cart)];
        aliases.apply(&mut records);
        assert_eq!((records[0].service, records[0].peer), (basket, basket));
    }
}
