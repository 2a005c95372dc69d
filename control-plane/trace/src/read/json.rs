//! A pull parser for JSON that is only partly there.
//!
//! A trace file is far larger than what is kept of it: most attributes, all events and links are skipped. So one pass over the bytes
//! takes what is wanted, borrowed from the input, and steps over the rest by counting brackets, without recursion and without building
//! anything. When the input ends in the midst of a value the parser says [`Stop::More`]: the caller reads on and starts the value again.
//! That makes an element's end known without looking for it first.
//!
//! It is lenient where leniency does no harm: bytes that are no UTF-8 and lone surrogates become U+FFFD; what is skipped is checked for
//! balance only.

mod literal;
mod text;

use std::borrow::Cow;

pub(super) use text::{lossy, unescape};

/// Brackets open at once in a skipped value. Nested copies of spans (8 levels of 4 brackets) stay far below.
pub(super) const DEPTH_MAX: usize = 1_000;

/// Why parsing stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// The input ends within the value.
    More,
    /// This is no JSON, at this byte of the input.
    Bad(usize, &'static str),
}

/// A scalar; strings borrow from the input unless they have escapes.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Value<'a> {
    /// `null`, or nothing said.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number without fraction and exponent.
    Int(i128),
    /// Any other number.
    Double(f64),
    /// A string.
    Text(Cow<'a, str>),
    /// An object or array, stepped over.
    Other,
}

impl<'a> Value<'a> {
    /// The text of a string.
    pub(super) fn text(self) -> Option<Cow<'a, str>> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// The integer that a number or the text of a number is.
    pub(super) fn integer(&self) -> Option<i128> {
        match self {
            Self::Int(number) => Some(*number),
            Self::Double(number) if number.fract() == 0.0 && number.abs() < 1e30 => Some(*number as i128),
            Self::Text(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    /// As an example for people: on one line, and cut.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Bool(value) => value.to_string(),
            Self::Int(number) => number.to_string(),
            Self::Double(number) => number.to_string(),
            Self::Text(text) => super::error::shown(text, 40),
            Self::Other => "an object or array".to_owned(),
        }
    }

    /// Whether it says "yes": `true`, `"true"` in any case, a number that is not 0.
    pub(super) fn is_true(&self) -> bool {
        match self {
            Self::Bool(value) => *value,
            Self::Int(value) => *value != 0,
            Self::Text(text) => text.eq_ignore_ascii_case("true") || text == "1",
            _ => false,
        }
    }
}

/// A place in the input.
#[derive(Clone, Debug)]
pub(super) struct Json<'a> {
    bytes: &'a [u8],
    at: usize,
    literal: bool,
}

