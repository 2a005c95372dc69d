//! `/api/v1/enforcement`: what is stopped, by whom and why, and which sidecars do not know it yet.

use emac_core::budget::OnExpiry;
use emac_core::id::WorkloadName;
use emac_core::units::{Generation, Micros};
use serde_json::{Map, Value, json};

use super::super::enforcement::names::unknown;
use super::super::enforcement::{Given, Order, View, Why};
use super::super::standing::{Row, Seen};
use super::super::state::Shared;
use crate::config::{Changers, Stopped};
use emac_push::standing::{End, Standing};

/// Most sidecars named one by one in an answer.
const NAMED_MAX: usize = 100;

/// What is in force, and who knows.
pub(in super::super) fn enforcement(shared: &Shared) -> Value {
    let view = shared.enforcement.view();
    let switch = &view.stops.switch;
    let orders = |orders: &std::collections::BTreeMap<String, Order>| {
        Value::Object(Map::from_iter(orders.iter().map(|(name, order)| (name.clone(), order_of(order)))))
    };
    let planned = shared.planned();
    let modes = planned.iter().map(|intent| {
        let (name, declared) = (intent.name.as_str(), intent.runtime.mode);
        json!({
            "journey": name,
            "mode": view.stops.mode(name, declared).label(),
            "mode_declared": declared.label(),
            "stopped": stopped(&view, name),
        })
    });
    let (unknown, unknown_more) = unknown(&view.stops, &planned);
    let unknown = unknown.iter().map(|one| json!({"journey": one.journey, "near": one.near}));
    json!({
        "revision": switch.revision,
        "generation": view.out.ordered.0,
        "durable": view.durable,
        "not_kept": view.unkept,
        "record": view.told.record,
        "configuration_refused": view.told.file,
        "stopped": {
            "all": switch.all.as_ref().map(order_of),
            "but": orders(&switch.resumed),
            "journeys": orders(&switch.journeys),
            "configuration": view.stops.configured.as_ref().map(configured),
        },
        "unknown": unknown.collect::<Vec<_>>(),
        "unknown_more": unknown_more,
        "journeys": modes.collect::<Vec<_>>(),
        "sidecars": sidecars(shared, &view),
        "replicas": replicas(shared, &view),
        "changes": match shared.guard.changers() {
            Changers::Proven => "proven",
            Changers::Loopback => "loopback",
            Changers::Nobody => "nobody",
        },
        "history": switch.history.iter().rev().map(given).collect::<Vec<_>>(),
    })
}

/// Why a journey is stopped; `null` while it is not.
pub(in super::super) fn stopped(view: &View, journey: &str) -> Value {
    match view.stops.why(journey) {
        None => Value::Null,
        Some(Why::Ordered(order)) => order_of(order),
        Some(Why::Configured(stopped)) => configured(stopped),
    }
}

fn order_of(order: &Order) -> Value {
    json!({"by": order.by, "proven": order.proven, "why": order.why, "at_unix_ms": order.at_unix_ms})
}

fn configured(stopped: &Stopped) -> Value {
    let names = stopped.journeys.as_ref().map(|all| all.iter().map(ToString::to_string).collect::<Vec<_>>());
    json!({"by": stopped.by, "configuration": true, "why": stopped.why, "journeys": names})
}

fn given(given: &Given) -> Value {
    json!({
        "action": given.action,
        "journeys": given.journeys,
        "changed": given.changed,
        "by": given.order.by,
        "proven": given.order.proven,
        "why": given.order.why,
        "at_unix_ms": given.order.at_unix_ms,
    })
}

/// Which other replicas do not do as ordered, as far as they tell; `null` where there are none.
fn replicas(shared: &Shared, view: &View) -> Value {
    let Some(cluster) = &shared.cluster else { return Value::Null };
    let several = &view.stops.switch.several;
    let why = || cluster.problem().unwrap_or_else(|| "they are being told".to_owned());
    let behind = cluster.behind(several.raised).into_iter().map(|behind| {
        json!({
            "replica": behind.replica,
            "http": behind.http,
            "silent_ms": u64::try_from(behind.silent.as_millis()).unwrap_or(u64::MAX),
        })
    });
    json!({
        "not_told": (several.is_untold() || !cluster.is_connected()).then(why),
        "waiting_orders": several.waiting.len(),
        "not_obeying": behind.collect::<Vec<_>>(),
    })
}

/// How a sidecar stands to the newest order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heard {
    /// It took budgets that say so.
    Yes,
    /// It is connected and has not.
    Waiting,
    /// It has not, and is not connected.
    Unreachable,
    /// It is connected and there are no budgets for it.
    WithoutBudgets,
}

