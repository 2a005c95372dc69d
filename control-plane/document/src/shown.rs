//! Words of others, made fit to be shown: nothing in them that a terminal obeys or that turns lines around, and not without end.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Words of others in one line: what a terminal would obey is written out (`\u{1b}`, `\n`, `\u{202e}`), and beyond `chars_max` characters
/// of them only their length is told.
pub fn shown(words: &str, chars_max: usize) -> Cow<'_, str> {
    let end = words.char_indices().nth(chars_max).map(|(end, _)| end);
    let kept = &words[..end.unwrap_or(words.len())];
    if end.is_none() && kept.chars().all(is_plain) {
        return Cow::Borrowed(words);
    }
    let mut text = String::with_capacity(kept.len() + 32);
    kept.chars().for_each(|c| push_shown(&mut text, c));
    if end.is_some() {
        let _ = write!(text, "... ({} bytes)", words.len());
    }
    Cow::Owned(text)
}

/// The same for text whose lines and tabs are meant, of any length.
pub fn shown_lines(text: &str) -> Cow<'_, str> {
    let is_meant = |c: char| matches!(c, '\n' | '\t') || is_plain(c);
    if text.chars().all(is_meant) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 32);
    text.chars().for_each(|c| if is_meant(c) { shown.push(c) } else { push_shown(&mut shown, c) });
    Cow::Owned(shown)
}

/// Text of the same length in bytes, for snippets whose places are counted in bytes: what a terminal would obey becomes `?`, or a
/// character of as many bytes that stands for the unknown.
pub(crate) fn in_place(text: &str) -> Cow<'_, str> {
    let is_meant = |c: char| matches!(c, '\n' | '\t') || is_plain(c);
    if text.chars().all(is_meant) {
        return Cow::Borrowed(text);
    }
    let stands_for = |c: char| match c.len_utf8() {
        _ if is_meant(c) => c,
        1 if c == '\r' => ' ',
        1 => '?',
        2 => '\u{bf}',
        3 => '\u{fffd}',
        _ => '\u{1f7c6}',
    };
    Cow::Owned(text.chars().map(stands_for).collect())
}

fn push_shown(text: &mut String, c: char) {
    match c {
        '\n' => text.push_str("\\n"),
        '\r' => text.push_str("\\r"),
        '\t' => text.push_str("\\t"),
        c if is_plain(c) => text.push(c),
        c => {
            let _ = write!(text, "\\u{{{:x}}}", u32::from(c));
        }
    }
}

/// Neither obeyed by a terminal nor without a shape of its own: no control character (C0, DEL, C1), no mark of direction, no character of
/// no width, no tag.
pub fn is_plain(c: char) -> bool {
    let formats = matches!(
        c,
        '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    );
    !(c.is_control() || formats)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Clears the screen, sets the title, goes up a line, turns the text around, by C0, C1 and marks of direction.
    const EVIL: &str = "a\u{1b}[2J\u{1b}]0;x\u{7}\r\n\u{9b}1A\u{202e}b\u{7f}";

    #[test]
    fn what_a_terminal_obeys_is_written_out() {
        let text = shown(EVIL, 1_000);
        assert_eq!(text, "a\\u{1b}[2J\\u{1b}]0;x\\u{7}\\r\\n\\u{9b}1A\\u{202e}b\\u{7f}");
        assert_eq!(shown_lines(EVIL).matches('\n').count(), 1);
        for text in [text, shown_lines(EVIL), in_place(EVIL)] {
            assert!(text.chars().all(|c| is_plain(c) || c == '\n'), "{text:?}");
        }
        assert_eq!(in_place(EVIL).len(), EVIL.len());
    }

    #[test]
    fn plain_words_stay_and_long_ones_end() {
        assert!(matches!(shown("Zahlung über 7 €", 16), Cow::Borrowed(_)));
        assert_eq!(shown(&"é".repeat(500_000), 4), "éééé... (1000000 bytes)");
        assert_eq!(shown("", 0), "");
        assert!(matches!(shown_lines("a\n\tb"), Cow::Borrowed(_)));
    }
}
