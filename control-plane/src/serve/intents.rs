//! The intents in force, and the files they come from.
//!
//! Read at the start and again when a file changed, appeared or went, or on SIGHUP. A set of files with any error changes nothing:
//! the last good intents stay in force, the problems are logged and counted. A file without any document is such an error: emptied by mistake or
//! written only in part it must not take its journeys away. Neither must a file that holds something else than it did ([`Intents::load_after`]): while this
//! runs, a journey is removed by removing its file; that is logged and counted. A start has nothing to compare with. The accepted model of a journey stands beside its intent
//! (`model.yaml`); where there is one, its structure is planned, and one that was edited by hand is an error. SLO documents among the files are resolved for the
//! availability of components that declare none of their own.
//!
//! Where only journeys that are there already changed within their files, only those are read ([`Intents::read_changed`]): a thousand journeys take a fifth of a
//! second to read. Whatever concerns more than one journey (names, entries, SLO documents, files that come and go) makes everything be read.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::plan::JourneyInput;
use emac_compile::declared::{Declared, name_of};
use emac_document::{Document, Limits, Problem, Problems, expand, list_files, read_file};
use emac_journey::slo::Slos;

/// How it is done.
const REMOVING: &str = "to remove a journey, remove its file; to rename one, or to remove one of several in a file, write what shall stay into a file \
                        of another name and remove this one";

/// Declared journeys, read from files.
#[derive(Clone, Debug, Default)]
pub struct Intents {
    /// Journeys as the planner sees them, by name; those without entry or deadline are left out.
    pub planned: Arc<[JourneyInput]>,
    /// All of them, with their accepted models, by name.
    pub declared: Vec<Declared>,
    /// SLO documents among their files.
    slos: Arc<Slos>,
    /// The files as they were just before they were read.
    read: Fingerprint,
}

/// Every file looked at, with what tells that it changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fingerprint(Vec<(PathBuf, Option<Look>)>);

