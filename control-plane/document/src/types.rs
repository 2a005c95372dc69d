//! Types of fields: what a value looks like and how it is read, in one declaration.
//!
//! A [`Type`] gives a [`Shape`], from which schemas and the reference are made, and reads a value of that shape. What a shape cannot say (that a duration is
//! above zero, that an address has a port) the reading refuses with a remedy.

use std::convert::Infallible;
use std::fmt::Display;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::ops::RangeInclusive;

use emac_core::units::{Micros, Millis, Ppm, Ratio};

use super::fields::{Fields, describe};
use super::reader::Reader;
use super::shape::{Form, Mapping, Scalar, Shape};
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

/// A type of which a default can be told.
pub trait Shown<'a>: Type<'a> {
    /// The value as people write it in YAML.
    fn shown(&self, value: &Self::Value) -> String;
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

impl<'a, T: Written, S: Fn() -> Shape, R: FnMut(Reader<'a>) -> Option<T>> Shown<'a> for Typed<S, R> {
    fn shown(&self, value: &T) -> String {
        value.written()
    }
}

// === scalars ===

/// Text that is not blank.
const WORD: Scalar = Scalar { label: "text", forms: &[Form::Text(r"\S")], example: "word" };
const FLAG: Scalar = Scalar { label: "boolean", forms: &[Form::Boolean], example: "true" };
/// One or more `<number><unit>`; that it is above zero is the reader's to say.
const DURATION_PATTERN: &str = r"^\s*([0-9]*\.?[0-9]*(w|d|h|m|s|ms|us))+\s*$";
/// `99.5%`.
pub const PERCENT: Form = Form::Text(r"^\s*[0-9.eE+-]+\s*%\s*$");
const DURATION: Scalar =
    Scalar { label: "duration", forms: &[Form::Text(DURATION_PATTERN)], example: "400ms" };
/// The paper writes bare seconds.
const SECONDS: Scalar = Scalar {
    label: "duration or seconds",
    forms: &[Form::Above(0.0, 3_155_760_000.0), Form::Text(DURATION_PATTERN)],
    example: "400ms",
};
/// Also as a percentage.
const SHARE: Scalar = Scalar { label: "share", forms: &[Form::Within(0.0, 1.0), PERCENT], example: "0.995" };
const ADDRESS: Scalar =
    Scalar { label: "address", forms: &[Form::Text(r"^\S+:[0-9]{1,5}$")], example: "127.0.0.1:18000" };

/// Text that is not blank.
pub fn word<'a>() -> impl Type<'a, Value = &'a str> {
    typed(|| Shape::Scalar(&WORD), Reader::word)
}

/// Text that is not blank, owned.
pub fn owned<'a>() -> impl Shown<'a, Value = String> {
    word_as(|_, text| Some(text.to_owned()))
}

/// Text that is not blank, of which `read` makes something.
pub fn word_as<'a, T>(
    mut read: impl FnMut(Reader<'a>, &'a str) -> Option<T>,
) -> Typed<impl Fn() -> Shape, impl FnMut(Reader<'a>) -> Option<T>> {
    typed(|| Shape::Scalar(&WORD), move |it: Reader<'a>| it.word().and_then(|text| read(it, text)))
}

/// One value that `read` reads; `forms` are what schemas say of it, `label` is what people call it.
pub fn scalar<'a, T>(
    label: &'static str,
    forms: &'static [Form],
    example: &'static str,
    read: impl FnMut(Reader<'a>) -> Option<T>,
) -> Typed<impl Fn() -> Shape, impl FnMut(Reader<'a>) -> Option<T>> {
    typed(move || scalar_shape(label, forms.to_vec(), example.to_owned()), read)
}

/// Text that matches `pattern` (ECMA 262), of which `read` makes something; `label` is what people call it.
pub fn text_like<'a, T>(
    label: &'static str,
    pattern: &'static str,
    example: &'static str,
    mut read: impl FnMut(Reader<'a>, &'a str) -> Option<T>,
) -> Typed<impl Fn() -> Shape, impl FnMut(Reader<'a>) -> Option<T>> {
    let shape = move || scalar_shape(label, vec![Form::Text(pattern)], example.to_owned());
    typed(shape, move |it: Reader<'a>| it.text().and_then(|text| read(it, text)))
}

/// A time of RFC 3339, in milliseconds since 1970.
pub fn timestamp<'a>() -> impl Type<'a, Value = u64> {
    text_like("time", "^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ]", "'2026-01-31T12:00:00Z'", |it, text| {
        parse_timestamp(text).map_or_else(|error| it.refuse(error.to_string()), Some)
    })
}

/// `true` or `false`.
pub fn flag<'a>() -> impl Shown<'a, Value = bool> {
    typed(|| Shape::Scalar(&FLAG), Reader::boolean)
}

/// A whole number in a range; `label` is what it counts, for people.
pub fn integer<'a, N: TryFrom<u64> + Written>(
    label: &'static str,
    range: RangeInclusive<u64>,
) -> impl Shown<'a, Value = N> {
    let (low, high) = (*range.start(), *range.end());
    let shape = move || scalar_shape(label, vec![Form::Integer(low, high)], high.to_string());
    typed(shape, move |it: Reader<'a>| it.integer(low..=high).and_then(|number| N::try_from(number).ok()))
}

