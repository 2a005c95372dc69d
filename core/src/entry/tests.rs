use alloc::string::{String, ToString};
use alloc::vec::Vec;
use alloc::{format, vec};

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug, Default)]
struct Fake {
    host: String,
    method: String,
    path: String,
    headers: Vec<(String, String)>,
}

impl Request for Fake {
    fn host(&self) -> &[u8] {
        self.host.as_bytes()
    }
    fn method(&self) -> &[u8] {
        self.method.as_bytes()
    }
    fn path(&self) -> &[u8] {
        self.path.as_bytes()
    }
    fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_bytes())
    }
}

fn request(method: &str, host: &str, path: &str) -> Fake {
    Fake { host: host.into(), method: method.into(), path: path.into(), headers: vec![] }
}

fn rule(change: impl FnOnce(&mut EntryRule)) -> CompiledEntry {
    let mut rule = EntryRule::default();
    change(&mut rule);
    CompiledEntry::new(&rule).unwrap()
}

#[test]
fn every_stated_part_must_match() {
    let entry = rule(|rule| {
        rule.host = "shop.example".into();
        rule.method = "POST".into();
        rule.path_template = "/orders/{id}".into();
        rule.headers = vec![("x-tenant".into(), String::new()), ("x-beta".into(), "1".into())];
    });
    let mut good = request("POST", "Shop.Example:8443", "/orders/17?x=1");
    good.headers = vec![("x-tenant".into(), "a".into()), ("x-beta".into(), "1".into())];
    assert!(entry.matches(&good));
    let broken: [fn(&mut Fake); 5] = [
        |r| r.host = "other.example".into(),
        |r| r.method = "post".into(),
        |r| r.path = "/orders/17/items".into(),
        |r| r.headers[1].1 = "2".into(),
        |r| r.headers.truncate(0),
    ];
    for break_it in broken {
        let mut bad = good.clone();
        break_it(&mut bad);
        assert!(!entry.matches(&bad), "{bad:?}");
    }
}

#[test]
fn ports_are_not_part_of_a_host() {
    for (host, bare) in [("a:1", "a"), ("[::1]:80", "[::1]"), ("[::1]", "[::1]"), ("a", "a"), ("", "")] {
        assert_eq!(without_port(host.as_bytes()), bare.as_bytes(), "{host}");
    }
}

#[test]
fn grpc_rules_ask_for_grpc() {
    let method = rule(|rule| rule.grpc = "shop.Cart/Add".into());
    let service = rule(|rule| rule.grpc = "shop.Cart".into());
    let mut call = request("POST", "cart", "/shop.Cart/Add");
    assert!(!method.matches(&call));
    call.headers = vec![("content-type".into(), "application/grpc+proto".into())];
    assert!(method.matches(&call) && service.matches(&call));
    call.path = "/shop.Cart/Remove".into();
    assert!(!method.matches(&call) && service.matches(&call));
    call.path = "/shop.CartAdmin/Remove".into();
    assert!(!service.matches(&call));
    assert!(!is_grpc_content_type(b"application/grpc-web"));
}

#[test]
fn rules_that_would_take_everything_or_nothing_are_refused() {
    assert_eq!(CompiledEntry::new(&EntryRule::default()).unwrap_err(), InvalidEntry::Empty);
    let both = EntryRule { grpc: "a.B/C".into(), method: "GET".into(), ..EntryRule::default() };
    assert_eq!(CompiledEntry::new(&both).unwrap_err(), InvalidEntry::GrpcAndPath);
    for (template, error) in [
        ("orders", InvalidTemplate::NoSlash),
        ("/a/**/b", InvalidTemplate::Wildcard),
        ("/a/x{id}", InvalidTemplate::Wildcard),
        ("/a**", InvalidTemplate::Wildcard),
        ("/a/{}", InvalidTemplate::Wildcard),
        ("/a?x", InvalidTemplate::Query),
    ] {
        assert_eq!(PathTemplate::new(template).unwrap_err(), error, "{template}");
    }
}

#[test]
fn templates_match_segment_by_segment() {
    let yes = [
        ("/", "/"),
        ("/**", "/"),
        ("/**", "/a/b"),
        ("/a/**", "/a"),
        ("/a/**", "/a/b/c"),
        ("/a/{x}", "/a/1?b/c"),
    ];
    let no = [("/", "/a"), ("/a/{x}", "/a/"), ("/a/{x}", "/a"), ("/a/**", "/ab"), ("/a", "a"), ("/a", "/a/")];
    for (template, path) in yes {
        assert!(PathTemplate::new(template).unwrap().matches(path.as_bytes()), "{template} {path}");
    }
    for (template, path) in no {
        assert!(!PathTemplate::new(template).unwrap().matches(path.as_bytes()), "{template} {path}");
    }
}

fn named(method: &str, path: &str, grpc: bool) -> String {
    let templates = [PathTemplate::new("/carts/{cart}/lines").unwrap()];
    let mut out = "old".to_string();
    name_operation(method.as_bytes(), path.as_bytes(), grpc, &templates, &mut out);
    out
}

#[test]
fn operations_are_named_by_what_does_not_vary() {
    let cases = [
        ("GET", "/", false, "GET /"),
        ("GET", "/carts/zoe/lines?x=1", false, "GET /carts/{cart}/lines"),
        ("GET", "/v1/orders/17", false, "GET /v1/orders/{id}"),
        ("GET", "/u/550e8400-e29b-41d4-a716-446655440000/a", false, "GET /u/{id}/a"),
        ("GET", "/caf%C3%A9", false, "GET /{id}"),
        ("POST", "/shop.Cart/Add", true, "shop.Cart/Add"),
        ("POST", "/shop.Cart/Add/x", true, "POST /shop.Cart/Add/x"),
        ("GET", "/a/b/c/d/e/f/g/h/i/j", false, "GET /a/b/c/d/e/f/g/h/**"),
    ];
    for (method, path, grpc, expected) in cases {
        assert_eq!(named(method, path, grpc), expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 256,
        failure_persistence: None,
        rng_seed: proptest::test_runner::RngSeed::Fixed(0xE277),
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_request_is_named_within_bounds(method in prop::collection::vec(any::<u8>(), 0..40), path in prop::collection::vec(any::<u8>(), 0..400), grpc: bool) {
        let mut out = String::new();
        name_operation(&method, &path, grpc, &[], &mut out);
        prop_assert!(out.len() <= OPERATION_BYTES_MAX, "{}", out.len());
        prop_assert!(out.is_ascii());
    }

    #[test]
    fn numbers_do_not_make_names(a in any::<u32>(), b in any::<u32>()) {
        prop_assert_eq!(named("GET", &format!("/o/{a}/i"), false), named("GET", &format!("/o/{b}/i"), false));
    }

    #[test]
    fn a_template_matches_what_it_was_made_of(segments in prop::collection::vec("[a-z]{1,5}", 1..6), wild in any::<u8>(), rest: bool) {
        let path = format!("/{}", segments.join("/"));
        let hidden: Vec<_> = segments.iter().enumerate().map(|(i, s)| if wild >> i & 1 == 1 { "{x}".into() } else { s.clone() }).collect();
        let template = format!("/{}{}", hidden.join("/"), if rest { "/**" } else { "" });
        let template = PathTemplate::new(&template).unwrap();
        prop_assert!(template.matches(path.as_bytes()));
        let longer = format!("{path}/more");
        prop_assert_eq!(template.matches(longer.as_bytes()), rest);
    }
}
