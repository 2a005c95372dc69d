//! Timeouts, retries and breakers of each call, from what the mesh says and what traces show.
//!
//! Per parameter the statements about the destination that hold for the caller are put together. One value: it is identified. Two values for
//! the same calls: contradictory, and none is taken. A value for some of the calls (a route's match, a gateway's traffic, a subset, another
//! namespace's workloads): unresolved, because a call of the model is not one route. Where traces show more tries than configured, or a call far longer than its timeout, the configuration is not
//! in force: contradictory, and a [`Disagreement`]. Tries that nobody configured are the application's own.
//!
//! Configuration is no sample, so its confidence is the paper's constants: 0.95 for one kind of source, `1 - 0.05^k` for `k` kinds (Istio's
//! objects, Envoy's dump, traces) that agree, 0.35 for a contradiction, 0.20 where it depends on the route.

use std::collections::{BTreeMap, BTreeSet};

use emac_core::units::Ratio;

use super::name::{Matched, Name, best};
use super::{MeshFacts, Scope, Statement};
use emac_compile::model::{
    Disagreement, EvidenceSource, Field, Finding, Provenance, RuntimeParameters, Status,
};

/// A call of the model.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelCall {
    /// Who calls, as the model names it.
    pub from: String,
    /// Who is called, as the model names it.
    pub to: String,
    /// Names of the caller in traces and mesh.
    pub from_name: Name,
    /// Names of the callee in traces and mesh.
    pub to_name: Name,
    /// What traces show, if any.
    pub observed: Option<ObservedCall>,
}

/// What traces show of a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObservedCall {
    /// Calls seen.
    pub calls: u64,
    /// Most tries of one of them, at least 1.
    pub attempts_max: u32,
    /// The longest one, milliseconds.
    pub slowest_ms: Option<u64>,
    /// A few trace ids, hexadecimal.
    pub traces: Vec<String>,
}

/// Fields of the model and why.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Runtime {
    /// What is agreed, by (caller, callee).
    pub parameters: BTreeMap<(String, String), RuntimeParameters>,
    /// `runtime/...` fields, for calls of which anything is said.
    pub findings: BTreeMap<Field, Finding>,
    /// Where traces contradict configuration.
    pub disagreements: Vec<Disagreement>,
}

impl ModelCall {
    /// A call whose two names are those of the model.
    pub fn new(from: &str, to: &str) -> Self {
        let (from_name, to_name) = (Name::new(from), Name::new(to));
        Self { from: from.to_owned(), to: to.to_owned(), from_name, to_name, observed: None }
    }
}

/// Parameters of every call. O(calls · statements).
pub fn runtime(facts: &MeshFacts, calls: &[ModelCall]) -> Runtime {
    let mut all = Runtime::default();
    for call in calls {
        let Some(found) = RuntimeFinding::of(facts, call) else { continue };
        let field = Field::Runtime { from: call.from.clone(), to: call.to.clone() };
        all.disagreements.extend(found.disagreements(&field));
        all.findings.insert(field, found.finding());
        if found.parameters != RuntimeParameters::default() {
            all.parameters.insert((call.from.clone(), call.to.clone()), found.parameters);
        }
    }
    all
}

/// What is said about one parameter: its values, each with the scopes it is said for.
type Said = BTreeMap<String, BTreeSet<Scope>>;

/// What was found of the parameters of one call.
struct RuntimeFinding {
    parameters: RuntimeParameters,
    status: Status,
    provenance: Vec<Provenance>,
    kinds: i32,
    samples: u64,
    /// (configured, observed).
    contradicted: Vec<(String, String)>,
}

impl RuntimeFinding {
    /// `None` when nothing is said and nothing was seen that bears on a parameter.
    fn of(facts: &MeshFacts, call: &ModelCall) -> Option<Self> {
        let (statements, ambiguous) = about(facts, call);
        let retried = call.observed.as_ref().filter(|observed| observed.attempts_max > 1);
        if statements.is_empty() && retried.is_none() {
            return None;
        }
        let mut found = Self::agreed(&statements);
        if ambiguous {
            found = Self { parameters: RuntimeParameters::default(), status: Status::Unresolved, ..found };
        }
        if let Some(observed) = &call.observed {
            found.compare(observed);
        }
        Some(found)
    }

