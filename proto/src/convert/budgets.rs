//! `emac.v1.WorkloadBudgets` and [`emac_core::budget::WorkloadBudgets`].

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use emac_core::budget as domain;
use emac_core::entry::PathTemplate;
use emac_core::id::{JourneyName, WorkloadName};
use emac_core::units::{Generation, Millis, Ppm};

use super::{InvalidMessage, at_most, in_range, text};
use crate::v1;

const JOURNEYS_MAX: usize = 64;
const HOPS_MAX: usize = 256;
const RULES_MAX: usize = 16;
const RULE_HEADERS_MAX: usize = 8;
const STATIC_HEADERS_MAX: usize = 32;
const BODY_BYTES_MAX: usize = 65_536;
const TIME_MS_MAX: u32 = 120_000;
const VALID_FOR_MS: (u32, u32) = (1_000, 86_400_000);
const TEXT_BYTES_MAX: usize = 2_048;
const NAME_BYTES_MAX: usize = 253;
const OPERATION_BYTES_MAX: usize = 512;
const BURST_MAX: u32 = 10_000;

impl TryFrom<v1::WorkloadBudgets> for domain::WorkloadBudgets {
    type Error = InvalidMessage;

    fn try_from(wire: v1::WorkloadBudgets) -> Result<Self, InvalidMessage> {
        at_most("journeys", &wire.journeys, JOURNEYS_MAX)?;
        at_most("hops", &wire.hops, HOPS_MAX)?;
        let budgets = Self {
            workload: WorkloadName::new(&wire.workload)
                .map_err(|e| InvalidMessage::new("workload", e.to_string()))?,
            generation: Generation(in_range("generation", wire.generation, 1, u64::MAX)?),
            model_digest: text("model_digest", wire.model_digest, 0, 128)?,
            issued_at_unix_ms: wire.issued_at_unix_ms,
            valid_for: millis("valid_for_ms", wire.valid_for_ms, VALID_FOR_MS.0, VALID_FOR_MS.1)?,
            on_expiry: on_expiry(wire.on_expiry)?,
            journeys: each("journeys", wire.journeys, journey)?,
            hops: each("hops", wire.hops, hop)?,
        };
        check_references(&budgets)?;
        Ok(budgets)
    }
}

/// Names are unique and hops refer to listed journeys.
/// Comparing each with all before it: a few ten thousand comparisons at most, and no set in the filter's code.
fn check_references(budgets: &domain::WorkloadBudgets) -> Result<(), InvalidMessage> {
    for (i, journey) in budgets.journeys.iter().enumerate() {
        if budgets.journeys.iter().take(i).any(|before| before.journey == journey.journey) {
            return Err(InvalidMessage::new(format!("journeys[{i}].journey"), "listed twice"));
        }
    }
    for (i, hop) in budgets.hops.iter().enumerate() {
        if !budgets.journeys.iter().any(|journey| journey.journey == hop.journey) {
            let problem = format!("{} is not among the journeys of this workload", hop.journey);
            return Err(InvalidMessage::new(format!("hops[{i}].journey"), problem));
        }
        let same = |before: &domain::HopBudget| {
            before.destination == hop.destination
                && before.operation == hop.operation
                && before.journey == hop.journey
        };
        if budgets.hops.iter().take(i).any(same) {
            let problem = "the same journey, destination and operation twice";
            return Err(InvalidMessage::new(format!("hops[{i}]"), problem));
        }
    }
    Ok(())
}

/// Converts a list, naming the entry that fails.
// A loop rather than `collect`: for each of ten types the latter makes twice the code, which the filter carries.
fn each<W, D>(
    field: &str,
    wire: Vec<W>,
    convert: impl Fn(W) -> Result<D, InvalidMessage>,
) -> Result<Vec<D>, InvalidMessage> {
    let mut converted = Vec::with_capacity(wire.len());
    for (i, item) in wire.into_iter().enumerate() {
        converted.push(convert(item).map_err(|e| e.within(&format!("{field}[{i}]")))?);
    }
    Ok(converted)
}

