//! Every request that begins is counted once, whatever it carries and however it ends; and nothing panics.

use emac_core::evidence::Delta;
use proptest::prelude::*;

use super::*;
use crate::root::Root;
use crate::testing::Fake;

fn configuration(role: &str, mode: &str, join: &str) -> String {
    format!(
        r#"{{"role": "{role}", "workload": "shop/front", "mode": "enforce", "join": "{join}", "decision_header": "asked",
        "operations": true, "max_hops": 8,
        "budgets": {{"journeys": [{{"journey": "checkout", "deadline_ms": 400, "mode": "{mode}", "record_ppm": 1000000,
            "entry": [{{"path_template": "/checkout"}}]}}],
          "hops": [
            {{"journey": "checkout", "destination": "pricing", "mode": "{mode}", "timeout_ms": 100, "useful_min_ms": 50,
              "retry": {{"ratio_ppm": 200000, "burst": 2}},
              "fallback": {{"static_response": {{"status": 200}}, "weight_ppm": 1, "budget_ppm": 1, "burst": 3}}}},
            {{"journey": "checkout", "destination": "paya", "mode": "{mode}", "timeout_ms": 100, "useful_min_ms": 50,
              "fallback": {{"alternate": {{"cluster": "payb", "timeout_ms": 50, "body_bytes_max": 10,
                 "route_header": {{"name": "x-provider", "value": "b"}}}}, "weight_ppm": 1000000}}}}]}}}}"#
    )
}

fn start(host: &Fake, configuration: String) -> (Vm, Root) {
    let (mut vm, mut root) = (Vm::default(), Root::new(1));
    *host.configuration.borrow_mut() = configuration;
    root.on_configure(&mut vm, host);
    (vm, root)
}

/// One request, from its headers on.
#[derive(Clone, Debug)]
struct Exchange {
    headers: Vec<(String, Vec<u8>)>,
    cluster: String,
    body: Vec<u16>,
    /// `None`: the caller leaves before an answer.
    status: Option<u16>,
    callout: u16,
    torn: bool,
    micros: u64,
}

fn header() -> impl Strategy<Value = (String, Vec<u8>)> {
    let baggage = prop_oneof![
        (0..600_u64, any::<u16>())
            .prop_map(|(ms, flags)| format!("a=1,emac=v1:checkout:{ms}:{flags:04x}").into_bytes()),
        prop::collection::vec(any::<u8>(), 0..60),
        Just(b"emac=v1:other:100:0000".to_vec()),
    ];
    prop_oneof![
        baggage.prop_map(|value| ("baggage".to_owned(), value)),
        Just(("traceparent".to_owned(), b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_vec())),
        Just(("te".to_owned(), b"trailers".to_vec())),
        Just(("content-type".to_owned(), b"application/grpc".to_vec())),
        Just((":path".to_owned(), b"/checkout".to_vec())),
        Just((":method".to_owned(), b"GET".to_vec())),
        Just(("emac-decision".to_owned(), b"1".to_vec())),
        ("[a-z]{1,9}", prop::collection::vec(any::<u8>(), 0..20)),
    ]
}

fn exchange() -> impl Strategy<Value = Exchange> {
    (
        prop::collection::vec(header(), 0..8),
        prop_oneof![Just("pricing".to_owned()), Just("paya".to_owned()), "[a-z]{0,3}"],
        prop::collection::vec(0..9_u16, 0..4),
        prop::option::of(prop_oneof![Just(200_u16), Just(503), Just(504), 100..600_u16]),
        prop_oneof![Just(0_u16), Just(200), Just(503)],
        any::<bool>(),
        0..300_000_u64,
    )
        .prop_map(|(headers, cluster, body, status, callout, torn, micros)| Exchange {
            headers,
            cluster,
            body,
            status,
            callout,
            torn,
            micros,
        })
}

fn run(host: &Fake, vm: &mut Vm, root: &Root, exchange: &Exchange) {
    let stream = Stream::new(root.listener(), 1);
    let mut stream = stream.borrow_mut();
    *host.request.borrow_mut() = exchange.headers.clone();
    host.properties.borrow_mut().clear();
    host.set_property("xds.cluster_name", exchange.cluster.as_bytes());
    let flow = stream.on_request_headers(vm, host, exchange.body.is_empty());
    host.now.set(host.now.get() + exchange.micros);
    let answered = flow == Flow::Pause;
    for (at, &bytes) in exchange.body.iter().enumerate().filter(|_| !answered) {
        stream.on_request_body(vm, host, bytes.into(), at + 1 == exchange.body.len());
    }
    let status = if answered { host.responded.borrow().last().copied() } else { exchange.status };
    if let Some(status) = status {
        *host.response.borrow_mut() = vec![(":status".to_owned(), status.to_string().into_bytes())];
        host.set_property("response.code", &u64::from(status).to_le_bytes());
        if stream.on_response_headers(vm, host, false) == Flow::Pause {
            host.answer.borrow_mut().headers =
                vec![(":status".to_owned(), exchange.callout.to_string().into_bytes())];
            assert_eq!(
                stream.on_response_body(host, 0, false),
                if stream.call.as_ref().unwrap().is_waiting() { Flow::Pause } else { Flow::Continue }
            );
            stream.on_callout(vm, host, 77, usize::from(exchange.callout > 0), 0);
        }
        if !exchange.torn {
            stream.on_response_body(host, 0, true);
        }
    }
    stream.on_log(vm, host);
}

