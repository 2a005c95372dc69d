//! Under which name a change recurs, and whether its numbers are a change at all.
//!
//! Two windows never measure the same share. A change is kept under what it is about and in which way it changes, with every number replaced by `#`; and
//! where it consists of numbers only, it counts when they differ by more than their error:
//!
//! | change | counts when |
//! |---|---|
//! | how often a call is made | the exact 95 % intervals of both shares (Clopper and Pearson 1934) do not meet; a declared share has no error |
//! | how often each choice is taken | some choice's intervals do not meet |
//! | parameters of an operator | some number differs by more than [`TOLERANCE`] of itself |
//! | anything else, configuration among it | always |

use emac_core::bound::latency::clopper_pearson;
use emac_core::journey::{Expr, Journey};

use emac_compile::accept::Change;
use emac_compile::model::{Edge, Field, Model};

/// Delays and timeouts are read off samples of latencies; 25 % are within their error, and no reason to change a model.
const TOLERANCE: f64 = 0.25;
/// Error of the interval of a share.
const SHARE_ERROR: f64 = 0.05;

/// The name of a change: what it is about and how it changes, without numbers.
pub fn field(change: &Change) -> String {
    let (what, before, after) = change.parts();
    format!("{} {what}: {} -> {}", change.kind().label(), without_numbers(&before), without_numbers(&after))
}

/// Numbers, with their units, become `#`. Names of components may hold digits and stay.
fn without_numbers(text: &str) -> String {
    words(text).map(|word| if number(word).is_some() { "#" } else { word }).collect()
}

/// Words of name characters and what stands between them, in turns.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '/' | '-');
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = is_name(rest.chars().next()?);
        let end = rest.find(|c| is_name(c) != first).unwrap_or(rest.len());
        let (word, more) = rest.split_at(end);
        rest = more;
        Some(word)
    })
}

fn number(word: &str) -> Option<f64> {
    word.trim_end_matches(|c: char| c.is_ascii_alphabetic()).parse().ok()
}

/// Whether a change is more than the error of its numbers.
pub(super) fn is_significant(change: &Change, before: &Model, after: &Model) -> bool {
    match change {
        Change::EdgeChanged { before: was, after: is } => calls_differ((was, before), (is, after)),
        Change::BranchProbability { before: was, after: is, .. } => {
            let choices = |model: &Model, text| choices(model.structure.as_ref(), text);
            match (choices(before, was), choices(after, is)) {
                (Some(was), Some(is)) if was.len() == is.len() => {
                    was.iter().zip(&is).any(|(was, is)| apart(*was, *is))
                }
                _ => true,
            }
        }
        Change::OperatorParameter { before: was, after: is, .. } => {
            without_numbers(was) != without_numbers(is) || numbers_differ(was, is)
        }
        _ => true,
    }
}

fn calls_differ((was, before): (&Edge, &Model), (is, after): (&Edge, &Model)) -> bool {
    let same = was.call_type == is.call_type && was.attempts == is.attempts;
    match (was.probability, is.probability) {
        (Some(p), Some(q)) if same => {
            apart(interval(p.get(), samples(was, before)), interval(q.get(), samples(is, after)))
        }
        _ => true,
    }
}

/// Traces in which a call was made.
fn samples(edge: &Edge, model: &Model) -> u64 {
    let field = Field::Edge { from: edge.from.clone(), to: edge.to.clone() };
    model.findings.get(&field).map_or(0, |finding| finding.samples)
}

/// Of a share with which a call was made in so many traces; exact where nobody counted.
fn interval(share: f64, made: u64) -> (f64, f64) {
    if made == 0 || share <= 0.0 {
        return (share, share);
    }
    let all = (made as f64 / share).round() as u64;
    let limits = clopper_pearson(made, all.max(made), SHARE_ERROR);
    (limits.lo(), limits.hi())
}

fn apart(a: (f64, f64), b: (f64, f64)) -> bool {
    a.1 < b.0 || b.1 < a.0
}

/// Intervals of the choices of the branch with this text.
fn choices(structure: Option<&Journey>, text: &str) -> Option<Vec<(f64, f64)>> {
    let mut open: Vec<&Expr> = structure.iter().map(|journey| journey.root()).collect();
    while let Some(expr) = open.pop() {
        if let Expr::Branch(choices) = expr
            && expr.to_string() == text
        {
            let ends = choices.iter().map(|choice| (choice.probability.lo(), choice.probability.hi()));
            return Some(ends.collect());
        }
        open.extend(expr.children());
    }
    None
}

fn numbers_differ(was: &str, is: &str) -> bool {
    let numbers = |text| words(text).filter_map(number).collect::<Vec<_>>();
    let (was, is) = (numbers(was), numbers(is));
    was.len() != is.len()
        || was.iter().zip(&is).any(|(was, is)| (is - was).abs() > TOLERANCE * was.abs().max(is.abs()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use emac_compile::model::CandidateModel;
    use emac_document::{Limits, Problems, Source, parse};

    fn parameter(before: &str, after: &str) -> Change {
        Change::OperatorParameter { before: before.into(), after: after.into(), of: after.into() }
    }

    #[test]
    fn numbers_are_no_names_and_names_no_numbers() {
        let change = parameter("Race(delay=40ms, pay2, pay-3)", "Race(delay=44ms, pay2, pay-3)");
        assert_eq!(
            field(&change),
            "operator_parameter parameters: Race(delay=#, pay2, pay-3) -> Race(delay=#, pay2, pay-3)"
        );
        assert_eq!(without_numbers("Branch([0.6,0.7]*a, 0.35*b)"), "Branch([#,#]*a, #*b)");
    }

    #[test]
    fn small_differences_of_parameters_are_none() {
        let text = "apiVersion: emac.dev/v1alpha1\nkind: DiscoveredJourneyModel\nmetadata: {name: checkout}\nspec: {}\n";
        let problems = Problems::new();
        let documents = parse(&Source::new("m.yaml", text), &Limits::default(), &problems);
        let model = CandidateModel::read(&documents[0], &problems).unwrap();
        let model = model.model();
        let is = |before, after| is_significant(&parameter(before, after), model, model);
        assert!(!is("Race(delay=40ms, a, b)", "Race(delay=44ms, a, b)"));
        assert!(is("Race(delay=40ms, a, b)", "Race(delay=80ms, a, b)"));
        assert!(is("Retry(attempts=2, a)", "Retry(attempts=3, a)"));
    }

    #[test]
    fn shares_differ_beyond_their_error() {
        assert!(!apart(interval(0.5, 50), interval(0.55, 55)));
        assert!(apart(interval(0.5, 500), interval(0.6, 600)));
        assert!(apart(interval(0.5, 0), interval(0.6, 600)));
    }
}
