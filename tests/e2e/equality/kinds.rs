//! The table: HTTP/1 and what Envoy answers itself. Streams, gRPC and HTTP/2 are in `streams.rs`, torn answers in `torn.rs`.

use serde_json::{Value, json};

use super::envoy::per_route;
use super::kind::{Kind, LONGER_MS, Mark, Step, Upstream};
use super::{streams, torn};

pub(super) const TEN_MB: usize = 10 * 1024 * 1024;

/// Raw bytes; `{case}` stands for the headers of the run.
pub(super) fn text(text: &str) -> Step {
    Step::Bytes(text.as_bytes().to_vec())
}

/// A request without body.
pub(super) fn ask(first: &str, headers: &str) -> Vec<Step> {
    vec![text(&format!("{first}\r\nhost: shop\r\n{{case}}\r\n{headers}\r\n"))]
}

pub(super) fn get(path: &str) -> Vec<Step> {
    ask(&format!("GET {path} HTTP/1.1"), "")
}

/// An answer of some bytes.
pub(super) fn ok() -> Vec<Step> {
    vec![text("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nX-Shop: One\r\ncontent-length: 5\r\n\r\nhello")]
}

fn answer(whole: &str) -> Vec<Step> {
    vec![text(whole)]
}

fn status(line: &str) -> Vec<Step> {
    vec![text(&format!("HTTP/1.1 {line}\r\ncontent-length: 3\r\n\r\nwhy"))]
}

/// After the whole request has come.
pub(super) fn after_request(mut steps: Vec<Step>) -> Vec<Step> {
    steps.insert(0, Step::Near(Mark::Whole));
    steps
}

/// Every kind, in the order of README.md.
pub(super) fn all() -> Vec<Kind> {
    [
        methods(),
        statuses(),
        interim_and_early(),
        bodies(),
        streams::all(),
        by_envoy(),
        headers(),
        paths(),
        probes(),
        torn::all(),
    ]
    .concat()
}

fn methods() -> Vec<Kind> {
    vec![
        Kind::http1("http10", answer("GET /shop HTTP/1.0\r\n{case}\r\n\r\n"), ok()),
        Kind::http1(
            "http10-keep-alive",
            answer("GET /shop HTTP/1.0\r\nhost: shop\r\nconnection: keep-alive\r\n{case}\r\n\r\n"),
            ok(),
        ),
        Kind::http1("http11", get("/shop"), ok()),
        Kind::http1("http11-bare", get("/shop"), ok()).bare(),
        Kind::http1("http11-close", ask("GET /shop HTTP/1.1", "connection: close\r\n"), ok()),
        Kind::http1("http10-upstream", get("/shop"), vec![text("HTTP/1.0 200 OK\r\n\r\nhello"), Step::Close]),
        Kind::http1("pipelined", pipelined(), ok()).requests(2),
        Kind::http1(
            "head",
            ask("HEAD /shop HTTP/1.1", ""),
            answer("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 500\r\n\r\n"),
        ),
        Kind::http1(
            "head-chunked",
            ask("HEAD /shop HTTP/1.1", ""),
            answer("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"),
        ),
        Kind::http1(
            "options",
            ask("OPTIONS /shop HTTP/1.1", ""),
            answer("HTTP/1.1 204 No Content\r\nallow: GET, OPTIONS\r\n\r\n"),
        ),
        Kind::http1("options-star", ask("OPTIONS * HTTP/1.1", ""), vec![]).to(Upstream::None).uncounted(),
        Kind::http1("trace", ask("TRACE /shop HTTP/1.1", ""), ok()),
        Kind::http1("delete", ask("DELETE /shop/7 HTTP/1.1", ""), ok()),
        Kind::http1(
            "patch",
            ask("PATCH /shop/7 HTTP/1.1", "content-length: 2\r\n").into_iter().chain([text("{}")]).collect(),
            after_request(ok()),
        ),
        Kind::http1("unknown-method", ask("BREW /pot HTTP/1.1", ""), vec![]).to(Upstream::None).uncounted(),
    ]
}

fn pipelined() -> Vec<Step> {
    vec![text(
        "GET /a HTTP/1.1\r\nhost: shop\r\n{case}\r\n\r\nGET /b HTTP/1.1\r\nhost: shop\r\n{case}\r\n\r\n",
    )]
}

