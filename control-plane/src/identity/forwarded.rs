//! `x-forwarded-client-cert`: what a sidecar says of the certificate its own peer presented.
//!
//! Envoy's form: elements parted by commas, each of pairs `Key=value` parted by semicolons; a value may be quoted, with `\"` for a
//! quote. A sidecar set to append adds its element behind whatever its peer sent, so only the last one is its own word.

/// Name of the header.
pub(super) const HEADER: &str = "x-forwarded-client-cert";

/// The one URI of the last element; `None` when there is none, or several.
pub(super) fn last_uri(header: &str) -> Option<String> {
    let last = split(header, ',')?.pop()?;
    let mut uris = split(last, ';')?.into_iter().filter_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        key.trim().eq_ignore_ascii_case("uri").then(|| unquoted(value.trim()))
    });
    let uri = uris.next()?;
    uris.next().is_none().then_some(uri)
}

/// Parts at a separator that stands outside quotes; `None` when a quote does not end.
fn split(text: &str, separator: char) -> Option<Vec<&str>> {
    let (mut parts, mut begin, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            c if c == separator && !quoted => {
                parts.push(text.get(begin..at)?);
                begin = at + c.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(text.get(begin..)?);
    (!quoted).then_some(parts)
}

fn unquoted(value: &str) -> String {
    match value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(inner) => inner.replace("\\\"", "\""),
        None => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a real Istio sidecar (1.31, Envoy 1.40) sends it.
    const REAL: &str = "By=spiffe://cluster.local/ns/emac-system/sa/emac;Hash=6fd1c9a2;Subject=\"\";URI=spiffe://cluster.local/ns/shop/sa/front";

    #[test]
    fn the_sidecars_own_element_counts_and_none_before_it() {
        let front = Some("spiffe://cluster.local/ns/shop/sa/front".to_owned());
        assert_eq!(last_uri(REAL), front);
        assert_eq!(last_uri(&format!("By=x;URI=spiffe://cluster.local/ns/shop/sa/gateway,{REAL}")), front);
        assert_eq!(last_uri(&format!("Subject=\"CN=a,O=b;URI=spiffe://evil\",{REAL}")), front);
        assert_eq!(
            last_uri("Subject=\"x,URI=spiffe://evil\";URI=\"spiffe://a/ns/b/sa/c\"").unwrap(),
            "spiffe://a/ns/b/sa/c"
        );
    }

    #[test]
    fn what_cannot_be_read_or_names_several_is_nobody() {
        for header in ["", "By=x", "URI=a;URI=b", "Subject=\"x", &format!("{REAL},"), &format!("\"{REAL}")] {
            assert_eq!(last_uri(header), None, "{header}");
        }
    }
}
