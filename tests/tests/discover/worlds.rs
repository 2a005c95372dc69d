//! Discovery on worlds of another origin: `tests/worlds/worlds.py`, a generator that shares nothing with the one constants were fitted on. By family,
//! because an average hides the family that fails.
//!
//! `make calibration` runs more of them and prints the table of bench/results.md; `EMAC_WORLDS_FROM=1000` takes others, `EMAC_WORLDS_ONLY=races` those
//! of one family, `EMAC_WORLDS_NOTES=1` says what differed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use emac_core::bound::latency::clopper_pearson;
use emac_core::journey::{Journey, parse};
use emac_discovery::discover::Discovered;
use emac_tests::synthetic::score::calibration::{Claim, judge, reliability};
use emac_tests::synthetic::score::form::{Form, Kind};
use emac_tests::synthetic::score::{Edges, Score};
use serde_json::Value;

use super::found::{from_file, scored};

/// A world as it is written.
struct World {
    name: String,
    structure: Journey,
    shown: Journey,
    edges: Edges,
    races: Vec<TrueRace>,
    spans: Vec<u8>,
}

struct TrueRace {
    kind: Kind,
    members: BTreeSet<String>,
    /// Share of the requests that its least frequent winner won, and how many were decided.
    rarer: f64,
    decided: u64,
}

/// What was found in the worlds of one family.
#[derive(Default)]
struct Outcome {
    score: Score,
    claims: Vec<Claim>,
    /// Races that anybody could see: found, and all.
    races: (u64, u64),
    notes: Vec<String>,
}

impl World {
    fn read(spans: &Path) -> Self {
        let truth: Value =
            serde_json::from_slice(&std::fs::read(spans.with_extension("truth.json")).unwrap()).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let journey = |key: &str| Journey::new(parse(&text(&truth[key])).unwrap()).unwrap();
        let edges = truth["edges"].as_array().unwrap().iter().map(|edge| (text(&edge[0]), text(&edge[1])));
        Self {
            name: spans.file_stem().unwrap().to_string_lossy().into_owned(),
            structure: journey("structure"),
            shown: journey("shown"),
            edges: edges.collect(),
            races: truth["races"].as_array().unwrap().iter().map(TrueRace::of).collect(),
            spans: std::fs::read(spans).unwrap(),
        }
    }

    /// Every two services that one service calls.
    fn siblings(&self) -> BTreeSet<(String, String)> {
        let pairs = self.edges.iter().flat_map(|(caller, one)| {
            self.edges
                .iter()
                .filter(move |(other, two)| other == caller && one < two)
                .map(move |(_, two)| (one.clone(), two.clone()))
        });
        pairs.collect()
    }
}

impl TrueRace {
    fn of(value: &Value) -> Self {
        let members = value["members"].as_array().unwrap().iter();
        Self {
            kind: if value["kind"] == "quorum" { Kind::AtLeast(0) } else { Kind::Race },
            members: members.map(|name| name.as_str().unwrap().to_owned()).collect(),
            rarer: value["rarer"].as_f64().unwrap(),
            decided: value["decided"].as_u64().unwrap(),
        }
    }

    /// Whether its rarer winner won in a tenth of the requests, and some of them were recorded.
    fn is_visible(&self) -> bool {
        self.kind == Kind::Race && self.rarer >= 0.1 && self.decided >= 30
    }
}

/// The worlds of a family; `None` where Python is missing.
fn worlds(family: &str, from: u64, count: u64) -> Option<Vec<World>> {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("worlds-{family}-{from}-{}", std::process::id()));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("worlds/worlds.py");
    let given =
        [("--family", family.to_owned()), ("--seed", from.to_string()), ("--worlds", count.to_string())];
    let mut command = Command::new("python3");
    command.arg(script).args(given.iter().flat_map(|(flag, value)| [*flag, value]));
    let status = command.args(["--requests", "600", "--out"]).arg(&folder).status();
    let Ok(status) = status else {
        emac_tests::not_run("worlds of another generator", "python3 is not installed");
        return None;
    };
    assert!(status.success(), "the generator failed: {command:?}");
    let read = (from..from + count).map(|seed| World::read(&folder.join(format!("{seed}.jsonl")))).collect();
    std::fs::remove_dir_all(&folder).unwrap();
    Some(read)
}

fn judged(family: &str, worlds: &[World]) -> Outcome {
    let mut outcome = Outcome::default();
    for world in worlds {
        outcome.add(family, world, &from_file(&world.spans));
    }
    outcome
}

