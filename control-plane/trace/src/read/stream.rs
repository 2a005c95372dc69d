//! JSON of any length, value by value, through a [`Window`].

use super::ReadError;
use super::error::Found;
use super::json::{DEPTH_MAX, Json, Stop, is_space};
use super::window::ReadWindow;

/// The first bytes of a value, kept in case it must be shown.
pub(super) struct Head([u8; Head::BYTES]);

impl Head {
    const BYTES: usize = 48;

    /// For people.
    pub(super) fn found(&self) -> Found {
        Found::of(&self.0)
    }
}

/// A place in a JSON document that is only partly in memory.
pub(super) struct Stream<'r> {
    window: ReadWindow<'r>,
}

impl<'r> Stream<'r> {
    /// At the place the window has reached.
    pub(super) const fn new(window: ReadWindow<'r>) -> Self {
        Self { window }
    }

    /// Bytes taken.
    pub(super) const fn offset(&self) -> u64 {
        self.window.offset()
    }

    /// Parses one value, or any part that is in memory at once. `parse` is called again from the start when it wanted more, so it
    /// must act only when it is through.
    pub(super) fn parse<T>(
        &mut self,
        mut parse: impl FnMut(&mut Json<'_>) -> Result<T, Stop>,
    ) -> Result<T, ReadError> {
        loop {
            let mut json = Json::new(self.window.bytes());
            match parse(&mut json) {
                Ok(value) => {
                    let taken = json.at();
                    self.window.take(taken);
                    return Ok(value);
                }
                Err(Stop::More) => self.read_on()?,
                Err(Stop::Bad(at, what)) => return Err(self.bad(at, what)),
            }
        }
    }

    fn read_on(&mut self) -> Result<(), ReadError> {
        if self.window.more()? {
            return Ok(());
        }
        let at = self.offset() + self.window.bytes().len() as u64;
        Err(ReadError::Truncated { at, what: "a JSON document" })
    }

    fn bad(&self, at: usize, what: &'static str) -> ReadError {
        let found = Found::of(self.window.bytes().get(at..).unwrap_or_default());
        ReadError::Syntax { at: self.offset() + at as u64, what, found }
    }

    /// The next byte that is no white space, not taken.
    pub(super) fn peek(&mut self) -> Result<u8, ReadError> {
        self.parse(|json| json.peek())
    }

    /// The next byte that is no white space, or `None` at the end of the source.
    pub(super) fn peek_or_end(&mut self) -> Result<Option<u8>, ReadError> {
        loop {
            let spaces = self.window.bytes().iter().take_while(|&&b| is_space(b)).count();
            self.window.take(spaces);
            if let Some(&byte) = self.window.bytes().first() {
                return Ok(Some(byte));
            }
            if !self.window.more()? {
                return Ok(None);
            }
        }
    }

    /// The next key of an object whose brace was taken.
    pub(super) fn key(&mut self, first: &mut bool) -> Result<Option<String>, ReadError> {
        let was_first = std::mem::take(first);
        self.parse(|json| Ok(json.key(was_first)?.map(|key| key.into_owned())))
    }

    /// The first answer that a key of the object which is next gives, in their order; nothing is taken. `None`: no key gives one, or none
    /// before the window is full.
    pub(super) fn ask_keys<T>(
        &mut self,
        mut ask: impl FnMut(&str) -> Option<T>,
    ) -> Result<Option<T>, ReadError> {
        let found = self.parse(|json| {
            let mut ahead = json.clone();
            ahead.expect(b'{', "expected an object")?;
            let mut first = true;
            while let Some(key) = ahead.key(first)? {
                if let Some(found) = ask(&key) {
                    return Ok(Some(found));
                }
                ahead.skip()?;
                first = false;
            }
            Ok(None)
        });
        if matches!(found, Err(ReadError::TooLarge { .. })) { Ok(None) } else { found }
    }

    /// Whether the object which is next is no JSON but a JavaScript literal: its first key has no quotes.
    pub(super) fn is_literal(&mut self) -> Result<bool, ReadError> {
        self.parse(|json| {
            let mut ahead = json.clone();
            ahead.expect(b'{', "expected an object")?;
            ahead.peek().map(|byte| byte.is_ascii_alphabetic())
        })
    }

    /// What stands where reading is, as far as it is in memory.
    pub(super) fn head(&self) -> Head {
        let bytes = self.window.bytes();
        let mut head = [b' '; Head::BYTES];
        head.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        Head(head)
    }

    /// Whether the array whose bracket was taken has another item, which is next.
    pub(super) fn item(&mut self, first: &mut bool) -> Result<bool, ReadError> {
        let was_first = std::mem::take(first);
        self.parse(|json| json.item(was_first))
    }

    /// Reads an array, `each` item where it begins; any other value is skipped, and `false` unless it is `null`.
    pub(super) fn items(
        &mut self,
        mut each: impl FnMut(&mut Self) -> Result<(), ReadError>,
    ) -> Result<bool, ReadError> {
        let is_null = self.peek()? == b'n';
        if !self.enter(b'[')? {
            return Ok(is_null);
        }
        let mut first = true;
        while self.item(&mut first)? {
            each(self)?;
        }
        Ok(true)
    }

    /// Steps over a value; its text as it is written, or as much of it as is wanted.
    pub(super) fn written(&mut self, bytes_max: usize) -> Result<String, ReadError> {
        let begin = self.peek().map(|_| self.offset())?;
        while self.window.bytes().len() < bytes_max && self.window.more()? {}
        let head = String::from_utf8_lossy(self.window.bytes()).into_owned();
        self.skip()?;
        let length = usize::try_from(self.offset() - begin).unwrap_or(usize::MAX);
        Ok(head.char_indices().take_while(|(at, _)| *at < length).map(|(_, c)| c).take(bytes_max).collect())
    }

    /// Takes an opening bracket; any other value is skipped, and `false`.
    pub(super) fn enter(&mut self, bracket: u8) -> Result<bool, ReadError> {
        if self.parse(|json| json.take(bracket))? { Ok(true) } else { self.skip().map(|()| false) }
    }

    /// Steps over a value of any length, however little of it fits into the window.
    pub(super) fn skip(&mut self) -> Result<(), ReadError> {
        let mut depth = 0_usize;
        loop {
            match self.peek()? {
                b'{' | b'[' => (depth, ()) = (depth + 1, self.window.take(1)),
                b'}' | b']' if depth > 0 => (depth, ()) = (depth - 1, self.window.take(1)),
                b',' | b':' if depth > 0 => self.window.take(1),
                b'"' => self.skip_string()?,
                _ => drop(self.parse(|json| json.value().map(drop))?),
            }
            if depth == 0 {
                return Ok(());
            }
            if depth > DEPTH_MAX {
                return Err(self.bad(0, "nested deeper than 1000 levels"));
            }
        }
    }

    /// Steps over the rest of the line.
    pub(super) fn skip_line(&mut self) -> Result<(), ReadError> {
        loop {
            let end = self.window.bytes().iter().position(|&b| b == b'\n');
            self.window.take(end.map_or(usize::MAX / 2, |at| at + 1));
            if end.is_some() || !self.window.more()? {
                return Ok(());
            }
        }
    }

    fn skip_string(&mut self) -> Result<(), ReadError> {
        self.window.take(1);
        let mut escape = false;
        loop {
            let ends = |&b: &u8| {
                let ends = b == b'"' && !escape;
                escape = b == b'\\' && !escape;
                ends
            };
            let found = self.window.bytes().iter().position(ends);
            self.window.take(found.map_or(usize::MAX / 2, |at| at + 1));
            if found.is_some() {
                return Ok(());
            }
            self.read_on()?;
        }
    }
}
