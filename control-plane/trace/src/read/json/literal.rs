//! JavaScript literals, as Node prints objects (`util.inspect`): keys without quotes, texts in `'`, `"` or `` ` `` that go on behind a `+`,
//! `undefined`, and notes for what is too deep or too long (`[Object]`, `... 3 more items`).

use std::borrow::Cow;

use super::{DEPTH_MAX, Json, Stop, Value, lossy, unescape};

const QUOTES: [u8; 3] = [b'"', b'\'', b'`'];

impl<'a> Json<'a> {
    /// A key with or without quotes.
    pub(super) fn literal_key(&mut self) -> Result<Cow<'a, str>, Stop> {
        if QUOTES.contains(&self.peek()?) {
            return self.literal_text();
        }
        let word = self.literal_word()?;
        if word.is_empty() { Err(self.bad("expected a field's name")) } else { Ok(Cow::Borrowed(word)) }
    }

    /// A value that is none of JSON's own, or a number.
    pub(super) fn literal_value(&mut self) -> Result<Value<'a>, Stop> {
        match self.peek()? {
            byte if QUOTES.contains(&byte) => self.literal_text().map(Value::Text),
            byte if byte.is_ascii_alphabetic() => {
                let word = self.literal_word()?;
                Ok(if word == "undefined" { Value::Null } else { Value::Other })
            }
            _ => {
                let number = self.number()?;
                // `7n`: a large integer.
                self.at += usize::from(self.bytes.get(self.at) == Some(&b'n'));
                Ok(number)
            }
        }
    }

    /// Steps over a value; brackets are counted, and what stands between them is not looked at.
    pub(super) fn skip_literal(&mut self) -> Result<(), Stop> {
        let mut depth = 0_usize;
        loop {
            match self.peek()? {
                byte if QUOTES.contains(&byte) => drop(self.literal_text()?),
                b'{' | b'[' => (depth, self.at) = (depth + 1, self.at + 1),
                b'}' | b']' if depth > 0 => (depth, self.at) = (depth - 1, self.at + 1),
                _ if depth > 0 => self.at += 1,
                _ => drop(self.literal_value()?),
            }
            if depth == 0 {
                return Ok(());
            }
            if depth > DEPTH_MAX {
                return Err(self.bad("nested deeper than 1000 levels"));
            }
        }
    }

    /// Letters, digits, `_` and `$`; empty when there are none.
    fn literal_word(&mut self) -> Result<&'a str, Stop> {
        self.peek()?;
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let within = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'$');
        let len = rest.iter().position(|b| !within(b)).ok_or(Stop::More)?;
        self.at += len;
        Ok(rest.get(..len).and_then(|word| str::from_utf8(word).ok()).unwrap_or_default())
    }

    /// A text and what is added to it.
    fn literal_text(&mut self) -> Result<Cow<'a, str>, Stop> {
        let mut text = self.quoted()?;
        while self.take(b'+')? {
            if !QUOTES.contains(&self.peek()?) {
                return Err(self.bad("expected the rest of a text"));
            }
            let more = self.quoted()?;
            text.to_mut().push_str(&more);
        }
        Ok(text)
    }

    fn quoted(&mut self) -> Result<Cow<'a, str>, Stop> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let (quote, behind) = rest.split_first().ok_or(Stop::More)?;
        let mut escaped = false;
        let mut len = 0;
        loop {
            let here = behind.get(len..).ok_or(Stop::More)?;
            len += here.iter().position(|b| b == quote || *b == b'\\').ok_or(Stop::More)?;
            if behind.get(len) == Some(quote) {
                break;
            }
            (escaped, len) = (true, len + 2);
        }
        self.at += len + 2;
        let raw = behind.get(..len).unwrap_or_default();
        Ok(if escaped { Cow::Owned(unescape(raw)) } else { lossy(raw) })
    }
}
