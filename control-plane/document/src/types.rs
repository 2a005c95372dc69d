//! Types of fields: what a value looks like and how it is read, in one declaration.
//!
//! A [`Type`] gives a [`Shape`], from which schemas and the reference are made, and reads a value of that shape. What a shape cannot say (that a duration is
//! above zero, that an address has a port) the reading refuses with a remedy.

use std::convert::Infallible;
use std::fmt::Display;
use std::net::SocketAddr;
use std::ops::RangeInclusive;

use emac_core::units::{Micros, Millis, Ratio};

use super::fields::{Fields, describe};
use super::reader::Reader;
use super::shape::{Form, Scalar, Shape};
use super::timestamp::parse_timestamp;
use super::units::format_duration;

/// The type of a field.
pub trait Type<'a> {
    /// What is read.
    type Value;

    /// What it looks like.
    fn shape(&self) -> Shape;

    /// Reads a value. `None` after a problem was reported.
    fn read(&mut self, it: Reader<'a>) -> Option<Self::Value>;
}

/// A type of two functions.
#[derive(Debug)]
pub struct Typed<S, R> {
    shape: S,
    read: R,
}

/// A type that looks like `shape` and is read by `read`.
pub fn typed<'a, T, S: Fn() -> Shape, R: FnMut(Reader<'a>) -> Option<T>>(shape: S, read: R) -> Typed<S, R> {
    Typed { shape, read }
}

impl<'a, T, S: Fn() -> Shape, R: FnMut(Reader<'a>) -> Option<T>> Type<'a> for Typed<S, R> {
    type Value = T;

    fn shape(&self) -> Shape {
        (self.shape)()
    }

    fn read(&mut self, it: Reader<'a>) -> Option<T> {
        (self.read)(it)
    }
}

// === scalars ===

/// Text that is not blank.
const WORD: Scalar = Scalar { label: "text", forms: &[Form::Text(r"\S")], example: "word" };
/// Possibly empty.
const TEXT: Scalar = Scalar { label: "text", forms: &[Form::Text("")], example: "text" };
const FLAG: Scalar = Scalar { label: "boolean", forms: &[Form::Boolean], example: "true" };
/// One or more `<number><unit>`; that it is above zero is the reader's to say.
const DURATION: Scalar = Scalar {
    label: "duration",
    forms: &[Form::Text(r"^\s*([0-9]*\.?[0-9]*(w|d|h|m|s|ms|us))+\s*$")],
    example: "400ms",
};
const ADDRESS: Scalar =
    Scalar { label: "address", forms: &[Form::Text(r"^\S+:[0-9]{1,5}$")], example: "127.0.0.1:18000" };
/// A number, or `99.5%`.
const SHARE: Scalar = Scalar {
    label: "share",
    forms: &[Form::Within(0.0, 1.0), Form::Text(r"^\s*[0-9.eE+-]+\s*%\s*$")],
    example: "0.995",
};

/// Text, possibly empty.
pub fn text<'a>() -> impl Type<'a, Value = &'a str> {
    typed(|| Shape::Scalar(&TEXT), Reader::text)
}

/// Text that is not blank.
pub fn word<'a>() -> impl Type<'a, Value = &'a str> {
    typed(|| Shape::Scalar(&WORD), Reader::word)
}

/// Text that is not blank, as one's own.
pub fn own_word<'a>() -> impl Type<'a, Value = String> {
    word_as(|_, text| Some(text.to_owned()))
}

/// Text that is not blank, of which `read` makes something.
pub fn word_as<'a, T>(mut read: impl FnMut(Reader<'a>, &'a str) -> Option<T>) -> impl Type<'a, Value = T> {
    typed(|| Shape::Scalar(&WORD), move |it: Reader<'a>| it.word().and_then(|text| read(it, text)))
}

/// Text that matches `pattern` (ECMA 262), of which `read` makes something; `label` is what people call it.
pub fn text_like<'a, T>(
    label: &'static str,
    pattern: &'static str,
    example: &'static str,
    mut read: impl FnMut(Reader<'a>, &'a str) -> Option<T>,
) -> impl Type<'a, Value = T> {
    let shape = move || scalar(label, vec![Form::Text(pattern)], example.to_owned());
    typed(shape, move |it: Reader<'a>| it.text().and_then(|text| read(it, text)))
}