fn statuses() -> Vec<Kind> {
    vec![
        Kind::http1("status-204", get("/shop"), answer("HTTP/1.1 204 No Content\r\nx-a: 1\r\n\r\n")),
        Kind::http1(
            "status-205",
            get("/shop"),
            answer("HTTP/1.1 205 Reset Content\r\ncontent-length: 0\r\n\r\n"),
        ),
        Kind::http1(
            "status-206",
            ask("GET /shop HTTP/1.1", "range: bytes=0-2\r\n"),
            answer(
                "HTTP/1.1 206 Partial Content\r\ncontent-range: bytes 0-2/9\r\ncontent-length: 3\r\n\r\nabc",
            ),
        ),
        Kind::http1(
            "status-304",
            ask("GET /shop HTTP/1.1", "if-none-match: \"a\"\r\n"),
            answer("HTTP/1.1 304 Not Modified\r\netag: \"a\"\r\ncontent-length: 77\r\n\r\n"),
        ),
        Kind::http1("status-404", get("/shop"), status("404 Not Found")),
        Kind::http1("status-429", get("/shop"), status("429 Too Many Requests")),
        Kind::http1("status-500", get("/shop"), status("500 Internal Server Error")).outcome("error"),
        Kind::http1("status-503", get("/shop"), status("503 Service Unavailable")).outcome("error"),
        Kind::http1("status-504", get("/shop"), status("504 Gateway Timeout")).outcome("error"),
        Kind::http1("status-599", get("/shop"), status("599 Odd")).outcome("error"),
        Kind::http1("no-reason", get("/shop"), answer("HTTP/1.1 200 \r\ncontent-length: 2\r\n\r\nok")),
    ]
}

fn interim_and_early() -> Vec<Kind> {
    let expect = "expect: 100-continue\r\ncontent-length: 5\r\n";
    let expecting =
        |last: Vec<Step>| ask("PUT /shop HTTP/1.1", expect).into_iter().chain(last).collect::<Vec<_>>();
    let go_on = "HTTP/1.1 100 Continue\r\n\r\n";
    let early = || {
        let send = [text("first"), Step::Near(Mark::Whole)];
        ask("POST /shop HTTP/1.1", "content-length: 10\r\n").into_iter().chain(send).collect::<Vec<_>>()
    };
    vec![
        Kind::http1(
            "continue-100",
            expecting(vec![Step::Near(Mark::Interim), text("hello")]),
            [answer(go_on), vec![Step::Near(Mark::Whole)], ok()].concat(),
        ),
        Kind::http1(
            "continue-refused",
            expecting(vec![Step::Near(Mark::Whole)]),
            status("417 Expectation Failed"),
        ),
        Kind::http1(
            "hints-103",
            get("/shop"),
            [answer("HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\n"), ok()].concat(),
        ),
        Kind::http1(
            "early-answer",
            early(),
            [vec![Step::Near(Mark::Body(5))], status("413 Content Too Large")].concat(),
        ),
        Kind::http1("early-success", early(), [vec![Step::Near(Mark::Body(5))], ok()].concat()),
    ]
}

