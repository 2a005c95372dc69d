//! The module itself: it asks only for what Envoy has, and is frugal.

use std::collections::BTreeMap;

use crate::support::{Sidecar, budgets, hop, module_or_return, with_hops};

/// 410 KB of 1024 bytes, the most the filter may weigh.
const BYTES_MAX: usize = 410 << 10;
/// Linear memory of one VM that tells 256 hops apart; the resident memory of a worker may grow by 8 MB.
const MEMORY_BYTES_MAX: usize = 8 << 20;
/// Dearest ordinary call: every host call costs the data plane up to a microsecond.
const HOST_CALLS_MAX: u64 = 16;

/// Imports that Envoy 1.40 offers a module of ABI 0.2.1 (proxy-wasm-cpp-host, `exports.h`).
const OFFERED: [&str; 44] = [
    "env.proxy_log",
    "env.proxy_get_log_level",
    "env.proxy_get_status",
    "env.proxy_set_property",
    "env.proxy_get_property",
    "env.proxy_send_local_response",
    "env.proxy_get_shared_data",
    "env.proxy_set_shared_data",
    "env.proxy_register_shared_queue",
    "env.proxy_resolve_shared_queue",
    "env.proxy_dequeue_shared_queue",
    "env.proxy_enqueue_shared_queue",
    "env.proxy_get_header_map_value",
    "env.proxy_add_header_map_value",
    "env.proxy_replace_header_map_value",
    "env.proxy_remove_header_map_value",
    "env.proxy_get_header_map_pairs",
    "env.proxy_set_header_map_pairs",
    "env.proxy_get_header_map_size",
    "env.proxy_get_buffer_status",
    "env.proxy_get_buffer_bytes",
    "env.proxy_set_buffer_bytes",
    "env.proxy_http_call",
    "env.proxy_grpc_call",
    "env.proxy_grpc_stream",
    "env.proxy_grpc_close",
    "env.proxy_grpc_cancel",
    "env.proxy_grpc_send",
    "env.proxy_set_tick_period_milliseconds",
    "env.proxy_get_current_time_nanoseconds",
    "env.proxy_define_metric",
    "env.proxy_increment_metric",
    "env.proxy_record_metric",
    "env.proxy_get_metric",
    "env.proxy_set_effective_context",
    "env.proxy_done",
    "env.proxy_call_foreign_function",
    "env.proxy_continue_stream",
    "env.proxy_close_stream",
    "wasi_snapshot_preview1.fd_write",
    "wasi_snapshot_preview1.environ_get",
    "wasi_snapshot_preview1.environ_sizes_get",
    "wasi_snapshot_preview1.proc_exit",
    "wasi_snapshot_preview1.random_get",
];

#[test]
fn it_weighs_at_most_410_kb() {
    let bytes = module_or_return!().bytes();
    println!("module: {bytes} bytes");
    assert!(bytes <= BYTES_MAX, "{bytes} bytes");
}

#[test]
fn it_asks_for_nothing_that_envoy_does_not_have() {
    let imports = module_or_return!().imports();
    let more: Vec<&String> = imports
        .iter()
        .filter(|import| {
            !OFFERED.contains(&import.as_str()) && *import != "wasi_snapshot_preview1.clock_time_get"
        })
        .collect();
    assert!(more.is_empty(), "{more:?}");
}

/// What is exported is called, for every request, and costs also where nothing is done.
#[test]
fn it_is_called_for_nothing_that_it_does_not_do() {
    let exports = module_or_return!().exports();
    let mut callbacks: Vec<&str> = exports.iter().filter_map(|name| name.strip_prefix("proxy_on_")).collect();
    callbacks.sort_unstable();
    let needed = [
        "configure",
        "context_create",
        "delete",
        "grpc_close",
        "grpc_receive",
        "http_call_response",
        "log",
        "memory_allocate",
        "request_body",
        "request_headers",
        "request_trailers",
        "response_body",
        "response_headers",
        "response_trailers",
        "tick",
        "vm_start",
    ];
    assert_eq!(callbacks, needed);
}

#[test]
fn its_memory_stays_small_with_every_hop_it_may_tell_apart() {
    let sidecar = Sidecar::holding(module_or_return!(), &budgets());
    let idle = sidecar.host.vm(1).memory_bytes();
    let round = |sidecar: &Sidecar| {
        for destination in 0..300 {
            let mut call =
                sidecar.call(&format!("destination-{destination}.shop.svc.cluster.local"), 900).send();
            sidecar.host.advance(destination % 50);
            call.respond(200, &[], b"");
            call.finish();
        }
        sidecar.settle();
    };
    round(&sidecar);
    let full = sidecar.host.vm(1).memory_bytes();
    println!("linear memory: idle {idle} bytes, after 256 hops and the overflow {full} bytes");
    assert!(full <= MEMORY_BYTES_MAX, "{full} bytes");
    (0..5).for_each(|_| round(&sidecar));
    assert!(sidecar.host.vm(1).memory_bytes() <= full + (1 << 20), "it does not go on growing");
}

#[test]
fn an_enforced_call_needs_few_host_calls() {
    let sidecar = Sidecar::holding(module_or_return!(), &with_hops([hop("cart", 100)]));
    let one = || {
        let inside = sidecar.inside(900);
        let (calls, fuel) = (sidecar.host.calls_total(), sidecar.host.vm(1).fuel_by_callback().clone());
        let mut call = sidecar.plain_call("cart").header("baggage", inside).send();
        call.respond(200, &[("content-type", "text/plain")], b"ok");
        call.finish();
        let vm = sidecar.host.vm(1);
        let spent = |(name, used): (&String, &u64)| (name.clone(), used - fuel.get(name).unwrap_or(&0));
        let by_callback: BTreeMap<String, u64> = vm.fuel_by_callback().iter().map(spent).collect();
        (sidecar.host.calls_total() - calls, by_callback)
    };
    // The interpreter charges a function's translation to its first caller.
    for _ in 0..20 {
        one();
    }
    let (calls, by_callback) = one();
    let fuel: u64 = by_callback.values().sum();
    println!("an enforced call: {calls} host calls, fuel {fuel}: {by_callback:?}");
    assert!(calls <= HOST_CALLS_MAX, "{calls} host calls");
}

#[test]
fn a_metric_is_defined_once_a_vm() {
    let sidecar = Sidecar::holding(module_or_return!(), &with_hops([hop("cart", 100)]));
    let one = || {
        let mut call = sidecar.call("cart", 900).send();
        call.respond(200, &[], b"");
        call.finish();
        sidecar.settle();
        sidecar.host.vm(1).metrics_defined()
    };
    let first = one();
    for _ in 0..20 {
        one();
    }
    assert_eq!(one(), first);
}
