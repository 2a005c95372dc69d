//! What happens in a mesh, one situation a function: it makes it happen, counts, and says what it saw or what was wrong.
//!
//! To add one, write the function and name it in [`ALL`]. What it changed is put right after it, see [`Mesh::restore`].

mod applied;
mod callee;
mod healthy;
mod identity;
mod refused;
mod restarted;
mod routed;
mod stopped;

use std::pin::Pin;
use std::process::ExitCode;
use std::time::Instant;

use crate::Told;
use crate::mesh::Mesh;
use crate::tools::Tools;

type Played<'a> = Pin<Box<dyn Future<Output = Told> + 'a>>;

/// A situation by name; the name is the function's path.
macro_rules! situations {
    ($($module:ident::$name:ident),* $(,)?) => {
        &[$((concat!(stringify!($module), "::", stringify!($name)), |mesh| Box::pin($module::$name(mesh)))),*]
    };
}

/// All of them, in the order in which they are played.
#[allow(clippy::type_complexity)]
const ALL: &[(&str, for<'a> fn(&'a mut Mesh) -> Played<'a>)] = situations![
    healthy::without_the_filter,
    applied::over_idle_connections,
    healthy::gateway_api,
    healthy::gateway_classic,
    healthy::module_from_a_file,
    applied::edited_removed_and_upgraded_under_load,
    restarted::istiod,
    restarted::control_plane,
    restarted::agent,
    callee::slow,
    callee::slow_and_unbounded_by_its_route,
    callee::down,
    callee::slow_with_outlier_detection,
    routed::a_shorter_timeout_of_the_route,
    routed::denied,
    routed::weights,
    routed::mirror,
    stopped::under_load,
    refused::image_missing,
    refused::digest_wrong,
    refused::control_plane_hidden,
    identity::certificates_of_istiod,
];

/// Plays those whose names contain one of `wanted`, or all.
pub(crate) fn play(tools: Tools, wanted: &[String]) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("istio: {error}");
            return ExitCode::FAILURE;
        }
    };
    runtime.block_on(all(tools, wanted))
}

async fn all(tools: Tools, wanted: &[String]) -> ExitCode {
    let named: Vec<&String> = wanted.iter().filter(|argument| !argument.starts_with('-')).collect();
    let is_wanted = |name: &str| named.is_empty() || named.iter().any(|part| name.contains(part.as_str()));
    if !ALL.iter().any(|(name, _)| is_wanted(name)) {
        eprintln!(
            "istio: no situation is called {named:?}; there are {:?}",
            ALL.iter().map(|(name, _)| name).collect::<Vec<_>>()
        );
        return ExitCode::FAILURE;
    }
    let mut mesh = match Mesh::start(tools).await {
        Ok(mesh) => mesh,
        Err(why) => {
            eprintln!("istio: FAILED to start: {why}");
            return ExitCode::FAILURE;
        }
    };
    // The first situation is the mesh before any plugin; all others begin with them applied.
    let bare = ALL.first().is_some_and(|(name, _)| is_wanted(name));
    if !bare && let Err(why) = mesh.restore().await {
        eprintln!("istio: FAILED to apply the plugins: {why}");
        return ExitCode::FAILURE;
    }
    let (mut shown, mut failed) = (0, Vec::new());
    for (name, situation) in ALL {
        if !is_wanted(name) {
            continue;
        }
        let began = Instant::now();
        let outcome = situation(&mut mesh).await;
        let took = began.elapsed().as_secs();
        match outcome {
            Ok(seen) => {
                shown += 1;
                println!("shown   {name}: {seen} ({took} s)");
            }
            Err(why) => {
                failed.push(*name);
                let _ = mesh.describe(name).await;
                println!("FAILED  {name}: {why} ({took} s)");
            }
        }
        if let Err(why) = mesh.restore().await {
            // What follows would fail for the same reason, slowly.
            println!("FAILED  to put things right after {name}, so nothing more is played: {why}");
            failed.push("putting things right");
            break;
        }
    }
    println!(
        "istio: {shown} situations shown, {} failed{}{}; logs in {}",
        failed.len(),
        if failed.is_empty() { "" } else { ": " },
        failed.join(", "),
        crate::ROOM.folder().display()
    );
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