fn bodies() -> Vec<Kind> {
    let chunks = "5\r\nhello\r\n6\r\n world\r\n0\r\n";
    let post = |headers: &str, body: Vec<Step>| [ask("POST /shop HTTP/1.1", headers), body].concat();
    let chunked = "transfer-encoding: chunked\r\n";
    let big = format!("content-length: {TEN_MB}\r\n");
    let big_answer = || vec![text(&format!("HTTP/1.1 200 OK\r\n{big}\r\n")), Step::Fill(TEN_MB)];
    let chunk = format!("{TEN_MB:x}\r\n");
    let big_chunks = || vec![text(&chunk), Step::Fill(TEN_MB), text("\r\n0\r\n\r\n")];
    vec![
        Kind::http1("chunked-up", post(chunked, answer(&format!("{chunks}\r\n"))), after_request(ok())),
        Kind::http1(
            "chunked-down",
            get("/shop"),
            answer(&format!("HTTP/1.1 200 OK\r\n{chunked}\r\n{chunks}\r\n")),
        ),
        Kind::http1(
            "trailers-up",
            post(
                &format!("{chunked}trailer: x-sum\r\n"),
                answer(&format!("{chunks}x-sum: 7\r\nx-more: \r\n\r\n")),
            ),
            after_request(ok()),
        ),
        Kind::http1(
            "trailers-down",
            ask("GET /shop HTTP/1.1", "te: trailers\r\n"),
            answer(&format!("HTTP/1.1 200 OK\r\n{chunked}trailer: x-sum\r\n\r\n{chunks}x-sum: 7\r\n\r\n")),
        ),
        Kind::http1("until-close", get("/shop"), vec![text("HTTP/1.1 200 OK\r\n\r\nhello"), Step::Close]),
        Kind::http1("ten-mb-up", post(&big, vec![Step::Fill(TEN_MB)]), after_request(ok())),
        Kind::http1("ten-mb-down", get("/shop"), big_answer()),
        Kind::http1("ten-mb-both", post(&big, vec![Step::Fill(TEN_MB)]), after_request(big_answer())),
        Kind::http1(
            "ten-mb-chunked",
            post(chunked, big_chunks()),
            after_request([answer(&format!("HTTP/1.1 200 OK\r\n{chunked}\r\n")), big_chunks()].concat()),
        ),
        Kind::http1("zero-up", post("content-length: 0\r\n", vec![]), ok()),
        Kind::http1("zero-down", get("/shop"), answer("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")),
        Kind::http1(
            "zero-chunks",
            post(chunked, answer("0\r\n\r\n")),
            after_request(answer(&format!("HTTP/1.1 200 OK\r\n{chunked}\r\n0\r\n\r\n"))),
        ),
        Kind::http1(
            "slow-upload",
            post("content-length: 10\r\n", vec![text("first"), Step::Pause(LONGER_MS), text("other")]),
            after_request(ok()),
        )
        .tight(),
        Kind::http1(
            "slow-upload-chunked",
            post(chunked, vec![text("1\r\na\r\n"), Step::Pause(LONGER_MS), text("0\r\n\r\n")]),
            after_request(ok()),
        )
        .tight(),
        Kind::http1("slow-download", get("/shop"), slow_download()).tight(),
        Kind::http1("slow-without-context", get("/shop"), [vec![Step::Pause(LONGER_MS)], ok()].concat())
            .tight()
            .only_silent(),
    ]
}

fn slow_download() -> Vec<Step> {
    let pieces = (0..6).flat_map(|_| [Step::Pause(500), text("piece")]);
    std::iter::once(text("HTTP/1.1 200 OK\r\ncontent-length: 30\r\n\r\n")).chain(pieces).collect()
}

