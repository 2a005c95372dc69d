//! From the text of `emac.yaml` to a checked [`Config`]; every problem is reported, none ends the reading. What is declared here is also the schema and
//! the reference of the document.

mod api;
mod capacity;
mod connections;
mod discovery;
mod engine;
mod salvage;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::api::{api, enforcement};
use self::connections::connections;
use self::discovery::discovery;
use self::engine::engine;
use super::{Address, Config, EvidenceConfig, Listen, Log, LogFormat, Stopped};
use emac_core::units::Millis;
use emac_document::shape::Mapping;
use emac_document::types::{
    Shown, Type, Written, address, choice, integer, list, mapping, millis, text_like, word_as,
};
use emac_document::{API_VERSION, Fields, Limits, Problem, Problems, Reader, Source, describe};
use identity::identity;
pub(crate) use salvage::salvaged;

/// The document kind of a configuration.
pub const KIND: &str = "ControlPlaneConfig";
/// A configuration fits one page; a megabyte is a mistake.
pub(crate) const BYTES_MAX: usize = 1 << 20;

/// Reads a file. `None` when `problems` now holds an error.
pub fn load(path: &Path, problems: &Problems) -> Option<Config> {
    let source = Source::read(path, BYTES_MAX, problems)?;
    let config = of_text(&source, path.parent().unwrap_or(Path::new("")), problems)?;
    Some(Config { file: Some(path.to_owned()), ..config })
}

/// Reads a text, with paths in it relative to `folder`. `None` when `problems` now holds an error.
pub(crate) fn of_text(text: &Arc<Source>, folder: &Path, problems: &Problems) -> Option<Config> {
    let errors_before = problems.errors();
    let documents = emac_document::parse(text, &limits(), problems);
    let [document] = documents.as_slice() else {
        if problems.errors() == errors_before {
            let message = format!("expected one document, found {}", documents.len());
            problems.push(Problem::error(message).in_file(text.name()));
        }
        return None;
    };
    // What is wrong with the text itself counts too: of a field that is there twice nobody knows which is meant.
    read(document.reader(problems), folder).filter(|_| problems.errors() == errors_before)
}

/// What a text stops, whatever is wrong with the other fields. `None` when the text is no document, or `enforcement` itself cannot be read.
pub(crate) fn enforcement_of(text: &Arc<Source>, problems: &Problems) -> Option<Option<Stopped>> {
    let errors_before = problems.errors();
    let documents = emac_document::parse(text, &limits(), problems);
    let [document] = documents.as_slice() else {
        if problems.errors() == errors_before {
            problems.push(Problem::error(format!("expected one document, found {}", documents.len())));
        }
        return None;
    };
    let errors_before = problems.errors();
    let stopped = document.reader(problems).fields(|fields| {
        fields.accept_rest();
        Some(fields.optional("enforcement", |it| enforcement().read(it)).flatten())
    });
    stopped.filter(|_| problems.errors() == errors_before)
}

fn limits() -> Limits {
    Limits { bytes_max: BYTES_MAX, ..Limits::default() }
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
        listen: fields
            .field("listen", mapping(|fields: &mut Fields<'_>| listen(fields, folder)), "listen addresses")
            .optional()
            .unwrap_or_default(),
        identity: fields
            .field(
                "identity",
                identity(folder),
                "how sidecars prove who they are; `none`: not at all, whoever reaches the port may report for every workload and ask for every budget",
            )
            .optional(),
        connections: fields
            .field(
                "connections",
                mapping(connections),
                "how many connections and streams peers may have, and when they are ended",
            )
            .optional()
            .unwrap_or_default(),
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
        engine: fields
            .field(
                "engine",
                engine(folder),
                "where evidence and plans are kept; `embedded`: in `state`, for one control plane",
            )
            .optional()
            .unwrap_or_default(),
        discovery: fields
            .field(
                "discovery",
                mapping(|fields: &mut Fields<'_>| discovery(fields, folder)),
                "discovery of models from hop records and traces",
            )
            .optional()
            .unwrap_or_default(),
        api: fields
            .field(
                "api",
                mapping(|fields: &mut Fields<'_>| api(fields, folder)),
                "who may ask and change what over HTTP",
            )
            .optional()
            .unwrap_or_default(),
        enforcement: fields
            .field(
                "enforcement",
                enforcement(),
                "`stopped`: every sidecar observes, whatever intents say; a mapping stops some journeys; read again when the file changes",
            )
            .optional()
            .flatten(),
        file: None,
        log: fields.field("log", mapping(log), "logging to standard error").optional().unwrap_or_default(),
    })
}

fn listen(fields: &mut Fields<'_>, folder: &Path) -> Option<Listen> {
    let Listen { grpc, http } = Listen::default();
    Some(Listen {
        grpc: fields
            .field(
                "grpc",
                grpc_address(folder),
                "address for evidence and budgets; port 0: any free port; or `unix:PATH`, a socket for the control plane's user and group",
            )
            .or(grpc),
        http: fields
            .field("http", address(), "address for API, health and metrics; port 0: any free port")
            .or(http),
    })
}

fn grpc_address<'a>(folder: &Path) -> impl Shown<'a, Value = Address> {
    const PATTERN: &str = r"^(\S+:[0-9]{1,5}|unix:.+)$";
    text_like("address", PATTERN, "127.0.0.1:18000", move |it, text| match text.parse() {
        Ok(Address::Unix(path)) => Some(Address::Unix(folder.join(path))),
        Ok(address) => Some(address),
        Err(problem @ super::InvalidAddress) => {
            it.refuse_with(format!("`{text}` is not an address"), problem.to_string())
        }
    })
}

impl Written for Address {
    fn written(&self) -> String {
        self.to_string()
    }
}

fn evidence(fields: &mut Fields<'_>) -> Option<EvidenceConfig> {
    let EvidenceConfig { window, queue, commit_delay, capacity } = EvidenceConfig::default();
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
        capacity: fields
            .field("capacity", mapping(self::capacity::capacity), "places in the tables of evidence")
            .optional()
            .unwrap_or(capacity),
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
                "log filter, such as `info` or `info,emac_control_plane::ingest=debug`; libraries that read what peers send warn only where named (`info,h2=warn`)",
            )
            .or(level),
    })
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
