//! `spec.topology` and `spec.runtime`: who calls whom, how often, and with which limits.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use emac_core::units::Ratio;

use super::testimony;
use crate::model::{CallType, Edge, Field, Finding, RuntimeParameters, Status};
use emac_document::{Fields, Reader};

#[derive(Default)]
pub(super) struct Topology {
    pub(super) nodes: BTreeSet<String>,
    pub(super) edges: Vec<Edge>,
    pub(super) coverage: Option<Ratio>,
    pub(super) findings: Vec<(Field, Finding)>,
}

pub(super) fn read(fields: &mut Fields<'_>) -> Option<Topology> {
    fields.accept_rest();
    let nodes = fields.optional("nodes", |nodes| nodes.list(|one| one.fields(node)));
    let mut findings = Vec::new();
    let edges = fields.optional("edges", |edges| {
        edges.list(|one| {
            one.fields(|fields| {
                let edge = edge(fields)?;
                let field = Field::Edge { from: edge.from.clone(), to: edge.to.clone() };
                findings.extend(
                    testimony::papers_finding(fields, Status::Identified).map(|found| (field, found)),
                );
                Some(edge)
            })
        })
    });
    let coverage = fields.optional("edgeDiagnostics", |diagnostics| {
        diagnostics.fields(|fields| {
            fields.accept_rest();
            fields.optional("coverage", Reader::ratio)
        })
    });
    let nodes = nodes.unwrap_or_default().into_iter().collect();
    Some(Topology { nodes, edges: edges.unwrap_or_default(), coverage, findings })
}

fn node(fields: &mut Fields<'_>) -> Option<String> {
    fields.accept_rest();
    fields.required("id", Reader::word).map(str::to_owned)
}

fn edge(fields: &mut Fields<'_>) -> Option<Edge> {
    fields.accept_rest();
    let ends = ends(fields);
    let call_type = fields.optional("callType", Reader::word).map(CallType::from);
    let probability = fields.optional("probability", Reader::ratio);
    let attempts = number(fields, "attempts", 1..=1_000);
    let (from, to) = ends?;
    Some(Edge { from, to, call_type, probability, attempts })
}

/// `from` and `to`.
fn ends(fields: &mut Fields<'_>) -> Option<(String, String)> {
    let from = fields.required("from", Reader::word).map(str::to_owned);
    let to = fields.required("to", Reader::word).map(str::to_owned);
    from.zip(to)
}

fn number(fields: &mut Fields<'_>, name: &'static str, range: RangeInclusive<u64>) -> Option<u32> {
    fields.optional(name, |value| value.integer(range)).and_then(|n| u32::try_from(n).ok())
}

pub(super) fn runtime(fields: &mut Fields<'_>) -> Option<((String, String), RuntimeParameters)> {
    const ANY: RangeInclusive<u64> = 0..=u32::MAX as u64;
    fields.accept_rest();
    let ends = ends(fields);
    let millis = |value: Reader<'_>| value.integer(0..=i64::MAX as u64);
    let parameters = RuntimeParameters {
        timeout_ms: fields.optional("timeoutMs", millis),
        per_try_timeout_ms: fields.optional("perTryTimeoutMs", millis),
        attempts: number(fields, "attempts", ANY),
        retry_on: fields.optional("retryOn", Reader::text).map(str::to_owned),
        max_connections: number(fields, "maxConnections", ANY),
        max_pending: number(fields, "maxPending", ANY),
        consecutive_errors: number(fields, "consecutiveErrors", ANY),
        mirror: fields.optional("mirror", |one| one.fields(mirror)),
    };
    Some((ends?, parameters))
}

fn mirror(fields: &mut Fields<'_>) -> Option<(String, Ratio)> {
    let to = fields.required("to", Reader::text).map(str::to_owned);
    let share = fields.required("share", Reader::ratio);
    to.zip(share)
}