/// Redirects, mirrors, and what Envoy says itself.
fn by_envoy() -> Vec<Kind> {
    let none = |name, client| Kind::http1(name, client, vec![]).to(Upstream::None);
    let bearer = "authorization: Bearer eyJhbGciOiJFUzI1NiJ9.e30.eA\r\n";
    let preflight = "origin: http://a.example\r\naccess-control-request-method: PUT\r\n";
    let found = "HTTP/1.1 302 Found\r\nlocation: http://shop/landed\r\ncontent-length: 0\r\n\r\n";
    vec![
        Kind::http1("redirect-upstream", get("/shop"), answer(found)),
        Kind::http1("redirect-internal", get("/shop"), answer(found)).landing(ok()).reached(2).route(|route| {
            route["route"]["internal_redirect_policy"] = json!({"max_internal_redirects": 1});
        }),
        none("redirect-route", get("/shop?a=1")).unrouted().route(|route| {
            instead(route, "redirect", json!({"path_redirect": "/elsewhere", "response_code": "PERMANENT_REDIRECT"}));
        }),
        none("direct-response", get("/shop")).unrouted().route(|route| {
            instead(route, "direct_response", json!({"status": 418, "body": {"inline_string": "teapot"}}));
        }),
        Kind::http1("mirrored", get("/shop"), ok()).reached(2).route(|route| {
            route["route"]["request_mirror_policies"] = json!([{"cluster": "shadow"}]);
        }),
        Kind::http1("retried", get("/shop"), status("503 Service Unavailable")).then(ok()).reached(2).route(|route| {
            // Without a timeout Envoy does not say what is left of it.
            route["route"]["timeout"] = json!("0s");
            route["route"]["retry_policy"] = json!({"retry_on": "5xx", "num_retries": 2,
                "retry_back_off": {"base_interval": "0.005s", "max_interval": "0.005s"}});
        }),
        Kind::http1("rewritten", get("/shop/a?b=c"), ok()).route(|route| {
            route["route"]["regex_rewrite"] = json!({"pattern": {"regex": "^/shop"}, "substitution": "/store"});
            route["request_headers_to_add"] = json!([{"header": {"key": "x-added", "value": "1"}}]);
            route["response_headers_to_remove"] = json!(["x-shop"]);
        }),
        none("rbac", get("/shop")).uncounted().route(|route| {
            let rules = json!({"action": "DENY", "policies": {"all":
                {"permissions": [{"any": true}], "principals": [{"any": true}]}}});
            per_route(route, "rbac", "RBACPerRoute", json!({"rbac": {"rules": rules}}));
        }),
        none("jwt-missing", get("/shop")).uncounted().route(needs_token),
        none("jwt-wrong", ask("GET /shop HTTP/1.1", bearer)).uncounted().route(needs_token),
        none("fault-abort", get("/shop")).outcome("error").flag("FI").route(|route| {
            per_route(route, "fault", "HTTPFault", json!({"abort": {"http_status": 503, "percentage": {"numerator": 100}}}));
        }),
        Kind::http1("fault-delay", get("/shop"), ok()).flag("DI").route(|route| {
            per_route(route, "fault", "HTTPFault", json!({"delay": {"fixed_delay": "0.2s", "percentage": {"numerator": 100}}}));
        }),
        none("rate-limit", get("/shop")).outcome("error").flag("RL").primed().route(|route| {
            let all = json!({"default_value": {"numerator": 100}});
            per_route(route, "local_ratelimit", "LocalRateLimit", json!({"stat_prefix": "limit", "filter_enabled": all,
                "filter_enforced": all, "token_bucket": {"max_tokens": 1, "tokens_per_fill": 1, "fill_interval": "3600s"}}));
        }),
        none("ext-authz", get("/shop")).outcome("error").flag("UAEX").route(|route| {
            per_route(route, "ext_authz", "ExtAuthzPerRoute", json!({"check_settings": {}}));
        }),
        none("cors-preflight", ask("OPTIONS /shop HTTP/1.1", preflight)).no_journey().route(|route| {
            per_route(route, "cors", "CorsPolicy", json!({"allow_origin_string_match": [{"prefix": "http://"}], "allow_methods": "PUT"}));
        }),
        none("no-route", get("/shop")).unrouted().outcome("error").flag("NR").route(|route| {
            route["match"]["headers"] = json!([{"name": "x-kind", "string_match": {"exact": "never"}}]);
        }),
        none("no-cluster", get("/shop")).unrouted().outcome("error").flag("NC").route(|route| {
            route["route"] = json!({"cluster_header": "x-no-such-header"});
        }),
    ]
}

/// In the place of a cluster.
fn instead(route: &mut Value, field: &str, value: Value) {
    if let Some(fields) = route.as_object_mut() {
        fields.remove("route");
    }
    route[field] = value;
}

fn needs_token(route: &mut Value) {
    per_route(route, "jwt_authn", "PerRouteConfig", json!({"requirement_name": "required"}));
}

