//! From the text of `emac.yaml` to a checked [`Config`]; every problem is reported, none ends the reading. What is declared here is also the schema and
//! the reference of the document.

use std::path::{Path, PathBuf};

use emac_core::units::Millis;
use emac_discovery::watch::{Recurrence, WatchSettings};

use super::{Config, Discovery, EvidenceConfig, Listen, Log, LogFormat, Otlp};
use emac_document::shape::Mapping;
use emac_document::types::{
    Shown, Type, address, by_name, checked, choice, flag, integer, list, mapping, millis, owned, text_like,
    word_as,
};
use emac_document::{API_VERSION, Fields, Limits, Problem, Problems, Reader, describe, read_file};
use identity::identity;

/// The document kind of a configuration.
pub const KIND: &str = "ControlPlaneConfig";
/// A configuration fits one page; a megabyte is a mistake.
const BYTES_MAX: usize = 1 << 20;

/// Reads a file. `None` when `problems` now holds an error.
pub fn load(path: &Path, problems: &Problems) -> Option<Config> {
    let limits = Limits { bytes_max: BYTES_MAX, ..Limits::default() };
    let errors_before = problems.errors();
    let documents = read_file(path, &limits, problems);
    let [document] = documents.as_slice() else {
        if problems.errors() == errors_before {
            let message = format!("expected one document, found {}", documents.len());
            problems.push(Problem::error(message).in_file(path.display().to_string()));
        }
        return None;
    };
    read(document.reader(problems), path.parent().unwrap_or(Path::new("")))
}

/// Reads a document; paths in it are relative to `folder`.
pub fn read(document: Reader<'_>, folder: &Path) -> Option<Config> {
    let errors_before = document.problems().errors();
    let config = document.fields(|fields| {
        fields.required("apiVersion", |version| version.choice(&[(API_VERSION, ())]));
        fields.required("kind", |kind| kind.choice(&[(KIND, ())]));
        self::config(fields, folder)
    });
    config.filter(|_| document.problems().errors() == errors_before)
}

/// The table of a configuration.
pub(crate) fn table() -> &'static Mapping {
    describe(|fields| config(fields, Path::new("")))
}

