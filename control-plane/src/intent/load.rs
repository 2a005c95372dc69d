//! All intents of some files and directories.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::{Intent, is_intent, read};
use crate::document::{Limits, Problem, Problems, Source, parse};

/// Directories within one another that are looked into.
const DEPTH_MAX: usize = 16;

/// Reads every intent in the given files, and in the `.yaml`, `.yml` and `.json` files of the given directories; other kinds of documents
/// are passed over. In the order of names. Two journeys of one name are a problem.
pub fn load(paths: &[PathBuf], problems: &Problems) -> Vec<Intent> {
    let mut files = Vec::new();
    for path in paths {
        collect(path, 0, &mut files, problems);
    }
    files.dedup();
    let mut found: BTreeMap<String, (Intent, String)> = BTreeMap::new();
    for file in &files {
        for (intent, place) in read_file(file, problems) {
            let name = intent.name.to_string();
            if let Some((_, first)) = found.get(&name) {
                let problem = Problem::error(format!("the journey `{name}` is declared twice"));
                problems.push(problem.in_file(place).help(format!("it was first declared in {first}")));
            } else {
                found.insert(name, (intent, place));
            }
        }
    }
    found.into_values().map(|(intent, _)| intent).collect()
}

fn read_file(file: &Path, problems: &Problems) -> Vec<(Intent, String)> {
    let limits = Limits::default();
    let Some(source) = Source::read(file, limits.bytes_max, problems) else { return Vec::new() };
    let documents = parse(&source, &limits, problems);
    let intents = documents.iter().filter(|document| is_intent(document));
    let place = |document: &crate::document::Document| {
        let (line, _) = source.position(document.root.span.start);
        format!("{}:{line}", source.name())
    };
    intents.filter_map(|document| Some((read(document, problems)?, place(document)))).collect()
}

/// Files in the order of their names; what cannot be listed is a problem.
fn collect(path: &Path, depth: usize, files: &mut Vec<PathBuf>, problems: &Problems) {
    if depth > DEPTH_MAX {
        problems.push(
            Problem::error("too many directories within one another").in_file(path.display().to_string()),
        );
        return;
    }
    if !path.is_dir() {
        files.push(path.to_owned());
        return;
    }
    let listed =
        fs::read_dir(path).and_then(|all| all.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, _>>());
    match listed {
        Ok(mut paths) => {
            paths.sort();
            let wanted = paths.into_iter().filter(|path| path.is_dir() || is_document(path));
            wanted.for_each(|path| collect(&path, depth + 1, files, problems));
        }
        Err(error) => {
            problems.push(
                Problem::error(format!("cannot be listed: {error}")).in_file(path.display().to_string()),
            );
        }
    }
}

fn is_document(path: &Path) -> bool {
    path.extension().is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|known| extension == *known))
}
