//! HTTP/2, gRPC, and answers that go on.

use serde_json::json;

use super::kind::{Header, Kind, LONGER_MS, Mark, Step, Upstream};
use super::kinds::{TEN_MB, after_request, ask, get, ok, text};

const PLAIN: &[Header] = &[("content-type", "text/plain"), ("x-shop", "One")];
const GRPC: &[Header] = &[("content-type", "application/grpc"), ("te", "trailers"), ("x-meta-bin", "AAEC")];
const GRPC_ANSWER: &[Header] = &[("content-type", "application/grpc"), ("x-initial", "1")];
const GRPC_OK: &[Header] = &[("grpc-status", "0"), ("x-last", "2")];
const GRPC_FAILED: &[Header] = &[("grpc-status", "5"), ("grpc-message", "no%20such%20cart")];
/// HTTP/2 error codes, RFC 9113 section 7.
const INTERNAL_ERROR: u32 = 2;
const REFUSED_STREAM: u32 = 7;
const CANCEL: u32 = 8;

/// A gRPC message.
fn message(text: &str) -> Step {
    let length = u32::try_from(text.len()).unwrap_or_default().to_be_bytes();
    Step::Bytes([&[0], length.as_slice(), text.as_bytes()].concat())
}

fn reply() -> Vec<Step> {
    vec![Step::Near(Mark::Whole), Step::Answer(200, PLAIN, false), text("hello"), Step::End]
}

pub(super) fn all() -> Vec<Kind> {
    [http2(), between_versions(), grpc(), answers_that_go_on(), tunnels()].concat()
}

fn http2() -> Vec<Kind> {
    let get = ("GET", "/shop");
    let post = ("POST", "/shop");
    vec![
        Kind::http2("h2-get", get, &[("x-a", "1"), ("accept", "*/*")], vec![], reply()),
        Kind::http2(
            "h2-head",
            ("HEAD", "/shop"),
            &[],
            vec![],
            vec![Step::Answer(200, &[("content-length", "500")], true)],
        ),
        Kind::http2("h2-204", get, &[], vec![], vec![Step::Answer(204, PLAIN, true)]),
        Kind::http2(
            "h2-304",
            get,
            &[("if-none-match", "a")],
            vec![],
            vec![Step::Answer(304, &[("etag", "a")], true)],
        ),
        Kind::http2(
            "h2-103",
            get,
            &[],
            vec![],
            vec![Step::Interim(103, &[("link", "</a.css>")]), Step::Answer(200, PLAIN, true)],
        ),
        Kind::http2(
            "h2-continue",
            post,
            &[("expect", "100-continue")],
            vec![Step::Near(Mark::Interim), text("hello"), Step::End],
            [vec![Step::Interim(100, &[])], reply()].concat(),
        ),
        Kind::http2("h2-empty-data", post, &[], vec![Step::End], reply()),
        Kind::http2(
            "h2-content-length",
            post,
            &[("content-length", "5")],
            vec![text("hello"), Step::End],
            vec![
                Step::Near(Mark::Whole),
                Step::Answer(200, &[("content-length", "5")], false),
                text("hello"),
                Step::End,
            ],
        ),
        Kind::http2(
            "h2-trailers",
            post,
            &[("te", "trailers")],
            vec![text("hello"), Step::Trailers(&[("x-sum", "7")])],
            vec![
                Step::Near(Mark::Whole),
                Step::Answer(200, PLAIN, false),
                text("hello"),
                Step::Trailers(&[("x-sum", "8"), ("x-sum", "9")]),
            ],
        ),
        Kind::http2(
            "h2-trailers-only",
            get,
            &[],
            vec![],
            vec![Step::Answer(200, PLAIN, false), Step::Trailers(&[("x-sum", "8")])],
        ),
        Kind::http2(
            "h2-ten-mb",
            post,
            &[],
            vec![Step::Fill(TEN_MB), Step::End],
            vec![Step::Near(Mark::Whole), Step::Answer(200, PLAIN, false), Step::Fill(TEN_MB), Step::End],
        )
        .alone(),
        Kind::http2("h2-hundred-streams", post, &[], vec![text("hello"), Step::End], reply()).requests(100),
        Kind::http2(
            "h2-early-answer",
            post,
            &[],
            vec![text("first"), Step::Near(Mark::Whole)],
            vec![Step::Near(Mark::Body(5)), Step::Answer(413, PLAIN, true)],
        ),
        Kind::http2(
            "h2-cookies",
            get,
            &[("cookie", "a=1"), ("cookie", "b=2")],
            vec![],
            vec![Step::Answer(200, &[("set-cookie", "a=1"), ("set-cookie", "b=2")], true)],
        ),
        Kind::http2(
            "h2-latin1",
            get,
            &[("x-name", r"caf\xe9")],
            vec![],
            vec![Step::Answer(200, &[("x-name", r"\xff\xfe")], true)],
        ),
        Kind::http2(
            "h2-goaway",
            get,
            &[],
            vec![],
            vec![Step::GoAway, Step::Answer(200, PLAIN, false), text("hello"), Step::End],
        ),
        Kind::http2("h2-refused", get, &[], vec![], vec![Step::Reset(REFUSED_STREAM)]).outcome("error"),
        Kind::http2("h2-reset-before", get, &[], vec![], vec![Step::Reset(INTERNAL_ERROR)])
            .outcome("error")
            .flag("UR"),
        Kind::http2(
            "h2-client-resets",
            post,
            &[],
            vec![text("first"), Step::Far(Mark::Body(5)), Step::Reset(CANCEL)],
            vec![Step::Near(Mark::Whole)],
        )
        .torn("cancelled"),
    ]
}

