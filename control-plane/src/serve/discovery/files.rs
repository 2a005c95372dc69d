//! Files of discovery: configuration that is read again when it changed, candidates, accepted models.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tracing::{info, warn};

use super::super::intents::Fingerprint;
use emac_compile::accept::ModelFile;
use emac_compile::model::{AcceptedModel, CANDIDATE_KIND};
use emac_discovery::mesh::{self, MeshFacts};
use emac_document::{
    Limits, Problems, ReplaceError, Source, create_folders, parse, render_text, replace_file,
};

/// Mesh and cluster configuration, as last read without an error.
pub(super) struct Mesh {
    paths: Vec<PathBuf>,
    read: Option<Fingerprint>,
    facts: MeshFacts,
    problem: Option<String>,
}

impl Mesh {
    pub(super) fn new(paths: &[PathBuf]) -> Self {
        Self { paths: paths.to_vec(), read: None, facts: MeshFacts::default(), problem: None }
    }

    pub(super) const fn facts(&self) -> &MeshFacts {
        &self.facts
    }

    /// Reads everything again if any file changed, appeared or went; what is wrong, if anything. Files with an error change nothing.
    pub(super) fn refresh(&mut self) -> Vec<String> {
        let names: Vec<String> = self.paths.iter().map(|path| path.display().to_string()).collect();
        let now = Fingerprint::take(&names);
        if self.read.as_ref() != Some(&now) {
            self.read = Some(now);
            self.read_again();
        }
        self.problem.iter().cloned().collect()
    }

    fn read_again(&mut self) {
        let problems = Problems::new();
        let facts = mesh::read(&self.paths, &problems);
        if problems.errors() == 0 {
            let passed_over: Vec<String> =
                facts.passed_over.iter().map(|(what, count)| format!("{count} {what}")).collect();
            let (documents, passed_over) = (facts.read.values().sum::<u64>(), passed_over.join(", "));
            info!(documents, passed_over, "mesh configuration is read");
            (self.facts, self.problem) = (facts, None);
            return;
        }
        let text = render_text(&problems, false);
        warn!("mesh configuration is invalid; the last valid one stays in use\n{text}");
        let count = problems.errors();
        self.problem =
            Some(format!("mesh configuration has {count} errors; the last valid one stays in use"));
    }
}

/// Replaces a candidate, whole or not at all. Nothing is written where the same text stands.
pub(super) fn write_candidate(path: &Path, text: &str) -> Result<(), ReplaceError> {
    let failed = |source| ReplaceError { path: path.to_owned(), source };
    match fs::read(path) {
        Ok(old) if old == text.as_bytes() => return Ok(()),
        Ok(old) if is_candidate(&old) => {}
        Ok(_) => {
            return Err(failed(io::Error::other(
                "the file exists and is not a candidate; it was not overwritten",
            )));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    create_folders(path.parent().unwrap_or(Path::new(""))).map_err(failed)?;
    replace_file(path, text.as_bytes())
}

/// Entries of a folder; none where it is not there.
pub(super) fn count_in(folder: &Path) -> usize {
    fs::read_dir(folder).map_or(0, Iterator::count)
}

/// Whether a file says that it is a candidate, whole or damaged.
fn is_candidate(bytes: &[u8]) -> bool {
    let unheard = Problems::new();
    let source = Source::from_bytes("candidate", bytes.to_vec(), &unheard);
    let documents = source.map_or_else(Vec::new, |source| parse(&source, &Limits::default(), &unheard));
    documents.iter().any(|document| document.is_kind(CANDIDATE_KIND))
}

/// Replaces the accepted model, if it is still the one of version `base`.
pub(super) fn replace_model(path: &Path, base: Option<&str>, model: &AcceptedModel) -> Result<(), String> {
    let file = ModelFile::lock(path).map_err(|error| error.to_string())?;
    let problems = Problems::new();
    let Some(found) = file.model(&problems) else { return Err(render_text(&problems, false)) };
    file.check(base, found.as_ref().and_then(AcceptedModel::version)).map_err(|error| error.to_string())?;
    file.replace(model).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_candidate_replaces_a_candidate_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/candidate.yaml");
        write_candidate(&path, "kind: DiscoveredJourneyModel\n").unwrap();
        write_candidate(&path, "kind: DiscoveredJourneyModel\na: 1\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "kind: DiscoveredJourneyModel\na: 1\n");
        fs::write(&path, "kind: AcceptedJourneyModel\n").unwrap();
        assert!(write_candidate(&path, "kind: DiscoveredJourneyModel\n").is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "kind: AcceptedJourneyModel\n");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn configuration_with_an_error_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("payb.yaml");
        let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: payb, namespace: shop, labels: {network: a}}\nspec: {}\n";
        fs::write(&file, pod).unwrap();
        let mut mesh = Mesh::new(&[folder.path().to_owned()]);
        assert_eq!(mesh.refresh(), Vec::<String>::new());
        assert_eq!(mesh.facts().workloads.len(), 1);
        fs::write(&file, "apiVersion: v1\nkind: Pod\nmetadata: {labels: 7\n").unwrap();
        assert_eq!((mesh.refresh().len(), mesh.refresh().len(), mesh.facts().workloads.len()), (1, 1, 1));
        fs::write(&file, format!("{pod}---\n{}", pod.replace("payb", "paya"))).unwrap();
        assert_eq!((mesh.refresh(), mesh.facts().workloads.len()), (Vec::new(), 2));
    }
}
