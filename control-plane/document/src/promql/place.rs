//! Where in a query the parser gave up, which it does not say: found anew where its message and the text leave one answer.

use super::InvalidPromql;

/// Byte of the query (as written, windows not put in) that an error is about; `None` where that cannot be told for sure.
///
/// Told are brackets, braces, parentheses and quotes without their counterpart, and characters that no range has.
pub(in super::super) fn place_of(query: &str, error: &InvalidPromql) -> Option<usize> {
    let message = match error {
        InvalidPromql::Placeholder(written) => {
            let mut places = query.match_indices(written.as_str());
            return places.next().filter(|_| places.next().is_none()).map(|(at, _)| at);
        }
        InvalidPromql::Syntax(message) => message,
        _ => return None,
    };
    let (found, at) = scan(query)?;
    let is_meant = match found {
        Found::OpenParenthesis => message == "unclosed left parenthesis",
        Found::StrayParenthesis => message == "unexpected right parenthesis ')'",
        Found::OpenBrace => message == "unexpected end of input inside braces",
        Found::StrayBrace => message == "unexpected right brace '}'",
        Found::BraceInBraces => message == "unexpected left brace '{' inside braces",
        Found::OpenBracket => message == "unexpected end of input inside brackets",
        Found::StrayBracket => message == "unexpected right bracket ']'",
        Found::NoRange(character) => {
            *message == format!("unexpected character inside brackets: '{character}'")
        }
        Found::OpenQuote => message.starts_with("unterminated quoted string "),
    };
    is_meant.then_some(at)
}

/// What a scan ends at.
enum Found {
    OpenParenthesis,
    StrayParenthesis,
    OpenBrace,
    StrayBrace,
    BraceInBraces,
    OpenBracket,
    StrayBracket,
    /// A character that stands in no duration.
    NoRange(char),
    OpenQuote,
}

/// What the scan is within, with its first byte.
#[derive(Clone, Copy)]
enum Within {
    Nothing,
    Braces(usize),
    Brackets(usize),
    Quotes(char, usize),
}

/// The first of these in the order of the text, as the parser's lexer meets them; of parentheses that stay open the innermost.
fn scan(query: &str) -> Option<(Found, usize)> {
    let mut open = Vec::new();
    let mut within = Within::Nothing;
    // To where a quoted text returns.
    let mut around = Within::Nothing;
    let mut at = 0;
    while let Some(character) = query.get(at..).and_then(|rest| rest.chars().next()) {
        let here = at;
        if let Some(bytes) = window(query, here) {
            at += bytes;
            continue;
        }
        at += character.len_utf8();
        match (within, character) {
            (Within::Quotes(..), '\\') => at += query.get(at..)?.chars().next().map_or(0, char::len_utf8),
            (Within::Quotes(quote, _), _) if character == quote => within = around,
            (Within::Quotes(..), _) => {}
            (Within::Nothing | Within::Braces(_), '\'' | '"' | '`') => {
                around = within;
                within = Within::Quotes(character, here);
            }
            (Within::Nothing | Within::Braces(_), '#') => {
                at = query.get(at..)?.find('\n').map_or(query.len(), |end| at + end);
            }
            (Within::Nothing, '(') => open.push(here),
            (Within::Nothing, ')') if open.pop().is_none() => return Some((Found::StrayParenthesis, here)),
            (Within::Nothing, '{') => within = Within::Braces(here),
            (Within::Nothing, '[') => within = Within::Brackets(here),
            (Within::Nothing, '}') => return Some((Found::StrayBrace, here)),
            (Within::Nothing, ']') => return Some((Found::StrayBracket, here)),
            (Within::Braces(_), '}') | (Within::Brackets(_), ']') => within = Within::Nothing,
            (Within::Braces(_), '{') => return Some((Found::BraceInBraces, here)),
            (Within::Brackets(_), other) if !is_of_ranges(other) => {
                return Some((Found::NoRange(other), here));
            }
            _ => {}
        }
    }
    match within {
        Within::Quotes(_, start) => Some((Found::OpenQuote, start)),
        Within::Braces(start) => Some((Found::OpenBrace, start)),
        Within::Brackets(start) => Some((Found::OpenBracket, start)),
        Within::Nothing => open.pop().map(|start| (Found::OpenParenthesis, start)),
    }
}

fn is_of_ranges(character: char) -> bool {
    character.is_ascii_alphanumeric() || character.is_ascii_whitespace() || ":.+-".contains(character)
}

/// Bytes of the template of a window that begins here.
fn window(query: &str, at: usize) -> Option<usize> {
    let rest = query.get(at..)?.strip_prefix("{{")?;
    let (name, _) = rest.split_once("}}")?;
    (name.trim() == ".window").then_some(name.len() + 4)
}

#[cfg(test)]
mod tests {
    use super::super::parse_promql;
    use super::*;

    /// The query's text from where it is told to be wrong.
    fn from(query: &str) -> Option<&str> {
        place_of(query, &parse_promql(query).unwrap_err()).map(|at| &query[at..])
    }

    #[test]
    fn what_lacks_its_counterpart_is_pointed_at() {
        for (query, wrong) in [
            ("sum(rate(x[5m])", "(rate(x[5m])"),
            ("1 + (2", "(2"),
            ("(1 + (2", "(2"),
            ("(((x)", "((x)"),
            ("sum(x))", ")"),
            ("sum(x)) + y)", ") + y)"),
            ("x{a=\"b\"", "{a=\"b\""),
            ("x{a=\"}\"", "{a=\"}\""),
            ("x{a=\"b}", "\"b}"),
            ("x{a=\"\\\"}", "\"\\\"}"),
            ("x}", "}"),
            ("x{a=\"é\"} / y{{b=\"c\"}", "{b=\"c\"}"),
            ("rate(x[5m)", ")"),
            ("rate(x[5m", "[5m"),
            ("x]", "]"),
            ("rate(x[{{ window }}])", "{{ window }}])"),
            // As written, with templates that are no mistake before and around.
            ("rate(x[{{ .window }}]) + rate(y[{{.window}}]", "(y[{{.window}}]"),
            ("sum(x) # (((\n + (y", "(y"),
            ("sum(x{a='('}) + 'b", "'b"),
        ] {
            assert_eq!(from(query), Some(wrong), "{query}");
        }
    }

    #[test]
    fn what_the_text_does_not_show_is_not_guessed() {
        for query in ["", "rate(x)", "x +", "a b", "x{a=b}", "x{a=~\"[\"}", "x[5q]", "x ! y", "x{a=\"\\q\"}"]
        {
            assert_eq!(from(query), None, "{query}");
        }
        // An earlier mistake of another kind is what the parser means.
        assert_eq!(from("x ? (y"), None);
        assert_eq!(place_of("x)", &InvalidPromql::TooLong), None);
    }
}
