//! Where words go: results to standard output, everything else to standard error.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};

use emac_document::{Problems, is_plain, render_json, render_text, shown_lines};
use serde_json::{Value, json};

use super::exit::Exit;

/// How a command answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs, on standard output.
    Json,
}

/// A line for people about what went wrong.
pub(super) fn complain(message: impl std::fmt::Display) {
    let _ = writeln!(io::stderr(), "emac: {}", shown_lines(&message.to_string()));
}

/// Shows problems of files: for people on standard error, for programs on standard output.
pub(super) fn show_problems(problems: &Problems, format: Format) {
    match format {
        Format::Text => {
            let _ = write!(io::stderr(), "{}", render_text(problems, colors(&io::stderr())));
        }
        Format::Json => print_json(&json!({"problems": render_json(problems)})),
    }
}

/// What was read, unless there is an error. Then all problems are the answer; warnings beside a value are shown to people here, and to programs
/// by [`print_answer`].
pub(super) fn valid<T>(value: Option<T>, problems: &Problems, format: Format) -> Result<T, Exit> {
    let valid = value.filter(|_| problems.errors() == 0);
    if !problems.is_empty() && (valid.is_none() || format == Format::Text) {
        show_problems(problems, format);
    }
    valid.ok_or(Exit::InvalidInput)
}

/// A result for people.
pub(super) fn print_line(line: impl std::fmt::Display) {
    let _ = writeln!(io::stdout(), "{}", shown_lines(&line.to_string()));
}

/// A result of several lines, each with its end.
pub(super) fn print_text(text: &str) {
    let _ = io::stdout().write_all(shown_lines(text).as_bytes());
}

/// A result for programs: an object, with the problems of the input as `problems`, which is always there.
pub(super) fn print_answer(mut answer: Value, problems: &Problems) {
    answer["problems"] = render_json(problems);
    print_json(&answer);
}

/// A document for programs.
pub(super) fn print_json(value: &Value) {
    // A reader that has gone away is no failure of ours.
    let _ = writeln!(io::stdout(), "{}", plain_json(&format!("{value:#}")));
}

/// JSON of which a terminal obeys nothing: what serde leaves of it (DEL, C1, marks of direction) stands in strings only, where it may be escaped.
fn plain_json(json: &str) -> Cow<'_, str> {
    let is_kept = |c: char| c == '\n' || is_plain(c);
    if json.chars().all(is_kept) {
        return Cow::Borrowed(json);
    }
    let mut text = String::with_capacity(json.len() + 32);
    for c in json.chars() {
        let mut units = [0; 2];
        match is_kept(c) {
            true => text.push(c),
            false => c.encode_utf16(&mut units).iter().for_each(|unit| text += &format!("\\u{unit:04x}")),
        }
    }
    Cow::Owned(text)
}

/// Colours only for a terminal, and never when `NO_COLOR` is set to something (no-color.org).
pub(super) fn colors(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_stays_what_it_is_and_tells_a_terminal_nothing() {
        let value = json!({"a\u{202e}": "\u{9b}2J \u{1b}[2J \u{e0041} \n é"});
        let text = format!("{value:#}");
        let text = plain_json(&text);
        assert!(text.chars().all(|c| c == '\n' || is_plain(c)), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }
}
