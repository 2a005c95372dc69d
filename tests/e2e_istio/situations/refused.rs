//! The module or the control plane cannot be had: traffic passes, and somebody can see it.

use crate::Told;
use crate::account::{Counters, all_right, endless, passes};
use crate::mesh::{Gateway, Mesh, TAG};
use crate::{account::By, shipped};

/// No image under that tag.
pub(super) async fn image_missing(mesh: &mut Mesh) -> Told {
    let change = |spec: &mut serde_json::Value| {
        let url = spec["url"].as_str().unwrap_or_default().replace(&format!(":{TAG}"), ":missing");
        spec["url"] = url.into();
    };
    bypassed(mesh, &shipped::plugins_with(&mesh.kube, change)?).await
}

/// An image whose digest is not the one that was pinned.
pub(super) async fn digest_wrong(mesh: &mut Mesh) -> Told {
    let change = |spec: &mut serde_json::Value| spec["sha256"] = "0".repeat(64).into();
    bypassed(mesh, &shipped::plugins_with(&mesh.kube, change)?).await
}

/// The plugins as they are given, applied anew: every agent fails to get the module and lets traffic pass without it; the control plane
/// misses the proxies.
async fn bypassed(mesh: &mut Mesh, plugins: &str) -> Told {
    let run = endless(mesh.load(Gateway::Api));
    let steps = async {
        passes(&run, 60).await?;
        mesh.unplug()?;
        mesh.bare().await?;
        mesh.kube.apply(plugins)?;
        // What the agent puts in the module's place.
        mesh.extended(|text| text.contains("rbac")).await?;
        passes(&run, 120).await?;
        mesh.connected(0).await
    };
    let done = steps.await;
    let requests = all_right(&run.stop().await)?;
    done?;
    Ok(format!("{requests} requests, all right; no proxy is connected to the control plane"))
}

/// A Sidecar object hides the control plane's Service from front.
pub(super) async fn control_plane_hidden(mesh: &mut Mesh) -> Told {
    let connected = mesh.control_metrics().await?.sum("emac_proxies_connected", &[]) as usize;
    let before = Counters::now(mesh).await?;
    let run = endless(mesh.load(Gateway::Api));
    let steps = async {
        passes(&run, 60).await?;
        mesh.kube.apply(
            "
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: front, namespace: shop}
spec:
  workloadSelector: {labels: {app: front}}
  ingress:
  - {port: {number: 8081, protocol: HTTP, name: http}, bind: 127.0.1.11, captureMode: NONE, defaultEndpoint: '127.0.0.1:7081'}
  egress:
  - {port: {number: 8082, protocol: HTTP, name: http-pay}, bind: 127.0.1.11, captureMode: NONE, hosts: [shop/pay.shop.svc.cluster.local]}
",
        )?;
        mesh.connected(connected - 1).await?;
        passes(&run, 120).await
    };
    let done = steps.await;
    let requests = all_right(&run.stop().await)?;
    done?;
    let lost = Counters::now(mesh).await?.sum(By::Proxy("front"), "emac_stream_lost_total", &[])
        - before.sum(By::Proxy("front"), "emac_stream_lost_total", &[]);
    match lost > 0.0 {
        true => Ok(format!(
            "{requests} requests, all right; one proxy less is connected, and it counts {lost} lost streams"
        )),
        false => Err("front's proxy does not say that its control plane is gone".to_owned()),
    }
}
