//! The replay's files to checked values. Their paths below the folder are kept, because the generated documents name them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use emac_core::bound::Domains;
use emac_core::journey::{ComponentName, Journey};
use emac_core::units::Ratio;
use serde_json::Value;

use emac_compile::model::{AcceptedModel, CallType, Model};
use emac_document::{Document, Limits, Node, Problem, Problems, Reader, read_file};

/// What all scenarios have in common.
#[derive(Clone, Debug)]
pub struct Replay {
    /// Paths below the folder.
    pub(super) files: Files,
    pub(super) accepted: Model,
    pub(super) structure: Journey,
    /// `spec.operatorGraph` and `spec.topology.nodes` of the accepted model, as written.
    pub(super) operator_graph: Value,
    pub(super) nodes: Value,
    /// (from, to, call type) of the accepted model, in its order.
    pub(super) edges: Vec<(String, String, CallType)>,
    /// Name of the accepted model's intent, as it refers to it.
    pub(super) canonical_intent: String,
    pub(super) atomic: BTreeMap<ComponentName, Ratio>,
    /// The order of the atomic inputs, and what they say of themselves.
    pub(super) atomic_order: Vec<ComponentName>,
    pub(super) local_view: String,
    pub(super) policy: Policy,
    /// The scenarios, by name.
    pub scenarios: Vec<Scenario>,
}

/// Paths below the folder.
#[derive(Clone, Debug)]
pub(super) struct Files {
    pub(super) accepted: String,
    pub(super) atomic: String,
    pub(super) policy: String,
}

/// `fixtures/policy/*.yaml`.
#[derive(Clone, Debug)]
pub(super) struct Policy {
    pub(super) objective: f64,
    pub(super) auto_accept: f64,
    pub(super) high_impact: f64,
    pub(super) window: String,
    pub(super) pass_requires: Vec<String>,
    /// `separateKnownDomains`, `sharedEffectiveDomain`, `unknownOrConflictingDomain`: as written.
    pub(super) race_rules: BTreeMap<String, String>,
    pub(super) formulas: BTreeMap<String, String>,
}

/// One folder below `fixtures/evidence`.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// `metadata.name`.
    pub name: String,
    pub(super) folder: String,
    pub(super) spans: Vec<RecordedSpan>,
    /// Observations of deployment records, in their order.
    pub(super) observations: BTreeMap<String, Vec<RecordedLabel>>,
}

/// One span.
#[derive(Clone, Debug)]
pub(super) struct RecordedSpan {
    pub(super) trace: String,
    pub(super) id: String,
    pub(super) parent: Option<String>,
    pub(super) service: String,
    pub(super) start: f64,
    pub(super) end: f64,
    pub(super) domain: Option<String>,
}

/// A domain as some record names it.
#[derive(Clone, Debug)]
pub(super) struct RecordedLabel {
    pub(super) value: String,
    pub(super) file: String,
    pub(super) field: String,
    pub(super) signal: String,
}

impl Replay {
    /// Failure domains of the accepted model.
    pub(super) fn accepted_domains(&self) -> BTreeMap<ComponentName, Domains> {
        let known = |finding: &emac_compile::model::DomainFinding| match finding.domains.is_empty() {
            true => Domains::Missing,
            false => Domains::Known(finding.domains.clone()),
        };
        self.accepted.domains.iter().map(|(name, finding)| (name.clone(), known(finding))).collect()
    }
}

/// Reads a replay folder. `None` when there was an error.
pub fn read(folder: &Path, problems: &Problems) -> Option<Replay> {
    let before = problems.errors();
    let accepted_file = only(folder, "fixtures/accepted", problems);
    let atomic_file = only(folder, "fixtures/atomic", problems);
    let policy_file = only(folder, "fixtures/policy", problems);
    let scenarios = scenarios(folder, problems);
    let (accepted_file, accepted) = accepted_file?;
    let (atomic_file, atomic) = atomic_file?;
    let (policy_file, policy_document) = policy_file?;
    let model = AcceptedModel::read(&accepted, problems)?.model().clone();
    let Some(structure) = model.structure.clone() else {
        accepted.reader(problems).refuse::<()>("the accepted model has no operator");
        return None;
    };
    let (atomic_order, values, local_view) = atomic_inputs(atomic.reader(problems))?;
    let policy = policy(policy_document.reader(problems))?;
    let spec = |path: &[&str]| walk(&accepted.root, path).map_or(Value::Null, Node::to_json);
    let edges = model
        .edges
        .iter()
        .map(|edge| (edge.from.clone(), edge.to.clone(), edge.call_type.clone().unwrap_or(CallType::Sync)));
    let replay = Replay {
        files: Files { accepted: accepted_file, atomic: atomic_file, policy: policy_file },
        edges: edges.collect(),
        structure,
        operator_graph: spec(&["spec", "operatorGraph"]),
        nodes: spec(&["spec", "topology", "nodes"]),
        canonical_intent: intent_reference(&accepted),
        accepted: model,
        atomic: values,
        atomic_order,
        local_view,
        policy,
        scenarios,
    };
    (problems.errors() == before).then_some(replay)
}

