//! The section `discovery`.

use std::path::Path;

use emac_core::units::Millis;
use emac_discovery::watch::{Recurrence, WatchSettings};
use emac_document::types::{address, by_name, checked, flag, integer, list, mapping, millis, owned};
use emac_document::{Fields, Reader};

use super::path;
use crate::config::{Discovery, Otlp};

pub(super) fn discovery(fields: &mut Fields<'_>, folder: &Path) -> Option<Discovery> {
    let default = Discovery::default();
    let enabled = fields.field("enabled", flag(), "whether discovery is enabled").or(default.enabled);
    let (window, step) = window(fields)?;
    let (silence, traces_min) = traces(fields);
    Some(Discovery {
        enabled,
        window,
        step,
        silence,
        traces_min,
        recurrence: fields
            .field("recurrence", mapping(recurrence), "rule by which changes are proposed and withdrawn")
            .optional()
            .unwrap_or_default(),
        queue: fields
            .field(
                "queue",
                integer("count", 1..=10_000_000),
                "largest number of records queued for discovery; beyond it they are dropped and counted",
            )
            .or(default.queue),
        mesh: fields
            .field(
                "mesh",
                list(path(folder)),
                "Kubernetes, Istio and Envoy files and directories; reloaded on change",
            )
            .optional()
            .unwrap_or_default(),
        aliases: aliases(fields),
        otlp: fields
            .field("otlp", mapping(otlp), "addresses that accept OpenTelemetry traces; default: none")
            .optional()
            .unwrap_or_default(),
        candidates: fields
            .field("candidates", path(folder), "directory of candidates; default: that of the intent")
            .optional(),
    })
}

/// How long a window is, and how often one ends.
fn window(fields: &mut Fields<'_>) -> Option<(Millis, Millis)> {
    let default = Discovery::default();
    let window = fields
        .field("window", millis(1_000..=86_400_000), "length of an observation window, 1s to 24h")
        .or(default.window);
    let step = fields
        .field(
            "step",
            millis(1_000..=86_400_000),
            "time between the ends of two windows, at least a twelfth of `window`; default: `window`, so that windows do not overlap",
        )
        .optional()
        .unwrap_or(window);
    let settings = WatchSettings { window, step, ..WatchSettings::default() };
    if step > window || settings.steps().saturating_mul(step.0) < window.0 {
        let least = Millis(window.0.div_ceil(WatchSettings::OVERLAP_MAX));
        let problem = format!(
            "step ({} ms) is not between {} ms, a twelfth of window, and window ({} ms)",
            step.0, least.0, window.0
        );
        return fields.reader().refuse(problem);
    }
    Some((window, step))
}

/// When a trace is over, and how many of a journey say something.
fn traces(fields: &mut Fields<'_>) -> (Millis, u64) {
    let default = Discovery::default();
    let silence = fields
        .field(
            "silence",
            millis(100..=300_000),
            "a trace without new spans for this time is complete, 100ms to 5m",
        )
        .or(default.silence);
    let traces_min = fields
        .field(
            "minTraces",
            integer("count", 1..=1_000_000),
            "a window with fewer traces of a journey proposes nothing",
        )
        .or(default.traces_min);
    (silence, traces_min)
}

fn aliases(fields: &mut Fields<'_>) -> Vec<(String, String)> {
    let differ = |it: Reader<'_>, all: Vec<(String, String)>| match all
        .iter()
        .find(|(name, of)| name.trim().is_empty() || of.trim().is_empty() || name == of)
    {
        Some((name, of)) => it.refuse(format!("`{name}: {of}`: expected two different names")),
        None => Some(all),
    };
    fields
        .field(
            "aliases",
            checked(by_name(owned()), differ),
            "several names of one service: what is reported under the name on the left counts as the one on the right",
        )
        .optional()
        .unwrap_or_default()
}

fn otlp(fields: &mut Fields<'_>) -> Option<Otlp> {
    Some(Otlp {
        grpc: fields
            .field("grpc", address(), "OTLP over gRPC, usually port 4317; port 0: any free port")
            .optional(),
        http: fields
            .field("http", address(), "OTLP over HTTP, usually port 4318; port 0: any free port")
            .optional(),
    })
}

fn recurrence(fields: &mut Fields<'_>) -> Option<Recurrence> {
    let Recurrence { windows, of, absent } = Recurrence::default();
    let count = || integer("count", 1..=u64::from(Recurrence::WINDOWS_MAX));
    let read = Recurrence {
        windows: fields
            .field("windows", count(), "a change is proposed once observed in this many windows")
            .or(windows),
        of: fields.field("of", count(), "out of this many last windows; at least `windows`").or(of),
        absent: fields
            .field("absent", count(), "a change is withdrawn once absent from this many windows in a row")
            .or(absent),
    };
    if read.windows > read.of {
        return fields.reader().refuse(format!("windows ({}) is above of ({})", read.windows, read.of));
    }
    Some(read)
}
