//! A sidecar of `shop/front` on the checkout journey, and words for what tests ask of it.

use std::cell::RefCell;
use std::collections::BTreeMap;

use emac_proto::v1::{
    Alternate, EntryRule, Fallback, Header, HopBudget, JourneyBudget, Mode, OutcomeCounts, RetryBudget,
    StaticResponse, WorkloadBudgets, fallback::Kind,
};
use emac_tests::not_run;
use emac_tests::wasm_host::{Direction, Exchange, FilterModule, Host, RequestBuilder, Setup};
use serde_json::{Value, json};

/// Who the sidecar is.
pub(crate) const WORKLOAD: &str = "shop/front";

/// The filter's module, or a line saying why the test did not run.
pub(crate) fn filter(test: &str) -> Option<FilterModule> {
    FilterModule::filter().map_err(|error| not_run(test, &error.to_string())).ok()
}

/// Opens a test: the module, or a return.
macro_rules! module_or_return {
    () => {
        match crate::support::filter(module_path!()) {
            Some(module) => module,
            None => return,
        }
    };
}
pub(crate) use module_or_return;

/// A sidecar, and how long it needs for its own affairs.
pub(crate) struct Sidecar {
    pub(crate) host: Host,
    arrivals: RefCell<Vec<Exchange>>,
}

/// Long enough for a leader to be found, budgets to arrive and every VM to poll them; and for evidence to be handed over and
/// acknowledged.
const ROUND_MS: u64 = 5_000;

/// Plugin configuration of both listeners, with `more` on top.
pub(crate) fn configuration(more: Value) -> String {
    let mut base = json!({
        "workload": WORKLOAD,
        "node": "front-1",
        "control_plane": {"cluster": "emac-control-plane"},
    });
    if let (Some(base), Value::Object(more)) = (base.as_object_mut(), more) {
        base.extend(more);
    }
    base.to_string()
}

impl Sidecar {
    /// One worker, no budgets yet.
    pub(crate) fn start(module: FilterModule) -> Self {
        Self::with(module, 1, json!({}))
    }

    /// So many workers, and more configuration.
    pub(crate) fn with(module: FilterModule, workers: usize, more: Value) -> Self {
        let text = configuration(more);
        let setup = Setup::new(module).workers(workers);
        let setup = setup.listener(Direction::Inbound, &text).listener(Direction::Outbound, &text);
        Self { host: setup.start(), arrivals: RefCell::default() }
    }

    /// One worker that has these budgets.
    pub(crate) fn holding(module: FilterModule, budgets: &WorkloadBudgets) -> Self {
        let sidecar = Self::start(module);
        sidecar.push(budgets);
        sidecar
    }

    /// Publishes budgets and waits until every worker has them.
    pub(crate) fn push(&self, budgets: &WorkloadBudgets) {
        self.host.control_plane().push(budgets);
        self.settle();
    }

    /// Lets a round of ticks go by.
    pub(crate) fn settle(&self) {
        self.host.settle();
        self.host.run_for(ROUND_MS);
    }

    /// The sidecar's clock, milliseconds.
    pub(crate) fn now_ms(&self) -> u64 {
        self.host.world().clock_ns / 1_000_000
    }

    /// An outbound call on behalf of a request that is under way, whose journey leaves so much time.
    pub(crate) fn call(&self, cluster: &str, left_ms: u64) -> RequestBuilder {
        self.plain_call(cluster).header("baggage", self.inside(left_ms))
    }

    /// What the application is given of a journey that leaves so much time; its request stays under way.
    pub(crate) fn inside(&self, left_ms: u64) -> String {
        let arrival = self.arrival(&format!("emac=v2.checkout.r{left_ms}.0000")).send();
        let inside = arrival.request_header("baggage").unwrap_or_default();
        self.arrivals.borrow_mut().push(arrival);
        inside
    }

    /// The requests behind [`Sidecar::call`] end.
    pub(crate) fn end_arrivals(&self) {
        self.arrivals.borrow_mut().drain(..).for_each(Exchange::cancel);
    }

    /// An outbound call without a context.
    pub(crate) fn plain_call(&self, cluster: &str) -> RequestBuilder {
        self.host.request(Direction::Outbound).cluster(cluster).authority(cluster)
    }

