//! What `/api/v1/enforcement` says, in words: for `emac status` and for whoever stops or resumes.

use serde_json::Value;

use super::status::{ago, clock, word};
use crate::serve::SILENT;
use crate::serve::unknown_journey;

/// How much is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// Nothing, while all is as intents say.
    ByTheWay,
    /// Everything.
    Asked,
}

/// What is stopped, by whom and why, and which sidecars do not know it.
pub(super) fn switched(enforcement: &Value, told: Told) -> String {
    let (mut text, notes) = (orders(&enforcement["stopped"]), notes(enforcement));
    if text.is_empty() {
        if told == Told::ByTheWay {
            return notes;
        }
        text = "enforcement is as the intents say\n".to_owned();
    }
    text += &notes;
    if let Some(why) = enforcement["not_kept"].as_str() {
        text += &format!("it would not survive a restart of the control plane: {why}\n");
    } else if told == Told::Asked && enforcement["durable"] == false {
        text += "it does not survive a restart of the control plane, which has no state directory\n";
    }
    text + &replicas(&enforcement["replicas"]) + &sidecars(&enforcement["sidecars"])
}

/// What is odd about what is stopped: names that no journey has, a configuration that is refused, a record that was lost.
fn notes(enforcement: &Value) -> String {
    let of = |name: &str| enforcement[name].as_array().into_iter().flatten();
    let planned: Vec<String> = of("journeys").map(|journey| word(&journey["journey"])).collect();
    let mut text = String::new();
    for one in of("unknown") {
        let near = one["near"].as_str().map(|_| word(&one["near"]));
        let planned = planned.iter().map(String::as_str);
        text += &unknown_journey(&word(&one["journey"]), near.as_deref(), planned);
        text.push('\n');
    }
    if let Some(more) = enforcement["unknown_more"].as_u64().filter(|more| *more > 0) {
        text += &format!("and {more} more names that are stopped and that no journey has\n");
    }
    for told in ["configuration_refused", "record"] {
        if enforcement[told].is_string() {
            text += &format!("{}\n", word(&enforcement[told]));
        }
    }
    text
}

/// Whether a name that is stopped is no journey's, among these.
pub(super) fn is_unknown(enforcement: &Value, names: &[String]) -> bool {
    let unknown = enforcement["unknown"].as_array().into_iter().flatten();
    let mut unknown = unknown.filter_map(|one| one["journey"].as_str());
    let more = enforcement["unknown_more"].as_u64().unwrap_or(0);
    !names.is_empty() && (more > 0 || unknown.any(|one| names.iter().any(|name| name == one)))
}

/// Replicas of the control plane that do not do as ordered.
fn replicas(replicas: &Value) -> String {
    let mut text = String::new();
    if let Some(why) = replicas["not_told"].as_str() {
        text += &format!(
            "ONLY THIS REPLICA does as ordered, the others are told as soon as they can be: {why}\n"
        );
    }
    for one in replicas["not_obeying"].as_array().into_iter().flatten() {
        let ms = one["silent_ms"].as_u64().unwrap_or(0);
        let dead = u128::from(ms) >= SILENT.as_millis();
        let silent = if dead { format!(", not heard for {} s", ms / 1_000) } else { String::new() };
        text += &format!(
            "replica {} ({}{silent}) does not do as ordered yet\n",
            word(&one["replica"]),
            word(&one["http"])
        );
    }
    text
}

/// Whether every replica does as ordered, where there are several.
pub(super) fn all_obey(enforcement: &Value) -> bool {
    let replicas = &enforcement["replicas"];
    replicas["not_told"].is_null() && replicas["not_obeying"].as_array().is_none_or(Vec::is_empty)
}

fn orders(stopped: &Value) -> String {
    let mut text = String::new();
    let all = &stopped["all"];
    if !all.is_null() {
        let but: Vec<&str> =
            stopped["but"].as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
        let but = if but.is_empty() { String::new() } else { format!(" but {}", but.join(", ")) };
        text += &format!("enforcement is STOPPED for all journeys{but} {}\n", by(all));
    }
    for (name, order) in stopped["journeys"].as_object().into_iter().flatten() {
        text += &format!("enforcement is STOPPED for {name} {}\n", by(order));
    }
    let configured = &stopped["configuration"];
    if !configured.is_null() {
        let names = configured["journeys"].as_array();
        let names = names.map(|all| all.iter().map(word).collect::<Vec<_>>().join(", "));
        let which = names.unwrap_or_else(|| "all journeys".to_owned());
        let said = |name: &str, before: &str| {
            configured[name].as_str().map(|said| format!("{before}{said}")).unwrap_or_default()
        };
        let (who, why) = (said("by", " by "), said("why", ": "));
        text +=
            &format!("enforcement is STOPPED for {which} in the control plane's configuration{who}{why}\n");
    }
    text
}

fn by(order: &Value) -> String {
    let proven = if order["proven"] == false { " (not proven)" } else { "" };
    format!("by {}{proven}, {} UTC: {}", word(&order["by"]), clock(&order["at_unix_ms"]), word(&order["why"]))
}

fn sidecars(sidecars: &Value) -> String {
    let mut text = format!(
        "{} of {} connected sidecars have acknowledged it\n",
        word(&sidecars["acknowledged"]),
        word(&sidecars["connected"])
    );
    for one in sidecars["waiting"].as_array().into_iter().flatten() {
        let refused = one["refused"].as_str().map(|why| format!(", refused: {why}")).unwrap_or_default();
        text += &format!("not acknowledged: {}{refused}{}\n", named(one), until(&one["lease"]));
    }
    for one in sidecars["unreachable"].as_array().into_iter().flatten() {
        let ended =
            ago(&one["ended_age_ms"]).map(|ago| format!(", connected until {ago}")).unwrap_or_default();
        text += &format!("not reached: {}{ended}{}\n", named(one), until(&one["lease"]));
    }
    match sidecars["not_named"].as_u64() {
        None | Some(0) => text,
        Some(more) => text + &format!("and {more} more\n"),
    }
}

fn named(one: &Value) -> String {
    let at = one["replica"].as_str().map(|replica| format!(", at {replica}")).unwrap_or_default();
    format!("{} ({}, {}{at})", word(&one["node"]), word(&one["workload"]), word(&one["state"]))
}

/// What it does with what it holds.
fn until(lease: &Value) -> String {
    let ends = clock(&lease["ends_unix_ms"]);
    match (lease["then"].as_str(), lease["over"] == true) {
        (Some("release"), false) => format!("; does as before until {ends} UTC, then releases its budgets"),
        (Some("release"), true) => format!("; released its budgets at {ends} UTC"),
        (Some(_), _) => "; does as before until it is reached (lease.onExpiry: hold)".to_owned(),
        (None, _) => "; what it holds is not known".to_owned(),
    }
}
