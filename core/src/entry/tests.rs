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
fn a_host_is_compared_without_port_case_and_final_dot() {
    let entry = rule(|rule| rule.host = "Shop.Example.".into());
    for host in ["shop.example", "SHOP.example:8443", "shop.example.", "shop.example.:80"] {
        assert!(entry.matches(&request("GET", host, "/")), "{host}");
    }
    for host in ["shop.example..", "shop.example.org", "xshop.example", "shop.example:x", ""] {
        assert!(!entry.matches(&request("GET", host, "/")), "{host}");
    }
}

#[test]
fn a_rule_for_get_takes_head_and_no_other_takes_more() {
    for (wanted, method, taken) in [
        ("GET", "GET", true),
        ("GET", "HEAD", true),
        ("HEAD", "GET", false),
        ("POST", "HEAD", false),
        ("GET", "get", false),
        ("", "HEAD", true),
    ] {
        let entry = rule(|rule| {
            rule.method = wanted.into();
            rule.path_template = "/a".into();
        });
        assert_eq!(entry.matches(&request(method, "h", "/a")), taken, "{wanted} {method}");
    }
}

fn with_headers(mut request: Fake, headers: &[(&str, &str)]) -> Fake {
    request.headers = headers.iter().map(|&(name, value)| (name.into(), value.into())).collect();
    request
}

#[test]
fn what_no_user_waits_for_enters_no_journey_unless_a_rule_asks_for_it() {
    let any = rule(|rule| rule.path_template = "/**".into());
    let options = rule(|rule| rule.method = "OPTIONS".into());
    let agent = rule(|rule| rule.headers = vec![("user-agent".into(), String::new())]);
    let health = rule(|rule| rule.grpc = "grpc.health.v1.Health/Check".into());
    let by_path = rule(|rule| rule.path_template = "/grpc.health.v1.Health/{method}".into());
    let takes =
        |request: &Fake| [&any, &options, &agent, &health, &by_path].map(|rule| rule.matches(request));

    let asks = ("access-control-request-method", "POST");
    let preflight = with_headers(request("OPTIONS", "h", "/pay"), &[("origin", "https://a"), asks]);
    assert_eq!(takes(&preflight), [false, true, false, false, false]);
    let no_preflight = with_headers(request("OPTIONS", "h", "/pay"), &[("origin", "https://a")]);
    assert_eq!(takes(&no_preflight), [true, true, false, false, false]);

    for name in ["kube-probe/1.34", "GoogleHC/1.0", "ELB-HealthChecker/2.0", "Envoy/HC", "Prometheus/3.5.0"] {
        let probe = with_headers(request("GET", "h", "/"), &[("user-agent", name)]);
        assert_eq!(takes(&probe), [false, false, true, false, false], "{name}");
    }
    let user = with_headers(request("GET", "h", "/"), &[("user-agent", "Mozilla/5.0 (kube-probe/)")]);
    assert_eq!(takes(&user), [true, false, true, false, false]);

    let grpc = ("content-type", "application/grpc");
    let check = with_headers(request("POST", "h", "/grpc.health.v1.Health/Check"), &[grpc]);
    assert_eq!(takes(&check), [false, false, false, true, true]);
    let other = with_headers(request("POST", "h", "/grpc.health.v1.Healthy/Check"), &[grpc]);
    assert_eq!(takes(&other), [true, false, false, false, false]);
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
        ("/a", "/a/"),
        ("/a/", "/a"),
        ("/a//b/", "/a/b"),
        ("/a/b", "//a///b/?x=//"),
        ("/a/{x}/b", "/a//1/b"),
        ("/", "//"),
    ];
    let no = [("/", "/a"), ("/a/{x}", "/a/"), ("/a/{x}", "/a"), ("/a/**", "/ab"), ("/a", "a"), ("/", "*")];
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
        ("GET", "//?x", false, "GET /"),
        ("GET", "/a//b/", false, "GET /a/b"),
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

fn path() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!["a", "b"]), 0..4)
        .prop_map(|parts| format!("/{}", parts.join("/")))
}

fn template() -> impl Strategy<Value = String> {
    let part = prop::sample::select(vec!["a", "b", "{x}"]);
    (prop::collection::vec(part, 0..4), any::<bool>()).prop_map(|(parts, rest)| {
        let parts: Vec<&str> = parts.into_iter().chain(rest.then_some("**")).collect();
        format!("/{}", parts.join("/"))
    })
}

fn of(words: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::sample::select(words).prop_map(String::from)
}

fn any_rule() -> impl Strategy<Value = EntryRule> {
    let headers = prop::collection::btree_map(of(&["user-agent", "x"]), of(&["", "1", "kube-probe/1"]), 0..3);
    let grpc =
        of(&["grpc.health.v1.Health", "a.B", "a.B/C"]).prop_map(|grpc| (String::new(), String::new(), grpc));
    let path = prop_oneof![Just(String::new()), template(), of(&["/grpc.health.v1.Health/{m}"])];
    let plain =
        (of(&["", "GET", "HEAD", "OPTIONS"]), path).prop_map(|(method, path)| (method, path, String::new()));
    let host = of(&["h", "H.", "i"]);
    (prop_oneof![3 => plain, 1 => grpc], prop::option::of(host), headers).prop_map(
        |((method, path_template, grpc), host, headers)| {
            let nothing =
                method.is_empty() && path_template.is_empty() && grpc.is_empty() && headers.is_empty();
            EntryRule {
                host: host.unwrap_or_else(|| if nothing { "h".into() } else { String::new() }),
                method,
                path_template,
                headers: headers.into_iter().collect(),
                grpc,
            }
        },
    )
}

fn any_request() -> impl Strategy<Value = Fake> {
    let path = prop_oneof![path(), of(&["/a.B/C", "/a.B/D", "/grpc.health.v1.Health/Check"])];
    let headers = prop::collection::btree_map(
        of(&["user-agent", "x", "origin", "access-control-request-method", "content-type"]),
        of(&["1", "kube-probe/1", "application/grpc"]),
        0..5,
    );
    let request = (of(&["GET", "HEAD", "OPTIONS", "POST"]), of(&["h", "i:1", "H."]), path, headers);
    request.prop_map(|(method, host, path, headers)| Fake {
        host,
        method,
        path,
        headers: headers.into_iter().collect(),
    })
}

proptest! {
    #![proptest_config(crate::laws::config(256, 0xE277))]

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

    /// Slashes that separate nothing change nothing.
    #[test]
    fn empty_segments_count_for_nothing(template in template(), path in path(), more in prop::collection::vec(0..3_usize, 6)) {
        let strewn: String = path.split('/').zip(&more).map(|(part, &more)| format!("{part}{}", "/".repeat(more + 1))).collect();
        let template = PathTemplate::new(&template).unwrap();
        prop_assert_eq!(template.matches(path.as_bytes()), template.matches(strewn.as_bytes()), "{} {}", path, strewn);
    }

    /// What another rule covers is never asked after it.
    #[test]
    fn a_rule_that_covers_another_takes_all_that_it_takes(one in any_rule(), other in any_rule(), requests in prop::collection::vec(any_request(), 40)) {
        let [one, other] = [one, other].map(|rule| CompiledEntry::new(&rule).unwrap());
        prop_assert!(one.covers(&one) && other.covers(&other));
        if one.covers(&other) {
            for request in requests {
                prop_assert!(one.matches(&request) || !other.matches(&request), "{:?}", request);
            }
        }
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
