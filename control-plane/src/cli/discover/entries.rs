//! Which entries are asked for.

use glob::Pattern;

/// Reads a pattern.
pub(super) fn pattern(text: &str) -> Result<Pattern, String> {
    Pattern::new(text).map_err(|error| {
        format!("{} at byte {}; `*` is any text, `?` a character, `[*]` an asterisk", error.msg, error.pos)
    })
}

/// Whether an entry is asked for: by service and operation, or either of them. Without a pattern all are.
pub(super) fn matches(patterns: &[Pattern], service: &str, operation: &str) -> bool {
    let both = format!("{service} {operation}");
    let any = |pattern: &Pattern| [&both, operation, service].into_iter().any(|text| pattern.matches(text));
    patterns.is_empty() || patterns.iter().any(any)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_asked_for_by_both_names_or_either() {
        let asked = |text: &str| matches(&[pattern(text).unwrap()], "front", "POST /checkout/{id}");
        for text in [
            "front POST /checkout/{id}",
            "front POST /checkout*",
            "POST /checkout*",
            "front",
            "front *",
            "*checkout*",
        ] {
            assert!(asked(text), "{text}");
        }
        for text in ["front GET *", "POST /checkout", "fron", ""] {
            assert!(!asked(text), "{text}");
        }
        assert!(matches(&[], "", "") && pattern("a[").is_err());
    }
}
