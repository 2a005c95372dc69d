//! From the text of `emac.yaml` to a checked [`Config`]; every problem is reported, none ends the reading.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use emac_core::units::Millis;

use super::{Config, Discovery, Evidence, Listen, Log, LogFormat};
use emac_document::{API_VERSION, Fields, Limits, Problem, Problems, Reader, read_file};

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
        Some(read_fields(fields, folder))
    });
    config.filter(|_| document.problems().errors() == errors_before)
}

fn read_fields(fields: &mut Fields<'_>, folder: &Path) -> Config {
    let default = Config::default();
    Config {
        listen: fields.optional("listen", |it| it.fields(read_listen)).unwrap_or_default(),
        ports_file: fields.optional("portsFile", |it| path(it, folder)),
        state: fields.optional("state", |it| path(it, folder)),
        intents: fields
            .optional("intents", |it| it.list(|item| intent_path(item, folder)))
            .unwrap_or_default(),
        evidence: fields.optional("evidence", |it| it.fields(read_evidence)).unwrap_or_default(),
        plan_period: fields
            .optional("plan", |it| {
                it.fields(|plan| plan.optional("period", |it| duration(it, 50, 3_600_000)))
            })
            .unwrap_or(default.plan_period),
        discovery: fields
            .optional("discovery", |it| it.fields(|fields| Some(Discovery::read(fields, folder))))
            .unwrap_or_default(),
        log: fields.optional("log", |it| it.fields(read_log)).unwrap_or_default(),
    }
}

fn read_listen(fields: &mut Fields<'_>) -> Option<Listen> {
    let default = Listen::default();
    Some(Listen {
        grpc: fields.optional("grpc", address).unwrap_or(default.grpc),
        http: fields.optional("http", address).unwrap_or(default.http),
    })
}

fn read_evidence(fields: &mut Fields<'_>) -> Option<Evidence> {
    let default = Evidence::default();
    let queue = fields.optional("queue", |it| it.integer(1..=65_536)).and_then(|n| usize::try_from(n).ok());
    Some(Evidence {
        window: fields.optional("window", |it| duration(it, 1_000, 300_000)).unwrap_or(default.window),
        queue: queue.unwrap_or(default.queue),
        commit_delay: fields
            .optional("commitDelay", |it| duration(it, 1, 1_000))
            .unwrap_or(default.commit_delay),
    })
}

fn read_log(fields: &mut Fields<'_>) -> Option<Log> {
    let default = Log::default();
    let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
    Some(Log {
        format: fields.optional("format", |it| it.choice(&formats)).unwrap_or(default.format),
        level: fields.optional("level", log_level).unwrap_or(default.level),
    })
}

/// `host:port` with a numeric host: names are resolved by whoever starts us, so that a configuration means one thing.
pub(super) fn address(it: Reader<'_>) -> Option<SocketAddr> {
    let text = it.word()?;
    text.parse().ok().or_else(|| {
        it.refuse_with(
            format!("`{text}` is not an address"),
            "an IP address and a port, as in \"127.0.0.1:18000\"",
        )
    })
}

pub(super) fn duration(it: Reader<'_>, min_ms: u64, max_ms: u64) -> Option<Millis> {
    let value = it.millis()?;
    if (min_ms..=max_ms).contains(&value.0) {
        Some(value)
    } else {
        it.refuse(format!("{value} is not within {min_ms} ms to {max_ms} ms"))
    }
}

pub(super) fn path(it: Reader<'_>, folder: &Path) -> Option<PathBuf> {
    Some(folder.join(it.word()?))
}

fn intent_path(it: Reader<'_>, folder: &Path) -> Option<String> {
    let pattern = folder.join(it.word()?).to_string_lossy().into_owned();
    match glob::Pattern::new(&pattern) {
        Ok(_) => Some(pattern),
        Err(error) => it.refuse(format!("not a path pattern: {}", error.msg)),
    }
}

fn log_level(it: Reader<'_>) -> Option<String> {
    let text = it.word()?;
    match super::check_log_level(text) {
        Ok(()) => Some(text.to_string()),
        Err(message) => it.refuse_with(
            message,
            "one of error, warn, info, debug, trace, also per module as in `info,emac_control_plane::ingest=debug`",
        ),
    }
}

#[cfg(test)]
mod tests;
