//! `ControlPlaneConfig`.

use super::scalar::{DURATION, WORD, WORDS, scalars};
use super::shape::{Form, Mapping, Shape, default, optional};

pub(super) static ROOT: Mapping = Mapping::of(&[
    optional("listen", Shape::Mapping(&LISTEN), "where"),
    optional("portsFile", WORD, "written with the bound addresses once both sockets listen"),
    optional("state", WORD, "directory of the store; without it nothing survives a restart"),
    optional("intents", WORDS, "files, directories and globs"),
    optional("evidence", Shape::Mapping(&EVIDENCE), "taking in evidence"),
    optional("plan", Shape::Mapping(&PLAN), "making plans"),
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

static LOG: Mapping = Mapping::of(&[
    default("format", FORMAT, "text", "for people or for machines"),
    default("level", LEVEL, "info", "as `info` or `info,emac_control_plane::ingest=debug`"),
]);

scalars! {
    ADDRESS = "address", [Form::Text(r"^\S+:[0-9]{1,5}$")], "127.0.0.1:18000";
    QUEUE = "count", [Form::Integer(1, 65_536)], "1024";
    FORMAT = "word", [Form::Words(&["text", "json"])], "text";
    LEVEL = "filter", [Form::Text(r"\S")], "info";
}