/// A time of RFC 3339, in milliseconds since 1970.
pub fn timestamp<'a>() -> impl Type<'a, Value = u64> {
    text_like("time", "^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ]", "'2026-01-31T12:00:00Z'", |it, text| {
        parse_timestamp(text).map_or_else(|error| it.refuse(error.to_string()), Some)
    })
}

/// `true` or `false`.
pub fn flag<'a>() -> impl Type<'a, Value = bool> {
    typed(|| Shape::Scalar(&FLAG), Reader::boolean)
}

/// A whole number in a range; `label` is what it counts, for people.
pub fn integer<'a, N: TryFrom<u64>>(
    label: &'static str,
    range: RangeInclusive<u64>,
) -> impl Type<'a, Value = N> {
    let (low, high) = (*range.start(), *range.end());
    let shape = move || scalar(label, vec![Form::Integer(low, high)], high.to_string());
    typed(shape, move |it: Reader<'a>| it.integer(low..=high).and_then(|number| N::try_from(number).ok()))
}

/// A share from 0 to 1.
pub fn share<'a>() -> impl Type<'a, Value = Ratio> {
    typed(|| Shape::Scalar(&SHARE), Reader::ratio)
}

/// Whole milliseconds in a range, both ends in milliseconds.
pub fn millis<'a>(range: RangeInclusive<u64>) -> impl Type<'a, Value = Millis> {
    typed(
        || Shape::Scalar(&DURATION),
        move |it: Reader<'a>| {
            let value = it.millis()?;
            if range.contains(&value.0) {
                return Some(value);
            }
            it.refuse(format!("{value} is not within {} ms to {} ms", range.start(), range.end()))
        },
    )
}

/// A duration above zero.
pub fn duration<'a>() -> impl Type<'a, Value = Micros> {
    typed(|| Shape::Scalar(&DURATION), Reader::duration)
}

/// `host:port` with a numeric host: names are resolved by whoever starts us, so that a document means one thing.
pub fn address<'a>() -> impl Type<'a, Value = SocketAddr> {
    typed(
        || Shape::Scalar(&ADDRESS),
        |it: Reader<'a>| {
            let text = it.word()?;
            text.parse().ok().or_else(|| {
                let message = format!("`{text}` is not an address");
                it.refuse_with(message, "an IP address and a port, as in \"127.0.0.1:18000\"")
            })
        },
    )
}

/// One of a few words.
pub fn choice<'a, T: Copy, C: AsRef<[(&'static str, T)]> + Copy>(choices: C) -> impl Type<'a, Value = T> {
    let shape = move || {
        let words: Vec<_> = choices.as_ref().iter().map(|&(word, _)| word).collect();
        let example = words.first().copied().unwrap_or_default().to_owned();
        scalar("word", vec![Form::Words(words.leak())], example)
    };
    typed(shape, move |it: Reader<'a>| it.choice(choices.as_ref()))
}

fn scalar(label: &'static str, forms: Vec<Form>, example: String) -> Shape {
    Shape::Scalar(kept(Scalar { label, forms: forms.leak(), example: example.leak() }))
}

/// Tables live as long as the program.
pub(super) fn kept<T>(part: T) -> &'static T {
    Box::leak(Box::new(part))
}

// === collections ===

/// A list; every item is read even after one failed.
pub fn list<'a, K: Type<'a>>(of: K) -> impl Type<'a, Value = Vec<K::Value>> {
    List(of)
}

struct List<K>(K);

impl<'a, K: Type<'a>> Type<'a> for List<K> {
    type Value = Vec<K::Value>;

    fn shape(&self) -> Shape {
        Shape::List(kept(self.0.shape()))
    }

    fn read(&mut self, it: Reader<'a>) -> Option<Self::Value> {
        it.list(|item| self.0.read(item))
    }
}

/// A mapping with names of the writer's choosing: what `name` makes of each (its pattern is for schemas), and its value. Every entry is read even after one
/// failed.
pub fn map<'a, N, E: Display, K: Type<'a>>(
    pattern: &'static str,
    name: impl FnMut(&'a str) -> Result<N, E>,
    of: K,
) -> impl Type<'a, Value = Vec<(N, K::Value)>> {
    Map { pattern, name, of }
}

