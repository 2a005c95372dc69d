//! What scenarios share: a world with the filter in every listener, budgets by workload, and counters read back.

use std::sync::Arc;
use std::time::Duration;

use emac_proto::v1;
use emac_tests::load::{Sample, Tally};
use emac_tests::testbed::{Builder, FilterSetup, Place, World, WorldError, wait_until};
use serde_json::{Value, json};

/// Journey of every scenario.
pub(crate) const JOURNEY: &str = "checkout";
/// How long a condition may take to come true before a scenario fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// Longer than any scenario: what it bounds is bounded by the filter or not at all.
pub(crate) const FOR_EVER: Duration = Duration::from_secs(60);

/// Budgets of one workload, in the words of the plugin configuration: the journey, and its hops.
#[derive(Clone)]
pub(crate) struct Plan {
    deadline_ms: u32,
    mode: &'static str,
    hops: Vec<Value>,
    extra: Value,
}

impl Plan {
    /// Enforced, with this deadline, without hops.
    pub(crate) fn deadline(ms: u32) -> Self {
        Self { deadline_ms: ms, mode: "enforce", hops: Vec::new(), extra: json!({}) }
    }

    /// In another mode.
    pub(crate) fn mode(mut self, mode: &'static str) -> Self {
        self.mode = mode;
        self
    }

    /// With the budget of one hop: fields of `HopBudget` besides journey and mode.
    pub(crate) fn hop(mut self, destination: &str, fields: Value) -> Self {
        let mut hop = json!({"journey": JOURNEY, "destination": destination, "mode": self.mode});
        merge(&mut hop, &fields);
        self.hops.push(hop);
        self
    }

    /// With other fields of the plugin configuration.
    pub(crate) fn with(mut self, fields: Value) -> Self {
        merge(&mut self.extra, &fields);
        self
    }

    /// The plugin configuration of one listener.
    pub(crate) fn configuration(&self, place: Place<'_>) -> Value {
        let mut configuration = base(place);
        configuration["budgets"] = json!({
            "journeys": [{"journey": JOURNEY, "deadline_ms": self.deadline_ms, "mode": self.mode,
                "entry": [{"path_template": "/**"}, {"grpc": "shop.Cart"}]}],
            "hops": self.hops,
        });
        merge(&mut configuration, &self.extra);
        configuration
    }
}

/// Quick ticks, so that nobody waits long for counters.
fn base(place: Place<'_>) -> Value {
    let role = match (place.edge, place.direction) {
        (true, _) => "edge",
        (_, emac_tests::envoy::Direction::Inbound) => "inbound",
        (_, emac_tests::envoy::Direction::Outbound) => "outbound",
    };
    json!({
        "role": role,
        "workload": format!("{}/{}", place.namespace, place.workload),
        "tick_ms": 50,
        "report_ms": 100,
    })
}

fn merge(into: &mut Value, fields: &Value) {
    for (name, value) in fields.as_object().into_iter().flatten() {
        into[name] = value.clone();
    }
}

/// The filter with the same static budgets in every sidecar; `None` after saying why it cannot be.
pub(crate) fn planned(test: &str, plan: Plan) -> Option<FilterSetup> {
    configured(test, move |place| plan.configuration(place))
}

/// The filter without budgets of its own, taking them from the control plane. No authority of its own: the cluster's name will do.
pub(crate) fn governed(test: &str) -> Option<FilterSetup> {
    configured(test, |place| {
        let mut configuration = base(place);
        configuration["control_plane"] = json!({"cluster": place.control_plane});
        configuration
    })
}

/// Budgets of the edge whose hop to `front` fails over to a static answer, so that the status of one request shows whether they rule.
/// Generation and validity are the scenario's.
pub(crate) fn edge_answers(status: u32) -> v1::WorkloadBudgets {
    let answer = v1::StaticResponse { status, ..Default::default() };
    let fallback = v1::Fallback {
        kind: Some(v1::fallback::Kind::StaticResponse(answer)),
        weight_ppm: 1_000_000,
        ..Default::default()
    };
    v1::WorkloadBudgets {
        workload: "shop/edge".into(),
        journeys: vec![v1::JourneyBudget {
            journey: JOURNEY.into(),
            deadline_ms: 30_000,
            mode: v1::Mode::Enforce as i32,
            entry: vec![v1::EntryRule { path_template: "/**".into(), ..Default::default() }],
            ..Default::default()
        }],
        hops: vec![v1::HopBudget {
            journey: JOURNEY.into(),
            destination: "front".into(),
            mode: v1::Mode::Enforce as i32,
            timeout_ms: 5_000,
            fallback: Some(fallback),
            ..Default::default()
        }],
        ..Default::default()
    }
}

/// The filter in this run's shell, or `None` after saying why it cannot be had.
pub(crate) fn module(test: &str) -> Option<std::path::PathBuf> {
    runs(test, emac_tests::shell::module())
}

/// What a scenario needs, or `None` after saying why it cannot be had.
pub(crate) fn runs<T>(test: &str, needed: Result<T, impl std::fmt::Display>) -> Option<T> {
    needed.map_err(|why| emac_tests::not_run(test, &why.to_string())).ok()
}

fn configured(
    test: &str,
    configure: impl Fn(Place<'_>) -> Value + Send + Sync + 'static,
) -> Option<FilterSetup> {
    let module = module(test)?;
    Some(FilterSetup { module, configure: Arc::new(configure) })
}

/// The world, or `None` after saying why it cannot be.
pub(crate) async fn start(test: &str, builder: Builder) -> Option<World> {
    match builder.start().await {
        Ok(world) => Some(world),
        Err(WorldError::NotRun(why)) => {
            emac_tests::not_run(test, &why.to_string());
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// Sums over samples; the deadline plays no part where scenarios count.
pub(crate) fn tally(samples: &[Sample]) -> Tally {
    Tally::of(samples, FOR_EVER)
}

/// Waits until a counter, summed over all Envoys, is what is expected; says what it was otherwise.
pub(crate) async fn counted(world: &World, name: &str, labels: &[(&str, &str)], expected: f64) {
    let sum = || async { world.stats().await.map_or(-1.0, |stats| stats.sum(name, labels)) };
    let as_expected = wait_until(PATIENCE, || async { sum().await == expected }).await;
    assert!(as_expected, "{name}{labels:?} is {}, not {expected}", sum().await);
}

/// Waits until a counter is at least so much.
pub(crate) async fn counted_at_least(world: &World, name: &str, labels: &[(&str, &str)], least: f64) {
    let sum = || async { world.stats().await.map_or(-1.0, |stats| stats.sum(name, labels)) };
    let enough = wait_until(PATIENCE, || async { sum().await >= least }).await;
    assert!(enough, "{name}{labels:?} is {}, not at least {least}", sum().await);
}
