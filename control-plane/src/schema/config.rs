//! `ControlPlaneConfig`.

use super::scalar::{DURATION, FLAG, WORD, WORDS, scalars};
use super::shape::{Form, Mapping, Shape, default, optional};

pub(super) static ROOT: Mapping = Mapping::of(&[
    optional("listen", Shape::Mapping(&LISTEN), "listen addresses"),
    optional("portsFile", WORD, "file that receives the bound addresses once both sockets listen"),
    optional("state", WORD, "directory of the store; without it nothing survives a restart"),
    optional("intents", WORDS, "intents: files, directories and globs"),
    optional("evidence", Shape::Mapping(&EVIDENCE), "ingestion of evidence"),
    optional("plan", Shape::Mapping(&PLAN), "planning"),
    optional("discovery", Shape::Mapping(&DISCOVERY), "discovery of models from hop records and traces"),
    optional("log", Shape::Mapping(&LOG), "logging to standard error"),
]);

static LISTEN: Mapping = Mapping::of(&[
    default("grpc", ADDRESS, "127.0.0.1:18000", "address for evidence and budgets; port 0: any free port"),
    default("http", ADDRESS, "127.0.0.1:8080", "address for API, health and metrics; port 0: any free port"),
]);

static EVIDENCE: Mapping = Mapping::of(&[
    default("window", DURATION, "5s", "length of the planner's evidence window, 1s to 5m"),
    default(
        "queue",
        QUEUE,
        "1024",
        "largest number of reports queued for the store; beyond it sidecars are told to retry",
    ),
    default("commitDelay", DURATION, "5ms", "delay by which commits are batched, 1ms to 1s"),
]);

static PLAN: Mapping = Mapping::of(&[default("period", DURATION, "500ms", "planning period, 50ms to 1h")]);

static DISCOVERY: Mapping = Mapping::of(&[
    default("enabled", FLAG, "false", "whether discovery is enabled"),
    default("window", DURATION, "5m", "length of an observation window, 1s to 24h"),
    default("silence", DURATION, "10s", "a trace without new spans for this time is complete, 100ms to 5m"),
    default("minTraces", TRACES, "100", "a window with fewer traces of a journey proposes nothing"),
    optional("recurrence", Shape::Mapping(&RECURRENCE), "rule by which changes are proposed and withdrawn"),
    default(
        "queue",
        RECORDS,
        "65536",
        "largest number of records queued for discovery; beyond it they are dropped and counted",
    ),
    optional("mesh", WORDS, "Kubernetes, Istio and Envoy files and directories; reloaded on change"),
    optional("otlp", Shape::Mapping(&OTLP), "addresses that accept OpenTelemetry traces; default: none"),
    optional("candidates", WORD, "directory of candidates; default: that of the intent"),
]);

static OTLP: Mapping = Mapping::of(&[
    optional("grpc", ADDRESS, "OTLP over gRPC, usually port 4317; port 0: any free port"),
    optional("http", ADDRESS, "OTLP over HTTP, usually port 4318; port 0: any free port"),
]);

static RECURRENCE: Mapping = Mapping::of(&[
    default("windows", WINDOWS, "2", "a change is proposed once observed in this many windows"),
    default("of", WINDOWS, "3", "out of this many last windows; at least `windows`"),
    default("absent", WINDOWS, "3", "a change is withdrawn once absent from this many windows in a row"),
]);

static LOG: Mapping = Mapping::of(&[
    default("format", FORMAT, "text", "format of log lines"),
    default("level", LEVEL, "info", "log filter, such as `info` or `info,emac_control_plane::ingest=debug`"),
]);

scalars! {
    ADDRESS = "address", [Form::Text(r"^\S+:[0-9]{1,5}$")], "127.0.0.1:18000";
    TRACES = "count", [Form::Integer(1, 1_000_000)], "100";
    RECORDS = "count", [Form::Integer(1, 10_000_000)], "65536";
    WINDOWS = "count", [Form::Integer(1, 64)], "2";
    QUEUE = "count", [Form::Integer(1, 65_536)], "1024";
    FORMAT = "word", [Form::Words(&["text", "json"])], "text";
    LEVEL = "filter", [Form::Text(r"\S")], "info";
}
