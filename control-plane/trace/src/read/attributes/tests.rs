use super::super::keys::Keys;
use super::*;

fn of<'a>(attributes: &[(&str, &'a str)]) -> Attributes<'a> {
    let keys = Keys::new([]);
    let mut found = Attributes::default();
    for (name, value) in attributes {
        found.set(keys.of(name.as_bytes()).unwrap(), name.as_bytes(), Value::Text(Cow::Borrowed(value)));
    }
    found
}

#[test]
fn peers_by_what_fits_best() {
    let cluster = ("upstream_cluster", "outbound|9080||reviews.bookinfo.svc.cluster.local");
    for (attributes, expected) in [
        (&[cluster, ("peer.service", "x")][..], "reviews.bookinfo"),
        (&[("upstream_cluster.name", "outbound|443|v2|api.example.com")], "api.example.com"),
        (&[("upstream_cluster", "inbound|9080||"), ("peer.service", "x")], "x"),
        (&[("upstream_cluster", "PassthroughCluster"), ("server.address", "a.b.svc:80")], "a.b"),
        (&[("upstream_cluster", "service_google")], "service_google"),
        (&[("db.system", "postgresql"), ("db.name", "orders")], "postgresql:orders"),
        (&[("db.system", "redis"), ("server.address", "cache-1")], "redis@cache-1"),
        (&[("db.system", "redis"), ("server.address", "10.0.0.7")], "redis"),
        (&[("db.system", "mysql"), ("db.connection_string", "jdbc:mysql://u:p@m1:3306,m2/shop")], "mysql@m1"),
        (&[("messaging.system", "kafka"), ("messaging.destination.name", "paid")], "kafka:paid"),
        (&[("kafka.topic", "paid"), ("peer.service", "kafka")], "paid"),
        (&[("server.address", "10.0.0.7:80")], ""),
        (&[("server.address", "[::1]:80")], ""),
        (&[("server.address", "203.0.113.7"), ("network.peer.address", "10.1.1.1")], "203.0.113.7"),
        (&[("server.address", "localhost")], ""),
        (&[("net.sock.peer.addr", "2001:db8::7")], "2001:db8::7"),
        (
            &[("server.address", "203.0.113.7"), ("url.full", "https://a@api.example.com:8443/v1?x=/")],
            "api.example.com",
        ),
        (&[("http.url", "http://cart.shop.svc.cluster.local/7")], "cart.shop"),
        (&[("http.url", "/cart/7")], ""),
        (&[("net.peer.name", "reviews:9080")], "reviews"),
        (&[], ""),
    ] {
        assert_eq!(of(attributes).peer(), expected, "{attributes:?}");
    }
}

#[test]
fn outcomes_by_the_most_telling_sign() {
    for (attributes, error, expected) in [
        (&[][..], false, SpanOutcome::Good),
        (&[], true, SpanOutcome::Error),
        (&[("http.status_code", "404")], false, SpanOutcome::Good),
        (&[("http.status_code", "503")], false, SpanOutcome::Error),
        (&[("http.status_code", "504")], true, SpanOutcome::Timeout),
        (&[("http.status_code", "0"), ("response_flags", "DC")], true, SpanOutcome::Cancelled),
        (&[("http.status_code", "503"), ("response_flags", "URX,UT")], false, SpanOutcome::Timeout),
        (&[("http.status_code", "200"), ("response_flags", "-")], false, SpanOutcome::Good),
        (&[("response_flags", "UH")], false, SpanOutcome::Error),
        (&[("http.status_code", "200"), ("rpc.grpc.status_code", "14")], false, SpanOutcome::Error),
        (&[("rpc.grpc.status_code", "5")], false, SpanOutcome::Good),
        (&[("grpc.status_code", "DEADLINE_EXCEEDED")], true, SpanOutcome::Timeout),
        (&[("grpc.status_code", "CANCELLED")], true, SpanOutcome::Cancelled),
        (&[("error.type", "timeout")], true, SpanOutcome::Timeout),
    ] {
        assert_eq!(of(attributes).outcome(error, false), expected, "{attributes:?}");
    }
}

/// By the conventions a caller's span is an error for whatever is not OK; an exception of its own is one all the same.
#[test]
fn an_answer_that_a_caller_calls_an_error_is_an_answer() {
    for (attributes, asks, expected) in [
        (&[("http.response.status_code", "404")][..], true, SpanOutcome::Good),
        (&[("http.response.status_code", "404"), ("error.type", "404")], true, SpanOutcome::Good),
        (
            &[("http.response.status_code", "404"), ("error.type", "java.io.IOException")],
            true,
            SpanOutcome::Error,
        ),
        (&[("http.response.status_code", "404")], false, SpanOutcome::Error),
        (&[("http.response.status_code", "429")], true, SpanOutcome::Error),
        (&[("http.response.status_code", "503")], true, SpanOutcome::Error),
        (&[("rpc.grpc.status_code", "5")], true, SpanOutcome::Good),
        (&[("rpc.grpc.status_code", "5"), ("error.type", "NOT_FOUND")], true, SpanOutcome::Good),
        (&[("rpc.grpc.status_code", "8")], true, SpanOutcome::Error),
        (&[("rpc.grpc.status_code", "14")], true, SpanOutcome::Error),
    ] {
        assert_eq!(of(attributes).outcome(true, asks), expected, "{attributes:?} {asks}");
    }
}

#[test]
fn statuses() {
    assert_eq!(of(&[("http.status_code", "200"), ("rpc.grpc.status_code", "14")]).status(), 14);
    assert_eq!(of(&[("http.status_code", "200"), ("rpc.grpc.status_code", "0")]).status(), 200);
    assert_eq!(of(&[("http.status_code", "99999")]).status(), 0);
}

#[test]
fn who_reports() {
    let istio = [("istio.canonical_service", "reviews"), ("istio.namespace", "bookinfo")];
    let named = |attributes: &[(&str, &'static str)]| of(attributes).service_name().map(Cow::into_owned);
    assert_eq!(named(&[("service.name", "reviews.bookinfo")]).as_deref(), Some("reviews.bookinfo"));
    assert_eq!(named(&istio).as_deref(), Some("reviews.bookinfo"));
    assert_eq!(named(&[istio[0], ("service.name", "unknown_service:java")]).as_deref(), Some("reviews"));
    assert_eq!(named(&[("service.name", "unknown_service:java")]).as_deref(), Some("unknown_service:java"));
    assert_eq!(named(&[]), None);
}

#[test]
fn whose_clock() {
    let node = ("node_id", "sidecar~10.244.0.14~reviews-v1-x.bookinfo~bookinfo.svc.cluster.local");
    assert_eq!(of(&[node, ("ip", "10.0.0.1")]).instance(), "reviews-v1-x.bookinfo");
    assert_eq!(of(&[node, ("k8s.pod.name", "p")]).instance(), "p");
    assert_eq!(of(&[("ip", "10.0.0.1")]).instance(), "10.0.0.1");
}

#[test]
fn names_attempts_labels() {
    assert_eq!(of(&[("http.route", "/cart/{id}")]).name("GET"), "GET /cart/{id}");
    assert_eq!(of(&[("http.route", "/cart/{id}")]).name("cart"), "cart");
    assert_eq!(of(&[("http.request.resend_count", "2")]).attempt, 3);
    assert_eq!(of(&[("x-envoy-attempt-count", "2")]).attempt, 2);
    let labels = of(&[("cloud.region", "eu"), ("hostname", "n1")]).labels;
    assert_eq!(labels, [("cloud.region".into(), "eu".into()), ("host.name".into(), Cow::Borrowed("n1"))]);
}
