//! `emac explain`: the derivation from leaf to decision, as a person reads it.

use emac_core::journey::Expr;
use emac_core::units::Micros;

use super::exit::Exit;
use super::inputs::{InputArgs, JudgedModel};
use super::output::{Format, print_answer, print_line, valid};
use emac_compile::compile::{
    Bounds, Compiled, IMPORTANCE_MAX, NodeBounds, at_least8, at_most8, derivation, exact8,
};
use emac_document::{Problems, format_duration};

/// Show the derivation of every number, from components to decision
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  emac explain --intent journeys/checkout/intent.yaml
  emac explain --intent intent.yaml --model model.yaml --hop paya")]
pub(super) struct Args {
    #[command(flatten)]
    inputs: InputArgs,
    /// Show only this component and its effect on the journey
    #[arg(long, value_name = "COMPONENT")]
    hop: Option<String>,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn run(args: &Args) -> Exit {
    let problems = Problems::new();
    let inputs = match valid(args.inputs.read(&problems), &problems, args.format) {
        Ok(inputs) => inputs,
        Err(exit) => return exit,
    };
    let compiled = inputs.compiled();
    if let Some(hop) =
        args.hop.as_ref().filter(|hop| !compiled.leaves.keys().any(|name| name.as_str() == *hop))
    {
        super::output::complain(format!("`{hop}` is not a component of {}", compiled.structure));
        return Exit::InvalidInput;
    }
    match args.format {
        Format::Json => print_answer(derivation(&compiled), &problems),
        Format::Text => explain(&compiled, &inputs.judged(), args.hop.as_deref()).iter().for_each(print_line),
    }
    Exit::Ok
}

fn explain(compiled: &Compiled<'_>, judged: &JudgedModel, hop: Option<&str>) -> Vec<String> {
    let mark = if compiled.preview { "PREVIEW " } else { "" };
    let mut lines = vec![
        format!("{mark}journey {}: {}", compiled.intent.name, compiled.structure),
        judged.to_string(),
        String::new(),
    ];
    leaves(compiled, hop, &mut lines);
    if let Some(bounds) = &compiled.bounds {
        lines.push(String::new());
        operators(compiled, bounds, hop, &mut lines);
        lines.push(String::new());
        match hop {
            Some(hop) => part(bounds, hop, &mut lines),
            None => ends(compiled, bounds, &mut lines),
        }
        latency(compiled, &mut lines);
    }
    promises(compiled, hop, &mut lines);
    lines.push(String::new());
    lines.push(format!("decision: {}", compiled.decision.verdict.label()));
    lines.extend(compiled.decision.reasons.iter().map(|reason| format!("  reason: {reason}")));
    lines.extend(compiled.decision.notes.iter().map(|note| format!("  note: {note}")));
    lines
}

fn leaves(compiled: &Compiled<'_>, hop: Option<&str>, lines: &mut Vec<String>) {
    for (name, leaf) in &compiled.leaves {
        if hop.is_some_and(|hop| hop != name.as_str()) {
            continue;
        }
        let value = leaf.availability.map_or_else(|| "unknown".to_owned(), |value| value.to_string());
        let domains = if leaf.domains.is_empty() { "none".to_owned() } else { leaf.domains.join(", ") };
        let status = leaf.domain_status.label();
        lines.push(format!("  {name} = {value}  ({})  failure domains {domains} ({status})", leaf.source));
    }
}

/// What each SLO was taken as, and which promise nothing.
fn promises(compiled: &Compiled<'_>, hop: Option<&str>, lines: &mut Vec<String>) {
    let asked = compiled.leaves.iter().filter(|(name, _)| hop.is_none_or(|hop| hop == name.as_str()));
    let taken: Vec<_> = asked
        .flat_map(|(name, leaf)| leaf.promises.iter().map(move |taken| format!("    {name}: {taken}")))
        .collect();
    if !taken.is_empty() {
        lines.push(String::new());
        lines.push("  SLOs were taken as".to_owned());
        lines.extend(taken);
    }
}

/// Innermost first, so that every value is explained before it is used.
fn operators(compiled: &Compiled<'_>, bounds: &Bounds, hop: Option<&str>, lines: &mut Vec<String>) {
    for node in bounds.nodes.iter().rev() {
        let expr = at(compiled.structure.root(), &node.path);
        let concerns =
            |hop: &str| expr.is_some_and(|expr| expr.leaves().iter().any(|name| name.as_str() == hop));
        if hop.is_none_or(concerns) {
            lines.push(format!("  {}", node.expression));
            lines.push(format!("    independent      {}  {}", node.independent, expr.map_or("", formula)));
            lines.push(format!("    domain envelope  {}{}", node.domain_envelope, loss(node)));
            lines.push(format!("    any dependence   {}", node.any_dependence));
        }
    }
}

fn at<'e>(root: &'e Expr, path: &[usize]) -> Option<&'e Expr> {
    path.iter().try_fold(root, |expr, &place| expr.children().get(place).copied())
}

fn loss(node: &NodeBounds) -> String {
    let loss = node.shared_fate_loss();
    if node.redundant && loss > 0.0 {
        format!("  shared failure domains may cost {}", exact8(loss))
    } else {
        String::new()
    }
}

