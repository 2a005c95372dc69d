//! The discovery service over a real connection on loopback, both variants, with clients that behave and clients that do not.

mod harness;

use emac_proto::xds::{DeltaDiscoveryRequest, DiscoveryRequest};
use emac_push::protocol::StreamLimits;
use emac_push::service::{Admission, Client, ServiceLimits};
use harness::*;
use std::sync::Arc;
use std::time::Duration;
use tonic::{Code, Status};

#[tokio::test]
async fn both_variants_are_told_their_own_budgets_and_only_those() {
    let server = Server::start().await;
    server.publish(1, &[("shop/cart", "x"), ("shop/front", "x")]);
    let mut delta = server.delta().await;
    delta.subscribe(&["shop/cart"]).await;
    let mut sotw = server.sotw().await;
    sotw.subscribe(&["shop/front"]).await;
    assert_eq!(delta.next().await, [("shop/cart".to_string(), 1)]);
    assert_eq!(sotw.next().await, [("shop/front".to_string(), 1)]);
    server.until(|p| p.totals().acks == 2).await;

    server.publish(2, &[("shop/cart", "y"), ("shop/front", "x")]);
    assert_eq!(delta.next().await, [("shop/cart".to_string(), 2)]);
    server.publish(3, &[("shop/cart", "y"), ("shop/front", "y")]);
    assert_eq!(sotw.next().await, [("shop/front".to_string(), 3)], "generation 2 was none of its business");

    server.until(|p| p.totals().acks == 4).await;
    let generations: Vec<_> = server.proxies.list().into_iter().map(|p| (p.workload, p.accepted)).collect();
    let generation = |i: usize| generations[i].1.as_ref().and_then(|a| a.generation);
    assert_eq!((generations[0].0.as_str(), generation(0)), ("shop/cart", Some(2)));
    assert_eq!((generations[1].0.as_str(), generation(1)), ("shop/front", Some(3)));
    drop((delta, sotw));
    server.until(|p| p.connected() == 0).await;
}

#[tokio::test]
async fn a_client_that_is_early_waits_for_the_first_plan() {
    let server = Server::start().await;
    let mut client = server.delta().await;
    client.subscribe(&["shop/cart"]).await;
    server.until(|p| p.list().iter().any(|p| p.workload == "shop/cart")).await;
    assert_eq!(server.proxies.totals().pushes, 0);
    server.publish(1, &[("shop/cart", "x")]);
    assert_eq!(client.next().await, [("shop/cart".to_string(), 1)]);
}

#[tokio::test]
async fn a_refusal_is_remembered_with_its_reason_and_the_fix_goes_out() {
    let server = Server::start().await;
    server.publish(1, &[("shop/cart", "bad")]);
    let mut client = server.delta().await;
    client.subscribe(&["shop/cart"]).await;
    client.refuse("hops[0].timeout_ms: above 120000").await;
    server.until(|p| p.totals().nacks == 1).await;
    let refused = server.proxies.list()[0].refused.clone().unwrap();
    assert_eq!((refused.error.as_str(), refused.generation), ("hops[0].timeout_ms: above 120000", Some(1)));
    server.publish(2, &[("shop/cart", "good")]);
    assert_eq!(client.next().await, [("shop/cart".to_string(), 2)]);
    server.until(|p| p.totals().acks == 1).await;
    assert_eq!(server.proxies.totals().pushes, 2, "the refused one was not repeated");
}

#[tokio::test]
async fn removal_is_told_and_leases_are_renewed() {
    let server = Server::start().await;
    server.publish(1, &[("shop/cart", "x"), ("shop/front", "x")]);
    let mut client = server.delta().await;
    client.subscribe(&["shop/cart"]).await;
    client.next().await;
    // An acknowledgement that crosses the next response is void.
    server.until(|p| p.totals().acks == 1).await;
    let first = server.proxies.list()[0].accepted.clone();
    assert_eq!(server.publisher.renew(moment(VALID.0)), 2);
    assert_eq!(client.next().await, [("shop/cart".to_string(), 1)], "the same generation, a new lease");
    server.until(|p| p.totals().acks == 2).await;
    assert_ne!(server.proxies.list()[0].accepted, first);
    server.publish(2, &[("shop/front", "x")]);
    assert_eq!(client.removed().await, ["shop/cart"]);
}