fn requests(delta: &Delta) -> u64 {
    delta.hops.values().map(|hop| hop.outcomes.total()).sum()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        failure_persistence: None,
        rng_seed: proptest::test_runner::RngSeed::Fixed(0x57E4),
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_call_ends_in_one_outcome_and_one_decision(
        mode in prop::sample::select(vec!["observe", "dry-run", "enforce"]),
        join in prop::sample::select(vec!["baggage", "traceparent"]),
        role in prop::sample::select(vec!["outbound", "edge"]),
        exchanges in prop::collection::vec(exchange(), 1..20),
    ) {
        let host = Fake::default();
        let (mut vm, root) = start(&host, configuration(role, mode, join));
        for exchange in &exchanges {
            run(&host, &mut vm, &root, exchange);
        }
        let delta = vm.recorder.take_delta();
        prop_assert_eq!(requests(&delta), exchanges.len() as u64);
        use emac_core::evidence::DecisionKind::{Call, FallbackBefore, Pass, Refuse};
        let decided = |hop: &emac_core::evidence::HopDelta| {
            [Pass, Call, FallbackBefore, Refuse].iter().map(|&kind| hop.decisions.get(kind)).sum::<u64>()
        };
        prop_assert_eq!(delta.hops.values().map(decided).sum::<u64>(), exchanges.len() as u64);
        if mode != "enforce" {
            prop_assert!(host.responded.borrow().is_empty(), "only enforcing answers");
        }
        if role == "edge" {
            let entered = exchanges.iter().filter(|exchange| {
                exchange.headers.iter().find(|(name, _)| name == ":path").is_some_and(|(_, path)| path == b"/checkout")
            });
            let journeys = delta.journeys.values().map(|journey| journey.outcomes.total()).sum::<u64>();
            prop_assert_eq!(journeys, entered.count() as u64);
        }
    }

    #[test]
    fn inbound_requests_are_no_calls(exchanges in prop::collection::vec(exchange(), 1..10), join in prop::sample::select(vec!["baggage", "traceparent"])) {
        let host = Fake::default();
        let (mut vm, root) = start(&host, configuration("inbound", "enforce", join));
        for exchange in &exchanges {
            run(&host, &mut vm, &root, exchange);
        }
        prop_assert_eq!(requests(&vm.recorder.take_delta()), 0);
        prop_assert!(host.responded.borrow().is_empty());
    }

    #[test]
    fn a_listener_without_configuration_touches_nothing(exchange in exchange()) {
        let host = Fake::default();
        let (mut vm, root) = start(&host, "{".to_owned());
        run(&host, &mut vm, &root, &exchange);
        prop_assert_eq!(&*host.request.borrow(), &exchange.headers);
        prop_assert!(vm.recorder.take_delta().is_empty());
    }
}

/// A degraded answer on one thread is told by the inbound side on another.
#[test]
fn degraded_answers_are_told_across_threads() {
    let inbound_host = Fake::default();
    inbound_host.now.set(5_000_000);
    let outbound_host = inbound_host.sibling();
    let (mut inbound_vm, inbound_root) = start(&inbound_host, configuration("inbound", "enforce", "baggage"));
    let (mut outbound_vm, outbound_root) =
        start(&outbound_host, configuration("outbound", "enforce", "baggage"));
    let arrive = |host: &Fake, vm: &mut Vm| {
        host.properties.borrow_mut().clear();
        let handle = Stream::new(inbound_root.listener(), 1);
        let mut stream = handle.borrow_mut();
        *host.request.borrow_mut() = vec![("baggage".to_owned(), b"emac=v1:checkout:400:0000".to_vec())];
        stream.on_request_headers(vm, host, true);
        drop(stream);
        (handle, host.header("baggage").unwrap())
    };
    let (marked, baggage) = arrive(&inbound_host, &mut inbound_vm);
    let (other, _) = arrive(&inbound_host, &mut inbound_vm);

    outbound_host.now.set(5_010_000);
    *outbound_host.request.borrow_mut() = vec![("baggage".to_owned(), baggage)];
    outbound_host.set_property("xds.cluster_name", b"pricing");
    let call = Stream::new(outbound_root.listener(), 2);
    let mut call = call.borrow_mut();
    call.on_request_headers(&mut outbound_vm, &outbound_host, true);
    *outbound_host.response.borrow_mut() = vec![(":status".to_owned(), b"503".to_vec())];
    assert_eq!(call.on_response_headers(&mut outbound_vm, &outbound_host, true), Flow::Pause);
    assert_eq!(*outbound_host.responded.borrow(), [200]);

    inbound_host.now.set(5_020_000);
    let mut degraded = |stream: &Rc<RefCell<Stream>>| {
        *inbound_host.response.borrow_mut() = vec![(":status".to_owned(), b"200".to_vec())];
        stream.borrow_mut().on_response_headers(&mut inbound_vm, &inbound_host, true);
        crate::host::is_there(|read| inbound_host.response_header(crate::vm::marks::HEADER, read))
    };
    assert!(degraded(&marked));
    assert!(!degraded(&other), "due in the same millisecond, and not degraded");
    assert_eq!(inbound_host.counter("emac_degraded_marks_total"), 1);
}
