//! `ControlPlaneConfig`.

use super::scalar::{DURATION, FLAG, WORD, WORDS, scalars};
use super::shape::{Form, Mapping, Shape, default, optional};

pub(super) static ROOT: Mapping = Mapping::of(&[
    optional("listen", Shape::Mapping(&LISTEN), "where"),
    optional("portsFile", WORD, "written with the bound addresses once both sockets listen"),
    optional("state", WORD, "directory of the store; without it nothing survives a restart"),
    optional("intents", WORDS, "files, directories and globs"),
    optional("evidence", Shape::Mapping(&EVIDENCE), "taking in evidence"),
    optional("plan", Shape::Mapping(&PLAN), "making plans"),
    optional("discovery", Shape::Mapping(&DISCOVERY), "discovering models from what sidecars record"),
    optional("log", Shape::Mapping(&LOG), "what is logged, to standard error"),
]);

static LISTEN: Mapping = Mapping::of(&[
    default("grpc", ADDRESS, "127.0.0.1:18000", "evidence and budgets; port 0: any free one"),
    default("http", ADDRESS, "127.0.0.1:8080", "API, health and metrics; port 0: any free one"),
]);

static EVIDENCE: Mapping = Mapping::of(&[
    default("window", DURATION, "5s", "how far back the planner looks, 1s to 5m"),
    default(
        "queue",
        QUEUE,
        "1024",
        "reports waiting for the store; beyond it sidecars are asked to come again",
    ),
    default("commitDelay", DURATION, "5ms", "how long a commit waits for company, 1ms to 1s"),
]);

static PLAN: Mapping =
    Mapping::of(&[default("period", DURATION, "500ms", "how often a plan is made, 50ms to 1h")]);

static DISCOVERY: Mapping = Mapping::of(&[
    default("enabled", FLAG, "false", "whether it is done"),
    default("window", DURATION, "5m", "length of a window of observation, 1s to 24h"),
    default("silence", DURATION, "10s", "a trace without news for so long is over, 100ms to 5m"),
    default("minTraces", TRACES, "100", "a window with fewer traces of a journey proposes nothing"),
    optional(
        "recurrence",
        Shape::Mapping(&RECURRENCE),
        "when a change is proposed, and when it is withdrawn",
    ),
    default(
        "queue",
        RECORDS,
        "65536",
        "records waiting for discovery; beyond it they are dropped and counted",
    ),
    optional("mesh", WORDS, "Kubernetes, Istio and Envoy files and directories, read again when they change"),
    optional(
        "otlp",
        Shape::Mapping(&OTLP),
        "where traces of OpenTelemetry are taken; nowhere unless it is said",
    ),
    optional("candidates", WORD, "directory of candidates; without it they stand beside the intents"),
]);

static OTLP: Mapping = Mapping::of(&[
    optional("grpc", ADDRESS, "OTLP over gRPC, usually port 4317; port 0: any free one"),
    optional("http", ADDRESS, "OTLP over HTTP, usually port 4318; port 0: any free one"),
]);

static RECURRENCE: Mapping = Mapping::of(&[
    default("windows", WINDOWS, "2", "proposed once seen in so many windows"),
    default("of", WINDOWS, "3", "of the last so many; at least `windows`"),
    default("absent", WINDOWS, "3", "withdrawn once absent from so many windows in a row"),
]);

static LOG: Mapping = Mapping::of(&[
    default("format", FORMAT, "text", "for people or for machines"),
    default("level", LEVEL, "info", "as `info` or `info,emac_control_plane::ingest=debug`"),
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