/// What the file system says of a file. Tools that copy set the time of a file back, and edits keep its length; nobody sets the time of its inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Look {
    bytes: u64,
    inode: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Intents {
    /// Reads every intent under some patterns (files, directories, globs). `None` when there was an error; all are in `problems`.
    pub fn load(patterns: &[String], problems: &Problems) -> Option<Self> {
        Self::load_after(patterns, &Self::default(), problems)
    }

    /// The same while others are in force. A file that is still there must hold the journeys that it held, or another file must: whoever overwrote it, cut it
    /// short or changed a name in it may not have meant to take the budgets of every sidecar away.
    pub(super) fn load_after(patterns: &[String], before: &Self, problems: &Problems) -> Option<Self> {
        let read = Fingerprint::take(patterns);
        let files = list_files(&expand(patterns, problems), problems);
        let documents: Vec<_> = files.iter().flat_map(|file| documents_of(file, problems)).collect();
        let slos = Slos::read(&documents, problems);
        let declared = Declared::of(&documents, &slos, problems);
        let planned = declared.iter().filter_map(JourneyInput::of).collect();
        let next = Self { planned, declared, slos: Arc::new(slos), read };
        // Of a file that cannot be read nobody knows what it holds; that is told already.
        if problems.errors() == 0 {
            next.refuse_lost(before, &files, problems);
        }
        (problems.errors() == 0).then(|| Self { read: next.read.clone().with_models(&next), ..next })
    }

    /// The same from files that look like `now`, if all that changed is what some journeys say. `None` where it is more, or there was an error: then everything is to
    /// be read. Cost: reading the files that changed, and a copy of every journey.
    pub(super) fn read_changed(&self, now: &Fingerprint) -> Option<Self> {
        let changed = self.read.changed(now)?;
        let held = self.held();
        let mut files: BTreeSet<&Path> = BTreeSet::new();
        for file in changed {
            if held.contains_key(file) {
                files.insert(file);
                continue;
            }
            let mut of = self.declared.iter().filter(|one| one.files.model == file).peekable();
            of.peek()?;
            files.extend(of.map(|one| one.files.intent.as_path()));
        }
        let (mut declared, mut anew) = (self.declared.clone(), BTreeMap::new());
        for file in files {
            for (place, journey) in self.read_file_again(file, *held.get(file)?)? {
                anew.insert(journey.intent.name.clone(), JourneyInput::of(&journey));
                *declared.get_mut(place)? = journey;
            }
        }
        // The same ones are planned: whether one is depends on its entry and on a deadline, without which an entry is an error.
        let next = |input: &JourneyInput| match anew.remove(&input.name) {
            Some(next) => next,
            None => Some(input.clone()),
        };
        let planned: Option<Vec<_>> = self.planned.iter().map(next).collect();
        let planned = planned?.into();
        Some(Self { planned, declared, slos: Arc::clone(&self.slos), read: now.clone() })
    }

    /// How many journeys each file holds.
    fn held(&self) -> BTreeMap<&Path, usize> {
        let mut held = BTreeMap::new();
        self.declared.iter().for_each(|one| *held.entry(one.files.intent.as_path()).or_default() += 1);
        held
    }

    /// The journeys of a file that held some, by their places among all, if it holds the same and nothing else.
    fn read_file_again(&self, file: &Path, held: usize) -> Option<BTreeMap<usize, Declared>> {
        let problems = Problems::new();
        let documents = documents_of(file, &problems);
        let mut found = BTreeMap::new();
        for document in &documents {
            let name = name_of(document)?;
            let place = self.place(&name)?;
            let before = self.declared.get(place).filter(|before| before.files.intent == file)?;
            found.insert(place, before.read_again(document, &self.slos, &problems)?);
        }
        (problems.errors() == 0 && found.len() == held && documents.len() == held).then_some(found)
    }

    /// The files as they were when these were read.
    pub(super) const fn read(&self) -> &Fingerprint {
        &self.read
    }

    /// A journey by its name.
    pub(super) fn declared(&self, name: &str) -> Option<&Declared> {
        self.declared.get(self.place(name)?)
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.declared.binary_search_by(|it| it.intent.name.as_str().cmp(name)).ok()
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

fn look(file: &Path) -> Option<Look> {
    let found = file.metadata().ok()?;
    Some(Look {
        bytes: found.len(),
        inode: found.ino(),
        modified: (found.mtime(), found.mtime_nsec()),
        changed: (found.ctime(), found.ctime_nsec()),
    })
}

impl Fingerprint {
    /// Files that look otherwise in another; `None` where others are there.
    fn changed<'a>(&'a self, other: &Self) -> Option<Vec<&'a Path>> {
        let same = self.0.len() == other.0.len() && self.0.iter().zip(&other.0).all(|(a, b)| a.0 == b.0);
        let pairs = self.0.iter().zip(&other.0).filter(|(before, now)| before != now);
        same.then(|| pairs.map(|((file, _), _)| file.as_path()).collect())
    }

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
        assert_eq!(read(folder.path(), INTENT, &first).unwrap().declared, first.declared);
        read(folder.path(), &renamed, &Intents::default()).unwrap();
    }

    /// A folder of journeys: three in files of their own, one with an accepted model, and two in one file.
    struct Files {
        folder: tempfile::TempDir,
        ticks: u64,
    }

    impl Files {
        fn new() -> Self {
            let mut files = Self { folder: tempfile::tempdir().unwrap(), ticks: 0 };
            for name in ["a", "b", "c"] {
                files.write(&format!("{name}/intent.yaml"), &intent(name));
            }
            files.write(
                "pay/intent.yaml",
                include_str!("../../examples/first-gate/journeys/gate-pay/intent.yaml"),
            );
            files.write("pay/model.yaml", MODEL);
            files.write("slos/cart.yaml", SLO);
            files.write("two/both.yaml", &format!("{}---\n{}", intent("d"), intent("e")));
            files
        }

        /// Each file is younger than the one before, however fast they are written.
        fn write(&mut self, name: &str, text: &str) {
            let path = self.folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
            self.ticks += 1;
            let time = std::time::SystemTime::UNIX_EPOCH
                + std::time::Duration::from_secs(1_700_000_000 + self.ticks);
            std::fs::File::options().append(true).open(path).unwrap().set_modified(time).unwrap();
        }

        fn patterns(&self) -> [String; 1] {
            [self.folder.path().display().to_string()]
        }

        fn load(&self) -> Intents {
            let problems = Problems::new();
            Intents::load(&self.patterns(), &problems)
                .unwrap_or_else(|| panic!("{}", emac_document::render_text(&problems, false)))
        }

        fn look(&self, before: &Intents) -> Fingerprint {
            Fingerprint::take(&self.patterns()).with_models(before)
        }
    }

    const MODEL: &str = include_str!("../../examples/first-gate/journeys/gate-pay/model.yaml");
    const SLO: &str = include_str!("../../examples/shop/slos/cart.yaml");

    fn intent(name: &str) -> String {
        let named = INTENT.replace("name: checkout", &format!("name: {name}"));
        named.replace("shop.example", &format!("{name}.example"))
    }

    fn slower(name: &str) -> String {
        intent(name).replace("p50: 20ms", "p50: 25ms")
    }

    /// As `cp -p` and `rsync -t` leave it.
    #[test]
    fn a_file_of_the_same_length_and_time_is_another() {
        let mut files = Files::new();
        let before = files.load();
        files.write("b/intent.yaml", &slower("b"));
        let time = before.read.0.iter().find(|(file, _)| file.ends_with("b/intent.yaml")).unwrap();
        let (seconds, _) = time.1.unwrap().modified;
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds.unsigned_abs());
        let file = std::fs::File::options().append(true).open(files.folder.path().join("b/intent.yaml"));
        file.unwrap().set_modified(time).unwrap();
        assert_eq!(slower("b").len(), intent("b").len());
        assert_ne!(files.look(&before), before.read);
    }

    #[test]
    fn what_is_read_of_changed_files_alone_is_what_reading_everything_gives() {
        type Edit<'a> = (&'a str, bool, &'a dyn Fn(&mut Files));
        let edits: [Edit<'_>; 12] = [
            ("nothing", true, &|_| ()),
            ("one journey", true, &|files| files.write("b/intent.yaml", &slower("b"))),
            ("another layout", true, &|files| files.write("b/intent.yaml", &format!("# b\n{}", intent("b")))),
            ("two of one file", true, &|files| {
                files.write("two/both.yaml", &format!("{}---\n{}", slower("e"), intent("d")));
            }),
            ("layout of a model", true, &|files| files.write("pay/model.yaml", &format!("# so\n{MODEL}"))),
            ("an SLO", false, &|files| files.write("slos/cart.yaml", &format!("# so\n{SLO}"))),
            ("a model edited by hand", false, &|files| {
                files.write("pay/model.yaml", &MODEL.replacen("Series", "Parallel", 1));
            }),
            ("its edge", false, &|files| {
                files.write("b/intent.yaml", &intent("b").replace("b.example", "c.example"));
            }),
            ("its name", false, &|files| files.write("b/intent.yaml", &intent("x"))),
            ("a file more", false, &|files| files.write("f/intent.yaml", &intent("f"))),
            ("a document more", false, &|files| {
                files.write("b/intent.yaml", &format!("{}---\nkind: Other\n", intent("b")));
            }),
            ("not to its end", false, &|files| files.write("b/intent.yaml", &intent("b")[..300])),
        ];
        for (what, alone, edit) in edits {
            let mut files = Files::new();
            let before = files.load();
            assert_eq!(before.declared.len(), 6);
            edit(&mut files);
            let changed = before.read_changed(&files.look(&before));
            assert_eq!(changed.is_some(), alone, "{what}");
            if let Some(changed) = changed {
                let all = files.load();
                assert_eq!((&changed.declared, &changed.planned), (&all.declared, &all.planned), "{what}");
                assert_eq!(changed.read, all.read, "{what}");
            }
        }
    }
}
