//! Which files of directories are left out: `.emacignore`, in the language of `.gitignore`.
//!
//! One may stand in every directory and holds for what is below it; those in the directories above a given path hold too, up to the root of its repository. A path
//! that was given by name is never left out.

use std::path::{Component, Path, PathBuf};

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use super::problem::{Problem, Problems};

/// Name of the file.
const NAME: &str = ".emacignore";

/// The rules in force, outermost first; a directory without any has an empty one.
#[derive(Debug, Default)]
pub(super) struct Ignored {
    rules: Vec<Gitignore>,
}

impl Ignored {
    /// Those of the directories above a path, up to the root of its repository (the one with `.git`), or of the file system.
    pub(super) fn above(path: &Path, problems: &Problems) -> Self {
        let path = absolute(path);
        let mut folders = Vec::new();
        let mut inside = path.join(".git").exists();
        for folder in path.ancestors().skip(1) {
            if inside {
                break;
            }
            folders.push(folder);
            inside = folder.join(".git").exists();
        }
        let rules = folders.into_iter().rev().map(|folder| read(folder, problems)).collect();
        Self { rules }
    }

    /// The walk goes into a directory.
    pub(super) fn enter(&mut self, folder: &Path, problems: &Problems) {
        self.rules.push(read(&absolute(folder), problems));
    }

    /// And out again.
    pub(super) fn leave(&mut self) {
        self.rules.pop();
    }

    /// Whether a path is left out. The innermost rule that says anything of it decides.
    pub(super) fn names(&self, path: &Path, is_dir: bool) -> bool {
        let path = absolute(path);
        for rules in self.rules.iter().rev().filter(|rules| !rules.is_empty()) {
            match rules.matched(&path, is_dir) {
                Match::None => {}
                Match::Ignore(_) => return true,
                Match::Whitelist(_) => return false,
            }
        }
        false
    }
}

fn read(folder: &Path, problems: &Problems) -> Gitignore {
    let file = folder.join(NAME);
    if !file.is_file() {
        return Gitignore::empty();
    }
    let mut builder = GitignoreBuilder::new(folder);
    let refused = builder.add(&file);
    let (rules, unbuilt) = match builder.build() {
        Ok(rules) => (rules, None),
        Err(error) => (Gitignore::empty(), Some(error)),
    };
    for error in refused.into_iter().chain(unbuilt) {
        problems.push(Problem::error(error.to_string()).in_file(file.display().to_string()));
    }
    rules
}

/// Links stay what they are called, unless `..` has to be resolved.
fn absolute(path: &Path) -> PathBuf {
    let goes_up = path.components().any(|part| part == Component::ParentDir);
    let resolved = if goes_up { path.canonicalize() } else { std::path::absolute(path) };
    resolved.unwrap_or_else(|_| path.to_owned())
}
