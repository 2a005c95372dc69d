//! Failures on the way, by Envoy's response flag: who tore an answer decides whether it counts as `error` or as `cancelled`.

use serde_json::json;

use super::kind::{Kind, Mark, Step, Upstream};
use super::kinds::{after_request, ask, get, text};

const BEGUN: &str = "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nbegun";
const BEGUN_CHUNKS: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nbegun\r\n";
const PLAIN: &[super::kind::Header] = &[("content-type", "text/plain")];
const GRPC: &[super::kind::Header] = &[("content-type", "application/grpc"), ("te", "trailers")];
const CANCEL: u32 = 8;
const INTERNAL_ERROR: u32 = 2;

/// The client has what was sent so far.
fn received() -> Step {
    Step::Far(Mark::Body(5))
}

pub(super) fn all() -> Vec<Kind> {
    [by_upstream(), by_envoy(), by_client()].concat()
}

fn by_upstream() -> Vec<Kind> {
    let begun = |last: Vec<Step>| [vec![text(BEGUN), received()], last].concat();
    let begun2 =
        |last: Vec<Step>| [vec![Step::Answer(200, PLAIN, false), text("begun"), received()], last].concat();
    let get2 = ("GET", "/shop");
    vec![
        Kind::http1("closed-before", get("/shop"), vec![Step::Close]).outcome("error").flag("UC"),
        Kind::http1("reset-before", get("/shop"), vec![Step::Rst]).outcome("error").flag("UC"),
        Kind::http1(
            "garbage-before",
            get("/shop"),
            vec![text("no HTTP at all\r\n\r\n"), Step::Near(Mark::Whole)],
        )
        .outcome("error")
        .flag("UPE"),
        Kind::http1("torn-closed", get("/shop"), begun(vec![Step::Close])).torn("error").flag("UPE"),
        Kind::http1("torn-reset", get("/shop"), begun(vec![Step::Rst])).torn("error").flag("UPE"),
        Kind::http1(
            "torn-chunk",
            get("/shop"),
            vec![text(BEGUN_CHUNKS), received(), text("zz\r\nno chunk\r\n")],
        )
        .torn("error")
        .flag("UPE"),
        Kind::http1("torn-chunks-closed", get("/shop"), vec![text(BEGUN_CHUNKS), received(), Step::Close])
            .torn("error")
            .flag("UPE"),
        Kind::http2("torn-h2-reset", get2, &[], vec![], begun2(vec![Step::Reset(INTERNAL_ERROR)]))
            .torn("error")
            .flag("UR"),
        Kind::http2("torn-h2-cancelled", get2, &[], vec![], begun2(vec![Step::Reset(CANCEL)]))
            .torn("error")
            .flag("UR"),
        Kind::http2("torn-h2-goaway", get2, &[], vec![], begun2(vec![Step::Abort])).torn("error").alone(),
        Kind::http2("torn-h2-closed", get2, &[], vec![], begun2(vec![Step::Close])).torn("error").alone(),
        Kind::http2("torn-h2-protocol", get2, &[], vec![], vec![])
            .to(Upstream::BrokenHttp2)
            .torn("error")
            .flag("UPE")
            .alone(),
        Kind::http2(
            "torn-grpc",
            ("POST", "/shop.Cart/Get"),
            GRPC,
            vec![Step::End],
            after_request(vec![
                Step::Answer(200, GRPC, false),
                text("begun"),
                received(),
                Step::Reset(INTERNAL_ERROR),
            ]),
        )
        .torn("error")
        .flag("UR"),
        Kind::http1(
            "torn-500",
            get("/shop"),
            vec![
                text("HTTP/1.1 500 Internal Server Error\r\ncontent-length: 1000\r\n\r\nbegun"),
                received(),
                Step::Close,
            ],
        )
        .torn("error")
        .flag("UPE"),
        Kind::http1("refused", get("/shop"), vec![]).to(Upstream::Refusing).outcome("error").flag("UF"),
    ]
}