/// A share from 0 to 1, also as a percentage.
pub fn share<'a>() -> impl Shown<'a, Value = Ratio> {
    typed(|| Shape::Scalar(&SHARE), Reader::ratio)
}

/// Whole milliseconds in a range, both ends in milliseconds.
pub fn millis<'a>(range: RangeInclusive<u64>) -> impl Shown<'a, Value = Millis> {
    typed(
        || Shape::Scalar(&DURATION),
        move |it: Reader<'a>| {
            let value = it.millis()?;
            if range.contains(&value.0) {
                return Some(value);
            }
            let [value, low, high] =
                [value, Millis(*range.start()), Millis(*range.end())].map(|it| it.written());
            it.refuse(format!("{value} is not within {low} to {high}"))
        },
    )
}

/// A duration above zero.
pub fn duration<'a>() -> impl Type<'a, Value = Micros> {
    typed(|| Shape::Scalar(&DURATION), Reader::duration)
}

/// A duration above zero; a bare number is seconds, as the paper writes them.
pub fn seconds<'a>() -> impl Type<'a, Value = Micros> {
    typed(|| Shape::Scalar(&SECONDS), Reader::seconds)
}

/// `host:port` with a numeric host: names are resolved by whoever starts us, so that a document means one thing.
pub fn address<'a>() -> impl Shown<'a, Value = SocketAddr> {
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
pub fn choice<'a, T: Copy + PartialEq, C: AsRef<[(&'static str, T)]>>(words: C) -> impl Shown<'a, Value = T> {
    Choice(words, PhantomData)
}

struct Choice<C, T>(C, PhantomData<T>);

impl<'a, T: Copy + PartialEq, C: AsRef<[(&'static str, T)]>> Type<'a> for Choice<C, T> {
    type Value = T;

    fn shape(&self) -> Shape {
        let words: Vec<_> = self.0.as_ref().iter().map(|&(word, _)| word).collect();
        let example = words.first().copied().unwrap_or_default().to_owned();
        scalar_shape("word", vec![Form::Words(words.leak())], example)
    }

    fn read(&mut self, it: Reader<'a>) -> Option<T> {
        it.choice(self.0.as_ref())
    }
}

impl<'a, T: Copy + PartialEq, C: AsRef<[(&'static str, T)]>> Shown<'a> for Choice<C, T> {
    fn shown(&self, value: &T) -> String {
        self.0.as_ref().iter().find(|(_, known)| known == value).map_or("", |&(word, _)| word).to_owned()
    }
}

/// Text, possibly empty.
pub fn text<'a>() -> impl Type<'a, Value = &'a str> {
    text_like("text", "", "text", |_, text| Some(text))
}

/// A value as it stands, which is read later; `shape` is what it looks like.
pub fn unread<'a>(shape: impl Fn() -> Shape) -> impl Type<'a, Value = Reader<'a>> {
    typed(shape, Some)
}

/// The shape of a scalar: how people call it, its forms, one of them.
pub fn scalar_shape(label: &'static str, forms: Vec<Form>, example: String) -> Shape {
    Shape::Scalar(kept(Scalar { label, forms: forms.leak(), example: example.leak() }))
}

/// Tables live as long as the program.
pub fn kept<T>(part: T) -> &'static T {
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
pub fn checked<'a, K: Type<'a>, T, F: FnMut(Reader<'a>, K::Value) -> Option<T>>(
    of: K,
    check: F,
) -> Checked<K, F> {
    Checked { of, check }
}

/// See [`checked`].
#[derive(Debug)]
pub struct Checked<K, F> {
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

impl<'a, K: Type<'a>, T: Written, F: FnMut(Reader<'a>, K::Value) -> Option<T>> Shown<'a> for Checked<K, F> {
    fn shown(&self, value: &T) -> String {
        value.written()
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

/// A mapping with known fields, read by `read`, whose table is `table`: for readers that cannot be run for their table.
pub fn mapping_as<'a, T>(
    table: impl Fn() -> &'static Mapping,
    mut read: impl FnMut(&mut Fields<'a>) -> Option<T>,
) -> Typed<impl Fn() -> Shape, impl FnMut(Reader<'a>) -> Option<T>> {
    typed(move || Shape::Mapping(table()), move |it: Reader<'a>| it.fields(&mut read))
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

impl Written for Ratio {
    fn written(&self) -> String {
        self.get().to_string()
    }
}

impl Written for Ppm {
    fn written(&self) -> String {
        (f64::from(self.get()) / 1e6).to_string()
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
written_as_shown!(bool, u8, u32, u64, usize, f64, SocketAddr, String);
