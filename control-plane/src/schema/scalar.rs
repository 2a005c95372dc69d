//! Scalars that several tables use.

use emac_document::shape::{Form, Shape};

/// `99.5%`.
const PERCENT_PATTERN: &str = r"^\s*[0-9.eE+-]+\s*%\s*$";
/// Names of components stand in the canonical text unquoted.
pub(super) const COMPONENT_PATTERN: &str = "^[A-Za-z0-9._/-]{1,253}$";
/// Any key.
pub(super) const ANY_NAME: &str = "";

/// Constants for scalars: how people call it, its forms, an example.
macro_rules! scalars {
    ($($(#[$doc:meta])* $name:ident = $label:expr, $forms:expr, $example:expr;)*) => {
        $($(#[$doc])* pub(super) const $name: Shape = Shape::Scalar(&$crate::schema::Scalar {
            label: $label,
            forms: &$forms,
            example: $example,
        });)*
    };
}
pub(super) use scalars;

scalars! {
    /// Not blank.
    WORD = "text", [Form::Text(r"\S")], "word";
    /// Possibly empty.
    TEXT = "text", [Form::Text("")], "text";
    FLAG = "boolean", [Form::Boolean], "true";
    SHARE = "share", [Form::Within(0.0, 1.0), Form::Text(PERCENT_PATTERN)], "0.995";
}

/// Lists and maps of them.
pub(super) const WORDS: Shape = Shape::List(&WORD);