#[tokio::test]
async fn many_clients_and_large_messages() {
    let server = Server::start().await;
    let large = "0".repeat(100_000);
    let names: Vec<String> = (0..20).map(|i| format!("shop/w{i:02}")).collect();
    let plan: Vec<_> = names.iter().map(|name| (name.as_str(), large.as_str())).collect();
    server.publish(1, &plan);
    let mut clients = Vec::new();
    for name in names.iter().chain(&names) {
        let client = server.delta().await;
        client.subscribe(&[name]).await;
        clients.push((name, client));
    }
    for (name, client) in &mut clients {
        assert_eq!(client.next().await, [(name.to_string(), 1)]);
    }
    let mut wildcard = server.delta().await;
    wildcard.subscribe(&["*"]).await;
    let mut got = Vec::new();
    while got.len() < names.len() {
        got.extend(wildcard.next().await.into_iter().map(|(name, _)| name));
    }
    assert_eq!(got, names, "in responses of a bounded size");
    server.until(|p| p.list().last().is_some_and(|p| p.pushes >= 2)).await;
    assert_eq!(server.proxies.connected(), 41);
    clients.truncate(10);
    server.until(|p| p.connected() == 11).await;
}

#[tokio::test]
async fn a_client_that_does_not_read_gets_the_latest_when_it_does() {
    let server = Server::start().await;
    let mut slow = server.delta().await;
    slow.subscribe(&["shop/cart"]).await;
    let large = "0".repeat(100_000);
    for generation in 1..=200 {
        let digest = format!("{large}{generation}");
        server.publish(generation, &[("shop/cart", &digest)]);
        tokio::task::yield_now().await;
    }
    let (mut messages, mut last) = (0, 0);
    while last < 200 {
        messages += 1;
        last = slow.next_unanswered().await[0].1;
    }
    assert!(messages < 100, "{messages} of 200 states were kept for a client that did not read");
}

/// Case 45: whatever ends a stream, its client is told why and nothing of it is left.
#[tokio::test]
async fn c45_a_stream_that_fails_leaves_nothing_behind() {
    let server = Server::start().await;
    server.publish(1, &[("shop/cart", "x")]);
    let mut no_kind = server.sotw().await;
    no_kind.send(DiscoveryRequest::default()).await;
    assert_eq!(no_kind.error().await.code(), Code::InvalidArgument);
    let mut no_kind = server.delta().await;
    no_kind.send(DeltaDiscoveryRequest::default()).await;
    assert_eq!(no_kind.error().await.code(), Code::InvalidArgument);
    server.until(|p| p.connected() == 0).await;

    let mut client = server.delta().await;
    client.subscribe(&["shop/cart"]).await;
    client.next().await;
    let proxies = Arc::clone(&server.proxies);
    server.close_source();
    assert_eq!(client.error().await.code(), Code::Unavailable);
    until(&proxies, |p| p.connected() == 0).await;
}

