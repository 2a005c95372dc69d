//! What `emac --version` says: the version, and the commit where the sources are a git checkout.

use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=EMAC_COMMIT");
    let version = std::env::var("CARGO_PKG_VERSION").unwrap_or_default();
    let version = commit().map_or_else(|| version.clone(), |commit| format!("{version} ({commit})"));
    println!("cargo::rustc-env=EMAC_VERSION={version}");
}

/// `EMAC_COMMIT`, for those who build from an archive; else git's word. Debug builds say `debug` instead: they are nobody's release, and
/// would be built anew after every commit.
fn commit() -> Option<String> {
    let given = std::env::var("EMAC_COMMIT").ok().filter(|commit| !commit.is_empty());
    let is_debug = std::env::var("PROFILE").is_ok_and(|profile| profile == "debug");
    given.or_else(|| if is_debug { Some("debug".into()) } else { head(&root()?) })
}

/// The folder above this package, when it has a `.git`; an archive unpacked inside of another repository has none.
fn root() -> Option<PathBuf> {
    let package = std::env::var_os("CARGO_MANIFEST_DIR")?;
    let root = Path::new(&package).parent()?;
    // A file in a worktree, a folder otherwise.
    root.join(".git").exists().then(|| root.to_owned())
}

/// The commit that is checked out, in short; builds again when it is another.
fn head(root: &Path) -> Option<String> {
    let commit = git(root, &["rev-parse", "--short=7", "HEAD"])?;
    // Every commit, checkout and reset writes to HEAD's log. Where logs are off, what HEAD and the branches are must do.
    let watched = if path(root, "logs/HEAD").is_some() {
        &["logs/HEAD"][..]
    } else {
        &["HEAD", "refs/heads", "packed-refs"]
    };
    for file in watched.iter().filter_map(|name| path(root, name)) {
        println!("cargo::rerun-if-changed={}", file.display());
    }
    Some(commit)
}

/// A file of git's own, if there is one by this name.
fn path(root: &Path, name: &str) -> Option<PathBuf> {
    let file = root.join(git(root, &["rev-parse", "--git-path", name])?);
    file.exists().then_some(file)
}

fn git(root: &Path, args: &[&str]) -> Option<String> {
    let output = Command::new("git").arg("-C").arg(root).args(args).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !text.trim().is_empty()).then(|| text.trim().to_owned())
}
