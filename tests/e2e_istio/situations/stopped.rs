//! Enforcement is stopped under load: by a command with an operator's token, over restarts, until it is resumed.

use std::process::Output;
use std::time::{Duration, Instant};

use emac_tests::load::{Run, Sample};
use emac_tests::testbed::{Fault, wait_until};

use crate::Told;
use crate::account::{endless, passes};
use crate::mesh::{CONTROL_HTTP, Gateway, Mesh, PATIENCE};
use emac_tests::kube::told;

/// Answers looked at for whether a sidecar had a part in them.
const LAST: usize = 40;

/// pay refuses connections: its fallback answers while sidecars act, and nobody while they observe.
pub(super) async fn under_load(mesh: &mut Mesh) -> Told {
    mesh.service("pay")?.set_fault(Fault::Refuse).await;
    let began = Instant::now();
    let run = endless(mesh.load(Gateway::Api));
    let done = steps(mesh, &run, began).await;
    run.stop().await;
    mesh.service("pay")?.set_fault(Fault::None).await;
    done
}

async fn steps(mesh: &mut Mesh, run: &Run, began: Instant) -> Told {
    settles(run, true, "before the stop").await?;
    let ordered = began.elapsed();
    let said = command(mesh, "stop-enforcing").await?;
    let returned = began.elapsed() - ordered;
    settles(run, false, "after the stop").await?;
    let acted = run.so_far().into_iter().filter(helped).map(|sample| sample.at).max().unwrap_or_default();
    let last = acted.saturating_sub(ordered);
    mesh.kill_control();
    stays(run, "without a control plane").await?;
    mesh.start_control().await?;
    mesh.plugged().await?;
    stays(run, "after the control plane was killed").await?;
    mesh.agent_mut("front")?.restart().await?;
    mesh.plugged().await?;
    stays(run, "after an agent was restarted").await?;
    command(mesh, "resume-enforcing").await?;
    settles(run, true, "after the resume").await?;
    Ok(format!(
        "{}; the command returned after {} ms, the last answer a sidecar had a part in began {} ms after the order; it held over both restarts and was resumed",
        said.lines().find(|line| line.contains("acknowledged")).unwrap_or_default(),
        returned.as_millis(),
        last.as_millis()
    ))
}

fn helped(sample: &Sample) -> bool {
    sample.ok() && sample.degraded
}

/// The newest answers are all helped, or none is.
async fn settles(run: &Run, wanted: bool, when: &str) -> Told<()> {
    let newest = || {
        let mut samples = run.so_far();
        samples.sort_by_key(|sample| sample.at + sample.latency);
        samples.split_off(samples.len().saturating_sub(LAST))
    };
    let seen = || {
        let samples = newest();
        samples.len() == LAST && samples.iter().all(|sample| helped(sample) == wanted)
    };
    match wait_until(PATIENCE, || async { seen() }).await {
        true => Ok(()),
        false => Err(format!(
            "{when}: {} of the last {LAST} answers are a fallback's",
            newest().iter().filter(|one| helped(one)).count()
        )),
    }
}

/// None of the answers from now on is helped.
async fn stays(run: &Run, when: &str) -> Told<()> {
    let before = run.so_far().len();
    passes(run, LAST).await?;
    let acted = run.so_far().iter().skip(before).filter(|sample| helped(sample)).count();
    if acted == 0 { Ok(()) } else { Err(format!("{when}: {acted} answers are a fallback's")) }
}

async fn command(mesh: &Mesh, order: &str) -> Told {
    let keys = crate::ROOM.folder().join("control-plane/operator.keys");
    let token = emac(
        mesh,
        &["token", "--keys", &keys.display().to_string(), "--operator", "jane", "--allow", "change"],
    )
    .await?;
    let file = crate::ROOM.folder().join("jane.token");
    std::fs::write(&file, &token.stdout).map_err(told)?;
    let (server, file) = (format!("http://{CONTROL_HTTP}"), file.display().to_string());
    let output = emac(mesh, &[order, "--why", "INC-42", "--server", &server, "--token-file", &file]).await?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    match output.status.success() && said.contains("connected sidecars have acknowledged") {
        true => Ok(said),
        false => {
            Err(format!("{order}: {}: {said}{}", output.status, String::from_utf8_lossy(&output.stderr)))
        }
    }
}

async fn emac(mesh: &Mesh, args: &[&str]) -> Told<Output> {
    let output = tokio::process::Command::new(&mesh.tools.emac).args(args).output();
    tokio::time::timeout(Duration::from_secs(60), output).await.map_err(told)?.map_err(told)
}