    /// An inbound request with this baggage.
    pub(crate) fn arrival(&self, baggage: &str) -> RequestBuilder {
        self.host.request(Direction::Inbound).cluster("inbound").header("baggage", baggage)
    }

    /// Outcomes counted by the control plane, by destination, after everything was handed over.
    pub(crate) fn outcomes(&self) -> BTreeMap<String, OutcomeCounts> {
        self.settle();
        self.settle();
        let control_plane = self.host.control_plane();
        let mut sums: BTreeMap<String, OutcomeCounts> = BTreeMap::new();
        for delta in control_plane.counted().into_iter().flat_map(|report| &report.hops) {
            let hop = delta.hop.clone().unwrap_or_default();
            let sum = sums.entry(hop.destination).or_default();
            add(sum, &delta.outcomes.unwrap_or_default());
        }
        sums
    }

    /// Outcomes of one destination.
    pub(crate) fn outcome(&self, destination: &str) -> OutcomeCounts {
        self.outcomes().remove(destination).unwrap_or_default()
    }

    /// A number out of the decisions or health of every counted report.
    pub(crate) fn sum(&self, of: impl Fn(&emac_proto::v1::ReportRequest) -> u64) -> u64 {
        self.settle();
        self.settle();
        self.host.control_plane().counted().into_iter().map(of).sum()
    }
}

fn add(sum: &mut OutcomeCounts, more: &OutcomeCounts) {
    sum.success += more.success;
    sum.error += more.error;
    sum.timeout += more.timeout;
    sum.shed += more.shed;
    sum.fallback += more.fallback;
    sum.alternate += more.alternate;
    sum.cancelled += more.cancelled;
    sum.stream += more.stream;
}

/// All requests of a count.
pub(crate) fn total(counts: &OutcomeCounts) -> u64 {
    counts.success
        + counts.error
        + counts.timeout
        + counts.shed
        + counts.fallback
        + counts.alternate
        + counts.cancelled
        + counts.stream
}

/// Budgets of generation 1: checkout in 1 s, enforced, no hops.
pub(crate) fn budgets() -> WorkloadBudgets {
    WorkloadBudgets {
        workload: WORKLOAD.to_string(),
        generation: 1,
        valid_for_ms: 60_000,
        journeys: vec![JourneyBudget {
            journey: "checkout".to_string(),
            deadline_ms: 1_000,
            mode: Mode::Enforce.into(),
            entry: vec![EntryRule { path_template: "/checkout".to_string(), ..EntryRule::default() }],
            ..JourneyBudget::default()
        }],
        ..WorkloadBudgets::default()
    }
}

/// A hop of checkout, enforced, at most `timeout_ms`.
pub(crate) fn hop(destination: &str, timeout_ms: u32) -> HopBudget {
    HopBudget {
        journey: "checkout".to_string(),
        destination: destination.to_string(),
        mode: Mode::Enforce.into(),
        timeout_ms,
        ..HopBudget::default()
    }
}

/// Budgets with these hops.
pub(crate) fn with_hops(hops: impl IntoIterator<Item = HopBudget>) -> WorkloadBudgets {
    WorkloadBudgets { hops: hops.into_iter().collect(), ..budgets() }
}

/// A cached answer worth half, for at most 20 % of requests and a burst of 3.
pub(crate) fn static_fallback() -> Fallback {
    let kind = Kind::StaticResponse(StaticResponse {
        status: 200,
        headers: vec![Header { name: "content-type".into(), value: "application/json".into() }],
        body: br#"{"price":"cached"}"#.to_vec(),
    });
    Fallback { kind: Some(kind), weight_ppm: 500_000, budget_ppm: 200_000, burst: 3 }
}

/// Another provider that is just as good, asked after a failure at cluster `payb`.
pub(crate) fn alternate() -> Alternate {
    Alternate { cluster: "payb".to_string(), body_bytes_max: 64, timeout_ms: 300, ..Alternate::default() }
}

/// The equal fallback of an alternate.
pub(crate) fn equal(alternate: Alternate) -> Fallback {
    Fallback { kind: Some(Kind::Alternate(alternate)), weight_ppm: 1_000_000, ..Fallback::default() }
}

/// A tenth of a token a request, at most two held.
pub(crate) fn scarce_retries() -> RetryBudget {
    RetryBudget { ratio_ppm: 100_000, floor_milli_per_s: 0, burst: 2, max_retries: 2 }
}