fn between_versions() -> Vec<Kind> {
    let to_http1 = |name, headers, client, upstream| {
        Kind::http2(name, ("POST", "/shop"), headers, client, vec![]).over_http1(upstream)
    };
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-sum: 7\r\n\r\n";
    let http1 = |name, client, upstream| Kind::http1(name, client, vec![]).to(Upstream::Http2(upstream));
    vec![
        to_http1("h2-to-h1", &[("x-a", "1")], vec![text("hello"), Step::End], after_request(ok())),
        to_http1(
            "h2-to-h1-trailers",
            &[("te", "trailers")],
            vec![text("hello"), Step::Trailers(&[("x-sum", "7")])],
            vec![Step::Near(Mark::Whole), text(chunked)],
        ),
        // Of which one connection to the upstream takes one at a time.
        to_http1("h2-to-h1-streams", &[], vec![text("hello"), Step::End], after_request(ok())).requests(20),
        http1("h1-to-h2", get("/shop"), reply()),
        http1(
            "h1-to-h2-trailers",
            ask("GET /shop HTTP/1.1", "te: trailers\r\n"),
            vec![Step::Answer(200, PLAIN, false), text("hello"), Step::Trailers(&[("x-sum", "8")])],
        ),
    ]
}

fn grpc() -> Vec<Kind> {
    let call = |name, path, client, upstream| Kind::http2(name, ("POST", path), GRPC, client, upstream);
    let one = || vec![message("ask"), Step::End];
    let unary = || {
        vec![
            Step::Near(Mark::Whole),
            Step::Answer(200, GRPC_ANSWER, false),
            message("answer"),
            Step::Trailers(GRPC_OK),
        ]
    };
    let slowly =
        |count: usize| (0..count).flat_map(|_| [message("part"), Step::Pause(500)]).collect::<Vec<_>>();
    let web = "content-type: application/grpc-web+proto\r\nx-grpc-web: 1\r\ncontent-length: 8\r\n";
    vec![
        call("grpc-unary", "/shop.Cart/Get", one(), unary()),
        call("grpc-timeout-header", "/shop.Cart/Get", one(), unary()).route(|route| {
            route["route"]["max_stream_duration"] = json!({"grpc_timeout_header_max": "0s"});
        }),
        call(
            "grpc-failed",
            "/shop.Cart/Get",
            one(),
            vec![Step::Near(Mark::Whole), Step::Answer(200, GRPC_ANSWER, false), Step::Trailers(GRPC_FAILED)],
        )
        .outcome("error"),
        call(
            "grpc-trailers-only",
            "/shop.Cart/Get",
            one(),
            after_request(vec![Step::Answer(
                200,
                &[("content-type", "application/grpc"), ("grpc-status", "14"), ("grpc-message", "busy")],
                true,
            )]),
        )
        .outcome("error"),
        call("grpc-client-stream", "/shop.Cart/Put", [slowly(3), one()].concat(), unary()).tight(),
        call(
            "grpc-server-stream",
            "/shop.Cart/Watch",
            one(),
            [
                vec![Step::Near(Mark::Whole), Step::Answer(200, GRPC_ANSWER, false)],
                slowly(6),
                vec![Step::Trailers(GRPC_OK)],
            ]
            .concat(),
        )
        .tight()
        .outcome("stream"),
        call(
            "grpc-both-streams",
            "/shop.Cart/Talk",
            vec![message("a"), Step::Near(Mark::Body(11)), Step::Pause(LONGER_MS), message("b"), Step::End],
            vec![
                Step::Near(Mark::Head),
                Step::Answer(200, GRPC_ANSWER, false),
                message("answer"),
                Step::Near(Mark::Whole),
                message("end"),
                Step::Trailers(GRPC_OK),
            ],
        )
        .tight()
        .outcome("stream"),
        call(
            "grpc-health",
            "/grpc.health.v1.Health/Check",
            vec![message(""), Step::End],
            vec![
                Step::Near(Mark::Whole),
                Step::Answer(200, GRPC_ANSWER, false),
                message("\u{8}\u{1}"),
                Step::Trailers(GRPC_OK),
            ],
        )
        .no_journey(),
        call(
            "grpc-health-watch",
            "/grpc.health.v1.Health/Watch",
            vec![message(""), Step::End],
            [
                vec![Step::Near(Mark::Whole), Step::Answer(200, GRPC_ANSWER, false)],
                slowly(3),
                vec![Step::Trailers(GRPC_OK)],
            ]
            .concat(),
        )
        .tight()
        .outcome("stream")
        .no_journey(),
        Kind::http1(
            "grpc-web",
            [ask("POST /shop.Cart/Get HTTP/1.1", web), vec![message("ask")]].concat(),
            vec![],
        )
        .to(Upstream::Http2(unary())),
    ]
}

