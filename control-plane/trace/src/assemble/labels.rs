//! What services say of where they run.

use std::collections::BTreeMap;

use crate::Symbol;

type Values = BTreeMap<Box<str>, u64>;

/// Values of attributes that may tell a failure domain, by service and attribute, with how often each was said. Bounded: an attribute with
/// a value per request tells no domain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    /// By the service's position.
    services: Vec<BTreeMap<Box<str>, Values>>,
    dropped: u64,
}

impl Labels {
    /// Most attributes of a service.
    pub const KEYS_MAX: usize = 64;
    /// Most values of an attribute.
    pub const VALUES_MAX: usize = 256;
    /// Longest key or value, in bytes.
    pub const BYTES_MAX: usize = 256;

    /// Counts a value that was said so many times.
    pub fn add(&mut self, service: Symbol, key: &str, value: &str, times: u64) {
        if self.count(service, key, value, times).is_none() {
            self.dropped += times;
        }
    }

    fn count(&mut self, service: Symbol, key: &str, value: &str, times: u64) -> Option<()> {
        if key.len().max(value.len()) > Self::BYTES_MAX {
            return None;
        }
        let keys = self.of(service);
        if !keys.contains_key(key) {
            keys.len().lt(&Self::KEYS_MAX).then(|| keys.insert(key.into(), Values::new()))?;
        }
        let values = keys.get_mut(key)?;
        if let Some(count) = values.get_mut(value) {
            *count += times;
            return Some(());
        }
        values.len().lt(&Self::VALUES_MAX).then(|| values.insert(value.into(), times))?;
        Some(())
    }

    fn of(&mut self, service: Symbol) -> &mut BTreeMap<Box<str>, Values> {
        let index = service.index();
        if index >= self.services.len() {
            self.services.resize_with(index + 1, BTreeMap::new);
        }
        &mut self.services[index]
    }

    /// Adds what another one counted, within the same bounds.
    pub fn merge(&mut self, other: &Self) {
        for (service, key, value, times) in other.iter() {
            self.add(service, key, value, times);
        }
        self.dropped += other.dropped;
    }

    /// The same under other names of services; what several said of one is added up.
    pub(crate) fn renamed(self, name: impl Fn(Symbol) -> Symbol) -> Self {
        let mut renamed = Self { services: Vec::new(), dropped: self.dropped };
        for (service, keys) in (0..).map(Symbol::of_index).zip(self.services) {
            if keys.is_empty() {
                continue;
            }
            let into = renamed.of(name(service));
            for (key, values) in keys {
                let into = into.entry(key).or_default();
                values.into_iter().for_each(|(value, count)| *into.entry(value).or_default() += count);
            }
        }
        renamed
    }

    /// Everything said: service, attribute, value, how often. Ordered.
    pub fn iter(&self) -> impl Iterator<Item = (Symbol, &str, &str, u64)> {
        (0..).map(Symbol::of_index).zip(&self.services).flat_map(|(service, keys)| {
            keys.iter().flat_map(move |(key, values)| {
                values.iter().map(move |(value, &count)| (service, &**key, &**value, count))
            })
        })
    }

    /// Values of one attribute of one service, with how often each was said.
    pub fn values(&self, service: Symbol, key: &str) -> impl Iterator<Item = (&str, u64)> {
        let values = self.services.get(service.index()).and_then(|keys| keys.get(key));
        values.into_iter().flatten().map(|(value, &count)| (&**value, count))
    }

    /// What did not fit.
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }
}
