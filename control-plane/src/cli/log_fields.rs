//! Fields of log lines for people: what others wrote in them tells a terminal nothing, begins no line of its own and comes to an end.

use std::fmt::{self, Write};

use emac_document::is_plain;
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::debug_fn;

/// Most bytes of a field; a page of problems of intents is the longest thing that is meant.
const FIELD_BYTES_MAX: usize = 64 << 10;

/// Writes the message, then `name=value` each.
pub(super) fn fields() -> impl for<'w> FormatFields<'w> + Send + Sync + 'static {
    debug_fn(|writer, field, value| {
        let message = field.name() == "message";
        if !message {
            write!(writer, "{}=", field.name())?;
        }
        write!(Shown { writer, lines: message, left: Some(FIELD_BYTES_MAX) }, "{value:?}")
    })
    .delimited(" ")
}

/// Passes on what is plain and writes the rest out.
struct Shown<'a, W: Write> {
    writer: &'a mut W,
    /// Whether lines and tabs are meant: ours are, in messages; words of others come there only through `emac_document::shown`.
    lines: bool,
    /// Bytes that still fit; `None` once it was cut.
    left: Option<usize>,
}

impl<W: Write> Write for Shown<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            match self.left.map(|left| left.checked_sub(c.len_utf8())) {
                Some(Some(left)) => self.left = Some(left),
                Some(None) => {
                    self.left = None;
                    return self.writer.write_str("... (cut)");
                }
                None => return Ok(()),
            }
            match c {
                '\n' | '\t' if self.lines => self.writer.write_char(c)?,
                c if is_plain(c) => self.writer.write_char(c)?,
                c => write!(self.writer, "{}", c.escape_default())?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, lines: bool) -> String {
        let mut writer = String::new();
        write!(Shown { writer: &mut writer, lines, left: Some(FIELD_BYTES_MAX) }, "{text}").unwrap();
        writer
    }

    #[test]
    fn a_field_ends_and_tells_a_terminal_nothing() {
        assert_eq!(shown("a\u{1b}[2J\n\u{202e}b", false), "a\\u{1b}[2J\\n\\u{202e}b");
        assert_eq!(shown("a\n\tb\r\u{9b}", true), "a\n\tb\\r\\u{9b}");
        let long = shown(&"x".repeat(1 << 20), false);
        assert!(long.len() < FIELD_BYTES_MAX + 16 && long.ends_with("x... (cut)"));
    }
}
