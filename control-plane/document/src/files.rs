//! All documents of some files and directories.

use std::fs;
use std::path::{Path, PathBuf};

use super::Document;
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

/// The given files, and the `.yaml`, `.yml` and `.json` files of the given directories, in the order of names.
pub fn list_files(paths: &[PathBuf], problems: &Problems) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for path in paths {
        collect(path, 0, &mut files, problems);
    }
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

fn collect(path: &Path, depth: usize, files: &mut Vec<PathBuf>, problems: &Problems) {
    let refuse = |message: String| problems.push(Problem::error(message).in_file(path.display().to_string()));
    if files.len() >= FILES_MAX {
        return refuse(format!("more than {FILES_MAX} files"));
    }
    if depth > DEPTH_MAX {
        return refuse(format!("more than {DEPTH_MAX} directories within one another"));
    }
    if !path.is_dir() {
        // A pipe that was named may be read (`<(helm template .)`), one that lies about in a directory would be waited for.
        return match fs::metadata(path) {
            Ok(found) if depth > 0 && !found.is_file() => refuse("neither a file nor a directory".to_owned()),
            _ => files.push(path.to_owned()),
        };
    }
    let listed =
        fs::read_dir(path).and_then(|all| all.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, _>>());
    match listed {
        Ok(mut paths) => {
            paths.sort();
            let wanted = paths.into_iter().filter(|path| path.is_dir() || is_document(path));
            wanted.for_each(|path| collect(&path, depth + 1, files, problems));
        }
        Err(error) => refuse(format!("cannot be listed: {error}")),
    }
}

fn is_document(path: &Path) -> bool {
    path.extension().is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|known| extension == *known))
}