fn journey(wire: v1::JourneyBudget) -> Result<domain::JourneyBudget, InvalidMessage> {
    at_most("entry", &wire.entry, RULES_MAX)?;
    Ok(domain::JourneyBudget {
        journey: journey_name(&wire.journey)?,
        deadline: millis("deadline_ms", wire.deadline_ms, 1, TIME_MS_MAX)?,
        mode: mode(wire.mode)?,
        priority: u8::try_from(wire.priority).map_err(|_| {
            InvalidMessage::new("priority", format!("{} is outside 0 ..= 255", wire.priority))
        })?,
        record: ppm("record_ppm", wire.record_ppm)?,
        entry: each("entry", wire.entry, entry_rule)?,
    })
}

fn entry_rule(wire: v1::EntryRule) -> Result<domain::EntryRule, InvalidMessage> {
    at_most("headers", &wire.headers, RULE_HEADERS_MAX)?;
    let rule = domain::EntryRule {
        host: text("host", wire.host, 0, NAME_BYTES_MAX)?.to_ascii_lowercase(),
        method: text("method", wire.method, 0, 32)?,
        path_template: text("path_template", wire.path_template, 0, OPERATION_BYTES_MAX)?,
        headers: each("headers", wire.headers, |h| header(v1::Header { name: h.name, value: h.value }))?,
        grpc: text("grpc", wire.grpc, 0, OPERATION_BYTES_MAX)?,
    };
    if rule == domain::EntryRule::default() {
        return Err(InvalidMessage::new(
            "host",
            "an entry rule without any condition would take all traffic",
        ));
    }
    if !rule.path_template.is_empty() {
        PathTemplate::new(&rule.path_template)
            .map_err(|e| InvalidMessage::new("path_template", e.to_string()))?;
    }
    if !rule.grpc.is_empty() && !(rule.method.is_empty() && rule.path_template.is_empty()) {
        return Err(InvalidMessage::new("grpc", "grpc excludes method and path_template"));
    }
    Ok(rule)
}

fn hop(wire: v1::HopBudget) -> Result<domain::HopBudget, InvalidMessage> {
    let timeout = in_range("timeout_ms", wire.timeout_ms, 0, TIME_MS_MAX)?;
    let per_try_max = if timeout == 0 { TIME_MS_MAX } else { timeout };
    Ok(domain::HopBudget {
        alone: alone(&wire)?,
        journey: journey_name(&wire.journey)?,
        destination: text("destination", wire.destination, 1, NAME_BYTES_MAX)?,
        operation: text("operation", wire.operation, 0, OPERATION_BYTES_MAX)?,
        mode: mode(wire.mode)?,
        timeout: optional_millis(timeout),
        per_try_timeout: optional_millis(in_range(
            "per_try_timeout_ms",
            wire.per_try_timeout_ms,
            0,
            per_try_max,
        )?),
        reserve: millis("reserve_ms", wire.reserve_ms, 0, TIME_MS_MAX)?,
        useful_min: millis("useful_min_ms", wire.useful_min_ms, 0, TIME_MS_MAX)?,
        retry: wire.retry.map(|r| retry(&r).map_err(|e| e.within("retry"))).transpose()?,
        fallback: wire.fallback.map(|f| fallback(f).map_err(|e| e.within("fallback"))).transpose()?,
        success: success(wire.success.unwrap_or_default()).map_err(|e| e.within("success"))?,
        without_context: wire.without_context,
        stream: wire.stream,
    })
}

/// Never tighter than the bounds of a call that a fallback may follow.
fn alone(wire: &v1::HopBudget) -> Result<Option<domain::Alone>, InvalidMessage> {
    if wire.timeout_alone_ms == 0 {
        return Ok(None);
    }
    Ok(Some(domain::Alone {
        timeout: millis("timeout_alone_ms", wire.timeout_alone_ms, wire.timeout_ms.max(1), TIME_MS_MAX)?,
        reserve: millis("reserve_alone_ms", wire.reserve_alone_ms, 0, wire.reserve_ms)?,
    }))
}

