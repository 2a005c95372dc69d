use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};

use emac_core::bound::importance;
use emac_core::journey::{ComponentName, Expr};
use emac_document::{Limits, Problems, Source, parse, render_text};
use emac_journey::intent::{self, Intent};
use emac_journey::slo::{Promises, Slos};

use super::*;
use crate::compile::{Given, compile};
use crate::model::AcceptedModel;

/// A stream that never changes: SplitMix64.
struct Random(u64);

impl Random {
    fn unit(&mut self) -> f64 {
        emac_core::mix::unit(&mut self.0)
    }

    fn below(&mut self, n: usize) -> usize {
        (emac_core::mix::next(&mut self.0) % n as u64) as usize
    }
}

/// An intent with this expression and these availabilities.
fn intent(expression: &str, availabilities: &[(&str, f64)]) -> Intent {
    let components: Vec<_> =
        availabilities.iter().map(|(name, value)| format!("{name}: {{availability: {value}}}")).collect();
    let text = format!(
        "apiVersion: emac.dev/v1alpha1\nkind: JourneyIntent\nmetadata: {{name: j}}\nspec:\n  objectives: {{availability: {{window: 30d, target: 0.5}}}}\n  operator: \
         '{expression}'\n  components: {{{}}}\n",
        components.join(", ")
    );
    let problems = Problems::new();
    let documents = parse(&Source::new("intent.yaml", text), &Limits::default(), &problems);
    intent::read(&documents[0], &problems).unwrap_or_else(|| panic!("{}", render_text(&problems, false)))
}

fn promises(intent: &Intent) -> Promises {
    Slos::default().resolve(intent, &Problems::new())
}

/// The tree, and the probability of failure that is reported for independence.
fn exported(intent: &Intent) -> (Result<String, NotExported>, f64) {
    let promises = promises(intent);
    let model = AcceptedModel::declared(intent);
    let compiled = compile(intent, &model, Given::promises(&promises));
    let failure = compiled.bounds.as_ref().map_or(f64::NAN, |bounds| 1.0 - bounds.independent.lo());
    (open_psa(&compiled), failure)
}

/// The probability of a tree's top event, by every state of its events.
fn enumerated(xml: &str) -> f64 {
    let tokens: Vec<_> = xml.split(['<', '>']).map(str::trim).filter(|token| !token.is_empty()).collect();
    let mut tokens = tokens.into_iter().peekable();
    let mut events: BTreeMap<String, f64> = BTreeMap::new();
    let mut top = None;
    while let Some(token) = tokens.next() {
        if token.starts_with("define-gate") {
            while tokens.next() != Some("/label") {}
            top = Some(formula(&mut tokens));
        } else if token.starts_with("define-basic-event") {
            let value = tokens.by_ref().find(|token| token.starts_with("float")).unwrap();
            events.insert(quoted(token).to_owned(), quoted(value).parse().unwrap());
        }
    }
    let (top, names): (Formula, Vec<_>) = (top.unwrap(), events.keys().cloned().collect());
    assert!(names.len() <= 16, "{}", names.len());
    let mut sum = 0.0;
    for state in 0_u32..1 << names.len() {
        let happens = |name: &str| state >> names.iter().position(|one| one == name).unwrap() & 1 == 1;
        if top.holds(&happens) {
            let of = |name: &String| if happens(name) { events[name] } else { 1.0 - events[name] };
            sum += names.iter().map(of).product::<f64>();
        }
    }
    sum
}

fn quoted(token: &str) -> &str {
    token.split('"').nth(1).unwrap()
}

enum Formula {
    Constant(bool),
    Event(String),
    Not(Box<Self>),
    AtLeast(usize, Vec<Self>),
}

impl Formula {
    fn holds(&self, happens: &impl Fn(&str) -> bool) -> bool {
        match self {
            Self::Constant(value) => *value,
            Self::Event(name) => happens(name),
            Self::Not(one) => !one.holds(happens),
            Self::AtLeast(least, all) => all.iter().filter(|one| one.holds(happens)).count() >= *least,
        }
    }
}

