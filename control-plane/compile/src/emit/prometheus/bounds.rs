//! What the compiler computed, as series: gates, guards and dashboards can look at it beside what is measured. The paper's names.

use super::rule::{Pairs, pairs};
use super::{Group, Rule, Sli};
use crate::compile::{Bounds, Compiled};

/// Constants of the compiled journey; `None` when nothing could be computed.
pub fn bounds_group(compiled: &Compiled<'_>, sli: &Sli) -> Option<Group> {
    let bounds = compiled.bounds.as_ref()?;
    let mut rules = availability(compiled, bounds, sli);
    rules.extend(model(compiled, sli));
    rules.extend(latency(compiled, sli));
    rules.extend(contributors(compiled, bounds, sli));
    Some(Group { name: format!("emac.{}.synthetic-sli", sli.journey), rules })
}

fn record(sli: &Sli, name: &str, value: f64, labels: Pairs) -> Rule {
    // All of its digits: rounded, a bound just below the objective would meet it.
    Rule::record(format!("journey:{}:{name}", sli.metric), format!("vector({value})"), labels)
}

fn availability(compiled: &Compiled<'_>, bounds: &Bounds, sli: &Sli) -> Vec<Rule> {
    let expression = compiled.structure.to_string();
    let bound = |name: &str, assumption: &str, value: f64| {
        let labels = pairs([
            ("bound", name.to_owned()),
            ("assumption", assumption.to_owned()),
            ("operator_path", expression.clone()),
        ]);
        record(sli, "availability_bound", value, labels)
    };
    let width = bounds.a_plus() - bounds.a_minus();
    vec![
        bound("optimistic", "independent", bounds.a_plus()),
        bound("pessimistic", "domain_envelope", bounds.a_minus()),
        bound("lower", "any_dependence", bounds.any_dependence.lo()),
        bound("upper", "any_dependence", bounds.any_dependence.hi()),
        record(sli, "availability_bound_width", width, pairs([("operator_path", expression.clone())])),
    ]
}

fn model(compiled: &Compiled<'_>, sli: &Sli) -> Vec<Rule> {
    let labels = || pairs([("model", compiled.model.digest.chars().take(12).collect())]);
    let conflict = if compiled.decision.domains_resolved { 0.0 } else { 1.0 };
    let mut rules = vec![record(sli, "model:unresolved_domain_conflict", conflict, labels())];
    rules.push(record(sli, "model_delta:confidence", compiled.confidence(), labels()));
    rules
}

/// The objective's quantile at most, whatever the dependence; nothing where no finite bound is known.
fn latency(compiled: &Compiled<'_>, sli: &Sli) -> Option<Rule> {
    let (_, at_most) = compiled.latency.as_ref()?.any_dependence.quantile;
    let name = format!("latency_seconds:{}_upper_bound", sli.latency.as_ref()?.metric());
    let labels = pairs([("operator_path", compiled.structure.to_string())]);
    Some(record(sli, &name, at_most?.0 as f64 / 1e6, labels))
}

fn contributors(compiled: &Compiled<'_>, bounds: &Bounds, sli: &Sli) -> Vec<Rule> {
    let labels = |of: &str, kind: &str| pairs([("contributor", of.to_owned()), ("kind", kind.to_owned())]);
    let losing = bounds.nodes.iter().filter(|node| node.redundant && node.shared_fate_loss() > 0.0);
    let mut rules: Vec<_> = losing
        .map(|node| {
            record(sli, "contributor", node.shared_fate_loss(), labels(&node.expression, "shared_fate_loss"))
        })
        .collect();
    let shortfall = compiled.intent.objectives.availability.target.get() - bounds.a_minus();
    if shortfall > 0.0 {
        rules.push(record(
            sli,
            "contributor",
            shortfall,
            labels("objective_violation", "pessimistic_shortfall"),
        ));
    }
    rules
}