fn intent_reference(accepted: &Document) -> String {
    let path = ["spec", "relationToCanonicalExample", "canonicalIntentRef"];
    let reference = walk(&accepted.root, &path).and_then(Node::text).unwrap_or_default();
    // The reference starts at the repository, two folders above the replay.
    format!("../../{reference}")
}

/// The only document of the only file in a folder.
fn only(folder: &Path, below: &str, problems: &Problems) -> Option<(String, Document)> {
    let mut names = names(&folder.join(below), problems);
    names.retain(|name| name.ends_with(".yaml"));
    let [name] = names.as_slice() else {
        let message = format!("expected one .yaml file, found {}", names.len());
        problems.push(Problem::error(message).in_file(folder.join(below).display().to_string()));
        return None;
    };
    let path = format!("{below}/{name}");
    Some((path.clone(), document(folder, &path, problems)?))
}

fn names(folder: &Path, problems: &Problems) -> Vec<String> {
    let listed = fs::read_dir(folder)
        .and_then(|all| all.map(|entry| Ok(entry?.file_name())).collect::<Result<Vec<_>, _>>());
    match listed {
        Ok(names) => {
            let mut names: Vec<_> = names.into_iter().filter_map(|name| name.into_string().ok()).collect();
            names.sort();
            names
        }
        Err(error) => {
            problems.push(
                Problem::error(format!("cannot be listed: {error}")).in_file(folder.display().to_string()),
            );
            Vec::new()
        }
    }
}

fn document(folder: &Path, path: &str, problems: &Problems) -> Option<Document> {
    let file = folder.join(path);
    let before = problems.errors();
    let document = read_file(&file, &Limits::default(), problems).into_iter().next();
    if document.is_none() && problems.errors() == before {
        problems
            .push(Problem::error("there is no document in this file").in_file(file.display().to_string()));
    }
    document
}

fn atomic_inputs(reader: Reader<'_>) -> Option<(Vec<ComponentName>, BTreeMap<ComponentName, Ratio>, String)> {
    reader.fields(|fields| {
        fields.accept_rest();
        fields.required("spec", |spec| {
            spec.fields(|fields| {
                fields.accept_rest();
                let view = fields.optional("localSloView", Reader::word).unwrap_or("unknown").to_owned();
                let components = fields.required("components", |components| {
                    components.map(|entry, value| {
                        let name = ComponentName::new(&entry.key).ok()?;
                        Some((name, value.fields(availability)?))
                    })
                })?;
                let order = components.iter().map(|(name, _)| name.clone()).collect();
                Some((order, components.into_iter().collect(), view))
            })
        })
    })
}

fn availability(fields: &mut emac_document::Fields<'_>) -> Option<Ratio> {
    fields.accept_rest();
    fields.required("availability", Reader::ratio)
}

fn policy(reader: Reader<'_>) -> Option<Policy> {
    reader.fields(|fields| {
        fields.accept_rest();
        fields.required("spec", |spec| {
            spec.fields(|fields| {
                fields.accept_rest();
                let objective = fields.required("objectiveAvailability", Reader::ratio);
                let auto_accept = fields.required("autoAcceptConfidence", Reader::ratio);
                let high_impact = fields.required("highImpactDeltaThreshold", Reader::number);
                let window = fields.required("evidenceWindow", Reader::word);
                let pass_requires = fields.optional("governance", pass_requires).unwrap_or_default();
                let (race_rules, formulas) = fields.optional("compilation", compilation).unwrap_or_default();
                Some(Policy {
                    objective: objective?.get(),
                    auto_accept: auto_accept?.get(),
                    high_impact: high_impact?,
                    window: window?.to_owned(),
                    pass_requires,
                    race_rules,
                    formulas,
                })
            })
        })
    })
}