fn formula(tokens: &mut std::iter::Peekable<std::vec::IntoIter<&str>>) -> Formula {
    let token = tokens.next().unwrap();
    let kind = token.split([' ', '/']).next().unwrap();
    match kind {
        "constant" => return Formula::Constant(quoted(token) == "true"),
        "basic-event" => return Formula::Event(quoted(token).to_owned()),
        _ => {}
    }
    let mut all = Vec::new();
    while *tokens.peek().unwrap() != format!("/{kind}") {
        all.push(formula(tokens));
    }
    tokens.next();
    match kind {
        "not" => Formula::Not(Box::new(all.pop().unwrap())),
        "or" => Formula::AtLeast(1, all),
        "and" => Formula::AtLeast(all.len(), all),
        "atleast" => Formula::AtLeast(quoted(token).parse().unwrap(), all),
        other => panic!("{other}"),
    }
}

const FIVE: [(&str, f64); 5] = [("a", 0.9), ("b", 0.8), ("c", 0.7), ("d", 0.6), ("e", 0.95)];

#[test]
fn the_top_event_is_the_failure_that_is_reported() {
    for expression in [
        "a",
        "Series(a, b, c)",
        "Parallel(a, Race(b, c))",
        "Parallel(atLeast=2, a, b, c)",
        "Parallel(atLeast=2, a, a, b)",
        "Parallel(atLeast=3, a, Series(b, c), Race(d, e), Async(a))",
        "Series(a, Race(b, Series(a, c)))",
        "Fallback(a, b)",
        "Fallback(a, 0.5*b)",
        "Fallback(a, 0.9*b, 0.5*c, 0.5*d)",
        "Series(Fallback(a, b, 0.5*c), Race(a, d))",
        "Branch(0.25*a, 0.75*Series(b, c))",
        "Branch(0.2*a, 0.3*b, 0.5*Branch(0.5*c, 0.5*d))",
        "Retry(attempts=3, a)",
        "Retry(attempts=2, Fallback(a, 0.5*b))",
        "Series(a, Retry(attempts=2, Race(a, b)))",
        "Retry(attempts=2, Series(c, Retry(attempts=2, a)))",
        "Repeat(count=3, Race(a, b))",
        "Series(a, Async(b))",
        "Async(a)",
        // Asked nowhere else: nobody waits for it there, or the request goes one way only.
        "Series(Async(a), Retry(attempts=2, a))",
        "Branch(0.5*a, 0.5*Retry(attempts=2, a))",
        "Retry(attempts=2, Series(b, Branch(0.5*Race(a, c), 0.5*Repeat(count=2, a))))",
        "Series(a, Branch(0.5*a, 0.5*Retry(attempts=2, Race(a, b))))",
        // Nothing says how many answers come in time.
        "Race(b, Timeout(after=200ms, a))",
    ] {
        let (xml, failure) = exported(&intent(expression, &FIVE));
        let found = enumerated(&xml.unwrap());
        assert!((found - failure).abs() < 1e-12, "{expression}: {found} is not {failure}");
    }
}

#[test]
fn what_is_no_fault_tree_says_why() {
    let mut unbound = intent("Series(a, b)", &FIVE);
    unbound.components.get_mut(&ComponentName::new("b").unwrap()).unwrap().availability = None;
    assert_eq!(exported(&unbound).0, Err(NotExported::Unassessable));
}

#[test]
fn a_tree_as_it_is_written() {
    let expression =
        "Series(shop/front.v2, Parallel(atLeast=2, a, b, c), Fallback(d, 0.25*1st), Retry(attempts=2, e))";
    let all = [&FIVE[..], &[("shop/front.v2", 0.999), ("1st", 0.99)]].concat();
    insta::assert_snapshot!("open_psa", exported(&intent(expression, &all)).0.unwrap());
}

