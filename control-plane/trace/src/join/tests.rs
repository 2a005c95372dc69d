use crate::Oddity;
use crate::testing::assemble;

fn shown(text: &str) -> String {
    assemble(text).0
}

#[test]
fn both_halves_are_one_call() {
    let calls = shown(
        "1 0 s front GET_/ 0 100
         2 1 c front get 10 50
         3 2 s cart Get 12 40
         4 3 c cart find 20 10 >mongo
         5 1 c front price 70 20 !
         6 5 s pricing Price 71 10",
    );
    insta::assert_snapshot!(calls, @r"
    front GET_/ 0..100
      cart Get via get 10..60
        mongo find 20..30
      pricing Price via price 70..90 Error
    ");
}

#[test]
fn work_within_a_service_vanishes_and_its_calls_do_not() {
    let calls = shown(
        "1 0 s front GET_/ 0 100
         2 1 - front render 5 90
         3 2 - front template 6 10
         4 2 - front load 20 60
         5 4 c front sdk 21 50 >dynamo
         6 5 c front POST 22 40
         7 4 s cart Get 75 4",
    );
    insta::assert_snapshot!(calls, @r"
    front GET_/ 0..100
      dynamo POST 22..62
      cart Get 75..79
    ");
}

/// A service that records only what it calls is called once for all of that.
#[test]
fn calls_of_one_request_are_of_one_call() {
    let calls = shown(
        "1 0 s front GET_/ 0 100
         2 1 c front GET 10 50 >mid
         3 2 c mid GET 12 10 >cart
         4 2 c mid GET 30 20 >price",
    );
    insta::assert_snapshot!(calls, @r"
    front GET_/ 0..100
      mid GET 10..60
        cart GET 12..22
        price GET 30..50
    ");
}

#[test]
fn client_halves_are_seen_without_kinds() {
    let calls = shown(
        "1 0 - nginx /compose 0 100
         2 1 - nginx /compose 1 98
         3 2 - nginx compose_client 2 90
         4 3 - compose compose_server 4 80
         5 4 - compose text_client 10 20
         6 5 - text text_server 12 15 !
         7 6 - text mongo_insert 13 2",
    );
    insta::assert_snapshot!(calls, @r"
    nginx /compose 0..100
      compose compose_server via compose_client 2..92
        text text_server via text_client 10..30 Error
    ");
}

#[test]
fn a_gateway_that_reports_its_clients_only_is_a_root() {
    let calls = shown(
        "1 0 c gateway /productpage 0 12
         2 1 s page /productpage 1 10
         3 2 s reviews /reviews 3 4",
    );
    insta::assert_snapshot!(calls, @r"
    gateway /productpage 0..12
      page /productpage 0..12
        reviews /reviews 3..7
    ");
    insta::assert_snapshot!(shown("1 0 c gateway /lost 0 12"), @r"
    gateway /lost 0..12
      unknown, called by gateway /lost 0..12
    ");
    let proxies = shown(
        "1 0 s front / 0 50
         2 1 c front call 5 40
         3 2 c proxy forward 6 38
         4 3 s cart Get 7 30",
    );
    insta::assert_snapshot!(proxies, @r"
    front / 0..50
      proxy forward via call 5..45
        cart Get via forward 6..44
    ");
}

#[test]
fn shared_ids_are_two_halves() {
    let calls = shown(
        "1 0 s routing post 0 130 shared
         2 1 c routing proxy 2 120
         2 1 s main proxy_api 28 80 shared
         3 2 c main get 31 1 >memcache
         4 2 c main post 50 55 >mobile
         4 2 s mobile update 60 40 shared",
    );
    insta::assert_snapshot!(calls, @r"
    routing post 0..130
      main proxy_api via proxy 2..122
        memcache get 31..32
        mobile update via post 50..105
    ");
}

#[test]
fn nobody_waits_for_messages() {
    let calls = shown(
        "1 0 o orders poll 0 1 >kafka
         2 1 - orders on-message 1 50
         3 2 p orders send 10 2 >kafka
         4 3 o mail poll 400 1
         5 4 c mail smtp 405 30 >relay
         6 3 o orders poll 500 1
         7 2 p orders audit 20 2 >kafka",
    );
    insta::assert_snapshot!(calls, @r"
    orders poll 0..1 message
      mail poll via send 10..12 message
        relay smtp 405..435
      orders poll via send 10..12 message
      kafka audit 20..22 message
    ");
}

#[test]
fn tries_are_calls_or_attempts() {
    let calls = shown(
        "1 0 s front / 0 100
         2 1 c front get 10 10 #1 !
         3 2 s cart Get 11 5 !
         4 1 c front get 30 10 #2
         5 4 s cart Get 31 5
         6 1 c front pay 50 40
         7 6 s paya Pay 51 5 !
         8 6 s paya Pay 60 5
         9 1 c front price 95 2 #3",
    );
    insta::assert_snapshot!(calls, @r"
    front / 0..100
      cart Get via get 10..20 Error
      cart Get via get 30..40
      paya Pay via pay 50..90 x2
      unknown, called by front price 95..97 x3
    ");
}

#[test]
fn one_span_that_fans_out_is_several_calls() {
    let calls = shown(
        "1 0 s front / 0 100
         2 1 c front ask 10 50
         3 2 s a A 12 20
         4 2 s b B 14 40",
    );
    insta::assert_snapshot!(calls, @r"
    front / 0..100
      a A via ask 12..32
      b B via ask 14..54
    ");
}

#[test]
fn what_lost_its_parent_is_a_trace_of_its_own() {
    let (calls, quality) = assemble(
        "1 0 s front / 0 100
         2 1 c front get 10 10 >cart
         4 3 s pricing Price 31 5
         6 5 c paya debit 50 4 >bank",
    );
    insta::assert_snapshot!(calls, @r"
    incomplete
    front / 0..100
      cart get 10..20
    incomplete
    pricing Price 31..36
    incomplete
    paya debit 50..54
      bank debit 50..54
    ");
    // Three trees, and one request.
    assert_eq!((quality.orphans, quality.traces, quality.incomplete, quality.rootless), (2, 1, 1, 0));
}

#[test]
fn circles_are_cut_above_their_earliest_span() {
    let (calls, quality) = assemble(
        "1 3 s a A 5 10
         2 1 s b B 1 10
         3 2 s c C 9 10
         4 3 s d D 9 10
         5 5 s self S 0 1",
    );
    insta::assert_snapshot!(calls, @r"
    incomplete
    self S 0..1
    incomplete
    b B 1..11
      c C 9..19
        a A 9..19
        d D 9..19
    ");
    assert_eq!((quality.circles, quality.refused.len()), (1, 0));
    assert_eq!(quality.odd[&Oddity::SelfParent].count, 1);
}

#[test]
fn equal_spans_are_one_and_others_with_one_id_are_not() {
    let (calls, quality) = assemble(
        "1 0 s front / 0 100
         1 0 s front / 0 100
         2 1 c front get 10 10 >cart
         2 1 c front get 30 10 >cart
         2 1 c front get 10 10 >cart",
    );
    insta::assert_snapshot!(calls, @r"
    front / 0..100
      cart get 10..20
      cart get 30..40
    ");
    assert_eq!((quality.duplicates, quality.conflicting, quality.complete), (2, 1, 1));
}

#[test]
fn a_service_may_call_itself() {
    let calls = shown(
        "1 0 s tree visit 0 100 @a
         2 1 c tree visit 10 50 @a
         3 2 s tree visit 15 40 @b
         4 3 s tree visit 20 10 @b
         5 1 s tree visit 70 10 @c",
    );
    insta::assert_snapshot!(calls, @r"
    tree visit 0..100
      tree visit 10..60
      tree visit 70..80
    ");
}

#[test]
fn what_a_store_is_asked_is_no_part_of_what_it_is() {
    let calls = shown(
        "1 0 s front / 0 100
         2 1 c front SELECT_users 10 10 >pg store
         3 1 c front SELECT_items 30 10 >pg store",
    );
    insta::assert_snapshot!(calls, @r"
    front / 0..100
      pg  via SELECT_users 10..20
      pg  via SELECT_items 30..40
    ");
}

#[test]
fn a_sidecar_and_its_application_are_one() {
    let spans = "
         1 0 c edge.gate cart:80/* 0 100 @edge >cart.shop proxy
         2 1 s cart.shop cart:80/* 1 98 @10.0.0.1 proxy
         3 2 s cart GET_/cart 2 96 @uuid-1
         4 3 c cart GET 10 30 @uuid-1 >price.shop
         5 4 c cart.shop price:80/* 11 28 @10.0.0.1 >price.shop proxy
         6 5 s price.shop price:80/* 12 26 @10.0.0.2 proxy
         7 6 s price GET_/price 13 24 @uuid-2";
    insta::assert_snapshot!(shown(spans), @r"
    edge.gate cart:80/* 0..100
      cart.shop GET_/cart via cart:80/* 0..100
        price.shop GET_/price via price:80/* 11..39
    ");
    // Two workloads of one name: nobody knows which of them `cart` is.
    let other = format!("{spans}\n8 3 c cart.bank audit 50 5 @10.0.0.3 >log proxy");
    assert!(shown(&other).contains("cart GET_/cart"), "{}", shown(&other));
}

#[test]
fn an_entry_whose_caller_is_never_seen_is_told_from_a_part() {
    let (_, quality) = assemble(
        "1 9 s orders POST_/order 0 100
         2 1 c orders pay 10 50 >bank",
    );
    assert_eq!((quality.traces, quality.headless, quality.orphans), (1, 1, 1));
    let (_, quality) = assemble("1 9 c orders pay 0 100 >bank");
    assert_eq!((quality.traces, quality.headless), (1, 0));
}

/// A message is sent well and soon; when and how its consumer ended is the consumer's to say.
#[test]
fn a_consumer_ends_by_itself() {
    let mut seen = Vec::new();
    let mut assembler =
        crate::Assembler::new(crate::TraceLimits::default(), |trace: &crate::Trace, _: &crate::Symbols| {
            seen.extend(trace.calls.clone())
        });
    for line in ["1 0 s front / 0 100", "2 1 p front send 10 1", "3 2 o audit take 40 30 !"] {
        let span = crate::testing::span(line, crate::Sink::symbols(&mut assembler));
        crate::Sink::span(&mut assembler, span);
    }
    drop(assembler.finish());
    let sent = seen.iter().find(|call| call.kind == crate::CallKind::Message).unwrap();
    let ms = |ns: i64| ns / 1_000_000;
    assert_eq!((ms(sent.end_ns), ms(sent.done_ns)), (11, 70));
    assert_eq!((sent.outcome, sent.served), (crate::CallOutcome::Good, crate::CallOutcome::Error));
}
