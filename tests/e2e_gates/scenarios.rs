//! What may happen to a new version, and how that must end: once under Argo Rollouts, once under Flagger. All of it at once, as every
//! measurement is a minute after the one before.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use emac_tests::kube::Told;

use crate::canaries::Canary;
use crate::cluster::Cluster;
use crate::rollouts::Rollout;
use crate::series::Answers::{self, *};
use crate::tools::Tools;
use crate::{admission, shipped};

/// How it ends under Argo Rollouts. Flagger knows no third way: what cannot be judged is rolled back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The new version is the stable one.
    Promoted,
    /// The old version runs alone.
    RolledBack,
    /// It waits for a person.
    Paused,
}

/// Whose numbers are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// What the application counts: queries of the intent.
    Own,
    /// Nothing is stated: what sidecars and control plane say.
    Default,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) old: Answers,
    pub(crate) new: Answers,
    pub(crate) asked: Asked,
    pub(crate) end: End,
    /// Steps of the Rollout: 0.5 makes two analyses.
    pub(crate) step: f64,
    /// The journey's admission policies are in force.
    pub(crate) guarded: bool,
    /// Prometheus does not answer.
    pub(crate) away: bool,
}

const fn scenario(name: &'static str, new: Answers, end: End) -> Scenario {
    Scenario { name, old: Well, new, asked: Asked::Own, end, step: 1.0, guarded: false, away: false }
}

pub(crate) const ALL: &[Scenario] = &[
    Scenario { step: 0.5, guarded: true, ..scenario("healthy", Well, End::Promoted) },
    scenario("all-fail", AllFail, End::RolledBack),
    scenario("all-fail-beside-successes", AllFailBeside, End::RolledBack),
    scenario("two-percent-fail", TwoPercentFail, End::RolledBack),
    scenario("vanishes", VanishAfter(90), End::Paused),
    scenario("unmeasured", Unmeasured, End::Paused),
    Scenario { old: Unmeasured, ..scenario("no-data-at-all", Unmeasured, End::Paused) },
    Scenario { old: AllFail, ..scenario("only-stable-fails", Well, End::Promoted) },
    scenario("one-of-thirty-fails", OneOfThirtyFails, End::Paused),
    scenario("all-of-forty-fail", FortyFail, End::RolledBack),
    Scenario { away: true, ..scenario("prometheus-away", Well, End::RolledBack) },
    Scenario { asked: Asked::Default, ..scenario("default-sli", Well, End::Promoted) },
    Scenario { asked: Asked::Default, ..scenario("default-sli-fails", AllFail, End::RolledBack) },
];

