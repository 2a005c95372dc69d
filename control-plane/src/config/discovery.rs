//! `discovery`: whether and how models are discovered from what sidecars record.

use std::net::SocketAddr;
use std::path::PathBuf;

use emac_core::units::Millis;
use emac_discovery::watch::{Recurrence, WatchSettings};

/// `discovery`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discovery {
    /// `enabled`. Default false.
    pub enabled: bool,
    /// `window`: length of a window of observation, 1 s ..= 24 h. Default 5 min.
    pub window: Millis,
    /// `step`: a window ends so often, a twelfth of `window` ..= `window`. Default: `window`, so that windows do not overlap.
    pub step: Millis,
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
    /// `aliases`: names of services that count as others, as `emac discover --alias` has them.
    pub aliases: Vec<(String, String)>,
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
    /// As the watch has it; 65 536 records are a minute of a thousand a second.
    fn default() -> Self {
        let watch = WatchSettings::default();
        Self {
            enabled: false,
            window: watch.window,
            step: watch.step,
            silence: watch.silence,
            traces_min: watch.traces_min,
            recurrence: watch.recurrence,
            queue: 65_536,
            mesh: Vec::new(),
            aliases: Vec::new(),
            otlp: Otlp::default(),
            candidates: None,
        }
    }
}
