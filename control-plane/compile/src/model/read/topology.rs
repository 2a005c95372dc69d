//! `spec.topology` and `spec.runtime`: who calls whom, how often, and with which limits.

use std::collections::BTreeSet;

use emac_core::units::Ratio;

use super::testimony;
use crate::model::{CallType, Edge, Field, Finding, RuntimeParameters};
use emac_document::Fields;
use emac_document::types::{integer, list, mapping, owned, share, text, word};

#[derive(Default)]
pub(super) struct Topology {
    pub(super) nodes: BTreeSet<String>,
    pub(super) edges: Vec<Edge>,
    pub(super) coverage: Option<Ratio>,
    pub(super) findings: Vec<(Field, Finding)>,
}

pub(super) fn read(fields: &mut Fields<'_>) -> Option<Topology> {
    fields.accept_rest();
    let nodes = fields.field("nodes", list(mapping(node)), "services").optional();
    let edges = fields.field("edges", list(mapping(edge)), "calls").optional();
    let says = "coverage of the expected edges";
    let coverage = fields.field("edgeDiagnostics", mapping(coverage), says).optional();
    let nodes = nodes.unwrap_or_default().into_iter().collect();
    let (edges, findings): (_, Vec<_>) = edges.unwrap_or_default().into_iter().unzip();
    Some(Topology { nodes, edges, coverage, findings: findings.into_iter().flatten().collect() })
}

fn node(fields: &mut Fields<'_>) -> Option<String> {
    fields.accept_rest();
    fields.field("id", owned(), "service name").required()
}

fn coverage(fields: &mut Fields<'_>) -> Option<Ratio> {
    fields.accept_rest();
    fields.field("coverage", share(), "share of the expected edges that were observed").optional()
}

fn edge(fields: &mut Fields<'_>) -> Option<(Edge, Option<(Field, Finding)>)> {
    fields.accept_rest();
    let ends = ends(fields);
    let call_type = fields.field("callType", word(), "`sync` or `async`").optional();
    let says = "probability that a request of the journey makes the call";
    let probability = fields.field("probability", share(), says).optional();
    let says = "largest number of tries of one call";
    let attempts = fields.field("attempts", integer("count", 1..=1_000), says).optional();
    let finding = testimony::papers_finding(fields);
    let (from, to) = ends?;
    let finding = finding.map(|finding| (Field::Edge { from: from.clone(), to: to.clone() }, finding));
    Some((Edge { from, to, call_type: call_type.map(CallType::from), probability, attempts }, finding))
}

/// `from` and `to`.
fn ends(fields: &mut Fields<'_>) -> Option<(String, String)> {
    let from = fields.field("from", owned(), "caller").required();
    let to = fields.field("to", owned(), "callee").required();
    from.zip(to)
}

pub(super) fn runtime(fields: &mut Fields<'_>) -> Option<((String, String), RuntimeParameters)> {
    fields.accept_rest();
    let ends = ends(fields);
    let millis = || integer("milliseconds", 0..=i64::MAX as u64);
    let count = || integer("count", 0..=u32::MAX.into());
    let parameters = RuntimeParameters {
        timeout_ms: fields.field("timeoutMs", millis(), "timeout of the whole call").optional(),
        per_try_timeout_ms: fields.field("perTryTimeoutMs", millis(), "timeout of one try").optional(),
        attempts: fields.field("attempts", count(), "largest number of tries").optional(),
        retry_on: fields.field("retryOn", text(), "retry conditions").optional().map(str::to_owned),
        max_connections: fields.field("maxConnections", count(), "of the circuit breaker").optional(),
        max_pending: fields.field("maxPending", count(), "of the circuit breaker").optional(),
        consecutive_errors: fields
            .field("consecutiveErrors", count(), "consecutive errors after which an endpoint is ejected")
            .optional(),
        mirror: fields.field("mirror", mapping(mirror), "mirror of the requests").optional(),
    };
    Some((ends?, parameters))
}

fn mirror(fields: &mut Fields<'_>) -> Option<(String, Ratio)> {
    let to = fields.field("to", text(), "receiver of the copies").required().map(str::to_owned);
    let share = fields.field("share", share(), "share of requests that are copied").required();
    to.zip(share)
}
