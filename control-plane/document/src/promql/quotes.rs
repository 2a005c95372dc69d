//! Quoted text where the parser differs from Prometheus. Between backquotes it looks for escapes, which Prometheus does not; and `"\xc3\xa9"`, in
//! Prometheus the two bytes of one letter, is two letters to it.

use super::InvalidPromql;
use super::write::quoted;

/// The query with the same texts in double quotes instead of backquotes, and escaped bytes above ASCII as the letters that they are.
///
/// # Errors
/// When such bytes are no text.
pub(super) fn plain_quotes(query: &str) -> Result<String, InvalidPromql> {
    let (mut out, mut rest) = (String::with_capacity(query.len()), query);
    let mut quote = None;
    while let Some(c) = rest.chars().next() {
        let mut len = c.len_utf8();
        match quote {
            None if c == '#' => len = rest.find(['\n', '\r']).unwrap_or(rest.len()),
            None if c == '`' => {
                let Some((text, later)) = rest.get(1..).and_then(|raw| raw.split_once('`')) else {
                    return Err(InvalidPromql::Syntax("a backquote that is not closed".to_owned()));
                };
                out.push_str(&quoted(text));
                rest = later;
                continue;
            }
            None if matches!(c, '"' | '\'') => quote = Some(c),
            Some(open) if c == open => quote = None,
            Some(_) if c == '\\' => {
                let (bytes, taken) = high_bytes(rest);
                if taken > 0 {
                    let text = String::from_utf8(bytes);
                    out.push_str(&text.map_err(|_| {
                        InvalidPromql::Syntax("escaped bytes in quoted text are no UTF-8".to_owned())
                    })?);
                    rest = rest.get(taken..).unwrap_or_default();
                    continue;
                }
                // The escaped character ends no quote.
                len += rest.chars().nth(1).map_or(0, char::len_utf8);
            }
            _ => {}
        }
        let (now, later) = rest.split_at(len.min(rest.len()));
        out.push_str(now);
        rest = later;
    }
    Ok(out)
}

/// Leading `\xHH` and `\OOO` above ASCII: their bytes, and how long they are as written.
fn high_bytes(text: &str) -> (Vec<u8>, usize) {
    let (mut bytes, mut at) = (Vec::new(), 0);
    while let Some(escape) = text.get(at..at + 4) {
        let byte = match escape.strip_prefix("\\x") {
            Some(hex) => u8::from_str_radix(hex, 16),
            None => match escape.strip_prefix('\\') {
                Some(octal) => u8::from_str_radix(octal, 8),
                None => break,
            },
        };
        match byte {
            Ok(byte) if byte >= 0x80 => bytes.push(byte),
            _ => break,
        }
        at += 4;
    }
    (bytes, at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_stay_what_they_are_in_prometheus() {
        let text = |query| plain_quotes(query).unwrap();
        assert_eq!(text(r#"x{a="caf\xc3\xa9 \303\251\x41"}"#), r#"x{a="café é\x41"}"#);
        assert_eq!(text(r#"x{a=`\d"`, b=`\`} # `"#), r#"x{a="\\d\"", b="\\"} # `"#);
        for same in [r#"x{b="\"\xC"} # "\xff"#, r"x{a='\\xc3`'}", "x # it's", "é"] {
            assert_eq!(text(same), same);
        }
        assert!(plain_quotes(r#"x{a="\xff"}"#).is_err());
        assert!(plain_quotes("x{a=`b}").is_err());
    }
}
