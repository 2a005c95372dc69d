//! Plain scalars of the YAML 1.2 core schema (specification 1.2.2, section 10.3.2).

use super::Value;

/// What an unquoted scalar means.
pub(super) fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        ".nan" | ".NaN" | ".NAN" => Value::Float(f64::NAN),
        _ => number(text).unwrap_or_else(|| Value::String(text.to_owned())),
    }
}

fn number(text: &str) -> Option<Value> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => (-1.0, &text[1..]),
        b'+' => (1.0, &text[1..]),
        _ => (1.0, text),
    };
    if matches!(digits, ".inf" | ".Inf" | ".INF") {
        return Some(Value::Float(sign * f64::INFINITY));
    }
    radix(text).or_else(|| decimal(text, digits))
}

/// `0x1f` and `0o17`, without a sign.
fn radix(text: &str) -> Option<Value> {
    let (digits, radix) = match text.get(..2)? {
        "0x" => (&text[2..], 16),
        "0o" => (&text[2..], 8),
        _ => return None,
    };
    let plain = digits.bytes().all(|byte| byte.is_ascii_alphanumeric());
    plain.then(|| i64::from_str_radix(digits, radix).ok()).flatten().map(Value::Integer)
}

/// `[-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?`: Rust's parser takes the same, and words we must refuse first.
fn decimal(text: &str, digits: &str) -> Option<Value> {
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    match text.parse::<i64>() {
        Ok(integer) => Some(Value::Integer(integer)),
        Err(_) => text.parse::<f64>().ok().map(Value::Float),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_core_schema_and_nothing_more() {
        assert_eq!(resolve("~"), Value::Null);
        assert_eq!(resolve("True"), Value::Bool(true));
        assert_eq!(resolve("-17"), Value::Integer(-17));
        assert_eq!(resolve("0o17"), Value::Integer(15));
        assert_eq!(resolve("0x1F"), Value::Integer(31));
        assert_eq!(resolve("1e3"), Value::Float(1000.0));
        assert_eq!(resolve(".5"), Value::Float(0.5));
        assert_eq!(resolve("-.INF"), Value::Float(f64::NEG_INFINITY));
        assert_eq!(resolve("99999999999999999999"), Value::Float(1e20));
        for text in [
            "yes", "no", "on", "inf", "NaN", "nan", "infinity", "-inf", "0x-1", "1_000", "30d", ".", "1:30",
            "-",
        ] {
            assert_eq!(resolve(text), Value::String(text.to_owned()), "{text}");
        }
    }
}
