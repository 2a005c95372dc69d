//! Metrics as a function of what is reported: each delta, as it is taken, is added to Envoy's counters.
//!
//! So a request costs no host call for its counters, and the counters say what the reports say. Labels exist only as name-encoded tags,
//! `name.key=.=value;.;`, which a stats tag regex `(key=\.=(.*?);\.;)` takes apart. A metric is never deleted; the caps on hops and journeys
//! bound their number. The journey's latency alone is recorded per request, at the edge, as a histogram cannot be added to in bulk.

use emac_core::evidence::{DecisionKind, Delta, FilterHealth, HopDelta, JourneyDelta};
use emac_core::id::HopKey;
use emac_core::outcome::Outcome;
use emac_core::units::Micros;
use hashbrown::HashMap;

use crate::host::{Host, MetricKind};

/// Ids of metrics defined by this VM.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    ids: HashMap<Vec<u8>, u32>,
    latency: HashMap<Vec<u8>, u32>,
    /// Defined since the names were last shared.
    new: Vec<u8>,
}

/// A metric with its label keys, in the order in which names carry them.
pub type Shape = (MetricKind, &'static str, &'static [&'static str]);

/// Every metric there can be, for a host that wants them defined before the first request. `operation` is a key only where it is known.
pub const SHAPES: [Shape; 33] = [
    (MetricKind::Counter, "journey_requests_total", &["journey", "result"]),
    (MetricKind::Counter, "emac_journey_within_deadline_total", &["journey"]),
    (MetricKind::Counter, "emac_journey_degraded_total", &["journey"]),
    (MetricKind::Histogram, "journey_latency_milliseconds", &["journey"]),
    (MetricKind::Counter, "emac_hop_requests_total", &["journey", "destination", "outcome"]),
    (MetricKind::Counter, "emac_hop_requests_total", &["journey", "destination", "operation", "outcome"]),
    (MetricKind::Counter, "emac_decisions_total", &["journey", "destination", "decision"]),
    (MetricKind::Counter, "emac_decisions_total", &["journey", "destination", "operation", "decision"]),
    (MetricKind::Counter, "emac_retries_total", &["journey", "destination"]),
    (MetricKind::Counter, "emac_retries_total", &["journey", "destination", "operation"]),
    (MetricKind::Counter, "emac_context_missing_total", &[]),
    (MetricKind::Counter, "emac_context_invalid_total", &[]),
    (MetricKind::Counter, "emac_overflow_total", &[]),
    (MetricKind::Counter, "emac_dropped_total", &[]),
    (MetricKind::Counter, "emac_clock_backwards_total", &[]),
    (MetricKind::Counter, "emac_internal_errors_total", &[]),
    (MetricKind::Counter, "emac_degraded_marks_total", &[]),
    (MetricKind::Gauge, "emac_budget_generation", &[]),
    (MetricKind::Gauge, "emac_budget_stale", &[]),
    (MetricKind::Counter, "emac_config_invalid_total", &[]),
    (MetricKind::Counter, "emac_nack_total", &[]),
    (MetricKind::Counter, "emac_budgets_older_total", &[]),
    (MetricKind::Counter, "emac_stream_lost_total", &[]),
    (MetricKind::Counter, "emac_control_plane_garbage_total", &[]),
    (MetricKind::Counter, "emac_journey_unknown_total", &[]),
    (MetricKind::Counter, "emac_leader_elected_total", &[]),
    (MetricKind::Counter, "emac_second_filter_total", &[]),
    (MetricKind::Counter, "emac_context_late_total", &[]),
    (MetricKind::Counter, "emac_context_omitted_total", &[]),
    (MetricKind::Counter, "emac_shadow_total", &[]),
    (MetricKind::Counter, "emac_traceparent_invalid_total", &[]),
    (MetricKind::Counter, "emac_undeclared_dropped_total", &[]),
    (MetricKind::Counter, "emac_denied_total", &[]),
];

/// A name as [`Host::metric`] gets it, taken apart: the metric, and its labels in order.
pub fn labels_of(name: &str) -> (&str, Vec<(&str, &str)>) {
    let Some((metric, mut rest)) = name.split_once('.') else { return (name, Vec::new()) };
    let mut labels = Vec::new();
    while let Some((label, others)) = rest.split_once(";.;") {
        labels.extend(label.split_once("=.="));
        rest = others;
    }
    (metric, labels)
}

/// Names of all metrics that any VM has defined, each as its kind and a line.
const NAMES: &str = "emac.metrics";
const TRIES_MAX: u32 = 4;

impl Metrics {
    /// Defines what VMs before this one have defined. The proxy forgets a metric with the last module that defines it: a counter would
    /// begin again at zero with each upgrade.
    pub(crate) fn inherit(host: &dyn Host) {
        let names = host.shared(NAMES).unwrap_or_default().0;
        for line in names.split(|&byte| byte == b'\n').filter_map(|line| core::str::from_utf8(line).ok()) {
            let Some((kind, name)) = line.split_at_checked(1) else { continue };
            let kind = match kind {
                "c" => MetricKind::Counter,
                "g" => MetricKind::Gauge,
                _ => MetricKind::Histogram,
            };
            host.metric(kind, name);
        }
    }

    /// Tells VMs to come what this one has defined.
    pub(crate) fn bequeath(&mut self, host: &dyn Host) {
        for _ in 0..TRIES_MAX {
            if self.new.is_empty() {
                return;
            }
            let (mut names, version) = host.shared(NAMES).unwrap_or_default();
            let mut added = Vec::new();
            let known: HashMap<&[u8], ()> =
                names.split(|&byte| byte == b'\n').map(|line| (line, ())).collect();
            for line in self.new.split(|&byte| byte == b'\n') {
                if !line.is_empty() && !known.contains_key(line) {
                    added.extend_from_slice(line);
                    added.push(b'\n');
                }
            }
            drop(known);
            names.extend_from_slice(&added);
            let version = Some(version).filter(|&version| version != 0);
            if added.is_empty() || host.set_shared(NAMES, &names, version).is_ok() {
                self.new.clear();
            }
        }
    }

    /// Adds what happened.
    pub(crate) fn add(&mut self, host: &dyn Host, delta: &Delta) {
        delta.journeys.iter().for_each(|(name, journey)| self.add_journey(host, name.as_str(), journey));
        delta.hops.iter().for_each(|(key, hop)| self.add_hop(host, key, hop));
        self.add_health(host, &delta.health);
    }

    /// Adds to a counter without labels.
    pub(crate) fn count(&mut self, host: &dyn Host, name: &str, by: u64) {
        if by == 0 {
            return;
        }
        if let Some(id) = self.id(host, MetricKind::Counter, name) {
            host.add_metric(id, by);
        }
    }

    /// Sets a gauge.
    pub(crate) fn gauge(&mut self, host: &dyn Host, name: &str, value: u64) {
        if let Some(id) = self.id(host, MetricKind::Gauge, name) {
            host.record_metric(id, value);
        }
    }

    /// Records a journey's latency, in whole milliseconds.
    pub(crate) fn journey_latency(&mut self, host: &dyn Host, journey: &str, latency: Micros) {
        let id = self.latency.get(journey.as_bytes()).copied().or_else(|| {
            let name = name("journey_latency_milliseconds", &[("journey", journey)]);
            let id = host.metric(MetricKind::Histogram, &name)?;
            self.latency.insert(journey.as_bytes().to_vec(), id);
            note(&mut self.new, b'h', &name);
            Some(id)
        });
        if let Some(id) = id {
            host.record_metric(id, latency.to_millis_floor().0);
        }
    }

    fn add_journey(&mut self, host: &dyn Host, journey: &str, delta: &JourneyDelta) {
        for result in Outcome::RESULTS {
            let count = Outcome::ALL.iter().filter(|&&outcome| outcome.result() == result);
            let count = count.map(|&outcome| delta.outcomes.get(outcome)).sum();
            let labels = [("journey", journey), ("result", result)];
            self.count_labelled(host, "journey_requests_total", &labels, count);
        }
        let labels = [("journey", journey)];
        self.count_labelled(host, "emac_journey_within_deadline_total", &labels, delta.within_deadline);
        self.count_labelled(host, "emac_journey_degraded_total", &labels, delta.degraded);
    }

    fn add_hop(&mut self, host: &dyn Host, key: &HopKey, delta: &HopDelta) {
        let HopKey { journey, destination, operation, .. } = key;
        let labels = |extra| {
            let mut labels = vec![("journey", journey.as_str()), ("destination", destination)];
            labels.extend(Some(("operation", operation.as_str())).filter(|(_, name)| !name.is_empty()));
            labels.extend(extra);
            labels
        };
        for outcome in Outcome::ALL {
            let labels = labels(Some(("outcome", outcome.label())));
            self.count_labelled(host, "emac_hop_requests_total", &labels, delta.outcomes.get(outcome));
        }
        for kind in DecisionKind::ALL {
            let labels = labels(Some(("decision", kind.label())));
            self.count_labelled(host, "emac_decisions_total", &labels, delta.decisions.get(kind));
        }
        self.count_labelled(host, "emac_retries_total", &labels(None), delta.retries);
    }

    fn add_health(&mut self, host: &dyn Host, health: &FilterHealth) {
        for (name, count) in [
            ("emac_context_missing_total", health.context_missing),
            ("emac_context_invalid_total", health.context_invalid),
            ("emac_overflow_total", health.overflow),
            ("emac_dropped_total", health.dropped),
            ("emac_clock_backwards_total", health.clock_backwards),
            ("emac_internal_errors_total", health.internal_errors),
        ] {
            self.count(host, name, count);
        }
    }

    fn count_labelled(&mut self, host: &dyn Host, metric: &str, labels: &[(&str, &str)], by: u64) {
        if by > 0 {
            self.count(host, &name(metric, labels), by);
        }
    }

    fn id(&mut self, host: &dyn Host, kind: MetricKind, name: &str) -> Option<u32> {
        if let Some(id) = self.ids.get(name.as_bytes()) {
            return Some(*id);
        }
        let id = host.metric(kind, name)?;
        self.ids.insert(name.as_bytes().to_vec(), id);
        note(&mut self.new, if matches!(kind, MetricKind::Gauge) { b'g' } else { b'c' }, name);
        Some(id)
    }
}

fn note(names: &mut Vec<u8>, kind: u8, name: &str) {
    names.push(kind);
    names.extend_from_slice(name.as_bytes());
    names.push(b'\n');
}

fn name(metric: &str, labels: &[(&str, &str)]) -> String {
    let mut name = format!("{metric}.");
    for (key, value) in labels {
        name.push_str(key);
        name.push_str("=.=");
        // What would end the value early, or break a line of the exposition format, is replaced.
        name.extend(value.chars().map(|c| if c == ';' || c.is_control() { '_' } else { c }));
        name.push_str(";.;");
    }
    name
}

#[cfg(test)]
mod tests {
    use emac_core::outcome::OutcomeCounts;

    use super::*;
    use crate::testing::Fake;
    use crate::vm::counters::{Counters, Event};

    #[test]
    fn labels_are_encoded_in_the_name() {
        let labels = [("journey", "checkout"), ("operation", "GET /a;.;b\n")];
        let encoded = name("x_total", &labels);
        assert_eq!(encoded, "x_total.journey=.=checkout;.;operation=.=GET /a_._b_;.;");
        assert_eq!(
            labels_of(&encoded),
            ("x_total", vec![("journey", "checkout"), ("operation", "GET /a_._b_")])
        );
        assert_eq!(labels_of("x_total"), ("x_total", Vec::new()));
    }

    #[test]
    fn every_metric_has_a_shape() {
        let host = Fake::default();
        let mut metrics = Metrics::default();
        let mut counters = Counters::default();
        Event::ALL.into_iter().for_each(|event| counters.add(event));
        counters.take().for_each(|(name, count)| metrics.count(&host, name, count));
        let outcomes =
            |outcomes: &mut OutcomeCounts| Outcome::ALL.iter().for_each(|outcome| outcomes.add(*outcome));
        let mut delta = Delta::default();
        let mut journey = JourneyDelta { within_deadline: 1, degraded: 1, ..JourneyDelta::default() };
        outcomes(&mut journey.outcomes);
        metrics.add_journey(&host, "checkout", &journey);
        metrics.journey_latency(&host, "checkout", Micros(1));
        let mut hop = HopDelta { retries: 1, ..HopDelta::default() };
        outcomes(&mut hop.outcomes);
        DecisionKind::ALL.iter().for_each(|kind| hop.decisions.add(*kind));
        delta.health = FilterHealth {
            context_missing: 1,
            context_invalid: 1,
            overflow: 1,
            dropped: 1,
            clock_backwards: 1,
            internal_errors: 1,
            ..FilterHealth::default()
        };
        metrics.add(&host, &delta);
        for operation in ["", "GET /"] {
            let key = HopKey {
                journey: "checkout".to_owned(),
                source: "shop/front".to_owned(),
                destination: "cart".to_owned(),
                operation: operation.to_owned(),
            };
            metrics.add_hop(&host, &key, &hop);
        }
        for (name, _) in &host.world.borrow().metrics {
            let (metric, labels) = labels_of(name);
            let keys: Vec<&str> = labels.iter().map(|(key, _)| *key).collect();
            assert!(SHAPES.iter().any(|(_, known, with)| *known == metric && **with == keys), "{name}");
        }
    }
}