impl<'a> Json<'a> {
    /// At the beginning of `bytes`.
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, literal: false }
    }

    /// From here on the input is a JavaScript literal, as Node prints objects: see [`literal`].
    pub(super) const fn read_literal(&mut self) {
        self.literal = true;
    }

    /// Bytes taken.
    pub(super) const fn at(&self) -> usize {
        self.at
    }

    /// The next byte that is no white space, not taken.
    pub(super) fn peek(&mut self) -> Result<u8, Stop> {
        while let Some(&byte) = self.bytes.get(self.at) {
            if !is_space(byte) {
                return Ok(byte);
            }
            self.at += 1;
        }
        Err(Stop::More)
    }

    /// Takes the next byte when it is this one.
    pub(super) fn take(&mut self, wanted: u8) -> Result<bool, Stop> {
        let found = self.peek()? == wanted;
        self.at += usize::from(found);
        Ok(found)
    }

    /// Takes this byte, which must come.
    pub(super) fn expect(&mut self, wanted: u8, what: &'static str) -> Result<(), Stop> {
        if self.take(wanted)? { Ok(()) } else { Err(self.bad(what)) }
    }

    pub(super) const fn bad(&self, what: &'static str) -> Stop {
        Stop::Bad(self.at, what)
    }

    /// Hands each field of an object to `field`, which takes its value. `false`: it is no object, and was skipped.
    pub(super) fn object(
        &mut self,
        mut field: impl FnMut(&mut Self, &str) -> Result<(), Stop>,
    ) -> Result<bool, Stop> {
        if !self.take(b'{')? {
            return self.skip().map(|()| false);
        }
        let mut first = true;
        while let Some(key) = self.key(first)? {
            field(self, &key)?;
            first = false;
        }
        Ok(true)
    }

    /// The next key of an object with its colon, or its end.
    pub(super) fn key(&mut self, first: bool) -> Result<Option<Cow<'a, str>>, Stop> {
        if self.take(b'}')? {
            return Ok(None);
        }
        if !first {
            self.expect(b',', "expected ',' or '}'")?;
        }
        let key = match self.peek()? {
            b'"' => self.string()?,
            _ if self.literal => self.literal_key()?,
            _ => return Err(self.bad("expected a field's name in quotes")),
        };
        self.expect(b':', "expected ':'")?;
        Ok(Some(key))
    }

    /// Calls `item` at each item of an array, which takes it. `false`: it is no array, and was skipped.
    pub(super) fn array(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<(), Stop>,
    ) -> Result<bool, Stop> {
        if !self.take(b'[')? {
            return self.skip().map(|()| false);
        }
        let mut first = true;
        while self.item(first)? {
            item(self)?;
            first = false;
        }
        Ok(true)
    }

    /// Whether an array has another item, which is next.
    pub(super) fn item(&mut self, first: bool) -> Result<bool, Stop> {
        if self.take(b']')? {
            return Ok(false);
        }
        if !first {
            self.expect(b',', "expected ',' or ']'")?;
        }
        Ok(true)
    }

    /// Takes a value; objects and arrays are stepped over.
    pub(super) fn value(&mut self) -> Result<Value<'a>, Stop> {
        match self.peek()? {
            b'"' => self.string().map(Value::Text),
            b'{' | b'[' => self.skip().map(|()| Value::Other),
            b't' => self.word("true", Value::Bool(true)),
            b'f' => self.word("false", Value::Bool(false)),
            b'n' => self.word("null", Value::Null),
            _ if self.literal => self.literal_value(),
            _ => self.number(),
        }
    }

    fn word(&mut self, word: &'static str, value: Value<'a>) -> Result<Value<'a>, Stop> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        if rest.starts_with(word.as_bytes()) {
            self.at += word.len();
            return Ok(value);
        }
        if word.as_bytes().starts_with(rest) { Err(Stop::More) } else { Err(self.bad("expected a value")) }
    }

    fn number(&mut self) -> Result<Value<'a>, Stop> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let in_number = |b: &u8| matches!(b, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
        let len = rest.iter().position(|b| !in_number(b)).ok_or(Stop::More)?;
        let text = rest.get(..len).and_then(|text| str::from_utf8(text).ok()).unwrap_or_default();
        let value = match text.parse() {
            Ok(number) => Value::Int(number),
            Err(_) => text.parse().map(Value::Double).map_err(|_| self.bad("expected a value"))?,
        };
        self.at += len;
        Ok(value)
    }

    /// Takes a string.
    fn string(&mut self) -> Result<Cow<'a, str>, Stop> {
        let (raw, escaped) = self.raw_string()?;
        Ok(if escaped { Cow::Owned(unescape(raw)) } else { lossy(raw) })
    }

    /// The bytes between a string's quotes, and whether there are escapes among them.
    fn raw_string(&mut self) -> Result<(&'a [u8], bool), Stop> {
        let start = self.at + 1;
        let mut escaped = false;
        let mut at = start;
        loop {
            let rest = self.bytes.get(at..).ok_or(Stop::More)?;
            at += rest.iter().position(|b| matches!(b, b'"' | b'\\')).ok_or(Stop::More)?;
            if self.bytes.get(at) == Some(&b'"') {
                break;
            }
            escaped = true;
            at += 2;
        }
        self.at = at + 1;
        Ok((self.bytes.get(start..at).unwrap_or_default(), escaped))
    }

    /// Steps over a value.
    pub(super) fn skip(&mut self) -> Result<(), Stop> {
        if self.literal {
            return self.skip_literal();
        }
        let mut depth = 0_usize;
        loop {
            match self.peek()? {
                b'"' => drop(self.raw_string()?),
                b'{' | b'[' => (depth, self.at) = (depth + 1, self.at + 1),
                b'}' | b']' if depth > 0 => (depth, self.at) = (depth - 1, self.at + 1),
                b',' | b':' if depth > 0 => self.at += 1,
                _ => drop(self.value()?),
            }
            if depth == 0 {
                return Ok(());
            }
            if depth > DEPTH_MAX {
                return Err(self.bad("nested deeper than 1000 levels"));
            }
        }
    }
}

/// White space of JSON, and the record separator of RFC 7464.
pub(super) const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t' | 0x1e)
}

#[cfg(test)]
mod tests;