fn pass_requires(reader: Reader<'_>) -> Option<Vec<String>> {
    reader.fields(|fields| {
        fields.accept_rest();
        fields.required("passRequires", |all| all.list(|one| one.word().map(str::to_owned)))
    })
}

type Texts = BTreeMap<String, String>;

fn compilation(reader: Reader<'_>) -> Option<(Texts, Texts)> {
    let texts = |reader: Reader<'_>| {
        let pairs = reader.map(|entry, value| Some((entry.key.clone(), value.word()?.to_owned())))?;
        Some(pairs.into_iter().collect())
    };
    reader.fields(|fields| {
        fields.accept_rest();
        let rules = fields.optional("racePessimisticRules", texts).unwrap_or_default();
        let formulas = fields.optional("formulas", texts).unwrap_or_default();
        Some((rules, formulas))
    })
}

fn scenarios(folder: &Path, problems: &Problems) -> Vec<Scenario> {
    let below = "fixtures/evidence";
    let names = names(&folder.join(below), problems);
    names.iter().filter_map(|name| scenario(folder, &format!("{below}/{name}"), problems)).collect()
}

fn scenario(folder: &Path, below: &str, problems: &Problems) -> Option<Scenario> {
    let [scenario, traces, deployment] = ["scenario.yaml", "trace-evidence.yaml", "deployment-domains.yaml"]
        .map(|name| document(folder, &format!("{below}/{name}"), problems));
    let (scenario, traces, deployment) = (scenario?, traces?, deployment?);
    let name = scenario.reader(problems).fields(|fields| {
        fields.accept_rest();
        fields.required("metadata", |metadata| {
            metadata.fields(|fields| {
                fields.accept_rest();
                fields.required("name", Reader::word)
            })
        })
    });
    let spans = traces.reader(problems).fields(|fields| {
        fields.accept_rest();
        fields.required("spans", |spans| spans.list(span))
    });
    let observations = deployment.reader(problems).fields(|fields| {
        fields.accept_rest();
        let file = format!("{below}/deployment-domains.yaml");
        fields.required("services", |services| {
            services.map(|entry, service| Some((entry.key.clone(), observations(service, &file)?)))
        })
    });
    Some(Scenario {
        name: name?.to_owned(),
        folder: below.to_owned(),
        spans: spans?,
        observations: observations?.into_iter().collect(),
    })
}

fn span(reader: Reader<'_>) -> Option<RecordedSpan> {
    reader.fields(|fields| {
        fields.accept_rest();
        let trace = fields.required("trace_id", Reader::word);
        let id = fields.required("span_id", Reader::word);
        let parent = fields.optional("parent_span_id", Reader::word).map(str::to_owned);
        let service = fields.required("service", Reader::word);
        let start = fields.required("start_ms", Reader::number);
        let duration = fields.required("duration_ms", Reader::number);
        let domain = fields.optional("attributes", |attributes| {
            attributes.fields(|fields| {
                fields.accept_rest();
                fields.optional("emac.provider_domain", Reader::word).map(str::to_owned)
            })
        });
        let (start, duration) = (start?, duration?);
        Some(RecordedSpan {
            trace: trace?.to_owned(),
            id: id?.to_owned(),
            parent,
            service: service?.to_owned(),
            start,
            end: start + duration.max(0.0),
            domain,
        })
    })
}

fn observations(service: Reader<'_>, file: &str) -> Option<Vec<RecordedLabel>> {
    service.fields(|fields| {
        fields.accept_rest();
        let all = fields.optional("domain_observations", |all| {
            all.list(|one| {
                one.fields(|fields| {
                    fields.accept_rest();
                    let value = fields.required("value", Reader::word);
                    let field = fields.required("field", Reader::word);
                    let signal = fields.required("signal", Reader::word);
                    let (value, field, signal) = (value?.to_owned(), field?.to_owned(), signal?.to_owned());
                    Some(RecordedLabel { value, file: file.to_owned(), field, signal })
                })
            })
        });
        Some(all.unwrap_or_default())
    })
}

fn walk<'n>(node: &'n Node, path: &[&str]) -> Option<&'n Node> {
    path.iter().try_fold(node, |node, key| {
        let entry = node.entries()?.iter().find(|entry| entry.key == *key)?;
        Some(&entry.value)
    })
}
