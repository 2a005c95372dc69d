//! Scalars that several tables use.

use emac_document::shape::{Form, Shape};

/// One or more `<number><unit>`; that it is above zero is the reader's to say.
const DURATION_PATTERN: &str = r"^\s*([0-9]*\.?[0-9]*(w|d|h|m|s|ms|us))+\s*$";
/// `99.5%`.
const PERCENT_PATTERN: &str = r"^\s*[0-9.eE+-]+\s*%\s*$";
/// Names of components stand in the canonical text unquoted.
pub(super) const COMPONENT_PATTERN: &str = "^[A-Za-z0-9._/-]{1,253}$";
/// A token of RFC 9110, section 5.6.2.
pub(super) const HEADER_PATTERN: &str = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$";
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
    DURATION = "duration", [Form::Text(DURATION_PATTERN)], "30d";
    MILLIS = "duration", [Form::Text(DURATION_PATTERN)], "400ms";
    /// The paper writes bare seconds.
    SECONDS = "duration or seconds", [Form::Above(0.0, 3_155_760_000.0), Form::Text(DURATION_PATTERN)], "400ms";
    SHARE = "share", [Form::Within(0.0, 1.0), Form::Text(PERCENT_PATTERN)], "0.995";
    SHARE_ABOVE_0 = "share", [Form::Above(0.0, 1.0), Form::Text(PERCENT_PATTERN)], "20%";
    /// Above 0, below 1.
    TARGET = "share", [Form::Between(0.0, 1.0), Form::Text(PERCENT_PATTERN)], "0.995";
    ABOVE_ZERO = "number", [Form::Above(0.0, f64::MAX)], "14.4";
    WORKLOAD = "workload", [Form::Text("^[a-z0-9.-]{1,253}/[a-z0-9.-]{1,253}$")], "shop/front";
}

/// Lists and maps of them.
pub(super) const WORDS: Shape = Shape::List(&WORD);
pub(super) const LABELS: Shape = Shape::Map(ANY_NAME, &TEXT);
pub(super) const HEADERS: Shape = Shape::Map(HEADER_PATTERN, &TEXT);
