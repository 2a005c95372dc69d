//! What `enforcement` stops in a text that is no document: a line that stops must not wait for somebody to mend another one.
//!
//! Looked for are lines that begin with `enforcement:`, each with the lines that belong to it, up to the next that is not indented; each such
//! block is read by itself. Of one that cannot be read whole, the longest beginning that stops something counts. What is found may only ever
//! stop: half a text says nothing about what somebody wants to resume. A configuration in braces has no such lines.

use emac_document::{Problems, Source};

use super::enforcement_of;
use crate::config::Stopped;

const KEY: &str = "enforcement";
/// Most lines of a block that are left out one after the other.
const BEGINNINGS_MAX: usize = 64;

/// What the lines of a text stop; `None`: nothing.
///
/// Cost: linear in the text, but for blocks that cannot be read, of which each is read up to 64 times.
pub(crate) fn salvaged(text: &str) -> Option<Stopped> {
    let lines: Vec<&str> = text.trim_start_matches('\u{feff}').lines().collect();
    let mut found: Option<Stopped> = None;
    for (first, _) in lines.iter().enumerate().filter(|(_, line)| is_key(line)) {
        let Some(rest) = lines.get(first + 1..) else { continue };
        let length = 1 + rest.iter().take_while(|line| belongs(line)).count();
        let stopped = lines.get(first..first + length).and_then(beginning);
        found = match (stopped, found) {
            (Some(stopped), Some(found)) => Some(stopped.and(&found)),
            (stopped, found) => stopped.or(found),
        };
    }
    found
}

/// Of the longest beginning of a block that can be read what it stops.
fn beginning(block: &[&str]) -> Option<Stopped> {
    let shorter = (1..block.len()).rev().take(BEGINNINGS_MAX);
    let read = |length: usize| {
        let text = block.get(..length)?.join("\n");
        enforcement_of(&Source::new("", text), &Problems::new())
    };
    std::iter::once(block.len()).chain(shorter).find_map(read).flatten()
}

/// Whether a line begins the field, quoted or not.
fn is_key(line: &str) -> bool {
    let after = |quote: &str| line.strip_prefix(quote)?.strip_prefix(KEY)?.strip_prefix(quote);
    let after = ["", "\"", "'"].into_iter().find_map(after);
    let value = after.and_then(|rest| rest.trim_start_matches([' ', '\t']).strip_prefix(':'));
    value.is_some_and(|value| value.is_empty() || value.starts_with([' ', '\t', '\r']))
}

/// Whether a line goes on with the field before it.
fn belongs(line: &str) -> bool {
    line.is_empty() || line.starts_with([' ', '\t', '#', '\r'])
}

#[cfg(test)]
mod tests {
    use emac_core::id::JourneyName;

    use super::*;

    fn names(stopped: Option<Stopped>) -> Option<Option<Vec<String>>> {
        let names = |all: Vec<JourneyName>| all.iter().map(ToString::to_string).collect();
        stopped.map(|stopped| stopped.journeys.map(names))
    }

    #[test]
    fn a_line_that_stops_is_found_whatever_surrounds_it() {
        let all = Some(None);
        let some = |of: &[&str]| Some(Some(of.iter().map(|&name| name.to_owned()).collect::<Vec<_>>()));
        for (text, wanted) in [
            ("enforcement: stopped\nbroken: [\n", all.clone()),
            ("broken: [\nenforcement: stopped", all.clone()),
            ("\u{feff}enforcement: stopped\r\nbroken: [\r\n", all.clone()),
            ("\"enforcement\": stopped\n}", all.clone()),
            ("'enforcement' : stopped # INC-42\n\t-", all.clone()),
            ("x: \"\nenforcement:\n  stopped: all\n\n  # who\n  by: jane\nlog: {", all.clone()),
            // What a hurry makes of `why`.
            ("enforcement:\n  stopped: all\n  why: INC-42: checkouts fail\n", all.clone()),
            ("enforcement: stopped\n  plan: {\n", all.clone()),
            ("a: [\nenforcement: {stopped: [checkout], why: INC-42}\n", some(&["checkout"])),
            ("a: [\nenforcement:\n  stopped:\n    - checkout\n    - {\n", some(&["checkout"])),
            ("a: [\nenforcement: {stopped: [a]}\nenforcement: {stopped: [b, a]}\n", some(&["b", "a"])),
            ("enforcement: stopped\nenforcement: running\n", all.clone()),
            ("enforcement: stopped\n---\nenforcement: running\n", all),
            // Nothing stops.
            ("", None),
            ("a: [\n", None),
            ("# enforcement: stopped\na: [\n", None),
            ("why: |\n  enforcement: stopped\na: [\n", None),
            ("enforcements: stopped\na: [\n", None),
            ("enforcement:stopped\na: [\n", None),
            ("enforcement: running\na: [\n", None),
            ("enforcement: running\n  stopped: all\n", None),
            ("enforcement: stoped\na: [\n", None),
            ("enforcement: {stopped: [\n", None),
            ("enforcement:\na: [\n", None),
        ] {
            assert_eq!(names(salvaged(text)), wanted, "{text:?}");
        }
    }

    #[test]
    fn a_long_list_is_read_whole_and_nonsense_costs_little() {
        let names: String = (0..5_000).map(|n| format!("    - j{n}\n")).collect();
        let text = format!("enforcement:\n  stopped:\n{names}broken: [\n");
        assert_eq!(salvaged(&text).unwrap().journeys.unwrap().len(), 5_000);
        let begun = std::time::Instant::now();
        assert_eq!(salvaged(&format!("enforcement: [\n{}", "  [\n".repeat(200_000))), None);
        assert_eq!(salvaged(&"enforcement: [\n".repeat(50_000)), None);
        assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
    }
}