fn answers_that_go_on() -> Vec<Kind> {
    let events = || (0..6).flat_map(|_| [Step::Pause(500), text("c\r\ndata: news\n\n\r\n")]);
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n";
    let sse = |before: Vec<Step>| {
        before.into_iter().chain([text(head)]).chain(events()).chain([text("0\r\n\r\n")]).collect::<Vec<_>>()
    };
    let accept = || ask("GET /events HTTP/1.1", "accept: text/event-stream\r\n");
    let pieces = || {
        (0..6).flat_map(|_| [Step::Pause(500), text("data: news\n\n")]).chain([Step::End]).collect::<Vec<_>>()
    };
    let event_stream = || Step::Answer(200, &[("content-type", "text/event-stream; charset=utf-8")], false);
    vec![
        Kind::http1("sse", accept(), sse(vec![])).tight().outcome("stream"),
        Kind::http1("sse-unasked", get("/events"), sse(vec![])).tight().outcome("stream"),
        Kind::http1("sse-late", accept(), sse(vec![Step::Pause(LONGER_MS)])).tight().outcome("stream"),
        Kind::http2("h2-sse", ("GET", "/events"), &[], vec![], [vec![event_stream()], pieces()].concat())
            .tight()
            .outcome("stream"),
        Kind::http2(
            "h2-slow-download",
            ("GET", "/shop"),
            &[],
            vec![],
            [vec![Step::Answer(200, PLAIN, false)], pieces()].concat(),
        )
        .tight(),
        Kind::http2(
            "h2-slow-upload",
            ("POST", "/shop"),
            &[],
            vec![text("first"), Step::Pause(LONGER_MS), text("other"), Step::End],
            reply(),
        )
        .tight(),
    ]
}

