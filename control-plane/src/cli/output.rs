//! Where words go: results to standard output, everything else to standard error.

use std::io::{self, IsTerminal, Write};

use emac_document::{Problems, render_json, render_text};
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
    let _ = writeln!(io::stderr(), "emac: {message}");
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
    let _ = writeln!(io::stdout(), "{line}");
}

/// A result of several lines, each with its end.
pub(super) fn print_text(text: &str) {
    let _ = io::stdout().write_all(text.as_bytes());
}

/// A result for programs: an object, with the problems of the input as `problems`, which is always there.
pub(super) fn print_answer(mut answer: Value, problems: &Problems) {
    answer["problems"] = render_json(problems);
    print_json(&answer);
}

/// A document for programs.
pub(super) fn print_json(value: &Value) {
    // A reader that has gone away is no failure of ours.
    let _ = writeln!(io::stdout(), "{value:#}");
}

/// Colours only for a terminal, and never when `NO_COLOR` is set to something (no-color.org).
pub(super) fn colors(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
