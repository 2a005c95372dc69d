//! Types of fields that several documents have.

use std::collections::BTreeMap;

use emac_core::journey::ComponentName;
use emac_document::types::{Type, by_name, checked, map, text, text_like};

/// Names of components stand in the canonical text unquoted.
pub const COMPONENT_PATTERN: &str = "^[A-Za-z0-9._/-]{1,253}$";

/// The name of a component.
pub fn component<'a>() -> impl Type<'a, Value = ComponentName> {
    text_like("component", COMPONENT_PATTERN, "front", |it, text| {
        ComponentName::new(text).map_or_else(|error| it.refuse(error.to_string()), Some)
    })
}

/// Something for each of some components.
pub fn by_component<'a, K: Type<'a>>(of: K) -> impl Type<'a, Value = Vec<(ComponentName, K::Value)>> {
    map(COMPONENT_PATTERN, ComponentName::new, of)
}

/// Text by name, such as labels.
pub(crate) fn texts<'a>() -> impl Type<'a, Value = BTreeMap<String, String>> {
    checked(by_name(text()), |_, texts| {
        Some(texts.into_iter().map(|(name, text)| (name, text.to_owned())).collect())
    })
}