    fn agreed(statements: &[Statement]) -> Self {
        let (parameters, status) = agreed_parameters(statements);
        let provenance: BTreeSet<_> =
            statements.iter().map(|statement| statement.provenance.clone()).collect();
        // A dump speaks for one sidecar, Istio's objects for all.
        let kinds: BTreeSet<_> =
            statements.iter().map(|statement| statement.scope.caller.is_some()).collect();
        Self {
            parameters,
            status,
            samples: statements.len() as u64,
            provenance: provenance.into_iter().collect(),
            kinds: kinds.len() as i32,
            contradicted: Vec::new(),
        }
    }

    /// Sets what traces show beside what is configured.
    fn compare(&mut self, observed: &ObservedCall) {
        let tries = observed.attempts_max.max(1);
        match self.parameters.attempts {
            Some(configured) if tries > configured => self
                .contradicted
                .push((format!("{configured} attempts at most"), format!("{tries} attempts in one call"))),
            None if tries > 1 && self.status == Status::Identified => self.parameters.attempts = Some(tries),
            _ => {}
        }
        let timeout = self.parameters.timeout_ms;
        if let (Some(timeout), Some(slowest)) = (timeout, observed.slowest_ms)
            && slowest > timeout + timeout / SLACK_SHARE + SLACK_MS
        {
            self.contradicted.push((format!("{timeout} ms at most"), format!("a call of {slowest} ms")));
        }
        self.kinds += i32::from(self.contradicted.is_empty());
        self.samples = self.samples.saturating_add(observed.calls);
        self.provenance.push(Provenance {
            source: EvidenceSource::Traces,
            says: seen(observed, tries),
            traces: observed.traces.iter().take(Provenance::TRACES_MAX).cloned().collect(),
            place: None,
        });
        if !self.contradicted.is_empty() {
            self.status = Status::Contradictory;
        }
    }

    fn finding(&self) -> Finding {
        let confidence = match self.status {
            Status::Identified => 1.0 - ONE_KIND_ERRS.powi(self.kinds.max(1)),
            Status::Contradictory => CONTRADICTORY,
            Status::Unresolved => UNRESOLVED,
        };
        Finding {
            status: self.status,
            confidence: Ratio::new(confidence).unwrap_or_default(),
            samples: self.samples,
            provenance: self.provenance.clone(),
        }
    }

    fn disagreements(&self, field: &Field) -> Vec<Disagreement> {
        let one = |(declared, observed): &(String, String)| Disagreement {
            field: field.clone(),
            declared: format!("configured: {declared}"),
            observed: observed.clone(),
        };
        self.contradicted.iter().map(one).collect()
    }
}

/// How often one kind of source is taken to be wrong, as in the paper; several that agree are wrong together only when each is.
const ONE_KIND_ERRS: f64 = 0.05;
/// The paper's confidence in what is contradicted.
const CONTRADICTORY: f64 = 0.35;
/// The paper's confidence in what nothing is known of.
const UNRESOLVED: f64 = 0.20;

/// A call may outlast its timeout by a quarter and this much: the caller's own work, and clocks.
const SLACK_MS: u64 = 50;
const SLACK_SHARE: u64 = 4;

fn seen(observed: &ObservedCall, tries: u32) -> String {
    let slowest =
        observed.slowest_ms.map(|slowest| format!(", the longest {slowest} ms")).unwrap_or_default();
    format!("{} calls, at most {tries} tries{slowest}", observed.calls)
}