fn headers() -> Vec<Kind> {
    let many = |count: usize| (0..count).map(|i| format!("x-h{i}: v{i}\r\n")).collect::<String>();
    let raw = |head: &[u8]| {
        let mut bytes = b"GET /shop HTTP/1.1\r\nhost: shop\r\n{case}\r\n".to_vec();
        bytes.extend_from_slice(head);
        bytes.extend_from_slice(b"\r\n");
        vec![Step::Bytes(bytes)]
    };
    let answered = |head: &[u8]| {
        vec![Step::Bytes([b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n", head, b"\r\nok"].concat())]
    };
    let long = format!("x-long: {}\r\n", "l".repeat(16_000));
    vec![
        Kind::http1("many-headers", ask("GET /shop HTTP/1.1", &many(85)), answered(many(85).as_bytes())),
        Kind::http1("too-many-headers", ask("GET /shop HTTP/1.1", &many(120)), vec![])
            .to(Upstream::None)
            .uncounted(),
        Kind::http1("long-header", ask("GET /shop HTTP/1.1", &long), answered(long.as_bytes())),
        Kind::http1(
            "latin1-values",
            raw(b"x-name: caf\xe9 \xff\xfe\r\n"),
            answered(b"x-name: caf\xe9 \xff\r\n"),
        ),
        Kind::http1(
            "utf8-values",
            raw("x-name: né ☕\r\n".as_bytes()),
            answered("x-name: né ☕\r\n".as_bytes()),
        ),
        Kind::http1(
            "duplicate-headers",
            ask("GET /shop HTTP/1.1", "x-a: 1\r\nx-b: 2\r\nX-A: 3\r\nx-a: \r\n"),
            answered(b"x-a: 1\r\nx-b: 2\r\nX-A: 3\r\n"),
        ),
        Kind::http1(
            "cookies",
            ask("GET /shop HTTP/1.1", "cookie: a=1; b=2\r\ncookie: c=3\r\n"),
            answered(b"set-cookie: a=1; Path=/\r\nset-cookie: b=2\r\n"),
        ),
        Kind::http1("two-baggages", ask("GET /shop HTTP/1.1", "baggage: tenant=7\r\n"), ok()),
        Kind::http1(
            "traceparent",
            ask(
                "GET /shop HTTP/1.1",
                "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\ntracestate: a=b\r\n",
            ),
            ok(),
        ),
        Kind::http1(
            "empty-value",
            ask("GET /shop HTTP/1.1", "x-empty:\r\nx-spaces:    \r\n"),
            answered(b"x-empty:\r\n"),
        ),
        Kind::http1(
            "absolute-form",
            answer("GET http://shop/shop HTTP/1.1\r\nhost: other\r\n{case}\r\n\r\n"),
            ok(),
        ),
        Kind::http1(
            "gzip",
            ask("GET /shop HTTP/1.1", "accept-encoding: gzip\r\n"),
            answered(b"content-encoding: gzip\r\n"),
        ),
        Kind::http1(
            "envoy-headers",
            ask(
                "GET /shop HTTP/1.1",
                "x-forwarded-for: 10.0.0.1\r\nx-envoy-external-address: 1.2.3.4\r\nx-envoy-decorator-operation: x\r\n",
            ),
            answered(b"x-envoy-immediate-health-check-fail: 0\r\nserver: nginx\r\nvia: 1.1 a\r\n"),
        ),
        Kind::http1(
            "alternate-cased",
            ask("GET /shop HTTP/1.1", "X-Mixed-Case: Yes\r\n"),
            answered(b"ETag: \"X\"\r\nWWW-Authenticate: Basic\r\n"),
        ),
    ]
}

fn paths() -> Vec<Kind> {
    let long = format!("/{}", "p".repeat(8_000));
    let path = |name, path: &str| Kind::http1(name, get(path), ok());
    vec![
        path("long-path", &long),
        path("double-slash", "//shop//a"),
        path("encoded-slash", "/shop%2Fa%2fb"),
        path("dots", "/shop/./a/../b/..."),
        path("trailing-dot", "/shop./a."),
        path("trailing-slash", "/shop/"),
        path("query", "/shop?a=b&c=%20d&emac=v1:checkout:1:0000"),
        path("percent", "/shop/%zz%00%e2%98%95"),
        path("semicolon", "/shop;v=1/a,b"),
        Kind::http1(
            "host-dot",
            answer("GET /shop HTTP/1.1\r\nhost: Shop.Example.:80\r\n{case}\r\n\r\n"),
            ok(),
        ),
    ]
}

fn probes() -> Vec<Kind> {
    vec![
        Kind::http1(
            "probe-kubelet",
            ask("GET /healthz HTTP/1.1", "user-agent: kube-probe/1.31\r\nconnection: close\r\n"),
            ok(),
        )
        .no_journey(),
        Kind::http1("probe-balancer", ask("GET / HTTP/1.1", "user-agent: GoogleHC/1.0\r\n"), ok())
            .no_journey(),
        Kind::http1(
            "probe-failing",
            ask("GET /healthz HTTP/1.1", "user-agent: kube-probe/1.31\r\n"),
            status("503 Service Unavailable"),
        )
        .outcome("error")
        .no_journey(),
        Kind::http1(
            "shadow-arrives",
            answer("GET /shop HTTP/1.1\r\nhost: shop-shadow\r\n{case}\r\n\r\n"),
            ok(),
        )
        .uncounted(),
    ]
}
