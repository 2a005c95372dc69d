//! What one end of an exchange saw, as lines of text that two runs can be compared by.
//!
//! A line is as it was on the wire, escaped where it is not printable. What truly differs from run to run is replaced here and nowhere
//! else; README.md gives the reason of each.

use std::hash::{DefaultHasher, Hasher};

/// Bodies up to here are printed; longer ones are told by length and digest.
const PRINTED_MAX: usize = 160;

/// Lines, and the journey contexts that were taken out of them.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    /// In the order of the wire.
    pub(super) lines: Vec<String>,
    /// Values of `emac` baggage members.
    pub(super) contexts: Vec<String>,
    /// Other members.
    baggage: Vec<String>,
}

impl Seen {
    /// A line of ours.
    pub(super) fn say(&mut self, line: impl Into<String>) {
        self.lines.push(line.into());
    }

    /// A line from the wire.
    pub(super) fn raw(&mut self, line: &[u8]) {
        self.lines.push(line.escape_ascii().to_string());
    }

    /// A header, normalised.
    pub(super) fn header(&mut self, name: &[u8], value: &[u8]) {
        let name = name.escape_ascii().to_string();
        let value = match name.to_ascii_lowercase().as_str() {
            // The second in which the answer was made.
            "date" => "<date>".to_owned(),
            // Random, made by Envoy.
            "x-request-id" => "<id>".to_owned(),
            // Measured by Envoy.
            "x-envoy-upstream-service-time" => "<ms>".to_owned(),
            // Ours: which run this is.
            "x-case" => "<case>".to_owned(),
            "baggage" => return self.take_context(value),
            _ => value.escape_ascii().to_string(),
        };
        self.lines.push(format!("{name}: {value}"));
    }

    /// A body.
    pub(super) fn body(&mut self, body: &[u8]) {
        if body.is_empty() {
            return;
        }
        if body.len() <= PRINTED_MAX {
            self.lines.push(format!("body {}: {}", body.len(), body.escape_ascii()));
        } else {
            let mut hasher = DefaultHasher::new();
            hasher.write(body);
            self.lines.push(format!("body {}: digest {:016x}", body.len(), hasher.finish()));
        }
    }

    /// Takes our member out. What is left stands apart: Envoy puts a header that was set behind all others.
    fn take_context(&mut self, value: &[u8]) {
        let text = value.escape_ascii().to_string();
        for member in text.split(',').map(str::trim) {
            match member.strip_prefix("emac=") {
                Some(context) => self.contexts.push(context.to_owned()),
                None => self.baggage.push(member.to_owned()),
            }
        }
    }

    /// All lines, baggage of others at their end.
    pub(super) fn told(&self) -> Vec<String> {
        let baggage = (!self.baggage.is_empty()).then(|| format!("baggage: {}", self.baggage.join(",")));
        self.lines.iter().cloned().chain(baggage).collect()
    }
}

/// Lines of two texts, those that only one has marked with `-` (plain) and `+` (filtered).
pub(super) fn diff(plain: &[String], filtered: &[String]) -> String {
    // Longest common subsequence; texts have some hundred lines at most.
    let mut longest = vec![vec![0_u32; filtered.len() + 1]; plain.len() + 1];
    for (i, left) in plain.iter().enumerate().rev() {
        for (j, right) in filtered.iter().enumerate().rev() {
            longest[i][j] = if left == right {
                longest[i + 1][j + 1] + 1
            } else {
                longest[i + 1][j].max(longest[i][j + 1])
            };
        }
    }
    let (mut i, mut j, mut text) = (0, 0, String::new());
    while i < plain.len() || j < filtered.len() {
        if i < plain.len() && j < filtered.len() && plain[i] == filtered[j] {
            (i, j) = (i + 1, j + 1);
        } else if j == filtered.len() || (i < plain.len() && longest[i + 1][j] >= longest[i][j + 1]) {
            text.push_str(&format!("    - {}\n", plain[i]));
            i += 1;
        } else {
            text.push_str(&format!("    + {}\n", filtered[j]));
            j += 1;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn a_difference_shows_what_only_one_has() {
        assert_eq!(diff(&lines("a b c"), &lines("a b c")), "");
        assert_eq!(diff(&lines("a b c"), &lines("a x c d")), "    - b\n    + x\n    + d\n");
    }

    #[test]
    fn our_member_is_taken_out_and_nothing_else() {
        let mut seen = Seen::default();
        seen.header(b"baggage", b"emac=v2.checkout.r5.0000,tenant=7");
        seen.header(b"date", b"today");
        seen.header(b"x-a", b"\xff");
        assert_eq!(seen.told(), ["date: <date>", "x-a: \\xff", "baggage: tenant=7"]);
        assert_eq!(seen.contexts, ["v2.checkout.r5.0000"]);
    }
}
