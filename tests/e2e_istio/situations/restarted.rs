//! Parts of the mesh, and our own, are killed and come back under load.

use crate::Told;
use crate::account::{Counters, all_counted, all_right, endless, passes};
use crate::mesh::{Gateway, Mesh};

/// The second replica of pay.
pub(super) const PAY_NEXT: &str = "
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: pay-2, namespace: shop}
spec: {address: 127.0.1.13, labels: {app: pay, version: v2, security.istio.io/tlsMode: istio}, serviceAccount: pay}
";
/// Its endpoint, as Envoy's configuration dump shows it.
const ENDPOINT: &str = "127.0.1.13";

/// istiod is killed and started again.
pub(super) async fn istiod(mesh: &mut Mesh) -> Told {
    let run = endless(mesh.load(Gateway::Api));
    let steps = async {
        passes(&run, 60).await?;
        mesh.istiod.kill();
        passes(&run, 120).await?;
        mesh.istiod.start_again_with(None).await?;
        mesh.synchronised().await?;
        passes(&run, 60).await
    };
    let done = steps.await;
    let requests = all_right(&run.stop().await)?;
    done?;
    Ok(format!("{requests} requests while istiod was killed and came back, all right"))
}

/// The control plane is killed and started again: nothing fails, and nothing is counted twice or lost.
pub(super) async fn control_plane(mesh: &mut Mesh) -> Told {
    let before = Counters::settled(mesh).await?;
    let run = endless(mesh.load(Gateway::Api));
    let steps = async {
        passes(&run, 60).await?;
        mesh.kill_control();
        passes(&run, 120).await?;
        mesh.start_control().await?;
        mesh.plugged().await?;
        passes(&run, 60).await
    };
    let done = steps.await;
    let requests = all_right(&run.stop().await)?;
    done?;
    all_counted(mesh, &before, Gateway::Api, requests).await?;
    Ok(format!(
        "{requests} requests while the control plane was killed and came back, all right and counted once"
    ))
}

/// One of two replicas is taken out of its Service, its agent and Envoy restarted, and put back, as a rolling restart does.
pub(super) async fn agent(mesh: &mut Mesh) -> Told {
    mesh.also(PAY_NEXT)?;
    mesh.configured("front", |dump| dump.contains(ENDPOINT)).await?;
    mesh.service("pay-next")?.forget();
    let run = endless(mesh.load(Gateway::Api));
    let steps = async {
        passes(&run, 60).await?;
        mesh.kube.delete(PAY_NEXT)?;
        mesh.configured("front", |dump| !dump.contains(ENDPOINT)).await?;
        passes(&run, 30).await?;
        let first = mesh.service("pay-next")?.count();
        mesh.agent_mut("pay-next")?.restart().await?;
        mesh.plugged().await?;
        mesh.kube.apply(PAY_NEXT)?;
        mesh.configured("front", |dump| dump.contains(ENDPOINT)).await?;
        passes(&run, 60).await?;
        Ok::<_, String>((first, mesh.service("pay-next")?.count() - first))
    };
    let done = steps.await;
    let requests = all_right(&run.stop().await)?;
    let (first, second) = done?;
    match first > 0 && second > 0 {
        true => Ok(format!(
            "{requests} requests, all right; the restarted replica answered {first} before and {second} after"
        )),
        false => Err(format!("the second replica answered {first} before its restart and {second} after it")),
    }
}