fn retry(wire: &v1::RetryBudget) -> Result<domain::RetryBudget, InvalidMessage> {
    Ok(domain::RetryBudget {
        ratio: ppm("ratio_ppm", wire.ratio_ppm)?,
        floor_milli_per_s: in_range("floor_milli_per_s", wire.floor_milli_per_s, 0, 1_000_000)?,
        burst: in_range("burst", wire.burst, 1, BURST_MAX)?,
        max_retries: in_range("max_retries", wire.max_retries, 0, 10)?,
    })
}

fn fallback(wire: v1::Fallback) -> Result<domain::Fallback, InvalidMessage> {
    let weight = ppm("weight_ppm", wire.weight_ppm)?;
    let budget = if weight == Ppm::ONE {
        None
    } else {
        Some(domain::FallbackBudget {
            share: Ppm::new(in_range("budget_ppm", wire.budget_ppm, 1, Ppm::ONE.get())?)
                .map_err(|e| InvalidMessage::new("budget_ppm", e.to_string()))?,
            burst: in_range("burst", wire.burst, 1, BURST_MAX)?,
        })
    };
    let kind = match wire.kind {
        Some(v1::fallback::Kind::StaticResponse(response)) => {
            domain::FallbackKind::Static(static_response(response).map_err(|e| e.within("static_response"))?)
        }
        Some(v1::fallback::Kind::Alternate(other)) => {
            domain::FallbackKind::Alternate(alternate(other).map_err(|e| e.within("alternate"))?)
        }
        None => return Err(InvalidMessage::new("kind", "neither static_response nor alternate is given")),
    };
    Ok(domain::Fallback { kind, weight, budget })
}

fn static_response(wire: v1::StaticResponse) -> Result<domain::StaticResponse, InvalidMessage> {
    at_most("headers", &wire.headers, STATIC_HEADERS_MAX)?;
    in_range("body", wire.body.len(), 0, BODY_BYTES_MAX).map_err(|_| {
        InvalidMessage::new("body", format!("{} bytes, at most {BODY_BYTES_MAX}", wire.body.len()))
    })?;
    Ok(domain::StaticResponse {
        // The range check makes the narrowing exact.
        status: in_range("status", wire.status, 200, 599)? as u16,
        headers: each("headers", wire.headers, header)?,
        body: wire.body,
    })
}

fn alternate(wire: v1::Alternate) -> Result<domain::Alternate, InvalidMessage> {
    let route_header =
        wire.route_header.map(|h| header(h).map_err(|e| e.within("route_header"))).transpose()?;
    if wire.cluster.is_empty() && route_header.is_none() {
        return Err(InvalidMessage::new(
            "cluster",
            "an alternate needs a cluster to call or a header to route by",
        ));
    }
    if wire.path.starts_with('/') || wire.path.is_empty() {
        Ok(domain::Alternate {
            cluster: text("cluster", wire.cluster, 0, NAME_BYTES_MAX)?,
            authority: text("authority", wire.authority, 0, NAME_BYTES_MAX)?,
            path: text("path", wire.path, 0, TEXT_BYTES_MAX)?,
            route_header,
            allow_non_idempotent: wire.allow_non_idempotent,
            body_bytes_max: in_range("body_bytes_max", wire.body_bytes_max, 0, BODY_BYTES_MAX as u32)?,
            timeout: millis("timeout_ms", wire.timeout_ms, 1, TIME_MS_MAX)?,
        })
    } else {
        Err(InvalidMessage::new("path", "a path starts with /"))
    }
}

/// Names are lower case and printable, values hold no line breaks: nothing here can split a header.
fn header(wire: v1::Header) -> Result<(String, String), InvalidMessage> {
    let token = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.');
    if wire.name.is_empty() || wire.name.len() > NAME_BYTES_MAX || !wire.name.bytes().all(token) {
        return Err(InvalidMessage::new("name", format!("{:?} is no header name of [a-z0-9-_.]", wire.name)));
    }
    if wire.value.len() > TEXT_BYTES_MAX || wire.value.bytes().any(|b| b < 0x20 && b != b'\t' || b == 0x7f) {
        return Err(InvalidMessage::new(
            "value",
            "a header value is at most 2048 bytes without control characters",
        ));
    }
    Ok((wire.name, wire.value))
}

