//! Answers of backends that say what went wrong: Jaeger's `errors`, Tempo's and Grafana's `message` with a code, AWS' `__type`.

use super::{ReadContext, ReadError, Stream};
use crate::Oddity;
use crate::read::error::{Found, shown};

/// Longest text quoted, in characters.
const SAID_MAX: usize = 160;

/// What a document says of an error.
#[derive(Default)]
pub(super) struct Answer {
    error: Option<String>,
    message: Option<String>,
    /// A code or status stands beside the message: it is not just any document with a message.
    has_code: bool,
    /// It lists traces without their spans.
    lists: bool,
}

impl Answer {
    /// Whether it listens to a field.
    pub(super) fn listens(key: &str) -> bool {
        matches!(
            key,
            "errors"
                | "error"
                | "message"
                | "msg"
                | "Message"
                | "detail"
                | "code"
                | "status"
                | "statusCode"
                | "__type"
                | "traces"
                | "TraceSummaries"
        )
    }

    /// Takes a field's value.
    pub(super) fn hear(&mut self, key: &str, stream: &mut Stream<'_>) -> Result<(), ReadError> {
        let said = stream.written(SAID_MAX)?;
        let said = shown(&said, SAID_MAX);
        let says_none = matches!(said.as_str(), "null" | "[]" | "{}" | "\"\"" | "false" | "0");
        match key {
            _ if says_none => {}
            "errors" | "error" => self.error = Some(said),
            "traces" | "TraceSummaries" => self.lists = true,
            "message" | "msg" | "Message" | "detail" => self.message = Some(said),
            _ => self.has_code = true,
        }
        Ok(())
    }

    /// An error where there are no traces; with traces, a sign that some are missing.
    pub(super) fn judge(
        self,
        at: u64,
        known: bool,
        has_spans: bool,
        context: &mut ReadContext<'_>,
    ) -> Result<(), ReadError> {
        let message = self.message.filter(|_| self.has_code || self.error.is_some());
        let said = match (self.error, message) {
            (Some(error), Some(message)) if !error.contains(&message) => Some(format!("{error}: {message}")),
            (error, message) => error.or(message),
        };
        if self.lists && !known && said.is_none() {
            let what = "a list of traces without their spans: ask for the traces themselves";
            return Err(ReadError::Unknown { at, what, found: Found::default() });
        }
        let Some(said) = said else { return Ok(()) };
        if !has_spans {
            return Err(ReadError::Answer { at, said });
        }
        context.odd(Oddity::Partial, format_args!("{said}"));
        Ok(())
    }
}
