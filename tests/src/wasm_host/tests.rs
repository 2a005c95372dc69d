//! The host against a hand-written module: marshalling, phases, traps. The filter's own tests are in `tests/wasm`.

use super::*;

/// Copies `x-in` to `x-out`; at the response writes the status of reading a request header then (BadArgument, 2) into `x-late`, and
/// that of reading its own (absent, 1) into `x-absent`. `x-trap` makes it trap, `x-reply` makes it answer 299.
const FIXTURE: &str = r#"(module
  (import "env" "proxy_get_header_map_value" (func $get (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_replace_header_map_value" (func $set (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_send_local_response" (func $reply (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_set_tick_period_milliseconds" (func $every (param i32) (result i32)))
  (import "env" "proxy_define_metric" (func $define (param i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_increment_metric" (func $count (param i32 i64) (result i32)))
  (memory (export "memory") 1)
  (global $free (mut i32) (i32.const 4096))
  (data (i32.const 0) "x-in") (data (i32.const 16) "x-out") (data (i32.const 32) "x-trap")
  (data (i32.const 48) "x-reply") (data (i32.const 64) "x-late") (data (i32.const 80) "x-absent")
  (data (i32.const 96) "0123456789") (data (i32.const 112) "ticks")
  (func (export "proxy_on_memory_allocate") (param $size i32) (result i32)
    (global.get $free)
    (global.set $free (i32.add (global.get $free) (local.get $size))))
  (func (export "proxy_on_configure") (param i32 i32) (result i32)
    (drop (call $every (i32.const 100)))
    (drop (call $define (i32.const 0) (i32.const 112) (i32.const 5) (i32.const 200)))
    (i32.const 1))
  (func (export "proxy_on_tick") (param i32)
    (drop (call $count (i32.load (i32.const 200)) (i64.const 1))))
  (func $has (param $key i32) (param $len i32) (result i32)
    (i32.eqz (call $get (i32.const 0) (local.get $key) (local.get $len) (i32.const 128) (i32.const 132))))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (if (call $has (i32.const 32) (i32.const 6)) (then unreachable))
    (if (call $has (i32.const 48) (i32.const 7)) (then
      (drop (call $reply (i32.const 299) (i32.const 0) (i32.const 0) (i32.const 96) (i32.const 3)
                         (i32.const 0) (i32.const 0) (i32.const -1)))))
    (if (call $has (i32.const 0) (i32.const 4)) (then
      (drop (call $set (i32.const 0) (i32.const 16) (i32.const 5)
                       (i32.load (i32.const 128)) (i32.load (i32.const 132))))))
    (i32.const 0))
  (func $note (param $map i32) (param $name i32) (param $len i32)
    (drop (call $set (i32.const 2) (local.get $name) (local.get $len)
      (i32.add (i32.const 96)
        (call $get (local.get $map) (i32.const 0) (i32.const 4) (i32.const 128) (i32.const 132)))
      (i32.const 1))))
  (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
    (call $note (i32.const 0) (i32.const 64) (i32.const 6))
    (call $note (i32.const 2) (i32.const 80) (i32.const 8))
    (i32.const 0)))"#;

fn host() -> Host {
    let module = FilterModule::of(FIXTURE.as_bytes()).expect("the fixture is valid");
    Setup::new(module).workers(2).listener(Direction::Outbound, "{}").start()
}

#[test]
fn headers_go_in_and_out_and_vanish_after_their_phase() {
    let host = host();
    let mut exchange = host.request(Direction::Outbound).header("x-in", b"a\xffb").send();
    assert_eq!(exchange.request_headers().get_bytes("x-out"), Some(&b"a\xffb"[..]));
    assert!(exchange.forwarded());
    exchange.respond(200, &[("x-own", "1")], b"hello");
    let response = exchange.finish();
    assert_eq!((response.status(), response.text().as_str()), (200, "hello"));
    assert_eq!(response.headers.get("x-late"), Some("2"));
    assert_eq!(response.headers.get("x-absent"), Some("1"));
    assert_eq!(host.vm(1).open_streams(), 0);
}

#[test]
fn a_local_reply_passes_through_the_filters_own_response_callback() {
    let exchange = host().request(Direction::Outbound).header("x-reply", "").send();
    assert!(!exchange.forwarded());
    assert_eq!(exchange.local_reply().map(|reply| reply.status), Some(299));
    let response = exchange.finish();
    assert_eq!((response.status(), response.body.as_slice()), (299, &b"012"[..]));
    assert_eq!(response.headers.get("x-absent"), Some("1"));
}

#[test]
#[should_panic(expected = "trap in proxy_on_request_headers (vm 1)")]
fn a_trap_fails_the_test() {
    host().request(Direction::Outbound).header("x-trap", "").send();
}

#[test]
fn ticks_follow_the_clock_and_metrics_add_up_over_threads() {
    let host = host();
    host.run_for(1_050);
    assert_eq!(host.metric("ticks"), 30, "two workers and the main thread, ten times each");
    host.inject(Fault::always(HostCall::IncrementMetric, Status::NotFound));
    host.tick(1);
    assert_eq!(host.clear_faults(), 1);
    assert_eq!(host.metric("ticks"), 30);
}

#[test]
#[should_panic(expected = "trap in proxy_on_configure")]
fn a_loop_without_end_is_a_trap() {
    let endless = r#"(module (memory (export "memory") 1)
      (func (export "proxy_on_configure") (param i32 i32) (result i32) (loop $forever (br $forever)) (i32.const 1)))"#;
    let module = FilterModule::of(endless.as_bytes()).expect("valid");
    Setup::new(module).listener(Direction::Inbound, "").start();
}
