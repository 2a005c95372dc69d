//! Pages with commands: fenced blocks ```` ```console ```` hold commands after `$ ` and their output below; ```` ```yaml path ```` holds a file that
//! is written. Blocks are taken in the order of the page, in one folder; ```` ```console path ```` in a folder inside it. ```` ```console promtool ```` is
//! left as it is where there is no promtool.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The page with the output that its commands give.
pub(crate) fn run(page: &str, text: &str, folder: &Path) -> String {
    let mut lines = text.lines();
    let mut written = Vec::new();
    while let Some(line) = lines.next() {
        written.push(line.to_owned());
        let Some(info) = line.strip_prefix("```").filter(|info| !info.is_empty()) else { continue };
        let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        match info.split_once(' ').map_or((info, ""), |(language, rest)| (language, rest)) {
            ("console", "promtool") if promtool().is_none() => {
                println!("not run: {page}: no promtool (make tools, PROMTOOL_BIN)");
                written.extend(block.iter().map(|line| (*line).to_owned()));
            }
            ("console", inside) => {
                let folder = folder.join(if inside == "promtool" { "" } else { inside });
                written.extend(commands(&block).flat_map(|command| shown(command, &folder)));
            }
            ("yaml", path) if !path.is_empty() => {
                write(&folder.join(path), &block);
                written.extend(block.iter().map(|line| (*line).to_owned()));
            }
            _ => written.extend(block.iter().map(|line| (*line).to_owned())),
        }
        written.push("```".to_owned());
    }
    written.join("\n") + "\n"
}

fn commands<'a>(block: &'a [&'a str]) -> impl Iterator<Item = &'a str> {
    block.iter().filter_map(|line| line.strip_prefix("$ "))
}

fn write(path: &Path, block: &[&str]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, block.join("\n") + "\n").unwrap();
}

/// A command and what it prints, on either stream.
fn shown(command: &str, folder: &Path) -> Vec<String> {
    let output = Command::new("sh")
        .arg("-c")
        .arg(format!("exec 2>&1\n{command}"))
        .current_dir(folder)
        .env("PATH", path())
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let mut lines = vec![format!("$ {command}")];
    lines.extend(printed.lines().map(|line| line.trim_end().to_owned()));
    lines
}

/// Our binary before all others, promtool where it is at hand.
fn path() -> std::ffi::OsString {
    let ours = Path::new(env!("CARGO_BIN_EXE_emac")).parent().map(Path::to_owned);
    let tools = promtool().and_then(|tool| tool.parent().map(Path::to_owned));
    let rest = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths(ours.into_iter().chain(tools).chain(std::env::split_paths(&rest))).unwrap()
}

fn promtool() -> Option<PathBuf> {
    let named = std::env::var_os("PROMTOOL_BIN").map(PathBuf::from);
    let ours = super::root().join(".tools/prometheus/usr/bin/promtool");
    named.or(Some(ours)).filter(|path| path.is_file())
}
