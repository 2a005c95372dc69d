//! Names of components, the leaves of an expression.

use alloc::string::{String, ToString};
use core::fmt;

use crate::id::InvalidName;

/// Name of a component: 1 to 253 characters of `[A-Za-z0-9._/-]`, so that it stands in the canonical text unquoted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ComponentName(String);

impl ComponentName {
    /// Most bytes of a component name.
    pub const BYTES_MAX: usize = 253;

    /// Checks length and alphabet.
    ///
    /// # Errors
    /// [`InvalidName`] saying what is wrong.
    pub fn new(name: &str) -> Result<Self, InvalidName> {
        if name.is_empty() {
            return Err(InvalidName::Empty);
        }
        if name.len() > Self::BYTES_MAX {
            return Err(InvalidName::TooLong { len: name.len(), max: Self::BYTES_MAX });
        }
        match name.chars().find(|&c| !Self::allows(c)) {
            Some(character) => Err(InvalidName::Character { character, allowed: "[A-Za-z0-9._/-]" }),
            None => Ok(Self(name.to_string())),
        }
    }

    /// Whether a character may stand in a component name.
    pub const fn allows(character: char) -> bool {
        matches!(character, 'A'..='Z' | 'a'..='z' | '0'..='9' | '.' | '_' | '/' | '-')
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ComponentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
