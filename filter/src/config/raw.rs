//! The configuration as it is written.

use serde::Deserialize;

use super::budgets::Budgets;
use super::{DecisionHeader, Join, Role};
use emac_core::budget::Mode;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Config {
    pub(super) role: RawRole,
    pub(super) edge: bool,
    pub(super) workload: String,
    pub(super) node: String,
    pub(super) control_plane: Option<ControlPlane>,
    pub(super) mode: RawMode,
    pub(super) join: RawJoin,
    pub(super) tick_ms: u64,
    pub(super) report_ms: u64,
    pub(super) max_hops: u64,
    pub(super) destination: String,
    pub(super) operations: bool,
    pub(super) templates: Vec<String>,
    pub(super) decision_header: RawDecisionHeader,
    pub(super) count_retries: bool,
    pub(super) budgets: Option<Budgets>,
}

/// Budgets say `observe` unless told otherwise, so that a cap of `enforce` touches nothing by itself.
impl Default for Config {
    fn default() -> Self {
        Self {
            role: RawRole::Auto,
            edge: false,
            workload: String::new(),
            node: String::new(),
            control_plane: None,
            mode: RawMode::Enforce,
            join: RawJoin::Baggage,
            tick_ms: 200,
            report_ms: 500,
            max_hops: 256,
            destination: String::new(),
            operations: false,
            templates: Vec::new(),
            decision_header: RawDecisionHeader::Off,
            count_retries: true,
            budgets: None,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ControlPlane {
    pub(super) cluster: String,
    #[serde(default)]
    pub(super) authority: String,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawRole {
    Edge,
    Inbound,
    Outbound,
    Auto,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawMode {
    #[default]
    Observe,
    DryRun,
    Enforce,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawJoin {
    Baggage,
    Traceparent,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawDecisionHeader {
    Off,
    Asked,
}

impl From<RawRole> for Role {
    fn from(raw: RawRole) -> Self {
        match raw {
            RawRole::Edge => Self::Edge,
            RawRole::Inbound => Self::Inbound,
            RawRole::Outbound => Self::Outbound,
            RawRole::Auto => Self::Auto,
        }
    }
}

impl From<RawMode> for Mode {
    fn from(raw: RawMode) -> Self {
        match raw {
            RawMode::Observe => Self::Observe,
            RawMode::DryRun => Self::DryRun,
            RawMode::Enforce => Self::Enforce,
        }
    }
}

impl From<RawJoin> for Join {
    fn from(raw: RawJoin) -> Self {
        match raw {
            RawJoin::Baggage => Self::Baggage,
            RawJoin::Traceparent => Self::TraceParent,
        }
    }
}

impl From<RawDecisionHeader> for DecisionHeader {
    fn from(raw: RawDecisionHeader) -> Self {
        match raw {
            RawDecisionHeader::Off => Self::Off,
            RawDecisionHeader::Asked => Self::Asked,
        }
    }
}
