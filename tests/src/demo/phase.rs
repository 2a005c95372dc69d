//! The six phases: what is wrong, and what to look for.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::testbed::Fault;

/// What the sidecars do with their budgets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Count, touch nothing.
    Observe,
    /// Act.
    Enforce,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Observe => "observe",
            Self::Enforce => "enforce",
        })
    }
}

/// One phase.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Phase {
    /// As in the summary.
    pub name: &'static str,
    /// The service with the fault; nobody in healthy phases.
    pub service: &'static str,
    /// Its fault.
    pub fault: Fault,
    /// What happens, for the report.
    pub story: &'static str,
}

/// In the order they are played.
pub const PHASES: [Phase; 6] = [
    Phase {
        name: "healthy",
        service: "",
        fault: Fault::None,
        story: "Nothing is wrong. Budgets must cost nothing: both modes should look the same.",
    },
    Phase {
        name: "paya-slow",
        service: "paya",
        fault: Fault::Slow { factor: 10.0 },
        story: "Every answer of payment provider A takes ten times as long (p99 of 1.2 s). Observed, checkouts wait for it \
                past their deadline; enforced, its time budget ends the wait and provider B, an equal, answers instead.",
    },
    Phase {
        name: "paya-down",
        service: "paya",
        fault: Fault::Refuse,
        story: "Payment provider A refuses connections. Observed, every checkout fails after the route's retries; enforced, \
                provider B answers.",
    },
    Phase {
        name: "pricing-slow",
        service: "pricing",
        fault: Fault::Late { share: 0.15, by: Duration::from_millis(800) },
        story: "15 % of pricing's answers come 800 ms late. Enforced, those checkouts get a cached price: a degraded answer, \
                but in time, and within the fallback budget of 20 %.",
    },
    Phase {
        name: "pricing-down",
        service: "pricing",
        fault: Fault::Refuse,
        story: "Pricing refuses connections. A cached price for everybody would hide the outage, so the fallback stops at its \
                budget and the other checkouts fail visibly.",
    },
    Phase {
        name: "recovered",
        service: "",
        fault: Fault::None,
        story: "Nothing is wrong any more. Both modes must be back to healthy.",
    },
];
