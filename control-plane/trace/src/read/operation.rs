//! What a span's name says, without what differs from request to request.
//!
//! Instrumentation is asked to keep ids out of span names, and often does not. A name is kept as it is but for three things in its
//! paths: the host before them (Envoy names a span `host:port/path`), the query behind them, and segments that can only be ids (numbers,
//! UUIDs, hexadecimal and random tokens), which become `{id}`. The rule is narrower than the filter's own
//! ([`emac_core::entry::name_operation`]), which sees raw paths only: `/wrk2-api/post` and `span-service1` are names here.
//!
//! Left out: ids outside of paths (`job-17`), and statements (`SELECT ... WHERE id = 7`).

use std::borrow::Cow;

/// Hexadecimal text at least this long with a digit in it is an id: `8f14e45f` is, `decade` and `v2beta1` are not.
const HEX_BYTES_MIN: usize = 8;
/// Text of letters and digits at least this long with at least [`TOKEN_DIGITS_MIN`] digits is an id (ULID, KSUID, base64url).
const TOKEN_BYTES_MIN: usize = 20;
const TOKEN_DIGITS_MIN: usize = 4;

/// The operation that a span's name means. O(length); allocates only when something is replaced.
pub(super) fn operation(name: &str) -> Cow<'_, str> {
    let name = name.trim();
    if !name.contains('/') || is_template(name) {
        return Cow::Borrowed(name);
    }
    match name.rsplit_once(' ') {
        None => path(name),
        Some((verb, last)) => match path(last) {
            Cow::Borrowed(kept) if kept.len() == last.len() => Cow::Borrowed(name),
            kept => Cow::Owned(format!("{verb} {kept}")),
        },
    }
}

/// `GET` of `GET`, `get` and `HTTP GET`: the name says only the method.
pub(super) fn only_method(name: &str) -> Option<&'static str> {
    let word = name.strip_prefix("HTTP ").unwrap_or(name);
    let known = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "CONNECT", "TRACE"];
    known.into_iter().find(|method| method.eq_ignore_ascii_case(word))
}

/// A name with placeholders was made by somebody who knows the routes.
fn is_template(name: &str) -> bool {
    name.contains(['{', '<']) || name.contains("/:")
}

fn path(text: &str) -> Cow<'_, str> {
    let text = without_query(without_host(text));
    if !text.split('/').any(is_id) {
        return Cow::Borrowed(text);
    }
    let segments: Vec<_> = text.split('/').map(|part| if is_id(part) { "{id}" } else { part }).collect();
    Cow::Owned(segments.join("/"))
}

/// `http://host:80/a`, `host:80/a` and `host.svc.cluster.local/a` are `/a`; `shop.v1.Checkout/Place` stays.
fn without_host(text: &str) -> &str {
    let (scheme, rest) = text.split_once("://").map_or(("", text), |(scheme, rest)| (scheme, rest));
    let Some((host, _)) = rest.split_once('/') else { return text };
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| is_number(port));
    let is_host = !scheme.is_empty() || has_port || host.contains(".svc.") || host.ends_with(".svc");
    if is_host { rest.get(host.len()..).unwrap_or(text) } else { text }
}

fn without_query(text: &str) -> &str {
    text.split(['?', '#']).next().unwrap_or(text)
}

fn is_id(segment: &str) -> bool {
    is_number(segment) || is_uuid(segment) || is_hex(segment) || is_token(segment)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// RFC 9562: 8-4-4-4-12 hexadecimal digits.
fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text
            .bytes()
            .enumerate()
            .all(|(at, b)| if matches!(at, 8 | 13 | 18 | 23) { b == b'-' } else { b.is_ascii_hexdigit() })
}

fn is_hex(text: &str) -> bool {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    digits.len() >= HEX_BYTES_MIN
        && digits.bytes().all(|b| b.is_ascii_hexdigit())
        && digits.bytes().any(|b| b.is_ascii_digit())
}

fn is_token(text: &str) -> bool {
    text.len() >= TOKEN_BYTES_MIN
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'='))
        && text.bytes().filter(u8::is_ascii_digit).count() >= TOKEN_DIGITS_MIN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_in_paths_are_replaced() {
        for (name, expected) in [
            ("GET /users/123/orders/9f86d081884c7d65", "GET /users/{id}/orders/{id}"),
            ("/carts/6ba7b810-9dad-11d1-80b4-00c04fd430c8", "/carts/{id}"),
            ("PUT /blob/01ARZ3NDEKTSV4RRFFQ69G5FAV?x=1", "PUT /blob/{id}"),
            ("reviews.bookinfo.svc.cluster.local:9080/reviews/0", "/reviews/{id}"),
            ("productpage.bookinfo.svc.cluster.local:9080/productpage", "/productpage"),
            ("GET http://shop:80/cart/7?a=b#c", "GET /cart/{id}"),
            ("  HTTP GET /hotels ", "HTTP GET /hotels"),
        ] {
            assert_eq!(operation(name), expected);
        }
    }

    #[test]
    fn names_stay() {
        for name in [
            "/wrk2-api/post/compose",
            "/geo.Geo/Nearby",
            "hipstershop.ProductCatalogService/GetProduct",
            "span-service1",
            "GET /api/v2/decade",
            "GET /users/:id/1",
            "/users/{user}/1",
            "localhost:10000",
            "I'm a server span",
            "",
        ] {
            assert_eq!(operation(name), name);
        }
    }

    #[test]
    fn a_method_alone_is_seen() {
        assert_eq!(only_method("get"), Some("GET"));
        assert_eq!(only_method("HTTP POST"), Some("POST"));
        assert_eq!(only_method("get_multi"), None);
    }

    #[test]
    fn naming_twice_is_naming_once() {
        for name in ["GET http://a:1/b:2/3", "a:1/b:2/c", "x /1 /2", "/a//1/"] {
            let once = operation(name).into_owned();
            assert_eq!(operation(&once), once, "{name}");
        }
    }
}
