//! What a document may say, as data: the shapes of values, and the tables of fields that mappings have.
//!
//! A table is not written: [`describe`](super::describe) gets it from the reader of the mapping. Tables live as long as the program; they are made once
//! for each kind of document.

/// What may stand at a place.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// One value.
    Scalar(&'static Scalar),
    /// `[a, b]`.
    List(&'static Shape),
    /// `{name: a}` with names of the writer's choosing, which match a pattern.
    Map(&'static str, &'static Shape),
    /// `{field: a}`.
    Mapping(&'static Mapping),
    /// Any of them.
    Either(&'static [Shape]),
    /// What is described once and may contain itself.
    Named(&'static Named),
}

/// A value without parts.
#[derive(Clone, Copy, Debug)]
pub struct Scalar {
    /// How people call it.
    pub label: &'static str,
    /// What it looks like; any of them.
    pub forms: &'static [Form],
    /// One, as YAML.
    pub example: &'static str,
}

/// What a scalar looks like.
#[derive(Clone, Copy, Debug)]
pub enum Form {
    /// Text that matches a regular expression (ECMA 262).
    Text(&'static str),
    /// One of a few words.
    Words(&'static [&'static str]),
    /// `true` or `false`.
    Boolean,
    /// `null`, said.
    Null,
    /// A whole number, both ends included.
    Integer(u64, u64),
    /// Any number.
    Number,
    /// A number above the first and at most the second.
    Above(f64, f64),
    /// A number from the first to the second.
    Within(f64, f64),
    /// A number between the ends, neither included.
    Between(f64, f64),
}

/// A shape that is referred to by its name.
#[derive(Debug)]
pub struct Named {
    /// Its name.
    pub name: &'static str,
    /// What it is; a function, because a constant cannot contain itself.
    pub shape: fn() -> Shape,
}

/// A mapping with known fields.
#[derive(Debug)]
pub struct Mapping {
    /// The known ones, in the order people write them.
    pub fields: &'static [Field],
    /// Whether others are passed over; otherwise they are refused.
    pub open: bool,
    /// What holds between fields.
    pub rules: &'static [Rule],
}

/// What holds between the fields of a mapping.
#[derive(Clone, Copy, Debug)]
pub enum Rule {
    /// Exactly one of two is given.
    OneOf(&'static str, &'static str),
    /// At most one of two is given.
    NotBoth(&'static str, &'static str),
    /// The first is given only beside the second.
    Needs(&'static str, &'static str),
    /// Something is given.
    Something,
}

/// One line of a table.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its key.
    pub name: &'static str,
    /// Whether it must be there.
    pub need: Need,
    /// What it may be.
    pub shape: Shape,
    /// What it means, for people.
    pub says: &'static str,
}

/// Whether a field must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// It must.
    Required,
    /// It need not.
    Optional,
    /// It need not; without it this holds, as YAML.
    Default(&'static str),
}

impl Mapping {
    /// A mapping that knows all its fields.
    pub const fn of(fields: &'static [Field]) -> Self {
        Self { fields, open: false, rules: &[] }
    }

    /// A mapping that carries more than is read.
    pub const fn open(fields: &'static [Field]) -> Self {
        Self { fields, open: true, rules: &[] }
    }

    /// With what holds between its fields.
    pub const fn with(self, rules: &'static [Rule]) -> Self {
        Self { rules, ..self }
    }
}

/// A field that must be there.
pub const fn required(name: &'static str, shape: Shape, says: &'static str) -> Field {
    Field { name, need: Need::Required, shape, says }
}

/// A field that need not be there.
pub const fn optional(name: &'static str, shape: Shape, says: &'static str) -> Field {
    Field { name, need: Need::Optional, shape, says }
}

/// A field without which `value` holds.
pub const fn default(name: &'static str, shape: Shape, value: &'static str, says: &'static str) -> Field {
    Field { name, need: Need::Default(value), shape, says }
}