impl Outcome {
    fn add(&mut self, family: &str, world: &World, discovered: &[Discovered]) {
        let found = scored(discovered);
        let siblings = world.siblings();
        let Some((at, _)) = found.iter().enumerate().max_by_key(|(_, one)| one.edges.len()) else {
            self.notes.push(format!("{family} {}: nothing found", world.name));
            return;
        };
        if found.len() > 1 {
            self.notes.push(format!("{family} {}: {} journeys", world.name, found.len()));
        }
        let best = &found[at];
        let mut score = Score::structure(&best.structure, &world.structure, &siblings);
        score.edges = emac_tests::synthetic::score::Count {
            right: best.edges.intersection(&world.edges).count() as u64,
            found: best.edges.len() as u64,
            truth: world.edges.len() as u64,
        };
        let nodes = Form::of(best.structure.root()).nodes();
        for race in world.races.iter().filter(|race| race.is_visible()) {
            let is_found = nodes.contains(&(race.kind, race.members.clone()));
            self.races.0 += u64::from(is_found);
            self.races.1 += 1;
        }
        if !score.differences.is_empty() {
            let differences = score.differences.join("\n    ");
            self.notes.push(format!(
                "{family} {}:\n  true  {}\n  found {}\n    {differences}",
                world.name, world.structure, best.structure
            ));
        }
        score.differences.clear();
        self.score.add(score);
        for one in discovered {
            let Some(structure) = one.structure() else { continue };
            for (field, finding) in &one.model.findings {
                let single = BTreeMap::from([(field.clone(), finding.clone())]);
                let claims = judge(&single, structure, &world.shown, &world.edges);
                if claims.iter().any(|claim| claim.confidence >= SURE && !claim.right) {
                    let confidence = finding.confidence.get();
                    self.notes
                        .push(format!("{family} {}: OVERCLAIMED {confidence:.3} {field:?}", world.name));
                }
                self.claims.extend(claims);
            }
        }
    }

    /// Together with another family's.
    fn join(&mut self, other: Self) {
        self.score.add(other.score);
        self.claims.extend(other.claims);
        self.races = (self.races.0 + other.races.0, self.races.1 + other.races.1);
        self.notes.extend(other.notes);
    }

    /// Claims of operators at 90 % and more: right, all.
    fn sure(&self) -> (u64, u64) {
        let sure = self.claims.iter().filter(|claim| claim.field == "operator" && claim.confidence >= SURE);
        sure.fold((0, 0), |(right, all), claim| (right + u64::from(claim.right), all + 1))
    }

    /// A line of the table in bench/results.md.
    fn line(&self, family: &str) -> String {
        let share = |(right, all): (u64, u64)| {
            let interval = clopper_pearson(right, all, 0.05);
            format!("{right} of {all} [{:.3}, {:.3}]", interval.lo(), interval.hi())
        };
        let found = |(found, all): (u64, u64)| format!("{found} of {all}");
        let operators = self.score.operators().f1();
        format!(
            "| {family} | {} | {} | {} | {} | {operators:.3} |",
            share(self.sure()),
            found(self.races),
            share(self.score.probabilities),
            self.score.invented.len()
        )
    }

    /// Everything, for people.
    fn report(&self, family: &str) -> String {
        let mut text = format!("== {family}\n{}", self.score);
        for field in ["edges", "operator", "probability"] {
            for bin in reliability(self.claims.iter().filter(|claim| claim.field == field)) {
                let _ = writeln!(text, "{field:<12} {bin}");
            }
        }
        text
    }
}

/// What is claimed with this much must be right nine times in ten.
const SURE: f64 = 0.9;
/// Of races that anybody could see so many must be found,
const RACES_MIN: f64 = 0.8;
/// so many shares must lie inside their intervals,
const SHARES_MIN: f64 = 0.94;
/// of this many that is asked for in itself (three standard errors are 4 points),
const SHARES_ENOUGH: u64 = 300;
/// and nearly every call must be found, and none that is not there.
const EDGES_MIN: f64 = 0.99;

const FAMILIES: [&str; 5] = ["plain", "races", "skew", "sampled", "callees"];

fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// Of the worlds that constants were looked at with: those from 0 on. Nobody has looked at these.
const FRESH: u64 = 5_000;

#[test]
fn claims_hold_in_worlds_of_another_generator() {
    let (from, count) = (setting("EMAC_WORLDS_FROM", FRESH), setting("EMAC_WORLDS", 20));
    let mut all = Outcome::default();
    println!(
        "| worlds | claims at 0.9 and more that are right | races found | shares inside | invented | F1 of operators |"
    );
    println!("|---|---|---|---|---|---|");
    let only = std::env::var("EMAC_WORLDS_ONLY").ok();
    for family in FAMILIES.iter().filter(|family| only.as_ref().is_none_or(|only| only == *family)) {
        let Some(worlds) = worlds(family, from, count) else { return };
        let outcome = judged(family, &worlds);
        println!("{}", outcome.line(family));
        if std::env::var_os("EMAC_WORLDS_NOTES").is_some() {
            println!("{}\n{}", outcome.notes.join("\n"), outcome.report(family));
        }
        let (right, claimed) = outcome.sure();
        assert!(right as f64 >= SURE * claimed as f64, "{family}: {}", outcome.report(family));
        let edges = outcome.score.edges;
        assert!(edges.f1() >= EDGES_MIN, "{family}: {}", outcome.report(family));
        all.join(outcome);
    }
    let (right, claimed) = all.sure();
    println!("{}", all.line("all"));
    // Not by luck: the lower end of the interval.
    assert!(clopper_pearson(right, claimed, 0.05).lo() >= SURE, "{}", all.report("all"));
    assert!(all.races.0 as f64 >= RACES_MIN * all.races.1 as f64, "{}", all.line("all"));
    // So few shares are one or two below by chance; the long form has enough of them to ask for the number itself.
    let (inside, shares) = all.score.probabilities;
    assert!(clopper_pearson(inside, shares, 0.05).hi() >= SHARES_MIN, "{}", all.line("all"));
    let is_long = shares >= SHARES_ENOUGH;
    assert!(!is_long || inside as f64 >= SHARES_MIN * shares as f64, "{}", all.line("all"));
}