fn tunnels() -> Vec<Kind> {
    let upgrade = "connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n";
    let switched = "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    let talk = |last: Step| {
        vec![
            Step::Near(Mark::Head),
            text("ping1"),
            Step::Near(Mark::Body(5)),
            Step::Pause(LONGER_MS),
            text("ping2"),
            Step::Near(Mark::Body(10)),
            last,
        ]
    };
    let echo = |head: Vec<Step>| {
        let talk = [
            Step::Near(Mark::Body(5)),
            text("pong1"),
            Step::Near(Mark::Body(10)),
            Step::Pause(LONGER_MS),
            text("pong2"),
            Step::Far(Mark::Body(10)),
            Step::Close,
        ];
        head.into_iter().chain(talk).collect::<Vec<_>>()
    };
    let echo2 = || {
        let talk = [
            Step::Near(Mark::Body(5)),
            text("pong1"),
            Step::Near(Mark::Body(10)),
            Step::Pause(LONGER_MS),
            text("pong2"),
            Step::End,
        ];
        [Step::Answer(200, &[], false)].into_iter().chain(talk).collect::<Vec<_>>()
    };
    let connect = || vec![text("CONNECT shop:443 HTTP/1.1\r\nhost: shop:443\r\n{case}\r\n\r\n")];
    let refused = "HTTP/1.1 400 Bad Request\r\ncontent-length: 3\r\n\r\nbad";
    let matches = |route: &mut serde_json::Value| {
        let headers = route["match"]["headers"].clone();
        route["match"] = json!({"connect_matcher": {}, "headers": headers});
    };
    vec![
        Kind::http1(
            "websocket",
            [ask("GET /chat HTTP/1.1", upgrade), talk(Step::Near(Mark::Whole))].concat(),
            echo(vec![text(switched)]),
        )
        .tight()
        .outcome("stream")
        .tunnel(),
        Kind::http1(
            "websocket-refused",
            ask("GET /chat HTTP/1.1", upgrade),
            vec![text(refused), Step::Far(Mark::Whole), Step::Close],
        )
        .tunnel(),
        Kind::http2(
            "extended-connect",
            ("CONNECT", "/chat"),
            &[("sec-websocket-version", "13")],
            [talk(Step::End)].concat(),
            echo2(),
        )
        .protocol("websocket")
        .tight()
        .outcome("stream")
        .tunnel(),
        Kind::http2(
            "extended-connect-to-h1",
            ("CONNECT", "/chat"),
            &[("sec-websocket-version", "13")],
            talk(Step::Near(Mark::Whole)),
            vec![],
        )
        .protocol("websocket")
        .over_http1(echo(vec![text(switched)]))
        .tight()
        .outcome("stream")
        .tunnel(),
        Kind::http1(
            "connect",
            [connect(), talk(Step::Near(Mark::Whole))].concat(),
            echo(vec![text("HTTP/1.1 200 OK\r\n\r\n")]),
        )
        .route(matches)
        .tight()
        .outcome("stream")
        .no_journey(),
        Kind::http2("h2-connect", ("CONNECT", "shop:443"), &[], talk(Step::End), echo2())
            .route(matches)
            .tight()
            .outcome("stream")
            .no_journey(),
        Kind::http1("connect-terminated", [connect(), talk(Step::Close)].concat(), vec![])
            .to(Upstream::Echo)
            .route(|route| {
                let headers = route["match"]["headers"].clone();
                route["match"] = json!({"connect_matcher": {}, "headers": headers});
                route["route"]["upgrade_configs"] =
                    json!([{"upgrade_type": "CONNECT", "connect_config": {}}]);
            })
            .tight()
            .outcome("stream")
            .no_journey(),
    ]
}