fn success(wire: v1::SuccessPredicate) -> Result<domain::SuccessPredicate, InvalidMessage> {
    at_most("http", &wire.http, 16)?;
    at_most("grpc", &wire.grpc, 17)?;
    let range = |r: v1::StatusRange| {
        let last = in_range("last", r.last, 100, 599)?;
        Ok((in_range("first", r.first, 100, last)? as u16, last as u16))
    };
    wire.grpc.iter().try_for_each(|&code| in_range("grpc", code, 0, 16).map(|_| ()))?;
    Ok(domain::SuccessPredicate { http: each("http", wire.http, range)?, grpc: wire.grpc })
}

fn journey_name(name: &str) -> Result<JourneyName, InvalidMessage> {
    JourneyName::new(name).map_err(|e| InvalidMessage::new("journey", e.to_string()))
}

fn ppm(field: &str, value: u32) -> Result<Ppm, InvalidMessage> {
    Ppm::new(value).map_err(|e| InvalidMessage::new(field, e.to_string()))
}

fn millis(field: &str, value: u32, min: u32, max: u32) -> Result<Millis, InvalidMessage> {
    in_range(field, value, min, max).map(|ms| Millis(u64::from(ms)))
}

fn optional_millis(value: u32) -> Option<Millis> {
    (value > 0).then(|| Millis(u64::from(value)))
}

/// Unknown values are refused, not guessed: a newer control plane must not be half understood.
fn mode(value: i32) -> Result<domain::Mode, InvalidMessage> {
    match v1::Mode::try_from(value) {
        Ok(v1::Mode::Observe) => Ok(domain::Mode::Observe),
        Ok(v1::Mode::DryRun) => Ok(domain::Mode::DryRun),
        Ok(v1::Mode::Enforce) => Ok(domain::Mode::Enforce),
        Err(_) => Err(InvalidMessage::new("mode", format!("{value} is no mode this version knows"))),
    }
}

fn on_expiry(value: i32) -> Result<domain::OnExpiry, InvalidMessage> {
    match v1::OnExpiry::try_from(value) {
        Ok(v1::OnExpiry::Hold) => Ok(domain::OnExpiry::Hold),
        Ok(v1::OnExpiry::Release) => Ok(domain::OnExpiry::Release),
        Err(_) => {
            Err(InvalidMessage::new("on_expiry", format!("{value} is no behaviour this version knows")))
        }
    }
}

// === domain -> wire ===

impl From<&domain::WorkloadBudgets> for v1::WorkloadBudgets {
    fn from(budgets: &domain::WorkloadBudgets) -> Self {
        Self {
            workload: budgets.workload.as_str().to_string(),
            generation: budgets.generation.0,
            model_digest: budgets.model_digest.clone(),
            issued_at_unix_ms: budgets.issued_at_unix_ms,
            valid_for_ms: wire_millis(budgets.valid_for),
            on_expiry: match budgets.on_expiry {
                domain::OnExpiry::Hold => v1::OnExpiry::Hold,
                domain::OnExpiry::Release => v1::OnExpiry::Release,
            } as i32,
            journeys: budgets.journeys.iter().map(Into::into).collect(),
            hops: budgets.hops.iter().map(Into::into).collect(),
        }
    }
}

impl From<&domain::JourneyBudget> for v1::JourneyBudget {
    fn from(budget: &domain::JourneyBudget) -> Self {
        Self {
            journey: budget.journey.as_str().to_string(),
            deadline_ms: wire_millis(budget.deadline),
            mode: wire_mode(budget.mode),
            priority: u32::from(budget.priority),
            record_ppm: budget.record.get(),
            entry: budget.entry.iter().map(Into::into).collect(),
        }
    }
}

