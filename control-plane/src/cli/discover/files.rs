//! Candidates and pictures onto the disk: whole or not at all, and never over somebody's work.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::super::exit::Exit;
use super::super::output::complain;
use super::draft::Draft;
use super::{Args, is_file};
use emac_compile::emit::write::put;
use emac_compile::emit::{ModelCaptions, draw_journey};
use emac_compile::model::{CandidateModel, Model};
use emac_discovery::discover::Discovered;
use emac_document::{Limits, Problems, read_file};

/// Where one journey was written.
pub(super) struct Written {
    pub(super) candidate: PathBuf,
    pub(super) picture: PathBuf,
}

/// Writes every candidate, or the one that a single file is for. As `candidates`; `None`: not written.
///
/// Drafts of intents go with them: all files are written, or none.
pub(super) fn write(
    args: &Args,
    candidates: &[(Discovered, CandidateModel)],
    drafts: &[Draft],
) -> Result<Vec<Option<Written>>, Exit> {
    let places = places(args, candidates)?;
    let mut staged = Vec::new();
    for ((_, candidate), place) in candidates.iter().zip(&places) {
        let Some(place) = place else { continue };
        if !args.force && edited(&place.candidate) {
            complain(format!("{}: was edited by hand; --force overwrites it", place.candidate.display()));
            return Err(Exit::InvalidInput);
        }
        staged.push((place.candidate.clone(), candidate.to_text()));
        staged.push((place.picture.clone(), picture(candidate.model())));
    }
    staged.extend(drafts.iter().filter_map(|draft| Some((draft.path.clone(), draft.text.clone()?))));
    let staged: Vec<_> = staged.iter().map(|(path, text)| (path.clone(), text.as_str())).collect();
    put(&staged).map_err(|error| {
        complain(error);
        Exit::Runtime
    })?;
    Ok(places)
}

/// Candidates in the folder that another run wrote: they are not of these traces.
pub(super) fn stale(args: &Args, written: &[Option<Written>]) -> Vec<PathBuf> {
    if is_file(&args.out) {
        return Vec::new();
    }
    let own: BTreeSet<_> = written.iter().flatten().map(|written| &written.candidate).collect();
    let there = std::fs::read_dir(&args.out).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_candidate = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(".candidate.yaml"))
    };
    let mut stale: Vec<_> = there.filter(|path| is_candidate(path) && !own.contains(path)).collect();
    stale.sort();
    stale
}

fn places(args: &Args, candidates: &[(Discovered, CandidateModel)]) -> Result<Vec<Option<Written>>, Exit> {
    if !is_file(&args.out) {
        let in_folder = |one: &Discovered| {
            let file = |end: &str| args.out.join(format!("{}.{end}", one.name));
            Some(Written { candidate: file("candidate.yaml"), picture: file("svg") })
        };
        return Ok(candidates.iter().map(|(one, _)| in_folder(one)).collect());
    }
    let declared: Vec<bool> = candidates.iter().map(|(one, _)| one.declared.is_some()).collect();
    let wanted = |place: usize| match declared.iter().filter(|declared| **declared).count() {
        // Nobody declared any: the only one will do.
        0 => candidates.len() == 1,
        1 => declared.get(place) == Some(&true),
        _ => false,
    };
    if (0..candidates.len()).all(|place| !wanted(place)) {
        let names: Vec<_> = candidates.iter().map(|(one, _)| one.name.clone()).collect();
        complain(format!(
            "several journeys were found ({}); --out needs a folder, or --entry a pattern of one",
            super::listed(&names)
        ));
        return Err(Exit::Usage);
    }
    let here = || Written { candidate: args.out.clone(), picture: args.out.with_extension("svg") };
    Ok((0..candidates.len()).map(|place| wanted(place).then(here)).collect())
}

/// Whether a file stands there that is no candidate as it was written.
fn edited(path: &Path) -> bool {
    if !path.exists() {
        return false;
    }
    let problems = Problems::new();
    let documents = read_file(path, &Limits::default(), &problems);
    let candidate = documents.first().and_then(|document| CandidateModel::read(document, &problems));
    problems.errors() > 0 || candidate.is_none_or(|candidate| !candidate.is_sealed())
}

/// The journey with how often each component is called from where it stands.
fn picture(model: &Model) -> String {
    let draw = |journey| draw_journey(journey, &ModelCaptions::new(model));
    model.structure.as_ref().map(draw).unwrap_or_default()
}
