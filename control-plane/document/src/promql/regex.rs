//! Regular expressions that Rust's engine takes and Go's (RE2, which Prometheus has) refuses.

const TWICE: &str = "Go's regular expressions repeat no repetition";

/// Why Go refuses a pattern that Rust takes; syntax as in <https://pkg.go.dev/regexp/syntax>.
pub(super) fn refused(pattern: &str) -> Option<&'static str> {
    let chars: Vec<char> = pattern.chars().collect();
    let at = |place: usize| chars.get(place).copied().unwrap_or('\0');
    let (mut place, mut in_class, mut repeated) = (0, false, false);
    // Of every open group the most that repetitions within it multiply to, and of the group that closed last.
    let (mut open, mut closed): (Vec<u32>, Option<u32>) = (vec![1], None);
    while place < chars.len() {
        let c = at(place);
        let was_repeated = std::mem::take(&mut repeated);
        let group = closed.take();
        match c {
            '\\' => {
                let next = at(place + 1);
                if next == 'u'
                    || next == 'U'
                    || (next == 'b' && at(place + 2) == '{')
                    || "<>RhHNX".contains(next)
                {
                    return Some("Go's regular expressions have no such escape");
                }
                place += 1;
            }
            '[' if in_class && at(place + 1) != ':' => {
                return Some("Go takes a bracket within brackets for a character; escape it");
            }
            '[' if !in_class => in_class = true,
            ']' => in_class = false,
            '&' | '-' | '~' if in_class && at(place + 1) == c => {
                return Some("Go's regular expressions have no set operations");
            }
            // Since 1.22 only, which not every Prometheus is built with.
            '(' if !in_class
                && at(place + 1) == '?'
                && at(place + 2) == '<'
                && !"=!".contains(at(place + 3)) =>
            {
                return Some("older Go's regular expressions name groups `(?P<name>...)` only");
            }
            '(' if !in_class && at(place + 1) == '?' && flags(&chars[place + 2..]) => {
                return Some("Go's regular expressions have the flags i, m, s and U only");
            }
            '(' if !in_class => open.push(1),
            ')' if !in_class => {
                let inner = if open.len() > 1 { open.pop().unwrap_or(1) } else { 1 };
                closed = Some(inner);
                if let Some(outer) = open.last_mut() {
                    *outer = inner.max(*outer);
                }
            }
            '*' | '+' | '?' if !in_class => {
                if was_repeated {
                    return Some(TWICE);
                }
                repeated = true;
                place += usize::from(at(place + 1) == '?');
            }
            '{' if !in_class => match repetition(&chars[place + 1..]) {
                None => {}
                Some(_) if was_repeated => return Some(TWICE),
                Some(most) if most > 1_000 => {
                    return Some("Go's regular expressions repeat 1000 times at most");
                }
                Some(most) => {
                    let product = most.max(1).saturating_mul(group.unwrap_or(1));
                    if product > 1_000 {
                        return Some(
                            "Go's regular expressions repeat 1000 times at most, repetitions within one another multiplied",
                        );
                    }
                    if let Some(outer) = open.last_mut() {
                        *outer = product.max(*outer);
                    }
                    repeated = true;
                    while at(place) != '}' {
                        place += 1;
                    }
                    place += usize::from(at(place + 1) == '?');
                }
            },
            _ => {}
        }
        place += 1;
    }
    None
}

/// Flags behind `(?` that Go does not know.
fn flags(rest: &[char]) -> bool {
    let until = rest.iter().position(|c| !c.is_ascii_alphabetic() && *c != '-').unwrap_or(rest.len());
    let ends = rest.get(until).copied();
    matches!(ends, Some(':' | ')')) && rest[..until].iter().any(|c| !"imsU-".contains(*c))
}

/// The larger number of `n}`, `n,}` or `n,m}`.
fn repetition(rest: &[char]) -> Option<u32> {
    let until = rest.iter().position(|c| *c == '}')?;
    let text: String = rest[..until].iter().collect();
    let (least, most) = text.split_once(',').unwrap_or((&text, ""));
    let least = least.parse::<u32>().ok()?;
    if most.is_empty() { Some(least) } else { most.parse::<u32>().ok().map(|most| most.max(least)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_that_go_refuses_are_told() {
        for pattern in [
            "a**",
            "a+*",
            "a*+",
            "a{2}{3}",
            "a{1001}",
            "a{2,2000}",
            "\\u0041",
            "[a&&b]",
            "[[a]b]",
            "(?x)a b",
            "(?u:a)",
            "a??+",
            "(a{100}){20}",
            "((a{2}){2}b{40}){30}",
            "(?<n>a)",
        ] {
            assert!(refused(pattern).is_some(), "{pattern}");
        }
        for pattern in [
            "",
            "2..|3..",
            "5[0-9]{2}",
            "a*?",
            "a+?b??",
            "(?i)get",
            "(?P<x>a)",
            "(?:a|b)+",
            "[[:alpha:]]+",
            "\\d+",
            "a{x}",
            "/v[12]/.*",
            "[*+?]+",
            "\\*\\*",
            "a{1000}",
            "[a-z-]",
            ".+|",
            "\\{\\{",
            "(a{100}){10}",
            "(a{100})b{20}",
            "(?:a{1000}|b)*",
        ] {
            assert_eq!(refused(pattern), None, "{pattern}");
        }
    }
}