/// How the independent value comes about.
fn formula(expr: &Expr) -> &'static str {
    use emac_core::journey::Join;
    match expr {
        Expr::Leaf(_) => "",
        Expr::Series(_) | Expr::Parallel { join: Join::All, .. } => "product",
        Expr::Parallel { join: Join::AtLeast(_), .. } => "at least k succeed",
        Expr::Race { .. } => "1 - product of failures",
        Expr::Fallback { .. } => "first success, weighted",
        Expr::Branch(_) => "mean by probability",
        Expr::Retry { .. } => "1 - failure to the power of tries",
        Expr::Timeout { .. } => "value x share answered in time",
        Expr::Repeat { .. } => "value to the power of count",
        Expr::Async(_) => "1, asynchronous",
    }
}

fn ends(compiled: &Compiled<'_>, bounds: &Bounds, lines: &mut Vec<String>) {
    let objective = compiled.intent.objectives.availability.target.get();
    let budget = 1.0 - objective;
    let spent = |value: f64| format!("uses {:.2} % of the error budget", (1.0 - value) / budget * 100.0);
    lines.push(format!("  objective {}", exact8(objective)));
    lines.push(format!(
        "  A+ {}  if components fail independently; {}",
        exact8(bounds.a_plus()),
        spent(bounds.a_plus())
    ));
    lines.push(format!(
        "  A- {}  lower end if components that share a failure domain may fail together; {}",
        exact8(bounds.a_minus()),
        spent(bounds.a_minus())
    ));
    for (domain, beta) in &bounds.break_even {
        let text = beta.map_or_else(
            || "objective met for every beta".to_owned(),
            |beta| {
                // Up, as the sentence says.
                let beta = (beta * 1e4 - 1e-6).ceil() / 1e4;
                format!("objective missed from beta {beta:.4} up (its failures, as a share of those of its most available member)")
            },
        );
        lines.push(format!("  failure domain {domain}: {text}"));
    }
    if let Some(change) = &bounds.restoring {
        let (from, to) = (exact8(change.from), exact8(at_least8(change.to)));
        lines
            .push(format!("  objective restored if {} alone improves from {from} to {to}", change.component));
    }
}

/// The band at the objective under each assumption.
fn latency(compiled: &Compiled<'_>, lines: &mut Vec<String>) {
    let Some((objective, bounds)) =
        compiled.intent.objectives.latency.as_ref().zip(compiled.latency.as_ref())
    else {
        return;
    };
    // Outward to whole milliseconds: more digits would claim what a grid does not know.
    let time = |time: Option<Micros>, up: u64| {
        time.map_or_else(
            || "not reached".to_owned(),
            |Micros(micros)| format_duration(Micros(micros.saturating_add(up) / 1_000 * 1_000)),
        )
    };
    let threshold = format_duration(objective.threshold);
    lines.push(String::new());
    lines.push(format!("  share answered within {threshold}, and {}", objective.metric.name));
    let assumptions = [
        ("any dependence", bounds.any_dependence),
        ("independent", bounds.independent),
        ("comonotone", bounds.comonotone),
    ];
    for (name, at) in assumptions {
        let (lo, hi) = (time(at.quantile.0, 0), time(at.quantile.1, 999));
        lines.push(format!("    {name:<15}  {}  {lo} to {hi}", at.within));
    }
}

fn part(bounds: &Bounds, hop: &str, lines: &mut Vec<String>) {
    for part in bounds.attribution.iter().filter(|part| part.component.as_str() == hop) {
        lines.push(format!("  importance (Birnbaum) {}", exact8(part.importance)));
        lines.push(format!("  availability the journey gains if it never fails: {}", exact8(part.gain)));
    }
    importance(bounds, hop, lines);
    let budget = bounds.budget.iter().flatten().find(|(name, _)| name.as_str() == hop);
    if let Some((_, unavailability)) = budget {
        lines.push(format!(
            "  unavailability allowed so that A- meets the objective: {}",
            exact8(at_most8(*unavailability))
        ));
    }
}

/// Measures of fault-tree tools.
fn importance(bounds: &Bounds, hop: &str, lines: &mut Vec<String>) {
    let Some(one) = bounds.importance.iter().find(|one| one.component.as_str() == hop) else {
        return lines.push(format!(
            "  measures of fault-tree tools are worked out for the {IMPORTANCE_MAX} components that would gain the journey most"
        ));
    };
    let shown = |value: Option<f64>, otherwise: &str| value.map_or_else(|| otherwise.to_owned(), exact8);
    let never = "not defined: the journey never fails";
    lines.push("  if components fail independently".to_owned());
    lines.push(format!("    Birnbaum               {}  how much hangs on it", exact8(one.birnbaum)));
    let measures = [
        ("criticality", shown(one.criticality, never), "share of failures that would not be without its own"),
        ("Fussell-Vesely", shown(one.fussell_vesely, never), "share of failures during which it is down"),
        (
            "risk achievement worth",
            shown(one.achievement_worth, never),
            "times as many failures while it is down",
        ),
        ("risk reduction worth", shown(one.reduction_worth, "unbounded"), "times as few if it never failed"),
    ];
    lines.extend(measures.map(|(name, value, says)| format!("    {name:<22} {value}  {says}")));
}
