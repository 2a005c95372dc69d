//! The intents in force, and the files they come from.
//!
//! Read at the start and again when a file changed, appeared or went, or on SIGHUP. A set of files with any error changes nothing:
//! the last good intents stay in force, the problems are logged and counted. A file without any document is such an error: emptied by mistake or
//! written only in part it must not take its journeys away. Neither must a file that holds something else than it did ([`Intents::load_after`]): while this
//! runs, a journey is removed by removing its file; that is logged and counted. A start has nothing to compare with. The accepted model of a journey stands beside its intent
//! (`model.yaml`); where there is one, its structure is planned, and one that was edited by hand is an error. SLO documents among the files are resolved for the
//! availability of components that declare none of their own.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use crate::plan::JourneyInput;
use emac_compile::declared::Declared;
use emac_document::{Document, Limits, Problem, Problems, expand, list_files, read_file};
use emac_journey::slo::Slos;

/// How it is done.
const REMOVING: &str = "to remove a journey, remove its file; to rename one, or to remove one of several in a file, write what shall stay into a file \
                        of another name and remove this one";

/// Declared journeys, read from files.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Intents {
    /// Journeys as the planner sees them, by name; those without entry or deadline are left out.
    pub planned: Arc<[JourneyInput]>,
    /// All of them, with their accepted models, by name.
    pub declared: Vec<Declared>,
}

/// Every file looked at, with what tells that it changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fingerprint(Vec<(PathBuf, Option<(u64, SystemTime)>)>);

impl Intents {
    /// Reads every intent under some patterns (files, directories, globs). `None` when there was an error; all are in `problems`.
    pub fn load(patterns: &[String], problems: &Problems) -> Option<Self> {
        Self::load_after(patterns, &Self::default(), problems)
    }

    /// The same while others are in force. A file that is still there must hold the journeys that it held, or another file must: whoever overwrote it, cut it
    /// short or changed a name in it may not have meant to take the budgets of every sidecar away.
    pub(super) fn load_after(patterns: &[String], before: &Self, problems: &Problems) -> Option<Self> {
        let files = list_files(&expand(patterns, problems), problems);
        let documents: Vec<_> = files.iter().flat_map(|file| documents_of(file, problems)).collect();
        let slos = Slos::read(&documents, problems);
        let declared = Declared::of(&documents, &slos, problems);
        let planned = declared.iter().filter_map(JourneyInput::of).collect();
        let next = Self { planned, declared };
        // Of a file that cannot be read nobody knows what it holds; that is told already.
        if problems.errors() == 0 {
            next.refuse_lost(before, &files, problems);
        }
        (problems.errors() == 0).then_some(next)
    }

    /// A journey by its name.
    pub(super) fn declared(&self, name: &str) -> Option<&Declared> {
        let found = self.declared.binary_search_by(|it| it.intent.name.as_str().cmp(name)).ok()?;
        self.declared.get(found)
    }

    /// Journeys that were declared before and are no more.
    pub(super) fn removed_since<'a>(&self, before: &'a Self) -> impl Iterator<Item = &'a Declared> {
        let now: BTreeSet<String> = self.declared.iter().map(|it| it.intent.name.to_string()).collect();
        before.declared.iter().filter(move |journey| !now.contains(journey.intent.name.as_str()))
    }

    /// Journeys that were planned before and are only declared now.
    pub(super) fn unplanned_since<'a>(&'a self, before: &Self) -> impl Iterator<Item = &'a str> {
        let names = |all: &[JourneyInput]| -> BTreeSet<String> {
            all.iter().map(|journey| journey.name.to_string()).collect()
        };
        let (then, now) = (names(&before.planned), names(&self.planned));
        let declared = self.declared.iter().map(|journey| journey.intent.name.as_str());
        declared.filter(move |name| then.contains(*name) && !now.contains(*name))
    }

    /// Journeys that went from files that are still there.
    fn refuse_lost(&self, before: &Self, files: &[PathBuf], problems: &Problems) {
        // As documents name them.
        let there: BTreeSet<String> = files.iter().map(|file| file.display().to_string()).collect();
        for lost in self.removed_since(before) {
            let file = lost.files.intent.display().to_string();
            if !there.contains(&file) {
                continue;
            }
            let here = self.declared.iter().filter(|journey| journey.files.intent == lost.files.intent);
            let here: Vec<&str> = here.map(|journey| journey.intent.name.as_str()).collect();
            let holds = if here.is_empty() { "no intent".to_owned() } else { here.join(", ") };
            let name = &lost.intent.name;
            let message =
                format!("it held the journey `{name}`, which is in no file any more; now it holds {holds}");
            problems.push(Problem::error(message).in_file(file).help(REMOVING));
        }
    }
}

