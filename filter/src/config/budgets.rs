//! Budgets in the plugin configuration: the fields of `emac/v1/budgets.proto` by their names, so that there is one specification.
//!
//! They pass through the wire types and their checks; lease and generation are not asked for, because these never expire and any
//! generation of a control plane replaces them. A static body is text.

use emac_core::budget::WorkloadBudgets;
use emac_proto::v1;

use super::fields::{Field, InvalidField, Object};
use super::mode;

/// The checks of the wire, on budgets that need no lease.
pub(super) fn read(field: Field) -> Result<Option<WorkloadBudgets>, InvalidField> {
    let Some(object) = field.object()? else { return Ok(None) };
    let wire = object.all(|object| {
        Ok(v1::WorkloadBudgets {
            workload: "static/static".to_owned(),
            generation: 1,
            valid_for_ms: 1_000,
            journeys: object.take("journeys").objects(journey)?,
            hops: object.take("hops").objects(hop)?,
            ..v1::WorkloadBudgets::default()
        })
    })?;
    let checked = wire.try_into().map_err(|invalid: emac_proto::convert::InvalidMessage| InvalidField {
        path: format!("budgets.{}", invalid.field),
        problem: invalid.problem.into_owned(),
    })?;
    Ok(Some(checked))
}

fn journey(object: &mut Object) -> Result<v1::JourneyBudget, InvalidField> {
    Ok(v1::JourneyBudget {
        journey: object.take("journey").string()?,
        deadline_ms: object.take("deadline_ms").u32()?,
        mode: wire_mode(object)?,
        priority: object.take("priority").u32()?,
        record_ppm: object.take("record_ppm").u32()?,
        entry: object.take("entry").objects(entry)?,
    })
}

fn entry(object: &mut Object) -> Result<v1::EntryRule, InvalidField> {
    let header = |object: &mut Object| {
        Ok(v1::HeaderMatch { name: object.take("name").string()?, value: object.take("value").string()? })
    };
    Ok(v1::EntryRule {
        host: object.take("host").string()?,
        method: object.take("method").string()?,
        path_template: object.take("path_template").string()?,
        headers: object.take("headers").objects(header)?,
        grpc: object.take("grpc").string()?,
    })
}

fn hop(object: &mut Object) -> Result<v1::HopBudget, InvalidField> {
    Ok(v1::HopBudget {
        journey: object.take("journey").string()?,
        destination: object.take("destination").string()?,
        operation: object.take("operation").string()?,
        mode: wire_mode(object)?,
        timeout_ms: object.take("timeout_ms").u32()?,
        per_try_timeout_ms: object.take("per_try_timeout_ms").u32()?,
        reserve_ms: object.take("reserve_ms").u32()?,
        useful_min_ms: object.take("useful_min_ms").u32()?,
        retry: optional(object.take("retry"), retry)?,
        fallback: optional(object.take("fallback"), fallback)?,
        success: optional(object.take("success"), success)?,
    })
}

fn retry(object: &mut Object) -> Result<v1::RetryBudget, InvalidField> {
    Ok(v1::RetryBudget {
        ratio_ppm: object.take("ratio_ppm").u32()?,
        floor_milli_per_s: object.take("floor_milli_per_s").u32()?,
        burst: object.take("burst").u32()?,
        max_retries: object.take("max_retries").u32()?,
    })
}

fn fallback(object: &mut Object) -> Result<v1::Fallback, InvalidField> {
    let answer = optional(object.take("static_response"), static_response)?;
    let other = optional(object.take("alternate"), alternate)?;
    let kind = match (answer, other) {
        (Some(answer), None) => Some(v1::fallback::Kind::StaticResponse(answer)),
        (None, Some(other)) => Some(v1::fallback::Kind::Alternate(other)),
        // Refused by the wire's own check.
        _ => None,
    };
    Ok(v1::Fallback {
        kind,
        weight_ppm: object.take("weight_ppm").u32()?,
        budget_ppm: object.take("budget_ppm").u32()?,
        burst: object.take("burst").u32()?,
    })
}

fn static_response(object: &mut Object) -> Result<v1::StaticResponse, InvalidField> {
    Ok(v1::StaticResponse {
        status: object.take("status").u32()?,
        headers: object.take("headers").objects(header)?,
        body: object.take("body").string()?.into_bytes(),
    })
}

fn alternate(object: &mut Object) -> Result<v1::Alternate, InvalidField> {
    Ok(v1::Alternate {
        cluster: object.take("cluster").string()?,
        authority: object.take("authority").string()?,
        path: object.take("path").string()?,
        route_header: optional(object.take("route_header"), header)?,
        allow_non_idempotent: object.take("allow_non_idempotent").boolean(false)?,
        body_bytes_max: object.take("body_bytes_max").u32()?,
        timeout_ms: object.take("timeout_ms").u32()?,
    })
}

fn success(object: &mut Object) -> Result<v1::SuccessPredicate, InvalidField> {
    let range = |object: &mut Object| {
        Ok(v1::StatusRange { first: object.take("first").u32()?, last: object.take("last").u32()? })
    };
    Ok(v1::SuccessPredicate {
        http: object.take("http").objects(range)?,
        grpc: object.take("grpc").each(Field::u32)?,
    })
}

fn header(object: &mut Object) -> Result<v1::Header, InvalidField> {
    Ok(v1::Header { name: object.take("name").string()?, value: object.take("value").string()? })
}

fn wire_mode(object: &mut Object) -> Result<i32, InvalidField> {
    let mode = mode(object.take("mode"), emac_core::budget::Mode::Observe)?;
    Ok(match mode {
        emac_core::budget::Mode::Observe => v1::Mode::Observe as i32,
        emac_core::budget::Mode::DryRun => v1::Mode::DryRun as i32,
        emac_core::budget::Mode::Enforce => v1::Mode::Enforce as i32,
    })
}

fn optional<T>(
    field: Field,
    read: impl FnOnce(&mut Object) -> Result<T, InvalidField>,
) -> Result<Option<T>, InvalidField> {
    field.object()?.map(|object| object.all(read)).transpose()
}