impl Scenario {
    /// An intent of a journey through one service; its name is the journey's.
    pub(crate) fn intent(&self, name: &str) -> String {
        let sli = match self.asked {
            Asked::Default => String::new(),
            Asked::Own => format!(
                "      sli:
        goodEventQuery: sum(rate(http_requests_total{{service=\"{name}\",code!~\"5..\"}}[{{{{ .window }}}}]))
        totalEventQuery: sum(rate(http_requests_total{{service=\"{name}\"}}[{{{{ .window }}}}]))
"
            ),
        };
        let latency = match self.asked {
            Asked::Default => "    latency: {window: 30d, objective: {metric: p95, threshold: 400ms}}\n",
            Asked::Own => "",
        };
        format!(
            "apiVersion: emac.dev/v1alpha1
kind: JourneyIntent
metadata: {{name: {name}}}
spec:
  objectives:
    availability:
      window: 30d
      target: 0.99
{sli}{latency}  operator: {{ref: {name}}}
  components:
    {name}: {{availability: 0.9999, latency: {{p50: 5ms, p99: 20ms}}}}
  governance:
    actions:
      - {{kind: PromoteCanary, guard: 'A_minus >= objective', parameterBounds: {{maxTrafficStep: {}}}}}
",
            self.step
        )
    }
}

/// How it went so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Running(String),
    Ended(End, String),
}

/// One scenario under one controller.
pub(crate) trait Play: Send {
    /// `argo all-fail`.
    fn name(&self) -> String;
    /// How it must end.
    fn expected(&self) -> End;
    /// Writes what its journey needs, into this folder.
    fn compile(&mut self, cluster: &Cluster) -> Told<PathBuf>;
    /// Brings the old version up; true when it runs and the new one may come.
    fn prepare(&mut self, cluster: &Cluster) -> Told<bool>;
    /// Brings the new version.
    fn release(&mut self, cluster: &Cluster) -> Told<()>;
    /// Looks, and does what a person would.
    fn look(&mut self, cluster: &Cluster) -> Told<Seen>;
    /// What was measured, for messages.
    fn measured(&self, cluster: &Cluster) -> String;
}

/// Longest a new version may take.
const PATIENCE: Duration = Duration::from_secs(11 * 60);

/// Plays what is named, or all.
pub(crate) fn play(tools: &Tools, wanted: &[String]) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("{}: {error}", crate::TEST);
            return ExitCode::FAILURE;
        }
    };
    let cluster = match runtime.block_on(Cluster::start(tools)) {
        Ok(cluster) => cluster,
        Err(why) => {
            eprintln!("{}: FAILED to start: {why}", crate::TEST);
            return ExitCode::FAILURE;
        }
    };
    let failed = all(tools, cluster, wanted);
    println!("{}: {}; logs in {}", crate::TEST, failed.0, crate::ROOM.folder().display());
    if failed.1 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn all(tools: &Tools, mut cluster: Cluster, wanted: &[String]) -> (String, bool) {
    let named: Vec<&String> = wanted.iter().filter(|argument| !argument.starts_with('-')).collect();
    let is_wanted = |name: &str| named.is_empty() || named.iter().any(|part| name.contains(part.as_str()));
    let (mut shown, mut failed) = (0, Vec::new());
    let mut tell = |name: &str, outcome: Told, took: Duration| {
        match outcome {
            Ok(seen) => {
                shown += 1;
                println!("shown   {name}: {seen} ({} s)", took.as_secs());
            }
            Err(why) => {
                println!("FAILED  {name}: {why} ({} s)", took.as_secs());
                failed.push(name.to_owned());
            }
        };
    };
    for (name, check) in [
        ("shipped objects", shipped::are_taken as fn(&mut Cluster) -> Told),
        ("admission", admission::judges as fn(&mut Cluster) -> Told),
    ] {
        if is_wanted(name) {
            let began = Instant::now();
            tell(name, check(&mut cluster), began.elapsed());
        }
    }
    let mut plays: Vec<Box<dyn Play>> = Vec::new();
    for scenario in ALL {
        plays.push(Box::new(Rollout::new(*scenario)));
        plays.push(Box::new(Canary::new(*scenario)));
    }
    plays.retain(|play| is_wanted(&play.name()));
    let outcome = at_once(tools, &mut cluster, plays, &mut tell);
    if let Err(why) = outcome {
        tell("controllers", Err(why), Duration::ZERO);
    }
    let list = if failed.is_empty() { String::new() } else { format!(": {}", failed.join(", ")) };
    (format!("{shown} shown, {} failed{list}", failed.len()), !failed.is_empty())
}

fn at_once(
    tools: &Tools,
    cluster: &mut Cluster,
    mut plays: Vec<Box<dyn Play>>,
    tell: &mut impl FnMut(&str, Told, Duration),
) -> Told<()> {
    if plays.is_empty() {
        return Ok(());
    }
    let mut answers = BTreeMap::new();
    for scenario in ALL {
        answers.insert(Rollout::service(scenario), (scenario.old, scenario.new));
        answers.insert(Canary::service(scenario), (scenario.old, scenario.new));
    }
    let compiling = &*cluster;
    let compiled: Vec<Told<PathBuf>> = std::thread::scope(|scope| {
        let each = plays.iter_mut().map(|play| scope.spawn(|| play.compile(compiling)));
        let each: Vec<_> = each.collect();
        each.into_iter()
            .map(|one| one.join().unwrap_or_else(|_| Err("compiling panicked".to_owned())))
            .collect()
    });
    let rules = compiled.into_iter().map(|out| Ok(out?.join("prometheus/rules.yaml")));
    let rules = rules.collect::<Told<Vec<PathBuf>>>()?;
    cluster.run(tools, answers, &rules)?;
    cluster.progress(&format!("{} rollouts and canaries: their first version", plays.len()));
    let mut waiting: Vec<usize> = (0..plays.len()).collect();
    cluster.until(Duration::from_secs(240), "first versions run", |cluster| {
        waiting.retain(|&at| !matches!(plays[at].prepare(cluster), Ok(true)));
        waiting.is_empty()
    })?;
    cluster.progress("the compiled rules record");
    let recorded = r#"count(count by (__name__) ({__name__=~"journey:.*:availability_bound"}))"#;
    let journeys = plays.len() as f64;
    cluster.until(Duration::from_secs(120), "rules record", |cluster| {
        cluster.query(recorded).is_ok_and(|found| found.first().is_some_and(|(_, count)| *count >= journeys))
    })?;
    cluster.progress("the new versions");
    for play in &mut plays {
        play.release(cluster)?;
    }
    let began = Instant::now();
    let mut running: Vec<usize> = (0..plays.len()).collect();
    let mut said = vec![String::new(); plays.len()];
    let mut ended: Vec<(usize, Told, Duration)> = Vec::new();
    let finish = cluster.until(PATIENCE, "every version is judged", |cluster| {
        running.retain(|&at| {
            let play = &mut plays[at];
            let name = play.name();
            match play.look(cluster) {
                Err(_) => true,
                Ok(Seen::Running(what)) => {
                    if said[at] != what {
                        cluster.progress(&format!("{name}: {what}"));
                        said[at] = what;
                    }
                    true
                }
                Ok(Seen::Ended(end, why)) => {
                    let outcome = match end == play.expected() {
                        true => Ok(format!("{end:?}: {why}")),
                        false => Err(format!(
                            "{end:?} instead of {:?}: {why}\n{}",
                            play.expected(),
                            play.measured(cluster)
                        )),
                    };
                    cluster.progress(&format!("{name}: {end:?}"));
                    ended.push((at, outcome, began.elapsed()));
                    false
                }
            }
        });
        running.is_empty()
    });
    for &at in &running {
        ended.push((
            at,
            Err(format!("never ended: {}\n{}", said[at], plays[at].measured(cluster))),
            began.elapsed(),
        ));
    }
    // What was not promoted must not be, later.
    for (at, outcome, took) in ended {
        let play = &mut plays[at];
        let outcome = outcome.and_then(|seen| match play.look(cluster) {
            Ok(Seen::Ended(end, _)) if end == play.expected() => Ok(seen),
            other => Err(format!("{seen}, and then {other:?}")),
        });
        tell(&play.name(), outcome, took);
    }
    finish
}
