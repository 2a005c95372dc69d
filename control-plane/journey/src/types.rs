//! Types of fields that several documents have.

use std::collections::BTreeMap;
use std::convert::Infallible;

use emac_core::journey::ComponentName;
use emac_document::types::{Type, checked, map, text};

/// Names of components stand in the canonical text unquoted.
pub(crate) const COMPONENT_PATTERN: &str = "^[A-Za-z0-9._/-]{1,253}$";

/// Something for each of some components.
pub fn by_component<'a, K: Type<'a>>(of: K) -> impl Type<'a, Value = Vec<(ComponentName, K::Value)>> {
    map(COMPONENT_PATTERN, ComponentName::new, of)
}

/// Something for each of some names of the writer's choosing.
pub(crate) fn by_name<'a, K: Type<'a>>(of: K) -> impl Type<'a, Value = BTreeMap<String, K::Value>> {
    let any = |name: &str| Ok::<_, Infallible>(name.to_owned());
    checked(map("", any, of), |_, entries| Some(entries.into_iter().collect()))
}

/// Text by name, such as labels.
pub(crate) fn texts<'a>() -> impl Type<'a, Value = BTreeMap<String, String>> {
    by_name(text())
}