/// The documents of a file, which must hold one.
fn documents_of(file: &Path, problems: &Problems) -> Vec<Document> {
    let errors = problems.errors();
    let documents = read_file(file, &Limits::default(), problems);
    if documents.is_empty() && problems.errors() == errors {
        let problem = Problem::error("no document in it: emptied, or not written to its end");
        problems.push(problem.in_file(file.display().to_string()).help(REMOVING));
    }
    documents
}

impl Fingerprint {
    /// Looks at every file: one directory listing and one `stat` a file.
    pub(super) fn take(patterns: &[String]) -> Self {
        let unheard = Problems::new();
        let files = list_files(&expand(patterns, &unheard), &unheard);
        Self(
            files
                .into_iter()
                .map(|file| {
                    let seen = look(&file);
                    (file, seen)
                })
                .collect(),
        )
    }
}

fn look(file: &Path) -> Option<(u64, SystemTime)> {
    let metadata = file.metadata().ok()?;
    Some((metadata.len(), metadata.modified().ok()?))
}

impl Fingerprint {
    /// Where changes happen: the folders of the files, and those that patterns name or lie in.
    pub(super) fn folders(&self, patterns: &[String]) -> BTreeSet<PathBuf> {
        let parent = |path: &Path| match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
            _ => PathBuf::from("."),
        };
        let roots = patterns.iter().filter(|pattern| !pattern.contains(['*', '?', '['])).map(PathBuf::from);
        let roots = roots.map(|root| if root.is_dir() { root } else { parent(&root) });
        self.0.iter().map(|(file, _)| parent(file)).chain(roots).collect()
    }

    /// The same, and the accepted models of intents that stand elsewhere or are not there yet.
    pub(super) fn with_models(mut self, intents: &Intents) -> Self {
        let known: BTreeSet<PathBuf> = self.0.iter().map(|(file, _)| file.clone()).collect();
        let models: BTreeSet<&PathBuf> =
            intents.declared.iter().map(|declared| &declared.files.model).collect();
        let others = models.into_iter().filter(|model| !known.contains(*model));
        self.0.extend(others.map(|model| (model.clone(), look(model))));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTENT: &str = include_str!("../../examples/checkout/intent.yaml");

    fn read(folder: &Path, text: &str, before: &Intents) -> Result<Intents, String> {
        std::fs::write(folder.join("intent.yaml"), text).unwrap();
        let problems = Problems::new();
        let read = Intents::load_after(&[folder.display().to_string()], before, &problems);
        read.ok_or_else(|| emac_document::render_text(&problems, false))
    }

    #[test]
    fn what_goes_without_its_file_is_refused_and_what_is_planned_no_more_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let first = read(folder.path(), INTENT, &Intents::default()).unwrap();
        let entry = INTENT.find("  entry:\n").unwrap();
        let lines = INTENT[entry..].lines().skip(1).take_while(|line| line.starts_with("    "));
        let length: usize = lines.map(|line| line.len() + 1).sum::<usize>() + "  entry:\n".len();
        let bare = [&INTENT[..entry], &INTENT[entry + length..]].concat();
        let next = read(folder.path(), &bare, &first).unwrap();
        assert_eq!(next.unplanned_since(&first).collect::<Vec<_>>(), ["checkout"]);
        assert_eq!(first.unplanned_since(&next).count() + next.unplanned_since(&next).count(), 0);
        // Other names are compared with what was in force, not with what was refused.
        let renamed = INTENT.replace("name: checkout", "name: other");
        let refused = read(folder.path(), &renamed, &first).unwrap_err();
        assert!(
            refused.contains("it held the journey `checkout`") && refused.contains("remove its file"),
            "{refused}"
        );
        assert_eq!(read(folder.path(), INTENT, &first).as_ref(), Ok(&first));
        read(folder.path(), &renamed, &Intents::default()).unwrap();
    }
}