/// A random expression of operators whose every event is a component's, as text.
fn random(random: &mut Random, leaves: usize) -> String {
    if leaves == 1 {
        return FIVE[random.below(FIVE.len())].0.to_owned();
    }
    let first = 1 + random.below(leaves - 1);
    let (a, b) = (self::random(random, first), self::random(random, leaves - first));
    match random.below(6) {
        0 | 1 => format!("Series({a}, {b})"),
        2 => format!("Race({a}, {b})"),
        3 => format!("Parallel({a}, {b})"),
        4 => format!("Fallback({a}, {b})"),
        _ => format!("Parallel(atLeast=2, {a}, {b}, {})", FIVE[random.below(FIVE.len())].0),
    }
}

/// `scram` (<https://scram-pra.org>) computes the trees of random expressions: the top event and the importance of every component.
#[test]
fn a_fault_tree_tool_finds_the_same() {
    let ours = Command::new("scram").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if ours.is_err() {
        return println!("not run: scram is not installed (Debian: apt-get install scram)");
    }
    let mut draws = Random(0x5c_4a3);
    let folder = tempfile::tempdir().unwrap();
    let mut compared = 0;
    while compared < 1_000 {
        let leaves = 2 + draws.below(6);
        let expression = random(&mut draws, leaves);
        let availabilities = FIVE.map(|(name, _)| (name, ((0.05 + 0.9 * draws.unit()) * 1e6).round() / 1e6));
        let intent = intent(&expression, &availabilities);
        let (xml, failure) = exported(&intent);
        let xml = xml.unwrap();
        // A single event is a formula of its own there, and says nothing.
        if matches!(intent.structure.root(), Expr::Leaf(_))
            || !xml.contains("<or>") && !xml.contains("<and>") && !xml.contains("<atleast")
        {
            continue;
        }
        compared += 1;
        let file = folder.path().join("tree.xml");
        std::fs::File::create(&file).unwrap().write_all(xml.as_bytes()).unwrap();
        let run = Command::new("scram")
            .args(["--bdd", "--probability", "1", "--importance", "1"])
            .arg(&file)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&run.stdout).into_owned();
        assert!(run.status.success(), "{expression}: {said}{}", String::from_utf8_lossy(&run.stderr));
        let attribute = |line: &str, name: &str| -> Option<f64> {
            let rest = line.split(&format!(" {name}=\"")).nth(1)?;
            rest.split('"').next()?.parse().ok()
        };
        let total = said
            .lines()
            .find_map(|line| line.contains("<sum-of-products").then(|| attribute(line, "probability"))?)
            .unwrap();
        // It prints six digits.
        let near = |found: f64, expected: f64, what: &str| {
            assert!(
                (found - expected).abs() <= 2e-5 * expected.abs().max(1e-6),
                "{expression} {availabilities:?}: {what} {found}, there {expected}"
            );
        };
        near(failure, total, "top");
        let promises = promises(&intent);
        let facts = emac_core::bound::Facts::new(
            promises
                .iter()
                .map(|(name, promise)| {
                    let availability = emac_core::bound::Interval::exactly(promise.availability.unwrap());
                    let domains = emac_core::bound::Domains::Known(std::collections::BTreeSet::new());
                    (name.clone(), emac_core::bound::Component { availability, domains })
                })
                .collect(),
        );
        let names: std::collections::BTreeSet<_> = intent.structure.leaves().into_iter().collect();
        let lines: Vec<&str> = said.lines().collect();
        for one in importance(&intent.structure, &facts, names).unwrap() {
            let event = format!("<basic-event name=\"{}\"", one.component);
            let Some(line) = lines.iter().find(|line| line.contains(&event) && line.contains(" MIF=")) else {
                assert!(one.birnbaum < 1e-12, "{expression}: {} is not there", one.component);
                continue;
            };
            near(one.birnbaum, attribute(line, "MIF").unwrap(), "Birnbaum");
            near(one.criticality.unwrap(), attribute(line, "CIF").unwrap(), "criticality");
            near(one.fussell_vesely.unwrap(), attribute(line, "DIF").unwrap(), "Fussell-Vesely");
            near(one.achievement_worth.unwrap(), attribute(line, "RAW").unwrap(), "achievement");
            if let (Some(worth), Some(there)) = (one.reduction_worth, attribute(line, "RRW")) {
                near(worth, there, "reduction");
            }
        }
    }
}
