//! Reads the canonical text back.
//!
//! Any white space between tokens is allowed. The result is unchecked ([`Journey::new`](super::Journey::new) does that), but depth
//! and length are limited while reading, so that hostile text costs no more than its length.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::{Alternative, Choice, ComponentName, Expr, Join, Probability};
use crate::units::{Millis, Ratio};

/// Where and why the text was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason} at byte {at}")]
pub struct InvalidText {
    /// Offset of the offending token in bytes.
    pub at: usize,
    /// What is wrong.
    pub reason: String,
}

/// Longest text read.
pub const BYTES_MAX: usize = 1 << 20;

/// Reads an expression. O(length).
///
/// # Errors
/// [`InvalidText`] at the first token that does not fit.
pub fn parse(text: &str) -> Result<Expr, InvalidText> {
    if text.len() > BYTES_MAX {
        return Err(InvalidText { at: BYTES_MAX, reason: "the text is too long".into() });
    }
    let mut cursor = Cursor { text, rest: text };
    let expr = cursor.expr(1)?;
    cursor.space();
    if cursor.rest.is_empty() { Ok(expr) } else { Err(cursor.error("something follows the expression")) }
}

struct Cursor<'a> {
    text: &'a str,
    rest: &'a str,
}

/// Arguments as written, before the operator gives them meaning.
#[derive(Default)]
struct Arguments {
    parameters: Vec<(String, String, usize)>,
    operands: Vec<(Option<Probability>, Expr)>,
}

impl<'a> Cursor<'a> {
    fn expr(&mut self, depth: usize) -> Result<Expr, InvalidText> {
        self.space();
        if depth > Expr::DEPTH_MAX {
            return Err(self.error("nested too deep"));
        }
        let at = self.at();
        let word = self.word();
        self.space();
        if !self.rest.starts_with('(') {
            return leaf(word, at);
        }
        let arguments = self.arguments(depth)?;
        build(word, arguments, at)
    }

    fn arguments(&mut self, depth: usize) -> Result<Arguments, InvalidText> {
        let mut arguments = Arguments::default();
        let mut last = !self.take('(') || self.take(')');
        while !last {
            self.argument(&mut arguments, depth)?;
            last = self.take(')');
            if !last && !self.take(',') {
                return Err(self.error("expected , or )"));
            }
        }
        Ok(arguments)
    }

    fn argument(&mut self, into: &mut Arguments, depth: usize) -> Result<(), InvalidText> {
        self.space();
        if self.rest.starts_with('[') {
            let weight = self.interval()?;
            into.operands.push((Some(weight), self.expr(depth + 1)?));
            return Ok(());
        }
        let (before, at) = (self.rest, self.at());
        let word = self.word();
        if self.take('=') {
            self.space();
            let value = self.word();
            into.parameters.push((word.into(), value.into(), at));
        } else if self.take('*') {
            let weight = Probability::exactly(share(word, at)?);
            into.operands.push((Some(weight), self.expr(depth + 1)?));
        } else {
            self.rest = before;
            into.operands.push((None, self.expr(depth + 1)?));
        }
        Ok(())
    }

    fn interval(&mut self) -> Result<Probability, InvalidText> {
        let at = self.at();
        self.take('[');
        let lo = self.number()?;
        let comma = self.take(',');
        let hi = self.number()?;
        if !(comma && self.take(']') && self.take('*')) {
            return Err(self.error("an interval is written [low,high]*"));
        }
        Probability::between(lo, hi).map_err(|invalid| InvalidText { at, reason: invalid.to_string() })
    }

    fn number(&mut self) -> Result<Ratio, InvalidText> {
        self.space();
        let at = self.at();
        share(self.word(), at)
    }

