//! Budgets in the plugin configuration: the fields of `emac/v1/budgets.proto` by their names, so that there is one specification.
//!
//! They pass through the wire types and their checks; lease and generation are not asked for, because these never expire and any
//! generation of a control plane replaces them.

use serde::Deserialize;

use emac_core::budget::WorkloadBudgets;
use emac_proto::convert::InvalidMessage;
use emac_proto::v1;

use super::raw::RawMode;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Budgets {
    #[serde(default)]
    journeys: Vec<Journey>,
    #[serde(default)]
    hops: Vec<Hop>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Journey {
    journey: String,
    deadline_ms: u32,
    #[serde(default)]
    mode: RawMode,
    #[serde(default)]
    priority: u32,
    #[serde(default)]
    record_ppm: u32,
    #[serde(default)]
    entry: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
struct Entry {
    host: String,
    method: String,
    path_template: String,
    headers: Vec<Header>,
    grpc: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    name: String,
    #[serde(default)]
    value: String,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Hop {
    journey: String,
    destination: String,
    operation: String,
    mode: RawMode,
    timeout_ms: u32,
    per_try_timeout_ms: u32,
    reserve_ms: u32,
    useful_min_ms: u32,
    retry: Option<Retry>,
    fallback: Option<Fallback>,
    success: Option<Success>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Retry {
    ratio_ppm: u32,
    #[serde(default)]
    floor_milli_per_s: u32,
    burst: u32,
    #[serde(default)]
    max_retries: u32,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Fallback {
    static_response: Option<Static>,
    alternate: Option<Alternate>,
    weight_ppm: u32,
    budget_ppm: u32,
    burst: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Static {
    status: u32,
    #[serde(default)]
    headers: Vec<Header>,
    #[serde(default)]
    body: String,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Alternate {
    cluster: String,
    authority: String,
    path: String,
    route_header: Option<Header>,
    allow_non_idempotent: bool,
    body_bytes_max: u32,
    timeout_ms: u32,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Success {
    http: Vec<Range>,
    grpc: Vec<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Range {
    first: u32,
    last: u32,
}

/// The checks of the wire, on budgets that need no lease.
pub(super) fn check(budgets: Budgets) -> Result<WorkloadBudgets, InvalidMessage> {
    v1::WorkloadBudgets {
        workload: "static/static".to_owned(),
        generation: 1,
        valid_for_ms: 1_000,
        journeys: budgets.journeys.into_iter().map(journey).collect(),
        hops: budgets.hops.into_iter().map(hop).collect(),
        ..v1::WorkloadBudgets::default()
    }
    .try_into()
}

fn mode(raw: RawMode) -> i32 {
    match raw {
        RawMode::Observe => v1::Mode::Observe as i32,
        RawMode::DryRun => v1::Mode::DryRun as i32,
        RawMode::Enforce => v1::Mode::Enforce as i32,
    }
}

fn journey(raw: Journey) -> v1::JourneyBudget {
    v1::JourneyBudget {
        journey: raw.journey,
        deadline_ms: raw.deadline_ms,
        mode: mode(raw.mode),
        priority: raw.priority,
        record_ppm: raw.record_ppm,
        entry: raw.entry.into_iter().map(entry).collect(),
    }
}

fn entry(raw: Entry) -> v1::EntryRule {
    let header = |raw: Header| v1::HeaderMatch { name: raw.name, value: raw.value };
    v1::EntryRule {
        host: raw.host,
        method: raw.method,
        path_template: raw.path_template,
        headers: raw.headers.into_iter().map(header).collect(),
        grpc: raw.grpc,
    }
}

fn hop(raw: Hop) -> v1::HopBudget {
    let retry = |raw: Retry| v1::RetryBudget {
        ratio_ppm: raw.ratio_ppm,
        floor_milli_per_s: raw.floor_milli_per_s,
        burst: raw.burst,
        max_retries: raw.max_retries,
    };
    v1::HopBudget {
        journey: raw.journey,
        destination: raw.destination,
        operation: raw.operation,
        mode: mode(raw.mode),
        timeout_ms: raw.timeout_ms,
        per_try_timeout_ms: raw.per_try_timeout_ms,
        reserve_ms: raw.reserve_ms,
        useful_min_ms: raw.useful_min_ms,
        retry: raw.retry.map(retry),
        fallback: raw.fallback.map(fallback),
        success: raw.success.map(success),
    }
}

fn header(raw: Header) -> v1::Header {
    v1::Header { name: raw.name, value: raw.value }
}

fn fallback(raw: Fallback) -> v1::Fallback {
    let kind = match (raw.static_response, raw.alternate) {
        (Some(answer), None) => Some(v1::fallback::Kind::StaticResponse(static_response(answer))),
        (None, Some(other)) => Some(v1::fallback::Kind::Alternate(alternate(other))),
        // Refused by the wire's own check.
        _ => None,
    };
    v1::Fallback { kind, weight_ppm: raw.weight_ppm, budget_ppm: raw.budget_ppm, burst: raw.burst }
}

fn static_response(raw: Static) -> v1::StaticResponse {
    v1::StaticResponse {
        status: raw.status,
        headers: raw.headers.into_iter().map(header).collect(),
        body: raw.body.into_bytes(),
    }
}

fn alternate(raw: Alternate) -> v1::Alternate {
    v1::Alternate {
        cluster: raw.cluster,
        authority: raw.authority,
        path: raw.path,
        route_header: raw.route_header.map(header),
        allow_non_idempotent: raw.allow_non_idempotent,
        body_bytes_max: raw.body_bytes_max,
        timeout_ms: raw.timeout_ms,
    }
}

fn success(raw: Success) -> v1::SuccessPredicate {
    let range = |raw: Range| v1::StatusRange { first: raw.first, last: raw.last };
    v1::SuccessPredicate { http: raw.http.into_iter().map(range).collect(), grpc: raw.grpc }
}
