//! The plugin comes, changes and goes while there is traffic.

use std::fs;

use crate::Told;
use crate::account::{all_right, endless, passes};
use crate::mesh::{Gateway, Mesh, TAG};
use crate::shipped;
use emac_tests::kube::told;

/// Connections between the pods were opened before the plugin was applied, and idle: they keep their old chain of filters.
pub(super) async fn over_idle_connections(mesh: &mut Mesh) -> Told {
    const REQUESTS: u64 = 40;
    mesh.unplug()?;
    mesh.bare().await?;
    all_right(&mesh.load(Gateway::Api).clients(8).count(REQUESTS).run().await)?;
    mesh.plug()?;
    mesh.plugged().await?;
    all_right(&mesh.load(Gateway::Api).clients(8).count(REQUESTS).run().await)?;
    Ok(format!("{REQUESTS} requests before, {REQUESTS} after over the same connections, all right"))
}

/// Labels edited, taken away, applied again, another image tag: no request notices.
pub(super) async fn edited_removed_and_upgraded_under_load(mesh: &mut Mesh) -> Told {
    let run = endless(mesh.load(Gateway::Api));
    let steps = async {
        passes(&run, 60).await?;
        for edit in ["edited=once", "edited=twice", "edited=again"] {
            mesh.kube.run(&["label", "--overwrite", "wasmplugins", "--all", "-n", "shop", edit], None)?;
            passes(&run, 60).await?;
        }
        mesh.unplug()?;
        mesh.bare().await?;
        passes(&run, 60).await?;
        mesh.plug()?;
        mesh.pulled(&mesh.digest).await?;
        passes(&run, 60).await?;
        let digest = mesh.registry.push("next", another(fs::read(&mesh.tools.wasm).map_err(told)?));
        let upgrade = |spec: &mut serde_json::Value| {
            let url = spec["url"].as_str().unwrap_or_default().replace(&format!(":{TAG}"), ":next");
            spec["url"] = url.into();
        };
        mesh.kube.apply(&shipped::plugins_with(&mesh.kube, upgrade)?)?;
        mesh.pulled(&digest).await?;
        passes(&run, 120).await
    };
    let done = steps.await;
    let requests = all_right(&run.stop().await)?;
    done?;
    Ok(format!("{requests} requests over three edits, removal, a second start and another image, all right"))
}

/// The same module with other bytes: a custom section at its end.
fn another(mut module: Vec<u8>) -> Vec<u8> {
    module.extend([0, 5, 4, b'n', b'e', b'x', b't']);
    module
}
