//! Version 0.1.0: evidence from a sidecar, and budgets as an incremental xDS response. Every field has a value of its own.

use emac_proto::WORKLOAD_BUDGETS_TYPE_URL;
use emac_proto::v1::*;
use emac_proto::xds::{Any, DeltaDiscoveryResponse, Resource};
use prost::Message;

/// Sketches as version 0.1.0 encodes them: of 80 and 91 ms, of 40 ms, of 60 ms.
const TWO: &[u8] = &[1, 2, 3, 135, 4, 3, 2];
const ONE: &[u8] = &[1, 1, 3, 231, 3];
const ALTERNATE: &[u8] = &[1, 1, 3, 249, 3];

fn hop_key() -> HopKey {
    HopKey {
        journey: "checkout".into(),
        source: "shop/front".into(),
        destination: "paya".into(),
        operation: "POST /pay".into(),
    }
}

pub(crate) fn report() -> ReportRequest {
    ReportRequest {
        node: "front-1".into(),
        workload: "shop/front".into(),
        epoch: 1_700_000_000_000_000_001,
        sequence: 2,
        start_unix_ms: 1_700_000_000_003,
        end_unix_ms: 1_700_000_005_004,
        journeys: vec![JourneyDelta {
            journey: "checkout".into(),
            outcomes: Some(OutcomeCounts {
                success: 2,
                error: 11,
                timeout: 12,
                shed: 13,
                fallback: 14,
                alternate: 15,
                cancelled: 16,
                stream: 17,
            }),
            latency: TWO.to_vec(),
            within_deadline: 1,
            degraded: 18,
        }],
        hops: vec![HopDelta {
            hop: Some(hop_key()),
            outcomes: Some(OutcomeCounts {
                success: 1,
                error: 21,
                timeout: 22,
                shed: 23,
                fallback: 24,
                alternate: 25,
                cancelled: 26,
                stream: 27,
            }),
            latency: ONE.to_vec(),
            retries: 28,
            decisions: Some(DecisionCounts {
                pass: 31,
                call: 32,
                fallback_before: 33,
                fallback_after: 34,
                refuse: 35,
                budget_spent: 36,
                retry_denied: 37,
            }),
            alternate_latency: ALTERNATE.to_vec(),
        }],
        records: vec![HopRecord {
            trace_id: (1..=16).collect(),
            parent_span_id: (17..=24).collect(),
            hop: Some(hop_key()),
            start_unix_us: 1_700_000_000_000_005,
            duration_us: 41_000,
            outcome: Outcome::Alternate as i32,
            attempts: 3,
            status: 503,
            inbound: true,
            ..HopRecord::default()
        }],
        health: Some(FilterHealth {
            context_missing: 51,
            context_invalid: 52,
            overflow: 53,
            dropped: 54,
            clock_backwards: 55,
            internal_errors: 56,
            generation: 57,
            stale: true,
        }),
    }
}

fn header(name: &str, value: &str) -> Header {
    Header { name: name.into(), value: value.into() }
}

/// `POST shop.example/checkout/{cart}` with two headers, and a gRPC method.
fn entry() -> Vec<EntryRule> {
    let web = EntryRule {
        host: "shop.example".into(),
        method: "POST".into(),
        path_template: "/checkout/{cart}".into(),
        headers: vec![HeaderMatch { name: "x-tenant".into(), value: "blue".into() }],
        grpc: String::new(),
    };
    let grpc = EntryRule {
        host: String::new(),
        method: String::new(),
        path_template: String::new(),
        headers: Vec::new(),
        grpc: "shop.Checkout/Place".into(),
    };
    vec![web, grpc]
}

/// A payment with an equal alternate, bounded in every way there is.
fn bounded() -> HopBudget {
    HopBudget {
        journey: "checkout".into(),
        destination: "paya".into(),
        operation: "POST /pay".into(),
        mode: Mode::Enforce as i32,
        timeout_ms: 150,
        per_try_timeout_ms: 140,
        reserve_ms: 20,
        useful_min_ms: 5,
        retry: Some(RetryBudget { ratio_ppm: 200_000, floor_milli_per_s: 1_001, burst: 10, max_retries: 2 }),
        fallback: Some(Fallback {
            kind: Some(fallback::Kind::Alternate(Alternate {
                cluster: "payb".into(),
                authority: "payb.example".into(),
                path: "/pay/b".into(),
                route_header: Some(header("x-provider", "payb")),
                allow_non_idempotent: true,
                body_bytes_max: 4_096,
                timeout_ms: 201,
            })),
            weight_ppm: 1_000_000,
            budget_ppm: 0,
            burst: 0,
        }),
        success: Some(SuccessPredicate {
            http: vec![StatusRange { first: 200, last: 404 }],
            grpc: vec![5, 6],
        }),
        without_context: true,
        timeout_alone_ms: 350,
        stream: false,
        reserve_alone_ms: 6,
    }
}

/// A price that may come from the sidecar, degraded and budgeted.
fn degraded() -> HopBudget {
    HopBudget {
        journey: "checkout".into(),
        destination: "pricing".into(),
        operation: String::new(),
        mode: Mode::DryRun as i32,
        timeout_ms: 151,
        per_try_timeout_ms: 0,
        reserve_ms: 0,
        useful_min_ms: 0,
        retry: None,
        fallback: Some(Fallback {
            kind: Some(fallback::Kind::StaticResponse(StaticResponse {
                status: 203,
                headers: vec![header("content-type", "application/json")],
                body: br#"{"price":1}"#.to_vec(),
            })),
            weight_ppm: 500_000,
            budget_ppm: 200_001,
            burst: 11,
        }),
        success: None,
        without_context: false,
        timeout_alone_ms: 0,
        stream: false,
        reserve_alone_ms: 0,
    }
}

/// A watch, which nothing bounds.
fn stream() -> HopBudget {
    HopBudget {
        journey: "checkout".into(),
        destination: "news".into(),
        operation: String::new(),
        mode: Mode::Observe as i32,
        timeout_ms: 0,
        per_try_timeout_ms: 0,
        reserve_ms: 0,
        useful_min_ms: 0,
        retry: None,
        fallback: None,
        success: None,
        without_context: false,
        timeout_alone_ms: 0,
        stream: true,
        reserve_alone_ms: 0,
    }
}

pub(crate) fn budgets() -> WorkloadBudgets {
    WorkloadBudgets {
        workload: "shop/front".into(),
        generation: 7,
        model_digest: "ab".repeat(32),
        issued_at_unix_ms: 1_700_000_000_008,
        valid_for_ms: 30_000,
        on_expiry: OnExpiry::Release as i32,
        journeys: vec![JourneyBudget {
            journey: "checkout".into(),
            deadline_ms: 400,
            mode: Mode::Enforce as i32,
            priority: 9,
            record_ppm: 10_000,
            entry: entry(),
        }],
        hops: vec![bounded(), degraded(), stream()],
    }
}

pub(crate) fn response() -> DeltaDiscoveryResponse {
    DeltaDiscoveryResponse {
        system_version_info: "7".into(),
        resources: vec![Resource {
            version: "7".into(),
            resource: Some(Any {
                type_url: WORKLOAD_BUDGETS_TYPE_URL.into(),
                value: budgets().encode_to_vec(),
            }),
            name: "shop/front".into(),
        }],
        type_url: WORKLOAD_BUDGETS_TYPE_URL.into(),
        nonce: "8".into(),
        removed_resources: vec!["shop/cart".into()],
    }
}