    /// The longest run of name characters; empty when there is none.
    fn word(&mut self) -> &'a str {
        let end = self.rest.find(|c| !ComponentName::allows(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn take(&mut self, token: char) -> bool {
        self.space();
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    const fn at(&self) -> usize {
        self.text.len() - self.rest.len()
    }

    fn error(&self, reason: &str) -> InvalidText {
        InvalidText { at: self.at(), reason: reason.into() }
    }
}

fn leaf(word: &str, at: usize) -> Result<Expr, InvalidText> {
    let name = ComponentName::new(word)
        .map_err(|invalid| InvalidText { at, reason: format!("expected a component: {invalid}") })?;
    Ok(Expr::Leaf(name))
}

fn share(word: &str, at: usize) -> Result<Ratio, InvalidText> {
    let value: f64 =
        word.parse().map_err(|_| InvalidText { at, reason: format!("{word:?} is not a number") })?;
    Ratio::new(value).map_err(|invalid| InvalidText { at, reason: invalid.to_string() })
}

/// Gives the arguments the operator's meaning; what it does not know is refused.
fn build(operator: &str, mut arguments: Arguments, at: usize) -> Result<Expr, InvalidText> {
    let args = &mut arguments;
    let expr = match operator {
        "Series" => Expr::Series(args.plain(at)?),
        "Parallel" => {
            let join = args.count("atLeast")?.map_or(Join::All, Join::AtLeast);
            Expr::Parallel { join, branches: args.plain(at)? }
        }
        "Race" => Expr::Race { delay: args.millis("delay")?.unwrap_or_default(), branches: args.plain(at)? },
        "Fallback" => fallback(args, at)?,
        "Branch" => Expr::Branch(args.choices(at)?),
        "Retry" => Expr::Retry {
            attempts: args.required("attempts", at)?,
            per_try_timeout: args.millis("perTry")?,
            body: args.body(at)?,
        },
        "Timeout" => Expr::Timeout {
            after: args.millis("after")?.ok_or_else(|| missing("after", at))?,
            body: args.body(at)?,
        },
        "Repeat" => Expr::Repeat { count: args.required("count", at)?, body: args.body(at)? },
        "Async" => Expr::Async(args.body(at)?),
        other => return Err(InvalidText { at, reason: format!("{other:?} is not an operator") }),
    };
    match arguments.parameters.first() {
        None => Ok(expr),
        Some((key, _, at)) => {
            Err(InvalidText { at: *at, reason: format!("{operator} has no parameter {key:?}") })
        }
    }
}

fn fallback(args: &mut Arguments, at: usize) -> Result<Expr, InvalidText> {
    let mut operands = core::mem::take(&mut args.operands).into_iter();
    let (None, primary) = operands.next().ok_or_else(|| missing("a primary", at))? else {
        return Err(InvalidText { at, reason: "the primary of a fallback has no weight".into() });
    };
    let mut alternates = Vec::new();
    for (weight, expr) in operands {
        alternates.push(Alternative { weight: point(weight.unwrap_or(CERTAIN), at)?, expr });
    }
    Ok(Expr::Fallback { primary: Box::new(primary), alternates })
}

const CERTAIN: Probability = Probability::exactly(Ratio::ONE);

fn point(weight: Probability, at: usize) -> Result<Ratio, InvalidText> {
    let exact = weight.is_exact().then(|| Ratio::new(weight.lo()).ok()).flatten();
    exact.ok_or_else(|| InvalidText { at, reason: "a weight is one number, not an interval".into() })
}

fn missing(what: &str, at: usize) -> InvalidText {
    InvalidText { at, reason: format!("{what} is missing") }
}

impl Arguments {
    fn plain(&mut self, at: usize) -> Result<Vec<Expr>, InvalidText> {
        let plain = |(weight, expr): (Option<Probability>, Expr)| match weight {
            None => Ok(expr),
            Some(_) => Err(InvalidText { at, reason: "this operator takes no weights".into() }),
        };
        core::mem::take(&mut self.operands).into_iter().map(plain).collect()
    }

    fn choices(&mut self, at: usize) -> Result<Vec<Choice>, InvalidText> {
        let choice = |(weight, expr): (Option<Probability>, Expr)| {
            let probability = weight.ok_or_else(|| missing("the probability of a choice", at))?;
            Ok(Choice { probability, expr })
        };
        core::mem::take(&mut self.operands).into_iter().map(choice).collect()
    }

    fn body(&mut self, at: usize) -> Result<Box<Expr>, InvalidText> {
        let mut operands = self.plain(at)?;
        match (operands.pop(), operands.is_empty()) {
            (Some(body), true) => Ok(Box::new(body)),
            _ => Err(InvalidText { at, reason: "this operator takes one operand".into() }),
        }
    }

    fn parameter(&mut self, key: &str) -> Option<(String, usize)> {
        let place = self.parameters.iter().position(|(name, _, _)| name == key)?;
        let (_, value, at) = self.parameters.remove(place);
        Some((value, at))
    }

    fn count(&mut self, key: &str) -> Result<Option<u32>, InvalidText> {
        let parse = |(value, at): (String, usize)| {
            value.parse().map_err(|_| InvalidText { at, reason: format!("{key} is a whole number") })
        };
        self.parameter(key).map(parse).transpose()
    }

    fn required(&mut self, key: &str, at: usize) -> Result<u32, InvalidText> {
        self.count(key)?.ok_or_else(|| missing(key, at))
    }

    fn millis(&mut self, key: &str) -> Result<Option<Millis>, InvalidText> {
        let parse = |(value, at): (String, usize)| {
            let number = value.strip_suffix("ms").and_then(|digits| digits.parse().ok());
            number
                .map(Millis)
                .ok_or_else(|| InvalidText { at, reason: format!("{key} is written like 50ms") })
        };
        self.parameter(key).map(parse).transpose()
    }
}