impl From<&domain::EntryRule> for v1::EntryRule {
    fn from(rule: &domain::EntryRule) -> Self {
        let header =
            |(name, value): &(String, String)| v1::HeaderMatch { name: name.clone(), value: value.clone() };
        Self {
            host: rule.host.clone(),
            method: rule.method.clone(),
            path_template: rule.path_template.clone(),
            headers: rule.headers.iter().map(header).collect(),
            grpc: rule.grpc.clone(),
        }
    }
}

impl From<&domain::HopBudget> for v1::HopBudget {
    fn from(budget: &domain::HopBudget) -> Self {
        Self {
            journey: budget.journey.as_str().to_string(),
            destination: budget.destination.clone(),
            operation: budget.operation.clone(),
            mode: wire_mode(budget.mode),
            timeout_ms: budget.timeout.map_or(0, wire_millis),
            per_try_timeout_ms: budget.per_try_timeout.map_or(0, wire_millis),
            reserve_ms: wire_millis(budget.reserve),
            useful_min_ms: wire_millis(budget.useful_min),
            timeout_alone_ms: budget.alone.map_or(0, |alone| wire_millis(alone.timeout)),
            reserve_alone_ms: budget.alone.map_or(0, |alone| wire_millis(alone.reserve)),
            retry: budget.retry.map(|r| v1::RetryBudget {
                ratio_ppm: r.ratio.get(),
                floor_milli_per_s: r.floor_milli_per_s,
                burst: r.burst,
                max_retries: r.max_retries,
            }),
            fallback: budget.fallback.as_ref().map(Into::into),
            success: (budget.success != domain::SuccessPredicate::default())
                .then(|| (&budget.success).into()),
            without_context: budget.without_context,
            stream: budget.stream,
        }
    }
}

impl From<&domain::Fallback> for v1::Fallback {
    fn from(fallback: &domain::Fallback) -> Self {
        let kind = match &fallback.kind {
            domain::FallbackKind::Static(response) => {
                v1::fallback::Kind::StaticResponse(v1::StaticResponse {
                    status: u32::from(response.status),
                    headers: response.headers.iter().map(wire_header).collect(),
                    body: response.body.clone(),
                })
            }
            domain::FallbackKind::Alternate(other) => v1::fallback::Kind::Alternate(v1::Alternate {
                cluster: other.cluster.clone(),
                authority: other.authority.clone(),
                path: other.path.clone(),
                route_header: other.route_header.as_ref().map(wire_header),
                allow_non_idempotent: other.allow_non_idempotent,
                body_bytes_max: other.body_bytes_max,
                timeout_ms: wire_millis(other.timeout),
            }),
        };
        Self {
            kind: Some(kind),
            weight_ppm: fallback.weight.get(),
            budget_ppm: fallback.budget.map_or(0, |b| b.share.get()),
            burst: fallback.budget.map_or(0, |b| b.burst),
        }
    }
}

impl From<&domain::SuccessPredicate> for v1::SuccessPredicate {
    fn from(predicate: &domain::SuccessPredicate) -> Self {
        let range =
            |&(first, last): &(u16, u16)| v1::StatusRange { first: u32::from(first), last: u32::from(last) };
        Self { http: predicate.http.iter().map(range).collect(), grpc: predicate.grpc.clone() }
    }
}

fn wire_header((name, value): &(String, String)) -> v1::Header {
    v1::Header { name: name.clone(), value: value.clone() }
}

fn wire_mode(mode: domain::Mode) -> i32 {
    match mode {
        domain::Mode::Observe => v1::Mode::Observe as i32,
        domain::Mode::DryRun => v1::Mode::DryRun as i32,
        domain::Mode::Enforce => v1::Mode::Enforce as i32,
    }
}

/// Domain durations that came from the wire fit; others saturate.
fn wire_millis(duration: Millis) -> u32 {
    u32::try_from(duration.0).unwrap_or(u32::MAX)
}
