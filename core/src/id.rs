//! Names of journeys, workloads and hops, checked once.

use alloc::string::{String, ToString};
use core::fmt;

/// Why a name was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// Nothing between the quotes.
    #[error("a name may not be empty")]
    Empty,
    /// Longer than the wire allows.
    #[error("a name has at most {max} bytes, this one has {len}")]
    TooLong {
        /// Bytes given.
        len: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// A character outside the alphabet of the name.
    #[error("{character:?} is not allowed in a name; use {allowed}")]
    Character {
        /// The first offender.
        character: char,
        /// The alphabet.
        allowed: &'static str,
    },
    /// A workload without its namespace.
    #[error("a workload is named <namespace>/<workload>")]
    NoNamespace,
}

fn check(
    text: &str,
    max: usize,
    allowed: &'static str,
    ok: impl Fn(char) -> bool,
) -> Result<(), InvalidName> {
    if text.is_empty() {
        return Err(InvalidName::Empty);
    }
    if text.len() > max {
        return Err(InvalidName::TooLong { len: text.len(), max });
    }
    match text.chars().find(|&c| !ok(c)) {
        Some(character) => Err(InvalidName::Character { character, allowed }),
        None => Ok(()),
    }
}

/// Name of a journey: 1 to 63 characters of `[a-z0-9-]`, so that it fits a label, a file name and a header unescaped.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JourneyName(String);

impl JourneyName {
    /// Most bytes of a journey name.
    pub const BYTES_MAX: usize = 63;

    /// Checks length and alphabet.
    ///
    /// # Errors
    /// [`InvalidName`] saying what is wrong.
    pub fn new(name: &str) -> Result<Self, InvalidName> {
        check(name, Self::BYTES_MAX, "[a-z0-9-]", |c| matches!(c, 'a'..='z' | '0'..='9' | '-'))?;
        Ok(Self(name.to_string()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// `<namespace>/<workload>`: who a sidecar is, and the name of its budgets resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkloadName(String);

impl WorkloadName {
    /// Most bytes of each part (a Kubernetes name).
    pub const PART_BYTES_MAX: usize = 253;

    /// Checks both parts.
    ///
    /// # Errors
    /// [`InvalidName`] saying what is wrong.
    pub fn new(name: &str) -> Result<Self, InvalidName> {
        let (namespace, workload) = name.split_once('/').ok_or(InvalidName::NoNamespace)?;
        for part in [namespace, workload] {
            check(
                part,
                Self::PART_BYTES_MAX,
                "[a-z0-9.-]",
                |c| matches!(c, 'a'..='z' | '0'..='9' | '-' | '.'),
            )?;
        }
        Ok(Self(name.to_string()))
    }

    /// `<namespace>/<workload>`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part behind the slash.
    pub fn workload(&self) -> &str {
        self.0.split_once('/').map_or("", |(_, workload)| workload)
    }
}

impl fmt::Display for JourneyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for WorkloadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A hop: the calls of one workload, on one journey, to one destination and operation.
///
/// The parts are observed, not chosen, so they are free text of bounded length ([`HopKey::PART_BYTES_MAX`]); `journey` is empty for
/// traffic of no known journey.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HopKey {
    /// Journey name, or empty.
    pub journey: String,
    /// `<namespace>/<workload>` of the caller.
    pub source: String,
    /// Istio service host or Envoy cluster.
    pub destination: String,
    /// `METHOD /path/template` or `package.Service/Method`; empty where operations are not told apart.
    pub operation: String,
}

impl HopKey {
    /// Most bytes of each part.
    pub const PART_BYTES_MAX: usize = 512;
    /// Destination of the hop that takes what the cap on hops leaves over.
    pub const OVERFLOW_DESTINATION: &'static str = "_overflow";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_refused_with_a_reason() {
        assert_eq!(JourneyName::new(""), Err(InvalidName::Empty));
        assert!(matches!(JourneyName::new("Checkout"), Err(InvalidName::Character { character: 'C', .. })));
        assert!(matches!(JourneyName::new(&"x".repeat(64)), Err(InvalidName::TooLong { len: 64, max: 63 })));
        assert_eq!(WorkloadName::new("cart"), Err(InvalidName::NoNamespace));
        assert_eq!(WorkloadName::new("shop/cart").map(|w| w.workload().to_string()), Ok("cart".to_string()));
        assert!(WorkloadName::new("shop/cart/x").is_err());
    }
}
