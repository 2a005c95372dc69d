//! Reading JSON field by field, with the field's path in every complaint.
//!
//! By hand over `serde_json::Value` rather than derived: derived structs cost a tenth of the module's size, and a configuration is read
//! once.

use serde_json::{Map, Value};

/// A field that is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct InvalidField {
    /// `budgets.hops[3].timeout_ms`.
    pub path: String,
    /// What is expected.
    pub problem: String,
}

/// A value and where it stands.
pub(super) struct Field {
    path: String,
    value: Option<Value>,
}

/// An object whose fields are taken one by one; what is left over is unknown.
pub(super) struct Object {
    path: String,
    fields: Map<String, Value>,
}

impl Field {
    pub(super) fn root(value: Value) -> Self {
        Self { path: String::new(), value: Some(value) }
    }

    pub(super) fn invalid(&self, problem: &str) -> InvalidField {
        InvalidField { path: self.path.clone(), problem: problem.to_owned() }
    }

    /// `None` when absent or null.
    pub(super) fn object(mut self) -> Result<Option<Object>, InvalidField> {
        match self.value.take() {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Object(fields)) => Ok(Some(Object { path: self.path, fields })),
            Some(_) => Err(self.invalid("an object is expected")),
        }
    }

    /// Empty when absent.
    pub(super) fn string(mut self) -> Result<String, InvalidField> {
        match self.value.take() {
            None => Ok(String::new()),
            Some(Value::String(text)) => Ok(text),
            Some(_) => Err(self.invalid("a string is expected")),
        }
    }

    pub(super) fn boolean(self, default: bool) -> Result<bool, InvalidField> {
        Ok(self.boolean_or_absent()?.unwrap_or(default))
    }

    pub(super) fn boolean_or_absent(mut self) -> Result<Option<bool>, InvalidField> {
        match self.value.take() {
            None => Ok(None),
            Some(Value::Bool(yes)) => Ok(Some(yes)),
            Some(_) => Err(self.invalid("true or false is expected")),
        }
    }

    pub(super) fn number(self, default: u64, min: u64, max: u64) -> Result<u64, InvalidField> {
        let number = self.value.as_ref().map_or(Some(default), Value::as_u64);
        let in_range = number.filter(|number| (min..=max).contains(number));
        in_range.ok_or_else(|| self.invalid(&format!("a whole number from {min} to {max} is expected")))
    }

    /// Zero when absent; ranges are the business of whom it is for.
    pub(super) fn u32(self) -> Result<u32, InvalidField> {
        let number = self.number(0, 0, u32::MAX.into())?;
        Ok(u32::try_from(number).unwrap_or(u32::MAX))
    }

    /// `None` when absent.
    pub(super) fn small(self, max: u32) -> Result<Option<u32>, InvalidField> {
        let given = self.value.is_some();
        Ok(u32::try_from(self.number(0, 0, max.into())?).ok().filter(|_| given))
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(self, default: T, words: &[(&str, T)]) -> Result<T, InvalidField> {
        let Some(value) = &self.value else { return Ok(default) };
        let word = value.as_str().unwrap_or_default();
        let chosen = words.iter().find(|(name, _)| *name == word).map(|(_, choice)| *choice);
        chosen.ok_or_else(|| {
            let mut problem = "one of these is expected:".to_owned();
            for (name, _) in words {
                problem.push(' ');
                problem.push_str(name);
            }
            self.invalid(&problem)
        })
    }

    /// The elements of an array; none when absent.
    pub(super) fn elements(mut self) -> Result<Vec<Self>, InvalidField> {
        let values = match self.value.take() {
            None => Vec::new(),
            Some(Value::Array(values)) => values,
            Some(_) => return Err(self.invalid("an array is expected")),
        };
        let mut elements = Vec::with_capacity(values.len());
        for (at, value) in values.into_iter().enumerate() {
            elements.push(Self { path: format!("{}[{at}]", self.path), value: Some(value) });
        }
        Ok(elements)
    }
}

impl Object {
    /// The field of a name, present or not.
    pub(super) fn take(&mut self, name: &str) -> Field {
        Field { path: self.path_of(name), value: self.fields.remove(name) }
    }

    /// Reads the object and refuses what was not read.
    pub(super) fn all<T>(
        mut self,
        read: impl FnOnce(&mut Self) -> Result<T, InvalidField>,
    ) -> Result<T, InvalidField> {
        let result = read(&mut self)?;
        match self.fields.keys().next() {
            None => Ok(result),
            Some(name) => Err(InvalidField { path: self.path_of(name), problem: "unknown field".to_owned() }),
        }
    }

    fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }
}