#[tokio::test]
async fn a_client_is_told_what_it_may_not_ask_for() {
    struct Own;
    impl Admission for Own {
        fn admit(&self, known: &tonic::Extensions) -> Result<Arc<dyn Client>, Status> {
            assert!(known.get::<tonic::transport::server::TcpConnectInfo>().is_some());
            Ok(Arc::new(Self))
        }
    }
    impl Client for Own {
        fn may_ask(&self, names: &[&str]) -> Result<(), Status> {
            match names.iter().find(|name| **name != "shop/cart") {
                None => Ok(()),
                Some(other) => Err(Status::permission_denied(format!("{other} is not yours"))),
            }
        }
    }
    let server = Server::with(|service| service.with_admission(Arc::new(Own))).await;
    server.publish(1, &[("shop/cart", "x"), ("shop/pay", "y")]);
    let mut client = server.delta().await;
    client.subscribe(&["shop/cart"]).await;
    client.next().await;
    // Whatever it asks for later counts too, and so does asking for everything.
    for asked in ["shop/pay", "*"] {
        let mut client = server.delta().await;
        client.subscribe(&["shop/cart"]).await;
        client.next().await;
        client.subscribe(&[asked]).await;
        let status = client.error().await;
        assert_eq!(
            (status.code(), status.message()),
            (Code::PermissionDenied, &*format!("{asked} is not yours"))
        );
    }
    // A first request without names is the wildcard.
    let mut client = server.delta().await;
    client.subscribe(&[]).await;
    assert_eq!(client.error().await.message(), "* is not yours");
    drop(client);
    server.until(|p| p.connected() == 1).await;
}

#[tokio::test]
async fn bounds_hold() {
    let limits = ServiceLimits {
        streams_max: 1,
        request_bytes_max: 1_000,
        stream: StreamLimits { names_max: 2, ..StreamLimits::default() },
        ..ServiceLimits::default()
    };
    let server = Server::with(|service| service.with_limits(limits)).await;
    server.publish(1, &[("shop/cart", "x")]);
    let mut greedy = server.delta().await;
    greedy.subscribe(&["shop/a", "shop/b", "shop/c"]).await;
    assert_eq!(greedy.error().await.code(), Code::ResourceExhausted);
    server.until(|p| p.connected() == 0).await;

    let mut verbose = server.delta().await;
    verbose.subscribe(&[&"x".repeat(2_000)]).await;
    let status = verbose.error().await;
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("at most 1000 bytes"), "{status}");
    server.until(|p| p.connected() == 0).await;

    let mut first = server.delta().await;
    first.subscribe(&["shop/cart"]).await;
    first.next().await;
    let second = server.try_delta().await.map(|_| ()).unwrap_err();
    assert_eq!(second.code(), Code::ResourceExhausted);
    assert_eq!(server.proxies.totals().turned_away, 1);
}

#[tokio::test]
async fn a_client_that_says_nothing_does_not_keep_its_place() {
    let limits =
        ServiceLimits { first_request_within: Duration::from_millis(20), ..ServiceLimits::default() };
    let server = Server::with(|service| service.with_limits(limits)).await;
    let mut mute = server.delta().await;
    assert_eq!(mute.error().await.code(), Code::DeadlineExceeded);
    server.until(|p| p.connected() == 0).await;
}

#[tokio::test]
async fn shutdown_sends_clients_elsewhere() {
    let server = Server::start().await;
    server.publish(1, &[("shop/cart", "x")]);
    let (mut delta, mut sotw) = (server.delta().await, server.sotw().await);
    delta.subscribe(&["shop/cart"]).await;
    delta.next().await;
    sotw.subscribe(&["shop/cart"]).await;
    sotw.next().await;
    server.shutdown.cancel();
    assert_eq!(delta.error().await.code(), Code::Unavailable);
    assert_eq!(sotw.error().await.code(), Code::Unavailable);
    server.until(|p| p.connected() == 0).await;
}

#[tokio::test]
async fn a_client_that_comes_back_is_sent_only_what_it_lacks() {
    let server = Server::start().await;
    server.publish(1, &[("shop/cart", "x"), ("shop/front", "x")]);
    let mut client = server.delta().await;
    client.subscribe(&["shop/cart", "shop/front"]).await;
    client.next().await;
    let held = client.held.clone();
    drop(client);
    server.publish(2, &[("shop/cart", "x"), ("shop/front", "y")]);
    let mut again = server.delta().await;
    again.resume(&["shop/cart", "shop/front"], held).await;
    assert_eq!(again.next().await, [("shop/front".to_string(), 2)]);
}
