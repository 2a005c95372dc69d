//! `discovery`: whether and how models are discovered from what sidecars record.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use emac_core::units::Millis;

use super::read::{address, duration, path};
use emac_discovery::watch::Recurrence;
use emac_document::{Fields, Reader};

/// `discovery`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discovery {
    /// `enabled`. Default false.
    pub enabled: bool,
    /// `window`: length of a window of observation, 1 s ..= 24 h. Default 5 min.
    pub window: Millis,
    /// `silence`: a trace without news for so long is over, 100 ms ..= 5 min. Default 10 s.
    pub silence: Millis,
    /// `minTraces`: a window with fewer of a journey proposes nothing. Default 100.
    pub traces_min: u64,
    /// `recurrence`.
    pub recurrence: Recurrence,
    /// `queue`: records waiting, 1 ..= 10 000 000; beyond it they are dropped. Default 65 536.
    pub queue: usize,
    /// `mesh`: Kubernetes, Istio and Envoy files and directories; read again when they change.
    pub mesh: Vec<PathBuf>,
    /// `otlp`: where traces of OpenTelemetry are taken. `None`: nowhere.
    pub otlp: Otlp,
    /// `candidates`: directory of candidates, `<journey>.yaml`. `None`: `candidate.yaml` beside each intent.
    pub candidates: Option<PathBuf>,
}

/// `otlp`: each listens only where it is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Otlp {
    /// `grpc`: usually port 4317.
    pub grpc: Option<SocketAddr>,
    /// `http`: usually port 4318.
    pub http: Option<SocketAddr>,
}

impl Default for Discovery {
    /// Five minutes at one request a second with every trace recorded are 300 traces, enough to tell a call of 1 in 100 from none; ten seconds are
    /// several reports of every sidecar; 65 536 records are a minute of a thousand a second.
    fn default() -> Self {
        Self {
            enabled: false,
            window: Millis(300_000),
            silence: Millis(10_000),
            traces_min: 100,
            recurrence: Recurrence::default(),
            queue: 65_536,
            mesh: Vec::new(),
            otlp: Otlp::default(),
            candidates: None,
        }
    }
}

impl Discovery {
    pub(super) fn read(fields: &mut Fields<'_>, folder: &Path) -> Self {
        let default = Self::default();
        let window = fields.optional("window", |it| duration(it, 1_000, 86_400_000));
        let silence = fields.optional("silence", |it| duration(it, 100, 300_000));
        let traces_min = fields.optional("minTraces", |it| it.integer(1..=1_000_000));
        let recurrence = fields.optional("recurrence", |it| it.fields(recurrence));
        let queue = fields.optional("queue", |it| it.integer(1..=10_000_000));
        Self {
            enabled: fields.optional("enabled", Reader::boolean).unwrap_or(default.enabled),
            window: window.unwrap_or(default.window),
            silence: silence.unwrap_or(default.silence),
            traces_min: traces_min.unwrap_or(default.traces_min),
            recurrence: recurrence.unwrap_or(default.recurrence),
            queue: queue.and_then(|queue| usize::try_from(queue).ok()).unwrap_or(default.queue),
            mesh: fields.optional("mesh", |it| it.list(|item| path(item, folder))).unwrap_or_default(),
            otlp: fields.optional("otlp", |it| it.fields(otlp)).unwrap_or_default(),
            candidates: fields.optional("candidates", |it| path(it, folder)),
        }
    }
}

fn otlp(fields: &mut Fields<'_>) -> Option<Otlp> {
    Some(Otlp { grpc: fields.optional("grpc", address), http: fields.optional("http", address) })
}

fn recurrence(fields: &mut Fields<'_>) -> Option<Recurrence> {
    let default = Recurrence::default();
    let count = |fields: &mut Fields<'_>, name, default: u32| {
        let read = fields.optional(name, |it: Reader<'_>| it.integer(1..=u64::from(Recurrence::WINDOWS_MAX)));
        read.and_then(|count| u32::try_from(count).ok()).unwrap_or(default)
    };
    let (windows, of) = (count(fields, "windows", default.windows), count(fields, "of", default.of));
    let absent = count(fields, "absent", default.absent);
    if windows > of {
        return fields.reader().refuse(format!("windows ({windows}) is above of ({of})"));
    }
    Some(Recurrence { windows, of, absent })
}