fn by_envoy() -> Vec<Kind> {
    let hang = || vec![text(BEGUN), Step::Far(Mark::Whole)];
    let silent = |name| Kind::http1(name, get("/shop"), vec![]).to(Upstream::Silent);
    vec![
        Kind::http1("no-host", get("/shop"), vec![]).to(Upstream::None).outcome("error").flag("UH").cluster(|cluster| {
            cluster["load_assignment"]["endpoints"] = json!([]);
        }),
        Kind::http1("overflow", get("/shop"), vec![]).to(Upstream::None).outcome("shed").flag("UO").cluster(|cluster| {
            cluster["circuit_breakers"] = json!({"thresholds": [{"max_connections": 0, "max_pending_requests": 0, "max_requests": 0}]});
        }),
        Kind::http1("retries-spent", get("/shop"), vec![text("HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n")]).reached(2).outcome("error").flag("URX").route(|route| {
            route["route"]["timeout"] = json!("0s");
            route["route"]["retry_policy"] = json!({"retry_on": "5xx", "num_retries": 1,
                "retry_back_off": {"base_interval": "0.005s", "max_interval": "0.005s"}});
        }),
        silent("route-timeout").outcome("timeout").flag("UT").route(|route| {
            route["route"]["timeout"] = json!("0.2s");
        }),
        silent("idle-before").outcome("timeout").flag("SI").route(|route| {
            route["route"]["idle_timeout"] = json!("0.2s");
        }),
        silent("stream-duration").outcome("timeout").flag("UMSDR").cluster(|cluster| {
            let options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
            cluster["typed_extension_protocol_options"][options]["common_http_protocol_options"] =
                json!({"max_stream_duration": "0.2s"});
        }),
        Kind::http1("torn-idle", get("/shop"), hang()).torn("error").flag("SI").route(|route| {
            route["route"]["idle_timeout"] = json!("1s");
        }),
        Kind::http1("torn-timeout", get("/shop"), hang()).torn("error").flag("UT").route(|route| {
            route["route"]["timeout"] = json!("1s");
        }),
        Kind::http1("torn-duration", get("/shop"), hang()).torn("error").flag("-").route(|route| {
            route["route"]["max_stream_duration"] = json!({"max_stream_duration": "1s"});
        }),
        Kind::http1("torn-upstream-duration", get("/shop"), hang()).torn("error").flag("UMSDR").cluster(|cluster| {
            let options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
            cluster["typed_extension_protocol_options"][options]["common_http_protocol_options"] =
                json!({"max_stream_duration": "1s"});
        }),
        Kind::http1("drop-overload", get("/shop"), vec![]).to(Upstream::None).outcome("shed").flag("UDO").cluster(|cluster| {
            cluster["load_assignment"]["policy"] =
                json!({"drop_overloads": [{"category": "all", "drop_percentage": {"numerator": 100}}]});
        }),
    ]
}

fn by_client() -> Vec<Kind> {
    let leave = |last: Step| vec![Step::Near(Mark::Body(5)), last];
    let begun = || vec![text(BEGUN), Step::Far(Mark::Whole)];
    let begun2 = || vec![Step::Answer(200, PLAIN, false), text("begun"), Step::Far(Mark::Whole)];
    let waits = || vec![Step::Far(Mark::Whole)];
    let post = |last: Vec<Step>| {
        [
            ask("POST /shop HTTP/1.1", "content-length: 10\r\n"),
            vec![text("first"), Step::Far(Mark::Body(5))],
            last,
        ]
        .concat()
    };
    vec![
        Kind::http1(
            "left-waiting",
            [get("/shop"), vec![Step::Far(Mark::Head), Step::Close]].concat(),
            waits(),
        )
        .torn("cancelled")
        .flag("DC"),
        Kind::http1("left-reset", [get("/shop"), vec![Step::Far(Mark::Head), Step::Rst]].concat(), waits())
            .torn("cancelled")
            .flag("DC"),
        Kind::http1("left-uploading", post(vec![Step::Close]), waits()).torn("cancelled").flag("DC"),
        Kind::http1("left-reading", [get("/shop"), leave(Step::Close)].concat(), begun())
            .torn("cancelled")
            .flag("DC"),
        Kind::http1("left-reading-reset", [get("/shop"), leave(Step::Rst)].concat(), begun())
            .torn("cancelled")
            .flag("DC"),
        Kind::http2(
            "left-h2-waiting",
            ("GET", "/shop"),
            &[],
            vec![Step::Far(Mark::Head), Step::Reset(CANCEL)],
            waits(),
        )
        .torn("cancelled")
        .flag("DR"),
        Kind::http2("left-h2-reading", ("GET", "/shop"), &[], leave(Step::Reset(CANCEL)), begun2())
            .torn("cancelled")
            .flag("DR"),
        Kind::http2("left-h2-closed", ("GET", "/shop"), &[], leave(Step::Close), begun2())
            .torn("cancelled")
            .flag("DC"),
        Kind::http1(
            "left-bad-answer",
            [get("/shop"), leave(Step::Close)].concat(),
            vec![
                text("HTTP/1.1 500 Internal Server Error\r\ncontent-length: 1000\r\n\r\nbegun"),
                Step::Far(Mark::Whole),
            ],
        )
        .torn("error")
        .flag("DC"),
        Kind::http2(
            "left-bad-grpc",
            ("POST", "/shop.Cart/Get"),
            GRPC,
            vec![Step::End],
            after_request(vec![Step::Answer(
                200,
                &[("content-type", "application/grpc"), ("grpc-status", "13")],
                true,
            )]),
        )
        .outcome("error"),
    ]
}