/// Statements about the callee that hold for the caller, mirrors among them, and whether the callee's name means several.
fn about(facts: &MeshFacts, call: &ModelCall) -> (Vec<Statement>, bool) {
    let mirrors = facts.mirrors.iter().map(|mirror| Statement {
        to: mirror.host.clone(),
        scope: mirror.scope.clone(),
        parameters: RuntimeParameters {
            mirror: Some((mirror.to.to.to_string(), mirror.share)),
            ..RuntimeParameters::default()
        },
        more: BTreeMap::new(),
        provenance: mirror.provenance.clone(),
    });
    let holds = |statement: Statement| {
        let scope = statement.scope.of_caller(&call.from_name)?;
        statement.to.meets(&call.to_name).then_some(Statement { scope, ..statement })
    };
    let all: Vec<Statement> = facts.statements.iter().cloned().chain(mirrors).filter_map(holds).collect();
    let names: BTreeSet<Name> = all.iter().map(|statement| statement.to.clone()).collect();
    match best(&call.to_name, &names) {
        Matched::One(at) => {
            let closest = names.into_iter().nth(at);
            (all.into_iter().filter(|statement| Some(&statement.to) == closest.as_ref()).collect(), false)
        }
        Matched::Several(_) => (all, true),
        Matched::Nobody => (Vec::new(), false),
    }
}

/// The values that the statements agree on, parameter by parameter, and the worst status of one of them.
fn agreed_parameters(statements: &[Statement]) -> (RuntimeParameters, Status) {
    let mut status = Status::Identified;
    let parameters = RuntimeParameters {
        timeout_ms: agreed(statements, &mut status, |said| said.timeout_ms),
        per_try_timeout_ms: agreed(statements, &mut status, |said| said.per_try_timeout_ms),
        attempts: agreed(statements, &mut status, |said| said.attempts),
        retry_on: agreed(statements, &mut status, |said| said.retry_on.clone()),
        max_connections: agreed(statements, &mut status, |said| said.max_connections),
        max_pending: agreed(statements, &mut status, |said| said.max_pending),
        consecutive_errors: agreed(statements, &mut status, |said| said.consecutive_errors),
        mirror: copied(statements, &mut status),
    };
    (parameters, status)
}

/// The value of one parameter that the statements agree on; `worst` becomes its status where that is worse.
fn agreed<T: Clone + PartialEq + std::fmt::Debug>(
    statements: &[Statement],
    worst: &mut Status,
    get: impl Fn(&RuntimeParameters) -> Option<T>,
) -> Option<T> {
    let (value, status) = merged(statements, get);
    if rank(status) > rank(*worst) {
        *worst = status;
    }
    value
}

/// The one copy that is made of every call. Several are no contradiction, but more than the model has room for.
fn copied(statements: &[Statement], worst: &mut Status) -> Option<(String, Ratio)> {
    let of = |statement: &Statement| statement.parameters.mirror.clone();
    let copies: BTreeSet<_> =
        statements.iter().filter_map(of).map(|(to, share)| (to, share.get().to_bits())).collect();
    if copies.len() > 1 {
        if rank(Status::Unresolved) > rank(*worst) {
            *worst = Status::Unresolved;
        }
        return None;
    }
    agreed(statements, worst, |said| said.mirror.clone())
}

/// The value that all statements agree on, and how sure that is. A parameter nobody sets is identified as not set; one that is set for some of
/// the calls only is unresolved.
fn merged<T: Clone + PartialEq + std::fmt::Debug>(
    statements: &[Statement],
    get: impl Fn(&RuntimeParameters) -> Option<T>,
) -> (Option<T>, Status) {
    let mut said = Said::new();
    let mut first = None;
    for statement in statements {
        let Some(value) = get(&statement.parameters) else { continue };
        said.entry(format!("{value:?}")).or_default().insert(without_caller(&statement.scope));
        first.get_or_insert(value);
    }
    if said.len() <= 1 {
        let always = said.values().flatten().any(|scope| !scope.is_conditional());
        return match first {
            Some(_) if !always => (None, Status::Unresolved),
            _ => (first, Status::Identified),
        };
    }
    let mut scopes: BTreeMap<&Scope, usize> = BTreeMap::new();
    said.values().flatten().for_each(|scope| *scopes.entry(scope).or_default() += 1);
    let same = scopes.values().any(|&values| values > 1);
    (None, if same { Status::Contradictory } else { Status::Unresolved })
}

/// All statements hold for this caller, whoever they were read from.
fn without_caller(scope: &Scope) -> Scope {
    Scope { caller: None, ..scope.clone() }
}

fn rank(status: Status) -> u8 {
    match status {
        Status::Identified => 0,
        Status::Unresolved => 1,
        Status::Contradictory => 2,
    }
}
