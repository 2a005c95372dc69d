//! Guards asked, with a record of what they were told.

use std::collections::BTreeMap;
use std::sync::Arc;

use cel::{Context, Value as Cel};
use serde_json::{Value, json};

use super::Guard;

/// What a guard asks for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Input {
    /// A symbol.
    Symbol(String),
    /// `conf(subject)`.
    Confidence(String),
    /// `burn("window")`.
    Burn(String),
}

/// A value that is known.
#[derive(Clone, Debug, PartialEq)]
pub enum Known {
    /// A number; NaN counts as not known.
    Number(f64),
    /// Yes or no.
    Flag(bool),
    /// Text.
    Text(String),
}

/// What a guard says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The action may go ahead.
    Allowed,
    /// It may not.
    Denied,
    /// Something it asks for is not known, or it failed; it may not.
    Unknown(String),
}

/// A guard's answer and what it was told.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// The guard as written.
    pub guard: String,
    /// Inputs as written, with their values; null where not known.
    pub inputs: BTreeMap<String, Value>,
    /// What it says.
    pub answer: Answer,
}

impl Answer {
    /// In a word, with what is not known.
    pub fn said(&self) -> (&'static str, Option<&str>) {
        match self {
            Self::Allowed => ("allowed", None),
            Self::Denied => ("denied", None),
            Self::Unknown(why) => ("unknown", Some(why)),
        }
    }

    /// From the word, and why it is unknown.
    pub(super) fn of(word: &str, why: String) -> Option<Self> {
        match word {
            "allowed" => Some(Self::Allowed),
            "denied" => Some(Self::Denied),
            "unknown" => Some(Self::Unknown(why)),
            _ => None,
        }
    }
}

impl Input {
    /// As written.
    pub fn written(&self) -> String {
        match self {
            Self::Symbol(name) => name.clone(),
            Self::Confidence(subject) => format!("conf({subject})"),
            Self::Burn(window) => format!("burn(\"{window}\")"),
        }
    }
}

impl Guard {
    /// Asks the guard. `known` gives the value of an input, or nothing.
    pub fn evaluate(&self, known: impl Fn(&Input) -> Option<Known>) -> Evaluation {
        let finite = |value: &Known| !matches!(value, Known::Number(number) if !number.is_finite());
        let told: Vec<_> =
            self.inputs().into_iter().map(|input| (known(&input).filter(finite), input)).collect();
        let missing: Vec<_> =
            told.iter().filter(|(value, _)| value.is_none()).map(|(_, input)| input.written()).collect();
        let answer = if missing.is_empty() {
            self.ask(&told)
        } else {
            Answer::Unknown(format!("not known: {}", missing.join(", ")))
        };
        let inputs = told
            .into_iter()
            .map(|(value, input)| (input.written(), value.as_ref().map_or(Value::Null, json_of)));
        Evaluation { guard: self.text.clone(), inputs: inputs.collect(), answer }
    }

    fn ask(&self, told: &[(Option<Known>, Input)]) -> Answer {
        let mut context = Context::default();
        let mut confidences = BTreeMap::new();
        let mut burns = BTreeMap::new();
        for (value, input) in told {
            match (value, input) {
                (Some(value), Input::Symbol(name)) => {
                    context.add_variable_from_value(name.as_str(), cel_of(value))
                }
                (Some(Known::Number(number)), Input::Confidence(subject)) => {
                    context.add_variable_from_value(subject.as_str(), Cel::from(subject.as_str()));
                    confidences.insert(subject.clone(), *number);
                }
                (Some(Known::Number(number)), Input::Burn(window)) => {
                    burns.insert(window.clone(), *number);
                }
                _ => return Answer::Unknown(format!("not a number: {}", input.written())),
            }
        }
        // What is asked for was put in above; NaN compares false with everything.
        let of = |values: BTreeMap<String, f64>| {
            move |name: Arc<String>| values.get(name.as_str()).copied().unwrap_or(f64::NAN)
        };
        let added = context
            .add_function("conf", of(confidences))
            .and_then(|()| context.add_function("burn", of(burns)));
        if let Err(error) = added {
            return Answer::Unknown(error.to_string());
        }
        match self.program.execute(&context) {
            Ok(Cel::Bool(true)) => Answer::Allowed,
            Ok(Cel::Bool(false)) => Answer::Denied,
            Ok(other) => Answer::Unknown(format!("it says {other:?}")),
            Err(error) => Answer::Unknown(error.to_string()),
        }
    }
}

fn cel_of(value: &Known) -> Cel {
    match value {
        Known::Number(number) => Cel::from(*number),
        Known::Flag(flag) => Cel::from(*flag),
        Known::Text(text) => Cel::from(text.as_str()),
    }
}

fn json_of(value: &Known) -> Value {
    match value {
        Known::Number(number) => json!(number),
        Known::Flag(flag) => json!(flag),
        Known::Text(text) => json!(text),
    }
}