fn config(fields: &mut Fields<'_>, folder: &Path) -> Option<Config> {
    Some(Config {
        listen: fields.field("listen", mapping(listen), "listen addresses").optional().unwrap_or_default(),
        identity: fields
            .field(
                "identity",
                identity(folder),
                "how sidecars prove who they are; `none`: not at all, whoever reaches the port may report for every workload and ask for every budget",
            )
            .optional(),
        ports_file: fields
            .field(
                "portsFile",
                path(folder),
                "file that receives the bound addresses once both sockets listen",
            )
            .optional(),
        state: fields
            .field("state", path(folder), "directory of the store; without it nothing survives a restart")
            .optional(),
        intents: fields
            .field("intents", list(pattern(folder)), "intents: files, directories and globs")
            .optional()
            .unwrap_or_default(),
        evidence: fields
            .field("evidence", mapping(evidence), "ingestion of evidence")
            .optional()
            .unwrap_or_default(),
        plan_period: fields
            .field("plan", mapping(plan_period), "planning")
            .optional()
            .unwrap_or(Config::default().plan_period),
        discovery: fields
            .field(
                "discovery",
                mapping(|fields: &mut Fields<'_>| discovery(fields, folder)),
                "discovery of models from hop records and traces",
            )
            .optional()
            .unwrap_or_default(),
        log: fields.field("log", mapping(log), "logging to standard error").optional().unwrap_or_default(),
    })
}

fn listen(fields: &mut Fields<'_>) -> Option<Listen> {
    let Listen { grpc, http } = Listen::default();
    Some(Listen {
        grpc: fields
            .field("grpc", address(), "address for evidence and budgets; port 0: any free port")
            .or(grpc),
        http: fields
            .field("http", address(), "address for API, health and metrics; port 0: any free port")
            .or(http),
    })
}

fn evidence(fields: &mut Fields<'_>) -> Option<EvidenceConfig> {
    let EvidenceConfig { window, queue, commit_delay } = EvidenceConfig::default();
    Some(EvidenceConfig {
        window: fields
            .field("window", millis(1_000..=300_000), "length of the planner's evidence window, 1s to 5m")
            .or(window),
        queue: fields
            .field(
                "queue",
                integer("count", 1..=65_536),
                "largest number of reports queued for the store; beyond it sidecars are told to retry",
            )
            .or(queue),
        commit_delay: fields
            .field("commitDelay", millis(1..=1_000), "delay by which commits are batched, 1ms to 1s")
            .or(commit_delay),
    })
}

fn plan_period(fields: &mut Fields<'_>) -> Option<Millis> {
    let default = Config::default().plan_period;
    Some(fields.field("period", millis(50..=3_600_000), "planning period, 50ms to 1h").or(default))
}

fn log(fields: &mut Fields<'_>) -> Option<Log> {
    let Log { format, level } = Log::default();
    Some(Log {
        format: fields.field("format", choice(&LOG_FORMATS), "format of log lines").or(format),
        level: fields
            .field(
                "level",
                log_level(),
                "log filter, such as `info` or `info,emac_control_plane::ingest=debug`",
            )
            .or(level),
    })
}

fn discovery(fields: &mut Fields<'_>, folder: &Path) -> Option<Discovery> {
    let default = Discovery::default();
    let enabled = fields.field("enabled", flag(), "whether discovery is enabled").or(default.enabled);
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
    Some(Discovery {
        enabled,
        window,
        step,
        silence: fields
            .field(
                "silence",
                millis(100..=300_000),
                "a trace without new spans for this time is complete, 100ms to 5m",
            )
            .or(default.silence),
        traces_min: fields
            .field(
                "minTraces",
                integer("count", 1..=1_000_000),
                "a window with fewer traces of a journey proposes nothing",
            )
            .or(default.traces_min),
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
        aliases: fields
            .field(
                "aliases",
                checked(by_name(owned()), aliases),
                "several names of one service: what is reported under the name on the left counts as the one on the right",
            )
            .optional()
            .unwrap_or_default(),
        otlp: fields
            .field("otlp", mapping(otlp), "addresses that accept OpenTelemetry traces; default: none")
            .optional()
            .unwrap_or_default(),
        candidates: fields
            .field("candidates", path(folder), "directory of candidates; default: that of the intent")
            .optional(),
    })
}

fn aliases(it: Reader<'_>, all: Vec<(String, String)>) -> Option<Vec<(String, String)>> {
    match all.iter().find(|(name, of)| name.trim().is_empty() || of.trim().is_empty() || name == of) {
        Some((name, of)) => it.refuse(format!("`{name}: {of}`: expected two different names")),
        None => Some(all),
    }
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

fn path<'a>(folder: &Path) -> impl Type<'a, Value = PathBuf> {
    word_as(move |_, text| Some(folder.join(text)))
}

fn pattern<'a>(folder: &Path) -> impl Type<'a, Value = String> {
    word_as(move |it, text| {
        let pattern = folder.join(text).to_string_lossy().into_owned();
        match glob::Pattern::new(&pattern) {
            Ok(_) => Some(pattern),
            Err(error) => it.refuse(format!("not a path pattern: {}", error.msg)),
        }
    })
}

fn log_level<'a>() -> impl Shown<'a, Value = String> {
    const HELP: &str = "one of error, warn, info, debug, trace, also per module as in `info,emac_control_plane::ingest=debug`";
    text_like("filter", r"\S", "info", |it, text| match super::check_log_level(text) {
        Ok(()) => Some(text.to_owned()),
        Err(message) => it.refuse_with(message, HELP),
    })
}

const LOG_FORMATS: [(&str, LogFormat); 2] = [("text", LogFormat::Text), ("json", LogFormat::Json)];

mod identity;
#[cfg(test)]
mod tests;
