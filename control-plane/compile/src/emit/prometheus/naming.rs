//! Names, labels and annotations of alerts, as the intent wishes (`governance.alerts`, as in Sloth).

use emac_journey::intent::{AlertLabels, Alerts};

use super::Severity;
use super::rule::Pairs;

/// What the intent says of its alerts; nothing by default.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Naming {
    name: Option<String>,
    slo: Option<String>,
    common: AlertLabels,
    page: AlertLabels,
    ticket: AlertLabels,
}

impl Naming {
    /// Of an intent.
    pub fn of(alerts: &Alerts) -> Self {
        let mut common = alerts.common.clone();
        if let Some(runbook) = &alerts.runbook {
            common.annotations.entry("runbook_url".to_owned()).or_insert_with(|| runbook.clone());
        }
        Self {
            name: alerts.name.clone(),
            slo: alerts.slo.clone(),
            common,
            page: alerts.page_alert.clone(),
            ticket: alerts.ticket_alert.clone(),
        }
    }

    /// Name of the alerts of the error budget.
    pub(super) fn alert(&self, default: impl FnOnce() -> String) -> String {
        self.name.clone().unwrap_or_else(default)
    }

    /// Name of the SLO.
    pub(super) fn slo(&self, default: &str) -> String {
        self.slo.clone().unwrap_or_else(|| default.to_owned())
    }

    fn own(&self, severity: Severity) -> &AlertLabels {
        match severity {
            Severity::Page => &self.page,
            Severity::Ticket => &self.ticket,
        }
    }

    /// Whether alerts of a severity are not wanted.
    pub fn is_disabled(&self, severity: Severity) -> bool {
        self.own(severity).disable
    }

    /// Labels of an alert: ours, and the intent's over them.
    pub(super) fn labels(&self, severity: Severity, ours: Pairs) -> Pairs {
        over(over(ours, self.common.labels.iter()), self.own(severity).labels.iter())
    }

    /// Annotations of an alert, likewise.
    pub(super) fn annotations(&self, severity: Severity, ours: Pairs) -> Pairs {
        over(self.common_annotations(ours), self.own(severity).annotations.iter())
    }

    /// Annotations of an alert that is of no severity's own kind.
    pub(super) fn common_annotations(&self, ours: Pairs) -> Pairs {
        over(ours, self.common.annotations.iter())
    }

    /// Whether Prometheus fills anything in.
    pub(super) fn has_templates(&self) -> bool {
        let all = [&self.common, &self.page, &self.ticket];
        all.iter()
            .flat_map(|one| one.labels.values().chain(one.annotations.values()))
            .any(|text| text.contains("{{"))
    }
}

/// Pairs, and others of the same name instead.
fn over<'a>(mut pairs: Pairs, by: impl Iterator<Item = (&'a String, &'a String)>) -> Pairs {
    for (name, value) in by {
        match pairs.iter_mut().find(|(own, _)| own == name) {
            Some((_, own)) => own.clone_from(value),
            None => pairs.push((name.clone(), value.clone())),
        }
    }
    pairs
}