/// Counts of sidecars that are connected to any replica: all, and those that took budgets since the newest order.
pub(in super::super) fn acknowledged(shared: &Shared, view: &View) -> (usize, usize) {
    let rows = rows(shared);
    let heard: Vec<Heard> = rows.iter().filter_map(|row| heard(row, view)).collect();
    let count = |which| heard.iter().filter(|one| **one == which).count();
    (count(Heard::Yes) + count(Heard::Waiting), count(Heard::Yes))
}

fn rows(shared: &Shared) -> Vec<Row> {
    let (now, evidence) = (shared.clock.now(), shared.evidence());
    Seen::take(shared, &evidence, now).rows()
}

fn sidecars(shared: &Shared, view: &View) -> Value {
    let (now, now_unix_ms) = (shared.clock.now(), shared.clock.unix_ms());
    let rows = rows(shared);
    let standing: Vec<(Heard, &Row)> = rows.iter().filter_map(|row| Some((heard(row, view)?, row))).collect();
    let count = |which| standing.iter().filter(|(heard, _)| *heard == which).count();
    let named = |which| {
        let of = standing.iter().filter(move |(heard, _)| *heard == which);
        of.take(NAMED_MAX).map(|(_, row)| sidecar(row, view, now, now_unix_ms)).collect::<Vec<_>>()
    };
    json!({
        "connected": count(Heard::Yes) + count(Heard::Waiting),
        "acknowledged": count(Heard::Yes),
        "waiting": named(Heard::Waiting),
        "unreachable": named(Heard::Unreachable),
        "not_named": count(Heard::Waiting).saturating_sub(NAMED_MAX) + count(Heard::Unreachable).saturating_sub(NAMED_MAX),
        "without_budgets": count(Heard::WithoutBudgets),
    })
}

/// `None`: it left in order, or nothing is known of what it holds.
fn heard(row: &Row, view: &View) -> Option<Heard> {
    let workload = WorkloadName::new(&row.workload).ok();
    let has_budgets = workload.as_ref().is_some_and(|name| view.out.workloads().contains_key(name));
    let needed = workload.and_then(|name| view.out.needed.get(&name).copied()).unwrap_or(view.out.ordered);
    let stream = row.stream.as_ref();
    let told = row.told.as_ref();
    let held = stream.and_then(|proxy| proxy.accepted.as_ref()?.generation);
    let held = held.or(told.map(|told| told.accepted).filter(|held| *held > 0)).map(Generation);
    let knows = held.is_some_and(|held| held >= needed);
    match (row.ended, stream) {
        // Of budgets for who is in no plan only its own replica knows.
        (None, None) if told.is_some() => Some(match knows {
            true => Heard::Yes,
            false if !has_budgets && held.is_none() => Heard::WithoutBudgets,
            false => Heard::Waiting,
        }),
        (None, Some(_)) if !has_budgets => Some(Heard::WithoutBudgets),
        (None, Some(_)) if knows => Some(Heard::Yes),
        (None, Some(_)) => Some(Heard::Waiting),
        (Some((_, End::Closed)), _) if row.standing == Standing::Gone => None,
        (Some(_), _) if knows || held.is_none() => None,
        (Some(_), _) => Some(Heard::Unreachable),
        // It reports and never asked this process for budgets.
        (None, None) => (row.standing != Standing::Gone).then_some(Heard::Unreachable),
    }
}

fn sidecar(row: &Row, view: &View, now: Micros, now_unix_ms: u64) -> Value {
    let stream = row.stream.as_ref();
    let accepted = stream.and_then(|proxy| proxy.accepted.as_ref());
    let acknowledged = accepted.and_then(|accepted| accepted.generation);
    let acknowledged = acknowledged.or(row.told.as_ref().map(|told| told.accepted).filter(|held| *held > 0));
    let budgets = WorkloadName::new(&row.workload).ok().and_then(|name| view.out.workloads().get(&name));
    let lease = accepted.zip(budgets).map(|(accepted, budgets)| {
        let ends = accepted.at_unix_ms.saturating_add(budgets.valid_for.0);
        json!({
            "ends_unix_ms": ends,
            "over": ends <= now_unix_ms,
            "then": match budgets.on_expiry { OnExpiry::Hold => "hold", OnExpiry::Release => "release" },
        })
    });
    json!({
        "node": row.node,
        "workload": row.workload,
        "state": row.standing.label(),
        "ended_age_ms": row.ended.map(|(at, _)| now.since(at).to_millis_floor().0),
        "replica": row.replica,
        "generation_acknowledged": acknowledged,
        "generation_offered": row.offered,
        "refused": stream.filter(|proxy| proxy.refused_last).and_then(|proxy| Some(&proxy.refused.as_ref()?.error)),
        "lease": lease,
    })
}