struct Map<F, K> {
    pattern: &'static str,
    name: F,
    of: K,
}

impl<'a, N, E: Display, F: FnMut(&'a str) -> Result<N, E>, K: Type<'a>> Type<'a> for Map<F, K> {
    type Value = Vec<(N, K::Value)>;

    fn shape(&self) -> Shape {
        Shape::Map(self.pattern, kept(self.of.shape()))
    }

    fn read(&mut self, it: Reader<'a>) -> Option<Self::Value> {
        it.map(|entry, value| {
            let name = match (self.name)(&entry.key) {
                Ok(name) => Some(name),
                Err(error) => it.refuse_at(entry.key_span, error.to_string()),
            };
            let value = self.of.read(value);
            Some((name?, value?))
        })
    }
}

/// A mapping with names of the writer's choosing, any.
pub fn by_name<'a, K: Type<'a>>(of: K) -> impl Type<'a, Value = Vec<(String, K::Value)>> {
    map("", |name| Ok::<_, Infallible>(name.to_owned()), of)
}

/// One of two types: the first where `is_first` says so of what stands there.
pub fn either<'a, A: Type<'a>, B: Type<'a, Value = A::Value>>(
    is_first: impl Fn(Reader<'a>) -> bool,
    first: A,
    second: B,
) -> impl Type<'a, Value = A::Value> {
    Either { is_first, first, second }
}

struct Either<F, A, B> {
    is_first: F,
    first: A,
    second: B,
}

impl<'a, F: Fn(Reader<'a>) -> bool, A: Type<'a>, B: Type<'a, Value = A::Value>> Type<'a> for Either<F, A, B> {
    type Value = A::Value;

    fn shape(&self) -> Shape {
        Shape::Either(kept([self.first.shape(), self.second.shape()]))
    }

    fn read(&mut self, it: Reader<'a>) -> Option<Self::Value> {
        if (self.is_first)(it) { self.first.read(it) } else { self.second.read(it) }
    }
}

/// `of`, and what `check` makes of it: what a shape cannot say.
pub fn checked<'a, K: Type<'a>, T>(
    of: K,
    check: impl FnMut(Reader<'a>, K::Value) -> Option<T>,
) -> impl Type<'a, Value = T> {
    Checked { of, check }
}

struct Checked<K, F> {
    of: K,
    check: F,
}

impl<'a, K: Type<'a>, T, F: FnMut(Reader<'a>, K::Value) -> Option<T>> Type<'a> for Checked<K, F> {
    type Value = T;

    fn shape(&self) -> Shape {
        self.of.shape()
    }

    fn read(&mut self, it: Reader<'a>) -> Option<T> {
        let value = self.of.read(it)?;
        (self.check)(it, value)
    }
}

/// A mapping with known fields, read by `read`.
pub fn mapping<'a, T, R>(mut read: R) -> impl Type<'a, Value = T>
where
    R: for<'b> FnMut(&mut Fields<'b>) -> Option<T> + Clone,
{
    let described = read.clone();
    typed(move || Shape::Mapping(describe(described.clone())), move |it: Reader<'a>| it.fields(&mut read))
}

// === defaults ===

/// What a default looks like in a document, so that schemas and the reference say what readers take.
pub trait Written {
    /// The value as YAML.
    fn written(&self) -> String;
}

impl Written for Millis {
    fn written(&self) -> String {
        format_duration(self.to_micros())
    }
}

macro_rules! written_as_shown {
    ($($type:ty),*) => {
        $(impl Written for $type {
            fn written(&self) -> String {
                self.to_string()
            }
        })*
    };
}
written_as_shown!(bool, u32, u64, usize, f64, SocketAddr, String);

/// The word for `value` among the words of a [`choice`]; empty if it has none.
pub fn word_for<T: PartialEq>(choices: &[(&'static str, T)], value: &T) -> String {
    choices.iter().find(|(_, one)| one == value).map_or("", |&(word, _)| word).to_owned()
}
