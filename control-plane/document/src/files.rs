//! All documents of some files and directories.

use std::fs;
use std::path::{Path, PathBuf};

use super::Document;
use super::ignored::Ignored;
use super::parse::{Limits, parse};
use super::problem::{Problem, Problems};
use super::source::Source;

/// Directories within one another that are looked into.
const DEPTH_MAX: usize = 16;
/// Files of one call; a repository of intents has hundreds.
const FILES_MAX: usize = 10_000;

/// Reads every document of the given files, and of the `.yaml`, `.yml` and `.json` files of the given directories, in the order of names. What
/// cannot be listed or read is a problem.
pub fn read_all(paths: &[PathBuf], limits: &Limits, problems: &Problems) -> Vec<Document> {
    let files = list_files(paths, problems);
    files.iter().flat_map(|file| read_file(file, limits, problems)).collect()
}

/// The given files, and the `.yaml`, `.yml` and `.json` files of the given directories, in the order of names. Of directories, what an `.emacignore` in them or
/// above names is left out, and templates of Helm charts, which are no YAML, are passed over with a note.
pub fn list_files(paths: &[PathBuf], problems: &Problems) -> Vec<PathBuf> {
    let mut walk = Walk { files: Vec::new(), ignored: Ignored::default(), problems };
    for path in paths {
        walk.ignored = Ignored::above(path, problems);
        walk.collect(path, 0);
    }
    let mut files = walk.files;
    files.sort();
    files.dedup();
    files
}

/// The `.yaml`, `.yml` and `.json` files that a directory holds itself, in the order of names; of one that cannot be listed, none.
pub fn files_in(folder: &Path) -> Vec<PathBuf> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let files = entries.map(|entry| entry.path()).filter(|path| is_document(path) && path.is_file());
    let mut files: Vec<_> = files.take(FILES_MAX).collect();
    files.sort();
    files
}

/// Paths of patterns: files, directories, and globs as a shell reads them. One that is no glob stands for itself, so that a missing file is a
/// problem when it is read; a glob without a match is a problem here.
pub fn expand(patterns: &[String], problems: &Problems) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    for pattern in patterns {
        if !pattern.contains(['*', '?', '[']) {
            paths.push(PathBuf::from(pattern));
            continue;
        }
        match glob::glob(pattern) {
            Ok(found) => {
                let before = paths.len();
                paths.extend(found.filter_map(Result::ok));
                if paths.len() == before {
                    problems.push(Problem::error("no file matches this pattern").in_file(pattern));
                }
            }
            Err(error) => {
                problems.push(Problem::error(format!("not a path pattern: {}", error.msg)).in_file(pattern))
            }
        }
    }
    paths
}

/// Reads every document of a file.
pub fn read_file(file: &Path, limits: &Limits, problems: &Problems) -> Vec<Document> {
    let source = Source::read(file, limits.bytes_max, problems);
    source.map_or_else(Vec::new, |source| parse(&source, limits, problems))
}

/// A walk through directories.
struct Walk<'a> {
    files: Vec<PathBuf>,
    /// Rules of the directories that the walk is in.
    ignored: Ignored,
    problems: &'a Problems,
}

impl Walk<'_> {
    fn collect(&mut self, path: &Path, depth: usize) {
        if self.files.len() >= FILES_MAX {
            return self.refuse(path, format!("more than {FILES_MAX} files"));
        }
        if depth > DEPTH_MAX {
            return self.refuse(path, format!("more than {DEPTH_MAX} directories within one another"));
        }
        if !path.is_dir() {
            // A pipe that was named may be read (`<(helm template .)`), one that lies about in a directory would be waited for.
            return match fs::metadata(path) {
                Ok(found) if depth > 0 && !found.is_file() => {
                    self.refuse(path, "neither a file nor a directory".to_owned());
                }
                _ => self.files.push(path.to_owned()),
            };
        }
        let listed = fs::read_dir(path)
            .and_then(|all| all.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, _>>());
        match listed {
            Ok(mut paths) => {
                paths.sort();
                self.ignored.enter(path, self.problems);
                paths.iter().for_each(|path| self.visit(path, depth + 1));
                self.ignored.leave();
            }
            Err(error) => self.refuse(path, format!("cannot be listed: {error}")),
        }
    }

    fn visit(&mut self, path: &Path, depth: usize) {
        let is_dir = path.is_dir();
        if !(is_dir || is_document(path)) || self.ignored.names(path, is_dir) {
            return;
        }
        if is_dir && is_templates(path) {
            let message = "templates of a Helm chart are passed over";
            let note = Problem::note(message).in_file(path.display().to_string());
            let help = "check what they become: helm template CHART > rendered.yaml";
            return self.problems.push(note.help(help));
        }
        self.collect(path, depth);
    }

    fn refuse(&self, path: &Path, message: String) {
        self.problems.push(Problem::error(message).in_file(path.display().to_string()));
    }
}

/// `templates` beside a `Chart.yaml`: text that becomes YAML only once Helm has filled it in.
fn is_templates(folder: &Path) -> bool {
    folder.file_name().is_some_and(|name| name == "templates")
        && folder.with_file_name("Chart.yaml").is_file()
}

fn is_document(path: &Path) -> bool {
    path.extension().is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|known| extension == *known))
}
