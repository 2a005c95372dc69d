//! Files to facts.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::at::At;
use super::{MeshFacts, envoy, gateway_api, istio, kubernetes, linkerd, mesh_config};
use emac_document::{Limits, Problem, Problems, Source, list_files, parse};

/// Most bytes of one file: a dump of a sidecar that knows 10 000 services has some hundred megabytes.
const BYTES_MAX: usize = 512 << 20;
/// What manifests may cost: `kubectl get pods -o json` of a few thousand pods.
const LIMITS: Limits = Limits { bytes_max: 64 << 20, depth_max: 200, nodes_max: 4_000_000 };

/// Reads the given files, and the `.yaml`, `.yml` and `.json` files of the given directories, in the order of names. What cannot be read is a
/// problem; facts read before and after it are still there, so look at [`Problems::errors`] before they are used.
pub fn read(paths: &[PathBuf], problems: &Problems) -> MeshFacts {
    let mut facts = MeshFacts::default();
    for file in list_files(paths, problems) {
        read_file(&file, &mut facts, problems);
    }
    kubernetes::settle(&mut facts);
    facts
}

fn read_file(file: &Path, facts: &mut MeshFacts, problems: &Problems) {
    if let Some(source) = Source::read(file, BYTES_MAX, problems) {
        add(&source, facts, problems);
    }
}

/// The same for one text.
pub fn read_text(name: &str, text: &str, problems: &Problems) -> MeshFacts {
    let mut facts = MeshFacts::default();
    add(&Source::new(name, text), &mut facts, problems);
    kubernetes::settle(&mut facts);
    facts
}

/// A dump is read by a parser that builds only what is asked for, everything else with places.
fn add(source: &Arc<Source>, facts: &mut MeshFacts, problems: &Problems) {
    if is_dump(source.text()) {
        match envoy::read(source, facts) {
            Ok(()) => *facts.read.entry("config_dump".to_owned()).or_default() += 1,
            Err(error) => problems.push(json_problem(source, &error)),
        }
        return;
    }
    for document in parse(source, &LIMITS, problems) {
        match envoy::read_document(&document, facts) {
            None => object(&At::root(&document, problems), facts),
            Some(Ok(())) => *facts.read.entry("config_dump".to_owned()).or_default() += 1,
            Some(Err(error)) => {
                let why = format!("not a proxy's configuration: {error}");
                problems.push(Problem::error(why).at(&document.source, document.root.span));
            }
        }
    }
}

/// Whether a text is an object with `configs`, which no manifest has. One pass over a JSON text, nothing built.
fn is_dump(text: &str) -> bool {
    #[derive(Deserialize)]
    struct Probe {
        configs: IgnoredAny,
    }
    text.trim_start_matches('\u{feff}').trim_start().starts_with('{')
        && serde_json::from_str::<Probe>(text).is_ok_and(|Probe { configs: IgnoredAny }| true)
}

fn json_problem(source: &Arc<Source>, error: &serde_json::Error) -> Problem {
    let line = source.lines_range(error.line(), error.line());
    let at = u32::try_from(line.start + error.column().saturating_sub(1)).unwrap_or_default();
    let span = emac_document::Span { start: at, end: at };
    Problem::error(format!("not a config_dump: {error}")).at(source, span)
}

/// One manifest, or a list of them.
fn object(at: &At<'_>, facts: &mut MeshFacts) {
    if at.is_list_of_objects() {
        return at.items("items").iter().for_each(|item| object(item, facts));
    }
    let (Some(version), Some(kind)) = (at.text("apiVersion"), at.text("kind")) else {
        if mesh_config::alone(at, facts) {
            *facts.read.entry("MeshConfig".to_owned()).or_default() += 1;
            return;
        }
        *facts.passed_over.entry("no apiVersion or kind".to_owned()).or_default() += 1;
        return;
    };
    let group = version.split_once('/').map_or("", |(group, _)| group);
    let known = match group {
        "networking.istio.io" => istio::object(kind, at, facts),
        "gateway.networking.k8s.io" | "policy.linkerd.io" => gateway_api::object(kind, at, facts),
        "linkerd.io" => linkerd::object(kind, at, facts),
        "" if kind == "ConfigMap" => mesh_config::config_map(at, facts),
        "install.istio.io" => mesh_config::operator(kind, at, facts),
        "" | "apps" | "discovery.k8s.io" | "argoproj.io" => kubernetes::object(group, kind, at, facts),
        _ => false,
    };
    let counts = if known { &mut facts.read } else { &mut facts.passed_over };
    *counts.entry(kind.to_owned()).or_default() += 1;
}
