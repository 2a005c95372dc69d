//! The live loop of the control plane and the process around it: evidence in, budgets out. What it stands on has crates of its own beside `src`.
//!
//! The whole flow in calls, from files to budgets and from traces to the next model:
//!
//! ```
//! use emac_compile::accept::{Consent, Proposal, Selection};
//! use emac_compile::compile::{Given, compile};
//! use emac_compile::declared::Declared;
//! use emac_compile::{emit, model::{CandidateModel, EvidenceSource}};
//! use emac_control_plane::plan::{self, JourneyInput};
//! use emac_discovery::discover::{DiscoveryContext, DiscoveryEvidence, complete, domains::ConfidenceProfile, observe::Observations};
//! use emac_discovery::mesh::MeshFacts;
//! use emac_document::{Limits, Problems, read_all};
//! use emac_journey::slo::Slos;
//! use emac_trace::read::{ReadSettings, read_paths};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//!
//! // Declared: what a person wrote, and the model that somebody accepted, if anybody did.
//! let problems = Problems::new();
//! let documents = read_all(&["examples/discovery/intent.yaml".into()], &Limits::default(), &problems);
//! let slos = Slos::read(&documents, &problems);
//! let journey = Declared::of(&documents, &slos, &problems).remove(0);
//!
//! // Compiled: bounds and a decision from the model that acts, and artifacts for review.
//! let compiled = compile(&journey.intent, journey.acting(), Given::promises(&journey.promises));
//! let artifacts = emit::all(&compiled, emit::prometheus::Dialect::default())?;
//!
//! // Planned: budgets of every workload, from the structure that acts and the evidence of the last seconds. `emac_push` sends them.
//! let input = JourneyInput::of(&journey);
//! let plan = plan::plan(input.as_slice(), &plan::EvidenceByHop::new(), None, 1_700_000_000_000);
//!
//! // Discovered: spans become traces, traces observations, observations a candidate.
//! let mut traces = emac_trace::Assembler::new(emac_trace::TraceLimits::default(), Observations::default());
//! read_paths(&["examples/discovery/traces.jsonl.gz".into()], &ReadSettings::default(), &mut traces, &mut |_| {});
//! let seen = traces.finish();
//! let found = complete(
//!     &DiscoveryEvidence {
//!         observations: &seen.consumer,
//!         symbols: &seen.symbols,
//!         labels: &seen.labels,
//!         mesh: &MeshFacts::default(),
//!         profile: ConfidenceProfile::default(),
//!     },
//!     &DiscoveryContext { intents: &[&journey.intent], source: EvidenceSource::Traces, evidence: &[] },
//! );
//!
//! // Accepted: the only way from a candidate to a model that acts.
//! let agreed = journey.agreed();
//! let candidate = CandidateModel::new(found[0].model.clone(), agreed.version().map(str::to_owned));
//! let proposal = Proposal::new(agreed, &candidate, Some(&journey.intent));
//! let all = Selection::new(&proposal, &[], true)?;
//! let next = proposal.accept(&all, Some(&journey.intent), Consent { by: "ann", at: "2026-01-31T12:00:00Z" })?;
//! # assert!(problems.errors() == 0 && artifacts.len() > 5 && next.is_sealed());
//! # assert_eq!(plan.workloads.len(), 0, "nobody enters this example, so it is computed and not enforced");
//! # Ok(())
//! # }
//! ```

// Who may come in, and how much.
pub mod connections;
pub mod identity;
pub mod places;
pub mod refusal;

// Evidence in.
pub mod aggregate;
pub mod changes;
pub mod evidence_log;
pub mod ingest;
pub mod marks;
pub mod packed;
pub mod store;
pub mod totals;

// Budgets out.
pub mod plan;

// Both, over several processes.
pub mod engine;

// The process around it.
pub mod cli;
pub mod clock;
pub mod config;
pub mod schema;
pub mod serve;
